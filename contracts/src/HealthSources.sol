// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

interface IAavePool {
    function getUserAccountData(address user)
        external
        view
        returns (
            uint256 totalCollateralBase,
            uint256 totalDebtBase,
            uint256 availableBorrowsBase,
            uint256 currentLiquidationThreshold,
            uint256 ltv,
            uint256 healthFactor
        );
}

interface IMorpho {
    struct MarketParams {
        address loanToken;
        address collateralToken;
        address oracle;
        address irm;
        uint256 lltv;
    }

    struct Market {
        uint128 totalSupplyAssets;
        uint128 totalSupplyShares;
        uint128 totalBorrowAssets;
        uint128 totalBorrowShares;
        uint128 lastUpdate;
        uint128 fee;
    }

    struct Position {
        uint256 supplyShares;
        uint128 borrowShares;
        uint128 collateral;
    }

    function position(bytes32 id, address user) external view returns (Position memory);
    function market(bytes32 id) external view returns (Market memory);
    function idToMarketParams(bytes32 id) external view returns (MarketParams memory);
}

interface IMorphoOracle {
    /// @return one collateral unit in loan units [1e36, scaled by the difference in decimals]
    function price() external view returns (uint256);
}

interface IMorphoRate {
    function borrowRateView(IMorpho.MarketParams calldata params, IMorpho.Market calldata market)
        external
        view
        returns (uint256);
}

interface IComet {
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

    function borrowBalanceOf(address account) external view returns (uint256);
    function numAssets() external view returns (uint8);
    function getAssetInfo(uint8 i) external view returns (AssetInfo memory);
    function userCollateral(address account, address asset) external view returns (uint128, uint128);
    function getPrice(address priceFeed) external view returns (uint256);
    function baseTokenPriceFeed() external view returns (address);
    function baseScale() external view returns (uint256);
    function baseToken() external view returns (address);
}

/// @title How far an account is from liquidation, by the lender's own numbers.
/// @notice 1e18 is the edge; the maximum of uint256 means that nothing is owed. Rounded down: never healthier than
///         the lender sees it. What cannot be read reverts.
/// @dev Interest up to this second is counted, so that two readings in one block can be compared.
library HealthSources {
    uint256 internal constant NOTHING_OWED = type(uint256).max;

    uint256 private constant WAD = 1e18;
    uint256 private constant MORPHO_PRICE_SCALE = 1e36;
    uint256 private constant MORPHO_VIRTUAL_SHARES = 1e6;
    uint256 private constant MORPHO_VIRTUAL_ASSETS = 1;

    function aave(address pool, address account) internal view returns (uint256 healthFactor) {
        (,,,,, healthFactor) = IAavePool(pool).getUserAccountData(account);
    }

    function morpho(address morpho_, bytes32 id, address account) internal view returns (uint256) {
        IMorpho.Position memory position = IMorpho(morpho_).position(id, account);
        if (position.borrowShares == 0) return NOTHING_OWED;
        IMorpho.MarketParams memory params = IMorpho(morpho_).idToMarketParams(id);
        uint256 owed = morphoDebt(morpho_, id, account);
        uint256 value = position.collateral * IMorphoOracle(params.oracle).price() / MORPHO_PRICE_SCALE;
        return value * params.lltv / owed;
    }

    /// @return owed with interest up to this second, rounded up [loan token's smallest unit]
    function morphoDebt(address morpho_, bytes32 id, address account) internal view returns (uint256 owed) {
        uint256 shares = IMorpho(morpho_).position(id, account).borrowShares;
        if (shares == 0) return 0;
        IMorpho.Market memory market = IMorpho(morpho_).market(id);
        uint256 assets = uint256(market.totalBorrowAssets)
            + _morphoInterest(IMorpho(morpho_).idToMarketParams(id), market);
        owed = _mulDivUp(
            shares, assets + MORPHO_VIRTUAL_ASSETS, uint256(market.totalBorrowShares) + MORPHO_VIRTUAL_SHARES
        );
    }

    function comet(address comet_, address account) internal view returns (uint256) {
        IComet lender = IComet(comet_);
        uint256 owed = lender.borrowBalanceOf(account);
        if (owed == 0) return NOTHING_OWED;
        uint256 owedValue = _mulDivUp(owed, lender.getPrice(lender.baseTokenPriceFeed()), lender.baseScale());
        uint256 liquidation = 0;
        uint8 assets = lender.numAssets();
        for (uint8 i = 0; i < assets; ++i) {
            IComet.AssetInfo memory info = lender.getAssetInfo(i);
            (uint128 held,) = lender.userCollateral(account, info.asset);
            if (held == 0) continue;
            uint256 value = uint256(held) * lender.getPrice(info.priceFeed) / info.scale;
            liquidation += value * info.liquidateCollateralFactor / WAD;
        }
        return liquidation * WAD / owedValue;
    }

    /// @dev Morpho compounds by three terms of the Taylor series of e^x - 1, and so must we.
    function _morphoInterest(IMorpho.MarketParams memory params, IMorpho.Market memory market)
        private
        view
        returns (uint256)
    {
        uint256 elapsed = block.timestamp - market.lastUpdate;
        if (elapsed == 0 || params.irm == address(0)) return 0;
        uint256 first = IMorphoRate(params.irm).borrowRateView(params, market) * elapsed;
        uint256 second = first * first / (2 * WAD);
        uint256 third = second * first / (3 * WAD);
        return market.totalBorrowAssets * (first + second + third) / WAD;
    }

    function _mulDivUp(uint256 a, uint256 b, uint256 divisor) private pure returns (uint256) {
        return (a * b + divisor - 1) / divisor;
    }
}
