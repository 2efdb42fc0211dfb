// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {Authority} from "./Authority.sol";
import {IBalancerVault, IUniswapV2Pair, IUniswapV3Pool} from "./Lenders.sol";
import {
    IPolicyRegistry,
    TOKEN_DEBT,
    TOKEN_PAID_OUT,
    LENDER_BALANCER_V2,
    FACTORY_UNISWAP_V2,
    FACTORY_UNISWAP_V3
} from "./IPolicyRegistry.sol";
import {IPlanChecks} from "./IPlanChecks.sol";
import {IRiskBook} from "./IRiskBook.sol";
import {Scratch} from "./Scratch.sol";
import {StreamLib} from "./Stream.sol";
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
contract AtomicExecutor is Authority {
    using StreamLib for StreamLib.Stream;

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

    struct CallFrame {
        address target;
        uint256 value;
        address token;
        address spender;
        uint256 allowance;
    }

    struct Swap {
        address factory;
        address tokenIn;
        address tokenOut;
        uint256 amountIn;
        uint256 minOut;
    }

    // ------------------------------------------------------------ constants

    uint8 public constant STREAM_VERSION = 1;

    uint8 public constant OP_CALL = 0x01;
    uint8 public constant OP_CALL_WITH_ALLOWANCE = 0x02;
    uint8 public constant OP_FLASH = 0x03;
    uint8 public constant OP_SWAP_V2 = 0x04;
    uint8 public constant OP_SWAP_V3 = 0x05;

    uint8 public constant BOUND_OUTFLOW_LE = 1;
    uint8 public constant BOUND_INFLOW_GE = 2;
    uint8 public constant BOUND_DEBT_INCREASE_LE = 3;

    uint256 public constant MAX_BOUNDS = 32;

    uint256 private constant PPM = 1_000_000;
    uint160 private constant MIN_SQRT_PRICE = 4295128739 + 1;
    uint160 private constant MAX_SQRT_PRICE = 1461446703485210103287273052203988822378723970342 - 1;

    // --------------------------------------------------------------- errors

    error AlreadyExecuted(uint256 intentId);
    error Expired(uint256 deadline, uint256 timestamp);
    error GasPriceAboveMaximum(uint256 price, uint256 maximum);
    error AccountingTokenUnpriced(address token);
    error PositionsNotHeld();
    error PositionPlanWithProfit(uint256 minProfit);
    error HealthFactorFell(uint256 source, uint256 before, uint256 afterwards);
    error UnsupportedStream(uint256 version);
    error UnknownOperation(uint256 kind);
    error UnknownLenderKind(uint256 kind);
    error OperationFailed(address target, bytes4 selector, bytes reason);
    error SpliceOutOfRange(uint256 word, uint256 length);
    error MeasuredDecrease(address token, uint256 before, uint256 afterwards);
    error OutputBelowMinimum(address pool, uint256 output, uint256 minimum);
    error RepaymentAboveMaximum(address token, uint256 wanted, uint256 maximum);
    error LoanDiffers(address token);
    error SwapOutOfRange(uint256 amountIn, uint256 limit);
    error NativeNotExpected(address sender);

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
    /// @notice Native coin leaves no log of its own. Positive: came from `counterparty`; negative: went to it.
    event NativeMoved(address indexed counterparty, int256 amount);
    event BeneficiaryChanged(address indexed beneficiary);

    // -------------------------------------------------------------- storage

    IPolicyRegistry public immutable registry;
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
    ) TwoStepOwner(owner_) {
        if (address(registry_) == address(0) || address(riskBook_) == address(0)) {
            revert ZeroAddress();
        }
        if (address(planChecks_) == address(0) || weth_ == address(0)) revert ZeroAddress();
        registry = registry_;
        riskBook = riskBook_;
        planChecks = planChecks_;
        weth = weth_;
        _setBeneficiary(beneficiary_);
    }

    // ---------------------------------------------------- what an operator does

    /// @notice Runs one plan; the only way to move anything here, but for `rescue`.
    /// @param bounds one-sided checks on what this contract held before and holds once all loans are repaid
    /// @param checks what must hold at the end besides, packed, see PlanChecks.sol
    /// @param operations packed, see README.md
    function execute(
        Header calldata header,
        Bound[] calldata bounds,
        bytes calldata checks,
        bytes calldata operations
    ) external onlyRole(ROLE_OPERATOR) {
        bool reducing = _admit(header);
        Scratch.begin(reducing);
        _claim(header.intentId);

        uint256[] memory health;
        if (reducing) health = riskBook.healthFactors(address(this));
        Flows memory flows = _snapshot(header.accountingToken);
        _runAll(operations);
        flows.afterwards = _balances(flows.tracked);
        _checkFlows(bounds, flows);
        _charge(flows);
        uint256 gain = _payOut(header.accountingToken, flows);
        uint256 inflow = _checkProfit(header, gain, flows.paidBefore);
        if (reducing) _mustNotWeaken(health);
        if (checks.length != 0) planChecks.verify(address(this), checks);

        Scratch.end();
        emit Executed(header.intentId, header.planDigest, header.accountingToken, inflow);
    }

    // ------------------------------------------------------- what the owner sets

    function setBeneficiary(address beneficiary_) external onlyOwner whenIdle {
        _setBeneficiary(beneficiary_);
    }

    // --------------------------------------------------------------- what is read

    function isExecuted(uint256 intentId) public view returns (bool) {
        return executedBits[intentId >> 8] & (1 << (intentId & 255)) != 0;
    }

    // ----------------------------------------------------------------- callbacks

    /// @dev WETH's `withdraw` leaves 2,300 gas: two transient reads and no log.
    receive() external payable {
        if (!Scratch.executing() || (msg.sender != weth && msg.sender != Scratch.runningCallee())) {
            revert NativeNotExpected(msg.sender);
        }
    }

    /// @notice Balancer V2. It names no initiator, and anyone may name us as recipient: the frame is the proof.
    function receiveFlashLoan(
        address[] calldata tokens,
        uint256[] calldata amounts,
        uint256[] calldata fees,
        bytes calldata userData
    ) external {
        Scratch.enter(keccak256(userData));
        StreamLib.Stream memory stream = StreamLib.open(userData);
        uint256 count = stream.number(1);
        if (tokens.length != count || amounts.length != count || fees.length != count) {
            revert LoanDiffers(address(0));
        }
        StreamLib.Stream memory loans = StreamLib.open(stream.slice(count * 84));
        _run(stream);
        for (uint256 i = 0; i < count; ++i) {
            _repay(loans, tokens[i], amounts[i], fees[i]);
        }
    }

    function uniswapV2Call(address, uint256, uint256, bytes calldata data) external {
        Scratch.enter(keccak256(data));
        StreamLib.Stream memory stream = StreamLib.open(data);
        address token = stream.account();
        uint256 owed = stream.number(32);
        _run(stream);
        Tokens.pay(token, msg.sender, owed);
    }

    function uniswapV3SwapCallback(int256 amount0Delta, int256 amount1Delta, bytes calldata data) external {
        Scratch.enter(keccak256(data));
        StreamLib.Stream memory stream = StreamLib.open(data);
        address token = stream.account();
        uint256 maximum = stream.number(32);
        bool zeroForOne = stream.number(1) == 1;
        int256 delta = zeroForOne ? amount0Delta : amount1Delta;
        uint256 owed = delta > 0 ? uint256(delta) : 0;
        if (owed > maximum) revert RepaymentAboveMaximum(token, owed, maximum);
        _run(stream);
        Tokens.pay(token, msg.sender, owed);
    }

    // ---------------------------------------------------------- before and after

    function _admit(Header calldata header) private view returns (bool reducing) {
        Level current = level;
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
        return current == Level.REDUCE_ONLY;
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

    /// @dev The maximum means that nothing is owed there.
    function _mustNotWeaken(uint256[] memory before) private view {
        uint256[] memory afterwards = riskBook.healthFactors(address(this));
        for (uint256 i = 0; i < before.length; ++i) {
            if (afterwards[i] < before[i]) revert HealthFactorFell(i, before[i], afterwards[i]);
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

    // ---------------------------------------------------------------- operations

    function _runAll(bytes calldata operations) private {
        StreamLib.Stream memory stream = StreamLib.open(operations);
        uint256 version = stream.number(1);
        if (version != STREAM_VERSION) revert UnsupportedStream(version);
        _run(stream);
    }

    function _run(StreamLib.Stream memory stream) private {
        while (stream.more()) {
            uint256 kind = stream.number(1);
            (bytes calldata measured, uint256[] memory before) = _startMeasuring(stream);
            if (kind == OP_CALL || kind == OP_CALL_WITH_ALLOWANCE) {
                _call(stream, kind == OP_CALL_WITH_ALLOWANCE);
            } else if (kind == OP_FLASH) {
                _flash(stream);
            } else if (kind == OP_SWAP_V2) {
                _swapV2(stream);
            } else if (kind == OP_SWAP_V3) {
                _swapV3(stream);
            } else {
                revert UnknownOperation(kind);
            }
            _endMeasuring(measured, before);
        }
    }

    function _repay(StreamLib.Stream memory loans, address token, uint256 amount, uint256 fee) private {
        if (loans.account() != token || loans.number(32) != amount) revert LoanDiffers(token);
        uint256 owed = amount + fee;
        uint256 maximum = loans.number(32);
        if (owed > maximum) revert RepaymentAboveMaximum(token, owed, maximum);
        Tokens.pay(token, msg.sender, owed);
    }

    function _startMeasuring(StreamLib.Stream memory stream)
        private
        view
        returns (bytes calldata measured, uint256[] memory before)
    {
        uint256 count = stream.number(1);
        measured = stream.slice(20 * count);
        before = new uint256[](count);
        for (uint256 i = 0; i < count; ++i) {
            before[i] = Tokens.balanceOf(address(bytes20(measured[20 * i:])), address(this));
        }
    }

    function _endMeasuring(bytes calldata measured, uint256[] memory before) private {
        for (uint256 i = 0; i < before.length; ++i) {
            address token = address(bytes20(measured[20 * i:]));
            uint256 afterwards = Tokens.balanceOf(token, address(this));
            if (afterwards < before[i]) revert MeasuredDecrease(token, before[i], afterwards);
            Scratch.record(afterwards - before[i]);
        }
    }

    function _call(StreamLib.Stream memory stream, bool withAllowance) private {
        CallFrame memory frame;
        frame.target = stream.account();
        frame.value = stream.amount();
        if (withAllowance) {
            frame.token = stream.account();
            frame.spender = stream.account();
            frame.allowance = stream.amount();
        }
        bytes memory data = stream.slice(stream.number(2));
        uint256 spliced = _splice(stream, data);

        registry.checkCall(frame.target, frame.value, data, spliced, Scratch.reducing());
        if (withAllowance) {
            registry.checkAllowance(frame.target, bytes4(data), frame.token, frame.spender);
            Tokens.allowExactly(frame.token, frame.spender, frame.allowance);
        }
        _invoke(frame.target, frame.value, data);
        if (withAllowance) Tokens.clearAllowance(frame.token, frame.spender);
    }

    /// @return words bit i is set if head word i was written
    function _splice(StreamLib.Stream memory stream, bytes memory data) private view returns (uint256 words) {
        uint256 count = stream.number(1);
        for (uint256 i = 0; i < count; ++i) {
            uint256 word = stream.number(1);
            uint256 value = Scratch.register(stream.number(1));
            if (4 + 32 * (word + 1) > data.length) revert SpliceOutOfRange(word, data.length);
            words |= 1 << word;
            assembly ("memory-safe") {
                mstore(add(add(data, 36), mul(32, word)), value)
            }
        }
    }

    function _invoke(address target, uint256 value, bytes memory data) private {
        address outer = Scratch.runningCallee();
        Scratch.setRunningCallee(target);
        uint256 before = address(this).balance;
        (bool ok, bytes memory answer) = target.call{value: value}(data);
        if (!ok) revert OperationFailed(target, bytes4(data), answer);
        int256 moved = int256(address(this).balance) - int256(before);
        if (moved != 0) emit NativeMoved(target, moved);
        Scratch.setRunningCallee(outer);
    }

    function _flash(StreamLib.Stream memory stream) private {
        uint8 kind = uint8(stream.number(1));
        if (kind != LENDER_BALANCER_V2) revert UnknownLenderKind(kind);
        address lender = stream.account();
        uint256 count = stream.number(1);
        address[] memory tokens = new address[](count);
        uint256[] memory amounts = new uint256[](count);
        bytes memory userData = abi.encodePacked(uint8(count));
        for (uint256 i = 0; i < count; ++i) {
            tokens[i] = stream.account();
            amounts[i] = stream.amount();
            userData =
                bytes.concat(userData, abi.encodePacked(tokens[i], amounts[i], amounts[i] + stream.amount()));
        }
        userData = bytes.concat(userData, stream.slice(stream.number(3)));

        registry.checkLender(lender, kind, tokens);
        Scratch.arm(lender, this.receiveFlashLoan.selector, keccak256(userData));
        IBalancerVault(lender).flashLoan(address(this), tokens, amounts, userData);
        Scratch.disarm(lender, this.receiveFlashLoan.selector);
    }

    function _swapV2(StreamLib.Stream memory stream) private {
        Swap memory swap = _readSwap(stream);
        bytes calldata nested = stream.slice(stream.number(3));
        (address pool, uint256 feePpm) = registry.poolOf(
            FACTORY_UNISWAP_V2, swap.factory, swap.tokenIn, swap.tokenOut, 0, Scratch.reducing()
        );
        bool zeroForOne = swap.tokenIn < swap.tokenOut;
        uint256 output = _outputV2(pool, swap.amountIn, feePpm, zeroForOne);
        if (output < swap.minOut) revert OutputBelowMinimum(pool, output, swap.minOut);
        (uint256 out0, uint256 out1) = zeroForOne ? (uint256(0), output) : (output, uint256(0));

        if (nested.length == 0) {
            // Paid first: without data the pair calls nobody back.
            Tokens.pay(swap.tokenIn, pool, swap.amountIn);
            IUniswapV2Pair(pool).swap(out0, out1, address(this), "");
            return;
        }
        bytes memory data = abi.encodePacked(swap.tokenIn, swap.amountIn, nested);
        Scratch.arm(pool, this.uniswapV2Call.selector, keccak256(data));
        IUniswapV2Pair(pool).swap(out0, out1, address(this), data);
        Scratch.disarm(pool, this.uniswapV2Call.selector);
    }

    function _swapV3(StreamLib.Stream memory stream) private {
        uint24 fee = uint24(stream.number(3));
        Swap memory swap = _readSwap(stream);
        uint256 limit = stream.amount();
        bytes calldata nested = stream.slice(stream.number(3));
        (address pool,) = registry.poolOf(
            FACTORY_UNISWAP_V3, swap.factory, swap.tokenIn, swap.tokenOut, fee, Scratch.reducing()
        );
        // A negative amount would mean exact output to the pool.
        if (swap.amountIn > uint256(type(int256).max) || limit > type(uint160).max) {
            revert SwapOutOfRange(swap.amountIn, limit);
        }
        bool zeroForOne = swap.tokenIn < swap.tokenOut;
        if (limit == 0) limit = zeroForOne ? MIN_SQRT_PRICE : MAX_SQRT_PRICE;
        bytes memory data = abi.encodePacked(swap.tokenIn, swap.amountIn, zeroForOne, nested);

        Scratch.arm(pool, this.uniswapV3SwapCallback.selector, keccak256(data));
        (int256 delta0, int256 delta1) =
            IUniswapV3Pool(pool).swap(address(this), zeroForOne, int256(swap.amountIn), uint160(limit), data);
        Scratch.disarm(pool, this.uniswapV3SwapCallback.selector);

        int256 received = -(zeroForOne ? delta1 : delta0);
        uint256 output = received > 0 ? uint256(received) : 0;
        if (output < swap.minOut) revert OutputBelowMinimum(pool, output, swap.minOut);
    }

    function _readSwap(StreamLib.Stream memory stream) private view returns (Swap memory swap) {
        swap.factory = stream.account();
        swap.tokenIn = stream.account();
        swap.tokenOut = stream.account();
        swap.amountIn = stream.amount();
        swap.minOut = stream.amount();
    }

    /// @dev Rounds down, as the pair's own check demands.
    function _outputV2(address pool, uint256 amountIn, uint256 feePpm, bool zeroForOne)
        private
        view
        returns (uint256)
    {
        (uint256 reserve0, uint256 reserve1,) = IUniswapV2Pair(pool).getReserves();
        (uint256 reserveIn, uint256 reserveOut) = zeroForOne ? (reserve0, reserve1) : (reserve1, reserve0);
        uint256 taxed = amountIn * (PPM - feePpm);
        return taxed * reserveOut / (reserveIn * PPM + taxed);
    }

    function _setBeneficiary(address beneficiary_) private {
        if (beneficiary_ == address(0) || beneficiary_ == address(this)) revert ZeroAddress();
        beneficiary = beneficiary_;
        emit BeneficiaryChanged(beneficiary_);
    }
}
