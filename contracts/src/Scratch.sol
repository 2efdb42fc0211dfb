// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

/// @title All transient state of an execution: the armed callbacks and the measured amounts.
/// @notice Every slot is zero again when an execution ends, so that several in one transaction share nothing.
/// @dev Slots, all transient:
///      0            flags: executing | reducing << 1
///      1            target of the running CALL (the only account besides WETH that may send native coin)
///      2            number of frames
///      3            number of registers
///      0x100 + 2i   frame i: callee | selector << 160 | status << 192;  0x101 + 2i: hash of its data
///      0x200 + i    register i
///      What a callback may pay at most is part of the data whose hash is stored here.
library Scratch {
    error AlreadyExecuting();
    error TooDeep(uint256 limit);
    error CallbackNotArmed(address caller, bytes4 selector);
    error CallbackMissing(address callee);
    error TooManyRegisters(uint256 limit);
    error NoSuchRegister(uint256 index, uint256 count);

    uint256 internal constant MAX_FRAMES = 8;
    uint256 internal constant MAX_REGISTERS = 64;

    uint256 private constant FLAGS = 0;
    uint256 private constant CALLEE = 1;
    uint256 private constant FRAME_COUNT = 2;
    uint256 private constant REGISTER_COUNT = 3;
    uint256 private constant FRAMES = 0x100;
    uint256 private constant REGISTERS = 0x200;

    uint256 private constant ARMED = 1;
    uint256 private constant ENTERED = 2;

    // -------------------------------------------------------- the execution

    function begin(bool reducing_) internal {
        if (_load(FLAGS) != 0) revert AlreadyExecuting();
        _store(FLAGS, reducing_ ? 3 : 1);
    }

    /// @dev Frames are already gone: each was popped by whoever armed it.
    function end() internal {
        uint256 registers = _load(REGISTER_COUNT);
        for (uint256 i = 0; i < registers; ++i) {
            _store(REGISTERS + i, 0);
        }
        _store(REGISTER_COUNT, 0);
        _store(FLAGS, 0);
    }

    function executing() internal view returns (bool) {
        return _load(FLAGS) != 0;
    }

    function reducing() internal view returns (bool) {
        return _load(FLAGS) == 3;
    }

    // ------------------------------------------------------ armed callbacks

    /// @notice Expects exactly one call of `selector` by `callee` with data of this hash.
    function arm(address callee, bytes4 selector, bytes32 dataHash) internal {
        uint256 count = _load(FRAME_COUNT);
        if (count == MAX_FRAMES) revert TooDeep(MAX_FRAMES);
        _store(FRAMES + 2 * count, _frame(callee, selector, ARMED));
        _store(FRAMES + 2 * count + 1, uint256(dataHash));
        _store(FRAME_COUNT, count + 1);
    }

    /// @notice Consumes the armed callback: caller, selector and data must all be the expected ones.
    /// @param selector what the callback was armed as; forks may call it by a name of their own
    function enter(bytes4 selector, bytes32 dataHash) internal {
        uint256 count = _load(FRAME_COUNT);
        if (count == 0) revert CallbackNotArmed(msg.sender, msg.sig);
        uint256 top = FRAMES + 2 * count - 2;
        if (_load(top) != _frame(msg.sender, selector, ARMED) || _load(top + 1) != uint256(dataHash)) {
            revert CallbackNotArmed(msg.sender, msg.sig);
        }
        _store(top, _frame(msg.sender, selector, ENTERED));
    }

    /// @notice The callee has returned: its callback must have been consumed, and nothing left above it.
    function disarm(address callee, bytes4 selector) internal {
        uint256 count = _load(FRAME_COUNT) - 1;
        uint256 top = FRAMES + 2 * count;
        if (_load(top) != _frame(callee, selector, ENTERED)) revert CallbackMissing(callee);
        _store(top, 0);
        _store(top + 1, 0);
        _store(FRAME_COUNT, count);
    }

    // ---------------------------------------------------- the running callee

    function runningCallee() internal view returns (address) {
        return address(uint160(_load(CALLEE)));
    }

    function setRunningCallee(address target) internal {
        _store(CALLEE, uint160(target));
    }

    // ------------------------------------------------------ measured amounts

    function record(uint256 value) internal {
        uint256 count = _load(REGISTER_COUNT);
        if (count == MAX_REGISTERS) revert TooManyRegisters(MAX_REGISTERS);
        _store(REGISTERS + count, value);
        _store(REGISTER_COUNT, count + 1);
    }

    function register(uint256 index) internal view returns (uint256) {
        uint256 count = _load(REGISTER_COUNT);
        if (index >= count) revert NoSuchRegister(index, count);
        return _load(REGISTERS + index);
    }

    // -------------------------------------------------------------- internal

    function _frame(address callee_, bytes4 selector, uint256 status) private pure returns (uint256) {
        return status << 192 | uint256(uint32(selector)) << 160 | uint160(callee_);
    }

    function _load(uint256 slot) private view returns (uint256 value) {
        assembly ("memory-safe") {
            value := tload(slot)
        }
    }

    function _store(uint256 slot, uint256 value) private {
        assembly ("memory-safe") {
            tstore(slot, value)
        }
    }
}
