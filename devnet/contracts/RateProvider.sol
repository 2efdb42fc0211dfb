// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

/// @notice What stable pools of Balancer V2 ask for the worth of a token that grows. [wad]
contract RateProvider {
    address public immutable owner;
    uint256 public getRate;

    error NotOwner();

    constructor(address owner_, uint256 rate) {
        owner = owner_;
        getRate = rate;
    }

    function setRate(uint256 rate) external {
        if (msg.sender != owner) revert NotOwner();
        getRate = rate;
    }
}
