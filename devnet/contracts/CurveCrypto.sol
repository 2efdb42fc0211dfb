// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

/// @notice The arithmetic of two-coin cryptoswap: Newton for D and for a balance, the mean, powers of one half.
/// @dev `ann` is A times 40,000 (two squared, times 10,000), everything else has 18 decimals.
library CryptoMath {
    uint256 internal constant WAD = 1e18;
    uint256 internal constant A_MULTIPLIER = 10_000;
    uint256 internal constant ROUNDS = 255;

    error UnsafeValues();
    error NotConverged();

    /// @return The balance of the coin beside `x` that keeps `d`.
    function newtonY(uint256 ann, uint256 gamma, uint256 x, uint256 d) internal pure returns (uint256) {
        uint256 y = d * d / (x * 4);
        uint256 k0i = 2 * WAD * x / d;
        if (x * WAD / d < 1e16 || x * WAD / d > 1e20) revert UnsafeValues();
        uint256 limit = _max(_max(x, d) / 1e14, 100);
        for (uint256 round; round < ROUNDS; ++round) {
            uint256 before = y;
            y = _nextY(ann, gamma, x, d, k0i * y * 2 / d, y);
            // A balance that was halved is no answer yet, however near.
            if (y != before / 2 && _difference(y, before) < _max(limit, y / 1e14)) {
                if (y * WAD / d < 1e16 || y * WAD / d > 1e20) revert UnsafeValues();
                return y;
            }
        }
        revert NotConverged();
    }

    function _nextY(uint256 ann, uint256 gamma, uint256 x, uint256 d, uint256 k0, uint256 y)
        private
        pure
        returns (uint256)
    {
        (uint256 mul1, uint256 mul2) = _coefficients(ann, gamma, d, k0, WAD, 1);
        uint256 slope = WAD * y + (x + y) * mul2 + mul1;
        if (slope < d * mul2) return y / 2;
        slope -= d * mul2;
        uint256 perUnit = slope / y;
        uint256 minus = mul1 / perUnit;
        uint256 plus = (slope + WAD * d) / perUnit + minus * WAD / k0;
        minus += WAD * (x + y) / perUnit;
        return plus < minus ? y / 2 : plus - minus;
    }

    function newtonD(uint256 ann, uint256 gamma, uint256 x0, uint256 x1) internal pure returns (uint256 d) {
        if (x0 < x1) (x0, x1) = (x1, x0);
        if (x0 < 1e9 || x0 > 1e33 || x1 * WAD / x0 < 1e14) revert UnsafeValues();
        d = 2 * geometricMean(x0, x1);
        uint256 s = x0 + x1;
        for (uint256 round; round < ROUNDS; ++round) {
            uint256 before = d;
            d = _nextD(ann, gamma, s, (WAD * 4 * x0 / d) * x1 / d, d);
            if (_difference(d, before) * 1e14 < _max(1e16, d)) {
                if (x1 * WAD / d < 1e16 || x0 * WAD / d > 1e20) revert UnsafeValues();
                return d;
            }
        }
        revert NotConverged();
    }

    function _nextD(uint256 ann, uint256 gamma, uint256 s, uint256 k0, uint256 d) private pure returns (uint256) {
        (uint256 mul1, uint256 mul2) = _coefficients(ann, gamma, d, k0, 0, 2);
        uint256 slope = (s + s * mul2 / WAD) + mul1 * 2 / k0 - mul2 * d / WAD;
        uint256 plus = d * (slope + s) / slope;
        uint256 minus = d * d / slope;
        uint256 step = d * (mul1 / slope) / WAD;
        if (k0 < WAD) minus += step * (WAD - k0) / k0;
        else minus -= step * (k0 - WAD) / k0;
        return plus > minus ? plus - minus : (minus - plus) / 2;
    }

    function geometricMean(uint256 x0, uint256 x1) internal pure returns (uint256 d) {
        if (x0 < x1) (x0, x1) = (x1, x0);
        d = x0;
        for (uint256 round; round < ROUNDS; ++round) {
            uint256 before = d;
            d = (d + x0 * x1 / d) / 2;
            uint256 difference = _difference(d, before);
            if (difference <= 1 || difference * WAD < d) return d;
        }
        revert NotConverged();
    }

    /// @return 1e18 * 0.5 ** (power / 1e18), by the binomial series.
    function halfPower(uint256 power) internal pure returns (uint256) {
        uint256 whole = power / WAD;
        uint256 rest = power % WAD;
        if (whole > 59) return 0;
        uint256 result = WAD / 2 ** whole;
        if (rest == 0) return result;
        (uint256 term, uint256 sum, bool negative) = (WAD, WAD, false);
        for (uint256 i = 1; i < 256; ++i) {
            uint256 k = i * WAD;
            uint256 c = k - WAD;
            if (rest > c) (c, negative) = (rest - c, !negative);
            else c -= rest;
            term = term * (c * 5e17 / WAD) / k;
            sum = negative ? sum - term : sum + term;
            if (term < 1e10) return result * sum / WAD;
        }
        revert NotConverged();
    }

    function _coefficients(uint256 ann, uint256 gamma, uint256 d, uint256 k0, uint256 base, uint256 factor)
        private
        pure
        returns (uint256 mul1, uint256 mul2)
    {
        uint256 g = _difference(gamma + WAD, k0) + 1;
        mul1 = WAD * d / gamma * g / gamma * g * A_MULTIPLIER / ann;
        mul2 = base + 2 * WAD * factor * k0 / g;
    }

    function _difference(uint256 a, uint256 b) private pure returns (uint256) {
        return a > b ? a - b : b - a;
    }

    function _max(uint256 a, uint256 b) private pure returns (uint256) {
        return a > b ? a : b;
    }
}

/// @notice A Curve two-coin crypto pool (first generation), its own LP token: it trades around a price that it
/// moves after the market once it has earned enough. The second coin is priced in the first.
/// @dev Left out: ramps, admin fees, native coin, the LP token as a contract of its own.
contract CurveCrypto is ERC20, Ownable {
    using SafeERC20 for IERC20;

    uint256 internal constant WAD = 1e18;
    uint256 internal constant FEE_DENOMINATOR = 1e10;
    uint256 internal constant NOISE_FEE = 1e5;

    address[2] public coins;
    uint256[2] public balances;
    uint256 internal immutable _precision0;
    uint256 internal immutable _precision1;
    uint256 public immutable A;
    uint256 public immutable gamma;
    uint256 public immutable mid_fee;
    uint256 public immutable out_fee;
    uint256 public immutable fee_gamma;
    uint256 public immutable allowed_extra_profit;
    uint256 public immutable adjustment_step;
    uint256 public immutable ma_half_time;

    uint256 public D;
    uint256 public price_scale;
    uint256 public last_prices;
    uint256 public last_prices_timestamp;
    uint256 public xcp_profit;
    uint256 public virtual_price;
    /// @notice When a ramp ends; there is none.
    uint256 public constant future_A_gamma_time = 0;
    bool public is_killed;
    uint256 internal _priceOracle;
    bool internal _notAdjusted;

    event TokenExchange(
        address indexed buyer, uint256 sold_id, uint256 tokens_sold, uint256 bought_id, uint256 tokens_bought
    );
    event AddLiquidity(address indexed provider, uint256[2] token_amounts, uint256 fee, uint256 token_supply);
    event RemoveLiquidity(address indexed provider, uint256[2] token_amounts, uint256 token_supply);

    error Killed();
    error SameCoin();
    error ZeroAmount();
    error Slippage(uint256 amount, uint256 wanted);
    error Loss();

    struct Terms {
        uint256 a;
        uint256 gamma;
        uint256 midFee;
        uint256 outFee;
        uint256 feeGamma;
        uint256 allowedExtraProfit;
        uint256 adjustmentStep;
        uint256 maHalfTime;
        uint256 initialPrice;
    }

    constructor(
        string memory name_,
        string memory symbol_,
        address[2] memory coins_,
        uint256[2] memory precisions,
        Terms memory terms,
        address owner_
    ) ERC20(name_, symbol_) Ownable(owner_) {
        coins = coins_;
        (_precision0, _precision1) = (precisions[0], precisions[1]);
        (A, gamma) = (terms.a, terms.gamma);
        (mid_fee, out_fee, fee_gamma) = (terms.midFee, terms.outFee, terms.feeGamma);
        (allowed_extra_profit, adjustment_step) = (terms.allowedExtraProfit, terms.adjustmentStep);
        ma_half_time = terms.maHalfTime;
        (price_scale, _priceOracle, last_prices) = (terms.initialPrice, terms.initialPrice, terms.initialPrice);
        last_prices_timestamp = block.timestamp;
        xcp_profit = WAD;
    }

    function setKilled(bool killed) external onlyOwner {
        is_killed = killed;
    }

    // ------------------------------------------------------------------ views

    function get_dy(uint256 i, uint256 j, uint256 dx) external view returns (uint256) {
        return _trade(i, j, dx);
    }

    function get_virtual_price() external view returns (uint256) {
        return WAD * _xcp(D, price_scale) / totalSupply();
    }

    function calc_token_amount(uint256[2] calldata amounts) external view returns (uint256 minted) {
        (minted,) = _deposit(amounts);
    }

    function price_oracle() public view returns (uint256) {
        uint256 elapsed = block.timestamp - last_prices_timestamp;
        if (elapsed == 0) return _priceOracle;
        uint256 alpha = CryptoMath.halfPower(elapsed * WAD / ma_half_time);
        return (last_prices * (WAD - alpha) + _priceOracle * alpha) / WAD;
    }

    // ------------------------------------------------------------------ traders and providers

    function exchange(uint256 i, uint256 j, uint256 dx, uint256 minDy) external returns (uint256 dy) {
        if (is_killed) revert Killed();
        dy = _trade(i, j, dx);
        if (dy < minDy) revert Slippage(dy, minDy);
        balances[i] += dx;
        balances[j] -= dy;
        uint256 price;
        if (dx > 1e5 && dy > 1e5) {
            (uint256 in_, uint256 out) = (dx * _precision(i), dy * _precision(j));
            price = i == 0 ? in_ * WAD / out : out * WAD / in_;
        }
        _tweakPrice(price, 0);
        IERC20(coins[i]).safeTransferFrom(msg.sender, address(this), dx);
        IERC20(coins[j]).safeTransfer(msg.sender, dy);
        emit TokenExchange(msg.sender, i, dx, j, dy);
    }

    function add_liquidity(uint256[2] calldata amounts, uint256 minMint) external returns (uint256 minted) {
        if (is_killed) revert Killed();
        uint256 d;
        (minted, d) = _deposit(amounts);
        if (minted < minMint) revert Slippage(minted, minMint);
        bool first = D == 0;
        for (uint256 k; k < 2; ++k) {
            balances[k] += amounts[k];
            if (amounts[k] > 0) IERC20(coins[k]).safeTransferFrom(msg.sender, address(this), amounts[k]);
        }
        _mint(msg.sender, minted);
        if (first) (D, virtual_price, xcp_profit) = (d, WAD, WAD);
        else _tweakPrice(minted > 1e5 ? _depositPrice(amounts, minted) : 0, d);
        emit AddLiquidity(msg.sender, amounts, 0, totalSupply());
    }

    function remove_liquidity(uint256 burnt, uint256[2] calldata minAmounts) external {
        if (burnt == 0) revert ZeroAmount();
        uint256 supply = totalSupply();
        uint256 amount = burnt - 1; // rounding favours those who stay
        uint256[2] memory out;
        for (uint256 k; k < 2; ++k) {
            out[k] = balances[k] * amount / supply;
            if (out[k] < minAmounts[k]) revert Slippage(out[k], minAmounts[k]);
            balances[k] -= out[k];
            IERC20(coins[k]).safeTransfer(msg.sender, out[k]);
        }
        _burn(msg.sender, burnt);
        D -= D * amount / supply;
        emit RemoveLiquidity(msg.sender, out, supply - burnt);
    }

    // ------------------------------------------------------------------ arithmetic

    function _precision(uint256 i) private view returns (uint256) {
        return i == 0 ? _precision0 : _precision1;
    }

    /// @dev In 18 decimals of the first coin.
    function _scaled(uint256 x0, uint256 x1) private view returns (uint256[2] memory) {
        return [x0 * _precision0, x1 * _precision1 * price_scale / WAD];
    }

    function _trade(uint256 i, uint256 j, uint256 dx) private view returns (uint256 dy) {
        if (i == j) revert SameCoin();
        if (dx == 0) revert ZeroAmount();
        uint256[2] memory xp =
            _scaled(balances[0] + (i == 0 ? dx : 0), balances[1] + (i == 1 ? dx : 0));
        uint256 y = CryptoMath.newtonY(A, gamma, xp[i], D);
        dy = xp[j] - y - 1;
        xp[j] = y;
        if (j == 1) dy = dy * WAD / price_scale;
        dy /= _precision(j);
        dy -= _fee(xp) * dy / FEE_DENOMINATOR;
    }

    function _deposit(uint256[2] calldata amounts) private view returns (uint256 minted, uint256 d) {
        if (amounts[0] + amounts[1] == 0) revert ZeroAmount();
        uint256[2] memory old = _scaled(balances[0], balances[1]);
        uint256[2] memory xp = _scaled(balances[0] + amounts[0], balances[1] + amounts[1]);
        d = CryptoMath.newtonD(A, gamma, xp[0], xp[1]);
        if (D == 0) return (_xcp(d, price_scale), d);
        uint256 supply = totalSupply();
        minted = supply * d / D - supply;
        if (minted == 0) revert ZeroAmount();
        (uint256 a0, uint256 a1) = (xp[0] - old[0], xp[1] - old[1]);
        uint256 mean = (a0 + a1) / 2;
        uint256 spread = (a0 > mean ? a0 - mean : mean - a0) + (a1 > mean ? a1 - mean : mean - a1);
        uint256 fee = (_fee(xp) * 2 / 4) * spread / (a0 + a1) + NOISE_FEE;
        minted -= fee * minted / FEE_DENOMINATOR + 1;
    }

    /// @dev The price that a lopsided deposit implies; 0 for one of both coins. Balances are the new ones.
    function _depositPrice(uint256[2] calldata amounts, uint256 minted) private view returns (uint256) {
        if (amounts[0] > 0 && amounts[1] > 0) return 0;
        uint256 supply = totalSupply();
        uint256 ix = amounts[0] == 0 ? 1 : 0;
        uint256 other = balances[1 - ix] * _precision(1 - ix) * minted / supply;
        uint256 own = _precision(ix);
        uint256 price = other * WAD / (amounts[ix] * own - minted * balances[ix] * own / supply);
        return ix == 0 ? WAD * WAD / price : price;
    }

    function _fee(uint256[2] memory xp) private view returns (uint256) {
        uint256 f = xp[0] + xp[1];
        f = fee_gamma * WAD / (fee_gamma + WAD - WAD * 4 * xp[0] / f * xp[1] / f);
        return (mid_fee * f + out_fee * (WAD - f)) / WAD;
    }

    /// @dev Value of a pool in balance at this D and price, as the mean of its balances.
    function _xcp(uint256 d, uint256 scale) private pure returns (uint256) {
        return CryptoMath.geometricMean(d / 2, d * WAD / (2 * scale));
    }

    /// @dev Books the oracle and the profit, and moves the price scale towards the oracle where half of what was
    /// earned stays. `price` 0: measured at the margin. `newD` 0: computed.
    function _tweakPrice(uint256 price, uint256 newD) private {
        uint256 oracle = price_oracle();
        (_priceOracle, last_prices_timestamp) = (oracle, block.timestamp);
        uint256[2] memory xp = _scaled(balances[0], balances[1]);
        uint256 d = newD == 0 ? CryptoMath.newtonD(A, gamma, xp[0], xp[1]) : newD;
        if (price == 0) {
            uint256 dx = xp[0] / 1e6;
            price = price_scale * dx / (xp[1] - CryptoMath.newtonY(A, gamma, xp[0] + dx, d));
        }
        last_prices = price;
        uint256 worth = WAD * _xcp(d, price_scale) / totalSupply();
        if (worth < virtual_price) revert Loss();
        xcp_profit = xcp_profit * worth / virtual_price;
        (D, virtual_price) = (d, worth);
        if (!_notAdjusted && worth * 2 - WAD > xcp_profit + 2 * allowed_extra_profit) _notAdjusted = true;
        if (_notAdjusted && !_adjust(xp, oracle)) _notAdjusted = false;
    }

    /// @return Whether the price scale was moved.
    function _adjust(uint256[2] memory xp, uint256 oracle) private returns (bool) {
        uint256 scale = price_scale;
        uint256 norm = oracle * WAD / scale;
        norm = norm > WAD ? norm - WAD : WAD - norm;
        uint256 step = norm / 5 > adjustment_step ? norm / 5 : adjustment_step;
        if (norm <= step) return false;
        uint256 moved = (scale * (norm - step) + step * oracle) / norm;
        uint256 d = CryptoMath.newtonD(A, gamma, xp[0], xp[1] * moved / scale);
        uint256 worth = WAD * _xcp(d, moved) / totalSupply();
        if (worth <= WAD || 2 * worth - WAD <= xcp_profit) return false;
        (price_scale, D, virtual_price) = (moved, d, worth);
        return true;
    }
}
