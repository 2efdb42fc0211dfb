// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {IPlanChecks} from "./IPlanChecks.sol";
import {StreamLib} from "./Stream.sol";
import {Tokens} from "./Tokens.sol";

/// @title What a plan demands of prices, pools, health and balances once all its operations are done.
///
/// @notice Holds nothing, calls nothing but views, and is asked by STATICCALL: one deployment serves everybody.
///         Checks narrow what a plan may do and never widen it, so the sources that they name need no listing.
///
/// @dev `checks` is packed and big-endian: kind (1), then by kind, to the end. *amount* is a tag (1) of 0 to 32
///      and that many bytes of integer. Kinds:
///
///      0x01 FEED_FRESH        feed (20) max age (4) [s]
///      0x02 FEED_WITHIN       feed (20) lowest *amount* highest *amount* [the feed's own unit]
///      0x03 FEEDS_AGREE       feed (20) other feed (20) most (2) [bps of the first]
///      0x04 SEQUENCER_UP      feed (20) grace (4) [s since it came up]
///      0x05 TWAP_AGREES       pool (20) window (4) [s] most (3) [ticks of 1 bp each, between spot and mean]
///      0x06 FEED_TWAP_AGREE   feed (20) pool (20) base token (20) window (4) [s] most (2) [bps of the feed]
///      0x07 HEALTH_AAVE       Aave V3 pool (20) floor *amount* [1e18]
///      0x08 HEALTH_BOOK       risk book (20) floor *amount* [1e18], at every source that the book lists
///      0x09 BALANCE_AT_LEAST  token (20) holder (20, zero is the account) amount *amount*
///      0x0a BALANCE_AT_MOST   token (20) holder (20, zero is the account) amount *amount*
///
///      A feed is a Chainlink aggregator; no feed is used whose answer is not above zero. Agreement says nothing
///      of age: ask FEED_FRESH of the same feed too. A pool is of the Uniswap V3 kind (`slot0`, `observe`).
contract PlanChecks is IPlanChecks {
    using StreamLib for StreamLib.Stream;

    // ------------------------------------------------------------ constants

    uint256 private constant FEED_FRESH = 0x01;
    uint256 private constant FEED_WITHIN = 0x02;
    uint256 private constant FEEDS_AGREE = 0x03;
    uint256 private constant SEQUENCER_UP = 0x04;
    uint256 private constant TWAP_AGREES = 0x05;
    uint256 private constant FEED_TWAP_AGREE = 0x06;
    uint256 private constant HEALTH_AAVE = 0x07;
    uint256 private constant HEALTH_BOOK = 0x08;
    uint256 private constant BALANCE_AT_LEAST = 0x09;
    uint256 private constant BALANCE_AT_MOST = 0x0a;

    uint256 private constant BPS = 10_000;
    /// @dev Prices of two sources are compared as quote per base in this unit.
    uint256 private constant PRICE_UNIT = 1e18;
    uint256 private constant Q128 = 1 << 128;
    /// @dev 1 / 1.0001, one tick down.
    uint256 private constant TICK_DOWN_Q128 = Q128 * 10_000 / 10_001;

    // --------------------------------------------------------------- errors

    error UnknownCheck(uint256 check, uint256 kind);
    error SourceSilent(uint256 check, address source, bytes4 selector);
    error FeedInvalid(uint256 check, address feed, int256 answer);
    error FeedStale(uint256 check, address feed, uint256 updatedAt, uint256 maxAgeS);
    error FeedOutOfRange(uint256 check, address feed, uint256 answer, uint256 lowest, uint256 highest);
    error PricesDisagree(uint256 check, uint256 first, uint256 second, uint256 maxBps);
    error SequencerDown(uint256 check, address feed);
    error SequencerJustUp(uint256 check, address feed, uint256 startedAt, uint256 graceS);
    error TicksDisagree(uint256 check, address pool, int256 spot, int256 mean, uint256 maxTicks);
    error WindowEmpty(uint256 check, address pool);
    error TokenNotInPool(uint256 check, address pool, address token);
    error PriceOutOfRange(uint256 check, address pool, int256 tick);
    error HealthBelowFloor(uint256 check, address source, uint256 health, uint256 floor);
    error BalanceBelowFloor(uint256 check, address token, uint256 balance, uint256 floor);
    error BalanceAboveCeiling(uint256 check, address token, uint256 balance, uint256 ceiling);

    // ---------------------------------------------------------------- entry

    /// @inheritdoc IPlanChecks
    function verify(address account, bytes calldata checks) external view {
        StreamLib.Stream memory stream = StreamLib.open(checks);
        for (uint256 check = 0; stream.more(); ++check) {
            uint256 kind = stream.number(1);
            if (kind == FEED_FRESH) _feedFresh(check, stream);
            else if (kind == FEED_WITHIN) _feedWithin(check, stream);
            else if (kind == FEEDS_AGREE) _feedsAgree(check, stream);
            else if (kind == SEQUENCER_UP) _sequencerUp(check, stream);
            else if (kind == TWAP_AGREES) _twapAgrees(check, stream);
            else if (kind == FEED_TWAP_AGREE) _feedTwapAgree(check, stream);
            else if (kind == HEALTH_AAVE) _healthAave(check, stream, account);
            else if (kind == HEALTH_BOOK) _healthBook(check, stream, account);
            else if (kind == BALANCE_AT_LEAST) _balance(check, stream, account, true);
            else if (kind == BALANCE_AT_MOST) _balance(check, stream, account, false);
            else revert UnknownCheck(check, kind);
        }
    }

    // ---------------------------------------------------------------- feeds

    function _feedFresh(uint256 check, StreamLib.Stream memory stream) private view {
        address feed = stream.account();
        uint256 maxAgeS = stream.number(4);
        (, uint256 updatedAt) = _answer(check, feed);
        // An answer from the future is as suspect as one from long ago.
        if (updatedAt > block.timestamp || block.timestamp - updatedAt > maxAgeS) {
            revert FeedStale(check, feed, updatedAt, maxAgeS);
        }
    }

    function _feedWithin(uint256 check, StreamLib.Stream memory stream) private view {
        address feed = stream.account();
        uint256 lowest = stream.literal();
        uint256 highest = stream.literal();
        (uint256 answer,) = _answer(check, feed);
        if (answer < lowest || answer > highest) {
            revert FeedOutOfRange(check, feed, answer, lowest, highest);
        }
    }

    function _feedsAgree(uint256 check, StreamLib.Stream memory stream) private view {
        uint256 first = _feedPrice(check, stream.account());
        uint256 second = _feedPrice(check, stream.account());
        _mustAgree(check, first, second, stream.number(2));
    }

    function _sequencerUp(uint256 check, StreamLib.Stream memory stream) private view {
        address feed = stream.account();
        uint256 graceS = stream.number(4);
        bytes memory round = _ask(check, feed, abi.encodeWithSignature("latestRoundData()"), 5);
        uint256 startedAt = _word(round, 2);
        if (_word(round, 1) != 0) revert SequencerDown(check, feed);
        // Zero: the feed has never been told anything.
        if (startedAt == 0 || startedAt > block.timestamp || block.timestamp - startedAt < graceS) {
            revert SequencerJustUp(check, feed, startedAt, graceS);
        }
    }

    function _answer(uint256 check, address feed) private view returns (uint256 answer, uint256 updatedAt) {
        bytes memory round = _ask(check, feed, abi.encodeWithSignature("latestRoundData()"), 5);
        int256 signed = int256(_word(round, 1));
        if (signed <= 0) revert FeedInvalid(check, feed, signed);
        return (uint256(signed), _word(round, 3));
    }

    /// @return price [PRICE_UNIT]
    function _feedPrice(uint256 check, address feed) private view returns (uint256 price) {
        (uint256 answer,) = _answer(check, feed);
        return answer * PRICE_UNIT / 10 ** _decimals(check, feed);
    }

    function _mustAgree(uint256 check, uint256 first, uint256 second, uint256 maxBps) private pure {
        uint256 gap = first > second ? first - second : second - first;
        if (gap * BPS > first * maxBps) revert PricesDisagree(check, first, second, maxBps);
    }

    // ---------------------------------------------------------------- pools

    function _twapAgrees(uint256 check, StreamLib.Stream memory stream) private view {
        address pool = stream.account();
        int256 mean = _meanTick(check, pool, stream.number(4));
        uint256 maxTicks = stream.number(3);
        int256 spot = int256(_word(_ask(check, pool, abi.encodeWithSignature("slot0()"), 2), 1));
        int256 gap = spot > mean ? spot - mean : mean - spot;
        if (uint256(gap) > maxTicks) revert TicksDisagree(check, pool, spot, mean, maxTicks);
    }

    function _feedTwapAgree(uint256 check, StreamLib.Stream memory stream) private view {
        uint256 feedPrice = _feedPrice(check, stream.account());
        address pool = stream.account();
        address base = stream.account();
        int256 tick = _meanTick(check, pool, stream.number(4));
        uint256 poolPrice = _poolPrice(check, pool, base, tick);
        _mustAgree(check, feedPrice, poolPrice, stream.number(2));
    }

    /// @dev Rounds towards minus infinity, as the pools' own libraries do.
    function _meanTick(uint256 check, address pool, uint256 windowS) private view returns (int256 mean) {
        if (windowS == 0) revert WindowEmpty(check, pool);
        uint32[] memory ago = new uint32[](2);
        ago[0] = uint32(windowS);
        // Two offsets, then two arrays of a length and two items each.
        bytes memory answer = _ask(check, pool, abi.encodeWithSignature("observe(uint32[])", ago), 8);
        int256 passed = int256(_word(answer, 4)) - int256(_word(answer, 3));
        mean = passed / int256(windowS);
        if (passed < 0 && passed % int256(windowS) != 0) --mean;
    }

    /// @return price of one whole `base` in whole units of the other token [PRICE_UNIT]
    function _poolPrice(uint256 check, address pool, address base, int256 tick)
        private
        view
        returns (uint256 price)
    {
        address token0 = address(uint160(_word(_ask(check, pool, abi.encodeWithSignature("token0()"), 1), 0)));
        address token1 = address(uint160(_word(_ask(check, pool, abi.encodeWithSignature("token1()"), 1), 0)));
        if (base != token0 && base != token1) revert TokenNotInPool(check, pool, base);
        if (base == token1) tick = -tick;
        uint256 baseUnits = PRICE_UNIT * 10 ** _decimals(check, base);
        uint256 quoteUnits = 10 ** _decimals(check, base == token0 ? token1 : token0);
        uint256 ratio = _tickDownQ128(uint256(tick < 0 ? -tick : tick));
        // Near either end a pool's price has no digits left to compare.
        if (ratio < 1 << 32) revert PriceOutOfRange(check, pool, tick);
        price = (tick < 0 ? baseUnits * ratio / Q128 : baseUnits * Q128 / ratio) / quoteUnits;
    }

    /// @dev 1.0001 ** -ticks by squaring; each step rounds down by less than one part in 2**96 of what is used.
    function _tickDownQ128(uint256 ticks) private pure returns (uint256 ratio) {
        ratio = Q128;
        uint256 power = TICK_DOWN_Q128;
        for (uint256 rest = ticks; rest != 0; rest >>= 1) {
            if (rest & 1 == 1) ratio = ratio * power >> 128;
            power = power * power >> 128;
        }
    }

    // --------------------------------------------------- health and balances

    function _healthAave(uint256 check, StreamLib.Stream memory stream, address account) private view {
        address pool = stream.account();
        uint256 floor = stream.literal();
        bytes memory data = abi.encodeWithSignature("getUserAccountData(address)", account);
        uint256 health = _word(_ask(check, pool, data, 6), 5);
        if (health < floor) revert HealthBelowFloor(check, pool, health, floor);
    }

    function _healthBook(uint256 check, StreamLib.Stream memory stream, address account) private view {
        address book = stream.account();
        uint256 floor = stream.literal();
        bytes memory answer = _ask(check, book, abi.encodeWithSignature("healthFactors(address)", account), 2);
        uint256 count = _word(answer, 1);
        if (answer.length < 32 * (2 + count)) {
            revert SourceSilent(check, book, bytes4(keccak256("healthFactors(address)")));
        }
        for (uint256 i = 0; i < count; ++i) {
            uint256 health = _word(answer, 2 + i);
            if (health < floor) revert HealthBelowFloor(check, book, health, floor);
        }
    }

    function _balance(uint256 check, StreamLib.Stream memory stream, address account, bool least)
        private
        view
    {
        address token = stream.account();
        address holder = stream.account();
        uint256 limit = stream.literal();
        if (holder == address(0)) holder = account;
        uint256 balance = token == Tokens.NATIVE
            ? holder.balance
            : _word(_ask(check, token, abi.encodeWithSignature("balanceOf(address)", holder), 1), 0);
        if (least && balance < limit) revert BalanceBelowFloor(check, token, balance, limit);
        if (!least && balance > limit) revert BalanceAboveCeiling(check, token, balance, limit);
    }

    // -------------------------------------------------------------- internal

    function _decimals(uint256 check, address source) private view returns (uint256) {
        return _word(_ask(check, source, abi.encodeWithSignature("decimals()"), 1), 0);
    }

    /// @return answer of at least `words` words; a source that reverts, is no contract or says less is silent
    function _ask(uint256 check, address source, bytes memory data, uint256 words)
        private
        view
        returns (bytes memory answer)
    {
        bool ok;
        (ok, answer) = source.staticcall(data);
        if (!ok || answer.length < 32 * words) revert SourceSilent(check, source, bytes4(data));
    }

    function _word(bytes memory answer, uint256 index) private pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := mload(add(add(answer, 32), mul(32, index)))
        }
    }
}
