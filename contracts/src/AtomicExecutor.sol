// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {Authority} from "./Authority.sol";
import {IPlanChecks} from "./IPlanChecks.sol";
import {IPolicyRegistry, TOKEN_DEBT, TOKEN_PAID_OUT} from "./IPolicyRegistry.sol";
import {IRiskBook} from "./IRiskBook.sol";
import {Operations} from "./Operations.sol";
import {Running} from "./Running.sol";
import {Scratch} from "./Scratch.sol";
import {Tokens} from "./Tokens.sol";
import {TwoStepOwner} from "./TwoStepOwner.sol";

/// @title AtomicExecutor: runs one plan, all of it or nothing, and keeps nothing.
///
/// @notice Life of an execution: authority and deadline, intent bit, snapshot of every tracked token, operations
///         (loans and swaps nest, each repaid in its own callback), then, in this outermost frame and with no loan
///         outstanding, the one-sided checks on what moved, the payout to the beneficiary, and the profit check.
///
/// @dev Layout of `operations`: see README.md beside this folder, and `encoding.py`. No delegatecall anywhere.
///      Callbacks: a transient frame {callee, selector, data hash} is armed before the call, consumed at entry and
///      must be consumed when the callee returns. What may be repaid is inside the hashed data.
///      Operations.sol runs the plan, Loans.sol borrows for it, Swaps.sol trades; this file is what stands around.
contract AtomicExecutor is Authority, Operations {
    // ---------------------------------------------------------------- types

    /// @param intentId bit that this plan sets; a plan lands once
    /// @param planDigest what the plan was accepted under; emitted, so that anyone can match chain and ledger
    /// @param deadline last second at which it may run [unix s]
    /// @param maxFeeWei most that the transaction may cost, at which profit was judged [wei]
    /// @param minProfit net of that fee [accountingToken's smallest unit]
    /// @param accountingToken WETH or the native coin (`Tokens.NATIVE`): they count 1:1 with the fee. Zero: a
    ///        position plan, judged by its bounds, its checks and the risk book instead of by profit
    /// @param maxGasPriceWei [wei]
    struct Header {
        uint256 intentId;
        bytes32 planDigest;
        uint256 deadline;
        uint256 maxFeeWei;
        uint256 minProfit;
        address accountingToken;
        uint256 maxGasPriceWei;
    }

    /// @param kind BOUND_*
    struct Bound {
        uint8 kind;
        address token;
        uint256 amount;
    }

    /// @notice One plan of a batch.
    /// @param minGas what it is given at least [gas]
    /// @param execution the whole calldata of `execute`
    struct Segment {
        uint256 minGas;
        bytes execution;
    }

    /// @param tracked class << 160 | token
    /// @param named listed by a bound of the plan
    /// @param paidBefore the beneficiary's balance of the accounting token
    struct Flows {
        uint256[] tracked;
        uint256[] before;
        uint256[] afterwards;
        bool[] named;
        uint256 paidBefore;
    }

    // ------------------------------------------------------------ constants

    uint8 internal constant BOUND_OUTFLOW_LE = 1;
    uint8 internal constant BOUND_INFLOW_GE = 2;
    uint8 internal constant BOUND_DEBT_INCREASE_LE = 3;

    /// @dev The floor under health factors in REDUCE_ONLY.
    uint256 private constant NO_FALL = type(uint256).max;
    uint256 internal constant MAX_BOUNDS = 32;
    uint256 internal constant MAX_SEGMENTS = 64;
    /// @notice What a segment costs around its plan: its copy, the call and the event [gas].
    uint256 internal constant SEGMENT_OVERHEAD_GAS = 40_000;
    /// @dev And for each byte of its calldata, which is copied.
    uint256 private constant SEGMENT_BYTE_GAS = 2;
    /// @dev More of a reason is not kept: who fails must not spend what others were given.
    uint256 private constant MAX_REASON_BYTES = 512;

    // --------------------------------------------------------------- errors

    error AlreadyExecuted(uint256 intentId);
    error Expired(uint256 deadline, uint256 timestamp);
    error GasPriceAboveMaximum(uint256 price, uint256 maximum);
    error AccountingTokenUnpriced(address token);
    error PositionsNotHeld();
    error PositionPlanWithProfit(uint256 minProfit);
    error HealthFactorFell(uint256 source, uint256 before, uint256 afterwards);
    error NativeNotExpected(address sender);

    error TooManySegments(uint256 count);
    error GasBelowMinimum(uint256 left, uint256 minimum);
    error SegmentFailed(uint256 index, bytes reason);
    error NotAnExecution(uint256 index);

    error TooManyBounds(uint256 count);
    error UnknownBound(uint8 kind);
    error BoundUnfit(uint8 kind, address token);
    error OutflowAboveBound(address token, uint256 outflow, uint256 bound);
    error InflowBelowBound(address token, uint256 inflow, uint256 bound);
    error DebtIncreaseAboveBound(address token, uint256 increase, uint256 bound);
    error ProfitBelowMinimum(address token, uint256 profit, uint256 minimum);

    // --------------------------------------------------------------- events

    /// @param inflow what the beneficiary gained, before the transaction's fee
    event Executed(
        uint256 indexed intentId, bytes32 indexed planDigest, address indexed accountingToken, uint256 inflow
    );
    /// @param landed false: nothing of it happened
    /// @param gasUsed by this segment alone, refunds not taken off [gas]
    /// @param reason the revert's first bytes
    event SegmentEnded(
        uint256 indexed intentId, bytes32 indexed planDigest, bool landed, uint256 gasUsed, bytes reason
    );
    event BeneficiaryChanged(address indexed beneficiary);

    // -------------------------------------------------------------- storage

    IRiskBook public immutable riskBook;
    IPlanChecks public immutable planChecks;
    address public immutable weth;
    address public beneficiary;
    /// @notice 256 intents a word: `executedBits[intentId >> 8]`, bit `intentId & 255`.
    mapping(uint256 word => uint256 bits) public executedBits;

    constructor(
        address owner_,
        IPolicyRegistry registry_,
        IRiskBook riskBook_,
        IPlanChecks planChecks_,
        address weth_,
        address beneficiary_
    ) TwoStepOwner(owner_) Running(registry_) {
        if (address(registry_) == address(0) || address(riskBook_) == address(0)) {
            revert ZeroAddress();
        }
        if (address(planChecks_) == address(0) || weth_ == address(0)) revert ZeroAddress();
        riskBook = riskBook_;
        planChecks = planChecks_;
        weth = weth_;
        _setBeneficiary(beneficiary_);
    }

    // ---------------------------------------------------- what an operator does

    /// @notice Runs one plan; the only way to move anything here, but for `rescue`. A batch comes through here too,
    ///         segment by segment.
    /// @param bounds one-sided checks on what this contract held before and holds once all loans are repaid
    /// @param checks what must hold at the end besides, packed, see PlanChecks.sol
    /// @param operations packed, see README.md
    function execute(
        Header calldata header,
        Bound[] calldata bounds,
        bytes calldata checks,
        bytes calldata operations
    ) external {
        if (msg.sender != address(this)) _mustHave(ROLE_OPERATOR);
        uint256 floor = _admit(header);
        Scratch.begin(floor == NO_FALL);
        _claim(header.intentId);

        uint256[] memory health;
        if (floor != 0) health = riskBook.healthFactors(address(this));
        Flows memory flows = _snapshot(header.accountingToken);
        _runAll(operations);
        flows.afterwards = _balances(flows.tracked);
        _checkFlows(bounds, flows);
        _charge(flows);
        uint256 gain = _payOut(header.accountingToken, flows);
        uint256 inflow = _checkProfit(header, gain, flows.paidBefore);
        if (floor != 0) _mustNotWeaken(health, floor);
        if (checks.length != 0) planChecks.verify(address(this), checks);

        Scratch.end();
        emit Executed(header.intentId, header.planDigest, header.accountingToken, inflow);
    }

    /// @notice Several plans in one call. Each is whole in itself: its own intent bit, snapshots, bounds, checks,
    ///         profit and event, and at least its own `minGas` whatever those before it do.
    /// @param atomic one failure undoes all; otherwise the failed one alone is undone, and its reason told
    function executeBatch(bool atomic, Segment[] calldata segments)
        external
        onlyRole(ROLE_OPERATOR)
        whenIdle
    {
        uint256 count = segments.length;
        if (count > MAX_SEGMENTS) revert TooManySegments(count);
        uint256 reserved = 0;
        for (uint256 i = 0; i < count; ++i) {
            reserved += _gasOf(segments[i]);
        }
        if (gasleft() < reserved) revert GasBelowMinimum(gasleft(), reserved);
        for (uint256 i = 0; i < count; ++i) {
            reserved -= _gasOf(segments[i]);
            bytes calldata execution = segments[i].execution;
            if (bytes4(execution) != this.execute.selector || execution.length < 68) {
                revert NotAnExecution(i);
            }
            uint256 gasBefore = gasleft();
            (bool landed, bytes memory reason) = _try(execution, reserved);
            uint256 gasUsed = gasBefore - gasleft();
            if (atomic && !landed) revert SegmentFailed(i, reason);
            // The header stands at a fixed place, see README.md.
            emit SegmentEnded(
                uint256(bytes32(execution[4:])), bytes32(execution[36:]), landed, gasUsed, reason
            );
        }
    }

    // ------------------------------------------------------- what the owner sets

    function setBeneficiary(address beneficiary_) external onlyOwner whenIdle {
        _setBeneficiary(beneficiary_);
    }

    // --------------------------------------------------------------- what is read

    function isExecuted(uint256 intentId) public view returns (bool) {
        return executedBits[intentId >> 8] & (1 << (intentId & 255)) != 0;
    }

    // ------------------------------------------------------------ native coin

    /// @dev WETH's `withdraw` leaves 2,300 gas: two transient reads and no log.
    receive() external payable {
        if (!Scratch.executing() || (msg.sender != weth && msg.sender != Scratch.runningCallee())) {
            revert NativeNotExpected(msg.sender);
        }
    }

    // ---------------------------------------------------------- before and after

    /// @return what must be left when it begins: its minimum, past the 64th that a call holds back, and what it costs
    ///         around it
    function _gasOf(Segment calldata segment) private pure returns (uint256) {
        return segment.minGas + segment.minGas / 63 + SEGMENT_OVERHEAD_GAS + SEGMENT_BYTE_GAS
            * segment.execution.length;
    }

    /// @dev By a call to ourselves, so that a segment can fail alone.
    /// @param reserved left untouched for those that come later [gas]
    function _try(bytes calldata execution, uint256 reserved)
        private
        returns (bool landed, bytes memory reason)
    {
        uint256 given =
            gasleft() - reserved - SEGMENT_OVERHEAD_GAS / 2 - SEGMENT_BYTE_GAS * execution.length;
        assembly ("memory-safe") {
            // Memory past the free pointer is scratch: it is used again by the next, so that a long batch does
            // not pay for all of them.
            reason := mload(0x40)
            calldatacopy(reason, execution.offset, execution.length)
            landed := call(given, address(), 0, reason, execution.length, 0, 0)
            let size := 0
            if iszero(landed) {
                size := returndatasize()
                if gt(size, MAX_REASON_BYTES) { size := MAX_REASON_BYTES }
            }
            mstore(reason, size)
            returndatacopy(add(reason, 32), 0, size)
            mstore(0x40, and(add(add(reason, 63), size), not(31)))
        }
    }

    /// @return floor no health factor may fall to below it [1e18]
    function _admit(Header calldata header) private view returns (uint256 floor) {
        (Level current, uint64 running) = (level, healthFloor);
        if (current == Level.HALT) revert Halted();
        if (block.timestamp > header.deadline) revert Expired(header.deadline, block.timestamp);
        if (tx.gasprice > header.maxGasPriceWei) {
            revert GasPriceAboveMaximum(tx.gasprice, header.maxGasPriceWei);
        }
        address token = header.accountingToken;
        if (token == address(0)) {
            if (header.minProfit != 0) revert PositionPlanWithProfit(header.minProfit);
            if (!riskBook.holdsPositions(address(this))) revert PositionsNotHeld();
        } else if (token != weth && token != Tokens.NATIVE) {
            revert AccountingTokenUnpriced(token);
        }
        return current == Level.REDUCE_ONLY ? NO_FALL : running;
    }

    /// @dev In the frame of the plan, so that a revert leaves the bit clear.
    function _claim(uint256 intentId) private {
        uint256 bit = 1 << (intentId & 255);
        uint256 bits = executedBits[intentId >> 8];
        if (bits & bit != 0) revert AlreadyExecuted(intentId);
        executedBits[intentId >> 8] = bits | bit;
    }

    function _snapshot(address accountingToken) private view returns (Flows memory flows) {
        flows.tracked = registry.trackedTokens(address(this));
        flows.before = _balances(flows.tracked);
        flows.named = new bool[](flows.tracked.length);
        if (accountingToken != address(0)) {
            flows.paidBefore = Tokens.balanceOf(accountingToken, beneficiary);
        }
    }

    function _balances(uint256[] memory tracked) private view returns (uint256[] memory amounts) {
        amounts = new uint256[](tracked.length);
        for (uint256 i = 0; i < tracked.length; ++i) {
            amounts[i] = Tokens.balanceOf(address(uint160(tracked[i])), address(this));
        }
    }

    /// @dev One-sided throughout: a donation can only help a check pass, never block a plan.
    function _checkFlows(Bound[] calldata bounds, Flows memory flows) private pure {
        if (bounds.length > MAX_BOUNDS) revert TooManyBounds(bounds.length);
        bool[] memory mayChange = new bool[](flows.tracked.length);
        for (uint256 b = 0; b < bounds.length; ++b) {
            uint256 i = _positionOf(flows.tracked, bounds[b]);
            flows.named[i] = true;
            if (bounds[b].kind != BOUND_INFLOW_GE) mayChange[i] = true;
            _checkBound(bounds[b], flows.before[i], flows.afterwards[i]);
        }
        for (uint256 i = 0; i < flows.tracked.length; ++i) {
            if (!mayChange[i]) _mustNotWorsen(flows.tracked[i], flows.before[i], flows.afterwards[i]);
        }
    }

    /// @dev What a plan does not list may not fall; a debt may not grow.
    function _mustNotWorsen(uint256 packed, uint256 before, uint256 afterwards) private pure {
        address token = address(uint160(packed));
        if (packed >> 160 == TOKEN_DEBT) {
            if (afterwards > before) revert DebtIncreaseAboveBound(token, afterwards - before, 0);
        } else if (afterwards < before) {
            revert OutflowAboveBound(token, before - afterwards, 0);
        }
    }

    function _positionOf(uint256[] memory tracked, Bound calldata bound) private pure returns (uint256 i) {
        if (bound.kind == 0 || bound.kind > BOUND_DEBT_INCREASE_LE) revert UnknownBound(bound.kind);
        for (i = 0; i < tracked.length; ++i) {
            if (address(uint160(tracked[i])) != bound.token) continue;
            if ((tracked[i] >> 160 == TOKEN_DEBT) == (bound.kind == BOUND_DEBT_INCREASE_LE)) return i;
        }
        revert BoundUnfit(bound.kind, bound.token);
    }

    function _checkBound(Bound calldata bound, uint256 before, uint256 afterwards) private pure {
        uint256 rise = afterwards > before ? afterwards - before : 0;
        uint256 fall = before > afterwards ? before - afterwards : 0;
        if (bound.kind == BOUND_OUTFLOW_LE) {
            if (fall > bound.amount) revert OutflowAboveBound(bound.token, fall, bound.amount);
        } else if (bound.kind == BOUND_INFLOW_GE) {
            if (rise < bound.amount) revert InflowBelowBound(bound.token, rise, bound.amount);
        } else if (rise > bound.amount) {
            revert DebtIncreaseAboveBound(bound.token, rise, bound.amount);
        }
    }

    /// @dev Caps and windows are the risk book's; where nothing was lost it has nothing to say.
    function _charge(Flows memory flows) private {
        for (uint256 i = 0; i < flows.tracked.length; ++i) {
            bool debt = flows.tracked[i] >> 160 == TOKEN_DEBT;
            (uint256 low, uint256 high) =
                debt ? (flows.before[i], flows.afterwards[i]) : (flows.afterwards[i], flows.before[i]);
            if (low >= high) continue;
            riskBook.charge(flows.tracked, flows.before, flows.afterwards);
            return;
        }
    }

    /// @dev One-sided: what was below the floor may rise by as little as it likes. The maximum means that nothing is
    ///      owed there.
    function _mustNotWeaken(uint256[] memory before, uint256 floor) private view {
        uint256[] memory afterwards = riskBook.healthFactors(address(this));
        for (uint256 i = 0; i < before.length; ++i) {
            if (afterwards[i] < before[i] && afterwards[i] < floor) {
                revert HealthFactorFell(i, before[i], afterwards[i]);
            }
        }
    }

    /// @dev The plan's tokens are those it lists, its accounting token, and those it left more of. A token it
    ///      has nothing to do with stays, so that dust in a token whose transfer fails cannot block a plan.
    /// @return gain what the plan itself added in the accounting token
    function _payOut(address accountingToken, Flows memory flows) private returns (uint256 gain) {
        address to = beneficiary;
        for (uint256 i = 0; i < flows.tracked.length; ++i) {
            address token = address(uint160(flows.tracked[i]));
            uint256 before = flows.before[i];
            uint256 amount = flows.afterwards[i];
            if (token == accountingToken && amount > before) gain = amount - before;
            bool ours = flows.named[i] || token == accountingToken || amount > before;
            if (amount == 0 || !ours || flows.tracked[i] >> 160 != TOKEN_PAID_OUT) continue;
            Tokens.pay(token, to, amount);
            if (token == Tokens.NATIVE) emit NativeMoved(to, -int256(amount));
        }
    }

    /// @dev Both what reached the beneficiary and what the plan added must suffice: coins that lay here before
    ///      the plan are paid out with the rest, but are no profit of it.
    function _checkProfit(Header calldata header, uint256 gain, uint256 paidBefore)
        private
        view
        returns (uint256 inflow)
    {
        if (header.accountingToken == address(0)) return 0;
        uint256 paidAfter = Tokens.balanceOf(header.accountingToken, beneficiary);
        inflow = paidAfter > paidBefore ? paidAfter - paidBefore : 0;
        uint256 minimum = header.minProfit + header.maxFeeWei;
        uint256 profit = gain < inflow ? gain : inflow;
        if (profit < minimum) revert ProfitBelowMinimum(header.accountingToken, profit, minimum);
    }

    function _setBeneficiary(address beneficiary_) private {
        if (beneficiary_ == address(0) || beneficiary_ == address(this)) revert ZeroAddress();
        beneficiary = beneficiary_;
        emit BeneficiaryChanged(beneficiary_);
    }
}
