// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {AtomicExecutor} from "../src/AtomicExecutor.sol";
import {Authority} from "../src/Authority.sol";
import {FACTORY_UNISWAP_V2, FACTORY_UNISWAP_V3} from "../src/IPolicyRegistry.sol";
import {PolicyRegistry} from "../src/PolicyRegistry.sol";
import {TwoStepOwner} from "../src/TwoStepOwner.sol";
import {Ops} from "./support/Ops.sol";
import {Target} from "./support/Targets.sol";
import {TestToken} from "./support/TestToken.sol";
import {World} from "./support/World.sol";

contract AuthorityTest is World {
    // -------------------------------------------------------------------- levels

    function test_a_pauser_reaches_reduce_only_and_no_further() public {
        vm.startPrank(pauser);
        executor.reduceOnly();
        assertEq(uint8(executor.level()), uint8(Authority.Level.REDUCE_ONLY));
        vm.expectRevert(abi.encodeWithSelector(Authority.MissingRole.selector, pauser, 4));
        executor.halt();
        vm.expectRevert(abi.encodeWithSelector(TwoStepOwner.NotOwner.selector, pauser));
        executor.raise(Authority.Level.RUN);
    }

    function test_guardian_and_owner_halt_and_only_the_owner_raises() public {
        vm.prank(guardian);
        executor.halt();
        vm.prank(guardian);
        vm.expectRevert(abi.encodeWithSelector(TwoStepOwner.NotOwner.selector, guardian));
        executor.raise(Authority.Level.RUN);
        vm.startPrank(owner);
        executor.raise(Authority.Level.REDUCE_ONLY);
        executor.raise(Authority.Level.RUN);
        executor.halt();
        assertEq(uint8(executor.level()), uint8(Authority.Level.HALT));
    }

    function test_a_weaker_stop_never_lifts_a_stronger_one() public {
        vm.prank(owner);
        executor.halt();
        vm.prank(pauser);
        executor.reduceOnly();
        assertEq(uint8(executor.level()), uint8(Authority.Level.HALT));
        vm.prank(owner);
        vm.expectRevert(
            abi.encodeWithSelector(Authority.NotRaised.selector, Authority.Level.HALT, Authority.Level.HALT)
        );
        executor.raise(Authority.Level.HALT);
    }

    function test_strangers_and_operators_stop_nothing() public {
        vm.startPrank(operator);
        vm.expectRevert(abi.encodeWithSelector(Authority.MissingRole.selector, operator, 2));
        executor.reduceOnly();
        vm.expectRevert(abi.encodeWithSelector(Authority.MissingRole.selector, operator, 4));
        executor.halt();
    }

    function test_halted_means_halted() public {
        vm.prank(guardian);
        executor.halt();
        _executeRefused(hex"01", abi.encodeWithSelector(Authority.Halted.selector));
        _executeRefused(_arbitrage(1 ether), abi.encodeWithSelector(Authority.Halted.selector));
    }

    function test_reduce_only_refuses_swaps_and_calls_not_marked_reduce() public {
        vm.prank(pauser);
        executor.reduceOnly();
        _executeRefused(
            _arbitrage(1 ether),
            abi.encodeWithSelector(PolicyRegistry.NotReducing.selector, v2Factory, bytes4(0))
        );
        bytes memory unwrap = abi.encodeWithSignature("withdraw(uint256)", 0);
        _executeRefused(
            Ops.stream(Ops.call(address(weth), Ops.lit(0), unwrap)),
            abi.encodeWithSelector(PolicyRegistry.NotReducing.selector, weth, bytes4(unwrap))
        );
    }

    function test_reduce_only_admits_entries_marked_reduce_inside_a_loan() public {
        Target target = new Target();
        PolicyRegistry.Rule[] memory rules = new PolicyRegistry.Rule[](2);
        (rules[0], rules[1]) = (PolicyRegistry.Rule(5, 0), PolicyRegistry.Rule(5, 0));
        vm.startPrank(owner);
        registry.list(address(executor), address(target), "note(uint256,uint256)", _entry(rules, 0, true));
        vm.stopPrank();
        vm.prank(pauser);
        executor.reduceOnly();
        bytes memory repay = Ops.call(address(target), Ops.lit(0), abi.encodeCall(Target.note, (1, 2)));
        _execute(Ops.stream(Ops.flash(vault, address(weth), 1 ether, 0, repay)));
    }

    // --------------------------------------------------------------------- roles

    function test_roles_are_the_owners_to_give_and_take() public {
        vm.expectRevert(abi.encodeWithSelector(TwoStepOwner.NotOwner.selector, address(this)));
        executor.setRole(stranger, 1, true);
        vm.startPrank(owner);
        vm.expectRevert(abi.encodeWithSelector(Authority.UnknownRole.selector, 3));
        executor.setRole(stranger, 3, true);
        executor.setRole(operator, 2, true);
        executor.setRole(operator, 1, false);
        assertEq(executor.rolesOf(operator), 2);
        vm.stopPrank();
        _executeRefused(hex"01", abi.encodeWithSelector(Authority.MissingRole.selector, operator, 1));
    }

    /// @dev So that whoever compares a file with the chain finds those that the file does not know.
    function test_everyone_with_a_role_is_read_back() public {
        uint256 first = uint256(1) << 160 | uint160(operator);
        uint256 second = uint256(2) << 160 | uint160(pauser);
        uint256 third = uint256(4) << 160 | uint160(guardian);
        _holdersAre(first, second, third);
        vm.startPrank(owner);
        executor.setRole(operator, 4, true);
        executor.setRole(stranger, 2, false);
        _holdersAre(first | uint256(4) << 160, second, third);
        executor.setRole(operator, 1, false);
        executor.setRole(operator, 4, false);
        executor.setRole(stranger, 1, true);
        vm.stopPrank();
        _holdersAre(third, second, uint256(1) << 160 | uint160(stranger));
    }

    function _holdersAre(uint256 first, uint256 second, uint256 third) private view {
        uint256[] memory holders = executor.roleHolders();
        assertEq(holders.length, 3);
        assertEq(holders[0], first);
        assertEq(holders[1], second);
        assertEq(holders[2], third);
    }

    function test_ownership_changes_in_two_steps() public {
        vm.prank(owner);
        executor.offerOwnership(stranger);
        assertEq(executor.owner(), owner);
        vm.prank(operator);
        vm.expectRevert(abi.encodeWithSelector(TwoStepOwner.NotPendingOwner.selector, operator));
        executor.takeOwnership();
        vm.prank(stranger);
        executor.takeOwnership();
        assertEq(executor.owner(), stranger);
        assertEq(executor.pendingOwner(), address(0));
    }

    // -------------------------------------------------------------------- rescue

    function test_rescue_waits_and_works_while_halted() public {
        usd.mint(address(executor), 5 ether);
        vm.deal(address(executor), 1 ether);
        Authority.RescueCall[] memory calls = new Authority.RescueCall[](2);
        calls[0] = Authority.RescueCall(address(usd), 0, abi.encodeCall(TestToken.transfer, (owner, 5 ether)));
        calls[1] = Authority.RescueCall(beneficiary, 1 ether, "");
        vm.startPrank(owner);
        executor.halt();
        bytes32 id = executor.proposeRescue(calls, 0);
        vm.expectRevert(abi.encodeWithSelector(Authority.RescueAlreadyProposed.selector, id));
        executor.proposeRescue(calls, 0);
        uint256 readyAt = block.timestamp + executor.RESCUE_DELAY_S();
        vm.warp(readyAt - 1);
        vm.expectRevert(abi.encodeWithSelector(Authority.RescueTooEarly.selector, readyAt));
        executor.rescue(calls, 0);
        vm.warp(readyAt);
        executor.rescue(calls, 0);
        assertEq(usd.balanceOf(owner), 5 ether);
        assertEq(beneficiary.balance, 1 ether);
        vm.expectRevert(abi.encodeWithSelector(Authority.RescueNotProposed.selector, id));
        executor.rescue(calls, 0);
    }

    function test_a_vetoed_a_lapsed_and_a_changed_rescue_are_refused() public {
        Authority.RescueCall[] memory calls = new Authority.RescueCall[](1);
        calls[0] = Authority.RescueCall(address(usd), 0, abi.encodeCall(TestToken.transfer, (owner, 0)));
        vm.prank(owner);
        bytes32 id = executor.proposeRescue(calls, 0);
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(Authority.MissingRole.selector, stranger, 4));
        executor.vetoRescue(id);
        vm.startPrank(guardian);
        executor.vetoRescue(id);
        vm.expectRevert(abi.encodeWithSelector(Authority.RescueNotProposed.selector, id));
        executor.vetoRescue(id);
        vm.stopPrank();
        vm.startPrank(owner);
        vm.warp(block.timestamp + 3 days);
        vm.expectRevert(abi.encodeWithSelector(Authority.RescueNotProposed.selector, id));
        executor.rescue(calls, 0);

        executor.proposeRescue(calls, bytes32(uint256(1)));
        uint256 lapsesAt = block.timestamp + executor.RESCUE_DELAY_S() + executor.RESCUE_WINDOW_S();
        vm.warp(lapsesAt + 1);
        vm.expectRevert(abi.encodeWithSelector(Authority.RescueLapsed.selector, lapsesAt));
        executor.rescue(calls, bytes32(uint256(1)));

        calls[0].data = abi.encodeCall(TestToken.transfer, (owner, 1));
        bytes32 other = executor.rescueId(calls, bytes32(uint256(1)));
        vm.expectRevert(abi.encodeWithSelector(Authority.RescueNotProposed.selector, other));
        executor.rescue(calls, bytes32(uint256(1)));
    }

    function test_a_failing_rescue_says_which_call() public {
        Authority.RescueCall[] memory calls = new Authority.RescueCall[](1);
        calls[0] = Authority.RescueCall(address(new Target()), 0, abi.encodeCall(Target.refuse, (3)));
        vm.startPrank(owner);
        executor.proposeRescue(calls, 0);
        vm.warp(block.timestamp + 2 days);
        bytes memory reason = abi.encodeWithSelector(Target.Refused.selector, 3);
        vm.expectRevert(abi.encodeWithSelector(Authority.RescueCallFailed.selector, 0, reason));
        executor.rescue(calls, 0);
    }

    function test_only_the_owner_proposes_and_runs_a_rescue() public {
        Authority.RescueCall[] memory calls = new Authority.RescueCall[](0);
        vm.startPrank(guardian);
        vm.expectRevert(abi.encodeWithSelector(TwoStepOwner.NotOwner.selector, guardian));
        executor.proposeRescue(calls, 0);
        vm.expectRevert(abi.encodeWithSelector(TwoStepOwner.NotOwner.selector, guardian));
        executor.rescue(calls, 0);
    }
}
