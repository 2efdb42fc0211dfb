// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {Test} from "forge-std/Test.sol";

import {TimeLocked} from "../../src/TimeLocked.sol";
import {TwoStepOwner} from "../../src/TwoStepOwner.sol";

/// @dev The bare time lock; registry and risk book have the very same code.
contract Lock is TimeLocked {
    constructor(address owner_) TwoStepOwner(owner_) {}

    function loosen(address policy) external onlyOwner {
        _loosen(policy);
    }
}

/// @dev What the owner does, or a thief of its key, at once or after every wait: no binding and no seal leads out from
///      under what is sealed.
contract SealingSymbolicTest is Test {
    address private constant OWNER = address(0x1001);
    address private constant BINDER = address(0x1002);
    address private constant SEALED = address(0x2001);
    address private constant BOUND = address(0x2002);
    address private constant OTHER_SEALED = address(0x2003);

    Lock private lock;

    function setUp() public {
        lock = new Lock(OWNER);
        vm.startPrank(OWNER);
        lock.setBinder(BINDER, true);
        lock.bind(BOUND, SEALED);
        lock.seal(SEALED);
        lock.seal(OTHER_SEALED);
        vm.stopPrank();
    }

    function check_no_binding_leads_out_from_under_what_is_sealed(
        address executor,
        address policy,
        bool announced
    ) public {
        bytes memory call = abi.encodeCall(TimeLocked.bind, (executor, policy));
        if (announced) _announce(call);
        vm.prank(OWNER);
        (bool ok,) = address(lock).call(call);
        ok;
        assert(lock.isSealed(lock.policyOf(BOUND)));
        assert(lock.isSealed(lock.policyOf(OTHER_SEALED)));
        // At once it stays where it was.
        assert(announced || lock.policyOf(BOUND) == SEALED);
    }

    /// @dev Whatever is sealed while a binding waits: until it was in view as long as that, nobody is under it.
    function check_nobody_is_put_under_what_was_sealed_a_moment_ago(address policy, uint32 later) public {
        vm.assume(later < 2 days);
        bytes memory call = abi.encodeCall(TimeLocked.bind, (BOUND, policy));
        _announce(call);
        vm.startPrank(OWNER);
        (bool fresh,) = address(lock).call(abi.encodeCall(TimeLocked.seal, (policy)));
        vm.warp(block.timestamp + later);
        (bool ok,) = address(lock).call(call);
        vm.stopPrank();
        assert(!(fresh && ok));
    }

    /// @dev Sealing something bound to what is not sealed would seal nothing.
    function check_what_is_sealed_obeys_what_is_sealed(address executor, address policy) public {
        vm.startPrank(OWNER);
        (bool bound,) = address(lock).call(abi.encodeCall(TimeLocked.bind, (executor, policy)));
        bound;
        (bool ok,) = address(lock).call(abi.encodeCall(TimeLocked.seal, (executor)));
        vm.stopPrank();
        assert(!ok || lock.isSealed(lock.policyOf(executor)));
    }

    function check_a_binder_binds_to_what_is_sealed_alone(address executor, address policy) public {
        vm.prank(BINDER);
        (bool ok,) = address(lock).call(abi.encodeCall(TimeLocked.bind, (executor, policy)));
        if (ok) assert(lock.isSealed(executor) && lock.isSealed(lock.policyOf(executor)));
        assert(lock.policyOf(BOUND) == SEALED);
    }

    function _announce(bytes memory call) private {
        bytes[] memory calls = new bytes[](1);
        calls[0] = call;
        vm.prank(OWNER);
        lock.propose(calls);
        vm.warp(block.timestamp + lock.LOOSENING_DELAY_S());
    }
}
