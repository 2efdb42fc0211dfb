"""Composing a plan step by step: every verb of the adapters, with what each step is expected to bring.

`Steps` turns actions into operations of the executor and keeps, beside them, the amounts that are expected:
a step's outcome may be the amount of a later step, measured on chain. What comes out of a trade is quoted
exactly at the block in hand, and demanded on chain less a stated tolerance: no step is without a minimum.

Strategy files and strategies in Python compose through this one piece, so that the same steps give the same
plan. Pure: snapshots are given.

Quotes are of the state before the plan. A pool that the plan itself has moved already has no quote any more:
there a minimum must be given.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

from typing_extensions import Unpack

from seawall.primitives.bounds import UINT256_MAX
from seawall.primitives.errors import PlanError
from seawall.primitives.plans import TokenBound, TokenDelta
from seawall.primitives.units import BPS, Address, mul_div_down, mul_div_up
from seawall.protocols.adapters.actions import (
    Action,
    AddLiquidity,
    Borrow,
    ClaimExit,
    ClaimRewards,
    Deposit,
    Redeem,
    RemoveLiquidity,
    Repay,
    RequestExit,
    Supply,
    Swap,
    TokenAmount,
    Withdraw,
)
from seawall.protocols.adapters.base import Exact, Quote
from seawall.protocols.adapters.erased import AnyAdapter, Snapshot
from seawall.protocols.executor.operations import (
    Amount,
    Call,
    CallWithAllowance,
    Flash,
    Loan,
    Measure,
    Measured,
    Operation,
)
from seawall.protocols.executor.policy import LenderKind

__all__ = ["ALL", "Held", "Outcome", "Steps", "Taken", "bounds_of"]

ALL = UINT256_MAX
"""As an amount of `repay` and `withdraw`: as much as there is."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a step brings: measured on chain under `name`, expected to be `expected` [smallest unit]."""

    name: str
    token: Address
    expected: int | None  # None: nobody can say before it happened


@dataclass(frozen=True, slots=True)
class Taken:
    """A step as it was taken, for people; `depth` counts the loans around it."""

    verb: str
    where: str
    takes: tuple[Exact, ...]
    gives: tuple[Exact, ...]
    least: tuple[Exact, ...]  # of what comes out, below which it reverts
    depth: int


Given = int | Outcome
"""An amount known now, or what an earlier step brings."""


class Held(TypedDict, total=False):
    """What a trade is held to, and what it is called."""

    least: Given | None  # None: the quote less the tolerance
    tolerance_bps: int | None  # None: that of all steps
    name: str  # empty: it is not measured


class Steps:
    """The steps of one plan. `snapshot_of` answers for the block in hand; `tolerance_bps` is how far below
    its quote a trade may come out where it says nothing else."""

    def __init__(
        self, account: Address, snapshot_of: Callable[[AnyAdapter], Snapshot], tolerance_bps: int = 50
    ) -> None:
        if not 0 <= tolerance_bps < BPS:
            raise PlanError(f"a tolerance of {tolerance_bps} bps", "steps", f"give 0 to {BPS - 1}")
        self.account = account
        self.taken: list[Taken] = []
        self._bounds: dict[tuple[Address, str], int] = {}
        self._held: dict[str, TokenBound] = {}  # by the name of what they hold
        self._snapshot_of = snapshot_of
        self._tolerance_bps = tolerance_bps
        self._operations: list[Operation] = []
        self._depth = 0
        self._moved: set[str] = set()

    @property
    def operations(self) -> tuple[Operation, ...]:
        return tuple(self._operations)

    @property
    def bounds(self) -> tuple[TokenBound, ...]:
        """What the plan must hold for its steps. A bound is on the whole plan: those of one token add up."""
        return tuple(
            TokenBound(token, kind, min(amount, UINT256_MAX))
            for (token, kind), amount in self._bounds.items()
        )

    # ------------------------------------------------------------------ trades

    def swap(
        self, at: AnyAdapter, token_in: Address, token_out: Address, amount: Given, **held: Unpack[Held]
    ) -> Outcome:
        """Exactly `amount` of `token_in`, for no less than `least`, or than the quote less the tolerance."""
        return self._trade(at, Swap, token_in, token_out, amount, **held)

    def deposit(
        self, at: AnyAdapter, token_in: Address, share: Address, amount: Given, **held: Unpack[Held]
    ) -> Outcome:
        """Asset in, share out."""
        return self._trade(at, Deposit, token_in, share, amount, **held)

    def redeem(
        self, at: AnyAdapter, share: Address, token_out: Address, amount: Given, **held: Unpack[Held]
    ) -> Outcome:
        """Share in, asset out at once."""
        return self._trade(at, Redeem, share, token_out, amount, **held)

    def add_liquidity(
        self,
        at: AnyAdapter,
        share: Address,
        amounts: Mapping[Address, Given],
        *,
        least: Given | None = None,
        minimums: Mapping[Address, Given] | None = None,
        tolerance_bps: int | None = None,
        name: str = "",
    ) -> Outcome:
        """Several tokens in, a share out: no less of it than `least` or than quoted; or, where `minimums` are
        given, no less of each token taken: an empty table stands for what is quoted. Both may be given."""
        tokens = tuple(amounts)
        quote = None
        if (least is None and minimums is None) or minimums == {}:
            known = [_known(_expected(amount), at.name) for amount in amounts.values()]
            quote = self._quote(at, AddLiquidity(tuple(map(TokenAmount, tokens, known)), share))
        minimum: Given = 0
        if minimums is None or least is not None:
            minimum = self._least(at, quote, share, least, tolerance_bps)
        held: tuple[TokenAmount, ...] = ()
        if quote is not None and minimums is not None:
            held = tuple(TokenAmount(one.token, self._less(one.amount, tolerance_bps)) for one in quote.takes)
        elif minimums is not None:
            held = _held(minimums, tokens, at.name)
        entries = tuple(TokenAmount(token, _amount(amount)) for token, amount in amounts.items())
        action = AddLiquidity(entries, share, _amount(minimum), _measures(name, share), held)
        return self._take(at, "add_liquidity", action, share, quote, minimum, name)

    def remove_liquidity(
        self,
        at: AnyAdapter,
        share: Address,
        tokens: Sequence[Address],
        amount: Given,
        *,
        position: int = 0,
        tolerance_bps: int | None = None,
        names: Sequence[str] = (),
    ) -> tuple[Outcome, ...]:
        """A share in (or part of a numbered position), several tokens out, each no less than its quote less
        tolerance, whether it is named in `tokens` or not."""
        known = _known(_expected(amount), at.name)
        quote = self._quote(at, RemoveLiquidity(share, known, position=position))
        least = self._least_of_each(at, quote, share, tokens, tolerance_bps)
        measures = tuple(Measure(name, token) for name, token in zip(names, tokens, strict=False))
        self._run(at, RemoveLiquidity(share, _amount(amount), least, measures, position))
        self._note("remove_liquidity", at.name, quote, [Exact(x.token, _number(x.amount)) for x in least])
        gained = {one.token: one.amount for one in quote.gives}
        return tuple(
            Outcome(names[place] if place < len(names) else "", token, gained.get(token, 0))
            for place, token in enumerate(tokens)
        )

    # ------------------------------------------------------------------ lending and queues

    def supply(self, at: AnyAdapter, token: Address, amount: Given) -> None:
        self._move(at, "supply", Supply(token, _amount(amount)), token, amount, is_ours=False)

    def withdraw(self, at: AnyAdapter, token: Address, amount: Given, *, name: str = "") -> Outcome:
        """`ALL` takes what there is."""
        action = Withdraw(token, _amount(amount), _measures(name, token))
        return self._move(at, "withdraw", action, token, amount, is_ours=True, name=name)

    def borrow(self, at: AnyAdapter, token: Address, amount: Given, *, name: str = "") -> Outcome:
        action = Borrow(token, _amount(amount), _measures(name, token))
        return self._move(at, "borrow", action, token, amount, is_ours=True, name=name)

    def repay(self, at: AnyAdapter, token: Address, maximum: Given) -> None:
        self._move(at, "repay", Repay(token, _amount(maximum)), token, maximum, is_ours=False)

    def request_exit(self, at: AnyAdapter, share: Address, amount: Given) -> None:
        self._move(at, "request_exit", RequestExit(share, _amount(amount)), share, amount, is_ours=False)

    def claim_exit(self, at: AnyAdapter, request: int, token: Address, *, name: str = "") -> Outcome:
        action = ClaimExit(request, token, _measures(name, token))
        return self._move(at, "claim_exit", action, token, None, is_ours=True, name=name)

    def claim_rewards(
        self, at: AnyAdapter, tokens: Sequence[Address], *, position: int = 0, names: Sequence[str] = ()
    ) -> tuple[Outcome, ...]:
        measures = tuple(Measure(name, token) for name, token in zip(names, tokens, strict=False))
        self._run(at, ClaimRewards(tuple(tokens), measures, position))
        self._note("claim_rewards", at.name, None, ())
        return tuple(Outcome(measure.name, measure.token, None) for measure in measures)

    # ------------------------------------------------------------------ loans and raw calls

    @contextlib.contextmanager
    def flash(
        self,
        lender: Address,
        loans: Mapping[Address, int],
        *,
        fee_max_bps: int = 0,
        kind: LenderKind = LenderKind.BALANCER_V2,
    ) -> Iterator[None]:
        """Steps within run with the loans in hand, before these are repaid with at most `fee_max_bps`."""
        outer, self._operations = self._operations, []
        takes = tuple(Exact(token, amount) for token, amount in sorted(loans.items()))
        self.taken.append(Taken("flash", lender.hex(), (), takes, (), self._depth))
        self._depth += 1
        try:
            yield
        finally:
            inner, self._operations = self._operations, outer
            self._depth -= 1
        entries = tuple(
            Loan(token, amount, mul_div_up(amount, fee_max_bps, BPS))
            for token, amount in sorted(loans.items())
        )
        self._operations.append(Flash(lender, entries, tuple(inner), lender_kind=kind))

    def call(self, operation: Call | CallWithAllowance, token: Address, *, where: str) -> Outcome:
        """A raw call, when there is no adapter. What its first measure gains is of `token`."""
        self._operations.append(operation)
        self._note("call", where, None, ())
        return Outcome(operation.measure[0].name if operation.measure else "", token, None)

    # ------------------------------------------------------------------ within

    def _trade(
        self,
        at: AnyAdapter,
        kind: type[Swap | Deposit | Redeem],
        given: Address,
        got: Address,
        amount: Given,
        *,
        least: Given | None = None,
        tolerance_bps: int | None = None,
        name: str = "",
    ) -> Outcome:
        expected = _expected(amount)
        quote = None
        if expected is not None and at.name not in self._moved:
            quote = self._quote(at, kind(given, got, expected))
        minimum = self._least(at, quote, got, least, tolerance_bps)
        made = kind(given, got, _amount(amount), _amount(minimum), _measures(name, got))
        if isinstance(amount, Outcome) and isinstance(minimum, int):
            self._traded_on(amount)
        return self._take(at, kind.__name__.lower(), made, got, quote, minimum, name)

    def _take(
        self,
        at: AnyAdapter,
        verb: str,
        action: Action,
        token_out: Address,
        quote: Quote | None,
        minimum: Given,
        name: str,
    ) -> Outcome:
        self._run(at, action)
        lower = _expected(minimum)
        self._note(verb, at.name, quote, () if lower is None else (Exact(token_out, lower),))
        expected = None if quote is None else _gained(quote.gives, token_out)
        return Outcome(name, token_out, expected)

    def _move(
        self,
        at: AnyAdapter,
        verb: str,
        action: Action,
        token: Address,
        amount: Given | None,
        *,
        is_ours: bool,
        name: str = "",
    ) -> Outcome:
        """What is neither bought nor sold: the amount is the outcome, unless it is `ALL`."""
        if amount == 0:
            raise PlanError("the amount is zero", f"{verb} at {at.name}", "leave the step out")
        self._run(at, action)
        expected = None if amount is None or amount == ALL else _expected(amount)
        moved = () if expected is None else (Exact(token, expected),)
        self._note(verb, at.name, Quote(() if is_ours else moved, moved if is_ours else ()), ())
        return Outcome(name, token, expected)

    def _run(self, at: AnyAdapter, action: Action) -> None:
        self._operations += at.build(action, self.account)
        named = {measure.token: measure.name for measure in action.measure}
        for bound in at.bounds(action, self.account):
            self._add(bound, bound.amount)
            if bound.token in named:
                self._held[named[bound.token]] = bound
        self._moved.add(at.name)

    def _add(self, bound: TokenBound, amount: int) -> None:
        key = (bound.token, bound.kind)
        self._bounds[key] = self._bounds.get(key, 0) + amount
        if not self._bounds[key]:
            del self._bounds[key]

    def _traded_on(self, outcome: Outcome) -> None:
        """All of it goes into a trade that has a minimum of its own: that holds it, and no bound on what is
        left of it in the end could."""
        bound = self._held.pop(outcome.name, None)
        if bound is not None:
            self._add(bound, -bound.amount)

    def _quote(self, at: AnyAdapter, action: Action) -> Quote:
        if at.name in self._moved:
            raise PlanError(
                "the plan itself moves this market before: there is no quote",
                at.name,
                "give the minimum of this step",
            )
        return self._snapshot_of(at).quote(action, self.account)

    def _least(
        self,
        at: AnyAdapter,
        quote: Quote | None,
        token: Address,
        least: Given | None,
        tolerance_bps: int | None,
    ) -> Given:
        if least is not None:
            if least == 0:
                raise PlanError(
                    "a minimum of zero takes any price", at.name, "give a minimum, or leave it out"
                )
            return least
        if quote is None:
            raise PlanError(
                "what comes out cannot be quoted here, so there is no minimum", at.name, "give the minimum"
            )
        minimum = self._less(_gained(quote.gives, token), tolerance_bps)
        if minimum == 0:
            raise PlanError("nothing would come out: the amount is dust", at.name, "trade more, or wait")
        return minimum

    def _least_of_each(
        self,
        at: AnyAdapter,
        quote: Quote,
        share: Address,
        tokens: Sequence[Address],
        tolerance_bps: int | None,
    ) -> tuple[TokenAmount, ...]:
        """What is removed may be of one token only, but not nothing."""
        holdable = quote.held or quote.gives
        every = dict.fromkeys((*tokens, *(one.token for one in holdable if one.token != share)))
        least = tuple(
            TokenAmount(token, self._less(_gained(holdable, token), tolerance_bps)) for token in every
        )
        if not any(one.amount for one in least):
            raise PlanError("nothing would come out: the amount is dust", at.name, "take more, or wait")
        return least

    def _less(self, amount: int, tolerance_bps: int | None) -> int:
        tolerance = self._tolerance_bps if tolerance_bps is None else tolerance_bps
        return mul_div_down(amount, BPS - tolerance, BPS)

    def _note(self, verb: str, where: str, quote: Quote | None, least: Sequence[Exact]) -> None:
        takes, gives = ((), ()) if quote is None else (quote.takes, quote.gives)
        self.taken.append(Taken(verb, where, takes, gives, tuple(least), self._depth))


def bounds_of(
    expected: Sequence[TokenDelta], ours: frozenset[Address], debts: frozenset[Address]
) -> tuple[TokenBound, ...]:
    """What is expected of our contract's own balances, as checks on chain: each change within its tolerance.

    A gain may fall short by it, a loss and a debt may exceed it by as much. Of a debt token a rise is a debt.
    """
    bounds = []
    for delta in expected:
        if delta.holder not in ours:
            continue
        if delta.token in debts:
            rise = mul_div_up(max(delta.change, 0), BPS + delta.tolerance_bps, BPS)
            bounds.append(TokenBound(delta.token, "debt_increase", rise))
        elif delta.change > 0:
            floor = mul_div_down(delta.change, BPS - delta.tolerance_bps, BPS)
            bounds.append(TokenBound(delta.token, "inflow", floor))
        else:
            ceiling = mul_div_up(-delta.change, BPS + delta.tolerance_bps, BPS)
            bounds.append(TokenBound(delta.token, "outflow", ceiling))
    return tuple(bounds)


def _gained(gives: Sequence[Exact], token: Address) -> int:
    return sum(one.amount for one in gives if one.token == token)


def _held(
    minimums: Mapping[Address, Given], tokens: Sequence[Address], where: str
) -> tuple[TokenAmount, ...]:
    """A minimum of each: one alone would hold the price in one direction only."""
    if any(token not in minimums for token in tokens):
        raise PlanError(
            "a token that is brought has no minimum", where, "give one of each, or hold what is quoted"
        )
    if any(amount == 0 for amount in minimums.values()):
        raise PlanError("a minimum of zero takes any price", where, "give a minimum, or hold what is quoted")
    return tuple(TokenAmount(token, _amount(amount)) for token, amount in minimums.items())


def _expected(amount: Given) -> int | None:
    return amount.expected if isinstance(amount, Outcome) else amount


def _known(expected: int | None, where: str) -> int:
    if expected is None:
        raise PlanError("an amount is known on chain only", where, "give the minimum of this step")
    return expected


def _amount(amount: Given) -> Amount:
    if not isinstance(amount, Outcome):
        return amount
    if not amount.name:
        raise PlanError("this outcome was not measured", "steps", "give the step a name")
    return Measured(amount.name)


def _number(amount: Amount) -> int:
    assert isinstance(amount, int), "minimums of quotes are known"
    return amount


def _measures(name: str, token: Address) -> tuple[Measure, ...]:
    return (Measure(name, token),) if name else ()
