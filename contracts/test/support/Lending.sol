// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {IComet, IMorpho} from "../../src/HealthSources.sol";

/// @dev A price feed that says what a test tells it to.
contract TestFeed {
    uint8 public decimals = 8;
    int256 public answer;
    uint256 public updatedAt;
    bytes public raw;
    bool public broken;

    constructor(int256 answer_) {
        set(answer_);
    }

    function set(int256 answer_) public {
        answer = answer_;
        updatedAt = block.timestamp;
    }

    function setDecimals(uint8 decimals_) external {
        decimals = decimals_;
    }

    function setUpdatedAt(uint256 updatedAt_) external {
        updatedAt = updatedAt_;
    }

    function setBroken(bool broken_) external {
        broken = broken_;
    }

    /// @dev Answers with these bytes instead.
    function setRaw(bytes calldata raw_) external {
        raw = raw_;
    }

    function latestRoundData() external view returns (uint80, int256, uint256, uint256, uint80) {
        require(!broken, "feed is broken");
        if (raw.length != 0) {
            bytes memory data = raw;
            assembly ("memory-safe") {
                return(add(data, 32), mload(data))
            }
        }
        return (1, answer, updatedAt, updatedAt, 1);
    }
}

contract DecimalToken {
    uint8 public immutable decimals;

    constructor(uint8 decimals_) {
        decimals = decimals_;
    }
}

contract AaveStub {
    mapping(address => uint256) public factors;

    function setFactor(address user, uint256 factor) external {
        factors[user] = factor;
    }

    function getUserAccountData(address user)
        external
        view
        returns (uint256, uint256, uint256, uint256, uint256, uint256)
    {
        require(factors[user] != 0, "not readable");
        return (1, 2, 3, 4, 5, factors[user]);
    }
}

/// @dev Morpho's three reads, its oracle and its rate, all in one.
contract MorphoStub {
    mapping(address => IMorpho.Position) private _positions;
    IMorpho.Market private _market;
    IMorpho.MarketParams private _params;
    uint256 public price;
    uint256 public rate;

    function setPosition(address user, uint128 borrowShares, uint128 collateral) external {
        _positions[user] = IMorpho.Position(0, borrowShares, collateral);
    }

    function setSupply(address user, uint256 supplyShares) external {
        _positions[user].supplyShares = supplyShares;
    }

    function setTokens(address loan, address collateral) external {
        (_params.loanToken, _params.collateralToken) = (loan, collateral);
    }

    function setMarket(uint128 borrowAssets, uint128 borrowShares, uint128 lastUpdate) external {
        _market = IMorpho.Market(borrowAssets, borrowShares, borrowAssets, borrowShares, lastUpdate, 0);
    }

    function setParams(uint256 lltv, uint256 price_, uint256 rate_, bool withRate) external {
        address rateModel = withRate ? address(this) : address(0);
        _params = IMorpho.MarketParams(address(1), address(2), address(this), rateModel, lltv);
        (price, rate) = (price_, rate_);
    }

    function position(bytes32, address user) external view returns (IMorpho.Position memory) {
        return _positions[user];
    }

    function market(bytes32) external view returns (IMorpho.Market memory) {
        return _market;
    }

    function idToMarketParams(bytes32) external view returns (IMorpho.MarketParams memory) {
        return _params;
    }

    function borrowRateView(IMorpho.MarketParams calldata, IMorpho.Market calldata)
        external
        view
        returns (uint256)
    {
        return rate;
    }
}

contract CometStub {
    mapping(address => uint256) public borrowBalanceOf;
    mapping(address feed => uint256) public getPrice;
    mapping(address account => mapping(address asset => uint128)) private _held;
    IComet.AssetInfo[] private _assets;

    address public constant baseTokenPriceFeed = address(0xba5e);
    uint256 public constant baseScale = 1e6;
    address public baseToken;

    function setBase(address token) external {
        baseToken = token;
    }

    function setDebt(address account, uint256 amount) external {
        borrowBalanceOf[account] = amount;
    }

    function setPrice(address feed, uint256 price) external {
        getPrice[feed] = price;
    }

    function addAsset(address asset, uint64 scale, uint64 liquidateFactor) external {
        uint8 offset = uint8(_assets.length);
        _assets.push(IComet.AssetInfo(offset, asset, asset, scale, 0, liquidateFactor, 0, 0));
    }

    function setHeld(address account, address asset, uint128 amount) external {
        _held[account][asset] = amount;
    }

    function numAssets() external view returns (uint8) {
        return uint8(_assets.length);
    }

    function getAssetInfo(uint8 i) external view returns (IComet.AssetInfo memory) {
        return _assets[i];
    }

    function userCollateral(address account, address asset) external view returns (uint128, uint128) {
        return (_held[account][asset], 0);
    }
}
