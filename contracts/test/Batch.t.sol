// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {Vm} from "forge-std/Vm.sol";

import {AtomicExecutor} from "../src/AtomicExecutor.sol";
import {Authority} from "../src/Authority.sol";
import {Ops} from "./support/Ops.sol";
import {ITransferHook} from "./support/TestToken.sol";
import {World} from "./support/World.sol";

/// @dev Takes all the gas it is given, or comes back in for more.
contract GasEater is ITransferHook {
    address public target;
    bytes public data;
    bool public succeeded;
    bytes public answer;

    function aim(address target_, bytes calldata data_) external {
        target = target_;
        data = data_;
    }

    function onTransfer(address, address, uint256) external {
        if (target == address(0)) {
            assembly {
                invalid()
            }
        }
        if (answer.length == 0) (succeeded, answer) = target.call(data);
    }
}

/// @dev Several plans in one call, each whole in itself.
contract BatchTest is World {
    uint256 private constant MIN_GAS = 600_000;

    struct End {
        uint256 intentId;
        bool landed;
        uint256 gasUsed;
        bytes reason;
    }

    // ---------------------------------------------------------------------- landing

    function test_all_segments_land_with_an_event_each() public {
        for (uint256 atomic = 0; atomic < 2; ++atomic) {
            uint256 state = vm.snapshotState();
            AtomicExecutor.Segment[] memory segments = _segments(3);
            uint256 firstId = nextIntentId - 3;
            End[] memory ends = _batch(atomic == 1, segments);
            assertEq(ends.length, 3);
            for (uint256 i = 0; i < 3; ++i) {
                assertTrue(executor.isExecuted(firstId + i));
                _assertEnd(ends[i], firstId + i, true, "");
                assertGt(ends[i].gasUsed, 100_000);
                assertLt(ends[i].gasUsed, MIN_GAS);
            }
            assertTrue(_transientIsEmpty());
            vm.revertToState(state);
        }
    }

    function test_a_failed_segment_is_undone_alone_and_its_reason_told() public {
        AtomicExecutor.Segment[] memory segments = _segments(3);
        uint256 firstId = nextIntentId - 3;
        segments[1] = segments[0];
        uint256 before = weth.balanceOf(beneficiary);
        End[] memory ends = _batch(false, segments);
        _assertEnd(ends[0], firstId, true, "");
        bytes memory reason = abi.encodeWithSelector(AtomicExecutor.AlreadyExecuted.selector, firstId);
        _assertEnd(ends[1], firstId, false, reason);
        _assertEnd(ends[2], firstId + 2, true, "");
        assertGt(weth.balanceOf(beneficiary), before);
        assertFalse(executor.isExecuted(firstId + 1));
    }

    function test_an_atomic_batch_lands_whole_or_not_at_all() public {
        AtomicExecutor.Segment[] memory segments = _segments(3);
        segments[2] = segments[0];
        bytes memory reason =
            abi.encodeWithSelector(AtomicExecutor.AlreadyExecuted.selector, nextIntentId - 3);
        vm.prank(operator);
        vm.expectRevert(abi.encodeWithSelector(AtomicExecutor.SegmentFailed.selector, 2, reason));
        executor.executeBatch(true, segments);
        assertFalse(executor.isExecuted(nextIntentId - 3));
    }

    function test_profit_and_bounds_of_each_segment_are_its_own() public {
        // The second asks for more than it earns: what the first earned does not help it.
        AtomicExecutor.Segment[] memory segments = new AtomicExecutor.Segment[](2);
        segments[0] = _segment(_header(0.01 ether), _arbitrage(5 ether));
        segments[1] = _segment(_header(0.01 ether), hex"01");
        vm.prank(operator);
        executor.executeBatch(false, segments);
        assertTrue(executor.isExecuted(nextIntentId - 2));
        assertFalse(executor.isExecuted(nextIntentId - 1));
    }

    function test_long_reasons_are_cut() public {
        AtomicExecutor.Header memory header = _nothingHeader();
        AtomicExecutor.Segment[] memory segments = new AtomicExecutor.Segment[](1);
        segments[0] = _segment(header, hex"01");
        vm.mockCallRevert(
            address(registry), abi.encodeWithSignature("trackedTokens(address)"), new bytes(2_000)
        );
        _assertEnd(_batch(false, segments)[0], header.intentId, false, new bytes(512));
    }

    // -------------------------------------------------------------------------- gas

    function test_a_segment_that_eats_its_gas_leaves_the_next_its_own() public {
        GasEater eater = new GasEater();
        AtomicExecutor.Segment[] memory segments = _segments(2);
        // The first trades the token that eats; the second is a loan of WETH alone.
        segments[1] = _segment(_nothingHeader(), Ops.stream(Ops.flash(vault, address(weth), 1 ether, 0, "")));
        usd.setHook(eater);
        vm.prank(operator);
        executor.executeBatch{gas: 2_000_000}(false, segments);
        assertFalse(executor.isExecuted(nextIntentId - 3));
        assertTrue(executor.isExecuted(nextIntentId - 1));
    }

    function test_too_little_gas_for_all_of_them_starts_none() public {
        AtomicExecutor.Segment[] memory segments = _segments(2);
        vm.prank(operator);
        vm.expectPartialRevert(AtomicExecutor.GasBelowMinimum.selector);
        executor.executeBatch{gas: 1_200_000}(false, segments);
    }

    function testFuzz_every_segment_gets_its_minimum(uint256 gas, uint8 count) public {
        count = uint8(bound(count, 1, 5));
        AtomicExecutor.Segment[] memory segments = _segments(count);
        gas = bound(gas, 300_000, 5_000_000);
        vm.prank(operator);
        (bool ok,) =
            address(executor).call{gas: gas}(abi.encodeCall(executor.executeBatch, (false, segments)));
        for (uint256 i = 1; i <= count; ++i) {
            assertEq(executor.isExecuted(nextIntentId - i), ok, "none was short of gas, or none began");
        }
    }

    // --------------------------------------------------------------------- refusals

    function test_only_an_operator_batches_and_only_so_many() public {
        AtomicExecutor.Segment[] memory segments = new AtomicExecutor.Segment[](65);
        vm.prank(owner);
        vm.expectRevert(abi.encodeWithSelector(Authority.MissingRole.selector, owner, 1));
        executor.executeBatch(false, segments);
        vm.prank(operator);
        vm.expectRevert(abi.encodeWithSelector(AtomicExecutor.TooManySegments.selector, 65));
        executor.executeBatch(false, segments);
    }

    function test_segments_are_executions_and_nothing_else() public {
        AtomicExecutor.Segment[] memory segments = _segments(2);
        vm.startPrank(operator);
        segments[1].execution = abi.encodeCall(executor.setBeneficiary, (stranger));
        vm.expectRevert(abi.encodeWithSelector(AtomicExecutor.NotAnExecution.selector, 1));
        executor.executeBatch(false, segments);
        segments[1].execution = abi.encodePacked(executor.execute.selector, bytes32(0));
        vm.expectRevert(abi.encodeWithSelector(AtomicExecutor.NotAnExecution.selector, 1));
        executor.executeBatch(false, segments);
        segments[1].execution = "";
        vm.expectRevert(abi.encodeWithSelector(AtomicExecutor.NotAnExecution.selector, 1));
        executor.executeBatch(false, segments);
    }

    function test_a_batch_cannot_begin_inside_a_plan() public {
        GasEater intruder = new GasEater();
        AtomicExecutor.Segment[] memory segments = new AtomicExecutor.Segment[](0);
        intruder.aim(address(executor), abi.encodeCall(executor.executeBatch, (false, segments)));
        vm.startPrank(owner);
        executor.setRole(address(intruder), executor.ROLE_OPERATOR(), true);
        vm.stopPrank();
        usd.setHook(intruder);
        _execute(_arbitrage(1 ether));
        assertFalse(intruder.succeeded());
        assertEq(intruder.answer(), abi.encodeWithSelector(Authority.BusyExecuting.selector));
    }

    function test_halted_means_halted_for_each_segment() public {
        vm.prank(guardian);
        executor.halt();
        AtomicExecutor.Segment[] memory segments = _segments(1);
        bytes memory reason = abi.encodeWithSelector(Authority.Halted.selector);
        _assertEnd(_batch(false, segments)[0], nextIntentId - 1, false, reason);
    }

    // --------------------------------------------------------------------- internal

    function _batch(bool atomic, AtomicExecutor.Segment[] memory segments)
        private
        returns (End[] memory ends)
    {
        vm.recordLogs();
        vm.prank(operator);
        executor.executeBatch(atomic, segments);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        ends = new End[](segments.length);
        uint256 count = 0;
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].topics[0] != AtomicExecutor.SegmentEnded.selector) continue;
            assertEq(logs[i].topics[2], keccak256("plan"));
            (bool landed, uint256 gasUsed, bytes memory reason) =
                abi.decode(logs[i].data, (bool, uint256, bytes));
            ends[count++] = End(uint256(logs[i].topics[1]), landed, gasUsed, reason);
        }
        assertEq(count, segments.length);
    }

    function _assertEnd(End memory end, uint256 intentId, bool landed, bytes memory reason) private pure {
        assertEq(end.intentId, intentId);
        assertEq(end.landed, landed);
        assertEq(end.reason, reason);
    }

    function _segments(uint256 count) private returns (AtomicExecutor.Segment[] memory segments) {
        segments = new AtomicExecutor.Segment[](count);
        for (uint256 i = 0; i < count; ++i) {
            segments[i] = _segment(_header(0.001 ether), _arbitrage(2 ether));
        }
    }

    function _segment(AtomicExecutor.Header memory header, bytes memory operations)
        private
        view
        returns (AtomicExecutor.Segment memory)
    {
        return AtomicExecutor.Segment(
            MIN_GAS, abi.encodeCall(executor.execute, (header, _noBounds(), "", operations))
        );
    }
}
