// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

/// @title An owner that changes in two steps, so that it cannot be lost to a mistyped address.
abstract contract TwoStepOwner {
    error NotOwner(address caller);
    error NotPendingOwner(address caller);
    error ZeroAddress();

    event OwnershipOffered(address indexed from, address indexed to);
    event OwnershipTaken(address indexed from, address indexed to);

    address public owner;
    address public pendingOwner;

    modifier onlyOwner() {
        if (msg.sender != owner) revert NotOwner(msg.sender);
        _;
    }

    constructor(address owner_) {
        if (owner_ == address(0)) revert ZeroAddress();
        owner = owner_;
        emit OwnershipTaken(address(0), owner_);
    }

    /// @notice Offers ownership; offering it to the zero address withdraws an offer.
    function offerOwnership(address to) external onlyOwner {
        pendingOwner = to;
        emit OwnershipOffered(owner, to);
    }

    function takeOwnership() external {
        if (msg.sender != pendingOwner) revert NotPendingOwner(msg.sender);
        emit OwnershipTaken(owner, msg.sender);
        owner = msg.sender;
        pendingOwner = address(0);
    }
}
