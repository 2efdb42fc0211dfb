// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

/// @title Turns one form of `bytes` argument into words that the policy registry can judge.
/// @dev It is trusted with the form alone: what each word may be stands in the listing. It must refuse every
///      encoding of which the target could read anything that is not among the words.
interface IParser {
    /// @notice How many words an element has, for each of which the listing carries a rule.
    function elementWords() external view returns (uint256);

    /// @return words of all elements, one element after the other
    function parse(bytes calldata data) external view returns (uint256[] memory words);
}
