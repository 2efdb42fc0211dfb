"""A running kernel looks at its address book from time to time: what differs is told once, and shown."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

from seawall.chain.addresses import AddressBook, AddressEntry, AddressKind
from seawall.chain.client import ChainClient
from seawall.chain.networks import network_of
from seawall.chain.proxies import BEACON_SLOT, IMPLEMENTATION_SLOTS
from seawall.chain.state import StateAt, StateKeys
from seawall.ledger import Ledger, LedgerSettings
from seawall.ledger.migrate import create
from seawall.native import keccak256
from seawall.primitives.blocks import Block, Read
from seawall.primitives.errors import UnavailableError
from seawall.primitives.ports import SystemEntropy
from seawall.primitives.units import Address
from seawall.runtime.drift import (
    WATCH_FIRST_S,
    WATCH_INTERVAL_S,
    WATCH_PAUSE_S,
    DriftKind,
    DriftWatch,
    recorded,
    survey,
)
from seawall.telemetry.metrics import MetricLabels, Metrics
from tests.builders.messages import block

DESK = Address(b"\x11" * 20)
BEHIND = Address(b"\x22" * 20)
OTHER = Address(b"\x33" * 20)
BEACON = Address(b"\x44" * 20)
CODE, LOGIC = b"\x60\x01", b"\x60\x02"
SLOT = IMPLEMENTATION_SLOTS[0]
EVENTS_MAX = 10


@dataclass(slots=True)
class Chain:
    """Codes and slots that a test moves; everything else is empty."""

    codes: dict[Address, bytes] = field(default_factory=lambda: {DESK: CODE, BEHIND: LOGIC, OTHER: LOGIC})
    slots: dict[tuple[Address, bytes], Address] = field(default_factory=dict)
    answers: dict[Address, bytes] = field(default_factory=dict)
    faults: int = 0
    network = network_of(1, {})

    async def head(self) -> Block:
        if self.faults:
            self.faults -= 1
            raise UnavailableError("nobody answers", "chain 1", "wait")
        return block(7)

    async def fetch_state(self, keys: StateKeys, _: Block) -> StateAt:
        slots = [(a, slot, bytes(12) + self.slots.get((a, slot), bytes(20))) for a, slot in keys.slots]
        return StateAt((), tuple(slots), tuple((a, self.codes.get(a, b"")) for a in keys.codes))

    async def call_at(self, reads: Sequence[Read], _: Block) -> dict[str, bytes | None]:
        return {read.label: self.answers.get(read.target) for read in reads}

    def client(self) -> ChainClient:
        return cast(ChainClient, self)


WAIT_S = 60.0


class Clock:
    """Stands still until the test lets the sleeper go on."""

    def __init__(self) -> None:
        self.sleeps_s: list[float] = []
        self.next = asyncio.Event()

    def now_s(self) -> int:
        return 1_800_000_000

    def monotonic_s(self) -> float:
        return 0.0

    async def sleep_s(self, duration_s: float) -> None:
        self.sleeps_s.append(duration_s)
        self.next.clear()
        await self.next.wait()

    async def until_asleep(self, times: int) -> None:
        async with asyncio.timeout(WAIT_S):
            while len(self.sleeps_s) < times:  # noqa: ASYNC110  (a look goes through the ledger's thread)
                await asyncio.sleep(0.001)


def book_of(**fields: object) -> AddressBook:
    entry = AddressEntry(1, "desk", DESK, AddressKind.AUTHORITY, "test", keccak256(CODE))
    for name, value in fields.items():
        object.__setattr__(entry, name, value)
    return AddressBook(1, [entry])


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    create(url)
    opened = Ledger.open(LedgerSettings(url), clock=Clock(), entropy=SystemEntropy())
    yield opened
    await opened.close()


async def kinds_of(chain: Chain, book: AddressBook) -> list[DriftKind]:
    return [drift.kind for drift in (await survey(chain.client(), book, block(7))).drifts]


async def test_implementation_of_a_proxy_drifts_by_its_slot_and_by_its_code() -> None:
    chain, book = Chain(slots={(DESK, SLOT): BEHIND}), book_of()
    first = await survey(chain.client(), book, block(7))
    assert (first.is_clean, first.unrecorded) == (True, ("desk",))
    own = recorded(book, first)
    assert (own["desk"].implementation, own["desk"].implementation_hash) == (BEHIND, keccak256(LOGIC))
    assert await kinds_of(chain, own) == []
    chain.codes[BEHIND] = CODE
    assert await kinds_of(chain, own) == [DriftKind.IMPLEMENTATION_CODE]
    chain.slots[DESK, SLOT] = OTHER
    assert await kinds_of(chain, own) == [DriftKind.IMPLEMENTATION]
    del chain.slots[DESK, SLOT]
    assert await kinds_of(chain, own) == [DriftKind.IMPLEMENTATION]
    del chain.codes[DESK]
    assert await kinds_of(chain, own) == [DriftKind.NO_CODE]


async def test_proxy_behind_a_beacon_drifts_when_the_beacon_names_another() -> None:
    chain = Chain(slots={(DESK, BEACON_SLOT): BEACON}, answers={BEACON: bytes(12) + BEHIND})
    own = recorded(book_of(), await survey(chain.client(), book_of(), block(7)))
    assert own["desk"].implementation == BEHIND
    chain.answers[BEACON] = bytes(12) + OTHER
    assert await kinds_of(chain, own) == [DriftKind.IMPLEMENTATION]


async def test_only_what_is_named_or_unknown_is_adopted() -> None:
    chain, book = Chain(), book_of(code_hash=keccak256(b"old"))
    found = await survey(chain.client(), book, block(7))
    assert [drift.kind for drift in found.drifts] == [DriftKind.CODE]
    assert recorded(book, found)["desk"].code_hash == keccak256(b"old")
    assert recorded(book, found, ("desk",))["desk"].code_hash == keccak256(CODE)


async def test_kernel_tells_of_new_drift_once_and_shows_it_until_it_is_gone(ledger: Ledger) -> None:
    chain, clock = Chain(), Clock()
    metrics = Metrics(MetricLabels(chains={1: "ethereum"}), clock=clock)
    watch = DriftWatch(chain.client(), book_of(), ledger, clock, metrics)
    await watch.look()
    assert (watch.check().passed, watch.check().finding) == (True, "as recorded")
    chain.codes[DESK] = LOGIC
    await watch.look()
    await watch.look()
    events = await ledger.read(lambda tx: tx.events.after(0, EVENTS_MAX))
    assert [(one.kind, one.chain_id, one.subject) for one in events] == [("addresses.drift", 1, "desk")]
    assert not watch.check().passed
    assert not watch.check().is_needed
    assert "desk" in watch.check().finding
    assert b'seawall_address_drifts{chain="ethereum"} 1.0' in metrics.render()
    chain.codes[DESK] = CODE
    await watch.look()
    assert watch.check().passed
    assert b'seawall_address_drifts{chain="ethereum"} 0.0' in metrics.render()


async def test_kernel_looks_after_a_while_and_sooner_again_where_nobody_answers(ledger: Ledger) -> None:
    chain, clock = Chain(faults=1), Clock()
    metrics = Metrics(MetricLabels(chains={1: "ethereum"}), clock=clock)
    watch = DriftWatch(chain.client(), book_of(), ledger, clock, metrics)
    task = asyncio.create_task(watch.run())
    for looks in range(1, 3):
        await clock.until_asleep(looks)
        clock.next.set()
    await clock.until_asleep(3)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert clock.sleeps_s == [WATCH_FIRST_S, WATCH_PAUSE_S, WATCH_INTERVAL_S]
