// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {FACTORY_ALGEBRA, FACTORY_UNISWAP_V2, FACTORY_UNISWAP_V3} from "./IPolicyRegistry.sol";
import {IQuotingPair, IUniswapV2Pair, IUniswapV3Pool} from "./Lenders.sol";
import {Running} from "./Running.sol";
import {Scratch} from "./Scratch.sol";
import {StreamLib} from "./Stream.sol";
import {Tokens} from "./Tokens.sol";

/// @title Swaps straight with pools of listed factories, and the pools' callbacks.
///
/// @notice A plan never names a pool: the registry derives it from a listed factory, so a fake one cannot be asked
///         and cannot call back. What a pool is paid at most is inside the hashed data. Forks differ in the name of
///         their callback alone: whatever the name, the frame admits one call by the armed pool with the armed data.
///
/// @dev Data of V2 kinds: token (20), owed (32), operations. Of V3 kinds: token (20), maximum (32), whether token0
///      comes in (1), operations.
abstract contract Swaps is Running {
    using StreamLib for StreamLib.Stream;

    struct Swap {
        address factory;
        address tokenIn;
        address tokenOut;
        uint256 amountIn;
        uint256 minOut;
    }

    uint256 private constant PPM = 1_000_000;
    uint160 private constant MIN_SQRT_PRICE = 4295128739 + 1;
    uint160 private constant MAX_SQRT_PRICE = 1461446703485210103287273052203988822378723970342 - 1;

    error OutputBelowMinimum(address pool, uint256 output, uint256 minimum);
    error SwapOutOfRange(uint256 amountIn, uint256 limit);

    // ----------------------------------------------------------------- callbacks

    /// @notice Uniswap V2, Sushi, Camelot.
    function uniswapV2Call(address initiator, uint256, uint256, bytes calldata data) external {
        _pairCalled(initiator, data);
    }

    /// @notice PancakeSwap V2.
    function pancakeCall(address initiator, uint256, uint256, bytes calldata data) external {
        _pairCalled(initiator, data);
    }

    /// @notice Solidly and those after it.
    function hook(address initiator, uint256, uint256, bytes calldata data) external {
        _pairCalled(initiator, data);
    }

    function uniswapV3SwapCallback(int256 amount0Delta, int256 amount1Delta, bytes calldata data) external {
        _poolCalled(amount0Delta, amount1Delta, data);
    }

    function pancakeV3SwapCallback(int256 amount0Delta, int256 amount1Delta, bytes calldata data) external {
        _poolCalled(amount0Delta, amount1Delta, data);
    }

    function algebraSwapCallback(int256 amount0Delta, int256 amount1Delta, bytes calldata data) external {
        _poolCalled(amount0Delta, amount1Delta, data);
    }

    function _pairCalled(address initiator, bytes calldata data) private {
        Scratch.enter(this.uniswapV2Call.selector, keccak256(data));
        if (initiator != address(this)) revert NotOurs(initiator);
        StreamLib.Stream memory stream = StreamLib.open(data);
        address token = stream.account();
        uint256 owed = stream.number(32);
        _run(stream);
        Tokens.pay(token, msg.sender, owed);
    }

    function _poolCalled(int256 amount0Delta, int256 amount1Delta, bytes calldata data) private {
        Scratch.enter(this.uniswapV3SwapCallback.selector, keccak256(data));
        StreamLib.Stream memory stream = StreamLib.open(data);
        address token = stream.account();
        uint256 maximum = stream.number(32);
        bool zeroForOne = stream.number(1) == 1;
        int256 delta = zeroForOne ? amount0Delta : amount1Delta;
        uint256 owed = delta > 0 ? uint256(delta) : 0;
        if (owed > maximum) revert RepaymentAboveMaximum(token, owed, maximum);
        _run(stream);
        Tokens.pay(token, msg.sender, owed);
    }

    // ------------------------------------------------------------------ swapping

    function _swapV2(StreamLib.Stream memory stream) internal {
        Swap memory swap = _readSwap(stream);
        (address pool, uint256 feePpm) = registry.poolOf(
            FACTORY_UNISWAP_V2, swap.factory, swap.tokenIn, swap.tokenOut, 0, Scratch.reducing()
        );
        _swapPair(stream, swap, pool, _outputV2(pool, swap.amountIn, feePpm, swap.tokenIn < swap.tokenOut));
    }

    /// @notice Pairs of other curves or fees: they are asked what they would give.
    function _swapQuoted(StreamLib.Stream memory stream) internal {
        uint8 kind = uint8(stream.number(1));
        uint24 variant = uint24(stream.number(1));
        Swap memory swap = _readSwap(stream);
        (address pool,) =
            registry.poolOf(kind, swap.factory, swap.tokenIn, swap.tokenOut, variant, Scratch.reducing());
        _swapPair(stream, swap, pool, IQuotingPair(pool).getAmountOut(swap.amountIn, swap.tokenIn));
    }

    function _swapPair(StreamLib.Stream memory stream, Swap memory swap, address pool, uint256 output)
        private
    {
        bytes calldata nested = stream.slice(stream.number(3));
        if (output < swap.minOut) revert OutputBelowMinimum(pool, output, swap.minOut);
        bool zeroForOne = swap.tokenIn < swap.tokenOut;
        (uint256 out0, uint256 out1) = zeroForOne ? (uint256(0), output) : (output, uint256(0));

        if (nested.length == 0) {
            // Paid first: without data the pair calls nobody back.
            Tokens.pay(swap.tokenIn, pool, swap.amountIn);
            IUniswapV2Pair(pool).swap(out0, out1, address(this), "");
            return;
        }
        bytes memory data = abi.encodePacked(swap.tokenIn, swap.amountIn, nested);
        Scratch.arm(pool, this.uniswapV2Call.selector, keccak256(data));
        IUniswapV2Pair(pool).swap(out0, out1, address(this), data);
        Scratch.disarm(pool, this.uniswapV2Call.selector);
    }

    function _swapV3(StreamLib.Stream memory stream) internal {
        uint24 fee = uint24(stream.number(3));
        Swap memory swap = _readSwap(stream);
        uint256 limit = stream.amount();
        bytes calldata nested = stream.slice(stream.number(3));
        // No pool has a fee of zero: it stands for the only pool of the pair, which sets its own.
        uint8 kind = fee == 0 ? FACTORY_ALGEBRA : FACTORY_UNISWAP_V3;
        (address pool,) =
            registry.poolOf(kind, swap.factory, swap.tokenIn, swap.tokenOut, fee, Scratch.reducing());
        // A negative amount would mean exact output to the pool.
        if (swap.amountIn > uint256(type(int256).max) || limit > type(uint160).max) {
            revert SwapOutOfRange(swap.amountIn, limit);
        }
        bool zeroForOne = swap.tokenIn < swap.tokenOut;
        if (limit == 0) limit = zeroForOne ? MIN_SQRT_PRICE : MAX_SQRT_PRICE;
        bytes memory data = abi.encodePacked(swap.tokenIn, swap.amountIn, zeroForOne, nested);

        Scratch.arm(pool, this.uniswapV3SwapCallback.selector, keccak256(data));
        (int256 delta0, int256 delta1) =
            IUniswapV3Pool(pool).swap(address(this), zeroForOne, int256(swap.amountIn), uint160(limit), data);
        Scratch.disarm(pool, this.uniswapV3SwapCallback.selector);

        int256 received = -(zeroForOne ? delta1 : delta0);
        uint256 output = received > 0 ? uint256(received) : 0;
        if (output < swap.minOut) revert OutputBelowMinimum(pool, output, swap.minOut);
    }

    function _readSwap(StreamLib.Stream memory stream) private view returns (Swap memory swap) {
        swap.factory = stream.account();
        swap.tokenIn = stream.account();
        swap.tokenOut = stream.account();
        swap.amountIn = stream.amount();
        swap.minOut = stream.amount();
    }

    /// @dev Rounds down, as the pair's own check demands.
    function _outputV2(address pool, uint256 amountIn, uint256 feePpm, bool zeroForOne)
        private
        view
        returns (uint256)
    {
        (uint256 reserve0, uint256 reserve1,) = IUniswapV2Pair(pool).getReserves();
        (uint256 reserveIn, uint256 reserveOut) = zeroForOne ? (reserve0, reserve1) : (reserve1, reserve0);
        uint256 taxed = amountIn * (PPM - feePpm);
        return taxed * reserveOut / (reserveIn * PPM + taxed);
    }
}
