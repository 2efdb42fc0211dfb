// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

/// @title What a plan demands of the world at its end.
interface IPlanChecks {
    /// @notice Reverts with a typed error at the first check that does not hold.
    /// @param account the executor whose plan it is
    /// @param checks packed, see PlanChecks.sol
    function verify(address account, bytes calldata checks) external view;
}
