"""What the chain holds of ours: in new blocks, in blocks that were passed over, and in none any more.

Everything is asked before the ledger is written, and in bulk: a block costs no request for each of its
transactions. A list of transactions is proved against its header before anything follows from it, and where a
block holds nothing but our own transfers, so are the receipts that follow from it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from seawall.chain.foreseen import foreseen_receipts
from seawall.chain.heads import HeadChange
from seawall.chain.receipts import BlockBody, Receipt
from seawall.ledger.rows import AttemptRow, InclusionRow, IntentRow
from seawall.primitives.blocks import Block
from seawall.primitives.identifiers import IntentNumber
from seawall.primitives.units import Hash
from seawall.transactions.accounting import Accountant, BlockAccount, Included
from seawall.transactions.desk import Desk
from seawall.transactions.foreign import ForeignUse, NonceWatch
from seawall.transactions.settling import holders_of

__all__ = ["Finder", "Found"]

_NOTHING: Final = BlockAccount((), ())


@dataclass(frozen=True, slots=True)
class Found:
    """What one block holds of ours."""

    block: Block
    included: tuple[Included, ...]
    account: BlockAccount
    followed: bool = True  # False: a block that was not looked at when it came


@dataclass(slots=True)
class Finder:
    """Looks for what is ours on the chain of one desk."""

    desk: Desk
    accountant: Accountant
    nonces: NonceWatch
    # Blocks that the ledger says hold something of ours, and that this process did not follow itself.
    _unchecked: dict[Hash, int] = field(default_factory=dict)

    def load(self, inclusions: Sequence[InclusionRow]) -> None:
        """What the ledger says is included, and is not settled."""
        self._unchecked = {row.block_hash: row.block_number for row in inclusions if row.canonical}

    def note(self, change: HeadChange, strays: Collection[Hash]) -> None:
        """What is on the line is followed from now on; a gap of the line may hold others until they are
        final."""
        line = self.desk.canonical_after(change.added, change.removed)
        self._unchecked = {
            h: n
            for h, n in self._unchecked.items()
            if n > change.final_number and h not in line and h not in strays
        }

    async def find(self, blocks: Sequence[Block]) -> list[Found]:
        """What these blocks hold of ours; where nothing waits for a block, none of them is read."""
        client, unsettled = self.desk.parts.client, self.desk.unsettled
        if not unsettled:
            return [Found(block, (), _NOTHING) for block in blocks]
        receipts: list[tuple[Block, list[Receipt]]] = []
        for block, shown in zip(blocks, await client.bodies([b.hash for b in blocks]), strict=True):
            body, ours = shown, [row for h in shown.transactions if (row := unsettled.get(h)) is not None]
            if ours and shown.transactions_root is not None:
                listed = await client.proved_list(shown, {row.hash: row.raw for row in ours})
                body = replace(shown, transactions=listed)
                ours = [row for h in listed if (row := unsettled.get(h)) is not None]
            receipts.append((block, await self._receipts(block, body, ours) if ours else []))
            await asyncio.sleep(0)  # many blocks may come at once, and others wait for the loop
        return await self._accounted(receipts)

    async def _receipts(self, block: Block, body: BlockBody, ours: Sequence[AttemptRow]) -> list[Receipt]:
        """The receipts of ours in this block: foreseen and proved where it holds nothing but our transfers,
        else read."""
        parts = self.desk.parts
        if (
            body.receipts_root is not None
            and len(ours) == len(body.transactions)
            and parts.network.l2_kind is None
            and not any(row.payload.data for row in ours)
        ):
            foreseen = foreseen_receipts(block, body.receipts_root, ours)
            if foreseen is not None:
                return foreseen
        return await parts.client.receipts_of(block, [row.hash for row in ours], body)

    async def _accounted(
        self, receipts: Sequence[tuple[Block, Sequence[Receipt]]], *, followed: bool = True
    ) -> list[Found]:
        """Our transactions of these blocks with their intents, and what they moved."""
        desk = self.desk
        # What the holder of its lane settled while this was read is final, and told by that one.
        watched = {
            receipt.transaction_hash: row
            for _, some in receipts
            for receipt in some
            if (row := desk.unsettled.get(receipt.transaction_hash)) is not None
        }
        numbers = {number for row in watched.values() for number, _ in row.intents}
        intents = {number: desk.intents[number] for number in numbers if number in desk.intents}
        missing = sorted(numbers - intents.keys())
        if missing:
            rows = await desk.parts.ledger.read(lambda tx: tx.intents.get_many(missing))
            intents.update((row.number, row) for row in rows)
            desk.intents.update((row.number, row) for row in rows)
        included = []
        for block, some in receipts:
            ours = [(watched[r.transaction_hash], r) for r in some if r.transaction_hash in watched]
            included.append((block, [_included(row, receipt, intents) for row, receipt in ours]))
            await asyncio.sleep(0)
        await self.accountant.prepare([each for each in included if each[1]])
        found = []
        for block, here in included:
            found.append(Found(block, tuple(here), await self._account(block, here), followed))
            await asyncio.sleep(0)
        return found

    async def _account(self, block: Block, included: Sequence[Included]) -> BlockAccount:
        """What ours moved in the block. Before anything is called unexplained, the ledger is asked for others
        of ours in it: settled already, by us or by a kernel that is further, or found at another time."""
        if not included:
            return _NOTHING
        account = await self.accountant.account(block, included)
        if not account.unexplained:
            return account
        client, here = self.desk.parts.client, {one.attempt.hash for one in included}
        others = [h for h in await client.block_transactions(block.hash) if h not in here]
        known = await self.desk.parts.ledger.read(lambda tx: tx.attempts.by_hashes(others))
        if not known:
            return account
        receipts = await client.receipts_of(block, list(known))
        attempts = [known[receipt.transaction_hash] for receipt in receipts]
        rest = [
            Included(row, receipt, frozenset({row.lane.key}))
            for row, receipt in zip(attempts, receipts, strict=True)
        ]
        proved = await self.accountant.account(block, [*included, *rest])
        return replace(proved, entries=proved.entries[: len(included)])

    async def strays(self, change: HeadChange) -> dict[Hash, int]:
        """Blocks that hold something of ours by the ledger, and that are not on the branch: removed while
        nobody followed, or followed by a kernel that is dead."""
        if not self._unchecked:
            return {}
        line = self.desk.canonical_after(change.added, change.removed)
        gone = {block.hash for block in change.removed}
        doubtful = {h: n for h, n in self._unchecked.items() if h not in line and h not in gone}
        headers = await self.desk.parts.client.blocks(list(doubtful.values())) if doubtful else []
        on_chain = {header.hash for header in headers if header is not None}
        return {h: n for h, n in doubtful.items() if h not in on_chain}

    async def overtaken(
        self, change: HeadChange, found: Sequence[Found], strays: Collection[Hash]
    ) -> tuple[list[Found], ForeignUse]:
        """Nonces that the chain has used and no block that was looked at explains: somebody else's use, or
        blocks that were passed over while we were away."""
        gone = {*(block.hash for block in change.removed), *strays}
        included = {h for h, block_hash in self.desk.included.items() if block_hash not in gone}
        here = {one.attempt.hash for each in found for one in each.included}
        use = await self.nonces.look(change, included | here)
        missed: dict[Block, list[Receipt]] = {}
        for block, receipt in use.missed:
            if receipt.transaction_hash not in here:  # a sighting of old that was ours after all, seen twice
                missed.setdefault(block, []).append(receipt)
        return await self._accounted(list(missed.items()), followed=False), use


def _included(attempt: AttemptRow, receipt: Receipt, intents: Mapping[IntentNumber, IntentRow]) -> Included:
    if len(attempt.intents) == 1:
        only = intents[attempt.intents[0][0]]
        return Included(attempt, receipt, holders_of(only), only.correlation_id)
    own = [intents[number] for number, _ in attempt.intents]
    holders = frozenset().union(*map(holders_of, own))
    several = tuple([one.intent_id for one in own])
    return Included(attempt, receipt, holders, own[0].correlation_id if own else "", several)
