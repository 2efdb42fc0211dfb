// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {HealthSources} from "./HealthSources.sol";
import {IRiskBook} from "./IRiskBook.sol";
import {TOKEN_DEBT} from "./IPolicyRegistry.sol";
import {TimeLocked} from "./TimeLocked.sol";
import {Tokens} from "./Tokens.sol";
import {TwoStepOwner} from "./TwoStepOwner.sol";

interface IFeed {
    function decimals() external view returns (uint8);
    function latestRoundData()
        external
        view
        returns (uint80 roundId, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answeredInRound);
}

interface IDecimals {
    function decimals() external view returns (uint8);
}

/// @title What each executor may lose, whatever its plans say: the stated loss of a stolen operator key.
///
/// @notice Two kinds of limit, both leaky buckets, which have no edge at midnight to wait for. Per token: how much
///         may leave (of a debt: how much it may grow). Per executor: how much value, by oracle, one execution and
///         a stretch of executions may lose. Gains count against losses only where a live feed prices them. All
///         values are in 1e-8 USD; losses round up, gains down. A token without a live feed has cap zero: it may
///         not fall at all.
///
/// @dev Limits belong to a policy (see TimeLocked), buckets to the executor that fills them. The book trusts an
///      executor only with that executor's own buckets. It says nothing about plans that leave every tracked
///      balance as it was or better: the executor need not ask about those.
contract RiskBook is IRiskBook, TimeLocked {
    // ---------------------------------------------------------------- types

    /// @param feed Chainlink's AggregatorV3 shape, in USD; zero: none, and the other fields zero too
    /// @param heartbeatS an answer older than this is no answer [s]
    /// @param tokenDecimals of the token itself
    /// @param capacity most that may leave (a debt: grow) at once [token's smallest unit]
    /// @param refillPerS how fast room comes back [token's smallest unit per second]
    struct TokenLimit {
        address feed;
        uint32 heartbeatS;
        uint8 tokenDecimals;
        uint128 capacity;
        uint128 refillPerS;
    }

    /// @param perExecution most that one execution may lose [1e-8 USD]
    /// @param capacity most that executions may lose with no time between them [1e-8 USD]
    /// @param refillPerS how fast room comes back [1e-8 USD per second]
    struct LossLimit {
        uint128 perExecution;
        uint128 capacity;
        uint128 refillPerS;
    }

    /// @param kind HEALTH_*
    /// @param source pool, Morpho or Comet
    /// @param market Morpho's market id, else zero
    struct HealthSource {
        uint8 kind;
        address source;
        bytes32 market;
    }

    struct StoredLimit {
        address feed;
        uint32 heartbeatS;
        uint8 tokenDecimals;
        uint8 feedDecimals;
        uint128 capacity;
        uint128 refillPerS;
    }

    /// @param used how full it was at `atS`; it leaks from then on
    struct Bucket {
        uint128 used;
        uint64 atS;
    }

    // ------------------------------------------------------------ constants

    uint8 public constant HEALTH_AAVE_POOL = 1;
    uint8 public constant HEALTH_MORPHO_MARKET = 2;
    uint8 public constant HEALTH_COMET = 3;

    uint256 public constant MAX_HEALTH_SOURCES = 8;
    uint8 public constant MAX_DECIMALS = 36;
    uint8 public constant VALUE_DECIMALS = 8;

    /// @dev An answer above it is no price of one whole token.
    int256 private constant MAX_ANSWER = int256(uint256(type(uint96).max));
    uint256 private constant ROUND_DATA_BYTES = 160;

    // --------------------------------------------------------------- errors

    error UnknownKind(uint8 kind);
    error NoCode(address account);
    error DecimalsDiffer(address token, uint8 given, uint8 answered);
    error DecimalsOutOfRange(uint8 tokenDecimals, uint8 feedDecimals);
    error LimitWithoutFeed(address token);
    error HeartbeatMissing(address token);
    error MarketUnfit(uint8 kind, bytes32 market);
    error TooManySources(uint256 limit);
    error SourceListed(address source, bytes32 market);
    error SourceNotListed(address source, bytes32 market);

    error LengthsDiffer(uint256 tracked, uint256 before, uint256 afterwards);
    error FeedNotLive(address token, address feed);
    error AmountTooLarge(address token, uint256 amount);
    error CapExceeded(address token, uint256 amount, uint256 room);
    error LossAboveExecution(uint256 loss, uint256 limit);
    error LossAboveWindow(uint256 loss, uint256 room);
    error HealthUnreadable(address source, bytes32 market);

    // --------------------------------------------------------------- events

    event TokenLimitChanged(address indexed policy, address indexed token, TokenLimit limit);
    event LossLimitChanged(address indexed policy, LossLimit limit);
    event HealthSourceChanged(
        address indexed policy, uint8 kind, address indexed source, bytes32 indexed market, bool included
    );
    event HoldsPositionsChanged(address indexed policy, bool holds);
    /// @param loss by oracle, net of gains [1e-8 USD]
    event Charged(address indexed executor, uint256 loss);

    // -------------------------------------------------------------- storage

    mapping(address policy => mapping(address token => StoredLimit)) private _limits;
    mapping(address policy => LossLimit) public lossLimits;
    mapping(address policy => HealthSource[]) private _sources;
    mapping(address policy => bool) private _holdsPositions;
    mapping(address executor => mapping(address token => Bucket)) private _outflows;
    mapping(address executor => Bucket) private _losses;

    constructor(address owner_) TwoStepOwner(owner_) {}

    // ------------------------------------------------- what the owner writes

    function setTokenLimit(address policy, address token, TokenLimit calldata limit) external onlyOwner {
        StoredLimit memory next = _checked(token, limit);
        if (_isLooser(next, _limits[policy][token])) _loosen(policy);
        _limits[policy][token] = next;
        emit TokenLimitChanged(policy, token, limit);
    }

    function setLossLimit(address policy, LossLimit calldata limit) external onlyOwner {
        LossLimit memory present = lossLimits[policy];
        if (
            limit.perExecution > present.perExecution || limit.capacity > present.capacity
                || limit.refillPerS > present.refillPerS
        ) _loosen(policy);
        lossLimits[policy] = limit;
        emit LossLimitChanged(policy, limit);
    }

    /// @notice One source more tightens; one less loosens.
    function setHealthSource(address policy, HealthSource calldata source, bool included) external onlyOwner {
        HealthSource[] storage listed = _sources[policy];
        uint256 at = _positionOf(listed, source);
        if (included) {
            _mustBeSource(source);
            if (at != listed.length) revert SourceListed(source.source, source.market);
            if (at == MAX_HEALTH_SOURCES) revert TooManySources(MAX_HEALTH_SOURCES);
            listed.push(source);
        } else {
            if (at == listed.length) revert SourceNotListed(source.source, source.market);
            _loosen(policy);
            listed[at] = listed[listed.length - 1];
            listed.pop();
        }
        emit HealthSourceChanged(policy, source.kind, source.source, source.market, included);
    }

    function setHoldsPositions(address policy, bool holds) external onlyOwner {
        if (holds && !_holdsPositions[policy]) _loosen(policy);
        _holdsPositions[policy] = holds;
        emit HoldsPositionsChanged(policy, holds);
    }

    // ------------------------------------------------- what an executor asks

    /// @inheritdoc IRiskBook
    function charge(uint256[] calldata tracked, uint256[] calldata before, uint256[] calldata afterwards)
        external
    {
        if (tracked.length != before.length || tracked.length != afterwards.length) {
            revert LengthsDiffer(tracked.length, before.length, afterwards.length);
        }
        address policy = policyOf(msg.sender);
        uint256 losses = 0;
        uint256 gains = 0;
        for (uint256 i = 0; i < tracked.length; ++i) {
            (uint256 from, uint256 to) = (before[i], afterwards[i]);
            if (from == to) continue;
            if (tracked[i] >> 160 == TOKEN_DEBT) (from, to) = (to, from);
            address token = address(uint160(tracked[i]));
            if (from > to) losses += _chargeToken(policy, token, from - to);
            else gains += _gain(_limits[policy][token], to - from);
        }
        if (losses > gains) _chargeLoss(lossLimits[policy], losses - gains);
    }

    /// @inheritdoc IRiskBook
    function holdsPositions(address executor) external view returns (bool) {
        return _holdsPositions[policyOf(executor)];
    }

    /// @inheritdoc IRiskBook
    function healthFactors(address account) external view returns (uint256[] memory factors) {
        HealthSource[] storage listed = _sources[policyOf(account)];
        factors = new uint256[](listed.length);
        for (uint256 i = 0; i < factors.length; ++i) {
            HealthSource memory source = listed[i];
            try this.healthFactor(source, account) returns (uint256 factor) {
                factors[i] = factor;
            } catch {
                revert HealthUnreadable(source.source, source.market);
            }
        }
    }

    // ----------------------------------------------------- what anyone reads

    /// @notice Of one source, listed or not [1e18]; reverts where it cannot be read.
    function healthFactor(HealthSource calldata source, address account) external view returns (uint256) {
        if (source.kind == HEALTH_AAVE_POOL) return HealthSources.aave(source.source, account);
        if (source.kind == HEALTH_COMET) return HealthSources.comet(source.source, account);
        return HealthSources.morpho(source.source, source.market, account);
    }

    function tokenLimits(address policy, address token) external view returns (TokenLimit memory) {
        StoredLimit memory limit = _limits[policy][token];
        return TokenLimit(limit.feed, limit.heartbeatS, limit.tokenDecimals, limit.capacity, limit.refillPerS);
    }

    function healthSources(address policy) external view returns (HealthSource[] memory) {
        return _sources[policy];
    }

    /// @return amount of `token` that may leave (a debt: grow) now; zero without a live feed
    function tokenRoom(address executor, address token) external view returns (uint256 amount) {
        StoredLimit memory limit = _limits[policyOf(executor)][token];
        (bool live,) = _price(limit);
        if (live) amount = _room(_outflows[executor][token], limit.capacity, limit.refillPerS);
    }

    /// @return value that the next execution may lose [1e-8 USD]
    function lossRoom(address executor) external view returns (uint256 value) {
        LossLimit memory limit = lossLimits[policyOf(executor)];
        value = _room(_losses[executor], limit.capacity, limit.refillPerS);
        if (value > limit.perExecution) value = limit.perExecution;
    }

    // ------------------------------------------------------------- charging

    /// @return value of what left, rounded up [1e-8 USD]
    function _chargeToken(address policy, address token, uint256 amount) private returns (uint256 value) {
        StoredLimit memory limit = _limits[policy][token];
        (bool live, uint256 price) = _price(limit);
        if (!live) revert FeedNotLive(token, limit.feed);
        if (amount > type(uint128).max) revert AmountTooLarge(token, amount);
        Bucket storage bucket = _outflows[msg.sender][token];
        uint256 room = _room(bucket, limit.capacity, limit.refillPerS);
        if (amount > room) revert CapExceeded(token, amount, room);
        _fill(bucket, limit.capacity - room + amount);
        uint256 divisor = _divisor(limit);
        return (amount * price + divisor - 1) / divisor;
    }

    /// @return value rounded down; zero without a live feed [1e-8 USD]
    function _gain(StoredLimit memory limit, uint256 amount) private view returns (uint256 value) {
        (bool live, uint256 price) = _price(limit);
        if (!live) return 0;
        if (amount > type(uint128).max) amount = type(uint128).max;
        return amount * price / _divisor(limit);
    }

    function _chargeLoss(LossLimit memory limit, uint256 loss) private {
        if (loss > limit.perExecution) revert LossAboveExecution(loss, limit.perExecution);
        Bucket storage bucket = _losses[msg.sender];
        uint256 room = _room(bucket, limit.capacity, limit.refillPerS);
        if (loss > room) revert LossAboveWindow(loss, room);
        _fill(bucket, limit.capacity - room + loss);
        emit Charged(msg.sender, loss);
    }

    /// @dev A cap that was lowered below what is used leaves no room until enough has leaked.
    function _room(Bucket memory bucket, uint256 capacity, uint256 refillPerS)
        private
        view
        returns (uint256)
    {
        uint256 leaked = (block.timestamp - bucket.atS) * refillPerS;
        uint256 used = bucket.used > leaked ? bucket.used - leaked : 0;
        return capacity > used ? capacity - used : 0;
    }

    function _fill(Bucket storage bucket, uint256 used) private {
        bucket.used = uint128(used);
        bucket.atS = uint64(block.timestamp);
    }

    // --------------------------------------------------------------- prices

    /// @dev By a bare call: a feed that reverts, is gone, or answers nonsense is not live, and nothing else.
    /// @return live the feed may be used now
    /// @return price of one whole token [10^-feedDecimals USD]
    function _price(StoredLimit memory limit) private view returns (bool live, uint256 price) {
        if (limit.feed == address(0)) return (false, 0);
        (bool ok, bytes memory data) = limit.feed.staticcall(abi.encodeCall(IFeed.latestRoundData, ()));
        if (!ok || data.length < ROUND_DATA_BYTES) return (false, 0);
        (, int256 answer,, uint256 updatedAt,) =
            abi.decode(data, (uint256, int256, uint256, uint256, uint256));
        live = answer > 0 && answer <= MAX_ANSWER && updatedAt <= block.timestamp
            && block.timestamp - updatedAt <= limit.heartbeatS;
        price = uint256(answer);
    }

    function _divisor(StoredLimit memory limit) private pure returns (uint256) {
        return 10 ** (uint256(limit.tokenDecimals) + limit.feedDecimals - VALUE_DECIMALS);
    }

    // ----------------------------------------------------------- validation

    function _checked(address token, TokenLimit calldata limit)
        private
        view
        returns (StoredLimit memory stored)
    {
        if (limit.feed == address(0)) {
            if (limit.capacity != 0 || limit.refillPerS != 0) revert LimitWithoutFeed(token);
            return stored;
        }
        if (limit.feed.code.length == 0) revert NoCode(limit.feed);
        if (limit.heartbeatS == 0) revert HeartbeatMissing(token);
        uint8 answered = token == Tokens.NATIVE ? 18 : IDecimals(token).decimals();
        if (answered != limit.tokenDecimals) revert DecimalsDiffer(token, limit.tokenDecimals, answered);
        uint8 feedDecimals = IFeed(limit.feed).decimals();
        if (answered > MAX_DECIMALS || feedDecimals > MAX_DECIMALS || feedDecimals < VALUE_DECIMALS) {
            revert DecimalsOutOfRange(answered, feedDecimals);
        }
        stored = StoredLimit(
            limit.feed, limit.heartbeatS, answered, feedDecimals, limit.capacity, limit.refillPerS
        );
    }

    /// @dev Taking a feed away is tighter than anything. Another feed is a loosening: nobody can compare them.
    function _isLooser(StoredLimit memory next, StoredLimit memory present) private pure returns (bool) {
        if (next.feed == address(0)) return false;
        return next.feed != present.feed || next.heartbeatS > present.heartbeatS
            || next.capacity > present.capacity || next.refillPerS > present.refillPerS
            || next.tokenDecimals != present.tokenDecimals || next.feedDecimals != present.feedDecimals;
    }

    function _mustBeSource(HealthSource calldata source) private view {
        if (source.kind == 0 || source.kind > HEALTH_COMET) revert UnknownKind(source.kind);
        if ((source.kind == HEALTH_MORPHO_MARKET) != (source.market != 0)) {
            revert MarketUnfit(source.kind, source.market);
        }
        if (source.source.code.length == 0) revert NoCode(source.source);
    }

    /// @return at its position, or the length where it is not listed
    function _positionOf(HealthSource[] storage listed, HealthSource calldata source)
        private
        view
        returns (uint256 at)
    {
        for (at = 0; at < listed.length; ++at) {
            HealthSource storage one = listed[at];
            if (one.kind == source.kind && one.source == source.source && one.market == source.market) break;
        }
    }
}
