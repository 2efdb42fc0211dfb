// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {AtomicExecutor} from "../src/AtomicExecutor.sol";
import {Authority} from "../src/Authority.sol";
import {TOKEN_DEBT, TOKEN_KEPT, TOKEN_PAID_OUT} from "../src/IPolicyRegistry.sol";
import {PlanChecks} from "../src/PlanChecks.sol";
import {PolicyRegistry} from "../src/PolicyRegistry.sol";
import {Scratch} from "../src/Scratch.sol";
import {StreamLib} from "../src/Stream.sol";
import {Tokens} from "../src/Tokens.sol";
import {TwoStepOwner} from "../src/TwoStepOwner.sol";
import {Loans} from "../src/Loans.sol";
import {Operations} from "../src/Operations.sol";
import {Ops} from "./support/Ops.sol";
import {OpenRiskBook} from "./support/OpenRiskBook.sol";
import {Caller, Target} from "./support/Targets.sol";
import {TestToken} from "./support/TestToken.sol";
import {World} from "./support/World.sol";

contract ExecutorTest is World {
    event Seen(uint256 a, uint256 b, uint256 value, uint256 allowed);
    event NativeMoved(address indexed counterparty, int256 amount);

    Target internal target;
    TestToken internal debt;

    function setUp() public override {
        super.setUp();
        target = new Target();
        debt = new TestToken("DEBT");
        vm.deal(address(target), 10 ether);
        usd.mint(address(target), 1_000_000 ether);
        vm.startPrank(owner);
        registry.setToken(address(executor), address(debt), TOKEN_DEBT, false);
        _listAny("note(uint256,uint256)", 2, 1 ether);
        _listAny("pull(address,uint256,uint256)", 3, 0);
        _listAny("give(address,uint256)", 2, 0);
        _listAny("giveNative(uint256)", 1, 0);
        _listAny("refuse(uint256)", 1, 0);
        vm.stopPrank();
    }

    // ------------------------------------------------------------- construction

    function test_an_executor_needs_all_that_it_asks() public {
        address[6] memory parts =
            [owner, address(registry), address(book), address(planChecks), address(weth), beneficiary];
        for (uint256 i = 0; i < 6; ++i) {
            address[6] memory p = parts;
            p[i] = address(0);
            vm.expectRevert(TwoStepOwner.ZeroAddress.selector);
            new AtomicExecutor(p[0], PolicyRegistry(p[1]), OpenRiskBook(p[2]), PlanChecks(p[3]), p[4], p[5]);
        }
    }

    // --------------------------------------------------------------- admission

    function test_only_an_operator_executes() public {
        AtomicExecutor.Header memory header = _nothingHeader();
        vm.prank(owner);
        vm.expectRevert(abi.encodeWithSelector(Authority.MissingRole.selector, owner, 1));
        executor.execute(header, _noBounds(), "", hex"01");
    }

    function test_same_intent_never_runs_twice() public {
        AtomicExecutor.Header memory header = _header(0);
        bytes memory operations = _arbitrage(1 ether);
        vm.startPrank(operator);
        executor.execute(header, _noBounds(), "", operations);
        vm.expectRevert(abi.encodeWithSelector(AtomicExecutor.AlreadyExecuted.selector, header.intentId));
        executor.execute(header, _noBounds(), "", operations);
    }

    function test_a_revert_leaves_the_intent_open() public {
        AtomicExecutor.Header memory header = _header(1_000 ether);
        bytes memory operations = _arbitrage(1 ether);
        vm.startPrank(operator);
        vm.expectPartialRevert(AtomicExecutor.ProfitBelowMinimum.selector);
        executor.execute(header, _noBounds(), "", operations);
        assertFalse(executor.isExecuted(header.intentId));
        header.minProfit = 0;
        executor.execute(header, _noBounds(), "", operations);
        assertTrue(executor.isExecuted(header.intentId));
    }

    function testFuzz_intents_do_not_collide(uint256 a, uint256 b) public {
        vm.assume(a != b);
        AtomicExecutor.Header memory header = _nothingHeader();
        header.intentId = a;
        vm.prank(operator);
        executor.execute(header, _noBounds(), "", hex"01");
        assertTrue(executor.isExecuted(a));
        assertFalse(executor.isExecuted(b));
    }

    function test_late_dear_and_unpriced_plans_are_refused() public {
        AtomicExecutor.Header memory header = _nothingHeader();
        vm.startPrank(operator);
        vm.warp(header.deadline + 1);
        vm.expectRevert(
            abi.encodeWithSelector(AtomicExecutor.Expired.selector, header.deadline, header.deadline + 1)
        );
        executor.execute(header, _noBounds(), "", hex"01");

        header.deadline = block.timestamp;
        vm.txGasPrice(501 gwei);
        vm.expectRevert(
            abi.encodeWithSelector(AtomicExecutor.GasPriceAboveMaximum.selector, 501 gwei, 500 gwei)
        );
        executor.execute(header, _noBounds(), "", hex"01");

        vm.txGasPrice(500 gwei);
        header.accountingToken = address(usd);
        vm.expectRevert(abi.encodeWithSelector(AtomicExecutor.AccountingTokenUnpriced.selector, address(usd)));
        executor.execute(header, _noBounds(), "", hex"01");

        header.accountingToken = address(weth);
        executor.execute(header, _noBounds(), "", hex"01");
    }

    // ---------------------------------------------------------------- the stream

    function test_reserved_and_unknown_operations_are_refused() public {
        for (uint256 kind = 0; kind < 256; ++kind) {
            if ((kind >= 1 && kind <= 6) || kind == 0x10) continue;
            bytes memory operations = abi.encodePacked(uint8(1), uint8(kind), uint8(0));
            _executeRefused(operations, abi.encodeWithSelector(Operations.UnknownOperation.selector, kind));
        }
    }

    function test_other_stream_versions_are_refused() public {
        _executeRefused(hex"02", abi.encodeWithSelector(Operations.UnsupportedStream.selector, 2));
        _executeRefused("", abi.encodeWithSelector(StreamLib.Truncated.selector, 1, 0));
    }

    function test_other_lender_kinds_are_refused() public {
        bytes memory operations = bytes.concat(hex"010300", hex"07", abi.encodePacked(vault), hex"00000000");
        _executeRefused(operations, abi.encodeWithSelector(Loans.UnknownLenderKind.selector, 7));
    }

    function test_bytes_that_begin_no_amount_are_refused() public {
        bytes memory head = abi.encodePacked(uint8(1), uint8(1), uint8(0), address(target));
        for (uint256 tag = 33; tag < 0x80; tag += 47) {
            _executeRefused(
                bytes.concat(head, bytes1(uint8(tag))),
                abi.encodeWithSelector(StreamLib.BadAmountTag.selector, tag)
            );
        }
        _executeRefused(
            bytes.concat(head, hex"80"), abi.encodeWithSelector(Scratch.NoSuchRegister.selector, 0, 0)
        );
    }

    /// @dev Cut anywhere, a stream is refused: nothing is read past its end.
    function testFuzz_truncated_streams_are_refused(uint256 cut) public {
        bytes memory whole = _arbitrage(1 ether);
        cut = bound(cut, 2, whole.length - 1);
        bytes memory part = new bytes(cut);
        for (uint256 i = 0; i < cut; ++i) {
            part[i] = whole[i];
        }
        AtomicExecutor.Header memory header = _nothingHeader();
        vm.prank(operator);
        vm.expectPartialRevert(StreamLib.Truncated.selector);
        executor.execute(header, _noBounds(), "", part);
    }

    /// @dev Whatever the bytes, what is left behind is nothing.
    function testFuzz_noise_never_leaves_a_trace(bytes calldata noise) public {
        AtomicExecutor.Header memory header = _nothingHeader();
        vm.prank(operator);
        (bool ok,) = address(executor)
            .call(abi.encodeCall(executor.execute, (header, _noBounds(), "", bytes.concat(hex"01", noise))));
        assertEq(ok, executor.isExecuted(header.intentId));
        assertEq(usd.allowance(address(executor), address(target)), 0);
        assertEq(weth.balanceOf(address(executor)), 0);
    }

    // -------------------------------------------------------------------- calls

    function test_a_call_reaches_its_target_with_its_data() public {
        vm.expectEmit(address(target));
        emit Seen(3, 4, 0, 0);
        _execute(Ops.stream(Ops.call(address(target), Ops.lit(0), abi.encodeCall(Target.note, (3, 4)))));
    }

    function test_a_targets_own_reason_is_handed_up() public {
        bytes memory reason = abi.encodeWithSelector(Target.Refused.selector, 9);
        _executeRefused(
            Ops.stream(Ops.call(address(target), Ops.lit(0), abi.encodeCall(Target.refuse, (9)))),
            abi.encodeWithSelector(
                Operations.OperationFailed.selector, target, Target.refuse.selector, reason
            )
        );
    }

    function test_measured_gains_are_spliced_into_later_calls_and_values() public {
        bytes memory measures = abi.encodePacked(uint8(2), address(usd), address(weth));
        bytes memory operations = bytes.concat(
            Ops.call(
                measures,
                address(target),
                Ops.lit(0),
                abi.encodeCall(Target.give, (address(usd), 77)),
                Ops.none()
            ),
            Ops.call(
                Ops.none(), address(target), Ops.lit(0), abi.encodeCall(Target.note, (1, 2)), Ops.splice(1, 0)
            )
        );
        vm.expectEmit(address(target));
        emit Seen(1, 77, 0, 0);
        _execute(Ops.stream(operations));
    }

    function test_a_loss_cannot_be_measured() public {
        usd.mint(address(executor), 10 ether);
        bytes memory data = abi.encodeCall(Target.pull, (address(usd), 4 ether, 0));
        bytes memory lossy = bytes.concat(
            hex"02",
            Ops.measure(address(usd)),
            abi.encodePacked(target, uint8(0), address(usd), target),
            Ops.lit(4 ether),
            abi.encodePacked(uint16(data.length)),
            data,
            hex"00"
        );
        _executeRefused(
            Ops.stream(lossy),
            abi.encodeWithSelector(Operations.MeasuredDecrease.selector, address(usd), 10 ether, 6 ether)
        );
    }

    function test_splices_outside_the_calldata_are_refused() public {
        bytes memory earn = Ops.call(
            Ops.measure(address(usd)),
            address(target),
            Ops.lit(0),
            abi.encodeCall(Target.give, (address(usd), 7)),
            Ops.none()
        );
        bytes memory data = abi.encodeCall(Target.note, (1, 2));
        bytes memory outside = Ops.call(Ops.none(), address(target), Ops.lit(0), data, Ops.splice(2, 0));
        _executeRefused(
            Ops.stream(bytes.concat(earn, outside)),
            abi.encodeWithSelector(Operations.SpliceOutOfRange.selector, 2, data.length)
        );
    }

    // --------------------------------------------------------------- allowances

    function test_allowance_is_exact_during_the_call_and_gone_after() public {
        usd.mint(address(executor), 10 ether);
        bytes memory data = abi.encodeCall(Target.pull, (address(usd), 4 ether, 1 ether));
        bytes memory operations = Ops.stream(
            Ops.callWithAllowance(address(target), address(usd), address(target), Ops.lit(4 ether), data)
        );
        AtomicExecutor.Header memory header = _nothingHeader();
        vm.expectEmit(address(target));
        emit Seen(4 ether, 1 ether, 0, 4 ether);
        vm.prank(operator);
        executor.execute(header, _bound(1, address(usd), 3 ether), "", operations);
        assertEq(usd.allowance(address(executor), address(target)), 0);
        assertEq(usd.balanceOf(beneficiary), 7 ether);
    }

    function test_standing_allowance_does_not_survive() public {
        usd.mint(address(executor), 10 ether);
        vm.prank(address(executor));
        usd.approve(address(target), 1_000 ether);
        bytes memory data = abi.encodeCall(Target.pull, (address(usd), 4 ether, 4 ether));
        _execute(
            Ops.stream(
                Ops.callWithAllowance(address(target), address(usd), address(target), Ops.lit(4 ether), data)
            )
        );
        assertEq(usd.allowance(address(executor), address(target)), 0);
    }

    function test_a_token_that_keeps_an_allowance_is_refused() public {
        usd.mint(address(executor), 10 ether);
        bytes memory data = abi.encodeCall(Target.pull, (address(usd), 4 ether, 4 ether));
        bytes memory operations = Ops.stream(
            Ops.callWithAllowance(address(target), address(usd), address(target), Ops.lit(4 ether), data)
        );
        // It says yes to zero, and forgets it.
        vm.mockCall(address(usd), abi.encodeCall(TestToken.approve, (address(target), 0)), abi.encode(true));
        _executeRefused(
            operations,
            abi.encodeWithSelector(Tokens.AllowanceLeft.selector, address(usd), address(target), 4 ether)
        );
    }

    // ------------------------------------------------------------- native coin

    function test_native_legs_are_booked_by_events() public {
        bytes memory unwrap = Ops.call(
            Ops.measure(Tokens.NATIVE),
            address(weth),
            Ops.lit(0),
            abi.encodeWithSignature("withdraw(uint256)", 1 ether),
            Ops.none()
        );
        bytes memory spend =
            Ops.call(address(target), Ops.lit(0.25 ether), abi.encodeCall(Target.note, (1, 2)));
        weth.transfer(address(executor), 1 ether);
        AtomicExecutor.Header memory header = _nothingHeader();
        vm.expectEmit(address(executor));
        emit NativeMoved(address(weth), 1 ether);
        vm.expectEmit(address(executor));
        emit NativeMoved(address(target), -0.25 ether);
        vm.expectEmit(address(executor));
        emit NativeMoved(beneficiary, -0.75 ether);
        vm.prank(operator);
        executor.execute(
            header, _bound(1, address(weth), 1 ether), "", Ops.stream(bytes.concat(unwrap, spend))
        );
        assertEq(beneficiary.balance, 0.75 ether);
    }

    function test_measured_native_coin_is_wrapped_again_and_counts_as_weth() public {
        bytes memory unwrap = Ops.call(
            Ops.measure(Tokens.NATIVE),
            address(target),
            Ops.lit(0),
            abi.encodeCall(Target.giveNative, (2 ether)),
            Ops.none()
        );
        bytes memory wrap = Ops.call(address(weth), Ops.reg(0), abi.encodeWithSignature("deposit()"));
        AtomicExecutor.Header memory header = _header(1.9 ether);
        vm.prank(operator);
        executor.execute(header, _noBounds(), "", Ops.stream(bytes.concat(unwrap, wrap)));
        assertEq(weth.balanceOf(beneficiary), 2 ether);
    }

    function test_native_profit_is_paid_out_and_checked() public {
        AtomicExecutor.Header memory header = _header(2 ether - 0.001 ether);
        header.accountingToken = Tokens.NATIVE;
        bytes memory operations =
            Ops.stream(Ops.call(address(target), Ops.lit(0), abi.encodeCall(Target.giveNative, (2 ether))));
        vm.startPrank(operator);
        executor.execute(header, _noBounds(), "", operations);
        assertEq(beneficiary.balance, 2 ether);

        header.intentId += 1;
        header.minProfit += 1;
        vm.expectRevert(
            abi.encodeWithSelector(
                AtomicExecutor.ProfitBelowMinimum.selector, Tokens.NATIVE, 2 ether, 2 ether + 1
            )
        );
        executor.execute(header, _noBounds(), "", operations);
    }

    function test_native_value_above_the_entry_is_refused() public {
        vm.deal(address(executor), 5 ether);
        _executeRefused(
            Ops.stream(Ops.call(address(target), Ops.lit(1 ether + 1), abi.encodeCall(Target.note, (1, 2)))),
            abi.encodeWithSelector(PolicyRegistry.NativeAboveMaximum.selector, 1 ether + 1, 1 ether)
        );
    }

    function test_native_coin_from_outside_is_refused() public {
        vm.deal(stranger, 1 ether);
        vm.prank(stranger);
        (bool ok, bytes memory answer) = address(executor).call{value: 1}("");
        assertFalse(ok);
        assertEq(answer, abi.encodeWithSelector(AtomicExecutor.NativeNotExpected.selector, stranger));
    }

    // ------------------------------------------------------------------- bounds

    function test_outflow_needs_a_bound_and_keeps_to_it() public {
        usd.mint(address(executor), 10 ether);
        bytes memory data = abi.encodeCall(Target.pull, (address(usd), 3 ether, 0));
        bytes memory operations = Ops.stream(
            Ops.callWithAllowance(address(target), address(usd), address(target), Ops.lit(3 ether), data)
        );
        _executeRefused(
            operations,
            abi.encodeWithSelector(AtomicExecutor.OutflowAboveBound.selector, address(usd), 3 ether, 0)
        );
        AtomicExecutor.Header memory header = _nothingHeader();
        vm.startPrank(operator);
        vm.expectRevert(
            abi.encodeWithSelector(
                AtomicExecutor.OutflowAboveBound.selector, address(usd), 3 ether, 3 ether - 1
            )
        );
        executor.execute(header, _bound(1, address(usd), 3 ether - 1), "", operations);
        executor.execute(header, _bound(1, address(usd), 3 ether), "", operations);
    }

    function test_inflow_below_its_bound_is_refused() public {
        AtomicExecutor.Header memory header = _nothingHeader();
        bytes memory operations =
            Ops.stream(Ops.call(address(target), Ops.lit(0), abi.encodeCall(Target.give, (address(usd), 7))));
        vm.startPrank(operator);
        vm.expectRevert(abi.encodeWithSelector(AtomicExecutor.InflowBelowBound.selector, address(usd), 7, 8));
        executor.execute(header, _bound(2, address(usd), 8), "", operations);
        executor.execute(header, _bound(2, address(usd), 7), "", operations);
    }

    function test_debt_may_grow_only_as_listed() public {
        debt.mint(address(target), 100);
        bytes memory operations = Ops.stream(
            Ops.call(address(target), Ops.lit(0), abi.encodeCall(Target.give, (address(debt), 7)))
        );
        _executeRefused(
            operations,
            abi.encodeWithSelector(AtomicExecutor.DebtIncreaseAboveBound.selector, address(debt), 7, 0)
        );
        AtomicExecutor.Header memory header = _nothingHeader();
        vm.startPrank(operator);
        vm.expectRevert(
            abi.encodeWithSelector(AtomicExecutor.DebtIncreaseAboveBound.selector, address(debt), 7, 6)
        );
        executor.execute(header, _bound(3, address(debt), 6), "", operations);
        executor.execute(header, _bound(3, address(debt), 7), "", operations);
        assertEq(debt.balanceOf(address(executor)), 7);
    }

    function test_unfit_bounds_are_refused() public {
        AtomicExecutor.Header memory header = _nothingHeader();
        vm.startPrank(operator);
        vm.expectRevert(abi.encodeWithSelector(AtomicExecutor.UnknownBound.selector, 4));
        executor.execute(header, _bound(4, address(usd), 1), "", hex"01");
        vm.expectRevert(abi.encodeWithSelector(AtomicExecutor.BoundUnfit.selector, 1, stranger));
        executor.execute(header, _bound(1, stranger, 1), "", hex"01");
        vm.expectRevert(abi.encodeWithSelector(AtomicExecutor.BoundUnfit.selector, 3, address(usd)));
        executor.execute(header, _bound(3, address(usd), 1), "", hex"01");
        vm.expectRevert(abi.encodeWithSelector(AtomicExecutor.BoundUnfit.selector, 1, address(debt)));
        executor.execute(header, _bound(1, address(debt), 1), "", hex"01");
        vm.expectRevert(abi.encodeWithSelector(AtomicExecutor.TooManyBounds.selector, 33));
        executor.execute(header, new AtomicExecutor.Bound[](33), "", hex"01");
    }

    // ------------------------------------------------------------------- payout

    function test_kept_tokens_stay_and_the_rest_goes_to_the_beneficiary() public {
        TestToken receipt = new TestToken("RECEIPT");
        receipt.mint(address(target), 100);
        vm.prank(owner);
        registry.setToken(address(executor), address(receipt), TOKEN_KEPT, false);
        bytes memory operations = bytes.concat(
            Ops.call(address(target), Ops.lit(0), abi.encodeCall(Target.give, (address(receipt), 60))),
            Ops.call(address(target), Ops.lit(0), abi.encodeCall(Target.give, (address(usd), 50)))
        );
        _execute(Ops.stream(operations));
        assertEq(receipt.balanceOf(address(executor)), 60);
        assertEq(usd.balanceOf(beneficiary), 50);
    }

    function test_the_accounting_token_is_always_one_of_the_plans() public {
        weth.transfer(address(executor), 3);
        _execute(hex"01");
        assertEq(weth.balanceOf(beneficiary), 3);
    }

    function test_coins_that_lay_here_before_are_paid_out_but_are_no_profit() public {
        weth.transfer(address(executor), 10 ether);
        AtomicExecutor.Header memory header = _header(1 ether);
        bytes memory operations = _arbitrage(1 ether);
        vm.startPrank(operator);
        vm.expectPartialRevert(AtomicExecutor.ProfitBelowMinimum.selector);
        executor.execute(header, _noBounds(), "", operations);
        header.minProfit = 0.01 ether;
        executor.execute(header, _noBounds(), "", operations);
        assertGt(weth.balanceOf(beneficiary), 10 ether);
        assertEq(weth.balanceOf(address(executor)), 0);
    }

    function test_a_beneficiary_that_takes_no_native_coin_is_named() public {
        Caller deaf = new Caller();
        vm.prank(owner);
        executor.setBeneficiary(address(deaf));
        _executeRefused(
            Ops.stream(Ops.call(address(target), Ops.lit(0), abi.encodeCall(Target.giveNative, (1 ether)))),
            abi.encodeWithSelector(Tokens.NativePaymentFailed.selector, address(deaf), 1 ether)
        );
    }

    function test_beneficiary_is_the_owners_to_set() public {
        vm.expectRevert(abi.encodeWithSelector(TwoStepOwner.NotOwner.selector, address(this)));
        executor.setBeneficiary(stranger);
        vm.startPrank(owner);
        vm.expectRevert(TwoStepOwner.ZeroAddress.selector);
        executor.setBeneficiary(address(0));
        vm.expectRevert(TwoStepOwner.ZeroAddress.selector);
        executor.setBeneficiary(address(executor));
        executor.setBeneficiary(stranger);
        assertEq(executor.beneficiary(), stranger);
    }

    // ------------------------------------------------------------------ internal

    function _listAny(string memory signature, uint256 words, uint128 maxNative) private {
        PolicyRegistry.Rule[] memory rules = new PolicyRegistry.Rule[](words);
        for (uint256 i = 0; i < words; ++i) {
            rules[i] = PolicyRegistry.Rule(5, 0);
        }
        registry.list(address(executor), address(target), signature, _entry(rules, maxNative, false));
    }
}
