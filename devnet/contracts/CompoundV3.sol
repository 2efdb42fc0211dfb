// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

interface ICometFeed {
    function latestRoundData() external view returns (uint80, int256, uint256, uint256, uint80);
}

/// @notice One market of Compound V3: one base token lent, several collaterals, interest by the second.
/// @dev Indices are scaled by 1e15, factors and rates by 1e18, prices have 8 decimals. A principal is positive for
/// lenders, negative for borrowers; principals of lenders round down and those of borrowers up. The owner stands
/// for governor and pause guardian. Reward tracking and the manager allowances are left out.
contract Comet is Ownable {
    using SafeERC20 for IERC20;

    struct AssetInfo {
        uint8 offset;
        address asset;
        address priceFeed;
        uint64 scale;
        uint64 borrowCollateralFactor;
        uint64 liquidateCollateralFactor;
        uint64 liquidationFactor;
        uint128 supplyCap;
    }

    /// @dev Per second, and the utilisation at which the slope changes. [wad]
    struct Curve {
        uint64 kink;
        uint64 base;
        uint64 slopeLow;
        uint64 slopeHigh;
    }

    struct TotalsBasic {
        uint64 baseSupplyIndex;
        uint64 baseBorrowIndex;
        uint64 trackingSupplyIndex;
        uint64 trackingBorrowIndex;
        uint104 totalSupplyBase;
        uint104 totalBorrowBase;
        uint40 lastAccrualTime;
        uint8 pauseFlags;
    }

    uint64 internal constant BASE_INDEX_SCALE = 1e15;
    uint64 internal constant FACTOR_SCALE = 1e18;

    address public immutable baseToken;
    address public immutable baseTokenPriceFeed;
    uint256 public immutable baseScale;
    uint256 public immutable baseBorrowMin;
    uint256 public immutable targetReserves;
    uint256 public immutable storeFrontPriceFactor;

    string public constant symbol = "cBASEv3";
    uint8 public immutable decimals;

    Curve internal _supplyCurve;
    Curve internal _borrowCurve;
    TotalsBasic public totalsBasic;
    AssetInfo[] internal _assets;

    struct UserBasic {
        int104 principal;
        uint64 baseTrackingIndex;
        uint64 baseTrackingAccrued;
        uint16 assetsIn;
        uint8 _reserved;
    }

    struct TotalsCollateral {
        uint128 totalSupplyAsset;
        uint128 _reserved;
    }

    struct UserCollateral {
        uint128 balance;
        uint128 _reserved;
    }

    mapping(address account => UserBasic) public userBasic;
    mapping(address asset => TotalsCollateral) public totalsCollateral;
    mapping(address account => mapping(address asset => UserCollateral)) public userCollateral;

    event Supply(address indexed from, address indexed dst, uint256 amount);
    event Withdraw(address indexed src, address indexed to, uint256 amount);
    event SupplyCollateral(address indexed from, address indexed dst, address indexed asset, uint256 amount);
    event WithdrawCollateral(address indexed src, address indexed to, address indexed asset, uint256 amount);
    event AbsorbDebt(address indexed absorber, address indexed borrower, uint256 basePaidOut, uint256 usdValue);
    event AbsorbCollateral(
        address indexed absorber,
        address indexed borrower,
        address indexed asset,
        uint256 collateralAbsorbed,
        uint256 usdValue
    );
    event BuyCollateral(address indexed buyer, address indexed asset, uint256 baseAmount, uint256 collateralAmount);

    error Paused();
    error BadAsset();
    error BadPrice();
    error BorrowTooSmall();
    error NotCollateralized();
    error NotLiquidatable();
    error NotForSale();
    error TooMuchSlippage();
    error InsufficientReserves();
    error SupplyCapExceeded();
    error InvalidUInt128();

    constructor(
        address baseToken_,
        address feed,
        uint8 decimals_,
        uint256 borrowMin,
        uint256 reservesTarget,
        Curve memory supplyCurve,
        Curve memory borrowCurve,
        address owner_
    ) Ownable(owner_) {
        (baseToken, baseTokenPriceFeed, decimals) = (baseToken_, feed, decimals_);
        baseScale = 10 ** decimals_;
        (baseBorrowMin, targetReserves, storeFrontPriceFactor) = (borrowMin, reservesTarget, 0.6e18);
        (_supplyCurve, _borrowCurve) = (supplyCurve, borrowCurve);
        totalsBasic.baseSupplyIndex = BASE_INDEX_SCALE;
        totalsBasic.baseBorrowIndex = BASE_INDEX_SCALE;
        totalsBasic.lastAccrualTime = uint40(block.timestamp);
    }

    // ------------------------------------------------------------------ parameters

    function addAsset(AssetInfo calldata info) external onlyOwner {
        _assets.push(info);
        _assets[_assets.length - 1].offset = uint8(_assets.length - 1);
    }

    function updateAssetSupplyCap(uint256 place, uint128 cap) external onlyOwner {
        _assets[place].supplyCap = cap;
    }

    function pause(bool supply_, bool transfer_, bool withdraw_, bool absorb_, bool buy_) external onlyOwner {
        totalsBasic.pauseFlags = (supply_ ? 1 : 0) | (transfer_ ? 2 : 0) | (withdraw_ ? 4 : 0) | (absorb_ ? 8 : 0)
            | (buy_ ? 16 : 0);
    }

    function isSupplyPaused() public view returns (bool) {
        return totalsBasic.pauseFlags & 1 != 0;
    }

    function isWithdrawPaused() public view returns (bool) {
        return totalsBasic.pauseFlags & 4 != 0;
    }

    function isAbsorbPaused() public view returns (bool) {
        return totalsBasic.pauseFlags & 8 != 0;
    }

    function isBuyPaused() public view returns (bool) {
        return totalsBasic.pauseFlags & 16 != 0;
    }

    function supplyKink() external view returns (uint256) {
        return _supplyCurve.kink;
    }

    function supplyPerSecondInterestRateBase() external view returns (uint256) {
        return _supplyCurve.base;
    }

    function supplyPerSecondInterestRateSlopeLow() external view returns (uint256) {
        return _supplyCurve.slopeLow;
    }

    function supplyPerSecondInterestRateSlopeHigh() external view returns (uint256) {
        return _supplyCurve.slopeHigh;
    }

    function borrowKink() external view returns (uint256) {
        return _borrowCurve.kink;
    }

    function borrowPerSecondInterestRateBase() external view returns (uint256) {
        return _borrowCurve.base;
    }

    function borrowPerSecondInterestRateSlopeLow() external view returns (uint256) {
        return _borrowCurve.slopeLow;
    }

    function borrowPerSecondInterestRateSlopeHigh() external view returns (uint256) {
        return _borrowCurve.slopeHigh;
    }

    function numAssets() external view returns (uint8) {
        return uint8(_assets.length);
    }

    function getAssetInfo(uint8 place) external view returns (AssetInfo memory) {
        if (place >= _assets.length) revert BadAsset();
        return _assets[place];
    }

    function getAssetInfoByAddress(address asset) public view returns (AssetInfo memory) {
        for (uint256 i; i < _assets.length; ++i) {
            if (_assets[i].asset == asset) return _assets[i];
        }
        revert BadAsset();
    }

    // ------------------------------------------------------------------ views

    function getPrice(address feed) public view returns (uint256) {
        (, int256 price,,,) = ICometFeed(feed).latestRoundData();
        if (price <= 0) revert BadPrice();
        return uint256(price);
    }

    /// @dev Of the indices as stored. [wad]
    function getUtilization() public view returns (uint256) {
        uint256 supplied = uint256(totalsBasic.totalSupplyBase) * totalsBasic.baseSupplyIndex / BASE_INDEX_SCALE;
        uint256 borrowed = uint256(totalsBasic.totalBorrowBase) * totalsBasic.baseBorrowIndex / BASE_INDEX_SCALE;
        return supplied == 0 ? 0 : borrowed * FACTOR_SCALE / supplied;
    }

    function getSupplyRate(uint256 utilization) public view returns (uint64) {
        return _rate(_supplyCurve, utilization);
    }

    function getBorrowRate(uint256 utilization) public view returns (uint64) {
        return _rate(_borrowCurve, utilization);
    }

    function totalSupply() external view returns (uint256) {
        (uint64 index,) = _accruedIndices();
        return uint256(totalsBasic.totalSupplyBase) * index / BASE_INDEX_SCALE;
    }

    function totalBorrow() external view returns (uint256) {
        (, uint64 index) = _accruedIndices();
        return uint256(totalsBasic.totalBorrowBase) * index / BASE_INDEX_SCALE;
    }

    function balanceOf(address account) public view returns (uint256) {
        (uint64 index,) = _accruedIndices();
        int104 principal = userBasic[account].principal;
        return principal > 0 ? uint256(uint104(principal)) * index / BASE_INDEX_SCALE : 0;
    }

    function borrowBalanceOf(address account) public view returns (uint256) {
        (, uint64 index) = _accruedIndices();
        int104 principal = userBasic[account].principal;
        return principal < 0 ? uint256(uint104(-principal)) * index / BASE_INDEX_SCALE : 0;
    }

    function collateralBalanceOf(address account, address asset) external view returns (uint128) {
        return userCollateral[account][asset].balance;
    }

    function getReserves() public view returns (int256) {
        (uint64 supplyIndex, uint64 borrowIndex) = _accruedIndices();
        uint256 supplied = uint256(totalsBasic.totalSupplyBase) * supplyIndex / BASE_INDEX_SCALE;
        uint256 borrowed = uint256(totalsBasic.totalBorrowBase) * borrowIndex / BASE_INDEX_SCALE;
        return int256(IERC20(baseToken).balanceOf(address(this))) - int256(supplied) + int256(borrowed);
    }

    function getCollateralReserves(address asset) public view returns (uint256) {
        return IERC20(asset).balanceOf(address(this)) - totalsCollateral[asset].totalSupplyAsset;
    }

    function isBorrowCollateralized(address account) public view returns (bool) {
        return _liquidity(account, false) >= 0;
    }

    function isLiquidatable(address account) public view returns (bool) {
        return _liquidity(account, true) < 0;
    }

    /// @notice What `baseAmount` buys of an absorbed collateral. [asset units]
    function quoteCollateral(address asset, uint256 baseAmount) public view returns (uint256) {
        AssetInfo memory info = getAssetInfoByAddress(asset);
        uint256 discount = storeFrontPriceFactor * (FACTOR_SCALE - info.liquidationFactor) / FACTOR_SCALE;
        uint256 price = getPrice(info.priceFeed) * (FACTOR_SCALE - discount) / FACTOR_SCALE;
        return getPrice(baseTokenPriceFeed) * baseAmount * info.scale / price / baseScale;
    }

    // ------------------------------------------------------------------ users

    function accrueAccount(address) external {
        _accrue();
    }

    function supply(address asset, uint256 amount) external {
        supplyTo(msg.sender, asset, amount);
    }

    /// @dev The largest number stands for what `dst` owes.
    function supplyTo(address dst, address asset, uint256 amount) public {
        if (isSupplyPaused()) revert Paused();
        if (asset != baseToken) return _supplyCollateral(dst, asset, _safe128(amount));
        if (amount == type(uint256).max) amount = borrowBalanceOf(dst);
        IERC20(baseToken).safeTransferFrom(msg.sender, address(this), amount);
        _accrue();
        _move(dst, amount, true);
        emit Supply(msg.sender, dst, amount);
    }

    function withdraw(address asset, uint256 amount) external {
        withdrawTo(msg.sender, asset, amount);
    }

    /// @dev The largest number stands for all that the caller has lent. More than that is borrowed.
    function withdrawTo(address to, address asset, uint256 amount) public {
        if (isWithdrawPaused()) revert Paused();
        if (asset != baseToken) return _withdrawCollateral(to, asset, _safe128(amount));
        if (amount == type(uint256).max) amount = balanceOf(msg.sender);
        _accrue();
        int256 balance = _move(msg.sender, amount, false);
        if (balance < 0) {
            if (uint256(-balance) < baseBorrowMin) revert BorrowTooSmall();
            if (!isBorrowCollateralized(msg.sender)) revert NotCollateralized();
        }
        IERC20(baseToken).safeTransfer(to, amount);
        emit Withdraw(msg.sender, to, amount);
    }

    // ------------------------------------------------------------------ liquidators

    /// @notice Take over accounts that are liquidatable: all their collateral, all their debt.
    function absorb(address absorber, address[] calldata accounts) external {
        if (isAbsorbPaused()) revert Paused();
        _accrue();
        for (uint256 i; i < accounts.length; ++i) {
            _absorb(absorber, accounts[i]);
        }
    }

    function buyCollateral(address asset, uint256 minAmount, uint256 baseAmount, address recipient) external {
        if (isBuyPaused()) revert Paused();
        int256 reserves = getReserves();
        if (reserves >= 0 && uint256(reserves) >= targetReserves) revert NotForSale();
        IERC20(baseToken).safeTransferFrom(msg.sender, address(this), baseAmount);
        uint256 amount = quoteCollateral(asset, baseAmount);
        if (amount < minAmount) revert TooMuchSlippage();
        if (amount > getCollateralReserves(asset)) revert InsufficientReserves();
        IERC20(asset).safeTransfer(recipient, amount);
        emit BuyCollateral(msg.sender, asset, baseAmount, amount);
    }

    // ------------------------------------------------------------------ internals

    function _rate(Curve storage curve, uint256 utilization) private view returns (uint64) {
        uint256 kink = curve.kink;
        if (utilization <= kink) return uint64(curve.base + curve.slopeLow * utilization / FACTOR_SCALE);
        uint256 low = curve.slopeLow * kink / FACTOR_SCALE;
        return uint64(curve.base + low + curve.slopeHigh * (utilization - kink) / FACTOR_SCALE);
    }

    function _accruedIndices() private view returns (uint64 supplyIndex, uint64 borrowIndex) {
        (supplyIndex, borrowIndex) = (totalsBasic.baseSupplyIndex, totalsBasic.baseBorrowIndex);
        uint256 elapsed = block.timestamp - totalsBasic.lastAccrualTime;
        if (elapsed == 0) return (supplyIndex, borrowIndex);
        uint256 utilization = getUtilization();
        supplyIndex += uint64(supplyIndex * (getSupplyRate(utilization) * elapsed) / FACTOR_SCALE);
        borrowIndex += uint64(borrowIndex * (getBorrowRate(utilization) * elapsed) / FACTOR_SCALE);
    }

    function _accrue() private {
        (totalsBasic.baseSupplyIndex, totalsBasic.baseBorrowIndex) = _accruedIndices();
        totalsBasic.lastAccrualTime = uint40(block.timestamp);
    }

    /// @dev Moves an account's base balance and the totals. Returns the new balance before its rounding.
    /// Where rounding turns the principal against the movement, the totals stay, as in the original.
    function _move(address account, uint256 amount, bool in_) private returns (int256 balance) {
        int104 old = userBasic[account].principal;
        balance = in_ ? _presentValue(old) + int256(amount) : _presentValue(old) - int256(amount);
        int104 new_ = _principalValue(balance);
        userBasic[account].principal = new_;
        if (in_ ? new_ < old : new_ > old) return balance;
        totalsBasic.totalSupplyBase =
            uint104(uint256(totalsBasic.totalSupplyBase) + _lent(new_) - _lent(old));
        totalsBasic.totalBorrowBase =
            uint104(uint256(totalsBasic.totalBorrowBase) + _owed(new_) - _owed(old));
    }

    function _lent(int104 principal) private pure returns (uint256) {
        return principal > 0 ? uint256(uint104(principal)) : 0;
    }

    function _owed(int104 principal) private pure returns (uint256) {
        return principal < 0 ? uint256(uint104(-principal)) : 0;
    }

    function _presentValue(int104 principal) private view returns (int256) {
        if (principal >= 0) {
            return int256(uint256(uint104(principal)) * totalsBasic.baseSupplyIndex / BASE_INDEX_SCALE);
        }
        return -int256(uint256(uint104(-principal)) * totalsBasic.baseBorrowIndex / BASE_INDEX_SCALE);
    }

    function _principalValue(int256 balance) private view returns (int104) {
        if (balance >= 0) {
            return int104(uint104(uint256(balance) * BASE_INDEX_SCALE / totalsBasic.baseSupplyIndex));
        }
        uint256 index = totalsBasic.baseBorrowIndex;
        return -int104(uint104((uint256(-balance) * BASE_INDEX_SCALE + index - 1) / index));
    }

    /// @dev Value of what an account owes and has put up, weighted. [8 decimals]
    function _liquidity(address account, bool liquidation) private view returns (int256 liquidity) {
        int104 principal = userBasic[account].principal;
        if (principal >= 0) return 0;
        liquidity = _presentValue(principal) * int256(getPrice(baseTokenPriceFeed)) / int256(baseScale);
        for (uint256 i; i < _assets.length && liquidity < 0; ++i) {
            AssetInfo storage info = _assets[i];
            uint256 balance = userCollateral[account][info.asset].balance;
            if (balance == 0) continue;
            uint256 value = balance * getPrice(info.priceFeed) / info.scale;
            uint256 factor = liquidation ? info.liquidateCollateralFactor : info.borrowCollateralFactor;
            liquidity += int256(value * factor / FACTOR_SCALE);
        }
    }

    function _supplyCollateral(address dst, address asset, uint128 amount) private {
        IERC20(asset).safeTransferFrom(msg.sender, address(this), amount);
        AssetInfo memory info = getAssetInfoByAddress(asset);
        totalsCollateral[asset].totalSupplyAsset += amount;
        if (totalsCollateral[asset].totalSupplyAsset > info.supplyCap) revert SupplyCapExceeded();
        userCollateral[dst][asset].balance += amount;
        _setAssetIn(dst, info.offset, userCollateral[dst][asset].balance != 0);
        emit SupplyCollateral(msg.sender, dst, asset, amount);
    }

    function _withdrawCollateral(address to, address asset, uint128 amount) private {
        AssetInfo memory info = getAssetInfoByAddress(asset);
        totalsCollateral[asset].totalSupplyAsset -= amount;
        userCollateral[msg.sender][asset].balance -= amount;
        _setAssetIn(msg.sender, info.offset, userCollateral[msg.sender][asset].balance != 0);
        if (!isBorrowCollateralized(msg.sender)) revert NotCollateralized();
        IERC20(asset).safeTransfer(to, amount);
        emit WithdrawCollateral(msg.sender, to, asset, amount);
    }

    function _setAssetIn(address account, uint8 offset, bool in_) private {
        uint16 bit = uint16(1 << offset);
        userBasic[account].assetsIn = in_ ? userBasic[account].assetsIn | bit : userBasic[account].assetsIn & ~bit;
    }

    function _absorb(address absorber, address account) private {
        if (!isLiquidatable(account)) revert NotLiquidatable();
        uint256 basePrice = getPrice(baseTokenPriceFeed);
        int256 oldBalance = _presentValue(userBasic[account].principal);
        uint256 value;
        for (uint256 i; i < _assets.length; ++i) {
            AssetInfo storage info = _assets[i];
            uint128 seized = userCollateral[account][info.asset].balance;
            if (seized == 0) continue;
            userCollateral[account][info.asset].balance = 0;
            totalsCollateral[info.asset].totalSupplyAsset -= seized;
            uint256 worth = seized * getPrice(info.priceFeed) / info.scale;
            value += worth * info.liquidationFactor / FACTOR_SCALE;
            emit AbsorbCollateral(absorber, account, info.asset, seized, worth);
        }
        int256 newBalance = oldBalance + int256(value * baseScale / basePrice);
        if (newBalance < 0) newBalance = 0;
        userBasic[account].assetsIn = 0;
        uint256 paidOut = uint256(newBalance - oldBalance);
        _move(account, paidOut, true);
        emit AbsorbDebt(absorber, account, paidOut, paidOut * basePrice / baseScale);
    }

    function _safe128(uint256 amount) private pure returns (uint128) {
        if (amount > type(uint128).max) revert InvalidUInt128();
        return uint128(amount);
    }
}
