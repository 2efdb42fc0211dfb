// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {Scratch} from "./Scratch.sol";

/// @title Reads the packed operations straight from calldata, never past their end.
library StreamLib {
    error Truncated(uint256 wanted, uint256 left);
    error BadAmountTag(uint256 tag);

    /// @param at, end absolute positions in calldata
    struct Stream {
        uint256 at;
        uint256 end;
    }

    function open(bytes calldata data) internal pure returns (Stream memory stream) {
        uint256 start;
        assembly ("memory-safe") {
            start := data.offset
        }
        stream.at = start;
        stream.end = start + data.length;
    }

    function more(Stream memory stream) internal pure returns (bool) {
        return stream.at < stream.end;
    }

    /// @notice The next `length` (at most 32) bytes as a big-endian integer.
    function number(Stream memory stream, uint256 length) internal pure returns (uint256 value) {
        uint256 at = advance(stream, length);
        assembly ("memory-safe") {
            value := calldataload(at)
        }
        unchecked {
            // A shift by 256 (length 0) leaves zero.
            value >>= 256 - 8 * length;
        }
    }

    function account(Stream memory stream) internal pure returns (address) {
        return address(uint160(number(stream, 20)));
    }

    /// @notice Tag 0..32: that many bytes follow. Tag 0x80 | i: register i.
    function amount(Stream memory stream) internal view returns (uint256) {
        uint256 tag = number(stream, 1);
        if (tag <= 32) return number(stream, tag);
        if (tag < 0x80) revert BadAmountTag(tag);
        return Scratch.register(tag & 0x7f);
    }

    /// @notice An amount where there are no registers.
    function literal(Stream memory stream) internal pure returns (uint256) {
        uint256 tag = number(stream, 1);
        if (tag > 32) revert BadAmountTag(tag);
        return number(stream, tag);
    }

    function slice(Stream memory stream, uint256 length) internal pure returns (bytes calldata data) {
        uint256 at = advance(stream, length);
        assembly ("memory-safe") {
            data.offset := at
            data.length := length
        }
    }

    function advance(Stream memory stream, uint256 length) internal pure returns (uint256 at) {
        at = stream.at;
        unchecked {
            // `at` never passes `end`.
            uint256 left = stream.end - at;
            if (length > left) revert Truncated(length, left);
            stream.at = at + length;
        }
    }
}
