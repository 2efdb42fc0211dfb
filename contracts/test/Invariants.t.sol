// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {AtomicExecutor} from "../src/AtomicExecutor.sol";
import {Authority} from "../src/Authority.sol";
import {PolicyRegistry} from "../src/PolicyRegistry.sol";
import {Ops} from "./support/Ops.sol";
import {PlayedWorld, Playing} from "./support/Played.sol";
import {Target} from "./support/Targets.sol";
import {IVault} from "./support/World.sol";

/// @dev Everybody at once on true protocols: operator, stoppers, owner, traders, donors, strangers.
contract Crowd is PlayedWorld {
    Target internal target;

    uint256 public landedWhileHalted;
    uint256 public strangersLetIn;
    uint256 public heldAfterwards;
    uint256 public reducingBlocked;
    AtomicExecutor.Header[] private past;

    function setUp() public override {
        super.setUp();
        target = new Target();
        PolicyRegistry.Rule[] memory rules = new PolicyRegistry.Rule[](3);
        for (uint256 i = 0; i < 3; ++i) {
            rules[i] = PolicyRegistry.Rule(5, 0);
        }
        vm.prank(owner);
        registry.list(
            address(executor), address(target), "pull(address,uint256,uint256)", _entry(rules, 0, true)
        );
    }

    function arbitrage(uint96 amountIn, uint64 minProfit) external {
        amountIn = uint96(bound(amountIn, 1e15, 20 ether));
        AtomicExecutor.Header memory header = _header(bound(minProfit, 0, 1 ether));
        _land(header, _arbitrage(amountIn));
    }

    function pullWithAllowance(uint96 lent, uint96 left) external {
        uint256 amount = bound(lent, 1, 1_000 ether);
        bytes memory data =
            abi.encodeCall(Target.pull, (address(usd), amount, bound(left, amount / 2, amount)));
        bytes memory pull =
            Ops.callWithAllowance(address(target), address(usd), address(target), Ops.lit(amount), data);
        _land(_nothingHeader(), Ops.stream(Ops.flash(vault, address(usd), amount, 0, pull)));
    }

    /// @dev In REDUCE_ONLY an entry marked `reduce` lands, whatever the crowd does around it.
    function reduce(uint96 lent) external {
        if (executor.level() != Authority.Level.REDUCE_ONLY) return;
        uint256 amount = bound(lent, 1, 1_000 ether);
        bytes memory data = abi.encodeCall(Target.pull, (address(usd), amount, amount));
        bytes memory pull =
            Ops.callWithAllowance(address(target), address(usd), address(target), Ops.lit(amount), data);
        uint256 before = landed;
        _land(_nothingHeader(), Ops.stream(Ops.flash(vault, address(usd), amount, 0, pull)));
        if (landed == before) ++reducingBlocked;
    }

    function replay(uint256 which) external {
        if (past.length == 0) return;
        vm.prank(operator);
        try executor.execute(past[which % past.length], _noBounds(), "", hex"01") {
            ++landedTwice;
        } catch {}
    }

    /// @dev The gap opens and closes.
    function trade(uint96 amount, bool buyWeth) external {
        _shift(buyWeth ? bound(amount, 1 ether, 50_000 ether) : bound(amount, 0.001 ether, 20 ether), buyWeth);
    }

    function donate(uint8 what) external {
        _give(usd, what);
    }

    function stop(uint8 who) external {
        vm.prank(who % 2 == 0 ? pauser : guardian);
        if (who % 2 == 0) executor.reduceOnly();
        else executor.halt();
    }

    function raise() external {
        if (executor.level() == Authority.Level.RUN) return;
        vm.prank(owner);
        executor.raise(Authority.Level.RUN);
    }

    function intrude(uint8 way, uint96 amount, bytes calldata data) external {
        (address[] memory tokens, uint256[] memory amounts) = (new address[](1), new uint256[](1));
        (tokens[0], amounts[0]) = (address(weth), bound(amount, 1, 100 ether));
        vm.startPrank(stranger);
        bool ok;
        if (way % 3 == 0) {
            (ok,) = vault.call(abi.encodeCall(IVault.flashLoan, (address(executor), tokens, amounts, data)));
        } else if (way % 3 == 1) {
            (ok,) = address(executor).call(abi.encodeCall(executor.uniswapV2Call, (stranger, 1, 1, data)));
        } else {
            (ok,) = address(executor).call(abi.encodeCall(executor.uniswapV3SwapCallback, (1, 1, data)));
        }
        vm.stopPrank();
        if (ok) ++strangersLetIn;
    }

    function allowances() external view returns (uint256) {
        return usd.allowance(address(executor), address(target)) + usd.allowance(address(executor), vault)
            + usd.allowance(address(executor), pair) + usd.allowance(address(executor), pool);
    }

    function ready() external view returns (bool) {
        return executor.owner() == owner && executor.beneficiary() == beneficiary;
    }

    function _land(AtomicExecutor.Header memory header, bytes memory operations) private {
        Authority.Level before = executor.level();
        vm.prank(operator);
        try executor.execute(header, _noBounds(), "", operations) {
            ++landed;
            past.push(header);
            if (before == Authority.Level.HALT) ++landedWhileHalted;
            // The accounting token is always one of the plan's.
            if (weth.balanceOf(address(executor)) != 0) ++heldAfterwards;
        } catch {}
        _lookForDirt();
    }
}

contract InvariantsTest is Playing {
    Crowd internal crowd;

    function setUp() public {
        crowd = new Crowd();
        crowd.setUp();
        bytes4[] memory selectors = new bytes4[](9);
        selectors[0] = Crowd.arbitrage.selector;
        selectors[1] = Crowd.pullWithAllowance.selector;
        selectors[2] = Crowd.replay.selector;
        selectors[3] = Crowd.trade.selector;
        selectors[4] = Crowd.donate.selector;
        selectors[5] = Crowd.stop.selector;
        selectors[6] = Crowd.raise.selector;
        selectors[7] = Crowd.intrude.selector;
        selectors[8] = Crowd.reduce.selector;
        _play(address(crowd), selectors);
    }

    /// forge-config: default.invariant.fail-on-revert = true
    function invariant_nobody_gets_more_than_the_rules_say() public view {
        assertEq(crowd.allowances(), 0, "an allowance outlived its call");
        assertEq(crowd.dirtyAfterwards(), 0, "transient state outlived an execution");
        assertEq(crowd.strangersLetIn(), 0, "a stranger got in");
        assertEq(crowd.landedWhileHalted(), 0, "halted did not mean halted");
        assertEq(crowd.reducingBlocked(), 0, "a stop blocked reducing");
        assertEq(crowd.landedTwice(), 0, "an intent landed twice");
        assertEq(crowd.heldAfterwards(), 0, "the executor kept something");
        assertTrue(crowd.ready(), "owner or beneficiary changed");
    }

    /// @dev The invariant means something only if plans do land in such a crowd.
    function test_the_crowd_lands_plans() public {
        crowd.arbitrage(1 ether, 0);
        crowd.pullWithAllowance(5 ether, 5 ether);
        assertEq(crowd.landed(), 2);
        crowd.stop(1);
        crowd.arbitrage(1 ether, 0);
        assertEq(crowd.landed(), 2);
        crowd.raise();
        crowd.arbitrage(1 ether, 0);
        assertEq(crowd.landed(), 3);
        crowd.stop(0);
        crowd.arbitrage(1 ether, 0);
        assertEq(crowd.landed(), 3);
        crowd.reduce(5 ether);
        assertEq(crowd.landed(), 4);
        assertEq(crowd.reducingBlocked(), 0);
    }
}
