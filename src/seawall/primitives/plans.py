"""A plan: what a strategy wants. Immutable, self-contained, digestible.

An *executor plan* carries operations for our on-chain executor, already packed by `protocols.executor`; a
*direct plan* is one call from the lane's key. Neither has a nonce, a fee or a signature: those belong to
later steps."""

from __future__ import annotations

from dataclasses import dataclass, field

from seawall.primitives.bounds import TIME_S_MAX
from seawall.primitives.errors import PlanError
from seawall.primitives.levels import Finality, Priority
from seawall.primitives.routes import Routing
from seawall.primitives.units import NATIVE, Address, address_text

__all__ = ["DirectBody", "ExecutorBody", "GuardSpec", "Plan", "TokenBound", "TokenDelta"]

_CALLDATA_BYTES_MAX = 128 * 1024
_CHECKS_BYTES_MAX = 4 * 1024
_GUARDS_MAX = 32
_TOKENS_MAX = 16


@dataclass(frozen=True, slots=True)
class GuardSpec:
    """A guard that a plan asks for, by name, with its arguments; `risk.guards` knows the names."""

    name: str
    arguments: tuple[tuple[str, int | bytes | str], ...] = ()


@dataclass(frozen=True, slots=True)
class TokenBound:
    """A one-sided on-chain check on one token over the whole execution."""

    token: Address
    kind: str  # "outflow" (<= amount), "inflow" (>= amount), "debt_increase" (<= amount)
    amount: int  # [smallest unit of token]


@dataclass(frozen=True, slots=True)
class TokenDelta:
    """An expected change of a holder's balance; `tolerance_bps` is how far below it may fall."""

    holder: Address
    token: Address
    change: int  # signed [smallest unit of token]
    tolerance_bps: int = 50


@dataclass(frozen=True, slots=True)
class DirectBody:
    """One call from the lane's key."""

    target: Address
    calldata: bytes
    value_wei: int = 0


@dataclass(frozen=True, slots=True)
class ExecutorBody:
    """One execution of our executor contract, without what only the candidate knows (intent id, maximum
    fee).

    A *position plan* leaves its result in the account instead of paying a profit out: its bounds, its checks
    and the account's risk book judge it. Only an account that holds positions admits one."""

    executor: Address
    beneficiary: Address
    operations: bytes  # packed, see protocols.executor
    bounds: tuple[TokenBound, ...]
    min_profit_wei: int  # inflow to beneficiary over the maximum fee [smallest unit of the accounting token]
    # Added later: left off in bytes and digests where they are not said, so that these stay what they were.
    checks: bytes = field(default=b"", metadata={"tail": True})  # packed, see protocols.executor.checks
    position: bool = field(default=False, metadata={"tail": True})


@dataclass(frozen=True, slots=True)
class Plan:
    """What a strategy wants.

    `key` is the address whose lane sends it. `deadline_s` is UTC seconds: past it the intent expires.
    `gas_limit` of None means: measured by simulation, with a margin. `note` tells a human why, in one line.
    `depends_on` names idempotency keys that must have reached `depends_finality` first. `retry_of` names the
    plan that failed and that this one tries again: intake bounds how often."""

    strategy: str
    chain_id: int
    key: Address
    body: DirectBody | ExecutorBody
    accounting_token: Address
    idempotency_key: str
    deadline_s: int
    guards: tuple[GuardSpec, ...] = ()
    expected: tuple[TokenDelta, ...] = ()
    priority: Priority = Priority.NORMAL
    depends_on: tuple[str, ...] = ()
    depends_finality: Finality = Finality.SAFE
    gas_limit: int | None = None
    note: str = ""
    retry_of: str = ""
    # Added later: left off in bytes and digests where it is not said, so that these stay what they were.
    routing: Routing | None = field(default=None, metadata={"tail": True})

    def __post_init__(self) -> None:
        problem = _problem_of(self)
        if problem is not None:
            raise PlanError(
                problem,
                f"plan {self.idempotency_key!r} of {self.strategy!r}",
                "correct the strategy that made it",
            )

    @property
    def target(self) -> Address:
        return self.body.target if isinstance(self.body, DirectBody) else self.body.executor

    @property
    def is_executor_plan(self) -> bool:
        return isinstance(self.body, ExecutorBody)

    @property
    def tokens(self) -> tuple[Address, ...]:
        """Every token that the plan names, in a stable order."""
        named = [self.accounting_token, *(d.token for d in self.expected)]
        if isinstance(self.body, ExecutorBody):
            named += [b.token for b in self.body.bounds]
        return tuple(dict.fromkeys(t for t in named if t != NATIVE))


def _problem_of(plan: Plan) -> str | None:
    addresses = [("key", plan.key), ("target", plan.target), ("accounting token", plan.accounting_token)]
    for name, address in addresses:
        if len(address) != 20:
            return f"{name} has {len(address)} bytes instead of 20"
    if not plan.strategy or not plan.idempotency_key:
        return "strategy and idempotency key must not be empty"
    if len(plan.idempotency_key) > 200:
        return "the idempotency key is longer than 200 characters"
    if not 0 < plan.chain_id < 2**63 or not 0 < plan.deadline_s <= TIME_S_MAX:
        return f"chain id must be in 1..2^63-1, and the deadline in 1..{TIME_S_MAX} UTC seconds"
    if plan.retry_of == plan.idempotency_key:
        return "a plan cannot be the retry of itself: give it a key of its own"
    if len(plan.guards) > _GUARDS_MAX:
        return f"more than {_GUARDS_MAX} guards"
    if plan.gas_limit is not None and not 21_000 <= plan.gas_limit < 2**63:
        return f"gas limit {plan.gas_limit} is outside 21,000..2^63-1"
    return _body_problem_of(plan.body)


def _body_problem_of(body: DirectBody | ExecutorBody) -> str | None:
    if isinstance(body, DirectBody):
        if not 0 <= body.value_wei < 2**256:
            return f"value {body.value_wei} is outside 0..2^256-1"
        if len(body.calldata) > _CALLDATA_BYTES_MAX:
            return f"calldata of {len(body.calldata)} bytes exceeds {_CALLDATA_BYTES_MAX}"
        return None
    if len(body.operations) > _CALLDATA_BYTES_MAX:
        return f"operations of {len(body.operations)} bytes exceed {_CALLDATA_BYTES_MAX}"
    if len(body.checks) > _CHECKS_BYTES_MAX:
        return f"checks of {len(body.checks)} bytes exceed {_CHECKS_BYTES_MAX}"
    if not 0 <= body.min_profit_wei < 2**128:
        return f"minimum profit {body.min_profit_wei} is outside 0..2^128-1"
    if body.position and body.min_profit_wei:
        return "a position plan pays no profit out: its minimum profit must be 0"
    if len(body.bounds) > _TOKENS_MAX:
        return f"more than {_TOKENS_MAX} bounds"
    for bound in body.bounds:
        if bound.kind not in ("outflow", "inflow", "debt_increase"):
            return f"unknown bound kind {bound.kind!r}"
        if not 0 <= bound.amount < 2**128:
            return f"bound {bound.kind} of {address_text(bound.token)} is outside 0..2^128-1"
    return None
