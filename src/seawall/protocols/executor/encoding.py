"""Bytes of an execution: the packed operation stream, and the calldata of `AtomicExecutor.execute`.

    execute((uint256 intentId, bytes32 planDigest, uint256 deadline, uint256 maxFeeWei, uint256 minProfit,
             address accountingToken, uint256 maxGasPriceWei),
            (uint8 kind, address token, uint256 amount)[] bounds, bytes checks, bytes operations)

The header is typed ABI with every field at a fixed place, so that a candidate patches intent id, digest and
fee into a plan that was encoded long before. `checks` is packed by `checks`. `operations` is packed,
big-endian, without padding:

    stream     := version(1) = 1, operation*
    operation  := kind(1), measures(1) = n, n * token(20), body
    amount     := tag(1): 0..32 = that many bytes of integer follow; 0x80 | i = measurement number i
    CALL                 0x01  target(20) value:amount length(2) data splices
    CALL_WITH_ALLOWANCE  0x02  target(20) value:amount token(20) spender(20) allowance:amount
                               length(2) data splices
    FLASH                0x03  lender_kind(1) lender(20) n(1) n * (token(20) amount:amount max_fee:amount)
                               length(3) operation*
    SWAP_V2              0x04  factory(20) token_in(20) token_out(20) in:amount min_out:amount
                               length(3) operation*
    SWAP_V3              0x05  fee(3) factory(20) token_in(20) token_out(20) in:amount min_out:amount
                               sqrt_price_limit:amount length(3) operation*
    SWAP_QUOTED          0x06  factory_kind(1) stable(1) factory(20) token_in(20) token_out(20) in:amount
                               min_out:amount length(3) operation*
    REPAY_DEBT           0x10  target(20) token(20) spender(20) allowance:amount debt_kind(1) debt(20)
                               [market(32), of Morpho] maximum:amount word(1) length(2) data
    splices    := n(1), n * (word(1), measurement(1))

Measurements are numbered from zero in the order in which their operations *end*. Every other kind is refused
by the contract; new kinds are additions, the version changes only if an existing one changes its meaning.

Pure: nothing is read from a chain, and whether the policy admits the operations is the registry's business.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, assert_never

from seawall.primitives.bounds import UINT256_MAX
from seawall.primitives.errors import PlanError
from seawall.primitives.plans import ExecutorBody, Plan, TokenBound
from seawall.primitives.units import NATIVE, ZERO_ADDRESS, Address
from seawall.protocols.executor.operations import (
    Amount,
    Call,
    CallWithAllowance,
    DebtKind,
    Flash,
    Loan,
    Measure,
    Measured,
    Operation,
    RepayDebt,
    Splice,
    SwapQuoted,
    SwapV2,
    SwapV3,
)
from seawall.protocols.executor.policy import FactoryKind, LenderKind

__all__ = [
    "BOUND_KINDS",
    "EXECUTE_SELECTOR",
    "EXECUTE_SIGNATURE",
    "MEASUREMENTS_MAX",
    "NESTING_MAX",
    "STREAM_VERSION",
    "Execution",
    "encode_operations",
    "execution_calldata",
    "execution_of",
]

EXECUTE_SIGNATURE: Final = (
    "execute((uint256,bytes32,uint256,uint256,uint256,address,uint256),(uint8,address,uint256)[],bytes,bytes)"
)
EXECUTE_SELECTOR: Final = bytes.fromhex("72bb4891")
STREAM_VERSION: Final = 1
BOUND_KINDS: Final = {"outflow": 1, "inflow": 2, "debt_increase": 3}

# Bounds of the contract: frames of armed callbacks, registers, bounds, head words.
NESTING_MAX: Final = 8
MEASUREMENTS_MAX: Final = 64
BOUNDS_MAX: Final = 32
HEAD_WORDS_MAX: Final = 32

# Lenders that lend more than one token at once, and how many.
_LOANS_MAX: Final = {LenderKind.BALANCER_V2: 127, LenderKind.AAVE_V3_MULTI: 127, LenderKind.UNISWAP_V3: 2}
_KIND_CALL: Final = 0x01
_KIND_CALL_WITH_ALLOWANCE: Final = 0x02
_KIND_FLASH: Final = 0x03
_KIND_SWAP_V2: Final = 0x04
_KIND_SWAP_V3: Final = 0x05
_KIND_SWAP_QUOTED: Final = 0x06
_KIND_REPAY_DEBT: Final = 0x10
_QUOTING_KINDS: Final = (FactoryKind.SOLIDLY, FactoryKind.CAMELOT)
_MARKET_BYTES: Final = 32
_MEASURED_TAG: Final = 0x80
_SELECTOR_BYTES: Final = 4
_WORD_BYTES: Final = 32
_HEADER_WORDS: Final = 7
# Header, then the offsets of `bounds`, `checks` and `operations`.
_HEAD_BYTES: Final = (_HEADER_WORDS + 3) * _WORD_BYTES


@dataclass(frozen=True, slots=True)
class Execution:
    """One call of `execute`, all but what only its candidate knows."""

    operations: bytes
    bounds: tuple[TokenBound, ...]
    deadline_s: int  # UTC
    min_profit: int  # over the maximum fee [smallest unit of accounting_token]
    accounting_token: Address  # WETH or NATIVE; the zero address for a position plan
    checks: bytes = b""  # what must hold at the end besides, packed

    def __post_init__(self) -> None:
        if len(self.bounds) > BOUNDS_MAX:
            raise _refused(f"{len(self.bounds)} bounds are more than {BOUNDS_MAX}", "bounds")
        for bound in self.bounds:
            if bound.kind not in BOUND_KINDS:
                raise _refused(f"unknown bound kind {bound.kind!r}", "bounds")

    def calldata(
        self, *, intent_id: int, plan_digest: bytes, max_fee_wei: int, max_gas_price_wei: int = UINT256_MAX
    ) -> bytes:
        """The whole calldata. By default the transaction's own fee fields are what bounds the gas price."""
        if len(plan_digest) != _WORD_BYTES:
            raise _refused(f"a plan digest of {len(plan_digest)} bytes", "header")
        header = (
            _word(intent_id, "intent id"),
            plan_digest,
            _word(self.deadline_s, "deadline"),
            _word(max_fee_wei, "maximum fee"),
            _word(self.min_profit, "minimum profit"),
            _address_word(self.accounting_token, "accounting token"),
            _word(max_gas_price_wei, "maximum gas price"),
        )
        return EXECUTE_SELECTOR + b"".join(header) + self._tail()

    def _tail(self) -> bytes:
        bounds = b"".join(
            _word(BOUND_KINDS[b.kind], "bound kind")
            + _address_word(b.token, "bound")
            + _word(b.amount, "bound")
            for b in self.bounds
        )
        checks = _padded(self.checks)
        checks_at = _HEAD_BYTES + _WORD_BYTES + len(bounds)
        return b"".join(
            (
                _word(_HEAD_BYTES, "offset"),
                _word(checks_at, "offset"),
                _word(checks_at + len(checks), "offset"),
                _word(len(self.bounds), "length"),
                bounds,
                checks,
                _padded(self.operations),
            )
        )


def execution_of(plan: Plan, body: ExecutorBody) -> Execution:
    """The execution that an executor plan asks for."""
    token = ZERO_ADDRESS if body.position else plan.accounting_token
    return Execution(body.operations, body.bounds, plan.deadline_s, body.min_profit_wei, token, body.checks)


def execution_calldata(
    plan: Plan, body: ExecutorBody, *, intent_id: int, plan_digest: bytes, max_total_fee_wei: int
) -> bytes:
    """Calldata of a candidate of `plan`: the plan's own content with the candidate's id and fee ceiling."""
    return execution_of(plan, body).calldata(
        intent_id=intent_id, plan_digest=plan_digest, max_fee_wei=max_total_fee_wei
    )


def encode_operations(operations: Sequence[Operation]) -> bytes:
    """The packed stream. Raises `PlanError` for what the contract could never accept."""
    return bytes([STREAM_VERSION]) + _Encoder().sequence(operations, depth=0)


class _Encoder:
    """Numbers measurements while it packs."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def sequence(self, operations: Sequence[Operation], depth: int) -> bytes:
        return b"".join(self._operation(operation, depth) for operation in operations)

    def _operation(self, operation: Operation, depth: int) -> bytes:
        match operation:
            case Call():
                kind, body = _KIND_CALL, self._call(operation)
            case CallWithAllowance():
                kind, body = _KIND_CALL_WITH_ALLOWANCE, self._call(operation)
            case Flash():
                kind, body = _KIND_FLASH, self._flash(operation, depth)
            case SwapV2():
                kind = _KIND_SWAP_V2
                body = self._swap(operation) + self._nested(operation.operations, depth)
            case SwapV3():
                kind, body = _KIND_SWAP_V3, self._swap_v3(operation, depth)
            case SwapQuoted():
                kind, body = _KIND_SWAP_QUOTED, self._swap_quoted(operation, depth)
            case RepayDebt():
                kind, body = _KIND_REPAY_DEBT, self._repay_debt(operation)
            case _:
                assert_never(operation)
        tokens = b"".join(_address(measure.token, "measured token") for measure in operation.measure)
        self._number(operation.measure)
        return _bytes(kind, 1, "kind") + _bytes(len(operation.measure), 1, "measures") + tokens + body

    def _call(self, operation: Call | CallWithAllowance) -> bytes:
        if len(operation.data) < _SELECTOR_BYTES:
            raise _refused(f"calldata of {len(operation.data)} bytes has no selector", "call")
        head = _address(operation.target, "target") + self._amount(operation.value_wei)
        if isinstance(operation, CallWithAllowance):
            spender = operation.target if operation.spender == ZERO_ADDRESS else operation.spender
            head += _address(operation.token, "token") + _address(spender, "spender")
            head += self._amount(operation.allowance)
        data = _bytes(len(operation.data), 2, "calldata length") + operation.data
        return head + data + self._splices(operation.splices, len(operation.data))

    def _splices(self, splices: tuple[Splice, ...], data_length: int) -> bytes:
        packed = _bytes(len(splices), 1, "splices")
        words = (data_length - _SELECTOR_BYTES) // _WORD_BYTES
        for splice in splices:
            if not 0 <= splice.word < min(words, HEAD_WORDS_MAX):
                raise _refused(f"splice into word {splice.word} of {words}", "call")
            packed += bytes((splice.word, self._number_of(splice.source)))
        return packed

    def _flash(self, operation: Flash, depth: int) -> bytes:
        tokens = [loan.token for loan in operation.loans]
        if not tokens or tokens != sorted(set(tokens)):
            raise _refused("loans must be of distinct tokens, in order of address", "flash loan")
        lender_kind = operation.lender_kind
        most = _LOANS_MAX.get(lender_kind, 1)
        if len(tokens) > most:
            raise _refused(
                f"{lender_kind.name} lends {most} token(s) at once, not {len(tokens)}", "flash loan"
            )
        packed = bytes([lender_kind]) + _address(operation.lender, "lender")
        packed += _bytes(len(tokens), 1, "loans") + b"".join(map(self._loan, operation.loans))
        return packed + self._nested(operation.operations, depth)

    def _loan(self, loan: Loan) -> bytes:
        return _address(loan.token, "loan") + self._amount(loan.amount) + self._amount(loan.max_fee)

    def _swap_v3(self, operation: SwapV3, depth: int) -> bytes:
        limit = operation.sqrt_price_limit_x96
        if not 0 <= limit < 2**160:
            raise _refused(f"price limit {limit} does not fit 160 bits", "swap")
        packed = _bytes(operation.fee_ppm, 3, "fee") + self._swap(operation) + self._amount(limit)
        return packed + self._nested(operation.operations, depth)

    def _swap_quoted(self, operation: SwapQuoted, depth: int) -> bytes:
        if operation.kind not in _QUOTING_KINDS:
            raise _refused(f"pairs of kind {operation.kind.name} do not quote themselves", "swap")
        if operation.stable and operation.kind is not FactoryKind.SOLIDLY:
            raise _refused(f"{operation.kind.name} has one pair for two tokens, stable or not", "swap")
        packed = bytes((operation.kind, operation.stable)) + self._swap(operation)
        return packed + self._nested(operation.operations, depth)

    def _repay_debt(self, operation: RepayDebt) -> bytes:
        shares = operation.kind is DebtKind.MORPHO_SHARES
        if len(operation.market) != (_MARKET_BYTES if shares else 0):
            raise _refused(f"a market id of {len(operation.market)} bytes for {operation.kind.name}", "repay")
        if shares and operation.allowance is None:
            raise _refused("shares say nothing of tokens: the allowance must be given", "repay")
        words = (len(operation.data) - _SELECTOR_BYTES) // _WORD_BYTES
        if not 0 <= operation.word < min(words, HEAD_WORDS_MAX):
            raise _refused(f"the amount goes into word {operation.word} of {words}", "repay")
        spender = operation.target if operation.spender == ZERO_ADDRESS else operation.spender
        allowance = operation.maximum if operation.allowance is None else operation.allowance
        return b"".join(
            (
                _address(operation.target, "target"),
                _address(operation.token, "token"),
                _address(spender, "spender"),
                self._amount(allowance),
                bytes([operation.kind]),
                _address(operation.debt, "debt"),
                operation.market,
                self._amount(operation.maximum),
                bytes([operation.word]),
                _bytes(len(operation.data), 2, "calldata length"),
                operation.data,
            )
        )

    def _swap(self, operation: SwapV2 | SwapV3 | SwapQuoted) -> bytes:
        if operation.token_in == operation.token_out:
            raise _refused("a swap of a token for itself", "swap")
        if NATIVE in (operation.token_in, operation.token_out):
            raise _refused("pools do not trade the native token: wrap it", "swap")
        addresses = (operation.factory, operation.token_in, operation.token_out)
        packed = b"".join(_address(address, "swap") for address in addresses)
        return packed + self._amount(operation.amount_in) + self._amount(operation.min_out)

    def _nested(self, operations: Sequence[Operation], depth: int) -> bytes:
        if depth == NESTING_MAX:
            raise _refused(f"nested deeper than {NESTING_MAX}", "operations")
        packed = self.sequence(operations, depth + 1)
        return _bytes(len(packed), 3, "nested length") + packed

    def _amount(self, amount: Amount) -> bytes:
        if isinstance(amount, Measured):
            return bytes([_MEASURED_TAG | self._number_of(amount)])
        if not 0 <= amount <= UINT256_MAX:
            raise _refused(f"amount {amount} is outside 0..2^256-1", "amount")
        length = (amount.bit_length() + 7) // 8
        return bytes([length]) + amount.to_bytes(length, "big")

    def _number(self, measures: tuple[Measure, ...]) -> None:
        for measure in measures:
            if measure.name in self._numbers:
                raise _refused(f"measurement {measure.name!r} is taken twice", "operations")
            if len(self._numbers) == MEASUREMENTS_MAX:
                raise _refused(f"more than {MEASUREMENTS_MAX} measurements", "operations")
            self._numbers[measure.name] = len(self._numbers)

    def _number_of(self, measured: Measured) -> int:
        if measured.name not in self._numbers:
            raise _refused(f"measurement {measured.name!r} is used before it is taken", "operations")
        return self._numbers[measured.name]


def _padded(data: bytes) -> bytes:
    """ABI `bytes`: length, then content up to whole words."""
    return _word(len(data), "length") + data + bytes(-len(data) % _WORD_BYTES)


def _bytes(value: int, length: int, what: str) -> bytes:
    if not 0 <= value < 256**length:
        raise _refused(f"{what} {value} does not fit {length} byte(s)", "operations")
    return value.to_bytes(length, "big")


def _address(address: bytes, what: str) -> bytes:
    if len(address) != 20:
        raise _refused(f"{what} has {len(address)} bytes instead of 20", "operations")
    return address


def _address_word(address: bytes, what: str) -> bytes:
    return bytes(12) + _address(address, what)


def _word(value: int, what: str) -> bytes:
    if not 0 <= value <= UINT256_MAX:
        raise _refused(f"{what} {value} is outside 0..2^256-1", "execution")
    return value.to_bytes(_WORD_BYTES, "big")


def _refused(what: str, where: str) -> PlanError:
    return PlanError(what, f"executor plan, {where}", "correct the strategy that built it")
