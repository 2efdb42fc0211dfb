// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {IERC20} from "../../src/Tokens.sol";

/// @dev A pair and a pool in one that call back by whatever name a test gives them, one for one in price.
contract ForkPool {
    bytes4 public name;
    bool public otherInitiator;
    address public token0;
    address public token1;

    function set(string calldata signature, address token0_, address token1_) external {
        name = bytes4(keccak256(bytes(signature)));
        (token0, token1) = (token0_, token1_);
    }

    function lie() external {
        otherInitiator = true;
    }

    function getReserves() external pure returns (uint112, uint112, uint32) {
        return (1e30, 1e30, 0);
    }

    /// @dev Half a percent dearer than any constant product of these reserves.
    function getAmountOut(uint256 amountIn, address) external pure returns (uint256) {
        return amountIn * 995 / 1000;
    }

    function swap(uint256 out0, uint256 out1, address to, bytes calldata data) external {
        (address out, address paid, uint256 amount) =
            out0 == 0 ? (token1, token0, out1) : (token0, token1, out0);
        uint256 before = IERC20(paid).balanceOf(address(this));
        IERC20(out).transfer(to, amount);
        if (data.length != 0) {
            address initiator = otherInitiator ? address(this) : msg.sender;
            _callBack(to, abi.encodeWithSelector(name, initiator, out0, out1, data));
            require(IERC20(paid).balanceOf(address(this)) > before, "unpaid");
        }
    }

    function swap(address to, bool zeroForOne, int256 amount, uint160, bytes calldata data)
        external
        returns (int256 delta0, int256 delta1)
    {
        (delta0, delta1) = zeroForOne ? (amount, -amount) : (-amount, amount);
        IERC20(zeroForOne ? token1 : token0).transfer(to, uint256(amount));
        _callBack(to, abi.encodeWithSelector(name, delta0, delta1, data));
    }

    function _callBack(address to, bytes memory data) private {
        (bool ok, bytes memory answer) = to.call(data);
        if (!ok) {
            assembly ("memory-safe") {
                revert(add(answer, 32), mload(answer))
            }
        }
    }
}
