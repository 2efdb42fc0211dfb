"""Feeds of what comes before a block, in the configuration."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from seawall.chain.endpoints import Endpoint
from seawall.primitives.errors import ConfigError
from seawall.runtime.configuration.pending import FEEDS_MAX, PendingKind, PendingSettings, read_pending
from seawall.runtime.configuration.tables import Table

POOL = {"name": "pool", "kind": "pool", "url": "ws://node.example/secretkey"}


def read(*feeds: Mapping[str, object]) -> tuple[PendingSettings, ...]:
    table = Table({"pending": list(feeds)}, "chains[0]", ("pending",))
    return read_pending(table, lambda text, _where, schemes: Endpoint.parse(text, schemes=schemes))


def test_feeds_have_a_name_a_kind_and_an_address() -> None:
    hints = {"name": "flow", "kind": "mev_share", "url": "https://flow.example/"}
    first, second = read(POOL, hints)
    assert (first.name, first.kind, first.endpoint.label) == (
        "pool",
        PendingKind.POOL,
        "ws://node.example:80",
    )
    assert (second.name, second.kind) == ("flow", PendingKind.MEV_SHARE)
    assert read() == ()


@pytest.mark.parametrize(
    ("feeds", "key"),
    [
        ([POOL, POOL], "chains[0].pending[1].name"),
        ([POOL | {"kind": "gossip"}], "chains[0].pending[0].kind"),
        ([POOL | {"port": 1}], "chains[0].pending[0].port"),
        ([{"name": "pool", "kind": "pool"}], "chains[0].pending[0].url"),
        ([POOL | {"name": f"pool-{number}"} for number in range(FEEDS_MAX + 1)], "chains[0].pending"),
    ],
)
def test_what_is_wrong_is_refused_with_its_key(feeds: list[Mapping[str, object]], key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(*feeds)
    assert caught.value.where == key
    assert "secretkey" not in str(caught.value)


def test_address_of_another_scheme_is_refused() -> None:
    with pytest.raises(ConfigError, match="ws or wss"):
        read(POOL | {"url": "https://node.example/secretkey"})
