// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {PairShare} from "./PairShare.sol";

/// @notice Stand-in of a Camelot V2 pair: a fee for each direction, volatile or stable, of which the protocol takes
///         its part as it arises, and a part of the growth of volatile pairs in shares.
contract CamelotPair is PairShare {
    using SafeERC20 for IERC20Metadata;

    uint256 public constant FEE_DENOMINATOR = 100_000;
    uint256 private constant RESERVE_MAX = type(uint112).max;

    error Overflow();
    error NotFactory();

    uint16 public token0FeePercent = 300;
    uint16 public token1FeePercent = 300;
    bool public stableSwap;
    uint256 public kLast;

    constructor(address token0_, address token1_) PairShare(token0_, token1_) {}

    function setFeePercent(uint16 fee0, uint16 fee1) external {
        if (msg.sender != CamelotFactory(factory).owner()) revert NotFactory();
        (token0FeePercent, token1FeePercent) = (fee0, fee1);
    }

    function setStableSwap(bool stable) external {
        if (msg.sender != CamelotFactory(factory).owner()) revert NotFactory();
        stableSwap = stable;
        kLast = stable ? 0 : kLast;
    }

    function precisionMultiplier0() external view returns (uint256) {
        return unit0;
    }

    function precisionMultiplier1() external view returns (uint256) {
        return unit1;
    }

    function getReserves() external view returns (uint112, uint112, uint16, uint16) {
        return (uint112(_reserve0), uint112(_reserve1), token0FeePercent, token1FeePercent);
    }

    function getAmountOut(uint256 amountIn, address tokenIn) external view returns (uint256) {
        bool zeroForOne = tokenIn == token0;
        uint256 fee = zeroForOne ? token0FeePercent : token1FeePercent;
        if (stableSwap) return _stableOutput(amountIn - amountIn * fee / FEE_DENOMINATOR, zeroForOne);
        (uint256 reserveIn, uint256 reserveOut) = zeroForOne ? (_reserve0, _reserve1) : (_reserve1, _reserve0);
        uint256 paid = amountIn * (FEE_DENOMINATOR - fee);
        return paid * reserveOut / (reserveIn * FEE_DENOMINATOR + paid);
    }

    function swap(uint256 amount0Out, uint256 amount1Out, address to, bytes calldata) external alone {
        if (amount0Out == 0 && amount1Out == 0) revert NothingOut();
        (uint256 reserve0, uint256 reserve1) = (_reserve0, _reserve1);
        if (amount0Out >= reserve0 || amount1Out >= reserve1) revert TooLittleLiquidity();
        if (amount0Out != 0) IERC20Metadata(token0).safeTransfer(to, amount0Out);
        if (amount1Out != 0) IERC20Metadata(token1).safeTransfer(to, amount1Out);
        (uint256 balance0, uint256 balance1) = _balances();
        uint256 in0 = balance0 > reserve0 - amount0Out ? balance0 - (reserve0 - amount0Out) : 0;
        uint256 in1 = balance1 > reserve1 - amount1Out ? balance1 - (reserve1 - amount1Out) : 0;
        if (in0 == 0 && in1 == 0) revert NothingIn();
        uint256 left0 = in0 * token0FeePercent / FEE_DENOMINATOR;
        uint256 left1 = in1 * token1FeePercent / FEE_DENOMINATOR;
        (uint256 share, address feeTo) = CamelotFactory(factory).feeInfo();
        if (feeTo != address(0)) {
            left0 -= _payFee(token0, feeTo, in0 * token0FeePercent * share / FEE_DENOMINATOR ** 2);
            left1 -= _payFee(token1, feeTo, in1 * token1FeePercent * share / FEE_DENOMINATOR ** 2);
        }
        (balance0, balance1) = _balances();
        uint256 before = _k(reserve0, reserve1);
        uint256 afterwards = _k(balance0 - left0, balance1 - left1);
        if (afterwards < before) revert CurveBroken(before, afterwards);
        _settle(balance0, balance1);
    }

    function _payFee(address token, address feeTo, uint256 fee) private returns (uint256) {
        if (fee != 0) IERC20Metadata(token).safeTransfer(feeTo, fee);
        return fee;
    }

    function _isStable() internal view override returns (bool) {
        return stableSwap;
    }

    /// @dev The protocol's part of what liquidity has grown by: `share` of all, in shares of the pair.
    function _payProtocol() internal override {
        if (stableSwap) return;
        (uint256 share, address feeTo) = CamelotFactory(factory).feeInfo();
        if (feeTo != address(0) && kLast != 0) {
            uint256 root = Math.sqrt(_reserve0 * _reserve1);
            uint256 rootLast = Math.sqrt(kLast);
            if (root > rootLast) {
                uint256 rest = FEE_DENOMINATOR * 100 / share - 100;
                uint256 minted = totalSupply() * (root - rootLast) * 100 / (root * rest + rootLast * 100);
                if (minted != 0) _mint(feeTo, minted);
            }
        }
    }

    function _settle(uint256 balance0, uint256 balance1) internal override {
        if (balance0 > RESERVE_MAX || balance1 > RESERVE_MAX) revert Overflow();
        (_reserve0, _reserve1) = (balance0, balance1);
    }

    function _rememberCurve() internal override {
        (, address feeTo) = CamelotFactory(factory).feeInfo();
        if (!stableSwap && feeTo != address(0)) kLast = _k(_reserve0, _reserve1);
    }
}

/// @notice Stand-in of Camelot's factory: one pair for each two tokens.
contract CamelotFactory {
    error NotOwner();
    error PairExists(address pair);

    address public immutable owner;
    uint256 public ownerFeeShare = 40_000;
    address public feeTo;
    mapping(address token0 => mapping(address token1 => address pair)) private _pairs;

    constructor(address owner_) {
        owner = owner_;
        feeTo = owner_;
    }

    function feeInfo() external view returns (uint256, address) {
        return (ownerFeeShare, feeTo);
    }

    function createPair(address tokenA, address tokenB) external returns (address pair) {
        (address token0, address token1) = tokenA < tokenB ? (tokenA, tokenB) : (tokenB, tokenA);
        pair = _pairs[token0][token1];
        if (pair != address(0)) revert PairExists(pair);
        pair = address(new CamelotPair(token0, token1));
        _pairs[token0][token1] = pair;
    }

    function getPair(address tokenA, address tokenB) external view returns (address) {
        (address token0, address token1) = tokenA < tokenB ? (tokenA, tokenB) : (tokenB, tokenA);
        return _pairs[token0][token1];
    }
}

/// @notice Stand-in of Camelot's router.
contract CamelotRouter {
    using SafeERC20 for IERC20Metadata;

    error Expired(uint256 deadline);
    error OutputBelowMinimum(uint256 output, uint256 minimum);

    CamelotFactory public immutable factory;

    modifier until(uint256 deadline) {
        if (block.timestamp > deadline) revert Expired(deadline);
        _;
    }

    constructor(CamelotFactory factory_) {
        factory = factory_;
    }

    /// @dev What arrives is what counts, so that tokens with a fee on transfer can be traded.
    function swapExactTokensForTokensSupportingFeeOnTransferTokens(
        uint256 amountIn,
        uint256 amountOutMin,
        address[] calldata path,
        address to,
        address,
        uint256 deadline
    ) external until(deadline) {
        IERC20Metadata bought = IERC20Metadata(path[path.length - 1]);
        uint256 before = bought.balanceOf(to);
        IERC20Metadata(path[0]).safeTransferFrom(msg.sender, factory.getPair(path[0], path[1]), amountIn);
        for (uint256 i = 0; i + 1 < path.length; ++i) {
            address next = i + 2 < path.length ? factory.getPair(path[i + 1], path[i + 2]) : to;
            _swapThrough(CamelotPair(factory.getPair(path[i], path[i + 1])), path[i], next);
        }
        uint256 output = bought.balanceOf(to) - before;
        if (output < amountOutMin) revert OutputBelowMinimum(output, amountOutMin);
    }

    function removeLiquidity(
        address tokenA,
        address tokenB,
        uint256 liquidity,
        uint256 amountAMin,
        uint256 amountBMin,
        address to,
        uint256 deadline
    ) external until(deadline) returns (uint256 amountA, uint256 amountB) {
        CamelotPair pair = CamelotPair(factory.getPair(tokenA, tokenB));
        IERC20Metadata(address(pair)).safeTransferFrom(msg.sender, address(pair), liquidity);
        (uint256 amount0, uint256 amount1) = pair.burn(to);
        (amountA, amountB) = tokenA == pair.token0() ? (amount0, amount1) : (amount1, amount0);
        if (amountA < amountAMin) revert OutputBelowMinimum(amountA, amountAMin);
        if (amountB < amountBMin) revert OutputBelowMinimum(amountB, amountBMin);
    }

    function _swapThrough(CamelotPair pair, address tokenIn, address to) private {
        bool zeroForOne = tokenIn == pair.token0();
        (uint112 reserve0, uint112 reserve1,,) = pair.getReserves();
        uint256 arrived =
            IERC20Metadata(tokenIn).balanceOf(address(pair)) - (zeroForOne ? reserve0 : reserve1);
        uint256 output = pair.getAmountOut(arrived, tokenIn);
        if (zeroForOne) pair.swap(0, output, to, "");
        else pair.swap(output, 0, to, "");
    }
}
