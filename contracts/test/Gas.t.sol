// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {AccessManager} from "@openzeppelin/contracts/access/manager/AccessManager.sol";
import {AtomicExecutor} from "../src/AtomicExecutor.sol";
import {PolicyRegistry} from "../src/PolicyRegistry.sol";
import {DebtDesk} from "./support/DebtDesk.sol";
import {MoodyLender} from "./support/MoodyLender.sol";
import {Ops} from "./support/Ops.sol";
import {Target} from "./support/Targets.sol";
import {IVault, IWeth, World} from "./support/World.sol";

/// @dev Does what an operation does with no check at all: what the executor costs is measured against it.
contract Bare {
    IWeth private immutable _weth;

    constructor(IWeth weth) {
        _weth = weth;
    }

    function many(address target, bytes calldata data, uint256 count) external {
        for (uint256 i = 0; i < count; ++i) {
            (bool ok,) = target.call(data);
            require(ok, "failed");
        }
    }

    function flash(address vault, uint256 amount, uint256 count) external {
        (address[] memory tokens, uint256[] memory amounts) = (new address[](1), new uint256[](1));
        (tokens[0], amounts[0]) = (address(_weth), amount);
        for (uint256 i = 0; i < count; ++i) {
            IVault(vault).flashLoan(address(this), tokens, amounts, "");
        }
    }

    function receiveFlashLoan(
        address[] calldata,
        uint256[] calldata amounts,
        uint256[] calldata,
        bytes calldata
    ) external {
        _weth.transfer(msg.sender, amounts[0]);
    }
}

/// @dev Calls through a published contract that knows who may call which function of whom, as ours does; it judges
///      neither arguments nor native coin, keeps no balances and lends nothing.
contract Managed {
    function many(AccessManager manager, address target, bytes calldata data, uint256 count) external {
        for (uint256 i = 0; i < count; ++i) {
            manager.execute(target, data);
        }
    }
}

/// @dev What each operation costs beyond the first of its kind, all accounts and slots warm, on the code that ships.
///      The figures are kept in snapshots/; `FORGE_SNAPSHOT_CHECK=true` refuses any other.
contract GasTest is World {
    uint256 private constant MANY = 8;
    string private constant GROUP = "AtomicExecutor";

    Target internal target;
    Bare internal bare;
    MoodyLender internal lender;
    DebtDesk internal desk;

    function setUp() public override {
        super.setUp();
        target = new Target();
        bare = new Bare(weth);
        lender = new MoodyLender(address(weth), address(usd));
        lender.setFlashName("uniswapV3FlashCallback(uint256,uint256,bytes)");
        desk = new DebtDesk(usd);
        usd.mint(address(lender), 1_000 ether);
        desk.owe(address(executor), 1_000 ether);
        vm.startPrank(owner);
        registry.setToken(address(executor), address(usd), 1, true);
        _list(address(target), "note(uint256,uint256)", 2);
        _list(address(target), "pull(address,uint256,uint256)", 3);
        _list(address(desk), "repay(uint256,address)", 2);
        vm.stopPrank();
    }

    function _deployOurs() internal override {
        _deployShipped();
    }

    // -------------------------------------------------------------------------- whole

    function test_gas_of_an_empty_plan_and_of_the_flash_arbitrage() public {
        vm.snapshotValue(GROUP, "plan, empty", _gas(hex"01"));
        vm.snapshotValue(GROUP, "plan, flash arbitrage", _gas(_arbitrage(5 ether)));
    }

    function test_gas_of_a_segment() public {
        bytes memory one = _call();
        vm.snapshotValue(GROUP, "segment of one call", (_batch(10, one) - _batch(2, one)) / 8);
    }

    // --------------------------------------------------------------------- per operation

    function test_gas_of_a_call_against_a_bare_call() public {
        uint256 through = _each(_call());
        bytes memory data = abi.encodeCall(Target.note, (1, 2));
        bare.many(address(target), data, 1);
        uint256 before = gasleft();
        bare.many(address(target), data, 1);
        uint256 one = before - gasleft();
        before = gasleft();
        bare.many(address(target), data, 1 + MANY);
        uint256 direct = (before - gasleft() - one) / MANY;
        vm.snapshotValue(GROUP, "call", through);
        vm.snapshotValue(GROUP, "call, over a bare one", through - direct);
    }

    function test_gas_of_a_call_against_an_access_manager() public {
        AccessManager manager = new AccessManager(address(this));
        Managed managed = new Managed();
        bytes4[] memory selectors = new bytes4[](1);
        selectors[0] = Target.note.selector;
        manager.setTargetFunctionRole(address(target), selectors, 7);
        manager.grantRole(7, address(managed), 0);
        bytes memory data = abi.encodeCall(Target.note, (1, 2));
        managed.many(manager, address(target), data, 1);
        uint256 before = gasleft();
        managed.many(manager, address(target), data, 1);
        uint256 one = before - gasleft();
        before = gasleft();
        managed.many(manager, address(target), data, 1 + MANY);
        vm.snapshotValue(GROUP, "call, by OpenZeppelin's AccessManager", (before - gasleft() - one) / MANY);
    }

    function test_gas_of_a_flash_loan_against_a_bare_one() public {
        uint256 through = _each(Ops.flash(vault, address(weth), 1 ether, 0, ""));
        weth.transfer(address(bare), 100 ether);
        bare.flash(vault, 1 ether, 1);
        uint256 before = gasleft();
        bare.flash(vault, 1 ether, 1);
        uint256 one = before - gasleft();
        before = gasleft();
        bare.flash(vault, 1 ether, 1 + MANY);
        uint256 direct = (before - gasleft() - one) / MANY;
        vm.snapshotValue(GROUP, "flash loan, Balancer", through);
        vm.snapshotValue(GROUP, "flash loan, Balancer, over a bare one", through - direct);
    }

    function test_gas_of_other_lenders() public {
        string[5] memory names = ["Aave", "Aave, several", "Morpho", "pool", "ERC-3156"];
        for (uint8 kind = 2; kind <= 6; ++kind) {
            vm.prank(owner);
            registry.setLender(address(executor), address(lender), kind);
            uint256 gas = _each(Ops.loan(kind, address(lender), address(usd), 1 ether, 0, ""));
            vm.snapshotValue(GROUP, string.concat("flash loan, ", names[kind - 2]), gas);
        }
    }

    function test_gas_of_swaps() public {
        bytes memory v2 = Ops.swapV2(Ops.none(), v2Factory, address(weth), address(usd), Ops.lit(1e15), 0, "");
        bytes memory v3 = Ops.swapV3(Ops.none(), v3Factory, address(weth), address(usd), Ops.lit(1e15), 0, "");
        vm.snapshotValue(GROUP, "swap, Uniswap V2", _each(v2));
        vm.snapshotValue(GROUP, "swap, Uniswap V3", _each(v3));
    }

    function test_gas_of_allowances_and_repayments() public {
        bytes memory pull = Ops.callWithAllowance(
            address(target),
            address(usd),
            address(target),
            Ops.lit(1e15),
            abi.encodeCall(Target.pull, (address(usd), 1e15, 0))
        );
        vm.snapshotValue(GROUP, "call with allowance", _each(pull));
        bytes memory data = abi.encodeCall(DebtDesk.repay, (0, address(executor)));
        bytes memory head = abi.encodePacked(uint8(0x10), uint8(0), desk, usd, desk);
        bytes memory debt = abi.encodePacked(uint8(2), desk);
        bytes memory repay = bytes.concat(
            head, Ops.lit(1e15), debt, Ops.lit(1e15), abi.encodePacked(uint8(0), uint16(data.length)), data
        );
        vm.snapshotValue(GROUP, "repayment", _each(repay));
    }

    // ------------------------------------------------------------------------ internal

    function _call() private view returns (bytes memory) {
        return Ops.call(address(target), Ops.lit(0), abi.encodeCall(Target.note, (1, 2)));
    }

    /// @dev One more of the same operation, everything warm.
    function _each(bytes memory operation) private returns (uint256) {
        bytes memory several = operation;
        for (uint256 i = 0; i < MANY; ++i) {
            several = bytes.concat(several, operation);
        }
        // So that no balance begins or ends at zero.
        usd.mint(address(executor), 1_000 ether);
        weth.transfer(address(executor), 100 ether);
        uint256 one = _gas(Ops.stream(operation));
        return (_gas(Ops.stream(several)) - one) / MANY;
    }

    /// @dev Of `execute`, with what may leave bounded by all there is.
    function _gas(bytes memory operations) private returns (uint256) {
        uint256 state = vm.snapshotState();
        AtomicExecutor.Header memory header = _nothingHeader();
        AtomicExecutor.Bound[] memory bounds = _everything();
        vm.prank(operator);
        uint256 before = gasleft();
        executor.execute(header, bounds, "", operations);
        uint256 gas = before - gasleft();
        vm.revertToState(state);
        return gas;
    }

    function _batch(uint256 count, bytes memory operation) private returns (uint256) {
        uint256 state = vm.snapshotState();
        AtomicExecutor.Segment[] memory segments = new AtomicExecutor.Segment[](count);
        for (uint256 i = 0; i < count; ++i) {
            AtomicExecutor.Header memory header = _nothingHeader();
            segments[i] = AtomicExecutor.Segment(
                200_000, abi.encodeCall(executor.execute, (header, _everything(), "", Ops.stream(operation)))
            );
        }
        vm.prank(operator);
        uint256 before = gasleft();
        executor.executeBatch(true, segments);
        uint256 gas = before - gasleft();
        vm.revertToState(state);
        return gas;
    }

    function _everything() private view returns (AtomicExecutor.Bound[] memory bounds) {
        bounds = new AtomicExecutor.Bound[](2);
        bounds[0] = AtomicExecutor.Bound(1, address(weth), 1_000 ether);
        bounds[1] = AtomicExecutor.Bound(1, address(usd), 10_000 ether);
    }

    function _list(address to, string memory signature, uint256 words) private {
        PolicyRegistry.Rule[] memory rules = new PolicyRegistry.Rule[](words);
        for (uint256 i = 0; i < words; ++i) {
            rules[i] = PolicyRegistry.Rule(5, 0);
        }
        registry.list(address(executor), to, signature, _entry(rules, 0, true));
    }
}
