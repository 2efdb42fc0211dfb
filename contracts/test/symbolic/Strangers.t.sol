// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {Test} from "forge-std/Test.sol";

import {AccountFactory} from "../../src/AccountFactory.sol";
import {AtomicExecutor} from "../../src/AtomicExecutor.sol";
import {IPlanChecks} from "../../src/IPlanChecks.sol";
import {PolicyRegistry} from "../../src/PolicyRegistry.sol";
import {PositionAccount} from "../../src/PositionAccount.sol";
import {RiskBook} from "../../src/RiskBook.sol";
import {symbolic} from "./Symbolic.sol";

/// @dev For every external function and any arguments: who has no role changes nothing that is stored and moves no
///      coin. The one function that anyone may call, `charge`, fills the caller's own buckets and nobody else's.
contract StrangersSymbolicTest is Test {
    address private constant OWNER = address(0x1001);
    address private constant OPERATOR = address(0x1002);
    address private constant PAUSER = address(0x1003);
    address private constant GUARDIAN = address(0x1004);
    address private constant HEIR = address(0x1005);
    address private constant BINDER = address(0x1006);
    address private constant TOKEN = address(0x2001);

    PolicyRegistry private registry;
    RiskBook private book;
    AtomicExecutor private executor;
    AccountFactory private factory;

    function setUp() public {
        registry = new PolicyRegistry(OWNER);
        book = new RiskBook(OWNER);
        IPlanChecks checks = IPlanChecks(address(0x3001));
        executor = new AtomicExecutor(OWNER, registry, book, checks, TOKEN, OWNER);
        factory = new AccountFactory(OWNER, PositionAccount.Surroundings(registry, book, checks, TOKEN));
        vm.deal(address(executor), 1 ether);
        vm.startPrank(OWNER);
        executor.setRole(OPERATOR, 1, true);
        executor.setRole(PAUSER, 2, true);
        executor.setRole(GUARDIAN, 4, true);
        executor.offerOwnership(HEIR);
        registry.offerOwnership(HEIR);
        registry.setGuardian(GUARDIAN, true);
        registry.setBinder(BINDER, true);
        book.offerOwnership(HEIR);
        book.setGuardian(GUARDIAN, true);
        book.setBinder(BINDER, true);
        book.setLossLimit(address(executor), RiskBook.LossLimit(100, 100, 1));
        factory.offerOwnership(HEIR);
        vm.stopPrank();
    }

    // ------------------------------------------------------------------- strangers

    function check_a_stranger_changes_nothing_in_an_executor(address caller) public {
        vm.assume(caller != OPERATOR && caller != PAUSER && caller != address(executor));
        _triedAnything(caller, address(executor), "AtomicExecutor");
    }

    function check_a_stranger_changes_nothing_in_the_registry(address caller) public {
        vm.assume(caller != BINDER);
        _triedAnything(caller, address(registry), "PolicyRegistry");
    }

    function check_a_stranger_changes_nothing_in_the_factory(address caller) public {
        _triedAnything(caller, address(factory), "AccountFactory");
    }

    function check_a_stranger_changes_nothing_in_the_risk_book(address caller) public {
        vm.assume(caller != BINDER);
        bytes memory data = symbolic.createCalldata("RiskBook");
        vm.assume(bytes4(data) != book.charge.selector);
        _tried(caller, address(book), data);
    }

    /// @dev Whoever charges, whatever: no room of anybody else changes, and no limit.
    function check_a_charge_fills_the_callers_own_buckets(address caller, uint256 before, uint256 afterwards)
        public
    {
        vm.assume(caller != address(executor));
        uint256 room = book.lossRoom(address(executor));
        (uint256[] memory t, uint256[] memory b, uint256[] memory a) =
            (new uint256[](1), new uint256[](1), new uint256[](1));
        (t[0], b[0], a[0]) = (uint256(1) << 160 | uint160(TOKEN), before, afterwards);
        vm.prank(caller);
        (bool ok,) = address(book).call(abi.encodeCall(RiskBook.charge, (t, b, a)));
        // Nobody without a limit of its own gets a fall through.
        assert(!ok || afterwards >= before);
        assert(book.lossRoom(address(executor)) == room);
    }

    // ----------------------------------------------------------------------- stops

    /// @dev HALT is HALT: whoever calls, with whatever, unless the owner raises: nothing is stored, nothing moves.
    function check_a_halted_executor_moves_nothing(address caller) public {
        vm.prank(GUARDIAN);
        executor.halt();
        vm.assume(caller != OWNER && caller != HEIR && caller != address(executor));
        bytes memory data = symbolic.createCalldata("AtomicExecutor");
        // Vetoes remain; there is nothing to veto. A batch is segments, each an `execute`.
        vm.assume(bytes4(data) != executor.executeBatch.selector);
        uint256 stored = symbolic.snapshotStorage(address(executor));
        vm.prank(caller);
        (bool ok,) = address(executor).call(data);
        ok;
        assert(symbolic.snapshotStorage(address(executor)) == stored);
        assert(address(executor).balance == 1 ether);
    }

    /// @dev No caller but the owner ever gets the level down from where it is: a stop is lifted by the owner alone.
    function check_only_the_owner_raises(address caller) public {
        vm.prank(GUARDIAN);
        executor.reduceOnly();
        vm.assume(caller != OWNER && caller != address(executor) && caller != OPERATOR);
        bytes memory data = symbolic.createCalldata("AtomicExecutor");
        vm.prank(caller);
        (bool ok,) = address(executor).call(data);
        ok;
        assert(uint8(executor.level()) >= 1);
    }

    // -------------------------------------------------------------------- internal

    function _triedAnything(address caller, address target, string memory name) private {
        _tried(caller, target, symbolic.createCalldata(name));
    }

    function _tried(address caller, address target, bytes memory data) private {
        vm.assume(caller != OWNER && caller != GUARDIAN && caller != HEIR);
        uint256 stored = symbolic.snapshotStorage(target);
        uint256 held = target.balance;
        vm.prank(caller);
        (bool ok,) = target.call(data);
        ok;
        assert(symbolic.snapshotStorage(target) == stored);
        assert(target.balance == held);
    }
}
