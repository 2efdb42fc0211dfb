"""What is seen before a block holds it: transactions in pools, hints of private ones, a sequencer's order.

Nothing of it is proved. A sighting may be invented, replaced, never land, or land elsewhere; it has no block,
so it can decide when and where a strategy looks, and never what a verdict rests on.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from seawall.primitives.units import Address, Hash

__all__ = ["SightedLog", "Sighting", "SightingFilter", "SightingKind"]


class SightingKind(StrEnum):
    POOL = "pool"  # a transaction in a node's public pool
    HINT = "hint"  # what a private order flow shows of a transaction or bundle
    ORDERED = "ordered"  # a transaction in the order that a sequencer has decided


@dataclass(frozen=True, slots=True)
class SightedLog:
    """A log that a hint says will be written; what it hides is empty."""

    address: Address
    topics: tuple[Hash, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class Sighting:
    """One transaction before its block. What the source does not show is None, or empty."""

    chain_id: int
    kind: SightingKind
    source: str  # the feed's name in the configuration
    age_ms: int  # from when it was heard to when it was observed [ms]
    hash: Hash  # of the transaction; of a hint, as the source names it
    place: int = 0  # in a bundle, or in a message of the sequencer
    sequence: int | None = None  # of the sequencer's message
    sender: Address | None = None
    target: Address | None = None  # None too where a contract is made
    calldata: bytes = b""  # all of it, or what a hint shows: perhaps the selector alone
    value_wei: int | None = None
    nonce: int | None = None
    gas_limit: int | None = None
    max_fee_per_gas_wei: int | None = None
    max_priority_fee_per_gas_wei: int | None = None
    logs: tuple[SightedLog, ...] = ()


@dataclass(frozen=True, slots=True)
class SightingFilter:
    """Sightings wanted: of any of the sources, to any of the targets, with any of the selectors (each empty:
    any). A log of a target in a hint counts as being to it."""

    sources: tuple[str, ...] = ()
    targets: tuple[Address, ...] = ()
    selectors: tuple[bytes, ...] = ()

    def admits(self, sighting: Sighting) -> bool:
        if self.sources and sighting.source not in self.sources:
            return False
        if self.targets and sighting.target not in self.targets:
            touched = {log.address for log in sighting.logs}
            if touched.isdisjoint(self.targets):
                return False
        return not self.selectors or any(sighting.calldata.startswith(one) for one in self.selectors)
