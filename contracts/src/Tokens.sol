// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

interface IERC20 {
    function balanceOf(address account) external view returns (uint256);
    function allowance(address holder, address spender) external view returns (uint256);
    function transfer(address to, uint256 amount) external returns (bool);
    function approve(address spender, uint256 amount) external returns (bool);
}

/// @title Tokens that answer true, or nothing at all; the native coin goes by the address that EIP-7528 set aside.
library Tokens {
    error TokenCallFailed(address token, bytes4 selector);
    error NativePaymentFailed(address to, uint256 amount);
    error AllowanceLeft(address token, address spender, uint256 amount);

    address internal constant NATIVE = 0xEeeeeEeeeEeEeeEeEeEeeEEEeeeeEeeeeeeeEEeE;

    function balanceOf(address token, address holder) internal view returns (uint256) {
        return token == NATIVE ? holder.balance : IERC20(token).balanceOf(holder);
    }

    function pay(address token, address to, uint256 amount) internal {
        if (token == NATIVE) {
            (bool sent,) = to.call{value: amount}("");
            if (!sent) revert NativePaymentFailed(to, amount);
        } else {
            _mustSucceed(token, abi.encodeCall(IERC20.transfer, (to, amount)));
        }
    }

    /// @dev Zero first: some tokens refuse to change one non-zero allowance into another.
    function allowExactly(address token, address spender, uint256 amount) internal {
        clearAllowance(token, spender);
        if (amount != 0) _mustSucceed(token, abi.encodeCall(IERC20.approve, (spender, amount)));
    }

    function clearAllowance(address token, address spender) internal {
        if (IERC20(token).allowance(address(this), spender) == 0) return;
        _mustSucceed(token, abi.encodeCall(IERC20.approve, (spender, 0)));
        uint256 left = IERC20(token).allowance(address(this), spender);
        if (left != 0) revert AllowanceLeft(token, spender, left);
    }

    function _mustSucceed(address token, bytes memory data) private {
        (bool ok, bytes memory answer) = token.call(data);
        bool accepted = answer.length == 0
            ? token.code.length != 0
            : answer.length >= 32 && uint256(bytes32(answer)) == 1;
        if (!ok || !accepted) revert TokenCallFailed(token, bytes4(data));
    }
}
