// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {IParser} from "./IParser.sol";

/// @title The path of Uniswap V3's `exactInput`: token (20), then fee (3) and token (20) for each pool.
/// @notice An element is one pool: token in, fee [ppm], token out.
contract UniswapV3Path is IParser {
    error MalformedPath(uint256 length);

    uint256 private constant TOKEN_BYTES = 20;
    uint256 private constant HOP_BYTES = 23;
    uint256 private constant WORDS = 3;

    /// @inheritdoc IParser
    function elementWords() external pure returns (uint256) {
        return WORDS;
    }

    /// @inheritdoc IParser
    function parse(bytes calldata path) external pure returns (uint256[] memory words) {
        if (path.length < TOKEN_BYTES + HOP_BYTES || (path.length - TOKEN_BYTES) % HOP_BYTES != 0) {
            revert MalformedPath(path.length);
        }
        uint256 hops = (path.length - TOKEN_BYTES) / HOP_BYTES;
        words = new uint256[](WORDS * hops);
        for (uint256 i = 0; i < hops; ++i) {
            bytes calldata hop = path[HOP_BYTES * i:];
            words[WORDS * i] = uint160(bytes20(hop));
            words[WORDS * i + 1] = uint24(bytes3(hop[TOKEN_BYTES:]));
            words[WORDS * i + 2] = uint160(bytes20(hop[HOP_BYTES:]));
        }
    }
}
