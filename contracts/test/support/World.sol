// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {Test} from "forge-std/Test.sol";

import {AtomicExecutor} from "../../src/AtomicExecutor.sol";
import {Authority} from "../../src/Authority.sol";
import {
    IPolicyRegistry,
    TOKEN_PAID_OUT,
    LENDER_BALANCER_V2,
    FACTORY_UNISWAP_V2,
    FACTORY_UNISWAP_V3
} from "../../src/IPolicyRegistry.sol";
import {PlanChecks} from "../../src/PlanChecks.sol";
import {PolicyRegistry} from "../../src/PolicyRegistry.sol";
import {Tokens} from "../../src/Tokens.sol";
import {OpenRiskBook} from "./OpenRiskBook.sol";
import {Ops} from "./Ops.sol";
import {TestToken} from "./TestToken.sol";

interface IWeth {
    function deposit() external payable;
    function withdraw(uint256 amount) external;
    function transfer(address to, uint256 amount) external returns (bool);
    function balanceOf(address holder) external view returns (uint256);
}

interface IV2Factory {
    function createPair(address a, address b) external returns (address);
}

interface IV2Pair {
    function mint(address to) external returns (uint256);
    function swap(uint256 out0, uint256 out1, address to, bytes calldata data) external;
}

interface IV3Factory {
    function createPool(address a, address b, uint24 fee) external returns (address);
}

interface IV3Pool {
    function initialize(uint160 sqrtPriceX96) external;
    function mint(address to, int24 lower, int24 upper, uint128 liquidity, bytes calldata data)
        external
        returns (uint256, uint256);
    function token0() external view returns (address);
    function token1() external view returns (address);
    function flash(address to, uint256 amount0, uint256 amount1, bytes calldata data) external;
}

interface IVault {
    function flashLoan(
        address recipient,
        address[] calldata tokens,
        uint256[] calldata amounts,
        bytes calldata data
    ) external;
}

/// @dev True WETH, Uniswap V2 and V3 and Balancer V2 from their published bytecode, our executor over them, and a
///      price gap: WETH is dearer on V2 (2,100 USD) than on V3 (2,000 USD).
abstract contract World is Test {
    string private constant PACKAGES = "../devnet/node_modules/";

    address internal owner = makeAddr("owner");
    address internal operator = makeAddr("operator");
    address internal pauser = makeAddr("pauser");
    address internal guardian = makeAddr("guardian");
    address internal beneficiary = makeAddr("beneficiary");
    address internal stranger = makeAddr("stranger");

    IWeth internal weth;
    TestToken internal usd;
    address internal v2Factory;
    address internal v3Factory;
    address internal pair;
    address internal pool;
    address internal vault;
    PolicyRegistry internal registry;
    OpenRiskBook internal book;
    PlanChecks internal planChecks;
    AtomicExecutor internal executor;

    uint256 internal nextIntentId = uint256(7) << 128;

    function setUp() public virtual {
        vm.warp(1_800_000_000);
        weth = IWeth(_deploy("canonical-weth/build/contracts/WETH9.json", ""));
        usd = new TestToken("USD");
        vm.deal(address(this), 100_000 ether);
        weth.deposit{value: 50_000 ether}();
        _deployVault();
        _deployV2();
        _deployV3();
        _deployExecutor();
    }

    // ------------------------------------------------------------ the true protocols

    function _deployVault() private {
        address authorizer = _deploy(
            "@balancer-labs/v2-deployments/dist/tasks/20210418-authorizer/artifact/Authorizer.json",
            abi.encode(owner)
        );
        vault = _deploy(
            "@balancer-labs/v2-deployments/dist/tasks/20210418-vault/artifact/Vault.json",
            abi.encode(authorizer, address(weth), 90 days, 30 days)
        );
        weth.transfer(vault, 5_000 ether);
        usd.mint(vault, 5_000_000 ether);
    }

    function _deployV2() private {
        v2Factory = _deploy("@uniswap/v2-core/build/UniswapV2Factory.json", abi.encode(address(0)));
        pair = IV2Factory(v2Factory).createPair(address(weth), address(usd));
        weth.transfer(pair, 1_000 ether);
        usd.mint(pair, 2_100_000 ether);
        IV2Pair(pair).mint(address(this));
    }

    function _deployV3() private {
        v3Factory =
            _deploy("@uniswap/v3-core/artifacts/contracts/UniswapV3Factory.sol/UniswapV3Factory.json", "");
        pool = IV3Factory(v3Factory).createPool(address(weth), address(usd), 3000);
        bool wethFirst = address(weth) < address(usd);
        uint256 sqrtPrice =
            wethFirst ? 3_543_191_142_285_914_205_922_034_323_214 : 1_771_595_571_142_957_102_961_017_161;
        IV3Pool(pool).initialize(uint160(sqrtPrice));
        IV3Pool(pool).mint(address(this), -887_220, 887_220, 4.47e22, "");
    }

    function uniswapV3MintCallback(uint256 owed0, uint256 owed1, bytes calldata) external {
        (uint256 owedWeth, uint256 owedUsd) = address(weth) < address(usd) ? (owed0, owed1) : (owed1, owed0);
        weth.transfer(msg.sender, owedWeth);
        usd.mint(msg.sender, owedUsd);
    }

    // ---------------------------------------------------------------- our own contracts

    function _deployExecutor() private {
        book = new OpenRiskBook();
        _deployOurs();
        vm.startPrank(owner);
        executor.setRole(operator, executor.ROLE_OPERATOR(), true);
        executor.setRole(pauser, executor.ROLE_PAUSER(), true);
        executor.setRole(guardian, executor.ROLE_GUARDIAN(), true);
        registry.setToken(address(executor), address(weth), TOKEN_PAID_OUT, true);
        registry.setToken(address(executor), address(usd), TOKEN_PAID_OUT, true);
        registry.setLender(address(executor), vault, LENDER_BALANCER_V2);
        bytes32 v2Hash = keccak256(_code("@uniswap/v2-core/build/UniswapV2Pair.json"));
        bytes32 v3Hash =
            keccak256(_code("@uniswap/v3-core/artifacts/contracts/UniswapV3Pool.sol/UniswapV3Pool.json"));
        registry.setFactory(address(executor), v2Factory, FACTORY_UNISWAP_V2, v2Hash, 3000, false);
        registry.setFactory(address(executor), v3Factory, FACTORY_UNISWAP_V3, v3Hash, 0, false);
        PolicyRegistry.Rule[] memory any = new PolicyRegistry.Rule[](1);
        any[0] = PolicyRegistry.Rule(registry.RULE_ANY(), 0);
        registry.list(address(executor), address(weth), "withdraw(uint256)", _entry(any, 0, false));
        PolicyRegistry.Rule[] memory nothing = new PolicyRegistry.Rule[](0);
        registry.list(
            address(executor), address(weth), "deposit()", _entry(nothing, type(uint128).max, false)
        );
        vm.stopPrank();
    }

    /// @dev Compiled here the short way, or as it ships where SEAWALL_SHIPPED says so.
    function _deployOurs() internal virtual {
        if (vm.envOr("SEAWALL_SHIPPED", false)) return _deployShipped();
        registry = new PolicyRegistry(owner);
        planChecks = new PlanChecks();
        executor = new AtomicExecutor(owner, registry, book, planChecks, address(weth), beneficiary);
    }

    function _deployShipped() internal {
        registry = PolicyRegistry(_shipped("PolicyRegistry", abi.encode(owner)));
        planChecks = PlanChecks(_shipped("PlanChecks", ""));
        bytes memory arguments = abi.encode(owner, registry, book, planChecks, weth, beneficiary);
        executor = AtomicExecutor(payable(_shipped("AtomicExecutor", arguments)));
    }

    function _entry(PolicyRegistry.Rule[] memory rules, uint128 maxNative, bool reduce)
        internal
        pure
        returns (PolicyRegistry.Entry memory)
    {
        return PolicyRegistry.Entry(1, reduce, maxNative, address(0), rules);
    }

    // --------------------------------------------------------------------- plans

    function _header(uint256 minProfit) internal returns (AtomicExecutor.Header memory) {
        return AtomicExecutor.Header({
            intentId: nextIntentId++,
            planDigest: keccak256("plan"),
            deadline: block.timestamp + 60,
            maxFeeWei: 0.001 ether,
            minProfit: minProfit,
            accountingToken: address(weth),
            maxGasPriceWei: 500 gwei
        });
    }

    function _nothingHeader() internal returns (AtomicExecutor.Header memory header) {
        header = _header(0);
        header.maxFeeWei = 0;
    }

    function _noBounds() internal pure returns (AtomicExecutor.Bound[] memory) {
        return new AtomicExecutor.Bound[](0);
    }

    function _bound(uint8 kind, address token, uint256 amount)
        internal
        pure
        returns (AtomicExecutor.Bound[] memory bounds)
    {
        bounds = new AtomicExecutor.Bound[](1);
        bounds[0] = AtomicExecutor.Bound(kind, token, amount);
    }

    /// @dev WETH to USD on V2, all of that USD to WETH on V3.
    function _bothLegs(uint256 amountIn) internal view returns (bytes memory) {
        return bytes.concat(
            Ops.swapV2(
                Ops.measure(address(usd)), v2Factory, address(weth), address(usd), Ops.lit(amountIn), 0, ""
            ),
            Ops.swapV3(Ops.none(), v3Factory, address(usd), address(weth), Ops.reg(0), 0, "")
        );
    }

    function _arbitrage(uint256 amountIn) internal view returns (bytes memory) {
        return Ops.stream(Ops.flash(vault, address(weth), amountIn, 0, _bothLegs(amountIn)));
    }

    function _execute(bytes memory operations) internal {
        AtomicExecutor.Header memory header = _nothingHeader();
        vm.prank(operator);
        executor.execute(header, _noBounds(), "", operations);
    }

    function _land(bytes memory operations, AtomicExecutor.Bound[] memory bounds) internal {
        AtomicExecutor.Header memory header = _nothingHeader();
        vm.prank(operator);
        executor.execute(header, bounds, "", operations);
    }

    function _executeRefused(bytes memory operations, bytes memory reason) internal {
        AtomicExecutor.Header memory header = _nothingHeader();
        vm.expectRevert(reason);
        vm.prank(operator);
        executor.execute(header, _noBounds(), "", operations);
    }

    /// @dev For refusals whose reason is another contract's to name.
    function _executeRefused(bytes memory operations) internal {
        AtomicExecutor.Header memory header = _nothingHeader();
        vm.expectRevert();
        vm.prank(operator);
        executor.execute(header, _noBounds(), "", operations);
    }

    // ---------------------------------------------------------- what must always hold

    /// @dev Slots 0..3, all frames and all registers. Runs in the executor's own context by replacing its code
    ///      for one call; only transient storage of that address is read.
    function _transientIsEmpty() internal returns (bool) {
        bytes memory code = address(executor).code;
        vm.etch(address(executor), type(TransientReader).runtimeCode);
        bool empty = TransientReader(address(executor)).empty();
        vm.etch(address(executor), code);
        return empty;
    }

    /// @dev One of our own contracts as it ships.
    function _shipped(string memory name, bytes memory arguments) internal returns (address deployed) {
        string memory folder = "../src/seawall/protocols/executor/artifacts/";
        string memory json = vm.readFile(string.concat(folder, name, ".json"));
        bytes memory code = bytes.concat(vm.parseJsonBytes(json, ".bytecode"), arguments);
        assembly ("memory-safe") {
            deployed := create(0, add(code, 32), mload(code))
        }
        require(deployed != address(0), name);
    }

    function _code(string memory path) internal view returns (bytes memory) {
        string memory json = vm.readFile(string.concat(PACKAGES, path));
        string memory hexDigits = vm.parseJsonString(json, ".bytecode");
        bool prefixed = bytes(hexDigits)[1] == "x";
        return vm.parseBytes(prefixed ? hexDigits : string.concat("0x", hexDigits));
    }

    function _deploy(string memory path, bytes memory arguments) internal returns (address deployed) {
        bytes memory code = bytes.concat(_code(path), arguments);
        assembly ("memory-safe") {
            deployed := create(0, add(code, 32), mload(code))
        }
        require(deployed != address(0) && deployed.code.length != 0, path);
    }
}

contract TransientReader {
    function empty() external view returns (bool) {
        for (uint256 slot = 0; slot < 0x240; ++slot) {
            uint256 value;
            assembly ("memory-safe") {
                value := tload(slot)
            }
            if (value != 0) return false;
        }
        return true;
    }
}
