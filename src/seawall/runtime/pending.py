"""Feeds of what comes before a block, opened for a kernel as configured (`runtime.pending_sections`).

Each runs as a task of its own for as long as the kernel does; one that is away is a finding of health, and
nothing else: no plan depends on it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from seawall.chain.pending import Heard, Listener, PendingSource
from seawall.chain.pending_hints import HintStream
from seawall.chain.pending_pool import LookUps, PoolTransactions
from seawall.chain.pending_sequencer import SequencerFeed
from seawall.primitives.ports import Clock
from seawall.runtime.configuration.pending import PendingKind, PendingSettings
from seawall.runtime.feeds import Feed
from seawall.runtime.http import Check

__all__ = ["checks_of", "open_pending", "teller"]


def open_pending(
    settings: Sequence[PendingSettings], chain_id: int, look_ups: LookUps, tell: Listener, clock: Clock
) -> list[PendingSource]:
    """The sources, not running yet."""
    return [_source(one, chain_id, look_ups, tell, clock) for one in settings]


def teller(feeds: Iterable[Feed], chain_id: int) -> Listener:
    """Tells the feeds of strategies on this chain."""
    listeners = [feed for feed in feeds if feed.desk.parts.network.chain_id == chain_id]

    def tell(heard: Heard) -> None:
        for feed in listeners:
            feed.on_sighting(heard)

    return tell


def checks_of(sources: Iterable[PendingSource]) -> list[Check]:
    """How they stand; none of them is needed."""
    checks = []
    for source in sources:
        standing = source.standing
        finding = standing.trouble or "it was not connected yet"
        if standing.is_connected:
            finding = f"{standing.heard} heard, {standing.dropped} dropped, {standing.gaps} gaps"
        checks.append(Check(f"pending:{source.name}", standing.is_connected, finding, is_needed=False))
    return checks


def _source(
    settings: PendingSettings, chain_id: int, look_ups: LookUps, tell: Listener, clock: Clock
) -> PendingSource:
    name, url = settings.name, settings.endpoint.url
    if settings.kind is PendingKind.POOL:
        return PoolTransactions(name, url, chain_id, look_ups, tell, clock)
    if settings.kind is PendingKind.MEV_SHARE:
        return HintStream(name, url, chain_id, tell, clock)
    return SequencerFeed(name, url, chain_id, tell, clock)
