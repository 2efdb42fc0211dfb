"""From a `Script` and a block to a plan, or to the reason why there is none.

Flow: conditions -> steps (`composing.Steps`) -> expected changes and their bounds -> guards -> plan. Nothing
is remembered here, and the same world gives the same plan.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from seawall.primitives.bounds import UINT256_MAX
from seawall.primitives.errors import MarketError, NativeError, PlanError, ProtocolError
from seawall.primitives.observations import Observation
from seawall.primitives.plans import DirectBody, GuardSpec, Plan, TokenBound, TokenDelta
from seawall.primitives.units import NATIVE, Address
from seawall.protocols.executor.checks import encode_checks
from seawall.protocols.executor.operations import Call, Operation
from seawall.strategies.composing import Outcome, Steps, Taken, bounds_of
from seawall.strategies.plans import PlanDesk, Terms, gas_price_guard
from seawall.strategies.scripts.problems import ExpressionError, Place, ScriptError
from seawall.strategies.scripts.script import AccountForm, Script
from seawall.strategies.scripts.steps import take_at
from seawall.strategies.scripts.terms import Frame, Term
from seawall.strategies.scripts.world import World

__all__ = ["Attempt", "attempt"]

# What prevents a plan at one block and may be otherwise at the next.
_PASSING = (ExpressionError, MarketError, NativeError, PlanError, ProtocolError, ScriptError)


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of looking at one block: a plan, or why not and where that is said."""

    plan: Plan | None
    reason: str = ""
    place: Place | None = None
    is_condition: bool = False  # a condition does not hold: nothing is wrong
    taken: tuple[Taken, ...] = ()
    values: Mapping[str, int] = field(default_factory=dict)


def attempt(script: Script, observation: Observation, world: World) -> Attempt:
    """Look at one block. What the file and the chain prevent is told, not raised."""
    frame = script.scope.frame(world)
    steps = Steps(script.account.address, lambda adapter: world.snapshot(adapter.name), script.tolerance_bps)
    place: Place | None = None
    try:
        for place, condition in script.conditions:
            if not condition.run(frame):
                return Attempt(None, "this does not hold", place, True, (), frame.known)
        place = None
        plan = _plan(script, observation, frame, steps)
    except _PASSING as error:
        if isinstance(error, ScriptError):
            place = error.problems[0].place
        where = f" (at {error.where})" if error.where and not isinstance(error, ScriptError) else ""
        return Attempt(None, f"{error.what}{where}", place, False, tuple(steps.taken), frame.known)
    return Attempt(plan, taken=tuple(steps.taken), values=frame.known)


def _plan(script: Script, observation: Observation, frame: Frame, steps: Steps) -> Plan:
    outcomes: dict[str, Outcome] = {}
    for step in script.steps:
        take_at(step, frame, steps, outcomes)
    account = script.account
    expected = tuple(
        TokenDelta(one.holder, one.token, one.change.run(frame), one.tolerance_bps.run(frame))
        for one in script.expectations
    )
    terms = Terms(
        accounting_token=script.accounting_token,
        ttl_s=script.ttl_s,
        guards=_guards(script, frame),
        expected=expected,
        priority=script.priority,
        gas_limit=script.gas_limit if script.keeper is None else script.keeper.gas_limit,
        note=script.note,
    )
    if account.form is AccountForm.KEY:
        if steps.bounds:
            raise PlanError(
                "this call takes no minimum, and nothing would hold it on chain",
                "steps",
                "run it through the executor or an account",
            )
        return PlanDesk(account.key).direct(observation, 0, _one_call(steps.operations), terms)
    desk = PlanDesk(account.key, account.address, account.beneficiary)
    bounds = _bounds(script, steps.bounds, expected)
    checks = encode_checks([check.make(frame) for check in script.checks])
    if account.form is AccountForm.ACCOUNT:
        return desk.through_account(observation, 0, steps.operations, terms, bounds=bounds, checks=checks)
    min_profit = 0 if script.min_profit is None else script.min_profit.run(frame)
    if min_profit <= 0:
        raise PlanError("a profit of nothing is asked for", "min_profit", "ask for more than nothing")
    return desk.through_executor(
        observation, 0, steps.operations, terms, min_profit_wei=min_profit, bounds=bounds, checks=checks
    )


def _bounds(
    script: Script, of_steps: tuple[TokenBound, ...], expected: tuple[TokenDelta, ...]
) -> tuple[TokenBound, ...]:
    """Of steps, and of what is expected of our contract: what it will pay out it has gained before."""
    account = script.account
    ours = {account.address}
    if account.form is AccountForm.EXECUTOR:
        ours.add(account.beneficiary)
    tokens = tuple(one for one in expected if one.token != NATIVE)
    return tuple(dict.fromkeys((*of_steps, *bounds_of(tokens, frozenset(ours), script.debts))))


def _guards(script: Script, frame: Frame) -> tuple[GuardSpec, ...]:
    def argument(value: Term | Address) -> int | bytes:
        if not isinstance(value, Term):
            return value
        number = value.run(frame)
        if not 0 <= number <= UINT256_MAX:
            raise PlanError(f"a guard's limit of {number}", "guards", "give what is not negative")
        return number

    specs = tuple(
        GuardSpec(guard.name, tuple((name, argument(value)) for name, value in guard.arguments))
        for guard in script.guards
    )
    if script.keeper is None:
        return specs
    return (
        *(spec for spec in specs if spec.name != "gas_price"),
        gas_price_guard(script.keeper.max_fee_per_gas_wei),
    )


def _one_call(operations: tuple[Operation, ...]) -> DirectBody:
    if len(operations) == 1:
        (one,) = operations
        if isinstance(one, Call) and not one.splices and isinstance(one.value_wei, int):
            return DirectBody(one.target, one.data, one.value_wei)
    raise PlanError(
        "a key sends one plain call",
        "steps",
        "do one thing without allowance, or run it through the executor",
    )
