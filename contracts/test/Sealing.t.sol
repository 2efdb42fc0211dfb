// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {PolicyRegistry} from "../src/PolicyRegistry.sol";
import {TimeLocked} from "../src/TimeLocked.sol";
import {TwoStepOwner} from "../src/TwoStepOwner.sol";
import {PolicyWorld} from "./support/PolicyWorld.sol";

/// @dev Time locks, guardians, binding and sealing, on the registry; the risk book has the very same code.
contract SealingTest is PolicyWorld {
    address private guardian = makeAddr("guardian");
    address private binder = makeAddr("binder");
    address private shared = makeAddr("shared");

    // ------------------------------------------------------------------ proposals

    function test_until_sealed_everything_acts_at_once() public {
        assertFalse(registry.isSealed(executor));
        _write(_loosening());
        _unlist("f()");
        _write(_loosening());
        _seal();
        _unlist("f()");
        _writeRefused(_loosening(), _notProposed(_loosening()));
    }

    function test_a_proposal_lapses_and_may_be_made_again() public {
        _seal();
        _propose(_loosening());
        uint256 ready = block.timestamp + registry.LOOSENING_DELAY_S();
        uint256 last = ready + registry.LOOSENING_WINDOW_S();
        vm.expectRevert(abi.encodeWithSelector(TimeLocked.AlreadyProposed.selector, keccak256(_loosening())));
        _propose(_loosening());
        vm.warp(last + 1);
        _writeRefused(_loosening(), abi.encodeWithSelector(TimeLocked.Lapsed.selector, last));
        _propose(_loosening());
        vm.warp(block.timestamp + registry.LOOSENING_DELAY_S());
        _write(_loosening());
        _unlist("f()");
        // Spent: the same call waits again.
        _writeRefused(_loosening(), _notProposed(_loosening()));
    }

    function test_a_proposal_may_be_used_up_to_its_last_second() public {
        _seal();
        _propose(_loosening());
        vm.warp(block.timestamp + registry.LOOSENING_DELAY_S() + registry.LOOSENING_WINDOW_S());
        _write(_loosening());
    }

    function test_a_proposal_is_for_one_call_word_for_word() public {
        _seal();
        _propose(_loosening());
        vm.warp(block.timestamp + registry.LOOSENING_DELAY_S());
        bytes memory longer = bytes.concat(_loosening(), hex"00");
        _writeRefused(longer, _notProposed(longer));
    }

    function test_only_the_owner_proposes_seals_and_names_others() public {
        bytes memory reason = abi.encodeWithSelector(TwoStepOwner.NotOwner.selector, address(this));
        vm.expectRevert(reason);
        registry.propose(new bytes[](0));
        vm.expectRevert(reason);
        registry.seal(executor);
        vm.expectRevert(reason);
        registry.setGuardian(guardian, true);
        vm.expectRevert(reason);
        registry.setBinder(binder, true);
    }

    function test_a_sealed_policy_cannot_be_sealed_again() public {
        _seal();
        vm.expectRevert(abi.encodeWithSelector(TimeLocked.AlreadySealed.selector, executor));
        _seal();
    }

    // ------------------------------------------------------------------ guardians

    function test_a_guardian_vetoes_until_the_call_is_made() public {
        _guard();
        _seal();
        _propose(_loosening());
        vm.warp(block.timestamp + registry.LOOSENING_DELAY_S());
        bytes32 id = keccak256(_loosening());
        vm.expectRevert(abi.encodeWithSelector(TimeLocked.NotGuardian.selector, stranger));
        vm.prank(stranger);
        registry.veto(id);
        vm.prank(guardian);
        registry.veto(id);
        _writeRefused(_loosening(), _notProposed(_loosening()));
        vm.expectRevert(abi.encodeWithSelector(TimeLocked.NotProposed.selector, id));
        vm.prank(guardian);
        registry.veto(id);
    }

    function test_the_owner_withdraws_what_it_proposed() public {
        _seal();
        _propose(_loosening());
        vm.prank(owner);
        registry.veto(keccak256(_loosening()));
        vm.warp(block.timestamp + registry.LOOSENING_DELAY_S());
        _writeRefused(_loosening(), _notProposed(_loosening()));
    }

    function test_removing_a_guardian_waits_longest_and_no_guardian_vetoes_it() public {
        _guard();
        _seal();
        bytes memory call = abi.encodeCall(TimeLocked.setGuardian, (guardian, false));
        _writeRefused(call, _notProposed(call));
        _propose(call);
        vm.expectRevert(abi.encodeWithSelector(TimeLocked.NotVetoable.selector, keccak256(call)));
        vm.prank(guardian);
        registry.veto(keccak256(call));
        uint256 ready = block.timestamp + registry.GUARDIAN_REMOVAL_DELAY_S();
        vm.warp(ready - 1);
        _writeRefused(call, abi.encodeWithSelector(TimeLocked.TooEarly.selector, ready));
        vm.prank(owner);
        registry.veto(keccak256(call));
        _propose(call);
        vm.warp(block.timestamp + registry.GUARDIAN_REMOVAL_DELAY_S());
        _write(call);
        assertFalse(registry.isGuardian(guardian));
    }

    /// @dev While nothing is sealed nothing waits, and there is nothing to veto: a mistake is mended at once.
    function test_before_anything_is_sealed_a_guardian_goes_at_once() public {
        _guard();
        _write(abi.encodeCall(TimeLocked.setGuardian, (stranger, true)));
        _write(abi.encodeCall(TimeLocked.setGuardian, (guardian, false)));
        assertEq(registry.guardians(), _one(uint160(stranger)));
        assertFalse(registry.isGuardian(guardian));
    }

    function test_guardians_and_binders_are_read_back_whole() public {
        assertEq(registry.guardians().length + registry.binders().length, 0);
        _guard();
        _guard();
        _write(abi.encodeCall(TimeLocked.setBinder, (binder, true)));
        assertEq(registry.guardians(), _one(uint160(guardian)));
        assertEq(registry.binders(), _one(uint160(binder)));
        assertTrue(registry.isBinder(binder));
        _write(abi.encodeCall(TimeLocked.setBinder, (binder, false)));
        _write(abi.encodeCall(TimeLocked.setBinder, (stranger, false)));
        assertEq(registry.binders().length, 0);
    }

    // -------------------------------------------------------------------- binding

    function test_the_owner_binds_at_once_before_sealing_and_late_after() public {
        vm.prank(owner);
        registry.bind(executor, shared);
        assertEq(registry.policyOf(executor), shared);
        _sealOf(shared);
        _seal();
        _loosens(abi.encodeCall(TimeLocked.bind, (executor, address(0))));
        assertEq(registry.policyOf(executor), executor);
    }

    /// @dev A thief of the owner's key finds an executor that nobody sealed, under a policy that is: it writes what it
    ///      likes into policies that are not, and would have the executor obey one of them.
    function test_nobody_leaves_a_sealed_policy_by_binding_at_once() public {
        _write(abi.encodeCall(TimeLocked.bind, (executor, shared)));
        _sealOf(shared);
        address loose = makeAddr("loose");
        _write(_loosening());
        _write(abi.encodeCall(PolicyRegistry.list, (loose, address(target), "f()", _entry(_rules(0, 5, 0)))));
        address[2] memory ways = [address(0), loose];
        for (uint256 i = 0; i < ways.length; ++i) {
            bytes memory call = abi.encodeCall(TimeLocked.bind, (executor, ways[i]));
            address to = ways[i] == address(0) ? executor : ways[i];
            bytes memory reason = abi.encodeWithSelector(TimeLocked.NotSealed.selector, to);
            _writeRefused(call, reason);
            // Nor late: what is unsealed when the wait is over could be written anew at once.
            _propose(call);
            vm.warp(block.timestamp + registry.LOOSENING_DELAY_S());
            _writeRefused(call, reason);
            assertFalse(_admitted(abi.encodeWithSignature("f()"), 0));
            _write(abi.encodeCall(TimeLocked.veto, (keccak256(call))));
        }
        // Sealed, what is written there is in view for as long as the binding waits.
        _sealOf(loose);
        _loosens(abi.encodeCall(TimeLocked.bind, (executor, loose)));
        assertTrue(_admitted(abi.encodeWithSignature("f()"), 0));
    }

    /// @dev Announced while it is empty, written and sealed in the last second: guardians would have seen nothing.
    function test_what_an_executor_is_bound_to_was_sealed_as_long_as_the_wait() public {
        _seal();
        bytes memory call = abi.encodeCall(TimeLocked.bind, (executor, shared));
        _propose(call);
        vm.warp(block.timestamp + registry.LOOSENING_DELAY_S());
        _write(abi.encodeCall(PolicyRegistry.list, (shared, address(target), "f()", _entry(_rules(0, 5, 0)))));
        _sealOf(shared);
        uint256 seen = block.timestamp + registry.LOOSENING_DELAY_S();
        _writeRefused(call, abi.encodeWithSelector(TimeLocked.TooEarly.selector, seen));
        vm.warp(seen - 1);
        _writeRefused(call, abi.encodeWithSelector(TimeLocked.TooEarly.selector, seen));
        assertFalse(_admitted(abi.encodeWithSignature("f()"), 0));
        vm.warp(seen);
        _write(call);
        assertTrue(_admitted(abi.encodeWithSignature("f()"), 0));
    }

    function test_a_sealed_executor_is_bound_to_what_is_sealed_alone() public {
        _seal();
        bytes memory call = abi.encodeCall(TimeLocked.bind, (executor, shared));
        bytes memory reason = abi.encodeWithSelector(TimeLocked.NotSealed.selector, shared);
        _writeRefused(call, reason);
        _sealOf(shared);
        _loosens(call);
        assertEq(registry.policyOf(executor), shared);
    }

    function test_what_is_bound_is_sealed_after_what_it_is_bound_to() public {
        _write(abi.encodeCall(TimeLocked.bind, (executor, shared)));
        vm.expectRevert(abi.encodeWithSelector(TimeLocked.NotSealed.selector, shared));
        _seal();
        _sealOf(shared);
        _seal();
        assertTrue(registry.isSealed(executor));
    }

    function test_bound_executors_are_under_the_shared_policy_alone() public {
        _write(abi.encodeCall(TimeLocked.bind, (executor, shared)));
        _write(abi.encodeCall(PolicyRegistry.list, (shared, address(target), "f()", _entry(_rules(0, 5, 0)))));
        assertTrue(_admitted(abi.encodeWithSignature("f()"), 0));
        _write(_loosening());
        _write(abi.encodeCall(PolicyRegistry.unlist, (shared, address(target), bytes4(keccak256("f()")))));
        assertFalse(_admitted(abi.encodeWithSignature("f()"), 0));
    }

    function test_a_binder_binds_what_is_fresh_to_what_is_sealed() public {
        _write(abi.encodeCall(TimeLocked.setBinder, (binder, true)));
        vm.startPrank(binder);
        vm.expectRevert(abi.encodeWithSelector(TimeLocked.NotSealed.selector, shared));
        registry.bind(executor, shared);
        vm.stopPrank();
        vm.prank(owner);
        registry.seal(shared);
        vm.prank(binder);
        registry.bind(executor, shared);
        assertTrue(registry.isSealed(executor));
        assertEq(registry.policyOf(executor), shared);
        vm.expectRevert(abi.encodeWithSelector(TimeLocked.NotFresh.selector, executor));
        vm.prank(binder);
        registry.bind(executor, shared);
    }

    function test_a_binder_touches_nothing_that_is_bound_sealed_or_written() public {
        _write(abi.encodeCall(TimeLocked.setBinder, (binder, true)));
        vm.prank(owner);
        registry.seal(shared);
        address[3] memory taken = [executor, makeAddr("bound"), makeAddr("sealed")];
        _write(_loosening());
        _write(abi.encodeCall(TimeLocked.bind, (taken[1], shared)));
        _write(abi.encodeCall(TimeLocked.seal, (taken[2])));
        for (uint256 i = 0; i < taken.length; ++i) {
            vm.expectRevert(abi.encodeWithSelector(TimeLocked.NotFresh.selector, taken[i]));
            vm.prank(binder);
            registry.bind(taken[i], shared);
        }
    }

    function test_binders_come_late_once_anything_is_sealed_and_go_at_once() public {
        _write(abi.encodeCall(TimeLocked.setBinder, (binder, true)));
        _write(abi.encodeCall(TimeLocked.setBinder, (binder, false)));
        vm.expectRevert(abi.encodeWithSelector(TimeLocked.NotBinder.selector, binder));
        vm.prank(binder);
        registry.bind(executor, shared);
        _seal();
        _loosens(abi.encodeCall(TimeLocked.setBinder, (binder, true)));
        _write(abi.encodeCall(TimeLocked.setBinder, (binder, false)));
    }

    // ------------------------------------------------------------------- internal

    function _loosening() private view returns (bytes memory) {
        return
            abi.encodeCall(PolicyRegistry.list, (executor, address(target), "f()", _entry(_rules(0, 5, 0))));
    }

    function _notProposed(bytes memory call) private pure returns (bytes memory) {
        return abi.encodeWithSelector(TimeLocked.NotProposed.selector, keccak256(call));
    }

    function _sealOf(address policy) private {
        vm.prank(owner);
        registry.seal(policy);
    }

    function _guard() private {
        vm.prank(owner);
        registry.setGuardian(guardian, true);
    }
}
