// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {TestToken} from "./TestToken.sol";

/// @dev Owes in three ways at once: by a debt token, by Comet's view, by Morpho's shares (two to a unit).
contract DebtDesk {
    TestToken public immutable token;
    TestToken public immutable debt;
    mapping(address => uint256) public borrowBalanceOf;
    mapping(address => uint128) public shares;
    bool public deaf;

    constructor(TestToken token_) {
        token = token_;
        debt = new TestToken("DEBT");
    }

    function owe(address who, uint256 amount) external {
        debt.mint(who, amount);
        borrowBalanceOf[who] += amount;
        shares[who] += uint128(2 * amount);
    }

    function beDeaf() external {
        deaf = true;
    }

    function position(bytes32 market, address who) external view returns (uint256, uint128, uint128) {
        return market == bytes32(uint256(7)) ? (uint256(0), shares[who], uint128(0)) : (0, 0, 0);
    }

    function repay(uint256 amount, address who) external {
        token.transferFrom(msg.sender, address(this), amount);
        if (deaf) return;
        debt.burn(who, amount);
        borrowBalanceOf[who] -= amount;
        shares[who] -= uint128(2 * amount);
    }

    function repayShares(address who, uint256 amount) external {
        token.transferFrom(msg.sender, address(this), (amount + 1) / 2);
        shares[who] -= uint128(amount);
    }
}
