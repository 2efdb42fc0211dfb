"""The order of one chain's loop, and what happens to a head that could not be handled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import cast

import pytest

from seawall.chain.heads import HeadChange, HeadFollower
from seawall.chain.networks import network_of
from seawall.chain.subscriptions import HeadWake
from seawall.primitives.blocks import Block
from seawall.primitives.errors import (
    ChainIdMismatchError,
    IntegrityAlarm,
    LedgerLockedError,
    SeawallError,
    UnavailableError,
)
from seawall.primitives.identifiers import Lane
from seawall.primitives.ports import SystemClock
from seawall.primitives.units import Address, Hash
from seawall.runtime import chain_loop
from seawall.runtime.chain_loop import ChainLoop, merged
from seawall.runtime.leases import LeaseKeeper
from seawall.telemetry.metrics import Metrics
from seawall.transactions.confirmation import Confirmer
from seawall.transactions.desk import Desk
from seawall.transactions.dispatch import Dispatcher
from seawall.transactions.routes import Routes
from seawall.transactions.writing import Outbox

CHAIN_ID = 31337


def block(number: int, branch: int = 0) -> Block:
    own, parent = (Hash(bytes([branch]) + n.to_bytes(31, "big")) for n in (number, number - 1))
    return Block(CHAIN_ID, number, own, parent, 1_800_000_000, 1, 1, Address(bytes(20)), Hash(bytes(32)))


def change(*added: Block, removed: tuple[Block, ...] = (), skipped: int = 0) -> HeadChange:
    return HeadChange(added, removed, -1, -1, skipped)


@dataclass(slots=True)
class Chain:
    """Follower, confirmer, desk and listener in one: it says what happened in which order."""

    polls: list[HeadChange | SeawallError | None]
    handle_faults: list[SeawallError | None] = field(default_factory=list)
    pin_faults: list[SeawallError | None] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    handled: list[HeadChange] = field(default_factory=list)
    seen: list[HeadChange] = field(default_factory=list)
    alarms: list[IntegrityAlarm] = field(default_factory=list)
    head: Block | None = None
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def parts(self) -> SimpleNamespace:
        return SimpleNamespace(
            routes=Routes(), network=network_of(CHAIN_ID), metrics=Metrics(), clock=SystemClock()
        )

    async def poll(self) -> HeadChange | None:
        found = self.polls.pop(0) if self.polls else None
        if isinstance(found, SeawallError):
            raise found
        return found

    async def handle(self, head_change: HeadChange) -> None:
        fault = self.handle_faults.pop(0) if self.handle_faults else None
        if fault is not None:
            raise fault
        self.handled.append(head_change)
        self.told.append("confirm")
        self.head = head_change.added[-1]

    async def finish(self) -> None:
        return

    async def prepare_head(self) -> None:
        self.told.append("prepare")

    async def stand_on_head(self) -> None:
        fault = self.pin_faults.pop(0) if self.pin_faults else None
        if fault is not None:
            raise fault
        self.told.append("pin")

    reload_due = False

    def on_head(self, head_change: HeadChange) -> None:
        self.told.append("listen")
        self.seen.append(head_change)


def loop_of(chain: Chain) -> ChainLoop:
    return ChainLoop(
        desk=cast(Desk, chain),
        follower=cast(HeadFollower, chain),
        confirmer=cast(Confirmer, chain),
        outbox=cast(Outbox, None),
        runners=(),
        dispatcher=cast(Dispatcher, SimpleNamespace(stir=lambda: None)),
        leases=cast(LeaseKeeper, SimpleNamespace(held={}, is_shared=False)),
        listeners=[chain],
        head_wake=HeadWake(SystemClock(), 1.0),
        on_integrity_alarm=chain.alarms.append,
    )


async def turns(chain: Chain, count: int) -> ChainLoop:
    loop = loop_of(chain)
    for _ in range(count):
        await loop.turn()
    return loop


async def test_head_is_confirmed_then_pinned_then_told() -> None:
    chain = Chain([change(block(1))])
    assert (await turns(chain, 1)).trouble == ""
    assert chain.told == ["confirm", "prepare", "pin", "listen"]


FAULTS: Sequence[SeawallError] = (
    UnavailableError("no answer", "node", "wait"),
    ChainIdMismatchError("it serves chain 1", "node", "correct it"),
    LedgerLockedError("it is locked", "ledger", "wait"),
)


@pytest.mark.parametrize("fault", FAULTS)
async def test_head_that_could_not_be_confirmed_is_confirmed_with_the_next(fault: SeawallError) -> None:
    chain = Chain([change(block(1)), change(block(2))], handle_faults=[fault])
    loop = await turns(chain, 1)
    assert fault.what in loop.trouble
    assert chain.seen == []
    await loop.turn()
    assert chain.handled == chain.seen == [change(block(1), block(2))]
    assert loop.trouble == ""


@pytest.mark.parametrize("fault", FAULTS)
async def test_head_that_could_not_be_pinned_is_told_after_it_was(fault: SeawallError) -> None:
    chain = Chain([change(block(1))], pin_faults=[fault])
    loop = await turns(chain, 1)
    assert chain.told == ["confirm", "prepare"]
    await loop.turn()
    assert chain.told == ["confirm", "prepare", "prepare", "pin", "listen"]


async def test_trouble_is_known_before_the_first_look() -> None:
    assert loop_of(Chain([])).trouble


class Lines:
    """A logger that only remembers what it was told."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def __getattr__(self, _level: str) -> Callable[..., None]:
        return lambda event, **_values: self.events.append(event)


async def test_trouble_that_lasts_is_logged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = Lines()
    monkeypatch.setattr(chain_loop, "_log", lines)
    await turns(Chain([FAULTS[0]] * 5), 5)
    assert lines.events.count("chain_trouble") == 1


async def test_integrity_alarm_is_raised_to_the_kernel_and_shown() -> None:
    alarm = IntegrityAlarm("the chain contradicts us", "node", "compare")
    chain = Chain([alarm])
    loop = await turns(chain, 1)
    assert chain.alarms == [alarm]
    assert "contradicts" in loop.trouble


async def test_what_the_ledger_settled_is_learned_before_the_chain_is_asked_when_lanes_were_gained() -> None:
    lane, told = Lane(CHAIN_ID, Address(b"\x01" * 20)), list[str]()
    transaction = SimpleNamespace(heads=SimpleNamespace(latest_final=block))

    async def read(question: Callable[[SimpleNamespace], Block]) -> Block:
        return question(transaction)

    async def poll() -> None:
        told.append("poll")

    parts = SimpleNamespace(network=network_of(CHAIN_ID), ledger=SimpleNamespace(read=read))
    desk = SimpleNamespace(head=None, fences={}, parts=parts)
    loop = loop_of(Chain([]))
    loop.desk = cast(Desk, desk)
    loop.follower = cast(
        HeadFollower, SimpleNamespace(poll=poll, settle=lambda final: told.append(f"final {final.number}"))
    )
    loop.leases.held[lane] = 1
    await loop.turn()
    desk.fences = {lane: 1}
    await loop.turn()
    desk.fences = {lane: 0}  # gained anew
    await loop.turn()
    final = f"final {CHAIN_ID}"
    assert told == [final, "poll", "poll", final, "poll"]


def test_merged_changes_forget_what_came_and_went() -> None:
    first = change(block(6), block(7), skipped=3)
    second = change(block(7, 1), block(8, 1), removed=(block(7), block(5)), skipped=1)
    both = merged(first, second)
    assert both is not None
    assert both.added == (block(6), block(7, 1), block(8, 1))
    assert both.removed == (block(5),)
    assert both.skipped == 4
    assert merged(None, first) is first
    assert merged(first, None) is first
