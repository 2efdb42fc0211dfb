// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {AtomicExecutor} from "../src/AtomicExecutor.sol";
import {PlanChecks} from "../src/PlanChecks.sol";
import {StreamLib} from "../src/Stream.sol";
import {Tokens} from "../src/Tokens.sol";
import {OpenRiskBook} from "./support/OpenRiskBook.sol";
import {Ops} from "./support/Ops.sol";
import {TestToken} from "./support/TestToken.sol";
import {World} from "./support/World.sol";

/// @dev Answers what it is told to: a feed, a pool with a memory, an Aave pool.
contract Oracle {
    uint8 public decimals;
    int256 public answer;
    uint256 public startedAt;
    uint256 public updatedAt;
    address public token0;
    address public token1;
    int24 public spot;
    int56 public older;
    int56 public newer;
    uint256 public health;

    function setFeed(uint8 decimals_, int256 answer_, uint256 startedAt_, uint256 updatedAt_) external {
        (decimals, answer, startedAt, updatedAt) = (decimals_, answer_, startedAt_, updatedAt_);
    }

    function setPool(address token0_, address token1_, int24 spot_, int56 older_, int56 newer_) external {
        (token0, token1, spot, older, newer) = (token0_, token1_, spot_, older_, newer_);
    }

    function setHealth(uint256 health_) external {
        health = health_;
    }

    function latestRoundData() external view returns (uint80, int256, uint256, uint256, uint80) {
        return (1, answer, startedAt, updatedAt, 1);
    }

    function slot0() external view returns (uint160, int24, uint16, uint16, uint16, uint8, bool) {
        return (0, spot, 0, 0, 0, 0, true);
    }

    function observe(uint32[] calldata)
        external
        view
        returns (int56[] memory ticks, uint160[] memory others)
    {
        ticks = new int56[](2);
        others = new uint160[](2);
        (ticks[0], ticks[1]) = (older, newer);
    }

    function getUserAccountData(address)
        external
        view
        returns (uint256, uint256, uint256, uint256, uint256, uint256)
    {
        return (0, 0, 0, 0, 0, health);
    }
}

/// @dev Each check: what it admits at its edge, and the error one step past it.
contract PlanChecksTest is World {
    address private constant ACCOUNT = address(0xACC);
    uint256 private constant NOW = 1_800_000_000;

    Oracle internal feed;
    Oracle internal other;
    TestToken internal six;

    function setUp() public override {
        super.setUp();
        feed = new Oracle();
        other = new Oracle();
        six = new TestToken("SIX");
        vm.mockCall(address(six), abi.encodeWithSignature("decimals()"), abi.encode(6));
    }

    // ------------------------------------------------------------------------ feeds

    function test_a_feed_is_fresh_up_to_its_age() public {
        bytes memory check = abi.encodePacked(uint8(1), feed, uint32(3_600));
        feed.setFeed(8, 1, 0, NOW - 3_600);
        _passes(check);
        feed.setFeed(8, 1, 0, NOW - 3_601);
        _fails(check, abi.encodeWithSelector(PlanChecks.FeedStale.selector, 0, feed, NOW - 3_601, 3_600));
        feed.setFeed(8, 1, 0, NOW + 1);
        _fails(check, abi.encodeWithSelector(PlanChecks.FeedStale.selector, 0, feed, NOW + 1, 3_600));
        feed.setFeed(8, 0, 0, NOW);
        _fails(check, abi.encodeWithSelector(PlanChecks.FeedInvalid.selector, 0, feed, int256(0)));
        feed.setFeed(8, -1, 0, NOW);
        _fails(check, abi.encodeWithSelector(PlanChecks.FeedInvalid.selector, 0, feed, int256(-1)));
    }

    function test_a_feed_stays_within_its_range() public {
        bytes memory check = bytes.concat(abi.encodePacked(uint8(2), feed), Ops.lit(99), Ops.lit(101));
        feed.setFeed(8, 99, 0, 0);
        _passes(check);
        feed.setFeed(8, 101, 0, 0);
        _passes(check);
        feed.setFeed(8, 98, 0, 0);
        _fails(check, abi.encodeWithSelector(PlanChecks.FeedOutOfRange.selector, 0, feed, 98, 99, 101));
        feed.setFeed(8, 102, 0, 0);
        _fails(check, abi.encodeWithSelector(PlanChecks.FeedOutOfRange.selector, 0, feed, 102, 99, 101));
    }

    function test_two_feeds_agree_whatever_their_decimals() public {
        bytes memory check = abi.encodePacked(uint8(3), feed, other, uint16(100));
        feed.setFeed(8, 2_000e8, 0, 0);
        other.setFeed(18, 2_020e18, 0, 0);
        _passes(check);
        other.setFeed(18, 1_980e18, 0, 0);
        _passes(check);
        other.setFeed(18, 2_020e18 + 1, 0, 0);
        _fails(
            check, abi.encodeWithSelector(PlanChecks.PricesDisagree.selector, 0, 2_000e18, 2_020e18 + 1, 100)
        );
        other.setFeed(18, 1_980e18 - 1, 0, 0);
        _fails(
            check, abi.encodeWithSelector(PlanChecks.PricesDisagree.selector, 0, 2_000e18, 1_980e18 - 1, 100)
        );
    }

    function test_a_sequencer_must_be_up_for_a_while() public {
        bytes memory check = abi.encodePacked(uint8(4), feed, uint32(3_600));
        feed.setFeed(0, 0, NOW - 3_600, 0);
        _passes(check);
        feed.setFeed(0, 1, NOW - 3_600, 0);
        _fails(check, abi.encodeWithSelector(PlanChecks.SequencerDown.selector, 0, feed));
        uint256[3] memory early = [NOW - 3_599, 0, NOW + 1];
        for (uint256 i = 0; i < 3; ++i) {
            feed.setFeed(0, 0, early[i], 0);
            _fails(
                check, abi.encodeWithSelector(PlanChecks.SequencerJustUp.selector, 0, feed, early[i], 3_600)
            );
        }
    }

    // ------------------------------------------------------------------------ pools

    function test_spot_stays_near_its_mean() public {
        bytes memory check = abi.encodePacked(uint8(5), feed, uint32(600), uint24(50));
        feed.setPool(address(0), address(0), 150, 0, 60_000);
        _passes(check);
        feed.setPool(address(0), address(0), 50, 0, 60_000);
        _passes(check);
        feed.setPool(address(0), address(0), 151, 0, 60_000);
        _fails(check, _ticks(151, 100, 50));
        // Means round towards minus infinity: one part of a tick under -100 is -101.
        feed.setPool(address(0), address(0), -50, 0, -60_001);
        _fails(check, _ticks(-50, -101, 50));
        feed.setPool(address(0), address(0), -51, 0, -60_001);
        _passes(check);
        check = abi.encodePacked(uint8(5), feed, uint32(0), uint24(50));
        _fails(check, abi.encodeWithSelector(PlanChecks.WindowEmpty.selector, 0, feed));
    }

    function test_a_feed_agrees_with_the_mean_price_of_a_pool() public {
        // Tick 76012 is 1.0001 ** 76012, some 1999.9: of a token of 18 decimals in another of 18.
        feed.setFeed(8, 2_000e8, 0, 0);
        other.setPool(address(weth), address(usd), 0, 0, 76_012 * 600);
        _passes(_feedTwap(address(weth), 5));
        // The other way round the same price stands at the opposite tick.
        other.setPool(address(usd), address(weth), 0, 0, -76_012 * 600);
        _passes(_feedTwap(address(weth), 5));
        // In a token of six decimals it stands 10 ** 12 lower.
        other.setPool(address(weth), address(six), 0, 0, -200_312 * 600);
        _passes(_feedTwap(address(weth), 5));
        other.setPool(address(weth), address(usd), 0, 0, 76_112 * 600);
        _failsPartly(_feedTwap(address(weth), 99), PlanChecks.PricesDisagree.selector);
        _passes(_feedTwap(address(weth), 102));
    }

    function test_a_mean_price_is_that_of_its_tick_to_a_millionth() public {
        // 1.0001 ** tick to 18 digits, computed with 60 digits elsewhere.
        int56[5] memory ticks = [int56(0), 1, -1, 100_000, -100_000];
        uint256[5] memory prices = [
            uint256(1e18),
            1_000_100_000_000_000_000,
            999_900_009_999_000_099,
            22_015_456_048_552_198_645_701,
            45_422_633_889_328
        ];
        for (uint256 i = 0; i < 5; ++i) {
            other.setPool(address(weth), address(usd), 0, 0, ticks[i] * 600);
            feed.setFeed(18, int256(prices[i] * 3), 0, 0);
            try planChecks.verify(ACCOUNT, _feedTwap(address(weth), 1)) {
                fail();
            } catch (bytes memory reason) {
                uint256 told;
                assembly ("memory-safe") {
                    told := mload(add(reason, 100))
                }
                assertApproxEqRel(told, prices[i], 1e12);
            }
        }
    }

    function test_tokens_outside_and_prices_without_digits_are_refused() public {
        feed.setFeed(8, 2_000e8, 0, 0);
        other.setPool(address(usd), address(six), 0, 0, 0);
        _fails(
            _feedTwap(address(weth), 5),
            abi.encodeWithSelector(PlanChecks.TokenNotInPool.selector, 0, other, address(weth))
        );
        other.setPool(address(weth), address(usd), 0, 0, 800_000 * 600);
        _fails(
            _feedTwap(address(weth), 5),
            abi.encodeWithSelector(PlanChecks.PriceOutOfRange.selector, 0, other, int256(800_000))
        );
    }

    function test_the_true_pool_answers() public {
        vm.warp(NOW + 1_000);
        feed.setFeed(8, 2_000e8, 0, 0);
        _passes(
            bytes.concat(
                abi.encodePacked(uint8(5), pool, uint32(600), uint24(1)),
                abi.encodePacked(uint8(6), feed, pool, address(weth), uint32(600), uint16(10))
            )
        );
    }

    // ---------------------------------------------------------- health and balances

    function test_health_stays_at_its_floor() public {
        bytes memory check = bytes.concat(abi.encodePacked(uint8(7), feed), Ops.lit(1.5e18));
        feed.setHealth(1.5e18);
        _passes(check);
        feed.setHealth(1.5e18 - 1);
        _fails(
            check, abi.encodeWithSelector(PlanChecks.HealthBelowFloor.selector, 0, feed, 1.5e18 - 1, 1.5e18)
        );
    }

    function test_every_source_of_a_book_stays_at_its_floor() public {
        bytes memory check = bytes.concat(abi.encodePacked(uint8(8), book), Ops.lit(1.5e18));
        uint256[] memory health = new uint256[](2);
        _passes(check);
        (health[0], health[1]) = (type(uint256).max, 1.5e18);
        book.setHealth(health);
        _passes(check);
        health[1] = 1.5e18 - 1;
        book.setHealth(health);
        _fails(
            check, abi.encodeWithSelector(PlanChecks.HealthBelowFloor.selector, 0, book, 1.5e18 - 1, 1.5e18)
        );
        // A book that says less than it announces has said nothing.
        vm.mockCall(
            address(book), abi.encodeWithSelector(OpenRiskBook.healthFactors.selector), abi.encode(32, 2, 1)
        );
        _fails(check, _silent(address(book), OpenRiskBook.healthFactors.selector));
    }

    function test_balances_keep_to_floor_and_ceiling() public {
        address[3] memory tokens = [address(usd), address(usd), Tokens.NATIVE];
        address[3] memory holders = [address(0), stranger, address(0)];
        for (uint256 i = 0; i < 3; ++i) {
            address who = holders[i] == address(0) ? ACCOUNT : holders[i];
            if (tokens[i] == Tokens.NATIVE) vm.deal(who, 100);
            else usd.mint(who, 100);
            bytes memory place = abi.encodePacked(tokens[i], holders[i]);
            _passes(bytes.concat(hex"09", place, Ops.lit(100), hex"0a", place, Ops.lit(100)));
            _fails(
                bytes.concat(hex"09", place, Ops.lit(101)),
                abi.encodeWithSelector(PlanChecks.BalanceBelowFloor.selector, 0, tokens[i], 100, 101)
            );
            _fails(
                bytes.concat(hex"0a", place, Ops.lit(99)),
                abi.encodeWithSelector(PlanChecks.BalanceAboveCeiling.selector, 0, tokens[i], 100, 99)
            );
        }
    }

    // -------------------------------------------------------------------- the stream

    function test_silent_sources_are_named() public {
        bytes memory check = abi.encodePacked(uint8(1), stranger, uint32(1));
        _fails(check, _silent(stranger, Oracle.latestRoundData.selector));
        check = abi.encodePacked(uint8(1), address(usd), uint32(1));
        _fails(check, _silent(address(usd), Oracle.latestRoundData.selector));
    }

    function test_unknown_cut_and_misnumbered_checks_are_refused() public {
        _fails(hex"00", abi.encodeWithSelector(PlanChecks.UnknownCheck.selector, 0, 0));
        feed.setFeed(8, 1, 0, NOW);
        bytes memory fresh = abi.encodePacked(uint8(1), feed, uint32(1));
        _fails(bytes.concat(fresh, hex"0b"), abi.encodeWithSelector(PlanChecks.UnknownCheck.selector, 1, 11));
        _fails(hex"01ff", abi.encodeWithSelector(StreamLib.Truncated.selector, 20, 1));
        _fails(
            bytes.concat(abi.encodePacked(uint8(2), feed), hex"80"),
            abi.encodeWithSelector(StreamLib.BadAmountTag.selector, 0x80)
        );
    }

    // ---------------------------------------------------------------- in an execution

    function test_an_execution_ends_with_its_checks_after_the_payout() public {
        AtomicExecutor.Header memory header = _header(0.01 ether);
        bytes memory operations = _arbitrage(5 ether);
        bytes memory place = abi.encodePacked(address(weth), beneficiary);
        vm.startPrank(operator);
        vm.expectPartialRevert(PlanChecks.BalanceBelowFloor.selector);
        executor.execute(header, _noBounds(), bytes.concat(hex"09", place, Ops.lit(1_000 ether)), operations);
        assertFalse(executor.isExecuted(header.intentId));
        executor.execute(header, _noBounds(), bytes.concat(hex"09", place, Ops.lit(0.01 ether)), operations);
        assertTrue(_transientIsEmpty());
    }

    // ----------------------------------------------------------------------- internal

    function _feedTwap(address base, uint16 maxBps) private view returns (bytes memory) {
        return abi.encodePacked(uint8(6), feed, other, base, uint32(600), maxBps);
    }

    function _ticks(int256 spot, int256 mean, uint256 most) private view returns (bytes memory) {
        return abi.encodeWithSelector(PlanChecks.TicksDisagree.selector, 0, feed, spot, mean, most);
    }

    function _silent(address source, bytes4 selector) private pure returns (bytes memory) {
        return abi.encodeWithSelector(PlanChecks.SourceSilent.selector, 0, source, selector);
    }

    function _passes(bytes memory checks) private view {
        planChecks.verify(ACCOUNT, checks);
    }

    function _fails(bytes memory checks, bytes memory reason) private {
        vm.expectRevert(reason);
        planChecks.verify(ACCOUNT, checks);
    }

    function _failsPartly(bytes memory checks, bytes4 reason) private {
        vm.expectPartialRevert(reason);
        planChecks.verify(ACCOUNT, checks);
    }
}
