// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

/// @title What a function's signature tells before it is listed.
/// @dev Listing takes the text, not the selector: signers read what they allow, and the registry counts the
///      head words and sees dynamic types by itself.
library Signatures {
    error MalformedSignature(string signature);
    error DynamicPart(string signature);
    error NotAnOrdinaryCall(string signature);

    /// @return words number of head words, all static
    function staticWords(string memory signature) internal pure returns (uint256 words) {
        bytes memory text = bytes(signature);
        uint256 open = _nameLength(text);
        if (open == 0 || open + 2 > text.length || text[text.length - 1] != ")") {
            revert MalformedSignature(signature);
        }
        if (open + 2 == text.length) return 0;
        words = 1;
        uint256 depth = 0;
        uint256 typeAt = open + 1;
        for (uint256 i = open; i < text.length; ++i) {
            bytes1 char = text[i];
            if (char == "[" || char == " ") revert DynamicPart(signature);
            if (char != "(" && char != ")" && char != ",") continue;
            if (i > typeAt && _isDynamic(text, typeAt, i)) revert DynamicPart(signature);
            // A type must stand before every separator: `f(,a)` or `f(a,)` would miscount.
            if (char != "(" && i == typeAt && text[i - 1] != ")") revert MalformedSignature(signature);
            if (char == "(") ++depth;
            if (char == ")" && depth-- == 1 && i + 1 != text.length) revert MalformedSignature(signature);
            if (char == ",") ++words;
            typeAt = i + 1;
        }
        if (depth != 0) revert MalformedSignature(signature);
    }

    /// @notice Refuses what hands power over tokens or positions to others.
    function mustBeOrdinary(string memory signature) internal pure {
        bytes memory text = bytes(signature);
        bytes memory name = new bytes(_nameLength(text));
        for (uint256 i = 0; i < name.length; ++i) {
            name[i] = text[i];
        }
        bytes32 hash = keccak256(name);
        bool refused = hash == keccak256("approve") || hash == keccak256("transferFrom")
            || hash == keccak256("permit") || hash == keccak256("increaseAllowance")
            || hash == keccak256("decreaseAllowance") || hash == keccak256("increaseApproval")
            || hash == keccak256("decreaseApproval") || hash == keccak256("setApprovalForAll")
            || hash == keccak256("safeTransferFrom") || hash == keccak256("approveDelegation")
            || hash == keccak256("delegationWithSig") || hash == keccak256("delegate")
            || hash == keccak256("delegateBySig") || hash == keccak256("setRelayerApproval")
            || hash == keccak256("setAuthorization") || hash == keccak256("setAuthorizationWithSig")
            || hash == keccak256("allow") || hash == keccak256("allowBySig") || hash == keccak256("hope")
            || hash == keccak256("authorizeOperator") || hash == keccak256("operatorSend")
            || hash == keccak256("setOperator") || hash == keccak256("setManager")
            || hash == keccak256("setOwner") || hash == keccak256("setUserUseReserveAsCollateralOnBehalfOf");
        if (refused) revert NotAnOrdinaryCall(signature);
        // Another name with a forbidden selector is a forged signature.
        bytes4 selector = bytes4(keccak256(text));
        if (
            selector == 0x095ea7b3 || selector == 0x23b872dd || selector == 0x39509351
                || selector == 0xd505accf
        ) {
            revert NotAnOrdinaryCall(signature);
        }
    }

    function _nameLength(bytes memory text) private pure returns (uint256 length) {
        while (length < text.length && text[length] != "(") ++length;
    }

    /// @dev `string`, `bytes`, and nothing else without brackets; `bytes1` to `bytes32` are static.
    function _isDynamic(bytes memory text, uint256 from, uint256 to) private pure returns (bool) {
        uint256 length = to - from;
        if (length != 5 && length != 6) return false;
        bytes memory name = new bytes(length);
        for (uint256 i = 0; i < length; ++i) {
            name[i] = text[from + i];
        }
        return keccak256(name) == keccak256("bytes") || keccak256(name) == keccak256("string");
    }
}
