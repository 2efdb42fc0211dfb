"""Other kernels' commits are learned from the ledger; nonces that nobody here knows, from the chain."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import cast

import pytest

from seawall.ledger import Ledger, LedgerSettings
from seawall.primitives.blocks import Block
from seawall.primitives.errors import UnknownBlockError
from seawall.primitives.units import Address, Hash
from seawall.risk.spending import SpendBook
from seawall.transactions.desk import Desk, DeskParts
from seawall.transactions.neighbours import Neighbours, unknown_nonces
from tests.unit.ledger.samples import CHAIN_ID, LANE, FixedClock, FixedEntropy, block, committed


@dataclass(slots=True)
class Node:
    nonce: int = 0
    keeps_final_state: bool = True

    async def block_by_number(self, number: int) -> Block | None:
        return block(number)

    async def nonces_at(self, keys: list[Address], block_hash: Hash) -> list[int]:
        if not self.keeps_final_state:
            raise UnknownBlockError("missing trie node", "state", "use an archive node")
        return [self.nonce for _ in keys]


@pytest.fixture
async def ledger() -> AsyncIterator[Ledger]:
    settings = LedgerSettings("sqlite://")
    opened = Ledger.open(settings, clock=FixedClock(), entropy=FixedEntropy(), inline=True)
    yield opened
    await opened.close()


def desk_on(ledger: Ledger, node: Node | None = None) -> Desk:
    network, gate = SimpleNamespace(chain_id=CHAIN_ID), SimpleNamespace(book=SpendBook())
    parts = SimpleNamespace(ledger=ledger, network=network, client=node, gate=gate, clock=FixedClock())
    return Desk(cast(DeskParts, parts))


async def test_what_another_kernel_committed_is_in_the_overlay_until_it_is_settled(ledger: Ledger) -> None:
    desk = desk_on(ledger)
    neighbours = Neighbours(desk)
    await neighbours.start()
    attempt = await ledger.write(committed)
    assert await neighbours.learn()
    assert [row.hash for row in desk.unlanded()] == [attempt.hash]
    assert not await neighbours.learn()
    await ledger.write(lambda tx: tx.slots.settle(LANE, attempt.nonce, attempt.hash))
    assert await neighbours.learn()
    assert (desk.unlanded(), desk.unsettled) == ([], {})


async def test_what_was_there_before_the_start_is_not_learned_a_second_time(ledger: Ledger) -> None:
    await ledger.write(committed)
    desk = desk_on(ledger)
    neighbours = Neighbours(desk)
    await neighbours.start()
    assert not await neighbours.learn()


async def test_own_lanes_are_not_learned_from_the_ledger(ledger: Ledger) -> None:
    desk = desk_on(ledger)
    neighbours = Neighbours(desk)
    await neighbours.start()
    desk.fences = {LANE: 1}
    await ledger.write(committed)
    assert not await neighbours.learn()
    assert desk.unsettled == {}


async def test_nonces_beyond_the_highest_slot_are_unknown_once_they_are_final(ledger: Ledger) -> None:
    attempt = await ledger.write(committed)
    explained = desk_on(ledger, Node(attempt.nonce + 1))
    assert await unknown_nonces(explained, [LANE], 100) == {}
    beyond = desk_on(ledger, Node(attempt.nonce + 3))
    assert await unknown_nonces(beyond, [LANE], 100) == {LANE: range(attempt.nonce + 1, attempt.nonce + 3)}
    assert await unknown_nonces(beyond, [LANE], -1) == {}  # nothing is final yet


async def test_key_that_was_used_before_its_first_slot_is_no_riddle(ledger: Ledger) -> None:
    assert await unknown_nonces(desk_on(ledger, Node(700)), [LANE], 100) == {}


async def test_node_without_the_final_state_says_nothing(ledger: Ledger) -> None:
    await ledger.write(committed)
    desk = desk_on(ledger, Node(700, keeps_final_state=False))
    assert await unknown_nonces(desk, [LANE], 100) == {}
