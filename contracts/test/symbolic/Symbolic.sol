// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

/// @dev What halmos adds to the cheat codes, as far as the tests here use it.
interface ISymbolic {
    /// @return calldata of any function of the contract that is no view, with any arguments
    function createCalldata(string calldata contractName) external pure returns (bytes memory);
    /// @return of everything that is stored there
    function snapshotStorage(address account) external view returns (uint256);
}

ISymbolic constant symbolic = ISymbolic(address(uint160(uint256(keccak256("svm cheat code")))));
