// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {Test} from "forge-std/Test.sol";

import {TestToken} from "./TestToken.sol";
import {World} from "./World.sol";

/// @dev A world that a fuzzer plays with: what may happen in every such world, and what must never have happened.
abstract contract PlayedWorld is World {
    uint256 public landed;
    uint256 public landedTwice;
    uint256 public dirtyAfterwards;

    /// @dev The price on the pair moves: somebody buys with so many dollars, or sells so much WETH.
    function _shift(uint256 amount, bool buyWeth) internal {
        if (buyWeth) usd.mint(pair, amount);
        else weth.transfer(pair, amount);
        (bool ok,) = pair.call(abi.encodeWithSignature("sync()"));
        assertTrue(ok);
    }

    /// @dev One wei of this or that.
    function _give(TestToken token, uint8 what) internal {
        if (what % 3 == 0) weth.transfer(address(executor), 1);
        else if (what % 3 == 1) token.mint(address(executor), 1);
        else vm.deal(address(executor), address(executor).balance + 1);
    }

    function _lookForDirt() internal {
        if (!_transientIsEmpty()) ++dirtyAfterwards;
    }
}

abstract contract Playing is Test {
    function _play(address world, bytes4[] memory ways) internal {
        targetSelector(FuzzSelector(world, ways));
        targetContract(world);
    }
}
