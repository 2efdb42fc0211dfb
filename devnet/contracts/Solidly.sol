// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

import {PairShare} from "./PairShare.sol";

/// @notice Stand-in of a Solidly pair as Ramses runs it: volatile or stable, fees set by the factory and taken out of
///         the pair as they arise.
contract SolidlyPair is PairShare {
    using SafeERC20 for IERC20Metadata;

    uint256 private constant BPS = 10_000;

    error IsPaused();

    bool public immutable stable;

    constructor(address token0_, address token1_, bool stable_) PairShare(token0_, token1_) {
        stable = stable_;
    }

    function getReserves() external view returns (uint256, uint256, uint256) {
        return (_reserve0, _reserve1, block.timestamp);
    }

    function getAmountOut(uint256 amountIn, address tokenIn) external view returns (uint256) {
        bool zeroForOne = tokenIn == token0;
        uint256 kept = amountIn - amountIn * SolidlyFactory(factory).feeOf(address(this)) / BPS;
        if (stable) return _stableOutput(kept, zeroForOne);
        (uint256 reserveIn, uint256 reserveOut) = zeroForOne ? (_reserve0, _reserve1) : (_reserve1, _reserve0);
        return kept * reserveOut / (reserveIn + kept);
    }

    /// @dev Fees leave for the factory, which stands for whoever is paid them.
    function swap(uint256 amount0Out, uint256 amount1Out, address to, bytes calldata) external alone {
        if (SolidlyFactory(factory).isPaused()) revert IsPaused();
        if (amount0Out == 0 && amount1Out == 0) revert NothingOut();
        (uint256 reserve0, uint256 reserve1) = (_reserve0, _reserve1);
        if (amount0Out >= reserve0 || amount1Out >= reserve1) revert TooLittleLiquidity();
        if (amount0Out != 0) IERC20Metadata(token0).safeTransfer(to, amount0Out);
        if (amount1Out != 0) IERC20Metadata(token1).safeTransfer(to, amount1Out);
        (uint256 balance0, uint256 balance1) = _balances();
        uint256 in0 = balance0 > reserve0 - amount0Out ? balance0 - (reserve0 - amount0Out) : 0;
        uint256 in1 = balance1 > reserve1 - amount1Out ? balance1 - (reserve1 - amount1Out) : 0;
        if (in0 == 0 && in1 == 0) revert NothingIn();
        uint256 fee = SolidlyFactory(factory).feeOf(address(this));
        if (in0 * fee >= BPS) IERC20Metadata(token0).safeTransfer(factory, in0 * fee / BPS);
        if (in1 * fee >= BPS) IERC20Metadata(token1).safeTransfer(factory, in1 * fee / BPS);
        (balance0, balance1) = _balances();
        if (_k(balance0, balance1) < _k(reserve0, reserve1)) {
            revert CurveBroken(_k(reserve0, reserve1), _k(balance0, balance1));
        }
        _settle(balance0, balance1);
    }

    function _isStable() internal view override returns (bool) {
        return stable;
    }

    function _payProtocol() internal pure override {}

    function _rememberCurve() internal pure override {}

    function _settle(uint256 balance0, uint256 balance1) internal override {
        (_reserve0, _reserve1) = (balance0, balance1);
    }
}

/// @notice Stand-in of Ramses' factory: one pair for each two tokens and curve, with fees [bps].
contract SolidlyFactory {
    error NotOwner();
    error PairExists(address pair);

    address public immutable owner;
    bool public isPaused;
    uint256 public stableFee = 4;
    uint256 public volatileFee = 18;
    /// @notice Zero: the fee of its curve.
    mapping(address pair => uint256 bps) public pairFee;
    mapping(address token0 => mapping(address token1 => mapping(bool stable => address pair))) private _pairs;

    constructor(address owner_) {
        owner = owner_;
    }

    function createPair(address tokenA, address tokenB, bool stable) external returns (address pair) {
        (address token0, address token1) = tokenA < tokenB ? (tokenA, tokenB) : (tokenB, tokenA);
        pair = _pairs[token0][token1][stable];
        if (pair != address(0)) revert PairExists(pair);
        pair = address(new SolidlyPair(token0, token1, stable));
        _pairs[token0][token1][stable] = pair;
    }

    function setPause(bool paused) external {
        if (msg.sender != owner) revert NotOwner();
        isPaused = paused;
    }

    function setPairFee(address pair, uint256 bps) external {
        if (msg.sender != owner) revert NotOwner();
        pairFee[pair] = bps;
    }

    function getPair(address tokenA, address tokenB, bool stable) external view returns (address) {
        (address token0, address token1) = tokenA < tokenB ? (tokenA, tokenB) : (tokenB, tokenA);
        return _pairs[token0][token1][stable];
    }

    function feeOf(address pair) external view returns (uint256) {
        if (pairFee[pair] != 0) return pairFee[pair];
        return SolidlyPair(pair).stable() ? stableFee : volatileFee;
    }
}

/// @notice Stand-in of Solidly's router, as far as its arguments are all static.
contract SolidlyRouter {
    using SafeERC20 for IERC20Metadata;

    error Expired(uint256 deadline);
    error OutputBelowMinimum(uint256 output, uint256 minimum);

    SolidlyFactory public immutable factory;

    modifier until(uint256 deadline) {
        if (block.timestamp > deadline) revert Expired(deadline);
        _;
    }

    constructor(SolidlyFactory factory_) {
        factory = factory_;
    }

    function swapExactTokensForTokensSimple(
        uint256 amountIn,
        uint256 amountOutMin,
        address tokenFrom,
        address tokenTo,
        bool stable,
        address to,
        uint256 deadline
    ) external until(deadline) returns (uint256[] memory amounts) {
        SolidlyPair pair = _pairOf(tokenFrom, tokenTo, stable);
        amounts = new uint256[](2);
        amounts[0] = amountIn;
        amounts[1] = pair.getAmountOut(amountIn, tokenFrom);
        if (amounts[1] < amountOutMin) revert OutputBelowMinimum(amounts[1], amountOutMin);
        IERC20Metadata(tokenFrom).safeTransferFrom(msg.sender, address(pair), amountIn);
        if (tokenFrom == pair.token0()) pair.swap(0, amounts[1], to, "");
        else pair.swap(amounts[1], 0, to, "");
    }

    function removeLiquidity(
        address tokenA,
        address tokenB,
        bool stable,
        uint256 liquidity,
        uint256 amountAMin,
        uint256 amountBMin,
        address to,
        uint256 deadline
    ) external until(deadline) returns (uint256 amountA, uint256 amountB) {
        SolidlyPair pair = _pairOf(tokenA, tokenB, stable);
        IERC20Metadata(address(pair)).safeTransferFrom(msg.sender, address(pair), liquidity);
        (uint256 amount0, uint256 amount1) = pair.burn(to);
        (amountA, amountB) = tokenA == pair.token0() ? (amount0, amount1) : (amount1, amount0);
        if (amountA < amountAMin) revert OutputBelowMinimum(amountA, amountAMin);
        if (amountB < amountBMin) revert OutputBelowMinimum(amountB, amountBMin);
    }

    function _pairOf(address tokenA, address tokenB, bool stable) internal view virtual returns (SolidlyPair) {
        return SolidlyPair(factory.getPair(tokenA, tokenB, stable));
    }
}
