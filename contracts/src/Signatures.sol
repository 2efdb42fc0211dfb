// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

/// @title What a function's signature tells before it is listed.
/// @dev Listing takes the text, not the selector: signers read what they allow, and the registry derives by itself
///      which words there are, where they lie, and which calls are no ordinary ones.
library Signatures {
    // ---------------------------------------------------------------- types

    /// @param text the signature
    /// @param at next character
    /// @param shape SHAPE_*, in the order of the text
    /// @param length of `shape` so far
    struct Cursor {
        bytes text;
        uint256 at;
        bytes shape;
        uint256 length;
    }

    // ------------------------------------------------------------ constants

    /// @dev One static word. Static tuples and arrays are nothing but their words.
    uint8 internal constant SHAPE_WORD = 1;
    /// @dev `bytes` or `string`.
    uint8 internal constant SHAPE_BYTES = 2;
    /// @dev An array of any length: the words of one element follow, then SHAPE_CLOSE.
    uint8 internal constant SHAPE_ARRAY = 3;
    /// @dev A tuple with dynamic members: they follow, then SHAPE_CLOSE.
    uint8 internal constant SHAPE_TUPLE = 4;
    uint8 internal constant SHAPE_CLOSE = 5;

    uint256 internal constant MAX_SHAPE = 64;
    uint256 private constant MAX_FIXED_LENGTH = 32;

    // --------------------------------------------------------------- errors

    error MalformedSignature(string signature);
    error UnknownType(string signature, uint256 at);
    error ShapeTooLong(string signature, uint256 limit);
    error NotCovered(string signature);
    error NotAnOrdinaryCall(string signature);

    // ---------------------------------------------------------------- shape

    /// @return shape SHAPE_* of all arguments, in order
    function shapeOf(string memory signature) internal pure returns (bytes memory shape) {
        Cursor memory cursor;
        cursor.text = bytes(signature);
        cursor.at = _nameLength(cursor.text);
        cursor.shape = new bytes(MAX_SHAPE);
        if (cursor.at == 0) revert MalformedSignature(signature);
        if (_next(cursor, 0) == "(" && _next(cursor, 1) == ")") cursor.at += 2;
        else _tuple(cursor);
        if (cursor.at != cursor.text.length) revert MalformedSignature(signature);
        shape = cursor.shape;
        uint256 length = cursor.length;
        assembly ("memory-safe") {
            mstore(shape, length)
        }
    }

    /// @return words in the head of the tuple whose members begin at `from`: static words, and one for each
    ///         dynamic member
    function headWords(bytes memory shape, uint256 from) internal pure returns (uint256 words) {
        uint256 depth = 0;
        for (uint256 i = from; i < shape.length; ++i) {
            uint8 code = uint8(shape[i]);
            if (code == SHAPE_CLOSE) {
                if (depth == 0) break;
                --depth;
                continue;
            }
            if (depth == 0) ++words;
            if (code == SHAPE_ARRAY || code == SHAPE_TUPLE) ++depth;
        }
    }

    // ------------------------------------------------------- ordinary calls

    /// @notice Refuses what hands power over tokens or positions to others.
    /// @dev By name, whatever the arguments; and by selector, since another name with a forbidden selector is a
    ///      forged signature.
    function mustBeOrdinary(string memory signature) internal pure {
        bytes memory text = bytes(signature);
        bytes32 hash = _hashOf(text, 0, _nameLength(text));
        if (_movesForOthers(hash) || _delegates(hash) || _hasForbiddenSelector(bytes4(keccak256(text)))) {
            revert NotAnOrdinaryCall(signature);
        }
    }

    function _movesForOthers(bytes32 name) private pure returns (bool) {
        return name == keccak256("approve") || name == keccak256("transferFrom")
            || name == keccak256("permit") || name == keccak256("increaseAllowance")
            || name == keccak256("decreaseAllowance") || name == keccak256("increaseApproval")
            || name == keccak256("decreaseApproval") || name == keccak256("setApprovalForAll")
            || name == keccak256("safeTransferFrom") || name == keccak256("safeBatchTransferFrom")
            || name == keccak256("approveAndCall") || name == keccak256("transferOwnership");
    }

    function _delegates(bytes32 name) private pure returns (bool) {
        return name == keccak256("approveDelegation") || name == keccak256("delegationWithSig")
            || name == keccak256("delegate") || name == keccak256("delegateBySig")
            || name == keccak256("setRelayerApproval") || name == keccak256("setAuthorization")
            || name == keccak256("setAuthorizationWithSig") || name == keccak256("allow")
            || name == keccak256("allowBySig") || name == keccak256("hope")
            || name == keccak256("authorizeOperator") || name == keccak256("operatorSend")
            || name == keccak256("setOperator") || name == keccak256("setManager")
            || name == keccak256("setOwner") || name == keccak256("approvePositionManager")
            || name == keccak256("setUserUseReserveAsCollateralOnBehalfOf");
    }

    /// @dev Those of the canonical forms of these names.
    function _hasForbiddenSelector(bytes4 selector) private pure returns (bool) {
        bytes memory forbidden = hex"095ea7b323b872dd39509351a457c2d7d73dd62366188463d505accf8fcbaf0ca22cb465"
            hex"42842e0eb88d4fdef242432a2eb2c2d6c04a8a100b52d5585c19a95cc3cda520fa6e671d"
            hex"eecea0008069218f110496e5bb24d994a3b22fc4959b8c3f62ad1b83558a7297a5e90eee"
            hex"13af4035b8caa7c587517c4536c78516cae9ca51f2fde38b";
        for (uint256 i = 0; i < forbidden.length; i += 4) {
            bytes4 one;
            assembly ("memory-safe") {
                one := mload(add(add(forbidden, 32), i))
            }
            if (one == selector) return true;
        }
        return false;
    }

    // -------------------------------------------------------------- reading

    /// @return dynamic whether any member is
    function _tuple(Cursor memory cursor) private pure returns (bool dynamic) {
        if (_next(cursor, 0) != "(") revert MalformedSignature(string(cursor.text));
        do {
            // Over the bracket, then over every comma.
            ++cursor.at;
            if (_type(cursor)) dynamic = true;
        } while (_next(cursor, 0) == ",");
        if (_next(cursor, 0) != ")") revert MalformedSignature(string(cursor.text));
        ++cursor.at;
    }

    function _type(Cursor memory cursor) private pure returns (bool dynamic) {
        uint256 start = cursor.length;
        if (_next(cursor, 0) == "(") {
            dynamic = _tuple(cursor);
            if (dynamic) _wrap(cursor, start, SHAPE_TUPLE);
        } else {
            dynamic = _elementary(cursor);
        }
        while (_next(cursor, 0) == "[") {
            ++cursor.at;
            // Elements of varying size have no place that a rule could name.
            if (dynamic) revert NotCovered(string(cursor.text));
            uint256 count = _number(cursor);
            if (_next(cursor, 0) != "]") revert MalformedSignature(string(cursor.text));
            ++cursor.at;
            if (count == 0) {
                dynamic = true;
                _wrap(cursor, start, SHAPE_ARRAY);
            } else {
                if (count > MAX_FIXED_LENGTH) revert ShapeTooLong(string(cursor.text), MAX_FIXED_LENGTH);
                for (uint256 words = (count - 1) * (cursor.length - start); words != 0; --words) {
                    _emit(cursor, SHAPE_WORD);
                }
            }
        }
    }

    /// @dev Only the types that the ABI names: a typing error would list a function that does not exist.
    function _elementary(Cursor memory cursor) private pure returns (bool dynamic) {
        uint256 start = cursor.at;
        while (_next(cursor, 0) >= "a" && _next(cursor, 0) <= "z") {
            ++cursor.at;
        }
        bytes32 name = _hashOf(cursor.text, start, cursor.at - start);
        uint256 digitsAt = cursor.at;
        uint256 size = _number(cursor);
        bool sized = cursor.at != digitsAt;
        bool known;
        if (name == keccak256("uint") || name == keccak256("int")) {
            known = sized && size <= 256 && size % 8 == 0;
        } else if (name == keccak256("bytes")) {
            known = size <= 32;
            dynamic = !sized;
        } else if (name == keccak256("string")) {
            known = !sized;
            dynamic = true;
        } else {
            known = !sized && (name == keccak256("address") || name == keccak256("bool"));
        }
        if (cursor.at == start) revert MalformedSignature(string(cursor.text));
        if (!known) revert UnknownType(string(cursor.text), start);
        _emit(cursor, dynamic ? SHAPE_BYTES : SHAPE_WORD);
    }

    function _hashOf(bytes memory text, uint256 from, uint256 length) private pure returns (bytes32 hash) {
        assembly ("memory-safe") {
            hash := keccak256(add(add(text, 32), from), length)
        }
    }

    /// @return value of the digits that follow; zero where there are none
    function _number(Cursor memory cursor) private pure returns (uint256 value) {
        uint256 start = cursor.at;
        while (_next(cursor, 0) >= "0" && _next(cursor, 0) <= "9") {
            value = value * 10 + uint8(_next(cursor, 0)) - 48;
            ++cursor.at;
            // No leading zero, and no more digits than any size has.
            if (value == 0 || cursor.at - start > 3) revert MalformedSignature(string(cursor.text));
        }
    }

    /// @return char zero past the end
    function _next(Cursor memory cursor, uint256 ahead) private pure returns (bytes1 char) {
        uint256 at = cursor.at + ahead;
        if (at < cursor.text.length) char = cursor.text[at];
    }

    function _emit(Cursor memory cursor, uint8 code) private pure {
        if (cursor.length == MAX_SHAPE) revert ShapeTooLong(string(cursor.text), MAX_SHAPE);
        cursor.shape[cursor.length++] = bytes1(code);
    }

    /// @dev Puts `code` before what was written since `start`, and a close behind it.
    function _wrap(Cursor memory cursor, uint256 start, uint8 code) private pure {
        _emit(cursor, SHAPE_CLOSE);
        _emit(cursor, SHAPE_CLOSE);
        for (uint256 i = cursor.length - 1; i > start; --i) {
            cursor.shape[i] = cursor.shape[i - 1];
        }
        cursor.shape[start] = bytes1(code);
    }

    function _nameLength(bytes memory text) private pure returns (uint256 length) {
        while (length < text.length && text[length] != "(") ++length;
    }
}
