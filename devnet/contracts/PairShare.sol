// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

/// @notice What the stand-ins of Solidly's and Camelot's pairs have in common: reserves, shares, the two curves.
/// @dev Written from the protocols' published interfaces and formulas. Shares count balances, swaps count reserves.
abstract contract PairShare is ERC20 {
    using SafeERC20 for IERC20Metadata;

    // ------------------------------------------------------------ constants

    uint256 public constant MINIMUM_LIQUIDITY = 1_000;
    uint256 internal constant ONE = 1e18;
    uint256 private constant ITERATIONS = 255;

    // --------------------------------------------------------------- errors

    error Locked();
    error NothingOut();
    error NothingIn();
    error TooLittleLiquidity();
    error CurveBroken(uint256 before, uint256 afterwards);
    error NoShares();

    // -------------------------------------------------------------- storage

    address public immutable factory;
    address public immutable token0;
    address public immutable token1;
    uint256 internal immutable unit0;
    uint256 internal immutable unit1;

    uint256 internal _reserve0;
    uint256 internal _reserve1;
    uint256 private _entered = 1;

    modifier alone() {
        if (_entered != 1) revert Locked();
        _entered = 2;
        _;
        _entered = 1;
    }

    constructor(address token0_, address token1_) ERC20("Pair", "PAIR") {
        factory = msg.sender;
        (token0, token1) = (token0_, token1_);
        unit0 = 10 ** IERC20Metadata(token0_).decimals();
        unit1 = 10 ** IERC20Metadata(token1_).decimals();
    }

    // --------------------------------------------------------------- shares

    function mint(address to) external alone returns (uint256 shares) {
        (uint256 balance0, uint256 balance1) = _balances();
        (uint256 amount0, uint256 amount1) = (balance0 - _reserve0, balance1 - _reserve1);
        _payProtocol();
        uint256 supply = totalSupply();
        if (supply == 0) {
            shares = Math.sqrt(amount0 * amount1) - MINIMUM_LIQUIDITY;
            _mint(address(1), MINIMUM_LIQUIDITY);
        } else {
            shares = Math.min(amount0 * supply / _reserve0, amount1 * supply / _reserve1);
        }
        if (shares == 0) revert NoShares();
        _mint(to, shares);
        _settle(balance0, balance1);
        _rememberCurve();
    }

    function burn(address to) external alone returns (uint256 amount0, uint256 amount1) {
        (uint256 balance0, uint256 balance1) = _balances();
        uint256 shares = balanceOf(address(this));
        _payProtocol();
        uint256 supply = totalSupply();
        amount0 = shares * balance0 / supply;
        amount1 = shares * balance1 / supply;
        if (amount0 == 0 || amount1 == 0) revert NoShares();
        _burn(address(this), shares);
        IERC20Metadata(token0).safeTransfer(to, amount0);
        IERC20Metadata(token1).safeTransfer(to, amount1);
        (balance0, balance1) = _balances();
        _settle(balance0, balance1);
        _rememberCurve();
    }

    // -------------------------------------------------- what each pair says

    function _isStable() internal view virtual returns (bool);
    /// @dev Before shares are counted: what the protocol is due of the growth.
    function _payProtocol() internal virtual;
    /// @dev After shares have changed.
    function _rememberCurve() internal virtual;
    function _settle(uint256 balance0, uint256 balance1) internal virtual;

    // ---------------------------------------------------------------- curve

    function _balances() internal view returns (uint256, uint256) {
        return (
            IERC20Metadata(token0).balanceOf(address(this)), IERC20Metadata(token1).balanceOf(address(this))
        );
    }

    /// @dev x y, or x^3 y + y^3 x on 18 decimals.
    function _k(uint256 amount0, uint256 amount1) internal view returns (uint256) {
        if (!_isStable()) return amount0 * amount1;
        uint256 x = amount0 * ONE / unit0;
        uint256 y = amount1 * ONE / unit1;
        return (x * y / ONE) * (x * x / ONE + y * y / ONE) / ONE;
    }

    /// @param kept the input without its fee
    function _stableOutput(uint256 kept, bool zeroForOne) internal view returns (uint256) {
        (uint256 unitIn, uint256 unitOut) = zeroForOne ? (unit0, unit1) : (unit1, unit0);
        uint256 k = _k(_reserve0, _reserve1);
        uint256 reserveIn = (zeroForOne ? _reserve0 : _reserve1) * ONE / unitIn;
        uint256 reserveOut = (zeroForOne ? _reserve1 : _reserve0) * ONE / unitOut;
        return (reserveOut - _other(kept * ONE / unitIn + reserveIn, k, reserveOut)) * unitOut / ONE;
    }

    /// @dev Newton's method; ends when two steps are at most one apart.
    function _other(uint256 x, uint256 k, uint256 y) internal view virtual returns (uint256) {
        uint256 cubed = x * x / ONE * x / ONE;
        for (uint256 i = 0; i < ITERATIONS; ++i) {
            uint256 value = x * (y * y / ONE * y / ONE) / ONE + cubed * y / ONE;
            uint256 slope = 3 * x * (y * y / ONE) / ONE + cubed;
            uint256 before = y;
            y = value < k ? y + (k - value) * ONE / slope : y - (value - k) * ONE / slope;
            if (y > before ? y - before <= 1 : before - y <= 1) break;
        }
        return y;
    }
}
