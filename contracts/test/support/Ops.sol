// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

/// @dev Writes operation streams for the tests, on its own: it shares no code with the executor.
library Ops {
    function stream(bytes memory operations) internal pure returns (bytes memory) {
        return bytes.concat(hex"01", operations);
    }

    function lit(uint256 value) internal pure returns (bytes memory) {
        uint256 length = 0;
        for (uint256 rest = value; rest != 0; rest >>= 8) {
            ++length;
        }
        bytes memory digits = new bytes(length);
        for (uint256 i = 0; i < length; ++i) {
            digits[length - 1 - i] = bytes1(uint8(value >> (8 * i)));
        }
        return bytes.concat(bytes1(uint8(length)), digits);
    }

    function reg(uint8 index) internal pure returns (bytes memory) {
        return abi.encodePacked(uint8(0x80 | index));
    }

    function none() internal pure returns (bytes memory) {
        return hex"00";
    }

    function measure(address token) internal pure returns (bytes memory) {
        return abi.encodePacked(uint8(1), token);
    }

    function splice(uint8 word, uint8 register) internal pure returns (bytes memory) {
        return abi.encodePacked(uint8(1), word, register);
    }

    function call(address target, bytes memory value, bytes memory data)
        internal
        pure
        returns (bytes memory)
    {
        return call(none(), target, value, data, none());
    }

    function call(
        bytes memory measures,
        address target,
        bytes memory value,
        bytes memory data,
        bytes memory splices
    ) internal pure returns (bytes memory) {
        return bytes.concat(
            hex"01",
            measures,
            abi.encodePacked(target),
            value,
            abi.encodePacked(uint16(data.length)),
            data,
            splices
        );
    }

    function callWithAllowance(
        address target,
        address token,
        address spender,
        bytes memory allowance,
        bytes memory data
    ) internal pure returns (bytes memory) {
        bytes memory head = abi.encodePacked(uint8(2), uint8(0), target, uint8(0), token, spender, allowance);
        return bytes.concat(head, abi.encodePacked(uint16(data.length)), data, none());
    }

    /// @dev From Balancer's vault.
    function flash(address lender, address token, uint256 amount, uint256 maxFee, bytes memory nested)
        internal
        pure
        returns (bytes memory)
    {
        return loan(1, lender, token, amount, maxFee, nested);
    }

    function loan(
        uint8 kind,
        address lender,
        address token,
        uint256 amount,
        uint256 maxFee,
        bytes memory nested
    ) internal pure returns (bytes memory) {
        bytes memory head = abi.encodePacked(uint8(3), uint8(0), kind, lender, uint8(1), token);
        return bytes.concat(head, lit(amount), lit(maxFee), abi.encodePacked(uint24(nested.length)), nested);
    }

    function swapV2(
        bytes memory measures,
        address factory,
        address tokenIn,
        address tokenOut,
        bytes memory amountIn,
        uint256 minOut,
        bytes memory nested
    ) internal pure returns (bytes memory) {
        bytes memory head = bytes.concat(hex"04", measures, abi.encodePacked(factory, tokenIn, tokenOut));
        return bytes.concat(head, amountIn, lit(minOut), abi.encodePacked(uint24(nested.length)), nested);
    }

    function swapV3(
        bytes memory measures,
        address factory,
        address tokenIn,
        address tokenOut,
        bytes memory amountIn,
        uint256 minOut,
        bytes memory nested
    ) internal pure returns (bytes memory) {
        bytes memory head = bytes.concat(
            hex"05", measures, abi.encodePacked(uint24(3000), factory, tokenIn, tokenOut)
        );
        return
            bytes.concat(head, amountIn, lit(minOut), lit(0), abi.encodePacked(uint24(nested.length)), nested);
    }
}
