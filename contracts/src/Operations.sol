// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {IComet, IMorpho} from "./Lenders.sol";
import {Loans} from "./Loans.sol";
import {Running} from "./Running.sol";
import {Scratch} from "./Scratch.sol";
import {StreamLib} from "./Stream.sol";
import {Swaps} from "./Swaps.sol";
import {Tokens} from "./Tokens.sol";

/// @title The operations of a plan, one after the other: calls, repayments, and what Loans and Swaps add.
/// @dev Layout: see README.md beside this folder, and `encoding.py`.
abstract contract Operations is Loans, Swaps {
    using StreamLib for StreamLib.Stream;

    // ---------------------------------------------------------------- types

    struct CallFrame {
        address target;
        uint256 value;
        address token;
        address spender;
        uint256 allowance;
    }

    /// @param kind DEBT_*
    /// @param source who tells what we owe
    /// @param market Morpho's id of it, else zero
    struct Debt {
        uint256 kind;
        address source;
        bytes32 market;
    }

    // ------------------------------------------------------------ constants

    uint8 internal constant STREAM_VERSION = 1;

    uint8 internal constant OP_CALL = 0x01;
    uint8 internal constant OP_CALL_WITH_ALLOWANCE = 0x02;
    uint8 internal constant OP_FLASH = 0x03;
    uint8 internal constant OP_SWAP_V2 = 0x04;
    uint8 internal constant OP_SWAP_V3 = 0x05;
    uint8 internal constant OP_SWAP_QUOTED = 0x06;
    uint8 internal constant OP_REPAY_DEBT = 0x10;

    uint256 private constant DEBT_TOKEN = 1;
    uint256 private constant DEBT_COMET = 2;
    uint256 private constant DEBT_MORPHO_SHARES = 3;

    // --------------------------------------------------------------- errors

    error UnsupportedStream(uint256 version);
    error UnknownOperation(uint256 kind);
    error UnknownDebtKind(uint256 kind);
    error OperationFailed(address target, bytes4 selector, bytes reason);
    error SpliceOutOfRange(uint256 word, uint256 length);
    error MeasuredDecrease(address token, uint256 before, uint256 afterwards);
    error NothingToRepay(address source);
    error DebtNotReduced(address source, uint256 before, uint256 afterwards);

    // --------------------------------------------------------------- events

    /// @notice Native coin leaves no log of its own. Positive: came from `counterparty`; negative: went to it.
    event NativeMoved(address indexed counterparty, int256 amount);

    // ------------------------------------------------------------ the stream

    function _runAll(bytes calldata operations) internal {
        StreamLib.Stream memory stream = StreamLib.open(operations);
        uint256 version = stream.number(1);
        if (version != STREAM_VERSION) revert UnsupportedStream(version);
        _run(stream);
    }

    function _run(StreamLib.Stream memory stream) internal override {
        while (stream.more()) {
            uint256 kind = stream.number(1);
            uint256 count = stream.number(1);
            bytes calldata measured = stream.slice(20 * count);
            uint256[] memory before;
            if (count != 0) before = _startMeasuring(measured, count);
            if (kind == OP_CALL) _call(stream, false);
            else if (kind == OP_CALL_WITH_ALLOWANCE) _call(stream, true);
            else if (kind == OP_SWAP_V3) _swapV3(stream);
            else if (kind == OP_SWAP_V2) _swapV2(stream);
            else if (kind == OP_FLASH) _flash(stream);
            else if (kind == OP_SWAP_QUOTED) _swapQuoted(stream);
            else if (kind == OP_REPAY_DEBT) _repayDebt(stream);
            else revert UnknownOperation(kind);
            if (count != 0) _endMeasuring(measured, before);
        }
    }

    function _startMeasuring(bytes calldata measured, uint256 count)
        private
        view
        returns (uint256[] memory before)
    {
        before = new uint256[](count);
        for (uint256 i = 0; i < count; ++i) {
            before[i] = Tokens.balanceOf(address(bytes20(measured[20 * i:])), address(this));
        }
    }

    function _endMeasuring(bytes calldata measured, uint256[] memory before) private {
        for (uint256 i = 0; i < before.length; ++i) {
            address token = address(bytes20(measured[20 * i:]));
            uint256 afterwards = Tokens.balanceOf(token, address(this));
            if (afterwards < before[i]) revert MeasuredDecrease(token, before[i], afterwards);
            Scratch.record(afterwards - before[i]);
        }
    }

    // ----------------------------------------------------------------- calls

    function _call(StreamLib.Stream memory stream, bool withAllowance) private {
        CallFrame memory frame;
        frame.target = stream.account();
        frame.value = stream.amount();
        if (withAllowance) {
            frame.token = stream.account();
            frame.spender = stream.account();
            frame.allowance = stream.amount();
        }
        bytes memory data = stream.slice(stream.number(2));
        uint256 spliced = _splice(stream, data);
        registry.checkCall(frame.target, frame.value, data, spliced, Scratch.reducing());
        if (withAllowance) _invokeAllowed(frame, data);
        else _invoke(frame.target, frame.value, data);
    }

    /// @notice Repays the least of: what the plan says, what is owed, what is here. The debt must shrink.
    /// @dev Morpho counts debts in shares: there the word is shares, and the allowance alone bounds the tokens.
    function _repayDebt(StreamLib.Stream memory stream) private {
        CallFrame memory frame;
        frame.target = stream.account();
        frame.token = stream.account();
        frame.spender = stream.account();
        frame.allowance = stream.amount();
        Debt memory debt;
        debt.kind = stream.number(1);
        debt.source = stream.account();
        if (debt.kind == DEBT_MORPHO_SHARES) debt.market = bytes32(stream.number(32));
        uint256 owed = _owedTo(debt);
        uint256 amount = _least(stream.amount(), owed);
        if (debt.kind != DEBT_MORPHO_SHARES) {
            amount = _least(amount, Tokens.balanceOf(frame.token, address(this)));
            frame.allowance = _least(frame.allowance, amount);
        }
        if (amount == 0) revert NothingToRepay(debt.source);

        uint256 word = stream.number(1);
        bytes memory data = stream.slice(stream.number(2));
        _write(data, word, amount);
        registry.checkCall(frame.target, 0, data, 1 << word, Scratch.reducing());
        _invokeAllowed(frame, data);
        uint256 left = _owedTo(debt);
        if (left >= owed) revert DebtNotReduced(debt.source, owed, left);
    }

    function _owedTo(Debt memory debt) private view returns (uint256 owed) {
        if (debt.kind == DEBT_TOKEN) return Tokens.balanceOf(debt.source, address(this));
        if (debt.kind == DEBT_COMET) return IComet(debt.source).borrowBalanceOf(address(this));
        if (debt.kind != DEBT_MORPHO_SHARES) revert UnknownDebtKind(debt.kind);
        (, owed,) = IMorpho(debt.source).position(debt.market, address(this));
    }

    /// @return words bit i is set if head word i was written
    function _splice(StreamLib.Stream memory stream, bytes memory data) private view returns (uint256 words) {
        uint256 count = stream.number(1);
        for (uint256 i = 0; i < count; ++i) {
            uint256 word = stream.number(1);
            _write(data, word, Scratch.register(stream.number(1)));
            words |= 1 << word;
        }
    }

    function _write(bytes memory data, uint256 word, uint256 value) private pure {
        if (4 + 32 * (word + 1) > data.length) revert SpliceOutOfRange(word, data.length);
        assembly ("memory-safe") {
            mstore(add(add(data, 36), mul(32, word)), value)
        }
    }

    function _invokeAllowed(CallFrame memory frame, bytes memory data) private {
        registry.checkAllowance(frame.target, bytes4(data), frame.token, frame.spender);
        Tokens.allowExactly(frame.token, frame.spender, frame.allowance);
        _invoke(frame.target, frame.value, data);
        Tokens.clearAllowance(frame.token, frame.spender);
    }

    function _invoke(address target, uint256 value, bytes memory data) private {
        address outer = Scratch.runningCallee();
        Scratch.setRunningCallee(target);
        uint256 before = address(this).balance;
        (bool ok, bytes memory answer) = target.call{value: value}(data);
        if (!ok) revert OperationFailed(target, bytes4(data), answer);
        int256 moved = int256(address(this).balance) - int256(before);
        if (moved != 0) emit NativeMoved(target, moved);
        Scratch.setRunningCallee(outer);
    }

    function _least(uint256 a, uint256 b) private pure returns (uint256) {
        return a < b ? a : b;
    }
}
