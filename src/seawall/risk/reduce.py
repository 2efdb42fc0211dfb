"""REDUCE_ONLY: whether a simulated result strictly lowers debt or exposure at bounded loss (SPEC CT-4).

Judged over all our addresses, with tokens classed in the address book as settlement, asset, receipt or debt:
(a) no debt token rises and no asset or receipt token rises; only settlement tokens may; (b) at least one
debt, asset or receipt token strictly falls; (c) no health factor of ours falls while debt remains, and where
none can be read no receipt token of an address with debt may fall; (d) no allowance is left wider; (e) the
value lost, by pinned oracle, stays under `reduce_loss_bps` of the value that moved. Positions at lending
places count like tokens: what is owed there is debt, and its repayment is a fall. So do stakes and queued
claims. What a numbered position gives pays for no loss. What cannot be measured is refused."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from seawall.native import encode_call
from seawall.primitives.errors import ProtocolError
from seawall.primitives.simulations import Probe
from seawall.primitives.units import BPS, Address, address_text, ceil_div
from seawall.primitives.verdicts import Measurement
from seawall.risk.claims import ClaimPlace
from seawall.risk.evidence import Evidence, above, actors_of, below, cannot_measure
from seawall.risk.lending import LendingPlace, Standing
from seawall.risk.limits import PriceFeed
from seawall.risk.prices import price_probe, value_of

__all__ = ["HealthReader", "ReduceRule", "TokenClass"]

_GUARD = "reduce_only"
# An index that a plan lets accrue may round otherwise than the view of it did before.
_ROUNDING_UNITS: Final = 1
_ROUNDING_WAD: Final = 10**9


class TokenClass(StrEnum):
    SETTLEMENT = "settlement"
    ASSET = "asset"
    RECEIPT = "receipt"
    DEBT = "debt"


@dataclass(frozen=True, slots=True)
class HealthReader:
    """How to read one of our addresses' health factor: a call that returns one uint256 (uint256 max: no
    debt)."""

    holder: Address
    target: Address
    calldata: bytes

    @property
    def label(self) -> str:
        return f"{_GUARD}:health:{self.target.hex()}:{self.holder.hex()}"


@dataclass(frozen=True, slots=True)
class _Stand:
    """One of our addresses at one lending place."""

    holder: Address
    before: Standing
    after: Standing


@dataclass(frozen=True, slots=True)
class ReduceRule:
    """Facts from the address book and configuration by which the rule measures."""

    classes: dict[Address, TokenClass]
    debt_tokens: tuple[Address, ...]
    health: tuple[HealthReader, ...]
    feeds: tuple[PriceFeed, ...]
    places: tuple[LendingPlace, ...] = ()  # whose positions count beside tokens
    claims: tuple[ClaimPlace, ...] = ()  # which do so too

    def probes(self, holders: frozenset[Address], actors: Collection[Address] = ()) -> tuple[Probe, ...]:
        """Asked for both before and after: health factors, prices, what debt each of our addresses has, and
        what the plan's own addresses (`actors`) have staked and queued, which nobody else can move."""
        probes = [Probe(h.label, h.target, h.calldata) for h in self.health]
        probes += [price_probe(feed) for feed in self.feeds]
        for token in self.debt_tokens:
            for holder in sorted(holders):
                probes.append(
                    Probe(_debt_label(token, holder), token, encode_call("balanceOf(address)", (holder,)))
                )
        probes += [
            Probe(read.label, read.target, read.calldata)
            for place in self.places
            for holder in sorted(holders)
            for read in place.reads(holder)
        ]
        probes += [
            Probe(read.label, read.target, read.calldata)
            for claim in self.claims
            for read in claim.reads(actors)
        ]
        unique = {probe.label: probe for probe in probes}
        return tuple(unique.values())

    def measure(self, evidence: Evidence) -> tuple[Measurement, ...]:
        """Every clause with its own finding, so that a refusal says which one failed."""
        try:
            changes, stands = self._changes(evidence), self._stands(evidence)
        except ProtocolError as error:
            why = f"{error.where}: {error.what}"
            return (cannot_measure(f"{_GUARD}.places", evidence, 0, "units", why),)
        unknown = [t for t, change in changes.items() if change != 0 and t not in self.classes]
        if unknown:
            why = f"token {address_text(unknown[0])} has no class in the address book"
            return (cannot_measure(f"{_GUARD}.class", evidence, 0, "units", why),)
        return (
            self._nothing_rises(evidence, changes, stands),
            self._something_falls(evidence, changes, stands),
            self._health_holds(evidence, changes, stands),
            self._no_allowance_wider(evidence),
            self._loss_bounded(evidence, changes),
        )

    def _changes(self, evidence: Evidence) -> dict[Address, int]:
        tokens = {flow.token for flow in evidence.simulation.flows} | set(self.debt_tokens)
        changes = {
            token: evidence.simulation.net(evidence.holders, token)
            for token in tokens
            if token not in self.debt_tokens
        }
        for token in self.debt_tokens:
            before, after = self._debt(evidence, token)
            if before is not None and after is not None:
                changes[token] = after - before
            else:
                changes[token] = evidence.simulation.net(evidence.holders, token)
        self._add_holdings(evidence, changes)
        return changes

    def _add_holdings(self, evidence: Evidence, changes: dict[Address, int]) -> None:
        """What lies at places that no token stands for, at the rates after."""
        late, early = evidence.simulation.probes, evidence.simulation.probes_before
        for place in self.places:
            for holder in sorted(evidence.holders):
                now, was = place.holdings(late, late, holder), place.holdings(early, late, holder)
                for token in now.keys() | was.keys():
                    moved = now.get(token, 0) - was.get(token, 0)
                    changes[token] = changes.get(token, 0) + moved
        for claim in self.claims:
            actors = actors_of(evidence.candidate)
            for token, moved in claim.moved(evidence.simulation, actors, evidence.holders).items():
                changes[token] = changes.get(token, 0) + moved

    def _stands(self, evidence: Evidence) -> list[_Stand]:
        """Every address of ours at every place, before and after."""
        # Both states are executed with the time of the block to come, and accrue to it.
        at_s = max(evidence.candidate.base.timestamp_s, evidence.now_s)
        return [
            _Stand(
                holder,
                place.standing(evidence.simulation.probes_before, holder, at_s),
                place.standing(evidence.simulation.probes, holder, at_s),
            )
            for place in self.places
            for holder in sorted(evidence.holders)
        ]

    def _debt(self, evidence: Evidence, token: Address) -> tuple[int | None, int | None]:
        before = after = 0
        for holder in evidence.holders:
            label = _debt_label(token, holder)
            one_before, one_after = (
                _word(evidence.simulation.probes_before.get(label)),
                _word(evidence.simulation.probes.get(label)),
            )
            if one_before is None or one_after is None:
                return None, None
            before, after = before + one_before, after + one_after
        return before, after

    def _nothing_rises(
        self, evidence: Evidence, changes: dict[Address, int], stands: Sequence[_Stand]
    ) -> Measurement:
        name = f"{_GUARD}.nothing_rises"
        for token in self.debt_tokens:
            if self._debt(evidence, token) == (None, None):
                return cannot_measure(
                    name, evidence, 0, "units", f"debt in {address_text(token)} could not be read"
                )
        risen = max(
            (c for t, c in changes.items() if self.classes.get(t) is not TokenClass.SETTLEMENT), default=0
        )
        rises = [stand.after.debt - stand.before.debt - _ROUNDING_UNITS for stand in stands]
        risen = max(risen, *rises, 0)
        return below(name, evidence, max(0, risen), 0, "units", "rise of a debt, asset or receipt token of")

    def _something_falls(
        self, evidence: Evidence, changes: dict[Address, int], stands: Sequence[_Stand]
    ) -> Measurement:
        fallen = max(
            (-c for t, c in changes.items() if self.classes.get(t) is not TokenClass.SETTLEMENT), default=0
        )
        falls = [stand.before.debt - stand.after.debt - _ROUNDING_UNITS for stand in stands]
        fallen = max(fallen, *falls, 0)
        return above(
            f"{_GUARD}.something_falls",
            evidence,
            max(0, fallen),
            1,
            "units",
            "fall of a debt, asset or receipt token of",
        )

    def _health_holds(
        self, evidence: Evidence, changes: dict[Address, int], stands: Sequence[_Stand]
    ) -> Measurement:
        name = f"{_GUARD}.health"
        worst = 0
        read: set[Address] = set()
        for reader in self.health:
            before = _word(evidence.simulation.probes_before.get(reader.label))
            after = _word(evidence.simulation.probes.get(reader.label))
            if before is None or after is None:
                continue
            read.add(reader.holder)
            worst = max(worst, before - after)
        for stand in stands:
            if stand.before.debt or stand.after.debt:
                read.add(stand.holder)
                fall = stand.before.health_factor_wad - stand.after.health_factor_wad
                worst = max(worst, fall - _ROUNDING_WAD)
        for holder in sorted(evidence.holders - read):
            if self._has_debt(evidence, holder) and self._receipt_falls(evidence, holder, changes):
                who = address_text(holder)
                why = f"{who} has debt and gives up a receipt token, and its health factor cannot be read"
                return cannot_measure(name, evidence, 0, "wad", why)
        return below(name, evidence, worst, 0, "wad", "fall of a health factor of ours of")

    def _has_debt(self, evidence: Evidence, holder: Address) -> bool:
        return any(
            _word(evidence.simulation.probes.get(_debt_label(t, holder))) != 0 for t in self.debt_tokens
        )

    def _receipt_falls(self, evidence: Evidence, holder: Address, changes: dict[Address, int]) -> bool:
        receipts = [t for t in changes if self.classes.get(t) is TokenClass.RECEIPT]
        return any(evidence.simulation.net(frozenset({holder}), t) < 0 for t in receipts)

    def _no_allowance_wider(self, evidence: Evidence) -> Measurement:
        # Anything left above zero is refused, since what stood before is not known to be as wide.
        left = {
            key: amount for key, amount in evidence.allowances_left().items() if key[1] in evidence.holders
        }
        widest = max(left.values(), default=0)
        return below(f"{_GUARD}.allowance", evidence, widest, 0, "units", "allowance left behind of")

    def _loss_bounded(self, evidence: Evidence, changes: dict[Address, int]) -> Measurement:
        name, limit = f"{_GUARD}.loss", evidence.limits.reduce_loss_bps
        priced = {feed.token: feed for feed in self.feeds}
        gained = lost = 0
        for token, moved in sorted(changes.items()):
            change = moved
            if token not in self.debt_tokens:
                change += evidence.moved(token) - evidence.simulation.net(evidence.holders, token)
            if change == 0:
                continue
            value = value_of(evidence, priced.get(token), abs(change))
            if value is None:
                return cannot_measure(
                    name, evidence, limit, "bps", f"no fresh pinned price for {address_text(token)}"
                )
            improves = change < 0 if self.classes[token] is TokenClass.DEBT else change > 0
            gained, lost = (gained + value, lost) if improves else (gained, lost + value)
        bps = ceil_div(max(0, lost - gained) * BPS, max(1, lost))
        return below(name, evidence, bps, limit, "bps", "value lost of")


def _debt_label(token: Address, holder: Address) -> str:
    return f"{_GUARD}:debt:{token.hex()}:{holder.hex()}"


def _word(raw: bytes | None) -> int | None:
    return int.from_bytes(raw[:32], "big") if raw is not None and len(raw) >= 32 else None
