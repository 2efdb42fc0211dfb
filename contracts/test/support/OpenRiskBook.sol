// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {IRiskBook} from "../../src/IRiskBook.sol";

/// @dev A risk book that says what a test tells it to, and remembers what it was charged.
contract OpenRiskBook is IRiskBook {
    error Full();

    bool public full;
    bool public holds;
    uint256 public charges;
    uint256[] private _tracked;
    uint256[] private _before;
    uint256[] private _afterwards;
    uint256[] private _health;

    function setFull(bool full_) external {
        full = full_;
    }

    function setHolds(bool holds_) external {
        holds = holds_;
    }

    function setHealth(uint256[] calldata health) external {
        _health = health;
    }

    function charge(uint256[] calldata tracked, uint256[] calldata before, uint256[] calldata afterwards)
        external
    {
        if (full) revert Full();
        ++charges;
        (_tracked, _before, _afterwards) = (tracked, before, afterwards);
    }

    function lastCharge() external view returns (uint256[] memory, uint256[] memory, uint256[] memory) {
        return (_tracked, _before, _afterwards);
    }

    function holdsPositions(address) external view returns (bool) {
        return holds;
    }

    function healthFactors(address) external view returns (uint256[] memory) {
        return _health;
    }
}
