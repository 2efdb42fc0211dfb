"""Which tokens a plan may touch, and how much of all that we have may lie in one of them or at one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from seawall.native import encode_call
from seawall.primitives.blocks import Read
from seawall.primitives.errors import ProtocolError
from seawall.primitives.simulations import Probe
from seawall.primitives.units import BPS, NATIVE, Address, address_text, ceil_div
from seawall.primitives.verdicts import Measurement
from seawall.protocols.answers import Answers, integer_answer
from seawall.risk.evidence import Evidence, below
from seawall.risk.guards.base import measured, probes_of
from seawall.risk.guards.profit import balance_read
from seawall.risk.limits import ChainFacts, ExposureLimit
from seawall.risk.prices import value_probes, valued
from seawall.risk.volatility import scaled_down

__all__ = ["Exposure", "TokenList"]


@dataclass(frozen=True, slots=True)
class TokenList:
    """Tokens of the plan, and tokens that move or are approved at our addresses, against both lists.

    The native token is on every list of the allowed: fees are paid in it."""

    allowed: frozenset[Address] | None  # None: every token that is not denied
    denied: frozenset[Address] = frozenset()
    name: str = "token_list"

    def probes(self) -> tuple[Probe, ...]:
        return ()

    def measure(self, evidence: Evidence) -> Measurement:
        simulation, holders = evidence.simulation, evidence.holders
        touched = {
            flow.token for flow in simulation.flows if flow.sender in holders or flow.receiver in holders
        }
        touched |= {one.token for one in simulation.allowances if one.owner in holders}
        touched.update(evidence.candidate.plan.tokens)
        wrong = sorted(token for token in touched if not self._admits(token))
        if not wrong:
            return below(self.name, evidence, 0, 0, "tokens", "tokens outside of the lists:")
        why = "denied" if wrong[0] in self.denied else "not on the list of the allowed"
        what = f"{address_text(wrong[0])} is {why}; tokens outside of the lists:"
        return below(self.name, evidence, len(wrong), 0, "tokens", what)

    def _admits(self, token: Address) -> bool:
        if token in self.denied:
            return False
        return self.allowed is None or token in self.allowed or token == NATIVE


@dataclass(frozen=True, slots=True)
class Exposure:
    """The share of one group of tokens and places in all that we have, after the plan.

    A plan that leaves the share no larger than it found it passes. All we have is what our addresses hold of
    tokens that have a price, with what lies at lending places, less what is owed. What cannot be valued is
    left out of it, which makes every share larger; in the group itself it refuses."""

    limit: ExposureLimit
    facts: ChainFacts
    holders: tuple[Address, ...]
    name: str = "exposure"

    def probes(self) -> tuple[Probe, ...]:
        return (*value_probes(self.facts), *self.before())

    def before(self) -> tuple[Probe, ...]:
        reads = [balance_read(token, holder) for token in self._tokens for holder in self.holders]
        reads += [
            read for place in self.facts.lending for holder in self.holders for read in place.reads(holder)
        ]
        if self.facts.multicall is not None:
            reads += [_native_read(self.facts.multicall, holder) for holder in self.holders]
        return probes_of(reads)

    def scaled(self, share_bps: int) -> Exposure:
        cap_bps = scaled_down(self.limit.share_bps_max, share_bps)
        return Exposure(replace(self.limit, share_bps_max=cap_bps), self.facts, self.holders)

    def measure(self, evidence: Evidence) -> Measurement:
        cap_bps = self.limit.share_bps_max

        def judge() -> Measurement:
            simulation = evidence.simulation
            share_bps = self._share_bps(evidence, simulation.probes)
            what = f"the share of {self.limit.name!r} in all that we have, of"
            if share_bps <= cap_bps:
                return below(self.name, evidence, share_bps, cap_bps, "bps", what)
            try:
                allowed_bps = max(cap_bps, self._share_bps(evidence, simulation.probes_before))
            except ProtocolError:  # what it was cannot be told: then only the limit counts
                allowed_bps = cap_bps
            return below(self.name, evidence, share_bps, allowed_bps, "bps", what)

        return measured(self.name, evidence, cap_bps, "bps", judge)

    @property
    def _tokens(self) -> tuple[Address, ...]:
        places = {place.address for place in self.facts.lending}
        named = [feed.token for feed in self.facts.prices]
        named += [share.token for share in self.facts.shares]
        named += [*self.limit.members, *self.facts.receipts, *self.facts.debts]
        return tuple(dict.fromkeys(token for token in named if token != NATIVE and token not in places))

    def _share_bps(self, evidence: Evidence, answers: Answers) -> int:
        """Rounded up. `ProtocolError` where it cannot be told."""
        inside, total = 0, 0
        for token, place, amount in self._holdings(answers):
            if amount == 0:
                continue
            is_member = token in self.limit.members or place in self.limit.members
            is_debt = amount < 0
            value = valued(evidence, self.facts, token, abs(amount), up=is_debt)
            if value is None:
                if is_member or is_debt:
                    raise ProtocolError("there is no fresh price", address_text(token), "add its feed")
                continue
            total += -value if is_debt else value
            if is_member and not is_debt:
                inside += valued(evidence, self.facts, token, amount, up=True) or 0
        if total <= 0:
            raise ProtocolError("all that we have is worth nothing", "our addresses", "fund them")
        return ceil_div(inside * BPS, total)

    def _holdings(self, answers: Answers) -> list[tuple[Address, Address | None, int]]:
        """(token, the place that keeps it, signed amount)."""
        found: list[tuple[Address, Address | None, int]] = []
        for token in self._tokens:
            for holder in self.holders:
                amount = integer_answer(answers, balance_read(token, holder).label, "uint256")
                found.append((token, None, -amount if token in self.facts.debts else amount))
        for place in self.facts.lending:
            for holder in self.holders:
                holdings: Mapping[Address, int] = place.holdings(answers, answers, holder)
                found += [(token, place.address, amount) for token, amount in holdings.items()]
        if self.facts.multicall is not None:
            for holder in self.holders:
                label = _native_read(self.facts.multicall, holder).label
                found.append((NATIVE, None, integer_answer(answers, label, "uint256")))
        elif NATIVE in self.limit.members:
            raise ProtocolError("native balances cannot be read", "multicall", "configure the chain's")
        return found


def _native_read(multicall: Address, holder: Address) -> Read:
    call = encode_call("getEthBalance(address)", (holder,))
    return Read(f"native:{holder.hex()}", multicall, call)
