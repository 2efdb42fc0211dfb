// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {Test} from "forge-std/Test.sol";

import {TOKEN_DEBT, TOKEN_KEPT, TOKEN_PAID_OUT} from "../src/IPolicyRegistry.sol";
import {RiskBook} from "../src/RiskBook.sol";
import {TimeLocked} from "../src/TimeLocked.sol";
import {Tokens} from "../src/Tokens.sol";
import {TwoStepOwner} from "../src/TwoStepOwner.sol";
import {AaveStub, CometStub, DecimalToken, MorphoStub, TestFeed} from "./support/Lending.sol";

contract RiskBookTest is Test {
    uint256 private constant USD = 1e8;
    uint32 private constant HEARTBEAT_S = 1 hours;

    RiskBook private book;
    DecimalToken private ether_;
    DecimalToken private dollar;
    DecimalToken private debt;
    TestFeed private etherFeed;
    TestFeed private dollarFeed;
    address private owner = makeAddr("owner");
    address private executor = makeAddr("executor");
    address private other = makeAddr("other");

    function setUp() public {
        vm.warp(1_800_000_000);
        book = new RiskBook(owner);
        ether_ = new DecimalToken(18);
        dollar = new DecimalToken(6);
        debt = new DecimalToken(6);
        etherFeed = new TestFeed(2_000e8);
        dollarFeed = new TestFeed(1e8);
        _limit(address(ether_), address(etherFeed), 18, 10 ether, 0.001 ether);
        _limit(address(dollar), address(dollarFeed), 6, 50_000e6, 1e6);
        _limit(address(debt), address(dollarFeed), 6, 20_000e6, 1e6);
        _loss(100e8, 300e8, 1e6);
    }

    // ------------------------------------------------------------ caps per token

    function test_a_fall_within_cap_and_loss_is_booked() public {
        vm.expectEmit();
        emit RiskBook.Charged(executor, 50 * USD);
        _charge(address(ether_), TOKEN_PAID_OUT, 1 ether, 0.975 ether);
        assertEq(book.tokenRoom(executor, address(ether_)), 9.975 ether);
        assertEq(book.lossRoom(executor), 100 * USD);
    }

    function test_more_than_the_cap_is_refused_and_room_comes_back_with_time() public {
        _loss(type(uint128).max, type(uint128).max, 0);
        _charge(address(ether_), TOKEN_KEPT, 10 ether, 1 ether);
        bytes memory reason =
            abi.encodeWithSelector(RiskBook.CapExceeded.selector, address(ether_), 2 ether, 1 ether);
        _chargeRefused(address(ether_), TOKEN_KEPT, 2 ether, 0, reason);
        vm.warp(block.timestamp + 999);
        reason = abi.encodeWithSelector(RiskBook.CapExceeded.selector, address(ether_), 2 ether, 1.999 ether);
        _chargeRefused(address(ether_), TOKEN_KEPT, 2 ether, 0, reason);
        vm.warp(block.timestamp + 1);
        _charge(address(ether_), TOKEN_KEPT, 2 ether, 0);
        assertEq(book.tokenRoom(executor, address(ether_)), 0);
        vm.warp(block.timestamp + 30 minutes);
        etherFeed.set(2_000e8);
        vm.warp(block.timestamp + 30 minutes);
        assertEq(book.tokenRoom(executor, address(ether_)), 3.6 ether);
    }

    /// @dev The same amounts in any number of pieces never take out more than capacity and refill allow.
    function testFuzz_no_sequence_takes_more_than_capacity_and_refill(uint256 seed) public {
        _loss(type(uint128).max, type(uint128).max, 0);
        uint256 start = block.timestamp;
        uint256 taken = 0;
        for (uint256 i = 0; i < 24; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            vm.warp(block.timestamp + seed % 600);
            etherFeed.set(2_000e8);
            uint256 amount = (seed >> 16) % 6 ether + 1;
            vm.prank(executor);
            try book.charge(_one(_packed(address(ether_), TOKEN_KEPT)), _one(amount), _one(0)) {
                taken += amount;
            } catch {
                assertGt(amount, book.tokenRoom(executor, address(ether_)));
            }
            assertLe(taken, 10 ether + (block.timestamp - start) * 0.001 ether);
        }
    }

    function test_a_debt_that_grows_is_capped_and_valued_as_a_loss() public {
        _charge(address(debt), TOKEN_DEBT, 0, 60e6);
        assertEq(book.tokenRoom(executor, address(debt)), 19_940e6);
        bytes memory reason =
            abi.encodeWithSelector(RiskBook.LossAboveExecution.selector, 101 * USD, 100 * USD);
        _chargeRefused(address(debt), TOKEN_DEBT, 0, 101e6, reason);
        reason = abi.encodeWithSelector(RiskBook.CapExceeded.selector, address(debt), 20_000e6, 19_940e6);
        _chargeRefused(address(debt), TOKEN_DEBT, 0, 20_000e6, reason);
    }

    function test_what_does_not_change_or_improves_needs_neither_feed_nor_room() public {
        etherFeed.setBroken(true);
        _charge(address(ether_), TOKEN_PAID_OUT, 5, 5);
        _charge(address(ether_), TOKEN_PAID_OUT, 5, 6);
        _charge(address(debt), TOKEN_DEBT, 6, 5);
        _charge(address(other), TOKEN_PAID_OUT, 0, 5);
    }

    function test_amounts_that_no_token_has_are_refused_not_wrapped() public {
        _loss(type(uint128).max, type(uint128).max, 0);
        uint256 huge = uint256(type(uint128).max) + 1;
        bytes memory reason = abi.encodeWithSelector(RiskBook.AmountTooLarge.selector, address(ether_), huge);
        _chargeRefused(address(ether_), TOKEN_PAID_OUT, huge, 0, reason);
        // As a gain it counts for no more than the largest amount there is.
        _charge(address(ether_), TOKEN_PAID_OUT, 0, type(uint256).max);
    }

    function test_lists_of_different_lengths_are_refused() public {
        uint256[] memory two = new uint256[](2);
        vm.expectRevert(abi.encodeWithSelector(RiskBook.LengthsDiffer.selector, 1, 2, 1));
        book.charge(_one(1), two, _one(1));
        vm.expectRevert(abi.encodeWithSelector(RiskBook.LengthsDiffer.selector, 1, 1, 2));
        book.charge(_one(1), _one(1), two);
    }

    // ------------------------------------------------------------ losses by oracle

    function test_gains_with_a_live_feed_are_netted_rounded_against_us() public {
        // 1 WETH for 1,999.999999 USD: a loss of 100 units of 1e-8 USD.
        vm.expectEmit();
        emit RiskBook.Charged(executor, 100);
        _swap(1 ether, 1_999_999_999);
        _swap(1 ether, 2_100e6);
        // One wei is worth less than a unit, and still counts as one.
        vm.expectEmit();
        emit RiskBook.Charged(executor, 1);
        _charge(address(ether_), TOKEN_PAID_OUT, 1, 0);
    }

    function test_gains_without_a_live_feed_count_nothing() public {
        dollarFeed.setUpdatedAt(block.timestamp - HEARTBEAT_S - 1);
        vm.expectRevert(abi.encodeWithSelector(RiskBook.LossAboveExecution.selector, 2_000 * USD, 100 * USD));
        _swap(1 ether, 2_000e6);
    }

    function test_losses_fill_a_window_that_leaks() public {
        for (uint256 i = 0; i < 3; ++i) {
            _charge(address(dollar), TOKEN_PAID_OUT, 100e6, 0);
        }
        assertEq(book.lossRoom(executor), 0);
        bytes memory reason = abi.encodeWithSelector(RiskBook.LossAboveWindow.selector, 1 * USD, 0);
        _chargeRefused(address(dollar), TOKEN_PAID_OUT, 1e6, 0, reason);
        vm.warp(block.timestamp + 100);
        _charge(address(dollar), TOKEN_PAID_OUT, 1e6, 0);
        assertEq(book.lossRoom(executor), 0);
        assertEq(book.lossRoom(other), 0);
    }

    function test_one_execution_loses_no_more_than_its_limit() public {
        bytes memory reason =
            abi.encodeWithSelector(RiskBook.LossAboveExecution.selector, 100 * USD + 100, 100 * USD);
        _chargeRefused(address(dollar), TOKEN_PAID_OUT, 100e6 + 1, 0, reason);
    }

    // -------------------------------------------------------------------- feeds

    function test_a_token_without_a_live_feed_has_cap_zero() public {
        int256[3] memory unfit = [int256(0), -1, int256(uint256(type(uint96).max)) + 1];
        for (uint256 i = 0; i < unfit.length; ++i) {
            etherFeed.set(unfit[i]);
            _feedRefused();
        }
        etherFeed.set(1);
        etherFeed.setUpdatedAt(block.timestamp + 1);
        _feedRefused();
        etherFeed.setUpdatedAt(block.timestamp - HEARTBEAT_S - 1);
        _feedRefused();
        etherFeed.setUpdatedAt(block.timestamp - HEARTBEAT_S);
        _charge(address(ether_), TOKEN_PAID_OUT, 1, 0);
        etherFeed.set(1);
        etherFeed.setRaw(new bytes(159));
        _feedRefused();
        etherFeed.setRaw("");
        etherFeed.setBroken(true);
        _feedRefused();
        vm.etch(address(etherFeed), "");
        _feedRefused();
    }

    function test_a_token_that_nobody_configured_may_not_fall() public {
        bytes memory reason = abi.encodeWithSelector(RiskBook.FeedNotLive.selector, other, address(0));
        _chargeRefused(other, TOKEN_PAID_OUT, 1, 0, reason);
        assertEq(book.tokenRoom(executor, other), 0);
    }

    function test_the_native_coin_is_priced_with_18_decimals() public {
        _limit(Tokens.NATIVE, address(etherFeed), 18, 1 ether, 0);
        vm.expectEmit();
        emit RiskBook.Charged(executor, 20 * USD);
        _charge(Tokens.NATIVE, TOKEN_PAID_OUT, 0.01 ether, 0);
    }

    function test_feeds_of_18_decimals_give_the_same_value() public {
        TestFeed fine = new TestFeed(2_000e18);
        fine.setDecimals(18);
        _limit(address(ether_), address(fine), 18, 10 ether, 0);
        vm.expectEmit();
        emit RiskBook.Charged(executor, 20 * USD);
        _charge(address(ether_), TOKEN_PAID_OUT, 0.01 ether, 0);
    }

    function test_unfit_token_limits_are_refused() public {
        _limitRefused(_tokenLimit(other, 18, 1, 0), abi.encodeWithSelector(RiskBook.NoCode.selector, other));
        address feed = address(etherFeed);
        RiskBook.TokenLimit memory limit = _tokenLimit(feed, 18, 1, 0);
        limit.heartbeatS = 0;
        _limitRefused(limit, abi.encodeWithSelector(RiskBook.HeartbeatMissing.selector, address(ether_)));
        _limitRefused(
            _tokenLimit(feed, 6, 1, 0),
            abi.encodeWithSelector(RiskBook.DecimalsDiffer.selector, address(ether_), 6, 18)
        );
        bytes memory reason = abi.encodeWithSelector(RiskBook.LimitWithoutFeed.selector, address(ether_));
        _limitRefused(_tokenLimit(address(0), 18, 1, 0), reason);
        _limitRefused(_tokenLimit(address(0), 18, 0, 1), reason);
        uint8[2] memory unfit = [7, 37];
        for (uint256 i = 0; i < unfit.length; ++i) {
            etherFeed.setDecimals(unfit[i]);
            reason = abi.encodeWithSelector(RiskBook.DecimalsOutOfRange.selector, 18, unfit[i]);
            _limitRefused(_tokenLimit(feed, 18, 1, 0), reason);
        }
        DecimalToken odd = new DecimalToken(37);
        vm.expectRevert(abi.encodeWithSelector(RiskBook.DecimalsOutOfRange.selector, 37, 8));
        vm.prank(owner);
        book.setTokenLimit(executor, address(odd), _tokenLimit(address(dollarFeed), 37, 1, 0));
    }

    // ------------------------------------------------------------ health sources

    function test_aave_answers_its_own_health_factor() public {
        AaveStub pool = new AaveStub();
        _source(1, address(pool), 0, true);
        pool.setFactor(executor, 1.5e18);
        assertEq(book.healthFactors(executor)[0], 1.5e18);
        pool.setFactor(executor, 0);
        vm.expectRevert(abi.encodeWithSelector(RiskBook.HealthUnreadable.selector, address(pool), bytes32(0)));
        book.healthFactors(executor);
    }

    function test_morpho_counts_interest_up_to_now_and_rounds_down() public {
        MorphoStub morpho = new MorphoStub();
        bytes32 market = keccak256("market");
        _source(2, address(morpho), market, true);
        assertEq(book.healthFactors(executor)[0], type(uint256).max);
        // 1 WETH at 2,000 USDX with 6 decimals: price = 2000 * 1e36 * 1e6 / 1e18.
        morpho.setParams(0.8e18, 2_000e24, 0, true);
        morpho.setMarket(1_000e6, 1_000e12, uint128(block.timestamp));
        morpho.setPosition(executor, 1_000e12, 1 ether);
        assertEq(book.healthFactors(executor)[0], 1.6e18);
        // 10 % over 1,000 s, compounded: e^0.1 - 1 by three terms = 0.105166...
        morpho.setParams(0.8e18, 2_000e24, 0.0001e18, true);
        vm.warp(block.timestamp + 1_000);
        uint256 owed = 1_000e6 + (1_000e6 * uint256(0.105166666666666666e18)) / 1e18 + 1;
        assertApproxEqAbs(book.healthFactors(executor)[0], 1_600e6 * 1e18 / owed, 2e9);
        morpho.setParams(0.8e18, 2_000e24, 0.0001e18, false);
        assertEq(book.healthFactors(executor)[0], 1.6e18);
    }

    function test_comet_weighs_collateral_by_its_liquidation_factor() public {
        CometStub comet = new CometStub();
        _source(3, address(comet), 0, true);
        assertEq(book.healthFactors(executor)[0], type(uint256).max);
        comet.addAsset(address(ether_), 1e18, 0.9e18);
        comet.addAsset(address(debt), 1e6, 0.5e18);
        comet.addAsset(address(dollar), 1e6, 0.5e18);
        comet.setPrice(address(ether_), 2_000e8);
        comet.setPrice(address(dollar), 1e8);
        comet.setPrice(comet.baseTokenPriceFeed(), 1e8);
        comet.setDebt(executor, 1_000e6);
        comet.setHeld(executor, address(ether_), 1 ether);
        comet.setHeld(executor, address(dollar), 400e6);
        assertEq(book.healthFactors(executor)[0], 2e18);
        assertEq(book.healthFactors(other).length, 0);
    }

    function test_unfit_health_sources_are_refused() public {
        AaveStub pool = new AaveStub();
        uint8[2] memory kinds = [0, 4];
        for (uint256 i = 0; i < kinds.length; ++i) {
            _sourceRefused(
                kinds[i],
                address(pool),
                0,
                true,
                abi.encodeWithSelector(RiskBook.UnknownKind.selector, kinds[i])
            );
        }
        _sourceRefused(
            2, address(pool), 0, true, abi.encodeWithSelector(RiskBook.MarketUnfit.selector, 2, bytes32(0))
        );
        bytes32 market = bytes32(uint256(1));
        _sourceRefused(
            1, address(pool), market, true, abi.encodeWithSelector(RiskBook.MarketUnfit.selector, 1, market)
        );
        _sourceRefused(1, other, 0, true, abi.encodeWithSelector(RiskBook.NoCode.selector, other));
        bytes memory reason =
            abi.encodeWithSelector(RiskBook.SourceNotListed.selector, address(pool), bytes32(0));
        _sourceRefused(1, address(pool), 0, false, reason);
        _source(1, address(pool), 0, true);
        reason = abi.encodeWithSelector(RiskBook.SourceListed.selector, address(pool), bytes32(0));
        _sourceRefused(1, address(pool), 0, true, reason);
    }

    function test_health_sources_are_bounded_and_removable() public {
        AaveStub first = new AaveStub();
        _source(1, address(first), 0, true);
        for (uint256 i = 1; i < book.MAX_HEALTH_SOURCES(); ++i) {
            _source(2, address(first), bytes32(i), true);
        }
        bytes memory reason = abi.encodeWithSelector(RiskBook.TooManySources.selector, 8);
        _sourceRefused(3, address(first), 0, true, reason);
        _source(1, address(first), 0, false);
        RiskBook.HealthSource[] memory listed = book.healthSources(executor);
        assertEq(listed.length, 7);
        assertEq(listed[0].market, bytes32(uint256(7)));
    }

    // ---------------------------------------------------------- what the owner writes

    function test_what_is_written_is_read_back() public view {
        RiskBook.TokenLimit memory limit = book.tokenLimits(executor, address(dollar));
        assertEq(limit.feed, address(dollarFeed));
        assertEq(limit.heartbeatS, HEARTBEAT_S);
        assertEq(limit.tokenDecimals, 6);
        assertEq(limit.capacity, 50_000e6);
        assertEq(limit.refillPerS, 1e6);
        (uint128 perExecution, uint128 capacity, uint128 refillPerS) = book.lossLimits(executor);
        assertEq(perExecution, 100e8);
        assertEq(capacity, 300e8);
        assertEq(refillPerS, 1e6);
    }

    function test_only_the_owner_writes() public {
        bytes memory reason = abi.encodeWithSelector(TwoStepOwner.NotOwner.selector, address(this));
        vm.expectRevert(reason);
        book.setTokenLimit(executor, address(dollar), _tokenLimit(address(dollarFeed), 6, 1, 0));
        vm.expectRevert(reason);
        book.setLossLimit(executor, RiskBook.LossLimit(0, 0, 0));
        vm.expectRevert(reason);
        book.setHealthSource(executor, RiskBook.HealthSource(1, address(book), 0), true);
        vm.expectRevert(reason);
        book.setHoldsPositions(executor, false);
    }

    function test_sealed_token_limits_tighten_at_once_and_loosen_late() public {
        address feed = address(dollarFeed);
        _sealed();
        RiskBook.TokenLimit memory tighter = _tokenLimit(feed, 6, 49_000e6, 1e5);
        tighter.heartbeatS = HEARTBEAT_S - 1;
        _writeTokenLimit(tighter);
        _looserRefused(_tokenLimit(feed, 6, 49_000e6 + 1, 1e5));
        _looserRefused(_tokenLimit(feed, 6, 49_000e6, 1e5 + 1));
        _looserRefused(_tokenLimit(feed, 6, 49_000e6, 1e5));
        _looserRefused(_tokenLimit(address(new TestFeed(1e8)), 6, 1, 1));
        dollarFeed.setDecimals(9);
        tighter.capacity = 1;
        _looserRefused(tighter);
        dollarFeed.setDecimals(8);
        _writeTokenLimit(_noFeed());
        assertEq(book.tokenRoom(executor, address(dollar)), 0);
        _looserRefused(_tokenLimit(feed, 6, 0, 0));

        RiskBook.TokenLimit memory wanted = _tokenLimit(feed, 6, 60_000e6, 1e6);
        bytes memory call = abi.encodeCall(RiskBook.setTokenLimit, (executor, address(dollar), wanted));
        _propose(call);
        vm.warp(block.timestamp + book.LOOSENING_DELAY_S());
        dollarFeed.set(1e8);
        _writeTokenLimit(wanted);
        assertEq(book.tokenRoom(executor, address(dollar)), 60_000e6);
    }

    function test_a_cap_lowered_below_what_is_used_leaves_no_room() public {
        _loss(type(uint128).max, type(uint128).max, 0);
        _charge(address(dollar), TOKEN_PAID_OUT, 40_000e6, 0);
        _limit(address(dollar), address(dollarFeed), 6, 10_000e6, 1e6);
        assertEq(book.tokenRoom(executor, address(dollar)), 0);
        bytes memory reason = abi.encodeWithSelector(RiskBook.CapExceeded.selector, address(dollar), 1, 0);
        _chargeRefused(address(dollar), TOKEN_PAID_OUT, 1, 0, reason);
    }

    function test_sealed_loss_limits_tighten_at_once_and_loosen_late() public {
        _sealed();
        _loss(99e8, 299e8, 1e6 - 1);
        bytes memory call =
            abi.encodeCall(RiskBook.setLossLimit, (executor, RiskBook.LossLimit(100e8, 299e8, 1e6 - 1)));
        _ownerCallRefused(call, _notProposed(call));
        call = abi.encodeCall(RiskBook.setLossLimit, (executor, RiskBook.LossLimit(99e8, 300e8, 1e6 - 1)));
        _ownerCallRefused(call, _notProposed(call));
        call = abi.encodeCall(RiskBook.setLossLimit, (executor, RiskBook.LossLimit(99e8, 299e8, 1e6)));
        _ownerCallRefused(call, _notProposed(call));
        _propose(call);
        vm.warp(block.timestamp + book.LOOSENING_DELAY_S());
        _ownerCall(call);
    }

    function test_sealed_sources_are_added_at_once_and_removed_late() public {
        AaveStub pool = new AaveStub();
        _sealed();
        _source(1, address(pool), 0, true);
        bytes memory call = abi.encodeCall(
            RiskBook.setHealthSource, (executor, RiskBook.HealthSource(1, address(pool), 0), false)
        );
        _ownerCallRefused(call, _notProposed(call));
        _propose(call);
        vm.warp(block.timestamp + book.LOOSENING_DELAY_S());
        _ownerCall(call);
        assertEq(book.healthSources(executor).length, 0);
    }

    function test_sealed_position_flags_fall_at_once_and_rise_late() public {
        bytes memory on = abi.encodeCall(RiskBook.setHoldsPositions, (executor, true));
        assertFalse(book.holdsPositions(executor));
        _ownerCall(on);
        assertTrue(book.holdsPositions(executor));
        _sealed();
        _ownerCall(on);
        _ownerCall(abi.encodeCall(RiskBook.setHoldsPositions, (executor, false)));
        assertFalse(book.holdsPositions(executor));
        _ownerCallRefused(on, _notProposed(on));
        _propose(on);
        vm.warp(block.timestamp + book.LOOSENING_DELAY_S());
        _ownerCall(on);
        assertTrue(book.holdsPositions(executor));
    }

    function test_bound_executors_share_limits_but_not_buckets() public {
        _ownerCall(abi.encodeCall(TimeLocked.bind, (other, executor)));
        _charge(address(dollar), TOKEN_PAID_OUT, 100e6, 0);
        assertEq(book.tokenRoom(executor, address(dollar)), 49_900e6);
        assertEq(book.tokenRoom(other, address(dollar)), 50_000e6);
        vm.prank(other);
        book.charge(_one(_packed(address(dollar), TOKEN_PAID_OUT)), _one(50e6), _one(0));
        assertEq(book.tokenRoom(other, address(dollar)), 49_950e6);
    }

    // ------------------------------------------------------------------- internal

    function _limit(address token, address feed, uint8 decimals, uint128 capacity, uint128 refill) private {
        vm.prank(owner);
        book.setTokenLimit(executor, token, _tokenLimit(feed, decimals, capacity, refill));
    }

    function _tokenLimit(address feed, uint8 decimals, uint128 capacity, uint128 refill)
        private
        pure
        returns (RiskBook.TokenLimit memory)
    {
        return RiskBook.TokenLimit(feed, HEARTBEAT_S, decimals, capacity, refill);
    }

    function _noFeed() private pure returns (RiskBook.TokenLimit memory limit) {}

    function _loss(uint128 perExecution, uint128 capacity, uint128 refill) private {
        vm.prank(owner);
        book.setLossLimit(executor, RiskBook.LossLimit(perExecution, capacity, refill));
    }

    function _source(uint8 kind, address source, bytes32 market, bool included) private {
        vm.prank(owner);
        book.setHealthSource(executor, RiskBook.HealthSource(kind, source, market), included);
    }

    function _sourceRefused(uint8 kind, address source, bytes32 market, bool included, bytes memory reason)
        private
    {
        vm.expectRevert(reason);
        _source(kind, source, market, included);
    }

    function _writeTokenLimit(RiskBook.TokenLimit memory limit) private {
        vm.prank(owner);
        book.setTokenLimit(executor, address(dollar), limit);
    }

    function _limitRefused(RiskBook.TokenLimit memory limit, bytes memory reason) private {
        vm.expectRevert(reason);
        vm.prank(owner);
        book.setTokenLimit(executor, address(ether_), limit);
    }

    function _looserRefused(RiskBook.TokenLimit memory limit) private {
        bytes memory call = abi.encodeCall(RiskBook.setTokenLimit, (executor, address(dollar), limit));
        _ownerCallRefused(call, _notProposed(call));
    }

    function _sealed() private {
        vm.prank(owner);
        book.seal(executor);
    }

    function _propose(bytes memory call) private {
        bytes[] memory calls = new bytes[](1);
        calls[0] = call;
        vm.prank(owner);
        book.propose(calls);
    }

    function _ownerCall(bytes memory call) private {
        vm.prank(owner);
        (bool ok,) = address(book).call(call);
        assertTrue(ok);
    }

    function _ownerCallRefused(bytes memory call, bytes memory reason) private {
        vm.prank(owner);
        (bool ok, bytes memory answer) = address(book).call(call);
        assertFalse(ok);
        assertEq(answer, reason);
    }

    function _notProposed(bytes memory call) private pure returns (bytes memory) {
        return abi.encodeWithSelector(TimeLocked.NotProposed.selector, keccak256(call));
    }

    function _packed(address token, uint8 class) private pure returns (uint256) {
        return uint256(class) << 160 | uint160(token);
    }

    function _one(uint256 value) private pure returns (uint256[] memory list) {
        list = new uint256[](1);
        list[0] = value;
    }

    function _charge(address token, uint8 class, uint256 before, uint256 afterwards) private {
        vm.prank(executor);
        book.charge(_one(_packed(token, class)), _one(before), _one(afterwards));
    }

    function _chargeRefused(
        address token,
        uint8 class,
        uint256 before,
        uint256 afterwards,
        bytes memory reason
    ) private {
        vm.expectRevert(reason);
        _charge(token, class, before, afterwards);
    }

    function _feedRefused() private {
        _chargeRefused(
            address(ether_),
            TOKEN_PAID_OUT,
            1,
            0,
            abi.encodeWithSelector(RiskBook.FeedNotLive.selector, address(ether_), address(etherFeed))
        );
        assertEq(book.tokenRoom(executor, address(ether_)), 0);
    }

    function _swap(uint256 etherOut, uint256 dollarIn) private {
        uint256[] memory tracked = new uint256[](2);
        uint256[] memory before = new uint256[](2);
        uint256[] memory afterwards = new uint256[](2);
        tracked[0] = _packed(address(ether_), TOKEN_PAID_OUT);
        tracked[1] = _packed(address(dollar), TOKEN_PAID_OUT);
        before[0] = etherOut;
        afterwards[1] = dollarIn;
        vm.prank(executor);
        book.charge(tracked, before, afterwards);
    }
}
