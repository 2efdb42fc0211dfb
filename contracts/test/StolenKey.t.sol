// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {AtomicExecutor} from "../src/AtomicExecutor.sol";
import {TOKEN_DEBT, TOKEN_KEPT, TOKEN_PAID_OUT, LENDER_BALANCER_V2} from "../src/IPolicyRegistry.sol";
import {PlanChecks} from "../src/PlanChecks.sol";
import {PolicyRegistry} from "../src/PolicyRegistry.sol";
import {RiskBook} from "../src/RiskBook.sol";
import {Tokens} from "../src/Tokens.sol";
import {Fence, GreedyLender, Trojan} from "./support/Heist.sol";
import {TestFeed} from "./support/Lending.sol";
import {Ops} from "./support/Ops.sol";
import {PlayedWorld, Playing} from "./support/Played.sol";
import {TestToken} from "./support/TestToken.sol";
import {IV2Factory, IV2Pair} from "./support/World.sol";

/// @dev Somebody has the operator's key of an account with capital, receipts and a debt, under the most careless
///      policy that can be written: any recipient, any amount, a lender that names any fee, a token of the thief's
///      own. The thief also moves the pools and the clock. What is lost is valued from outside, by the same feeds.
contract Thief is PlayedWorld {
    uint256 internal constant USD = 1e8;
    uint256 public constant LOSS_PER_EXECUTION = 3_000 * USD;
    uint256 public constant LOSS_CAP = 6_000 * USD;
    uint256 public constant LOSS_REFILL = USD / 2;
    uint256 internal constant ASSETS = 4;

    RiskBook public risk;
    Fence internal fence;
    TestToken internal evil;
    Trojan public trojan;
    GreedyLender internal lender;
    uint256 public startedAt;

    // The four assets with a cap: WETH, USD, receipt, debt.
    address[ASSETS] internal assets;
    TestFeed[ASSETS] internal feeds;
    uint256[ASSETS] public caps = [uint256(5 ether), 10_000 ether, 10_000 ether, 8_000 ether];
    uint256[ASSETS] public refills = [uint256(0.001 ether), 1 ether, 1 ether, 1 ether];
    uint256[ASSETS] public fallen;

    uint256 public lost;
    uint256 public aboveExecution;
    bytes[] private past;

    function setUp() public override {
        super.setUp();
        startedAt = block.timestamp;
        vm.warp(block.timestamp + 1);
        fence = new Fence(usd);
        evil = new TestToken("EVIL");
        trojan = new Trojan();
        lender = new GreedyLender();
        assets = [address(weth), address(usd), address(fence.receipt()), address(fence.debt())];
        vm.startPrank(owner);
        _tokens();
        _calls();
        executor.setRole(address(trojan), 1, true);
        vm.stopPrank();
        weth.transfer(address(executor), 100 ether);
        usd.mint(address(executor), 200_000 ether);
        fence.receipt().mint(address(executor), 100_000 ether);
        fence.debt().mint(address(executor), 20_000 ether);
        _ownPool();
    }

    function _deployOurs() internal override {
        risk = new RiskBook(owner);
        registry = new PolicyRegistry(owner);
        planChecks = new PlanChecks();
        executor = new AtomicExecutor(owner, registry, risk, planChecks, address(weth), beneficiary);
    }

    // ------------------------------------------------------------------- what the thief does

    /// @param seed what the plan does, up to three things one after the other
    function steal(uint256 seed) external {
        (AtomicExecutor.Header memory header, bytes memory operations) = _plan(seed);
        uint256[ASSETS + 1] memory before = _holdings();
        bytes memory call = abi.encodeCall(AtomicExecutor.execute, (header, _anything(), "", operations));
        vm.prank(operator);
        (bool ok,) = address(executor).call(call);
        if (ok) {
            past.push(call);
            _book(before, 1);
        }
        _lookForDirt();
    }

    function stealInABatch(uint256 seed, bool atomic) external {
        uint256 count = seed % 3 + 1;
        AtomicExecutor.Segment[] memory segments = new AtomicExecutor.Segment[](count);
        for (uint256 i = 0; i < count; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            (AtomicExecutor.Header memory header, bytes memory operations) = _plan(seed);
            bytes memory call = abi.encodeCall(AtomicExecutor.execute, (header, _anything(), "", operations));
            segments[i] = AtomicExecutor.Segment(300_000, call);
        }
        uint256[ASSETS + 1] memory before = _holdings();
        vm.prank(operator);
        (bool ok,) = address(executor).call(abi.encodeCall(executor.executeBatch, (atomic, segments)));
        if (ok) {
            for (uint256 i = 0; i < count; ++i) {
                uint256 intentId = uint256(bytes32(_from(segments[i].execution, 4)));
                if (executor.isExecuted(intentId)) past.push(segments[i].execution);
            }
            _book(before, count);
        }
        _lookForDirt();
    }

    /// @dev What landed is tried again, as itself and inside a batch.
    function replay(uint256 which, bool batched) external {
        if (past.length == 0) return;
        AtomicExecutor.Segment[] memory segments = new AtomicExecutor.Segment[](1);
        segments[0] = AtomicExecutor.Segment(0, past[which % past.length]);
        bytes memory call =
            batched ? abi.encodeCall(executor.executeBatch, (true, segments)) : segments[0].execution;
        vm.prank(operator);
        (bool ok,) = address(executor).call(call);
        if (ok) ++landedTwice;
    }

    function skew(uint96 amount, bool buyWeth) external {
        _shift(
            buyWeth ? bound(amount, 1 ether, 5_000_000 ether) : bound(amount, 0.001 ether, 1_000 ether),
            buyWeth
        );
    }

    function wait(uint16 seconds_) external {
        vm.warp(block.timestamp + seconds_ % 1 hours);
        for (uint256 i = 0; i < ASSETS; ++i) {
            feeds[i].set(feeds[i].answer());
        }
    }

    function donate(uint8 what) external {
        _give(evil, what);
    }

    function nameFee(uint96 fee) external {
        lender.setFee(fee % 20_000 ether);
    }

    /// @dev Native coin to the thief, with whatever the account has of it.
    function spill(uint256 amount) external returns (bool ok) {
        AtomicExecutor.Header memory header = _nothingHeader();
        bytes memory operations = Ops.stream(_spilling(amount));
        bytes memory call = abi.encodeCall(AtomicExecutor.execute, (header, _anything(), "", operations));
        vm.prank(operator);
        (ok,) = address(executor).call(call);
    }

    function capNative(uint128 capacity) external {
        RiskBook.TokenLimit memory limit = RiskBook.TokenLimit(address(feeds[0]), 1 hours, 18, capacity, 0);
        vm.prank(owner);
        risk.setTokenLimit(address(executor), Tokens.NATIVE, limit);
    }

    /// @dev For the test of the test: the same thief, and nothing that holds it.
    function liftLimits() external {
        vm.startPrank(owner);
        uint128 most = type(uint128).max;
        risk.setLossLimit(address(executor), RiskBook.LossLimit(most, most, 0));
        for (uint256 i = 0; i < ASSETS; ++i) {
            RiskBook.TokenLimit memory limit = RiskBook.TokenLimit(address(feeds[i]), 1 hours, 18, most, 0);
            risk.setTokenLimit(address(executor), assets[i], limit);
        }
        vm.stopPrank();
    }

    // ----------------------------------------------------------------------- what it cost

    /// @return amounts of the four assets, and what all is worth, with what the beneficiary was paid [1e-8 USD]
    function _holdings() internal view returns (uint256[ASSETS + 1] memory amounts) {
        uint256 worth = 0;
        for (uint256 i = 0; i < ASSETS; ++i) {
            amounts[i] = Tokens.balanceOf(assets[i], address(executor));
            uint256 paid = i == 3 ? 0 : Tokens.balanceOf(assets[i], beneficiary);
            uint256 value = (amounts[i] + paid) * uint256(feeds[i].answer()) / 1e18;
            if (i == 3) worth -= value;
            else worth += value;
        }
        amounts[ASSETS] = worth + (beneficiary.balance + address(executor).balance) * 2_000e8 / 1e18;
    }

    function _book(uint256[ASSETS + 1] memory before, uint256 plans) private {
        ++landed;
        uint256[ASSETS + 1] memory afterwards = _holdings();
        for (uint256 i = 0; i < ASSETS; ++i) {
            (uint256 from, uint256 to) = i == 3 ? (afterwards[i], before[i]) : (before[i], afterwards[i]);
            if (from > to) fallen[i] += from - to;
        }
        if (afterwards[ASSETS] >= before[ASSETS]) return;
        uint256 loss = before[ASSETS] - afterwards[ASSETS];
        // Each value was rounded once.
        if (loss > plans * LOSS_PER_EXECUTION + ASSETS) ++aboveExecution;
        lost += loss > ASSETS ? loss - ASSETS : 0;
    }

    /// @return most that may have left of asset `i` by now
    function allowance(uint256 i) external view returns (uint256) {
        return caps[i] + (block.timestamp - startedAt) * refills[i];
    }

    function lossAllowance() external view returns (uint256) {
        return LOSS_CAP + (block.timestamp - startedAt) * LOSS_REFILL;
    }

    function executorOf() external view returns (AtomicExecutor) {
        return executor;
    }

    function usdAllowances() external view returns (uint256) {
        return usd.allowance(address(executor), address(fence)) + usd.allowance(address(executor), pair)
            + usd.allowance(address(executor), address(lender));
    }

    // ------------------------------------------------------------------------------ plans

    function _plan(uint256 seed)
        internal
        returns (AtomicExecutor.Header memory header, bytes memory operations)
    {
        header = _nothingHeader();
        if (seed & 1 == 0) header.accountingToken = address(0);
        operations = hex"01";
        for (uint256 i = 0; i <= (seed >> 1) % 3; ++i) {
            uint256 part = uint256(keccak256(abi.encode(seed, i)));
            bytes memory one = _operation(part % 14, part >> 128);
            if (part >> 120 & 7 == 0) one = Ops.flash(vault, address(weth), 1 ether, 0, one);
            operations = bytes.concat(operations, one);
        }
    }

    /// @dev Amounts up to a little above each cap, so that plans land at the edge and beyond it alike.
    function _operation(uint256 kind, uint256 seed) internal view returns (bytes memory) {
        uint256 ether_ = seed % 6 ether + 1;
        uint256 dollars = seed % 12_000 ether + 1;
        if (seed & 7 == 0) (ether_, dollars) = (ether_ / 100 + 1, dollars / 100 + 1);
        if (kind == 0) return _swap(address(weth), address(usd), ether_);
        if (kind == 1) return _swap(address(usd), address(weth), dollars);
        if (kind == 2) return _swap(address(usd), address(evil), dollars);
        if (kind == 3) return _swap(address(evil), address(usd), 1);
        if (kind == 4) {
            bytes memory amount = Ops.lit(ether_);
            return Ops.swapV3(Ops.none(), v3Factory, address(weth), address(usd), amount, 0, "");
        }
        if (kind == 5) return _take(address(weth), ether_);
        if (kind == 6) return _take(address(usd), dollars);
        if (kind == 7) return _take(assets[2], dollars);
        if (kind == 8) return _call(abi.encodeCall(Fence.withdraw, (stranger, dollars)));
        if (kind == 9) return _call(abi.encodeCall(Fence.borrow, (dollars)));
        if (kind == 10) return _call(abi.encodeCall(Fence.repay, (dollars)));
        if (kind == 11) return Ops.call(address(weth), Ops.none(), _withdrawal(ether_));
        if (kind == 12) return _spilling(ether_);
        return Ops.flash(address(lender), address(usd), dollars, 20_000 ether, "");
    }

    function _spilling(uint256 amount) private view returns (bytes memory) {
        return Ops.call(address(fence), Ops.lit(amount), abi.encodeCall(Fence.keep, ()));
    }

    function _withdrawal(uint256 amount) private pure returns (bytes memory) {
        return abi.encodeWithSignature("withdraw(uint256)", amount);
    }

    function _swap(address from, address to, uint256 amount) internal view returns (bytes memory) {
        return Ops.swapV2(Ops.none(), v2Factory, from, to, Ops.lit(amount), 0, "");
    }

    function _take(address token, uint256 amount) internal view returns (bytes memory) {
        bytes memory data = abi.encodeCall(Fence.take, (token, amount));
        return Ops.callWithAllowance(address(fence), token, address(fence), Ops.lit(amount), data);
    }

    function _call(bytes memory data) internal view returns (bytes memory) {
        return Ops.call(address(fence), Ops.none(), data);
    }

    /// @dev The thief's bounds allow everything.
    function _anything() internal view returns (AtomicExecutor.Bound[] memory bounds) {
        bounds = new AtomicExecutor.Bound[](ASSETS + 2);
        for (uint256 i = 0; i < ASSETS; ++i) {
            bounds[i] = AtomicExecutor.Bound(i == 3 ? 3 : 1, assets[i], type(uint256).max);
        }
        bounds[4] = AtomicExecutor.Bound(1, Tokens.NATIVE, type(uint256).max);
        bounds[5] = AtomicExecutor.Bound(1, address(evil), type(uint256).max);
    }

    // --------------------------------------------------------------------- setting up

    function _tokens() private {
        int256[ASSETS] memory prices = [int256(2_000e8), 1e8, 1e8, 1e8];
        for (uint256 i = 0; i < ASSETS; ++i) {
            uint8 class = i == 3 ? TOKEN_DEBT : TOKEN_KEPT;
            registry.setToken(address(executor), assets[i], class, class == TOKEN_KEPT);
            feeds[i] = new TestFeed(prices[i]);
            RiskBook.TokenLimit memory limit =
                RiskBook.TokenLimit(address(feeds[i]), 1 hours, 18, uint128(caps[i]), uint128(refills[i]));
            risk.setTokenLimit(address(executor), assets[i], limit);
        }
        registry.setToken(address(executor), address(evil), TOKEN_PAID_OUT, true);
        registry.setLender(address(executor), address(lender), LENDER_BALANCER_V2);
        risk.setLossLimit(
            address(executor),
            RiskBook.LossLimit(uint128(LOSS_PER_EXECUTION), uint128(LOSS_CAP), uint128(LOSS_REFILL))
        );
        risk.setHoldsPositions(address(executor), true);
    }

    function _calls() private {
        string[4] memory one =
            ["borrow(uint256)", "repay(uint256)", "take(address,uint256)", "withdraw(address,uint256)"];
        for (uint256 i = 0; i < one.length; ++i) {
            PolicyRegistry.Rule[] memory rules = new PolicyRegistry.Rule[](i < 2 ? 1 : 2);
            for (uint256 j = 0; j < rules.length; ++j) {
                rules[j] = PolicyRegistry.Rule(5, 0);
            }
            registry.list(address(executor), address(fence), one[i], _entry(rules, 0, false));
        }
        PolicyRegistry.Entry memory paid = _entry(new PolicyRegistry.Rule[](0), type(uint128).max, false);
        registry.list(address(executor), address(fence), "keep()", paid);
    }

    /// @dev A pool of the listed factory in which the thief alone trades, against a token with a mind of its own.
    function _ownPool() private {
        address own = IV2Factory(v2Factory).createPair(address(usd), address(evil));
        usd.mint(own, 1_000 ether);
        evil.mint(own, 1_000_000 ether);
        IV2Pair(own).mint(address(this));
        evil.mint(address(executor), 1_000 ether);
        bytes[] memory attempts = new bytes[](3);
        AtomicExecutor.Header memory header = _nothingHeader();
        header.intentId = 99;
        attempts[0] = abi.encodeCall(executor.execute, (header, _noBounds(), "", hex"01"));
        attempts[1] = abi.encodeCall(executor.uniswapV2Call, (address(executor), 0, 0, ""));
        attempts[2] = abi.encodeCall(executor.executeBatch, (false, new AtomicExecutor.Segment[](0)));
        trojan.arm(address(executor), attempts);
        evil.setHook(trojan);
    }

    function _from(bytes memory data, uint256 at) private pure returns (bytes32 word) {
        assembly ("memory-safe") {
            word := mload(add(add(data, 32), at))
        }
    }
}

contract StolenKeyTest is Playing {
    Thief internal thief;

    function setUp() public {
        thief = new Thief();
        thief.setUp();
        bytes4[] memory selectors = new bytes4[](8);
        selectors[0] = Thief.steal.selector;
        selectors[1] = Thief.stealInABatch.selector;
        selectors[2] = Thief.replay.selector;
        selectors[3] = Thief.skew.selector;
        selectors[4] = Thief.wait.selector;
        selectors[5] = Thief.donate.selector;
        selectors[6] = Thief.nameFee.selector;
        selectors[7] = Thief.steal.selector;
        _play(address(thief), selectors);
    }

    /// forge-config: default.invariant.fail-on-revert = true
    /// forge-config: default.invariant.runs = 24
    function invariant_a_stolen_key_loses_at_most_the_caps() public view {
        assertLe(thief.lost(), thief.lossAllowance(), "more was lost than the window allows");
        assertEq(thief.aboveExecution(), 0, "one execution lost more than its limit");
        for (uint256 i = 0; i < 4; ++i) {
            assertLe(thief.fallen(i), thief.allowance(i), "more left than the cap of its token");
        }
        assertEq(thief.landedTwice(), 0, "an intent landed twice");
        assertEq(thief.trojan().letIn(), 0, "somebody came in again in the middle");
        assertEq(thief.dirtyAfterwards(), 0, "transient state outlived an execution");
        assertEq(thief.usdAllowances(), 0, "an allowance outlived its call");
    }

    /// @dev The invariant means something only if the thief does get away with what the caps leave.
    function test_the_thief_lands_plans_and_loses_up_to_the_window() public {
        _spree(80);
        assertGt(thief.landed(), 10);
        assertGt(thief.lost(), thief.LOSS_CAP() / 2, "the thief is too shy to prove anything");
        invariant_a_stolen_key_loses_at_most_the_caps();
    }

    /// @dev The native coin is no token of the policy, and counts like one: none leaves without a cap, nor above it. What
    ///      is not spilled goes to the beneficiary with the plan.
    function test_native_coin_leaves_an_account_within_its_own_cap_alone() public {
        address account = address(thief.executorOf());
        vm.deal(account, 3 ether);
        assertFalse(thief.spill(1));
        thief.capNative(0.4 ether);
        assertFalse(thief.spill(0.4 ether + 1));
        assertTrue(thief.spill(0.3 ether));
        vm.deal(account, 3 ether);
        assertFalse(thief.spill(0.1 ether + 1));
        assertEq(account.balance, 3 ether);
        assertTrue(thief.spill(0.1 ether));
    }

    /// @dev And only if it sees what is taken where nothing holds the thief.
    function test_without_limits_the_same_thief_takes_more_than_they_allow() public {
        thief.liftLimits();
        _spree(15);
        assertGt(thief.lost(), thief.lossAllowance());
        assertGt(thief.aboveExecution(), 0);
        uint256 above = 0;
        for (uint256 i = 0; i < 4; ++i) {
            if (thief.fallen(i) > thief.allowance(i)) ++above;
        }
        assertGt(above, 0);
        assertEq(thief.landedTwice(), 0);
    }

    function _spree(uint256 count) private {
        for (uint256 seed = 0; seed < count; ++seed) {
            thief.steal(uint256(keccak256(abi.encode(seed))));
            thief.stealInABatch(uint256(keccak256(abi.encode(seed, "batch"))), seed % 2 == 0);
            thief.replay(seed, seed % 2 == 0);
        }
    }
}
