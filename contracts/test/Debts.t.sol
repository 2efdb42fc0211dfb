// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {AtomicExecutor} from "../src/AtomicExecutor.sol";
import {Operations} from "../src/Operations.sol";
import {PolicyRegistry} from "../src/PolicyRegistry.sol";
import {DebtDesk} from "./support/DebtDesk.sol";
import {OpenRiskBook} from "./support/OpenRiskBook.sol";
import {Ops} from "./support/Ops.sol";
import {Target} from "./support/Targets.sol";
import {TestToken} from "./support/TestToken.sol";
import {World} from "./support/World.sol";

/// @dev Repaying, the risk book, positions, and what REDUCE_ONLY leaves possible.
contract DebtsTest is World {
    uint8 private constant DEBT_TOKEN = 1;
    uint8 private constant COMET = 2;
    uint8 private constant MORPHO = 3;
    bytes32 private constant MARKET = bytes32(uint256(7));

    DebtDesk internal desk;
    Target internal target;

    function setUp() public override {
        super.setUp();
        desk = new DebtDesk(usd);
        target = new Target();
        desk.owe(address(executor), 100 ether);
        usd.mint(address(executor), 60 ether);
        vm.startPrank(owner);
        registry.setToken(address(executor), address(usd), 2, true);
        registry.setToken(address(executor), address(desk.debt()), 3, false);
        _list(address(desk), "repay(uint256,address)", 4, 1_000 ether, 2);
        _list(address(desk), "repayShares(address,uint256)", 2, 0, 5);
        _list(address(target), "give(address,uint256)", 5, 0, 5);
        vm.stopPrank();
    }

    // --------------------------------------------------------------------- repaying

    function test_no_more_is_repaid_than_the_plan_the_debt_and_the_purse_allow() public {
        uint256[3] memory wanted = [uint256(10 ether), 90 ether, 500 ether];
        uint256[3] memory held = [uint256(60 ether), 60 ether, 600 ether];
        uint256[3] memory repaid = [uint256(10 ether), 60 ether, 100 ether];
        for (uint8 kind = DEBT_TOKEN; kind <= COMET; ++kind) {
            for (uint256 i = 0; i < 3; ++i) {
                uint256 state = vm.snapshotState();
                usd.mint(address(executor), held[i] - 60 ether);
                _land(Ops.stream(_repay(kind, wanted[i], wanted[i])), _bound(1, address(usd), repaid[i]));
                assertEq(desk.borrowBalanceOf(address(executor)), 100 ether - repaid[i]);
                assertEq(usd.balanceOf(address(executor)), held[i] - repaid[i]);
                assertEq(usd.allowance(address(executor), address(desk)), 0);
                vm.revertToState(state);
            }
        }
    }

    function test_shares_are_repaid_within_the_allowance() public {
        _land(Ops.stream(_repayShares(120 ether, 60 ether, MARKET)), _bound(1, address(usd), 60 ether));
        assertEq(desk.shares(address(executor)), 80 ether);
    }

    function test_an_allowance_below_the_amount_is_not_stretched() public {
        bytes memory operations = Ops.stream(_repay(DEBT_TOKEN, 50 ether, 49 ether));
        vm.expectPartialRevert(Operations.OperationFailed.selector);
        _land(operations, _bound(1, address(usd), 50 ether));
    }

    function test_a_debt_that_does_not_shrink_is_refused() public {
        desk.beDeaf();
        _executeRefused(
            Ops.stream(_repay(COMET, 10 ether, 10 ether)),
            abi.encodeWithSelector(Operations.DebtNotReduced.selector, address(desk), 100 ether, 100 ether)
        );
    }

    function test_where_nothing_is_owed_or_held_nothing_is_repaid() public {
        _executeRefused(
            Ops.stream(_repayShares(1, 1, bytes32(uint256(8)))),
            abi.encodeWithSelector(Operations.NothingToRepay.selector, address(desk))
        );
        deal(address(usd), address(executor), 0);
        _executeRefused(
            Ops.stream(_repay(COMET, 1, 1)),
            abi.encodeWithSelector(Operations.NothingToRepay.selector, address(desk))
        );
    }

    function test_unknown_debts_words_outside_and_unlisted_repayments_are_refused() public {
        _executeRefused(
            Ops.stream(_repay(4, 1, 1)), abi.encodeWithSelector(Operations.UnknownDebtKind.selector, 4)
        );
        bytes memory data = abi.encodeCall(DebtDesk.repay, (0, address(executor)));
        bytes memory outside = _operation(DEBT_TOKEN, "", 1, 1, 2, data);
        _executeRefused(
            Ops.stream(outside), abi.encodeWithSelector(Operations.SpliceOutOfRange.selector, 2, data.length)
        );
        vm.prank(owner);
        registry.unlist(address(executor), address(desk), DebtDesk.repay.selector);
        _executeRefused(Ops.stream(_repay(DEBT_TOKEN, 1, 1)));
    }

    // ------------------------------------------------------------------ the risk book

    function test_the_book_is_charged_once_with_both_snapshots_where_something_fell() public {
        _land(Ops.stream(_repay(DEBT_TOKEN, 10 ether, 10 ether)), _bound(1, address(usd), 10 ether));
        assertEq(book.charges(), 1);
        (uint256[] memory tracked, uint256[] memory before, uint256[] memory afterwards) = book.lastCharge();
        assertEq(tracked, registry.trackedTokens(address(executor)));
        for (uint256 i = 0; i < tracked.length; ++i) {
            address token = address(uint160(tracked[i]));
            bool falls = token == address(usd) || token == address(desk.debt());
            assertEq(before[i] - afterwards[i], falls ? 10 ether : 0);
        }
    }

    function test_a_debt_that_grew_is_charged_and_a_gain_alone_is_not() public {
        usd.mint(address(target), 10);
        _execute(
            Ops.stream(Ops.call(address(target), Ops.lit(0), abi.encodeCall(Target.give, (address(usd), 7))))
        );
        assertEq(book.charges(), 0);
        TestToken debt = desk.debt();
        debt.mint(address(target), 10);
        _land(
            Ops.stream(
                Ops.call(address(target), Ops.lit(0), abi.encodeCall(Target.give, (address(debt), 7)))
            ),
            _bound(3, address(debt), 7)
        );
        assertEq(book.charges(), 1);
    }

    function test_a_full_book_refuses_what_the_bounds_allow() public {
        book.setFull(true);
        bytes memory operations = Ops.stream(_repay(DEBT_TOKEN, 10 ether, 10 ether));
        vm.expectRevert(OpenRiskBook.Full.selector);
        _land(operations, _bound(1, address(usd), 10 ether));
    }

    // --------------------------------------------------------------------- positions

    function test_position_plans_are_for_accounts_that_hold_positions() public {
        AtomicExecutor.Header memory header = _header(0);
        header.accountingToken = address(0);
        bytes memory operations = Ops.stream(_repay(DEBT_TOKEN, 10 ether, 10 ether));
        AtomicExecutor.Bound[] memory bounds = _bound(1, address(usd), 10 ether);
        vm.startPrank(operator);
        vm.expectRevert(AtomicExecutor.PositionsNotHeld.selector);
        executor.execute(header, bounds, "", operations);
        book.setHolds(true);
        header.minProfit = 1;
        vm.expectRevert(abi.encodeWithSelector(AtomicExecutor.PositionPlanWithProfit.selector, 1));
        executor.execute(header, bounds, "", operations);
        header.minProfit = 0;
        vm.expectEmit(address(executor));
        emit AtomicExecutor.Executed(header.intentId, header.planDigest, address(0), 0);
        executor.execute(header, bounds, "", operations);
        assertEq(desk.borrowBalanceOf(address(executor)), 90 ether);
    }

    // -------------------------------------------------------------------- REDUCE_ONLY

    function test_in_reduce_only_debts_are_repaid_and_no_health_factor_may_fall() public {
        vm.prank(pauser);
        executor.reduceOnly();
        bytes memory operations = Ops.stream(_repay(DEBT_TOKEN, 10 ether, 10 ether));
        AtomicExecutor.Bound[] memory bounds = _bound(1, address(usd), 10 ether);
        uint256 state = vm.snapshotState();
        uint256[3] memory later = [uint256(1.3e18), 1.4e18, type(uint256).max];
        for (uint256 i = 0; i < 3; ++i) {
            _healthGoes(1.3e18, later[i]);
            _land(operations, bounds);
            vm.revertToState(state);
        }
        _healthGoes(1.3e18, 1.3e18 - 1);
        vm.expectRevert(
            abi.encodeWithSelector(AtomicExecutor.HealthFactorFell.selector, 1, 1.3e18, 1.3e18 - 1)
        );
        _land(operations, bounds);
    }

    function test_outside_reduce_only_nobody_asks_for_health_factors() public {
        vm.expectCall(address(book), abi.encodeCall(OpenRiskBook.healthFactors, (address(executor))), 0);
        _land(Ops.stream(_repay(DEBT_TOKEN, 10 ether, 10 ether)), _bound(1, address(usd), 10 ether));
    }

    // ----------------------------------------------------------------------- internal

    function _healthGoes(uint256 before, uint256 afterwards) private {
        uint256[] memory one = new uint256[](2);
        uint256[] memory two = new uint256[](2);
        (one[0], one[1]) = (2e18, before);
        (two[0], two[1]) = (2e18, afterwards);
        bytes[] memory answers = new bytes[](2);
        (answers[0], answers[1]) = (abi.encode(one), abi.encode(two));
        vm.mockCalls(address(book), abi.encodeCall(OpenRiskBook.healthFactors, (address(executor))), answers);
    }

    function _repay(uint8 kind, uint256 maximum, uint256 allowance) private view returns (bytes memory) {
        bytes memory data = abi.encodeCall(DebtDesk.repay, (0, address(executor)));
        return _operation(kind, "", maximum, allowance, 0, data);
    }

    function _repayShares(uint256 maximum, uint256 allowance, bytes32 market)
        private
        view
        returns (bytes memory)
    {
        bytes memory data = abi.encodeCall(DebtDesk.repayShares, (address(executor), 0));
        return _operation(MORPHO, abi.encodePacked(market), maximum, allowance, 1, data);
    }

    function _operation(
        uint8 kind,
        bytes memory market,
        uint256 maximum,
        uint256 allowance,
        uint8 word,
        bytes memory data
    ) private view returns (bytes memory) {
        address source = kind == DEBT_TOKEN ? address(desk.debt()) : address(desk);
        bytes memory head = abi.encodePacked(uint8(0x10), uint8(0), desk, usd, desk);
        bytes memory debt = abi.encodePacked(kind, source, market);
        return bytes.concat(
            head,
            Ops.lit(allowance),
            debt,
            Ops.lit(maximum),
            abi.encodePacked(word, uint16(data.length)),
            data
        );
    }

    function _list(address to, string memory signature, uint8 kind0, uint256 operand0, uint8 kind1) private {
        PolicyRegistry.Rule[] memory rules = new PolicyRegistry.Rule[](2);
        rules[0] = PolicyRegistry.Rule(kind0, operand0);
        rules[1] = PolicyRegistry.Rule(kind1, 0);
        registry.list(address(executor), to, signature, _entry(rules, 0, true));
    }
}
