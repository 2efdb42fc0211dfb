// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {AtomicExecutor} from "../src/AtomicExecutor.sol";
import {Authority} from "../src/Authority.sol";
import {FACTORY_UNISWAP_V3, LENDER_BALANCER_V2, TOKEN_PAID_OUT} from "../src/IPolicyRegistry.sol";
import {IUniswapV3Pool} from "../src/Lenders.sol";
import {PolicyRegistry} from "../src/PolicyRegistry.sol";
import {Scratch} from "../src/Scratch.sol";
import {Tokens} from "../src/Tokens.sol";
import {Loans} from "../src/Loans.sol";
import {Running} from "../src/Running.sol";
import {Swaps} from "../src/Swaps.sol";
import {Ops} from "./support/Ops.sol";
import {Caller, Target} from "./support/Targets.sol";
import {ITransferHook, TestToken} from "./support/TestToken.sol";
import {IV2Pair, IVault, World} from "./support/World.sol";

interface IFlashReceiver {
    function receiveFlashLoan(address[] calldata, uint256[] calldata, uint256[] calldata, bytes calldata)
        external;
}

/// @dev A listed lender gone bad: it lies about fees, amounts and data, stays silent, or calls twice.
contract HostileLender {
    enum Mood {
        HONEST,
        HUGE_FEE,
        SILENT,
        OTHER_DATA,
        OTHER_TOKEN,
        OTHER_AMOUNT,
        FEWER,
        TWICE
    }

    Mood public mood;
    address public otherToken;

    function set(Mood mood_, address otherToken_) external {
        mood = mood_;
        otherToken = otherToken_;
    }

    function flashLoan(address to, address[] memory tokens, uint256[] memory amounts, bytes memory data)
        external
    {
        if (mood == Mood.SILENT) return;
        TestToken(tokens[0]).transfer(to, amounts[0]);
        uint256[] memory fees = new uint256[](mood == Mood.FEWER ? 0 : 1);
        if (mood == Mood.HUGE_FEE) fees[0] = 1_000 ether;
        if (mood == Mood.OTHER_TOKEN) tokens[0] = otherToken;
        if (mood == Mood.OTHER_AMOUNT) amounts[0] += 1;
        if (mood == Mood.OTHER_DATA) data[data.length - 1] ^= 0x01;
        IFlashReceiver(to).receiveFlashLoan(tokens, amounts, fees, data);
        if (mood == Mood.TWICE) IFlashReceiver(to).receiveFlashLoan(tokens, amounts, fees, data);
    }
}

/// @dev A pool of a listed factory that asks for more than the swap was for.
contract GreedyPool {
    function swap(address to, bool zeroForOne, int256 amount, uint160, bytes calldata data)
        external
        returns (int256 delta0, int256 delta1)
    {
        (delta0, delta1) = zeroForOne ? (amount + 1, int256(0)) : (int256(0), amount + 1);
        ISwapReceiver(to).uniswapV3SwapCallback(delta0, delta1, data);
    }
}

interface ISwapReceiver {
    function uniswapV3SwapCallback(int256, int256, bytes calldata) external;
}

/// @dev A token's hook that makes one call in the middle of an execution and remembers the answer.
contract Intruder is ITransferHook {
    address public target;
    bytes public data;
    bool public called;
    bool public succeeded;
    bytes public answer;

    function aim(address target_, bytes calldata data_) external {
        target = target_;
        data = data_;
    }

    function onTransfer(address, address, uint256) external {
        if (called || target == address(0)) return;
        called = true;
        (succeeded, answer) = target.call(data);
    }
}

/// @dev The ways in which executors were robbed, each tried on this one.
contract AttacksTest is World {
    HostileLender internal lender;
    Intruder internal intruder;
    Target internal target;

    function setUp() public override {
        super.setUp();
        lender = new HostileLender();
        intruder = new Intruder();
        target = new Target();
        usd.mint(address(lender), 1_000_000 ether);
        vm.prank(owner);
        registry.setLender(address(executor), address(lender), LENDER_BALANCER_V2);
    }

    // -------------------------------------------------- callbacks that nobody asked for

    function test_balancer_names_us_as_receiver_from_outside() public {
        (address[] memory tokens, uint256[] memory amounts) = _one(address(weth), 1 ether);
        bytes memory drain =
            Ops.swapV2(Ops.none(), v2Factory, address(weth), address(usd), Ops.lit(1 ether), 0, "");
        bytes memory data =
            bytes.concat(abi.encodePacked(uint8(1), weth, uint256(1 ether), uint256(1 ether)), drain);
        vm.prank(stranger);
        vm.expectRevert(
            abi.encodeWithSelector(
                Scratch.CallbackNotArmed.selector, vault, executor.receiveFlashLoan.selector
            )
        );
        IVault(vault).flashLoan(address(executor), tokens, amounts, data);
    }

    function test_true_pair_names_us_as_receiver_from_outside() public {
        (uint256 out0, uint256 out1) =
            address(weth) < address(usd) ? (uint256(1), uint256(0)) : (uint256(0), uint256(1));
        vm.prank(stranger);
        vm.expectRevert(
            abi.encodeWithSelector(Scratch.CallbackNotArmed.selector, pair, executor.uniswapV2Call.selector)
        );
        IV2Pair(pair).swap(out0, out1, address(executor), abi.encodePacked(usd, uint256(1)));
    }

    function testFuzz_strangers_have_no_way_in(address caller, uint8 which, bytes calldata data) public {
        vm.assume(caller != operator && caller != owner && caller != pauser && caller != guardian);
        weth.transfer(address(executor), 1 ether);
        (address[] memory tokens, uint256[] memory amounts) = _one(address(weth), 0);
        bytes[4] memory calls = [
            abi.encodeCall(executor.receiveFlashLoan, (tokens, amounts, amounts, data)),
            abi.encodeCall(executor.uniswapV2Call, (address(executor), 0, 0, data)),
            abi.encodeCall(executor.uniswapV3SwapCallback, (1, 0, data)),
            data
        ];
        vm.prank(caller);
        (bool ok,) = address(executor).call(calls[which % 4]);
        if (which % 4 != 3) assertFalse(ok);
        assertEq(weth.balanceOf(address(executor)), 1 ether);
        assertEq(executor.owner(), owner);
    }

    function test_fake_pool_is_not_the_factorys_pool() public {
        // The pool is derived from the listed factory: an operation has no field in which to name another one.
        bytes memory operations =
            Ops.stream(Ops.swapV3(Ops.none(), address(this), address(weth), address(usd), Ops.lit(1), 0, ""));
        _executeRefused(
            operations,
            abi.encodeWithSelector(PolicyRegistry.FactoryRefused.selector, address(this), FACTORY_UNISWAP_V3)
        );
    }

    function test_fake_pool_calls_back_in_the_middle_of_a_swap() public {
        bytes memory data = abi.encodePacked(weth, type(uint256).max, true);
        _intrude(
            address(executor), abi.encodeCall(executor.uniswapV3SwapCallback, (int256(1 ether), 0, data))
        );
        _execute(_arbitrage(1 ether));
        _assertKeptOut(
            abi.encodeWithSelector(
                Scratch.CallbackNotArmed.selector, address(intruder), executor.uniswapV3SwapCallback.selector
            )
        );
    }

    function test_pool_outside_tracked_tokens_is_refused() public {
        TestToken fake = new TestToken("FAKE");
        _executeRefused(
            Ops.stream(Ops.swapV2(Ops.none(), v2Factory, address(weth), address(fake), Ops.lit(1), 0, "")),
            abi.encodeWithSelector(PolicyRegistry.TokenUntracked.selector, address(fake))
        );
    }

    function test_pool_that_asks_for_more_than_the_swap_was_for() public {
        (address token0, address token1) =
            address(weth) < address(usd) ? (address(weth), address(usd)) : (address(usd), address(weth));
        new GreedyPool{salt: keccak256(abi.encode(token0, token1, uint24(3000)))}();
        vm.startPrank(owner);
        bytes32 codeHash = keccak256(type(GreedyPool).creationCode);
        registry.setFactory(address(executor), address(this), FACTORY_UNISWAP_V3, codeHash, 0, false);
        vm.stopPrank();
        weth.transfer(address(executor), 2 ether);
        _executeRefused(
            Ops.stream(
                Ops.swapV3(Ops.none(), address(this), address(weth), address(usd), Ops.lit(1 ether), 0, "")
            ),
            abi.encodeWithSelector(
                Running.RepaymentAboveMaximum.selector, address(weth), 1 ether + 1, 1 ether
            )
        );
    }

    function test_loan_of_an_untracked_token_is_refused() public {
        TestToken fake = new TestToken("FAKE");
        _executeRefused(
            Ops.stream(Ops.flash(address(lender), address(fake), 1, 0, "")),
            abi.encodeWithSelector(PolicyRegistry.TokenUntracked.selector, address(fake))
        );
    }

    // ------------------------------------------------------------------------ reentrancy

    function test_malicious_token_cannot_execute_again() public {
        vm.startPrank(owner);
        executor.setRole(address(intruder), executor.ROLE_OPERATOR(), true);
        vm.stopPrank();
        AtomicExecutor.Header memory header = _nothingHeader();
        _intrude(address(executor), abi.encodeCall(executor.execute, (header, _noBounds(), "", hex"01")));
        _execute(_arbitrage(1 ether));
        _assertKeptOut(abi.encodeWithSelector(Scratch.AlreadyExecuting.selector));
        assertFalse(executor.isExecuted(header.intentId));
    }

    function test_even_the_owner_changes_nothing_in_the_middle() public {
        vm.startPrank(owner);
        executor.offerOwnership(address(intruder));
        vm.stopPrank();
        vm.prank(address(intruder));
        executor.takeOwnership();
        _intrude(address(executor), abi.encodeCall(executor.setBeneficiary, (stranger)));
        _execute(_arbitrage(1 ether));
        _assertKeptOut(abi.encodeWithSelector(Authority.BusyExecuting.selector));
        assertEq(executor.beneficiary(), beneficiary);
    }

    function test_native_coin_is_refused_from_others_in_the_middle() public {
        vm.deal(address(intruder), 0);
        _intrude(address(executor), "");
        _execute(_arbitrage(1 ether));
        _assertKeptOut(abi.encodeWithSelector(AtomicExecutor.NativeNotExpected.selector, address(intruder)));
    }

    // ------------------------------------------------------------------- hostile lenders

    function test_lender_that_names_a_huge_fee() public {
        lender.set(HostileLender.Mood.HUGE_FEE, address(0));
        _loanRefused(
            abi.encodeWithSelector(Running.RepaymentAboveMaximum.selector, address(usd), 1_001 ether, 1 ether)
        );
    }

    function test_lender_that_never_calls_back() public {
        lender.set(HostileLender.Mood.SILENT, address(0));
        _loanRefused(abi.encodeWithSelector(Scratch.CallbackMissing.selector, address(lender)));
    }

    function test_lender_that_sends_other_data() public {
        lender.set(HostileLender.Mood.OTHER_DATA, address(0));
        _loanRefused(_notArmed());
    }

    function test_lender_that_calls_twice() public {
        lender.set(HostileLender.Mood.TWICE, address(0));
        usd.mint(address(executor), 10 ether);
        _loanRefused(_notArmed());
    }

    function test_lender_that_lent_something_else() public {
        lender.set(HostileLender.Mood.OTHER_TOKEN, address(weth));
        _loanRefused(abi.encodeWithSelector(Loans.LoanDiffers.selector, address(weth)));
        lender.set(HostileLender.Mood.OTHER_AMOUNT, address(0));
        _loanRefused(abi.encodeWithSelector(Loans.LoanDiffers.selector, address(usd)));
    }

    function test_lender_that_tells_fewer_fees_than_loans() public {
        lender.set(HostileLender.Mood.FEWER, address(0));
        _loanRefused(abi.encodeWithSelector(Loans.LoanDiffers.selector, address(0)));
    }

    function test_an_honest_lender_is_repaid_and_a_lender_nobody_listed_is_refused() public {
        _execute(Ops.stream(Ops.flash(address(lender), address(usd), 1 ether, 0, "")));
        HostileLender other = new HostileLender();
        _executeRefused(
            Ops.stream(Ops.flash(address(other), address(usd), 1 ether, 0, "")),
            abi.encodeWithSelector(PolicyRegistry.LenderRefused.selector, address(other), LENDER_BALANCER_V2)
        );
    }

    function test_eight_loans_deep_and_no_deeper() public {
        bytes memory nested = "";
        for (uint256 i = 0; i < 8; ++i) {
            nested = Ops.flash(address(lender), address(usd), 1 ether, 0, nested);
        }
        _execute(Ops.stream(nested));
        assertTrue(_transientIsEmpty());
        nested = Ops.flash(address(lender), address(usd), 1 ether, 0, nested);
        _executeRefused(Ops.stream(nested), abi.encodeWithSelector(Scratch.TooDeep.selector, 8));
    }

    function test_sixty_four_measurements_and_no_more() public {
        bytes memory wrap = Ops.call(
            Ops.measure(address(usd)),
            address(weth),
            Ops.lit(0),
            abi.encodeWithSignature("deposit()"),
            Ops.none()
        );
        bytes memory operations = hex"01";
        for (uint256 i = 0; i < 64; ++i) {
            operations = bytes.concat(operations, wrap);
        }
        _execute(operations);
        assertTrue(_transientIsEmpty());
        _executeRefused(
            bytes.concat(operations, wrap), abi.encodeWithSelector(Scratch.TooManyRegisters.selector, 64)
        );
    }

    function test_nothing_stays_armed_after_a_caught_refusal() public {
        lender.set(HostileLender.Mood.SILENT, address(0));
        AtomicExecutor.Header memory header = _nothingHeader();
        vm.prank(operator);
        try executor.execute(
            header, _noBounds(), "", Ops.stream(Ops.flash(address(lender), address(usd), 1, 0, ""))
        ) {
            fail();
        } catch {}
        assertTrue(_transientIsEmpty());
        _execute(_arbitrage(1 ether));
    }

    // ------------------------------------------------------------------------ argument policy

    function test_measurement_cannot_be_spliced_into_a_checked_word() public {
        usd.mint(address(target), 10 ether);
        vm.startPrank(owner);
        _list("give(address,uint256)", PolicyRegistry.Rule(5, 0), PolicyRegistry.Rule(5, 0));
        _list("note(uint256,uint256)", PolicyRegistry.Rule(1, 7), PolicyRegistry.Rule(4, 7));
        vm.stopPrank();
        bytes memory earn = Ops.call(
            Ops.measure(address(usd)),
            address(target),
            Ops.lit(0),
            abi.encodeCall(Target.give, (address(usd), 7)),
            Ops.none()
        );
        bytes memory data = abi.encodeCall(Target.note, (7, 7));
        // The spliced value equals the wanted one, and is refused all the same.
        bytes memory spliced = Ops.call(Ops.none(), address(target), Ops.lit(0), data, Ops.splice(0, 0));
        _executeRefused(
            Ops.stream(bytes.concat(earn, spliced)),
            abi.encodeWithSelector(PolicyRegistry.SpliceRefused.selector, 0, 1)
        );
        // Into the LE word it goes, but the final value is what is checked.
        _execute(
            Ops.stream(
                bytes.concat(earn, Ops.call(Ops.none(), address(target), Ops.lit(0), data, Ops.splice(1, 0)))
            )
        );
        earn = Ops.call(
            Ops.measure(address(usd)),
            address(target),
            Ops.lit(0),
            abi.encodeCall(Target.give, (address(usd), 8)),
            Ops.none()
        );
        _executeRefused(
            Ops.stream(
                bytes.concat(earn, Ops.call(Ops.none(), address(target), Ops.lit(0), data, Ops.splice(1, 0)))
            ),
            abi.encodeWithSelector(PolicyRegistry.WordRefused.selector, 1, 4, 8, 7)
        );
    }

    function test_ordinary_calls_cannot_approve_or_reach_our_own_contracts() public {
        _callRefused(address(usd), abi.encodeCall(TestToken.approve, (stranger, 1)));
        _callRefused(address(weth), abi.encodeCall(TestToken.transfer, (stranger, 1)));
        bytes memory data = abi.encodeCall(executor.setBeneficiary, (stranger));
        _executeRefused(Ops.stream(Ops.call(address(executor), Ops.lit(0), data)));
        data = abi.encodeCall(registry.offerOwnership, (stranger));
        _executeRefused(Ops.stream(Ops.call(address(registry), Ops.lit(0), data)));
    }

    function test_allowances_go_to_listed_tokens_and_spenders_only() public {
        usd.mint(address(executor), 10 ether);
        bytes memory data = abi.encodeCall(Target.pull, (address(usd), 1, 0));
        vm.startPrank(owner);
        PolicyRegistry.Rule[] memory rules = new PolicyRegistry.Rule[](3);
        for (uint256 i = 0; i < 3; ++i) {
            rules[i] = PolicyRegistry.Rule(5, 0);
        }
        registry.list(
            address(executor), address(target), "pull(address,uint256,uint256)", _entry(rules, 0, false)
        );
        TestToken unlisted = new TestToken("X");
        vm.stopPrank();
        _executeRefused(
            Ops.stream(Ops.callWithAllowance(address(target), address(usd), stranger, Ops.lit(1), data)),
            abi.encodeWithSelector(PolicyRegistry.SpenderRefused.selector, stranger, address(target))
        );
        _executeRefused(
            Ops.stream(
                Ops.callWithAllowance(address(target), address(unlisted), address(target), Ops.lit(1), data)
            ),
            abi.encodeWithSelector(PolicyRegistry.AllowanceRefused.selector, address(unlisted))
        );
    }

    // -------------------------------------------------------------------------- profit

    function test_a_loan_outstanding_is_no_profit() public {
        // The whole plan is a loan and nothing else: at the check it has been repaid.
        AtomicExecutor.Header memory header = _header(1);
        bytes memory operations = Ops.stream(Ops.flash(vault, address(weth), 100 ether, 0, ""));
        vm.prank(operator);
        vm.expectRevert(
            abi.encodeWithSelector(
                AtomicExecutor.ProfitBelowMinimum.selector, address(weth), 0, 1 + header.maxFeeWei
            )
        );
        executor.execute(header, _noBounds(), "", operations);
    }

    function test_profit_in_one_token_cannot_be_paid_by_draining_another() public {
        usd.mint(address(executor), 10_000 ether);
        AtomicExecutor.Header memory header = _header(1 ether);
        bytes memory operations = Ops.stream(
            Ops.swapV3(Ops.none(), v3Factory, address(usd), address(weth), Ops.lit(10_000 ether), 0, "")
        );
        vm.prank(operator);
        vm.expectRevert(
            abi.encodeWithSelector(AtomicExecutor.OutflowAboveBound.selector, address(usd), 10_000 ether, 0)
        );
        executor.execute(header, _noBounds(), "", operations);
    }

    function test_a_swap_into_a_skewed_pool_cannot_repay_its_loan() public {
        AtomicExecutor.Header memory header = _header(0);
        usd.mint(pair, 10_000_000 ether);
        bytes memory wrongWay = bytes.concat(
            Ops.swapV3(
                Ops.measure(address(usd)), v3Factory, address(weth), address(usd), Ops.lit(1 ether), 0, ""
            ),
            Ops.swapV2(Ops.none(), v2Factory, address(usd), address(weth), Ops.reg(0), 0, "")
        );
        bytes memory operations = Ops.stream(Ops.flash(vault, address(weth), 1 ether, 0, wrongWay));
        vm.prank(operator);
        vm.expectPartialRevert(Tokens.TokenCallFailed.selector);
        executor.execute(header, _noBounds(), "", operations);
    }

    function test_exact_output_cannot_be_smuggled_in_as_a_negative_amount() public {
        uint256 negative = uint256(-int256(1 ether));
        _executeRefused(
            Ops.stream(
                Ops.swapV3(Ops.none(), v3Factory, address(weth), address(usd), Ops.lit(negative), 0, "")
            ),
            abi.encodeWithSelector(Swaps.SwapOutOfRange.selector, negative, 0)
        );
    }

    // ------------------------------------------------------------------------- donations

    function test_one_wei_of_anything_blocks_nothing() public {
        weth.transfer(address(executor), 1);
        usd.mint(address(executor), 1);
        vm.deal(address(executor), 1);
        AtomicExecutor.Header memory header = _header(0.01 ether);
        bytes memory operations = _arbitrage(1 ether);
        vm.prank(operator);
        executor.execute(header, _noBounds(), "", operations);
        assertGt(weth.balanceOf(beneficiary), 0.01 ether);
    }

    function test_forced_native_coin_blocks_no_plan_of_a_beneficiary_that_takes_none() public {
        vm.startPrank(owner);
        executor.setBeneficiary(address(new Caller()));
        vm.stopPrank();
        vm.deal(address(executor), 1);
        _execute(_arbitrage(1 ether));
        assertEq(address(executor).balance, 1);
    }

    // --------------------------------------------------------------------------- internal

    function _one(address token, uint256 amount)
        private
        pure
        returns (address[] memory t, uint256[] memory a)
    {
        t = new address[](1);
        a = new uint256[](1);
        (t[0], a[0]) = (token, amount);
    }

    function _intrude(address aim, bytes memory data) private {
        intruder.aim(aim, data);
        usd.setHook(intruder);
    }

    function _assertKeptOut(bytes memory reason) private view {
        assertTrue(intruder.called());
        assertFalse(intruder.succeeded());
        assertEq(intruder.answer(), reason);
    }

    function _notArmed() private view returns (bytes memory) {
        return abi.encodeWithSelector(
            Scratch.CallbackNotArmed.selector, address(lender), executor.receiveFlashLoan.selector
        );
    }

    function _loanRefused(bytes memory reason) private {
        bytes memory nothing = Ops.call(address(weth), Ops.lit(0), abi.encodeWithSignature("deposit()"));
        _executeRefused(Ops.stream(Ops.flash(address(lender), address(usd), 1 ether, 0, nothing)), reason);
    }

    function _callRefused(address to, bytes memory data) private {
        _executeRefused(
            Ops.stream(Ops.call(to, Ops.lit(0), data)),
            abi.encodeWithSelector(PolicyRegistry.NotListed.selector, address(executor), to, bytes4(data))
        );
    }

    function _list(string memory signature, PolicyRegistry.Rule memory a, PolicyRegistry.Rule memory b)
        private
    {
        PolicyRegistry.Rule[] memory rules = new PolicyRegistry.Rule[](2);
        (rules[0], rules[1]) = (a, b);
        registry.list(address(executor), address(target), signature, _entry(rules, 0, false));
    }
}
