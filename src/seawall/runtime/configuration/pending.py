"""The configuration of feeds of what comes before a block: `[[chains.pending]]`.

Each has a name, a kind and an address. The name is what sightings carry as their source, and what
strategies filter by.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from seawall.chain.endpoints import Endpoint
from seawall.primitives.errors import ConfigError
from seawall.runtime.configuration.tables import Table

__all__ = ["PendingKind", "PendingSettings", "read_pending"]

FEEDS_MAX: Final = 16
_KEYS: Final = ("name", "kind", "url")

Parse = Callable[[str, str, tuple[str, ...]], Endpoint]


class PendingKind(StrEnum):
    POOL = "pool"  # a node's public pool, over its WebSocket
    MEV_SHARE = "mev_share"  # a stream of hints, over HTTP
    ARBITRUM = "arbitrum"  # a sequencer's feed of Arbitrum's stack, over WebSocket


_SCHEMES: Final = {
    PendingKind.POOL: ("ws", "wss"),
    PendingKind.MEV_SHARE: ("http", "https"),
    PendingKind.ARBITRUM: ("ws", "wss"),
}


@dataclass(frozen=True, slots=True)
class PendingSettings:
    name: str
    kind: PendingKind
    endpoint: Endpoint


def read_pending(table: Table, parse: Parse) -> tuple[PendingSettings, ...]:
    """The feeds of one chain's table."""
    found: list[PendingSettings] = []
    for one in table.tables("pending", _KEYS):
        name, kind = one.name("name"), one.choice("kind", PendingKind)
        if any(name == other.name for other in found):
            raise ConfigError("this name is taken", one.key("name"), "give each feed a name of its own")
        found.append(PendingSettings(name, kind, parse(one.text("url"), one.key("url"), _SCHEMES[kind])))
    if len(found) > FEEDS_MAX:
        raise ConfigError(f"{len(found)} feeds", table.key("pending"), f"give at most {FEEDS_MAX}")
    return tuple(found)
