// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {AtomicExecutor} from "../src/AtomicExecutor.sol";
import {IAaveReceiver, IAaveSimpleReceiver} from "../src/Lenders.sol";
import {Loans} from "../src/Loans.sol";
import {Operations} from "../src/Operations.sol";
import {Running} from "../src/Running.sol";
import {Scratch} from "../src/Scratch.sol";
import {MoodyLender} from "./support/MoodyLender.sol";
import {Ops} from "./support/Ops.sol";
import {Target} from "./support/Targets.sol";
import {TestToken} from "./support/TestToken.sol";
import {IV3Pool, World} from "./support/World.sol";

/// @dev Five kinds of lender, honest and not; Balancer's vault is in FlashArbitrage.t.sol and Attacks.t.sol.
contract LoansTest is World {
    uint8 private constant AAVE = 2;
    uint8 private constant AAVE_MULTI = 3;
    uint8 private constant MORPHO = 4;
    uint8 private constant POOL = 5;
    uint8 private constant ERC3156 = 6;

    /// @dev By kind.
    MoodyLender[7] internal lenders;
    Target internal target;
    address internal first;
    address internal second;

    function setUp() public override {
        super.setUp();
        target = new Target();
        (first, second) =
            address(weth) < address(usd) ? (address(weth), address(usd)) : (address(usd), address(weth));
        for (uint8 kind = AAVE; kind <= ERC3156; ++kind) {
            lenders[kind] = new MoodyLender(address(weth), address(usd));
            lenders[kind].setFlashName("uniswapV3FlashCallback(uint256,uint256,bytes)");
            usd.mint(address(lenders[kind]), 1_000_000 ether);
            weth.transfer(address(lenders[kind]), 1_000 ether);
            vm.prank(owner);
            registry.setLender(address(executor), address(lenders[kind]), kind);
        }
        vm.prank(owner);
        registry.setLender(address(executor), pool, POOL);
    }

    // ---------------------------------------------------------------------- honest ones

    function test_each_kind_lends_runs_what_is_nested_and_is_repaid_with_its_fee() public {
        for (uint8 kind = AAVE; kind <= ERC3156; ++kind) {
            uint256 fee = kind == MORPHO ? 0 : 0.001 ether;
            lenders[kind].setFee(fee);
            uint256 state = vm.snapshotState();
            uint256 lent = weth.balanceOf(address(lenders[kind]));
            AtomicExecutor.Header memory header = _header(0.01 ether);
            bytes memory operations = Ops.stream(
                Ops.loan(kind, address(lenders[kind]), address(weth), 5 ether, fee, _bothLegs(5 ether))
            );
            vm.prank(operator);
            executor.execute(header, _noBounds(), "", operations);
            assertEq(weth.balanceOf(address(lenders[kind])), lent + fee);
            assertGt(weth.balanceOf(beneficiary), 0.011 ether);
            assertEq(weth.balanceOf(address(executor)), 0);
            _assertClean(lenders[kind]);
            vm.revertToState(state);
        }
    }

    function test_the_true_pool_lends_either_token_or_both() public {
        uint256 fee = 5 ether * 3000 / 1_000_000;
        weth.transfer(address(executor), 1 ether);
        usd.mint(address(executor), 1 ether);
        AtomicExecutor.Bound[] memory bounds = new AtomicExecutor.Bound[](2);
        bounds[0] = AtomicExecutor.Bound(1, address(weth), fee);
        bounds[1] = AtomicExecutor.Bound(1, address(usd), fee);
        bytes memory both = bytes.concat(
            hex"0300",
            hex"05",
            abi.encodePacked(pool),
            hex"02",
            abi.encodePacked(first),
            Ops.lit(5 ether),
            Ops.lit(fee),
            abi.encodePacked(second),
            Ops.lit(5 ether),
            Ops.lit(fee),
            hex"000000"
        );
        bytes[3] memory plans = [
            Ops.loan(POOL, pool, address(weth), 5 ether, fee, ""),
            Ops.loan(POOL, pool, address(usd), 5 ether, fee, ""),
            both
        ];
        for (uint256 i = 0; i < 3; ++i) {
            uint256 state = vm.snapshotState();
            AtomicExecutor.Header memory header = _nothingHeader();
            uint256 before0 = TestToken(first).balanceOf(pool);
            uint256 before1 = TestToken(second).balanceOf(pool);
            vm.prank(operator);
            executor.execute(header, bounds, "", Ops.stream(plans[i]));
            uint256 paid0 = TestToken(first).balanceOf(pool) - before0;
            uint256 paid1 = TestToken(second).balanceOf(pool) - before1;
            bool wethFirst = first == address(weth);
            assertEq(paid0, i == 2 || (i == 0) == wethFirst ? fee : 0);
            assertEq(paid1, i == 2 || (i == 1) == wethFirst ? fee : 0);
            assertTrue(_transientIsEmpty());
            vm.revertToState(state);
        }
    }

    function test_forks_of_the_pool_call_back_by_their_own_names() public {
        string[3] memory names = [
            "uniswapV3FlashCallback(uint256,uint256,bytes)",
            "pancakeV3FlashCallback(uint256,uint256,bytes)",
            "algebraFlashCallback(uint256,uint256,bytes)"
        ];
        for (uint256 i = 0; i < 3; ++i) {
            lenders[POOL].setFlashName(names[i]);
            _execute(Ops.stream(Ops.loan(POOL, address(lenders[POOL]), address(usd), 7 ether, 0, "")));
        }
        lenders[POOL].setFlashName("someFlashCallback(uint256,uint256,bytes)");
        vm.expectRevert();
        _execute(Ops.stream(Ops.loan(POOL, address(lenders[POOL]), address(usd), 7 ether, 0, "")));
    }

    function test_aave_lends_several_assets_at_once() public {
        bytes memory operations = bytes.concat(
            hex"010300",
            hex"03",
            abi.encodePacked(address(lenders[AAVE_MULTI])),
            hex"02",
            abi.encodePacked(first),
            Ops.lit(3 ether),
            Ops.lit(0),
            abi.encodePacked(second),
            Ops.lit(4 ether),
            Ops.lit(0),
            hex"000000"
        );
        _execute(operations);
        _assertClean(lenders[AAVE_MULTI]);
        lenders[AAVE_MULTI].set(MoodyLender.Mood.FEWER);
        _executeRefused(operations, abi.encodeWithSelector(Loans.LoanDiffers.selector, address(0)));
    }

    function test_loans_of_all_lenders_nest_in_each_other() public {
        bytes memory nested = _bothLegs(5 ether);
        nested = Ops.loan(1, vault, address(weth), 1 ether, 0, nested);
        for (uint8 kind = AAVE; kind <= ERC3156; ++kind) {
            nested = Ops.loan(kind, address(lenders[kind]), address(weth), 1 ether, 0, nested);
        }
        AtomicExecutor.Header memory header = _header(0.01 ether);
        vm.prank(operator);
        executor.execute(header, _noBounds(), "", Ops.stream(nested));
        assertGt(weth.balanceOf(beneficiary), 0.011 ether);
        for (uint8 kind = AAVE; kind <= ERC3156; ++kind) {
            _assertClean(lenders[kind]);
        }
    }

    function test_one_lender_twice_inside_itself_is_paid_twice() public {
        for (uint8 kind = AAVE; kind <= ERC3156; ++kind) {
            bytes memory inner = Ops.loan(kind, address(lenders[kind]), address(usd), 2 ether, 0, "");
            _execute(Ops.stream(Ops.loan(kind, address(lenders[kind]), address(usd), 3 ether, 0, inner)));
            assertEq(usd.balanceOf(address(lenders[kind])), 1_000_000 ether);
            _assertClean(lenders[kind]);
        }
    }

    function test_a_loan_of_nothing_to_run_costs_its_fee_and_needs_a_bound_for_it() public {
        usd.mint(address(executor), 10 ether);
        for (uint8 kind = AAVE; kind <= ERC3156; ++kind) {
            if (kind == MORPHO) continue;
            lenders[kind].setFee(3);
            _executeRefused(
                Ops.stream(Ops.loan(kind, address(lenders[kind]), address(usd), 1 ether, 3, "")),
                abi.encodeWithSelector(AtomicExecutor.OutflowAboveBound.selector, address(usd), 3, 0)
            );
        }
    }

    // -------------------------------------------------------------------- dishonest ones

    function test_an_absurd_fee_is_refused_by_each_kind_that_names_one() public {
        for (uint8 kind = AAVE; kind <= ERC3156; ++kind) {
            if (kind == MORPHO) continue;
            _refused(
                kind,
                MoodyLender.Mood.HUGE_FEE,
                abi.encodeWithSelector(
                    Running.RepaymentAboveMaximum.selector, address(usd), 1_001 ether, 1 ether
                )
            );
        }
    }

    function test_a_silent_lender_is_refused() public {
        for (uint8 kind = AAVE; kind <= ERC3156; ++kind) {
            _refused(
                kind,
                MoodyLender.Mood.SILENT,
                abi.encodeWithSelector(Scratch.CallbackMissing.selector, address(lenders[kind]))
            );
        }
    }

    function test_other_data_and_second_calls_are_refused() public {
        for (uint8 kind = AAVE; kind <= ERC3156; ++kind) {
            bytes memory reason = abi.encodeWithSelector(
                Scratch.CallbackNotArmed.selector, address(lenders[kind]), _callbackOf(kind)
            );
            _refused(kind, MoodyLender.Mood.OTHER_DATA, reason);
            usd.mint(address(executor), 10 ether);
            _refused(kind, MoodyLender.Mood.TWICE, reason);
        }
    }

    function test_another_token_or_amount_than_asked_for_is_refused() public {
        for (uint8 kind = AAVE; kind <= ERC3156; ++kind) {
            if (kind == POOL) continue;
            bytes memory reason = abi.encodeWithSelector(Loans.LoanDiffers.selector, address(usd));
            _refused(kind, MoodyLender.Mood.OTHER_AMOUNT, reason);
            if (kind == MORPHO) continue;
            address told = lenders[kind].otherToken();
            _refused(
                kind, MoodyLender.Mood.OTHER_TOKEN, abi.encodeWithSelector(Loans.LoanDiffers.selector, told)
            );
        }
    }

    function test_a_loan_that_somebody_else_began_is_refused() public {
        for (uint8 kind = AAVE; kind <= ERC3156; ++kind) {
            if (kind == MORPHO || kind == POOL) continue;
            _refused(
                kind,
                MoodyLender.Mood.OTHER_INITIATOR,
                abi.encodeWithSelector(Running.NotOurs.selector, address(lenders[kind]))
            );
        }
    }

    function test_what_a_lender_does_not_pull_it_may_not_pull_later() public {
        for (uint8 kind = AAVE; kind <= ERC3156; ++kind) {
            if (kind == POOL) continue;
            lenders[kind].set(MoodyLender.Mood.UNPULLED);
            _execute(Ops.stream(Ops.loan(kind, address(lenders[kind]), address(usd), 1 ether, 0, "")));
            _assertClean(lenders[kind]);
        }
    }

    function test_strangers_cannot_call_back() public {
        (address[] memory tokens, uint256[] memory amounts) = (new address[](1), new uint256[](1));
        bytes[7] memory calls = [
            abi.encodeCall(IAaveSimpleReceiver.executeOperation, (address(usd), 1, 0, address(executor), "")),
            abi.encodeCall(IAaveReceiver.executeOperation, (tokens, amounts, amounts, address(executor), "")),
            abi.encodeCall(executor.onMorphoFlashLoan, (1, "")),
            abi.encodeCall(executor.uniswapV3FlashCallback, (0, 0, "")),
            abi.encodeCall(executor.pancakeV3FlashCallback, (0, 0, "")),
            abi.encodeCall(executor.algebraFlashCallback, (0, 0, "")),
            abi.encodeCall(executor.onFlashLoan, (address(executor), address(usd), 1, 0, ""))
        ];
        for (uint256 i = 0; i < calls.length; ++i) {
            vm.prank(stranger);
            (bool ok, bytes memory answer) = address(executor).call(calls[i]);
            assertFalse(ok);
            assertEq(
                answer, abi.encodeWithSelector(Scratch.CallbackNotArmed.selector, stranger, bytes4(calls[i]))
            );
        }
    }

    // ---------------------------------------------------------------- impossible loans

    function test_lenders_of_one_token_lend_one() public {
        for (uint8 kind = AAVE; kind <= ERC3156; ++kind) {
            if (kind == AAVE_MULTI) continue;
            bytes memory head = abi.encodePacked(uint8(3), uint8(0), kind, address(lenders[kind]));
            _executeRefused(
                bytes.concat(hex"01", head, hex"00000000"),
                abi.encodeWithSelector(Loans.LoanCount.selector, kind, 0)
            );
            bytes memory loan = abi.encodePacked(address(usd), uint8(1), uint8(1), uint8(0));
            uint8 many = kind == POOL ? 3 : 2;
            bytes memory loans = bytes.concat(loan, loan, many == 3 ? loan : bytes(""));
            _executeRefused(
                bytes.concat(hex"01", head, bytes1(many), loans, hex"000000"),
                abi.encodeWithSelector(Loans.LoanCount.selector, kind, many)
            );
        }
        bytes memory endless = abi.encodePacked(uint8(3), uint8(0), uint8(1), vault, uint8(0x80));
        _executeRefused(
            bytes.concat(hex"01", endless), abi.encodeWithSelector(Loans.LoanCount.selector, 1, 0x80)
        );
    }

    function test_a_pool_lends_its_own_tokens_in_their_order() public {
        TestToken third = new TestToken("THIRD");
        vm.prank(owner);
        registry.setToken(address(executor), address(third), 1, false);
        address lender = address(lenders[POOL]);
        _executeRefused(
            Ops.stream(Ops.loan(POOL, lender, address(third), 1, 0, "")),
            abi.encodeWithSelector(Loans.LoanDiffers.selector, address(third))
        );
        bytes memory head = abi.encodePacked(uint8(3), uint8(0), POOL, lender, uint8(2));
        bytes memory one = abi.encodePacked(first, uint8(1), uint8(1), uint8(0));
        bytes memory two = abi.encodePacked(second, uint8(1), uint8(1), uint8(0));
        bytes memory other = abi.encodePacked(address(third), uint8(1), uint8(1), uint8(0));
        _executeRefused(
            bytes.concat(hex"01", head, two, one, hex"000000"),
            abi.encodeWithSelector(Loans.LoanDiffers.selector, first)
        );
        _executeRefused(
            bytes.concat(hex"01", head, one, other, hex"000000"),
            abi.encodeWithSelector(Loans.LoanDiffers.selector, address(third))
        );
    }

    function test_each_lender_is_listed_with_its_kind() public {
        vm.expectRevert();
        _execute(Ops.stream(Ops.loan(MORPHO, address(lenders[AAVE]), address(usd), 1, 0, "")));
        _executeRefused(
            Ops.stream(Ops.loan(7, address(lenders[AAVE]), address(usd), 1, 0, "")),
            abi.encodeWithSelector(Loans.UnknownLenderKind.selector, 7)
        );
    }

    // ------------------------------------------------------------------------- internal

    function _refused(uint8 kind, MoodyLender.Mood mood, bytes memory reason) private {
        lenders[kind].set(mood);
        bytes memory nothing = Ops.call(address(weth), Ops.lit(0), abi.encodeWithSignature("deposit()"));
        _executeRefused(
            Ops.stream(Ops.loan(kind, address(lenders[kind]), address(usd), 1 ether, 0, nothing)), reason
        );
        assertTrue(_transientIsEmpty());
    }

    function _callbackOf(uint8 kind) private view returns (bytes4) {
        if (kind == AAVE) return IAaveSimpleReceiver.executeOperation.selector;
        if (kind == AAVE_MULTI) return IAaveReceiver.executeOperation.selector;
        if (kind == MORPHO) return executor.onMorphoFlashLoan.selector;
        if (kind == POOL) return executor.uniswapV3FlashCallback.selector;
        return executor.onFlashLoan.selector;
    }

    function _assertClean(MoodyLender lender) private {
        assertEq(usd.allowance(address(executor), address(lender)), 0);
        (, bytes memory left) = address(weth)
            .staticcall(
                abi.encodeWithSignature("allowance(address,address)", address(executor), address(lender))
            );
        assertEq(abi.decode(left, (uint256)), 0);
        assertTrue(_transientIsEmpty());
    }
}
