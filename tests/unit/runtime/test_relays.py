"""A relay's identity: a key of its own, opened with the relay and wiped with it."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from seawall.chain.broadcast import SocketBroadcastPort
from seawall.chain.endpoints import Endpoint
from seawall.chain.relays.port import RoutedPort
from seawall.chain.relays.settings import Dialect, RelaySettings
from seawall.control.latch import Latch
from seawall.native.wire import Password
from seawall.primitives.errors import ConfigError, SignerError
from seawall.primitives.ports import SystemClock
from seawall.primitives.secrets import Secret, SecretPlace
from seawall.primitives.units import Address
from seawall.runtime.configuration.relays import RelayAccess
from seawall.runtime.relays import open_routed
from seawall.signers.local import THROWAWAY_COST, PasswordSource, create_keystore

URL = "http://127.0.0.1:9"


async def opened(folder: Path, access: RelayAccess, *signers: Address) -> None:
    latch, clock = Latch(folder / "latch"), SystemClock()
    async with AsyncExitStack() as stack:
        public = SocketBroadcastPort([URL], latch, clock=clock)
        stack.push_async_callback(public.close)
        routed = await open_routed(public, (access,), latch, clock, None, stack, signers)
        assert isinstance(routed, RoutedPort)


def relay(dialect: Dialect = Dialect.FLASHBOTS) -> RelaySettings:
    return RelaySettings("builder", dialect, (Endpoint.parse(URL),), is_bundle=True)


def keystore(folder: Path) -> tuple[Address, RelayAccess]:
    password = Password.generate()
    password.write_file(folder / "password")
    address = create_keystore(folder / "relay.json", password, THROWAWAY_COST)
    return address, RelayAccess(relay(), folder / "relay.json", PasswordSource(file=folder / "password"))


async def test_key_is_drawn_where_none_is_configured(tmp_path: Path) -> None:
    await opened(tmp_path, RelayAccess(relay()))


async def test_key_of_a_signer_is_nobodys_identity(tmp_path: Path) -> None:
    address, access = keystore(tmp_path)
    await opened(tmp_path, access)
    with pytest.raises(SignerError, match="is a signer's key"):
        await opened(tmp_path, access, address)


async def test_keystore_that_cannot_be_opened_names_its_relay(tmp_path: Path) -> None:
    _, access = keystore(tmp_path)
    (tmp_path / "relay.json").write_text("{}")
    with pytest.raises(SignerError, match="relay builder"):
        await opened(tmp_path, access)
    (tmp_path / "relay.json").unlink()
    with pytest.raises(SignerError, match="cannot be read"):
        await opened(tmp_path, access)


async def test_authorization_of_several_lines_is_refused_and_not_shown(tmp_path: Path) -> None:
    place = SecretPlace("chains[0].relays[0].authorization", lambda: Secret("first\r\nX-Evil: 1"))
    with pytest.raises(ConfigError, match="cannot stand in a header") as caught:
        await opened(tmp_path, RelayAccess(relay(Dialect.BLOXROUTE), authorization=place))
    assert "Evil" not in str(caught.value)
