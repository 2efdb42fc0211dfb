"""Accounting against tokens that lie and nodes that forget: it goes on, and says the difference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import pytest

from seawall.chain.client import ChainClient, Receipt
from seawall.native import event_topic
from seawall.primitives.blocks import Block, Log, Read
from seawall.primitives.errors import UnknownBlockError
from seawall.primitives.units import Address, Hash
from seawall.risk.limits import OurAddresses
from seawall.transactions.accounting import Accountant, BlockAccount, Included
from tests.builders.messages import EXECUTOR, GWEI, KEY, POOL, WETH, block
from tests.unit.transactions.test_review_overlay import attempt

TRANSFER = Hash(event_topic("Transfer(address,address,uint256)"))
LIAR = Address(b"\x66" * 20)
MOST = 2**256 - 1
PARENT = block(number=99)
BLOCK = replace(block(number=100), hash=Hash(b"\xee" * 32), parent_hash=PARENT.hash)


@dataclass(slots=True)
class Node:
    """Answers of one token, before and after; native balances move by the fee only."""

    before: bytes | None = None
    after: bytes | None = None
    head: Block = BLOCK
    is_pruned: bool = False
    native: dict[Hash, int] = field(default_factory=lambda: {BLOCK.hash: 10**18 - 21_000 * GWEI})

    async def block_by_hash(self, block_hash: Hash) -> Block | None:
        return PARENT if block_hash == PARENT.hash else None

    async def blocks(self, numbers: Sequence[int | str]) -> list[Block | None]:
        return [self.head if number == "latest" else BLOCK for number in numbers]

    async def balances_at(self, addresses: Sequence[Address], block_hash: Hash) -> list[int]:
        if self.is_pruned:
            raise UnknownBlockError("missing trie node", "state", "use an archive node")
        paid = self.native.get(block_hash, 10**18)
        return [paid if address == KEY else 10**18 for address in addresses]

    async def call_at(self, reads: Sequence[Read], block: Block) -> dict[str, bytes | None]:
        answer = self.after if block.hash == BLOCK.hash else self.before
        return {read.label: answer for read in reads}


def word(value: int) -> bytes:
    return value.to_bytes(32, "big")


def transfer(token: Address, sender: Address, receiver: Address, amount: int) -> Log:
    topics = (TRANSFER, Hash(sender.rjust(32, b"\0")), Hash(receiver.rjust(32, b"\0")))
    return Log(token, topics, word(amount), BLOCK.hash, BLOCK.number, Hash(bytes(32)), 0)


async def accounted(node: Node, *logs: Log, target: Address = POOL) -> BlockAccount:
    ours = OurAddresses(frozenset({KEY, EXECUTOR}), WETH)
    sent = attempt(1, 5)
    sent = replace(sent, payload=replace(sent.payload, to=target))
    receipt = Receipt(sent.hash, BLOCK.hash, BLOCK.number, 0, True, 21_000, GWEI, 0, logs)
    accountant = Accountant(cast(ChainClient, node), ours)
    return await accountant.account(BLOCK, [Included(sent, receipt, frozenset({KEY}))])


def said(account: BlockAccount) -> dict[object, int]:
    return {leg.account: leg.delta for leg in account.unexplained}


async def test_token_that_did_not_exist_in_the_parent_block_had_no_balance() -> None:
    account = await accounted(Node(b"", word(7)), transfer(LIAR, POOL, EXECUTOR, 7))
    assert account.unexplained == ()


async def test_token_that_answers_no_balance_is_unexplained_and_stops_nothing() -> None:
    account = await accounted(Node(None, None), transfer(LIAR, POOL, EXECUTOR, 7))
    assert said(account) == {EXECUTOR: -7, "unexplained": 7}


async def test_amounts_that_no_token_can_hold_are_not_booked() -> None:
    logs = [transfer(LIAR, POOL, EXECUTOR, MOST)] * 3
    account = await accounted(Node(word(0), word(0)), *logs)
    assert all(leg.token != LIAR for entry in account.entries for leg in entry.legs)


async def test_difference_that_no_column_holds_is_cut() -> None:
    half = 2**255 - 1
    account = await accounted(Node(word(MOST), word(0)), transfer(LIAR, POOL, EXECUTOR, half))
    assert said(account) == {EXECUTOR: -half, "unexplained": half}


async def test_foreign_contract_cannot_claim_that_coins_moved() -> None:
    topic = Hash(event_topic("NativeMoved(address,int256)"))
    log = Log(POOL, (topic, Hash(KEY.rjust(32, b"\0"))), word(10**18), BLOCK.hash, 100, Hash(bytes(32)), 0)
    account = await accounted(Node(), log)
    assert account.unexplained == ()


async def test_block_whose_state_is_not_kept_any_more_is_accounted_without_proof() -> None:
    old = Node(is_pruned=True, head=replace(BLOCK, number=164))
    account = await accounted(old, transfer(LIAR, POOL, EXECUTOR, 7))
    assert not account.is_proved
    assert len(account.entries) == 1


async def test_state_missing_near_the_head_is_asked_again() -> None:
    with pytest.raises(UnknownBlockError):
        await accounted(Node(is_pruned=True, head=replace(BLOCK, number=163)))


@pytest.mark.parametrize("status", [True, False])
@pytest.mark.parametrize("target", [KEY, EXECUTOR, POOL])
@pytest.mark.parametrize("value_wei", [0, 7])
@pytest.mark.parametrize("price_wei", [0, GWEI])
async def test_legs_of_a_transaction_without_logs_are_those_of_one_with_a_log_that_moves_nothing(
    status: bool, target: Address, value_wei: int, price_wei: int
) -> None:
    """The quick way and the general one say the same."""
    sent = attempt(1, 5)
    sent = replace(sent, payload=replace(sent.payload, to=target, value_wei=value_wei))
    ours = OurAddresses(frozenset({KEY, EXECUTOR}), WETH)
    told = []
    for logs in ((), (transfer(LIAR, POOL, POOL, 1),)):
        receipt = Receipt(sent.hash, BLOCK.hash, BLOCK.number, 0, status, 21_000, price_wei, 0, logs)
        accountant = Accountant(cast(ChainClient, Node()), ours)
        account = await accountant.account(BLOCK, [Included(sent, receipt, frozenset({KEY}))])
        told.append(account.entries[0].legs)
    assert told[0] == told[1]
    assert sum(leg.delta for leg in told[0]) == 0
