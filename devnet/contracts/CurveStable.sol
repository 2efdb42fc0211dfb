// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

/// @notice A Curve "stableswap-ng" pool of plain coins, by its int128 interface; the pool is its own LP token.
/// @dev `A` is stored times 100, fees are of 1e10, the fee grows off the peg. Left out: ramps of A, price oracles,
/// `exchange_received`, coins whose rate comes from elsewhere. Nobody can stop it.
contract CurveStable is ERC20 {
    using SafeERC20 for IERC20;

    uint256 internal constant PRECISION = 1e18;
    uint256 internal constant FEE_DENOMINATOR = 1e10;
    uint256 internal constant A_PRECISION = 100;

    address[] public coins;
    uint256 public immutable A_precise;
    uint256 public immutable fee;
    uint256 public immutable offpeg_fee_multiplier;
    uint256 public constant admin_fee = 5e9;

    uint256[] internal _stored;
    uint256[] internal _rates;
    uint256[] public admin_balances;

    event TokenExchange(
        address indexed buyer, int128 sold_id, uint256 tokens_sold, int128 bought_id, uint256 tokens_bought
    );
    event AddLiquidity(
        address indexed provider, uint256[] token_amounts, uint256[] fees, uint256 invariant, uint256 token_supply
    );
    event RemoveLiquidity(
        address indexed provider, uint256[] token_amounts, uint256[] fees, uint256 token_supply
    );
    event RemoveLiquidityOne(
        address indexed provider, int128 token_id, uint256 token_amount, uint256 coin_amount, uint256 token_supply
    );

    error SameCoin();
    error Slippage(uint256 amount, uint256 wanted);
    error InitialDepositNeedsEveryCoin();
    error NoGrowth();
    error NotConverged();
    error ZeroAmount();

    constructor(
        string memory name_,
        string memory symbol_,
        address[] memory coins_,
        uint256[] memory rates_,
        uint256 a,
        uint256 fee_,
        uint256 offpeg
    ) ERC20(name_, symbol_) {
        (coins, _rates) = (coins_, rates_);
        (A_precise, fee, offpeg_fee_multiplier) = (a * A_PRECISION, fee_, offpeg);
        for (uint256 k; k < coins_.length; ++k) {
            _stored.push(0);
            admin_balances.push(0);
        }
    }

    // ------------------------------------------------------------------ views

    function A() external view returns (uint256) {
        return A_precise / A_PRECISION;
    }

    function N_COINS() external view returns (uint256) {
        return coins.length;
    }

    /// @notice Without the admin's part. [token units]
    function balances(uint256 i) external view returns (uint256) {
        return _stored[i];
    }

    function get_balances() external view returns (uint256[] memory) {
        return _stored;
    }

    function stored_rates() external view returns (uint256[] memory) {
        return _rates;
    }

    function get_virtual_price() external view returns (uint256) {
        return _invariant(_scaled(_stored)) * PRECISION / totalSupply();
    }

    function get_dy(int128 i, int128 j, uint256 dx) external view returns (uint256) {
        (uint256 dy,) = _trade(_index(i), _index(j), dx);
        return dy;
    }

    function calc_withdraw_one_coin(uint256 burnt, int128 i) external view returns (uint256) {
        (uint256 dy,) = _oneCoin(burnt, _index(i));
        return dy;
    }

    /// @dev For deposits only: what is minted for these amounts.
    function calc_token_amount(uint256[] calldata amounts, bool isDeposit) external view returns (uint256 minted) {
        require(isDeposit, "DEPOSITS_ONLY");
        (minted,,,) = _deposit(amounts);
    }

    // ------------------------------------------------------------------ traders and providers

    function exchange(int128 i, int128 j, uint256 dx, uint256 minDy) external returns (uint256 dy) {
        uint256 dyFee;
        (uint256 from, uint256 to) = (_index(i), _index(j));
        (dy, dyFee) = _trade(from, to, dx);
        if (dy < minDy) revert Slippage(dy, minDy);
        uint256 admin = (dyFee * admin_fee / FEE_DENOMINATOR) * PRECISION / _rates[to];
        admin_balances[to] += admin;
        _stored[from] += dx;
        _stored[to] -= dy + admin;
        IERC20(coins[from]).safeTransferFrom(msg.sender, address(this), dx);
        IERC20(coins[to]).safeTransfer(msg.sender, dy);
        emit TokenExchange(msg.sender, i, dx, j, dy);
    }

    function add_liquidity(uint256[] calldata amounts, uint256 minMint) external returns (uint256 minted) {
        uint256 d1;
        uint256[] memory fees;
        uint256[] memory kept;
        (minted, d1, fees, kept) = _deposit(amounts);
        if (minted < minMint) revert Slippage(minted, minMint);
        for (uint256 k; k < amounts.length; ++k) {
            admin_balances[k] += _stored[k] + amounts[k] - kept[k];
            _stored[k] = kept[k];
            if (amounts[k] > 0) IERC20(coins[k]).safeTransferFrom(msg.sender, address(this), amounts[k]);
        }
        _mint(msg.sender, minted);
        emit AddLiquidity(msg.sender, amounts, fees, d1, totalSupply());
    }

    function remove_liquidity(uint256 burnt, uint256[] calldata minAmounts) external returns (uint256[] memory out) {
        uint256 supply = totalSupply();
        if (burnt == 0) revert ZeroAmount();
        out = new uint256[](coins.length);
        for (uint256 k; k < out.length; ++k) {
            out[k] = _stored[k] * burnt / supply;
            if (out[k] < minAmounts[k]) revert Slippage(out[k], minAmounts[k]);
            _stored[k] -= out[k];
            IERC20(coins[k]).safeTransfer(msg.sender, out[k]);
        }
        _burn(msg.sender, burnt);
        emit RemoveLiquidity(msg.sender, out, new uint256[](out.length), supply - burnt);
    }

    function remove_liquidity_one_coin(uint256 burnt, int128 i, uint256 minAmount) external returns (uint256 dy) {
        if (burnt == 0) revert ZeroAmount();
        uint256 feePaid;
        uint256 place = _index(i);
        (dy, feePaid) = _oneCoin(burnt, place);
        if (dy < minAmount) revert Slippage(dy, minAmount);
        uint256 admin = feePaid * admin_fee / FEE_DENOMINATOR;
        admin_balances[place] += admin;
        _stored[place] -= dy + admin;
        _burn(msg.sender, burnt);
        IERC20(coins[place]).safeTransfer(msg.sender, dy);
        emit RemoveLiquidityOne(msg.sender, i, burnt, dy, totalSupply());
    }

    // ------------------------------------------------------------------ arithmetic

    function _trade(uint256 i, uint256 j, uint256 dx) private view returns (uint256 dy, uint256 dyFee) {
        if (i == j) revert SameCoin();
        if (dx == 0) revert ZeroAmount();
        uint256[] memory xp = _scaled(_stored);
        uint256 d = _invariant(xp);
        (uint256 xi, uint256 xj) = (xp[i], xp[j]);
        xp[i] = xi + dx * _rates[i] / PRECISION;
        uint256 y = _y(j, xp, d);
        dy = xj - y - 1;
        dyFee = dy * _dynamicFee((xi + xp[i]) / 2, (xj + y) / 2, fee) / FEE_DENOMINATOR;
        dy = (dy - dyFee) * PRECISION / _rates[j];
    }

    function _deposit(uint256[] calldata amounts)
        private
        view
        returns (uint256 minted, uint256 d1, uint256[] memory fees, uint256[] memory kept)
    {
        uint256 n = coins.length;
        uint256 supply = totalSupply();
        uint256[] memory new_ = new uint256[](n);
        (fees, kept) = (new uint256[](n), new uint256[](n));
        for (uint256 k; k < n; ++k) {
            if (supply == 0 && amounts[k] == 0) revert InitialDepositNeedsEveryCoin();
            new_[k] = _stored[k] + amounts[k];
            kept[k] = new_[k];
        }
        uint256 d0 = _invariant(_scaled(_stored));
        d1 = _invariant(_scaled(new_));
        if (d1 <= d0) revert NoGrowth();
        if (supply == 0) return (d1, d1, fees, kept);
        for (uint256 k; k < n; ++k) {
            fees[k] = _depositFee(k, d1 * _stored[k] / d0, new_[k], (d0 + d1) / n);
            kept[k] = new_[k] - fees[k] * admin_fee / FEE_DENOMINATOR;
            new_[k] -= fees[k];
        }
        d1 = _invariant(_scaled(new_));
        minted = supply * (d1 - d0) / d0;
    }

    function _depositFee(uint256 k, uint256 ideal, uint256 now_, uint256 mean) private view returns (uint256) {
        uint256 difference = ideal > now_ ? ideal - now_ : now_ - ideal;
        uint256 x = _rates[k] * (_stored[k] + now_) / PRECISION;
        return _dynamicFee(x, mean, _imbalanceFee()) * difference / FEE_DENOMINATOR;
    }

    /// @return dy what coin `i` is paid out [token units]
    /// @return feePaid what a withdrawal without fees would pay more [token units]
    function _oneCoin(uint256 burnt, uint256 i) private view returns (uint256 dy, uint256 feePaid) {
        uint256[] memory xp = _scaled(_stored);
        uint256 d0 = _invariant(xp);
        uint256 d1 = d0 - burnt * d0 / totalSupply();
        uint256 newY = _y(i, xp, d1);
        uint256 free = (xp[i] - newY) * PRECISION / _rates[i];
        uint256 mean = (d0 + d1) / (2 * xp.length);
        uint256 xi = xp[i];
        for (uint256 k; k < xp.length; ++k) {
            uint256 x = xp[k];
            (uint256 expected, uint256 at) =
                k == i ? (x * d1 / d0 - newY, (x + newY) / 2) : (x - x * d1 / d0, x);
            xp[k] = x - _dynamicFee(at, mean, _imbalanceFee()) * expected / FEE_DENOMINATOR;
        }
        xi = xp[i];
        dy = (xi - _y(i, xp, d1) - 1) * PRECISION / _rates[i];
        feePaid = free - dy;
    }

    function _imbalanceFee() private view returns (uint256) {
        return fee * coins.length / (4 * (coins.length - 1));
    }

    function _dynamicFee(uint256 x, uint256 y, uint256 fee_) private view returns (uint256) {
        uint256 multiplier = offpeg_fee_multiplier;
        if (multiplier <= FEE_DENOMINATOR) return fee_;
        uint256 spread = (x + y) ** 2;
        return multiplier * fee_ / ((multiplier - FEE_DENOMINATOR) * 4 * x * y / spread + FEE_DENOMINATOR);
    }

    function _scaled(uint256[] memory amounts) private view returns (uint256[] memory xp) {
        xp = new uint256[](amounts.length);
        for (uint256 k; k < amounts.length; ++k) {
            xp[k] = _rates[k] * amounts[k] / PRECISION;
        }
    }

    function _invariant(uint256[] memory xp) private view returns (uint256 d) {
        uint256 n = xp.length;
        uint256 sum;
        for (uint256 k; k < n; ++k) {
            sum += xp[k];
        }
        if (sum == 0) return 0;
        uint256 ann = A_precise * n;
        d = sum;
        for (uint256 round; round < 255; ++round) {
            uint256 product = d;
            for (uint256 k; k < n; ++k) {
                product = product * d / xp[k];
            }
            product /= n ** n;
            uint256 before = d;
            d = (ann * sum / A_PRECISION + product * n) * d
                / ((ann - A_PRECISION) * d / A_PRECISION + (n + 1) * product);
            if ((d > before ? d - before : before - d) <= 1) return d;
        }
        revert NotConverged();
    }

    /// @dev The balance of coin `j` that keeps `d`; what `xp` says of it is ignored.
    function _y(uint256 j, uint256[] memory xp, uint256 d) private view returns (uint256 y) {
        uint256 n = xp.length;
        uint256 ann = A_precise * n;
        uint256 c = d;
        uint256 sum;
        for (uint256 k; k < n; ++k) {
            if (k == j) continue;
            sum += xp[k];
            c = c * d / (xp[k] * n);
        }
        c = c * d * A_PRECISION / (ann * n);
        uint256 b = sum + d * A_PRECISION / ann;
        y = d;
        for (uint256 round; round < 255; ++round) {
            uint256 before = y;
            y = (y * y + c) / (2 * y + b - d);
            if ((y > before ? y - before : before - y) <= 1) return y;
        }
        revert NotConverged();
    }

    function _index(int128 i) private view returns (uint256 place) {
        require(i >= 0, "INDEX");
        place = uint256(uint128(i));
        require(place < coins.length, "INDEX");
    }
}
