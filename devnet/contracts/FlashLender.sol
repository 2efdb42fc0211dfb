// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

interface IERC3156FlashBorrower {
    function onFlashLoan(address initiator, address token, uint256 amount, uint256 fee, bytes calldata data)
        external
        returns (bytes32);
}

/// @notice A flash lender by ERC-3156, written from the standard: it lends what it holds, for a fee, and takes both
///         back by allowance.
contract FlashLender {
    using SafeERC20 for IERC20;

    bytes32 private constant SUCCESS = keccak256("ERC3156FlashBorrower.onFlashLoan");
    uint256 private constant BPS = 10_000;

    error NotLent(address token);
    error NotConfirmed(address receiver);

    /// @dev [bps], rounded up
    uint256 public immutable feeBps;
    mapping(address token => bool) public lends;

    constructor(address[] memory tokens, uint256 feeBps_) {
        feeBps = feeBps_;
        for (uint256 i = 0; i < tokens.length; ++i) {
            lends[tokens[i]] = true;
        }
    }

    function flashLoan(address receiver, address token, uint256 amount, bytes calldata data)
        external
        returns (bool)
    {
        uint256 fee = flashFee(token, amount);
        IERC20(token).safeTransfer(receiver, amount);
        bytes32 answer = IERC3156FlashBorrower(receiver).onFlashLoan(msg.sender, token, amount, fee, data);
        if (answer != SUCCESS) revert NotConfirmed(receiver);
        IERC20(token).safeTransferFrom(receiver, address(this), amount + fee);
        return true;
    }

    /// @notice Zero for a token that it does not lend, as the standard demands.
    function maxFlashLoan(address token) external view returns (uint256) {
        return lends[token] ? IERC20(token).balanceOf(address(this)) : 0;
    }

    function flashFee(address token, uint256 amount) public view returns (uint256) {
        if (!lends[token]) revert NotLent(token);
        return (amount * feeBps + BPS - 1) / BPS;
    }
}
