"""Logs that a kernel keeps, in the configuration."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from seawall.chain.addresses import AddressBook
from seawall.native import event_topic
from seawall.primitives.errors import ConfigError
from seawall.primitives.units import address_from_text
from seawall.runtime.configuration.logs import SOURCES_MAX, KeptLogs, read_logs_kept
from seawall.runtime.configuration.tables import Table

TOKEN = "0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2"
TRANSFER = "Transfer(address,address,uint256)"
KEPT = {"name": "weth", "addresses": [TOKEN], "events": [TRANSFER], "first_block": 7}


def read(*sources: Mapping[str, object]) -> tuple[KeptLogs, ...]:
    return read_logs_kept(Table({"logs": list(sources)}, "chains[0]", ("logs",)), AddressBook(1))


def test_source_has_addresses_events_and_a_first_block() -> None:
    first, second = read(KEPT, {"name": "all", "addresses": [TOKEN], "first_block": 0, "workers": 9})
    assert first.wanted.addresses == (address_from_text(TOKEN),)
    assert first.wanted.topics == ((event_topic(TRANSFER),),)
    assert (first.first_block, first.workers) == (7, 4)
    assert (second.wanted.topics, second.workers) == ((), 9)


@pytest.mark.parametrize(
    ("sources", "key"),
    [
        ([KEPT, KEPT], "chains[0].logs[1].name"),
        ([KEPT | {"addresses": []}], "chains[0].logs[0].addresses"),
        ([KEPT | {"addresses": ["@nobody"]}], "chains[0].logs[0].addresses[0]"),
        ([KEPT | {"events": ["Transfer"]}], "chains[0].logs[0].events[0]"),
        ([KEPT | {"first_block": -1}], "chains[0].logs[0].first_block"),
        ([KEPT | {"workers": 0}], "chains[0].logs[0].workers"),
        ([KEPT | {"name": f"s{number}"} for number in range(SOURCES_MAX + 1)], "chains[0].logs"),
    ],
)
def test_what_is_wrong_is_refused_with_its_key(sources: list[Mapping[str, object]], key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(*sources)
    assert caught.value.where == key
