// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {HealthSources, IComet, IMorpho} from "./HealthSources.sol";

interface ITokenDecimals {
    function decimals() external view returns (uint8);
}

/// @title A position that has no token of its own, seen as one: so that an executor can track it.
///
/// @notice Executors watch balances. What lies in a Morpho market, or as collateral in a Comet, is no balance of any
///         token: a plan could withdraw it and lose it between two looks. A position token answers `balanceOf` with
///         that position, read at the lender, and nothing else; it holds nothing and cannot be moved. Listed in the
///         registry as kept (or as debt) and in the risk book with the underlying's feed, the position has its
///         bounds, its cap and its share in the losses, as receipts have.
///
/// @dev One contract for each position that a policy names. Supplies round down, debts up. Supplies in Morpho earn
///      what accrued up to its last accrual; within one execution that may only add.
contract PositionToken {
    /// @dev In words of the lender.
    uint8 public constant MORPHO_COLLATERAL = 1;
    uint8 public constant MORPHO_DEBT = 2;
    uint8 public constant MORPHO_SUPPLY = 3;
    uint8 public constant COMET_COLLATERAL = 4;
    uint8 public constant COMET_DEBT = 5;

    uint256 private constant MORPHO_VIRTUAL_SHARES = 1e6;
    uint256 private constant MORPHO_VIRTUAL_ASSETS = 1;

    error UnknownKind(uint8 kind);
    error AssetDiffers(address given, address found);

    uint8 public immutable kind;
    address public immutable lender;
    bytes32 public immutable market;
    address public immutable underlying;
    uint8 public immutable decimals;

    /// @param market_ Morpho's market id, else zero
    /// @param underlying_ what the position is counted in; for Morpho it must be the market's own
    constructor(uint8 kind_, address lender_, bytes32 market_, address underlying_) {
        if (kind_ < MORPHO_COLLATERAL || kind_ > COMET_DEBT) revert UnknownKind(kind_);
        kind = kind_;
        lender = lender_;
        market = market_;
        underlying = underlying_;
        decimals = ITokenDecimals(underlying_).decimals();
        if (kind_ <= MORPHO_SUPPLY) {
            IMorpho.MarketParams memory params = IMorpho(lender_).idToMarketParams(market_);
            address found = kind_ == MORPHO_COLLATERAL ? params.collateralToken : params.loanToken;
            if (found != underlying_) revert AssetDiffers(underlying_, found);
        } else if (kind_ == COMET_DEBT) {
            address found = IComet(lender_).baseToken();
            if (found != underlying_) revert AssetDiffers(underlying_, found);
        }
    }

    /// @return amount [underlying's smallest unit]
    function balanceOf(address account) external view returns (uint256 amount) {
        if (kind == MORPHO_DEBT) return HealthSources.morphoDebt(lender, market, account);
        if (kind == COMET_DEBT) return IComet(lender).borrowBalanceOf(account);
        if (kind == COMET_COLLATERAL) {
            (uint128 held,) = IComet(lender).userCollateral(account, underlying);
            return held;
        }
        IMorpho.Position memory position = IMorpho(lender).position(market, account);
        if (kind == MORPHO_COLLATERAL) return position.collateral;
        IMorpho.Market memory state = IMorpho(lender).market(market);
        return position.supplyShares * (state.totalSupplyAssets + MORPHO_VIRTUAL_ASSETS)
            / (state.totalSupplyShares + MORPHO_VIRTUAL_SHARES);
    }
}
