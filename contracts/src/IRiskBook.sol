// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

/// @title What an executor may lose, whatever its plans say. The caller is the executor that is meant.
/// @dev Every function reverts with a typed error where a limit would be passed, or where it cannot be measured.
interface IRiskBook {
    /// @notice Books what an execution moved; called once per plan, with all loans repaid and nothing paid out yet.
    /// @param tracked class << 160 | token, as `IPolicyRegistry.trackedTokens` gives them
    /// @param before, afterwards the executor's own balances in that order
    function charge(uint256[] calldata tracked, uint256[] calldata before, uint256[] calldata afterwards)
        external;

    /// @notice Whether plans of `executor` may be judged by value lost alone (accounts with positions) instead of
    ///         by profit that reached the beneficiary.
    function holdsPositions(address executor) external view returns (bool);

    /// @notice Health factors of `account` at every source listed for it, in a fixed order [1e18]; the maximum
    ///         of uint256 where it owes nothing there.
    function healthFactors(address account) external view returns (uint256[] memory);
}
