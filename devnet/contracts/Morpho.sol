// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {IIrm} from "@morpho-org/morpho-blue/src/interfaces/IIrm.sol";
import {Market, MarketParams} from "@morpho-org/morpho-blue/src/interfaces/IMorpho.sol";
import {IOracle} from "@morpho-org/morpho-blue/src/interfaces/IOracle.sol";

interface IFeed {
    function latestRoundData() external view returns (uint80, int256, uint256, uint256, uint80);
}

/// @notice Price of a collateral in a loan token from two feeds of equal decimals, as Morpho wants it.
contract FeedRatioOracle is IOracle {
    IFeed public immutable COLLATERAL_FEED;
    IFeed public immutable LOAN_FEED;
    /// @notice 10^(36 + loan decimals - collateral decimals)
    uint256 public immutable SCALE;

    error NoPrice(address feed, int256 answer);

    constructor(IFeed collateralFeed, IFeed loanFeed, uint8 collateralDecimals, uint8 loanDecimals) {
        COLLATERAL_FEED = collateralFeed;
        LOAN_FEED = loanFeed;
        SCALE = 10 ** (36 + loanDecimals - collateralDecimals);
    }

    /// @return [1e36 scaled, loan units per collateral unit]
    function price() external view returns (uint256) {
        return SCALE * _answer(COLLATERAL_FEED) / _answer(LOAN_FEED);
    }

    function _answer(IFeed feed) private view returns (uint256) {
        (, int256 answer,,,) = feed.latestRoundData();
        if (answer <= 0) revert NoPrice(address(feed), answer);
        return uint256(answer);
    }
}

/// @notice Stand-in for Morpho's AdaptiveCurveIrm, which no package publishes: the same parameters and results.
/// @dev The rate at a usage of 90 % drifts exponentially with the distance of usage from there; the rate is on a
///      line of slope 4 above and 1/4 below. Rates are per second [wad]; divisions truncate towards zero.
contract AdaptiveRates is IIrm {
    // ----------------------------------------------------------------- parameters

    int256 private constant ONE = 1e18;
    int256 private constant STEEPNESS = 4e18;
    int256 private constant SPEED = 50e18 / int256(365 days);
    int256 private constant TARGET = 0.9e18;
    int256 private constant INITIAL = 0.04e18 / int256(365 days);
    int256 private constant LOWEST = 0.001e18 / int256(365 days);
    int256 private constant HIGHEST = 2e18 / int256(365 days);

    int256 private constant LN_2 = 0.693147180559945309e18;
    int256 private constant EXP_IS_ZERO_BELOW = -41.446531673892822312e18;
    int256 private constant EXP_IS_CAPPED_FROM = 93.859467695000404319e18;
    int256 private constant EXP_CAP = 57716089161558943949701069502944508345128422502756744429568;

    // ----------------------------------------------------------------- state

    address public immutable MORPHO;
    /// @notice [wad per second] by market
    mapping(bytes32 id => int256) public rateAtTarget;

    event BorrowRateUpdate(bytes32 indexed id, uint256 averageRate, uint256 rateAtTarget);

    error NotMorpho(address caller);

    constructor(address morpho) {
        MORPHO = morpho;
    }

    // ----------------------------------------------------------------- Morpho

    /// @inheritdoc IIrm
    function borrowRate(MarketParams memory params, Market memory market) external returns (uint256 average) {
        if (msg.sender != MORPHO) revert NotMorpho(msg.sender);
        bytes32 id = keccak256(abi.encode(params));
        int256 end;
        (average, end) = _rates(id, market);
        rateAtTarget[id] = end;
        emit BorrowRateUpdate(id, average, uint256(end));
    }

    /// @inheritdoc IIrm
    function borrowRateView(MarketParams memory params, Market memory market) external view returns (uint256 average) {
        (average,) = _rates(keccak256(abi.encode(params)), market);
    }

    // ----------------------------------------------------------------- curve

    function _rates(bytes32 id, Market memory market) private view returns (uint256, int256) {
        int256 usage = market.totalSupplyAssets == 0
            ? int256(0)
            : int256(uint256(market.totalBorrowAssets) * 1e18 / market.totalSupplyAssets);
        int256 distance = (usage - TARGET) * ONE / (usage > TARGET ? ONE - TARGET : TARGET);
        int256 start = rateAtTarget[id];
        if (start == 0) return (_onLine(INITIAL, distance), INITIAL);

        int256 drift = SPEED * distance / ONE * int256(block.timestamp - market.lastUpdate);
        if (drift == 0) return (_onLine(start, distance), start);
        int256 end = _drifted(start, drift);
        return (_onLine((start + end + 2 * _drifted(start, drift / 2)) / 4, distance), end);
    }

    function _onLine(int256 atTarget, int256 distance) private pure returns (uint256) {
        int256 slope = distance < 0 ? ONE - ONE * ONE / STEEPNESS : STEEPNESS - ONE;
        return uint256((slope * distance / ONE + ONE) * atTarget / ONE);
    }

    function _drifted(int256 from, int256 drift) private pure returns (int256 to) {
        to = from * _exp(drift) / ONE;
        if (to < LOWEST) to = LOWEST;
        if (to > HIGHEST) to = HIGHEST;
    }

    /// @dev 2^q (1 + r + r^2/2), where x = q ln 2 + r with the smallest |r|.
    function _exp(int256 x) private pure returns (int256) {
        if (x < EXP_IS_ZERO_BELOW) return 0;
        if (x >= EXP_IS_CAPPED_FROM) return EXP_CAP;
        int256 q = (x + (x < 0 ? -(LN_2 / 2) : LN_2 / 2)) / LN_2;
        int256 r = x - q * LN_2;
        int256 mantissa = ONE + r + r * r / ONE / 2;
        return q < 0 ? mantissa >> uint256(-q) : mantissa << uint256(q);
    }
}
