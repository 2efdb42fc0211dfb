"""The executor's refusals in plain words, by the name of the error: what was wrong, and with which values.

Errors of configuration (who may list what in the registry) have no sentence here: their names and values say
it to the few who meet them. Values come as text, addresses with their checksum.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

__all__ = ["SENTENCES"]

_LEVELS: Final = ("RUN", "REDUCE_ONLY", "HALT")
_RULES: Final = {1: "EQ", 2: "SELF", 3: "IN_SET", 4: "LE", 5: "ANY", 6: "LENGTH", 7: "PARSED"}
_WEI: Final = 10**18
_USD_E8: Final = 10**8

SENTENCES: Final[Mapping[str, Callable[[Mapping[str, str]], str]]] = {
    "Error": lambda v: f"reverted with {v['message']!r}",
    "Panic": lambda v: f"Solidity panic {v['code']}",
    # --------------------------------------------------------------- before anything runs
    "Halted": lambda _: "the executor is halted on chain; its owner must raise it",
    "MissingRole": lambda v: f"{v['caller']} lacks role {v['role']} on the executor",
    "NotRaised": lambda v: f"{_LEVELS[int(v['wanted'])]} is not above {_LEVELS[int(v['current'])]}",
    "AlreadyExecuting": lambda _: "the executor is in the middle of a plan",
    "BusyExecuting": lambda _: "the executor is in the middle of a plan",
    "AlreadyExecuted": lambda v: f"intent {v['intentId']} has landed before",
    "Expired": lambda v: f"the plan's deadline {v['deadline']} is past (block time {v['timestamp']})",
    "GasPriceAboveMaximum": lambda v: f"gas price {v['price']} wei is above the plan's {v['maximum']}",
    "AccountingTokenUnpriced": lambda v: (
        f"profit cannot be counted in {v['token']}: use WETH or the native token"
    ),
    "PositionsNotHeld": lambda _: "a position plan on an executor whose risk book lets it hold no positions",
    "PositionPlanWithProfit": lambda v: (
        f"a position plan pays no profit out, and {v['minProfit']} are demanded"
    ),
    # ---------------------------------------------------------------------------- batches
    "TooManySegments": lambda v: f"a batch of {v['count']} segments is too long",
    "GasBelowMinimum": lambda v: f"{v['left']} gas are left, the segments need {v['minimum']}",
    "SegmentFailed": lambda v: f"segment {v['index']} of an atomic batch failed" + _as_it_is(v),
    "NotAnExecution": lambda v: f"segment {v['index']} is not the calldata of an execution",
    # ------------------------------------------------------------------------- operations
    "UnsupportedStream": lambda v: f"the executor does not know operations of version {v['version']}",
    "UnknownOperation": lambda v: f"the executor knows no operation of kind {v['kind']}",
    "Truncated": lambda v: f"the bytes end early: {v['wanted']} wanted, {v['left']} left",
    "BadAmountTag": lambda v: f"{v['tag']} begins no amount",
    "NoSuchRegister": lambda v: f"measurement {v['index']} is used, and {v['count']} were taken",
    "TooManyRegisters": lambda v: f"more than {v['limit']} measurements",
    "TooDeep": lambda v: f"callbacks nest deeper than {v['limit']}",
    "OperationFailed": lambda v: f"the call of {v['selector']} on {v['target']} failed" + _as_it_is(v),
    "SpliceOutOfRange": lambda v: f"word {v['word']} lies outside calldata of {v['length']} bytes",
    "MeasuredDecrease": lambda v: (
        f"{v['token']} was to be gained, and fell from {v['before']} to {v['afterwards']}"
    ),
    "UnknownDebtKind": lambda v: f"the executor knows no debt of kind {v['kind']}",
    "NothingToRepay": lambda v: f"nothing is owed at {v['source']}, or nothing is here to repay it with",
    "DebtNotReduced": lambda v: (
        f"the debt at {v['source']} was {v['before']} and is {v['afterwards']} after its repayment"
    ),
    "OutputBelowMinimum": lambda v: f"pool {v['pool']} gave {v['output']}, the plan demands {v['minimum']}",
    "SwapOutOfRange": lambda v: f"a swap of {v['amountIn']} with price limit {v['limit']} is beyond any pool",
    "NativeNotExpected": lambda v: f"{v['sender']} sent native token that nobody asked for",
    # -------------------------------------------------------------------------- callbacks
    "UnknownLenderKind": lambda v: f"the executor knows no lender of kind {v['kind']}",
    "LoanCount": lambda v: f"a lender of kind {v['kind']} does not lend {v['count']} tokens at once",
    "LoanDiffers": lambda v: f"the lender speaks of another loan ({v['token']}) than the plan",
    "RepaymentAboveMaximum": lambda v: (
        f"{v['wanted']} of {v['token']} asked back, the plan allows {v['maximum']}"
    ),
    "NotOurs": lambda v: f"a callback about something that {v['initiator']} began",
    "CallbackNotArmed": lambda v: f"{v['caller']} called back unasked ({v['selector']})",
    "CallbackMissing": lambda v: f"{v['callee']} never called back",
    "TokenCallFailed": lambda v: f"{v['selector']} of token {v['token']} failed",
    "NativePaymentFailed": lambda v: f"{v['to']} did not take {v['amount']} wei",
    "AllowanceLeft": lambda v: f"{v['spender']} still may take {v['amount']} of {v['token']}",
    # ---------------------------------------------------------------------- bounds, profit
    "TooManyBounds": lambda v: f"{v['count']} bounds are too many",
    "UnknownBound": lambda v: f"the executor knows no bound of kind {v['kind']}",
    "BoundUnfit": lambda v: (
        f"a bound of kind {v['kind']} does not fit {v['token']}: untracked, or of another class"
    ),
    "OutflowAboveBound": lambda v: f"{v['outflow']} of {v['token']} left, the plan allows {v['bound']}",
    "InflowBelowBound": lambda v: f"{v['inflow']} of {v['token']} came in, the plan demands {v['bound']}",
    "DebtIncreaseAboveBound": lambda v: (
        f"debt {v['token']} grew by {v['increase']}, the plan allows {v['bound']}"
    ),
    "ProfitBelowMinimum": lambda v: (
        f"profit {v['profit']} is below minimum and fee together, {v['minimum']}, in {v['token']}"
    ),
    "HealthFactorFell": lambda v: (
        f"in REDUCE_ONLY, health factor {v['source']} fell from {_e18(v['before'])}"
        f" to {_e18(v['afterwards'])}"
    ),
    # ----------------------------------------------------------------------- the risk book
    "FeedNotLive": lambda v: f"feed {v['feed']} of {v['token']} has no live answer, so none of it may leave",
    "CapExceeded": lambda v: f"{v['amount']} of {v['token']} would leave, its cap has room for {v['room']}",
    "LossAboveExecution": lambda v: f"a loss of {_usd(v['loss'])}, one execution may lose {_usd(v['limit'])}",
    "LossAboveWindow": lambda v: f"a loss of {_usd(v['loss'])}, the window has room for {_usd(v['room'])}",
    "AmountTooLarge": lambda v: f"{v['amount']} of {v['token']} is more than a cap can count",
    "HealthUnreadable": lambda v: f"{v['source']} tells no health factor",
    # ------------------------------------------------------------------- the plan's checks
    "UnknownCheck": lambda v: f"check {v['check']} is of kind {v['kind']}, which nobody knows",
    "SourceSilent": lambda v: f"check {v['check']}: {v['source']} does not answer {v['selector']}",
    "FeedInvalid": lambda v: f"check {v['check']}: feed {v['feed']} answers {v['answer']}",
    "FeedStale": lambda v: (
        f"check {v['check']}: feed {v['feed']} is of {v['updatedAt']}, older than {v['maxAgeS']} s"
        " or of the future"
    ),
    "FeedOutOfRange": lambda v: (
        f"check {v['check']}: feed {v['feed']} answers {v['answer']}, outside {v['lowest']}..{v['highest']}"
    ),
    "PricesDisagree": lambda v: (
        f"check {v['check']}: prices {_e18(v['first'])} and {_e18(v['second'])} differ by more than"
        f" {v['maxBps']} bps"
    ),
    "SequencerDown": lambda v: f"check {v['check']}: the sequencer is down, says {v['feed']}",
    "SequencerJustUp": lambda v: (
        f"check {v['check']}: the sequencer is up since {v['startedAt']}, less than {v['graceS']} s"
    ),
    "TicksDisagree": lambda v: (
        f"check {v['check']}: pool {v['pool']} stands at tick {v['spot']}, its mean is {v['mean']}:"
        f" further than {v['maxTicks']}"
    ),
    "WindowEmpty": lambda v: f"check {v['check']}: a mean of {v['pool']} over no time",
    "TokenNotInPool": lambda v: f"check {v['check']}: {v['token']} is not a token of pool {v['pool']}",
    "PriceOutOfRange": lambda v: (
        f"check {v['check']}: tick {v['tick']} of pool {v['pool']} has no usable price"
    ),
    "HealthBelowFloor": lambda v: (
        f"check {v['check']}: health factor {_e18(v['health'])} at {v['source']} is under {_e18(v['floor'])}"
    ),
    "BalanceBelowFloor": lambda v: (
        f"check {v['check']}: {v['balance']} of {v['token']} are left, at least {v['floor']} were to be"
    ),
    "BalanceAboveCeiling": lambda v: (
        f"check {v['check']}: {v['balance']} of {v['token']} are there, at most {v['ceiling']} were to be"
    ),
    # -------------------------------------------------------------------------- the policy
    "NotListed": lambda v: f"function {v['selector']} of {v['target']} is not on the allow-list",
    "NotReducing": lambda v: f"{v['selector']} of {v['target']} is not allowed in REDUCE_ONLY",
    "NativeAboveMaximum": lambda v: f"{v['value']} wei go with the call, its entry allows {v['maximum']}",
    "LenderRefused": lambda v: f"{v['lender']} is not listed as a lender of kind {v['kind']}",
    "FactoryRefused": lambda v: f"{v['factory']} is not listed as a factory of kind {v['kind']}",
    "TokenUntracked": lambda v: f"token {v['token']} is not tracked for this executor",
    "AllowanceRefused": lambda v: f"no allowance of {v['token']} may be given",
    "SpenderRefused": lambda v: f"{v['spender']} may not spend for this call, {v['expected']} may",
    "NoPool": lambda v: f"there is no pool at {v['pool']}, where its factory would put it",
    "WordRefused": lambda v: (
        f"argument word {v['word']} is {v['value']}, its rule is"
        f" {_RULES.get(int(v['rule']), v['rule'])} {v['operand']}"
    ),
    "SpliceRefused": lambda v: f"argument word {v['word']} may not be a measured amount",
}


def _as_it_is(values: Mapping[str, str]) -> str:
    reason = values.get("reason", "0x")
    return "" if reason == "0x" else f" with {reason}"


def _e18(text: str) -> str:
    """A number of 18 decimals, cut to four."""
    whole, part = divmod(int(text), _WEI)
    return f"{whole}.{part * 10_000 // _WEI:04}" if whole < 10**30 else "without limit"


def _usd(text: str) -> str:
    whole, part = divmod(int(text), _USD_E8)
    return f"{whole}.{part * 100 // _USD_E8:02} USD"
