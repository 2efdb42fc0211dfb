// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {AtomicExecutor} from "../src/AtomicExecutor.sol";
import {Swaps} from "../src/Swaps.sol";
import {Ops} from "./support/Ops.sol";
import {World} from "./support/World.sol";

/// @dev The main job on true protocols: a loan, two venues, repayment, profit to the beneficiary.
contract FlashArbitrageTest is World {
    event Executed(
        uint256 indexed intentId, bytes32 indexed planDigest, address indexed accountingToken, uint256 inflow
    );

    function test_flash_loan_swaps_and_repayment_leave_the_profit_with_the_beneficiary() public {
        AtomicExecutor.Header memory header = _header(0.1 ether);
        bytes memory operations = _arbitrage(5 ether);
        uint256 lent = weth.balanceOf(vault);

        vm.prank(operator);
        uint256 gasBefore = gasleft();
        executor.execute(header, _noBounds(), "", operations);
        emit log_named_uint("gas of execute, first time", gasBefore - gasleft());

        uint256 profit = weth.balanceOf(beneficiary);
        assertGt(profit, 0.1 ether + header.maxFeeWei);
        assertEq(weth.balanceOf(vault), lent);
        assertEq(weth.balanceOf(address(executor)), 0);
        assertEq(usd.balanceOf(address(executor)), 0);
        assertTrue(executor.isExecuted(header.intentId));
        assertTrue(_transientIsEmpty());
    }

    function test_event_carries_intent_digest_and_inflow() public {
        AtomicExecutor.Header memory header = _header(0);
        uint256 state = vm.snapshotState();
        vm.prank(operator);
        executor.execute(header, _noBounds(), "", _arbitrage(1 ether));
        uint256 profit = weth.balanceOf(beneficiary);
        vm.revertToState(state);

        vm.expectEmit(address(executor));
        emit Executed(header.intentId, header.planDigest, address(weth), profit);
        vm.prank(operator);
        executor.execute(header, _noBounds(), "", _arbitrage(1 ether));
    }

    function test_flash_swap_of_the_pair_needs_no_lender() public {
        bytes memory back =
            Ops.swapV3(Ops.none(), v3Factory, address(usd), address(weth), Ops.lit(2_080 ether), 0, "");
        AtomicExecutor.Header memory header = _header(0.01 ether);
        bytes memory operations = Ops.stream(
            Ops.swapV2(
                Ops.none(), v2Factory, address(weth), address(usd), Ops.lit(1 ether), 2_000 ether, back
            )
        );
        vm.prank(operator);
        executor.execute(header, _noBounds(), "", operations);
        assertGt(weth.balanceOf(beneficiary) + usd.balanceOf(beneficiary) / 2_200, 0.01 ether);
        assertTrue(_transientIsEmpty());
    }

    function test_operations_nest_in_a_v3_swap_before_it_is_paid() public {
        // The pool pays WETH for USD that we only get by selling that WETH on the pair.
        bytes memory onPair =
            Ops.swapV2(Ops.none(), v2Factory, address(weth), address(usd), Ops.lit(0.97 ether), 0, "");
        bytes memory operations = Ops.stream(
            Ops.swapV3(
                Ops.none(), v3Factory, address(usd), address(weth), Ops.lit(2_000 ether), 0.98 ether, onPair
            )
        );
        AtomicExecutor.Header memory header = _header(0.01 ether);
        vm.prank(operator);
        executor.execute(header, _noBounds(), "", operations);
        assertGt(weth.balanceOf(beneficiary), 0.01 ether);
    }

    function test_two_executions_in_one_transaction_share_nothing() public {
        // One forge test is one transaction: registers of the first must not be seen by the second.
        _execute(_arbitrage(1 ether));
        bytes memory stale =
            Ops.stream(Ops.swapV3(Ops.none(), v3Factory, address(usd), address(weth), Ops.reg(0), 0, ""));
        _executeRefused(stale, abi.encodeWithSignature("NoSuchRegister(uint256,uint256)", 0, 0));
        _execute(_arbitrage(1 ether));
        assertTrue(_transientIsEmpty());
    }

    function test_swaps_below_their_minimum_are_refused() public {
        weth.transfer(address(executor), 1 ether);
        uint256 tooMuch = 2_100 ether;
        AtomicExecutor.Header memory header = _nothingHeader();
        vm.startPrank(operator);
        vm.expectPartialRevert(Swaps.OutputBelowMinimum.selector);
        executor.execute(
            header,
            _bound(1, address(weth), 1 ether),
            "",
            Ops.stream(
                Ops.swapV2(Ops.none(), v2Factory, address(weth), address(usd), Ops.lit(1 ether), tooMuch, "")
            )
        );
        vm.expectPartialRevert(Swaps.OutputBelowMinimum.selector);
        executor.execute(
            header,
            _bound(1, address(weth), 1 ether),
            "",
            Ops.stream(
                Ops.swapV3(Ops.none(), v3Factory, address(weth), address(usd), Ops.lit(1 ether), tooMuch, "")
            )
        );
    }

    function test_v2_output_is_the_most_that_the_pair_gives() public {
        bytes memory leg =
            Ops.swapV2(Ops.none(), v2Factory, address(weth), address(usd), Ops.lit(1 ether), 0, "");
        weth.transfer(address(executor), 1 ether);
        AtomicExecutor.Header memory header = _nothingHeader();
        vm.prank(operator);
        executor.execute(header, _bound(1, address(weth), 1 ether), "", Ops.stream(leg));
        uint256 taxed = uint256(1 ether) * 997;
        assertEq(usd.balanceOf(beneficiary), taxed * 2_100_000 ether / (1_000 ether * 1000 + taxed));
    }

    function test_several_tokens_in_one_loan_are_all_repaid() public {
        (address first, address second) =
            address(weth) < address(usd) ? (address(weth), address(usd)) : (address(usd), address(weth));
        bytes memory loans =
            abi.encodePacked(first, uint8(1), uint8(7), uint8(0), second, uint8(1), uint8(9), uint8(0));
        bytes memory operations =
            bytes.concat(hex"01", hex"0300", hex"01", abi.encodePacked(vault), hex"02", loans, hex"000000");
        _execute(operations);
        assertEq(weth.balanceOf(vault), 5_000 ether);
        assertEq(usd.balanceOf(vault), 5_000_000 ether);
    }

    function test_loan_swap_and_flash_swap_nest_and_are_paid_from_the_inside_out() public {
        bytes memory wrap = Ops.call(address(weth), Ops.lit(0), abi.encodeWithSignature("deposit()"));
        bytes memory onPair =
            Ops.swapV2(Ops.none(), v2Factory, address(weth), address(usd), Ops.lit(0.97 ether), 0, wrap);
        bytes memory onPool =
            Ops.swapV3(Ops.none(), v3Factory, address(usd), address(weth), Ops.lit(2_000 ether), 0, onPair);
        AtomicExecutor.Header memory header = _header(0.01 ether);
        vm.prank(operator);
        executor.execute(
            header, _noBounds(), "", Ops.stream(Ops.flash(vault, address(weth), 3 ether, 0, onPool))
        );
        assertGt(weth.balanceOf(beneficiary), 0.01 ether);
        assertTrue(_transientIsEmpty());
    }

    function testFuzz_any_size_pays_or_reverts_whole(uint96 amountIn) public {
        amountIn = uint96(bound(amountIn, 1, 6_000 ether));
        uint256 lent = weth.balanceOf(vault);
        AtomicExecutor.Header memory header = _header(1);
        bytes memory operations = _arbitrage(amountIn);
        vm.prank(operator);
        try executor.execute(header, _noBounds(), "", operations) {
            assertGt(weth.balanceOf(beneficiary), header.maxFeeWei);
        } catch {
            assertEq(weth.balanceOf(beneficiary), 0);
            assertFalse(executor.isExecuted(header.intentId));
        }
        assertGe(weth.balanceOf(vault), lent);
        assertEq(weth.balanceOf(address(executor)) + usd.balanceOf(address(executor)), 0);
    }
}
