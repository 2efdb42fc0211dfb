"""The configuration of logs that a kernel keeps: `[[chains.logs]]`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from seawall.chain.addresses import AddressBook
from seawall.chain.logs.backfill import WORKERS, WORKERS_MAX
from seawall.native import event_topic
from seawall.primitives.blocks import LogFilter
from seawall.primitives.errors import ConfigError
from seawall.primitives.units import Hash
from seawall.runtime.configuration.names import address_of
from seawall.runtime.configuration.tables import Table

__all__ = ["KeptLogs", "read_logs_kept", "source_name"]

SOURCES_MAX: Final = 32
BLOCK_MAX: Final = 2**62
_KEYS: Final = ("name", "addresses", "events", "first_block", "workers")
_EVENT: Final = re.compile(r"[A-Za-z_]\w*\([\w\[\],()]*\)")


@dataclass(frozen=True, slots=True)
class KeptLogs:
    """Logs of any of the addresses, of any of the events, from the first block on."""

    name: str
    wanted: LogFilter
    first_block: int
    workers: int  # that ask beside each other while a long range is gathered


def source_name(chain_id: int, name: str) -> str:
    """Under which the ledger has them."""
    return f"{chain_id}:{name}"


def read_logs_kept(table: Table, book: AddressBook) -> tuple[KeptLogs, ...]:
    """What one chain's table says of them."""
    found: list[KeptLogs] = []
    for one in table.tables("logs", _KEYS):
        name = one.name("name")
        if any(name == other.name for other in found):
            raise ConfigError("this name is taken", one.key("name"), "give each its own")
        addresses = tuple(address_of(text, where, book) for text, where in one.texts("addresses", at_least=1))
        topics = tuple(_topic(text, where) for text, where in one.texts("events"))
        found.append(
            KeptLogs(
                name,
                LogFilter(addresses, (topics,) if topics else ()),
                one.integer("first_block", minimum=0, maximum=BLOCK_MAX),
                one.integer("workers", WORKERS, minimum=1, maximum=WORKERS_MAX),
            )
        )
    if len(found) > SOURCES_MAX:
        raise ConfigError(f"{len(found)} sources", table.key("logs"), f"give at most {SOURCES_MAX}")
    return tuple(found)


def _topic(text: str, where: str) -> Hash:
    if not _EVENT.fullmatch(text):
        raise ConfigError(
            f"{text[:60]!r} is not the signature of an event",
            where,
            'write its canonical form, such as "Transfer(address,address,uint256)"',
        )
    return Hash(event_topic(text))
