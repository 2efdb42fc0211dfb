"""The view over chains where one lies, answers noise, or says nothing (CH-10). Others: tests/integration."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from seawall.chain.addresses import AddressBook, AddressEntry, AddressKind
from seawall.chain.client import ChainClient, StateCheck
from seawall.chain.networks import network_of
from seawall.chain.rpc import RpcPool
from seawall.primitives.errors import SeawallError
from seawall.primitives.units import NATIVE, Address
from seawall.risk.limits import SafePolicy
from seawall.runtime import overview
from seawall.runtime.configuration.loading import load_configuration
from seawall.runtime.configuration.settings import ChainSettings, SafeSettings
from seawall.runtime.overview import AHEAD_S_MAX, ChainView, HolderView, TokenFact, totals, view_chains
from tests.builders.chain_model import ChainModel
from tests.builders.pipeline import ETHER, ModelClock
from tests.unit.runtime.keys.test_changes_on_a_chain import GARBLED, OTHER, STUCK, TokenModel

OURS, SAFE = Address(b"\x77" * 20), Address(b"\x55" * 20)
HUGE = 2**255


async def viewed(
    model: ChainModel, folder: Path, monkeypatch: pytest.MonkeyPatch, *, ahead_s: int = 0
) -> ChainView:
    """The view of one chain, on which `OURS` is the executor and three tokens are known."""
    clock = ModelClock(model, ahead_s)

    @contextlib.asynccontextmanager
    async def reader(_: ChainSettings, __: ModelClock) -> AsyncIterator[ChainClient]:
        pool = RpcPool([model], chain_id=model.chain_id, clock=clock)
        yield ChainClient(pool, network_of(model.chain_id), verify_state=StateCheck.AGREEMENT)
        await pool.close()

    monkeypatch.setattr(overview, "chain_reader", reader)
    (folder / "seawall.toml").write_text('[[chains]]\nchain_id = 31337\nrpc = ["http://127.0.0.1:1"]\n')
    configuration = load_configuration(folder / "seawall.toml", {})
    entries = [
        AddressEntry(31337, name, at, AddressKind.TOKEN, "here", bytes(32), decimals=decimals)
        for name, at, decimals in (("bad", GARBLED, 6), ("good", STUCK, 18), ("plain", OTHER, None))
    ]
    chain = replace(configuration.chains[0], book=AddressBook(31337, entries), executor=OURS)
    safe = SafeSettings(SafePolicy("vault", 31337, SAFE), "main")
    (view,) = await view_chains(replace(configuration, chains=(chain,), safes=(safe,)), {}, {}, clock)
    return view


async def test_a_token_that_answers_noise_is_not_known_and_hides_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = TokenModel()
    model.fund(OURS, 3 * ETHER)
    model.fund(SAFE, ETHER)
    model.answers = {GARBLED: b"\x01" * 31, STUCK: HUGE.to_bytes(32, "big"), OTHER: bytes(31) + b"\x09"}
    view = await viewed(model, tmp_path, monkeypatch)
    holder, safe = view.holders
    assert view.stale is None
    assert (safe.name, safe.is_key, safe.balances[NATIVE]) == ("vault", False, ETHER)
    assert dict(holder.balances) == {NATIVE: 3 * ETHER, GARBLED: None, STUCK: HUGE, OTHER: 9}
    sums = {one.symbol: (one.amount, one.left_out) for one in totals([view])}
    assert sums["bad"] == (None, ("devnet",))
    assert sums["good"] == (2 * HUGE, ())
    assert sums["units of plain"] == (18, ())


@pytest.mark.parametrize(
    ("ahead_s", "stale"),
    [
        (0, None),
        (-AHEAD_S_MAX, None),
        (-AHEAD_S_MAX - 1, "ahead of this machine's clock"),
        (3_600, "3600 s old"),
    ],
)
async def test_a_head_of_another_time_is_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead_s: int, stale: str | None
) -> None:
    view = await viewed(TokenModel(), tmp_path, monkeypatch, ahead_s=ahead_s)
    assert (view.stale is None) if stale is None else (stale in (view.stale or ""))


async def test_what_cannot_be_decoded_makes_its_chain_stale_and_not_the_whole_view_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def head(_: ChainClient) -> None:
        raise SeawallError("odd bytes", "devnet", "look at the endpoint")

    monkeypatch.setattr(ChainClient, "head", head)
    view = await viewed(TokenModel(), tmp_path, monkeypatch)
    assert view.stale is not None
    assert "odd bytes" in view.stale


def test_one_address_under_two_names_is_counted_once() -> None:
    holders = tuple(HolderView(name, OURS, None, {NATIVE: ETHER}, {}, None) for name in ("one", "two"))
    view = ChainView(1, "one", (TokenFact(NATIVE, "ETH", 18),), None, 0, None, holders)
    (total,) = totals([view])
    assert total.amount == ETHER
