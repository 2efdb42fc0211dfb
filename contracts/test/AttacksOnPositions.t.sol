// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {AtomicExecutor} from "../src/AtomicExecutor.sol";
import {Authority} from "../src/Authority.sol";
import {TOKEN_DEBT} from "../src/IPolicyRegistry.sol";
import {PlanChecks} from "../src/PlanChecks.sol";
import {PolicyRegistry} from "../src/PolicyRegistry.sol";
import {PositionAccount} from "../src/PositionAccount.sol";
import {TwoStepOwner} from "../src/TwoStepOwner.sol";
import {Fence, Trojan} from "./support/Heist.sol";
import {OpenRiskBook} from "./support/OpenRiskBook.sol";
import {Ops} from "./support/Ops.sol";
import {World} from "./support/World.sol";

/// @dev What an executor that owes can be robbed of without any token leaving it in a single execution: health, and
///      a profit that is borrowed. The risk book here says what health the plan leaves.
contract AttacksOnPositionsTest is World {
    uint64 private constant FLOOR = 1.05e18;

    Fence internal fence;

    function setUp() public override {
        super.setUp();
        fence = new Fence(usd);
        vm.startPrank(owner);
        executor.setHealthFloor(FLOOR);
        PolicyRegistry.Rule[] memory rules = new PolicyRegistry.Rule[](2);
        rules[0] = PolicyRegistry.Rule(6, 2);
        rules[1] = PolicyRegistry.Rule(5, 0);
        PolicyRegistry.Entry memory entry = PolicyRegistry.Entry(2, true, 0, address(0), rules);
        registry.list(address(executor), address(book), "setHealth(uint256[])", entry);
        registry.setToken(address(executor), address(fence.debt()), TOKEN_DEBT, false);
        rules = new PolicyRegistry.Rule[](1);
        rules[0] = PolicyRegistry.Rule(5, 0);
        registry.list(address(executor), address(fence), "borrow(uint256)", _entry(rules, 0, false));
        vm.stopPrank();
    }

    // ---------------------------------------------------- the edge of liquidation

    /// @dev A thief who may borrow and withdraw within all caps drives the account to the edge, and liquidates it
    ///      from outside a block later: a loss that no execution made.
    function test_a_plan_cannot_bring_an_account_to_the_edge_of_liquidation() public {
        _healthNow(2e18);
        _refused(2e18, FLOOR - 1);
        _healthTo(FLOOR);
        // Without a floor the same plan lands.
        vm.prank(owner);
        executor.setHealthFloor(0);
        _healthTo(1e18 + 1);
    }

    function test_below_the_floor_a_plan_may_improve_but_not_worsen() public {
        _healthNow(1.01e18);
        _healthTo(1.02e18);
        _refused(1.02e18, 1.019e18);
        _healthTo(1.02e18);
    }

    function test_in_reduce_only_there_is_no_room_above_the_floor_either() public {
        _healthNow(2e18);
        vm.prank(pauser);
        executor.reduceOnly();
        _refused(2e18, 2e18 - 1);
        _healthTo(2e18 + 1);
    }

    function test_the_operator_does_not_set_the_floor_and_accounts_begin_with_one() public {
        vm.expectRevert(abi.encodeWithSelector(TwoStepOwner.NotOwner.selector, operator));
        vm.prank(operator);
        executor.setHealthFloor(0);
        PositionAccount account = new PositionAccount(
            PositionAccount.Surroundings(registry, book, planChecks, address(weth)),
            PositionAccount.People(owner, beneficiary, operator, guardian, pauser)
        );
        assertEq(account.healthFloor(), FLOOR);
        vm.expectEmit();
        emit Authority.HealthFloorChanged(7);
        vm.prank(owner);
        executor.setHealthFloor(7);
        assertEq(executor.healthFloor(), 7);
    }

    // --------------------------------------------------------------- in the middle

    /// @dev A token's hook that is the owner: none of the owner's hands moves while a plan runs, all do afterwards.
    function test_none_of_the_owners_hands_moves_in_the_middle() public {
        Trojan trojan = new Trojan();
        vm.prank(owner);
        executor.offerOwnership(address(trojan));
        vm.prank(address(trojan));
        executor.takeOwnership();
        bytes[] memory attempts = new bytes[](5);
        attempts[0] = abi.encodeCall(executor.setRole, (address(trojan), 1, true));
        attempts[1] = abi.encodeCall(executor.setBeneficiary, (stranger));
        attempts[2] = abi.encodeCall(executor.setHealthFloor, (0));
        attempts[3] = abi.encodeCall(executor.raise, (Authority.Level.RUN));
        attempts[4] = abi.encodeCall(executor.rescue, (new Authority.RescueCall[](0), bytes32(0)));
        trojan.arm(address(executor), attempts);
        usd.setHook(trojan);
        book.setHealth(new uint256[](0));
        _execute(_arbitrage(1 ether));
        assertEq(trojan.letIn(), 0);
        trojan.onTransfer(address(0), address(0), 0);
        // Nothing is lowered that could be raised, and no rescue was proposed.
        assertEq(trojan.letIn(), 3);
    }

    function test_an_account_needs_all_that_it_asks() public {
        for (uint256 i = 0; i < 4; ++i) {
            address[4] memory p = [address(registry), address(book), address(planChecks), address(weth)];
            p[i] = address(0);
            vm.expectRevert(TwoStepOwner.ZeroAddress.selector);
            new PositionAccount(
                PositionAccount.Surroundings(
                    PolicyRegistry(p[0]), OpenRiskBook(p[1]), PlanChecks(p[2]), p[3]
                ),
                PositionAccount.People(owner, beneficiary, operator, guardian, pauser)
            );
        }
    }

    // ------------------------------------------------------------ profit that is owed

    function test_borrowing_is_no_profit() public {
        AtomicExecutor.Header memory header = _header(1 ether);
        bytes memory borrow =
            Ops.call(address(fence), Ops.none(), abi.encodeCall(Fence.borrow, (10_000 ether)));
        bytes memory swap =
            Ops.swapV3(Ops.none(), v3Factory, address(usd), address(weth), Ops.lit(10_000 ether), 0, "");
        bytes memory reason = abi.encodeWithSelector(
            AtomicExecutor.DebtIncreaseAboveBound.selector, address(fence.debt()), 10_000 ether, 0
        );
        bytes memory operations = Ops.stream(bytes.concat(borrow, swap));
        vm.expectRevert(reason);
        vm.prank(operator);
        executor.execute(header, _noBounds(), "", operations);
        // Where a thief's plan lists the debt, the risk book is asked, and has the last word.
        book.setFull(true);
        AtomicExecutor.Bound[] memory bounds = _bound(3, address(fence.debt()), type(uint256).max);
        vm.expectRevert(OpenRiskBook.Full.selector);
        vm.prank(operator);
        executor.execute(header, bounds, "", operations);
    }

    // -------------------------------------------------------------------- internal

    function _healthNow(uint256 health) private {
        book.setHealth(_one(health));
    }

    function _healthTo(uint256 health) private {
        _execute(_plan(health));
    }

    function _refused(uint256 before, uint256 health) private {
        bytes memory reason =
            abi.encodeWithSelector(AtomicExecutor.HealthFactorFell.selector, 0, before, health);
        _executeRefused(_plan(health), reason);
    }

    function _plan(uint256 health) private view returns (bytes memory) {
        bytes memory data = abi.encodeCall(OpenRiskBook.setHealth, (_one(health)));
        return Ops.stream(Ops.call(address(book), Ops.none(), data));
    }

    function _one(uint256 value) private pure returns (uint256[] memory values) {
        values = new uint256[](1);
        values[0] = value;
    }
}
