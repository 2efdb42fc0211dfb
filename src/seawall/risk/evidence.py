"""What guards are given: the candidate, what simulation found, and whose addresses are ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from seawall.primitives.frozen import made_quickly
from seawall.primitives.plans import ExecutorBody
from seawall.primitives.simulations import Simulation
from seawall.primitives.units import NATIVE, Address, Hash
from seawall.primitives.verdicts import Candidate, Measurement
from seawall.risk.limits import OurAddresses, RiskLimits
from seawall.risk.numbered import takes_out
from seawall.risk.spending import Spent

__all__ = ["Evidence", "above", "actors_of", "below", "cannot_measure", "holders_of"]

_FINDINGS_MAX: Final = 1_024


@made_quickly
@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything a guard may judge by. All of it is of one block hash, or it is refused."""

    candidate: Candidate
    simulation: Simulation
    ours: OurAddresses
    limits: RiskLimits
    now_s: int
    spent: tuple[Spent, ...] | None = None  # of the lane's budgets, at `now_s`; None: nobody counts
    owed_wei: int = 0  # by the key, for what is before it on the overlay, which was not charged there
    # What most guards ask for, so found once. Our addresses, the plan's executor and payee included:
    holders: frozenset[Address] = field(init=False, compare=False, repr=False)
    takes_out: bool = field(init=False, compare=False, repr=False)  # of a numbered position
    _outflows: Mapping[Address, int] = field(init=False, compare=False, repr=False)
    _spends: Mapping[Address, int] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        holders, forgets = holders_of(self.candidate, self.ours), takes_out(self.candidate.plan)
        known = object.__setattr__
        known(self, "holders", holders)
        known(self, "takes_out", forgets)
        # By token and who else had a hand in it, what left us less what came; by token, what came less what
        # left. What a plan takes out of a numbered position may be all that comes: it counts as nothing.
        left: dict[tuple[Address, Address], int] = {}
        net: dict[Address, int] = {}
        for flow in self.simulation.flows:
            token, sender, receiver, amount = flow.token, flow.sender, flow.receiver, flow.amount
            if sender in holders:
                if receiver not in holders:
                    left[token, receiver] = left.get((token, receiver), 0) + amount
                    net[token] = net.get(token, 0) - amount
            elif receiver in holders and not forgets:
                left[token, sender] = left.get((token, sender), 0) - amount
                net[token] = net.get(token, 0) + amount
        approved = self._approved() if self.simulation.allowances else ()
        known(self, "_outflows", MappingProxyType(_outflows_of(left, approved)))
        known(self, "_spends", MappingProxyType(_spends_of(net, approved, self.candidate)))

    @property
    def payee(self) -> Address:
        """Who profits: the executor's beneficiary, or the key itself for a direct plan."""
        return _payee_of(self.candidate)

    def is_native_like(self, token: Address) -> bool:
        """Native and wrapped native count 1:1."""
        return token == NATIVE or (self.ours.wrapped_native is not None and token == self.ours.wrapped_native)

    def inflow(self) -> int | None:
        """Net inflow before fees in the accounting token: to the beneficiary of an executor plan, to our
        addresses of a direct plan. None where the accounting token cannot be compared with the fee."""
        native_like = (NATIVE, self.ours.wrapped_native)
        if self.candidate.plan.accounting_token not in native_like:
            return None
        who = (self.payee,) if self.candidate.plan.is_executor_plan else self.holders
        net = 0
        for flow in self.simulation.flows:
            if flow.token in native_like:
                net += flow.amount * ((flow.receiver in who) - (flow.sender in who))
        return net

    def outflows(self) -> Mapping[Address, int]:
        """Per token, what left our addresses and did not come back from the same counterparty, and what is
        left approved for others to take.

        A flash loan that is repaid is no outflow; what was paid into a pool is, whatever came out in another
        token. Nothing comes back where the plan takes out of a numbered position: it may be just that."""
        return self._outflows

    def spends(self) -> Mapping[Address, int]:
        """The most that this candidate may take from us: of each token what our addresses together have less
        of, with what is left approved to others; of the native one at least the value that its key sends, and
        the maximum fee besides."""
        return self._spends

    def moved(self, token: Address) -> int:
        """Signed change over all our addresses; where the plan takes out of a numbered position, only what
        leaves them."""
        if not self.takes_out:
            return self.simulation.net(self.holders, token)
        left = (f for f in self.simulation.flows if f.token == token and f.sender in self.holders)
        return -sum(f.amount for f in left if f.receiver not in self.holders)

    def _approved(self) -> tuple[tuple[Address, int], ...]:
        """Of our tokens, what is left for others to take."""
        ours, left = self.holders, self.allowances_left().items()
        return tuple([(t, amount) for (t, owner, by), amount in left if owner in ours and by not in ours])

    def allowances_left(self) -> dict[tuple[Address, Address, Address], int]:
        """By (token, owner, spender): the last allowance that was set is what is left."""
        if not self.simulation.allowances:
            return {}
        return {(a.token, a.owner, a.spender): a.amount for a in self.simulation.allowances}


def _outflows_of(
    left: Mapping[tuple[Address, Address], int], approved: Iterable[tuple[Address, int]]
) -> dict[Address, int]:
    totals: dict[Address, int] = {}
    for (token, _), amount in left.items():
        if amount > 0:
            totals[token] = totals.get(token, 0) + amount
    for token, amount in approved:
        if amount > 0:
            totals[token] = totals.get(token, 0) + amount
    return totals


def _spends_of(
    net: Mapping[Address, int], approved: Iterable[tuple[Address, int]], candidate: Candidate
) -> dict[Address, int]:
    native_wei = max(candidate.payload.value_wei, -net.get(NATIVE, 0))
    totals = {NATIVE: native_wei + candidate.max_total_fee_wei}
    for token, change in net.items():
        if change < 0 and token != NATIVE:
            totals[token] = -change
    for token, amount in approved:
        if amount > 0:
            totals[token] = totals.get(token, 0) + amount
    return totals


def holders_of(candidate: Candidate, ours: OurAddresses) -> frozenset[Address]:
    """Our addresses, the plan's executor and payee included; a guard holds that those are truly ours."""
    holders, named = ours.holders, actors_of(candidate)
    for one in named:
        if one not in holders:
            return holders.union(named)
    return holders


def actors_of(candidate: Candidate) -> tuple[Address, ...]:
    """Whose hands a plan moves: its key's, its executor's; and who is paid."""
    key, body = candidate.lane.key, candidate.plan.body
    return (key, body.beneficiary, body.executor) if isinstance(body, ExecutorBody) else (key,)


def below(guard: str, evidence: Evidence, measured: int, limit: int, unit: str, what: str) -> Measurement:
    """A finding that must not exceed `limit`."""
    return _below(guard, evidence.simulation.base_hash, measured, limit, unit, what)


# Of candidates on one base most findings are the same, word for word.
@lru_cache(_FINDINGS_MAX)
def _below(guard: str, base_hash: Hash, measured: int, limit: int, unit: str, what: str) -> Measurement:
    passed = measured <= limit
    reason = f"{what} {measured} {unit} is {'within' if passed else 'above'} the limit of {limit} {unit}"
    return Measurement(guard, measured, limit, limit - measured, unit, passed, base_hash, reason)


def above(guard: str, evidence: Evidence, measured: int, limit: int, unit: str, what: str) -> Measurement:
    """A finding that must not fall short of `limit`."""
    passed = measured >= limit
    reason = f"{what} {measured} {unit} is {'at least' if passed else 'under'} the required {limit} {unit}"
    return Measurement(
        guard, measured, limit, measured - limit, unit, passed, evidence.simulation.base_hash, reason
    )


def cannot_measure(guard: str, evidence: Evidence, limit: int, unit: str, why: str) -> Measurement:
    """A guard that cannot measure refuses."""
    return Measurement(
        guard, None, limit, None, unit, False, evidence.simulation.base_hash, f"cannot measure: {why}"
    )


def _payee_of(candidate: Candidate) -> Address:
    body = candidate.plan.body
    return body.beneficiary if isinstance(body, ExecutorBody) else candidate.lane.key
