"""Nonces that somebody else used: found at finality, and never a reason for confirmation to stand still."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import cast

from seawall.chain.heads import HeadChange
from seawall.primitives.blocks import Block
from seawall.primitives.errors import UnknownBlockError
from seawall.primitives.units import Address, Hash
from seawall.risk.limits import OurAddresses
from seawall.transactions.accounting import Accountant
from seawall.transactions.confirmation import Confirmer
from seawall.transactions.desk import Desk, DeskParts
from tests.builders.messages import KEY, block
from tests.unit.transactions.test_review_overlay import attempt

HEAD = replace(block(number=500), hash=Hash(b"\x51" * 32))
FINAL = replace(block(number=300), hash=Hash(b"\x31" * 32))
CHANGE = HeadChange((HEAD,), (), 300, 300)


@dataclass(slots=True)
class Node:
    """A node that keeps the state of its head, and of its final block only where it says so."""

    nonce: int
    keeps_final_state: bool
    asked: list[Hash] = field(default_factory=list)

    async def block_by_number(self, number: int) -> Block | None:
        return FINAL if number == FINAL.number else None

    async def nonce_at(self, address: Address, block_hash: Hash) -> int:
        self.asked.append(block_hash)
        if block_hash == FINAL.hash and not self.keeps_final_state:
            raise UnknownBlockError("missing trie node", "state", "use an archive node")
        return self.nonce

    async def receipts(self, hashes: list[Hash]) -> list[None]:
        return [None for _ in hashes]


def confirmer(node: Node) -> Confirmer:
    parts = SimpleNamespace(client=node, network=SimpleNamespace(name="model"))
    desk = Desk(cast(DeskParts, parts))
    row = attempt(1, 5)
    desk.unsettled = {row.hash: row}
    return Confirmer(desk, Accountant(parts.client, OurAddresses(frozenset({KEY}), None)))


async def test_foreign_use_is_settled_once_it_is_final() -> None:
    missed, foreign = await confirmer(Node(6, keeps_final_state=True))._overtaken(CHANGE, ())
    assert (missed, [row.nonce for row in foreign]) == ([], [5])


async def test_state_of_the_final_block_is_not_asked_for_while_no_nonce_was_overtaken() -> None:
    node = Node(5, keeps_final_state=False)
    assert await confirmer(node)._overtaken(CHANGE, ()) == ([], [])
    assert node.asked == [HEAD.hash]


async def test_final_state_that_the_node_dropped_is_asked_again_later() -> None:
    assert await confirmer(Node(6, keeps_final_state=False))._overtaken(CHANGE, ()) == ([], [])
