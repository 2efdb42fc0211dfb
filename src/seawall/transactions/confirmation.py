"""Confirmation: inclusions are provisional, reorgs flip them, finality makes outcomes (invariant 5).

One head change is one ledger transaction: heads, flipped and new inclusions, postings, foreign use and the
events that others follow. Everything is read from the chain before it, so a failure leaves nothing half done
and the same change is handled again. Reads and writes are in bulk: a block costs no statement, request or
line of log for each of its transactions.

What became safe or final meanwhile (settled slots, outcomes) goes with it where it is little. More of it
follows in pieces (`finish`), each whole in itself, so that whoever accepts or dispatches never waits for a
whole block's endings. Finality is asked of all that has not reached it: what a failure leaves is done later.

Several kernels may follow one chain. What is true of a lane is written by its holder alone, under its fence;
what is true of a block (the line of heads, a reorg, a balance that nothing explains) by whoever is first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from seawall.chain.foreseen import foreseen_receipts
from seawall.chain.heads import HeadChange
from seawall.chain.receipts import BlockBody, Receipt
from seawall.ledger.rows import (
    AttemptRow,
    EventData,
    InclusionRow,
    Leg,
    NewEvent,
    NewInclusion,
    PostingEntry,
    SlotRow,
)
from seawall.ledger.segments import SegmentEnd
from seawall.ledger.transaction import Transaction
from seawall.primitives.blocks import Block
from seawall.primitives.bounds import HEADS_KEPT
from seawall.primitives.identifiers import IntentNumber, Lane
from seawall.primitives.levels import Finality
from seawall.primitives.units import Address, Hash, hex_text
from seawall.risk.spending import Past
from seawall.telemetry import failpoints
from seawall.telemetry.logs import correlated, get_logger
from seawall.telemetry.metrics import Stage
from seawall.transactions.accounting import Accountant, BlockAccount, Entry, Included
from seawall.transactions.desk import Desk
from seawall.transactions.foreign import ForeignUse, NonceWatch
from seawall.transactions.settling import Consumed, Ended, Memory, holders_of, settle
from seawall.transactions.spends import past_spends
from seawall.transactions.suspects import mark_suspects

__all__ = ["Confirmer"]

# Transactions told one by one in the log; of a larger number only how many there are.
LINES_MAX: Final = 32
# Inclusions that one ledger transaction takes to be safe or final, those that a block brought counted in;
# each further piece of the same head may hold twice as many, so that there are few.
PIECE: Final = 64
_BEFORE_COMMIT = failpoints.declare("confirmation.before_commit")
_AFTER_COMMIT = failpoints.declare("confirmation.after_commit")
_NOTHING: Final = BlockAccount((), ())
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Found:
    """What one block holds of ours."""

    block: Block
    included: tuple[Included, ...]
    account: BlockAccount
    followed: bool = True  # False: a block that was not looked at when it came


@dataclass(frozen=True, slots=True)
class _Ends:
    """What one piece settled."""

    slots: tuple[tuple[Lane, int], ...] = ()
    taken: tuple[Mapping[Address, int], ...] = ()  # of ours by each slot, by token
    ended: tuple[Ended, ...] = ()
    final: frozenset[int] = frozenset()  # inclusions
    is_all: bool = True  # False: more may have become safe or final than the piece could hold


@dataclass(frozen=True, slots=True)
class _Done:
    """What one head change brought or made suspect, and the first piece of what it ended."""

    ends: _Ends = field(default_factory=_Ends)
    suspects: frozenset[IntentNumber] = frozenset()
    rows: Sequence[InclusionRow] = ()  # new inclusions
    legs: Mapping[int, tuple[Leg, ...]] = field(default_factory=dict)  # of new inclusions


@dataclass(slots=True)
class Confirmer:
    """Handles head changes of one desk."""

    desk: Desk
    accountant: Accountant
    piece: int = PIECE
    nonces: NonceWatch = field(init=False)
    # Inclusions and what they moved, by their number, until they are final: read from the ledger where they
    # are not here.
    _rows: dict[int, InclusionRow] = field(default_factory=dict)
    _legs: dict[int, tuple[Leg, ...]] = field(default_factory=dict)
    # Blocks that the ledger says hold something of ours, and that this process did not follow itself.
    _unchecked: dict[Hash, int] = field(default_factory=dict)
    _is_more: bool = False  # there may be inclusions that are safe or final, and are not said to be

    def __post_init__(self) -> None:
        self.nonces = NonceWatch(self.desk)

    async def load(self) -> None:
        """Start-up, and whenever lanes were gained: the head of the ledger, what is not settled, and which
        canonical block has it."""
        desk = self.desk
        chain_id, now_s = desk.parts.network.chain_id, desk.parts.clock.now_s()

        def read(
            tx: Transaction,
        ) -> tuple[list[AttemptRow], list[InclusionRow], list[Block], list[SlotRow], list[Past]]:
            slots = [slot for lane in desk.fences for slot in tx.slots.open(lane)]
            heads = tx.heads.recent(chain_id, HEADS_KEPT)
            attempts = tx.attempts.unsettled(chain_id)
            past = past_spends(tx, desk.parts.gate.book.lanes, attempts, now_s)
            return attempts, tx.inclusions.unsettled(chain_id), heads, slots, past

        attempts, inclusions, heads, slots, past = await desk.parts.ledger.read(read)
        desk.parts.gate.book.load(past, now_s)
        desk.load(attempts, {row.attempt_hash: row.block_hash for row in inclusions if row.canonical})
        self._rows.clear()
        self._legs.clear()
        self._unchecked = {row.block_hash: row.block_number for row in inclusions if row.canonical}
        self.nonces.load(slots, heads)
        if desk.head is None:
            desk.note_canonical(tuple(heads), ())
            desk.head = heads[-1] if heads else None

    async def handle(self, change: HeadChange) -> None:
        """Take one head change into the ledger and the desk.

        The chain is read without the desk's turn: what is committed meanwhile cannot be in a block that is
        there already. Raises `UnavailableError` or `EndpointError` when the chain could not be read; nothing
        is stored then.
        """
        with self.desk.parts.metrics.timing(Stage.CONFIRM):
            if self.desk.reload_due:
                async with self.desk.turn:
                    await self.load()
                    self.desk.reload_due = False
            found = await self._find(change.added)
            strays = await self._strays(change)
            missed, foreign = await self._overtaken(change, found, strays)
            await _BEFORE_COMMIT.reach()
            async with self.desk.turn:
                await self._store(change, [*missed, *found], foreign, strays)

    async def finish(self) -> None:
        """Store what has become safe or final and was too much for the transaction of its head, in pieces.

        A failure leaves what is whole: the rest is stored when this is called again, or with the next one."""
        piece = self.piece
        while self._is_more:
            async with self.desk.turn:
                if self.desk.reload_due or not self.desk.fences:
                    return
                await self._end_more(piece)
            piece *= 2

    async def _store(
        self, change: HeadChange, found: list[_Found], foreign: ForeignUse, strays: dict[Hash, int]
    ) -> None:
        done = _Done()
        if self.desk.fences:
            done = await self.desk.parts.ledger.write(
                lambda tx: self._commit(tx, change, found, foreign, strays)
            )
        await _AFTER_COMMIT.reach()
        self._note(change, found, foreign, strays, done)

    async def _end_more(self, piece: int) -> None:
        desk = self.desk

        def commit(tx: Transaction) -> _Ends:
            desk.require_leases(tx)
            return self._end(tx, desk.safe_number, desk.final_number, [], self._rows, self._legs, piece)

        with desk.parts.metrics.timing(Stage.CONFIRM):
            ends = await desk.parts.ledger.write(commit)
        await _AFTER_COMMIT.reach()
        self._note_ends(ends)

    # ------------------------------------------------------------------ what the chain says

    async def _find(self, blocks: Sequence[Block]) -> list[_Found]:
        """What these blocks hold of ours; where nothing waits for a block, none of them is read."""
        client, unsettled = self.desk.parts.client, self.desk.unsettled
        if not unsettled:
            return [_Found(block, (), _NOTHING) for block in blocks]
        receipts: list[tuple[Block, list[Receipt]]] = []
        for block, shown in zip(blocks, await client.bodies([b.hash for b in blocks]), strict=True):
            body, ours = shown, [row for h in shown.transactions if (row := unsettled.get(h)) is not None]
            if ours and shown.transactions_root is not None:
                listed = await client.proved_list(shown, {row.hash: row.raw for row in ours})
                body = replace(shown, transactions=listed)
                ours = [row for h in listed if (row := unsettled.get(h)) is not None]
            receipts.append((block, await self._receipts(block, body, ours) if ours else []))
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
    ) -> list[_Found]:
        """Our transactions of these blocks with their intents, and what they moved."""
        desk = self.desk
        attempts = [desk.unsettled[r.transaction_hash] for _, some in receipts for r in some]
        missing = [n for row in attempts for n, _ in row.intents if n not in desk.intents]
        if missing:
            rows = await desk.parts.ledger.read(lambda tx: tx.intents.get_many(missing))
            desk.intents.update((row.number, row) for row in rows)
        included = [
            (block, [self._included(desk.unsettled[one.transaction_hash], one) for one in some])
            for block, some in receipts
        ]
        await self.accountant.prepare([(block, ours) for block, ours in included if ours])
        return [
            _Found(block, tuple(ours), await self._account(block, ours), followed) for block, ours in included
        ]

    def _included(self, attempt: AttemptRow, receipt: Receipt) -> Included:
        own = [self.desk.intents[number] for number, _ in attempt.intents]
        holders = frozenset().union(*map(holders_of, own)) if len(own) != 1 else holders_of(own[0])
        several = tuple([one.intent_id for one in own]) if len(own) > 1 else ()
        return Included(attempt, receipt, holders, own[0].correlation_id if own else "", several)

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

    async def _strays(self, change: HeadChange) -> dict[Hash, int]:
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

    async def _overtaken(
        self, change: HeadChange, found: Sequence[_Found], strays: Collection[Hash]
    ) -> tuple[list[_Found], ForeignUse]:
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

    # ------------------------------------------------------------------ the one commit

    def _commit(
        self,
        tx: Transaction,
        change: HeadChange,
        found: Sequence[_Found],
        foreign: ForeignUse,
        strays: Mapping[Hash, int],
    ) -> _Done:
        now_s = self.desk.parts.clock.now_s()
        self.desk.require_leases(tx)
        suspects = self._unwind(tx, change, strays, now_s)
        line = self.desk.canonical_after(change.added, change.removed)
        replaced = [h for one in found if one.followed for h in tx.heads.follow(one.block, line)]
        if replaced:  # what is true of such a block alone; what is of a lane, its holder takes back
            tx.postings.flip(replaced, lanes=())
        rows, legs = self._include(tx, found, now_s)
        consumed = self.nonces.store(tx, foreign, _slots_of(found), now_s)
        known = self._rows | {row.number: row for row in rows}
        piece = max(0, self.piece - len(rows))
        ends = self._end(
            tx, change.safe_number, change.final_number, consumed, known, self._legs | legs, piece
        )
        return _Done(ends, suspects, rows, legs)

    def _end(
        self,
        tx: Transaction,
        safe_number: int,
        final_number: int,
        consumed: list[Consumed],
        known: Mapping[int, InclusionRow],
        legs: Mapping[int, tuple[Leg, ...]],
        piece: int,
    ) -> _Ends:
        """Take inclusions to be safe, then, if all that can be are, to be final: at most `piece` together.
        Settle the slots of the final ones, and those that foreign use has `consumed`."""
        desk = self.desk
        chain_id, held, now_s = desk.parts.network.chain_id, desk.fences.keys(), desk.parts.clock.now_s()
        ripe = tx.inclusions.set_finality
        safe = ripe(chain_id, safe_number, Finality.SAFE, held, known, at_most=piece)
        self._events(tx, "inclusion.safe", safe, now_s)
        final = ripe(chain_id, final_number, Finality.FINAL, held, known, at_most=piece - len(safe))
        consumed = [*consumed, *(self._consumed(tx, row) for row in final)]
        memory = Memory(desk.intents, legs, self.accountant.ours.wrapped_native, desk.parts.moves)
        ended, taken = settle(tx, consumed, memory, now_s)
        return _Ends(
            tuple([(one.lane, one.nonce) for one in consumed]),
            tuple(taken),
            tuple(ended),
            frozenset([row.number for row in final]),
            is_all=len(safe) + len(final) < piece,
        )

    def _unwind(
        self, tx: Transaction, change: HeadChange, strays: Mapping[Hash, int], now_s: int
    ) -> frozenset[IntentNumber]:
        """Take back what stood in blocks that are gone; answers who depended on it."""
        hashes = [*(block.hash for block in change.removed), *strays]
        if not hashes:
            return frozenset()
        held = self.desk.fences.keys()
        flipped = tx.inclusions.flip(hashes, held)
        tx.postings.flip(hashes, held)
        is_first = tx.heads.remove(hashes) > 0
        if is_first or flipped:
            chain_id = self.desk.parts.network.chain_id
            numbers = [*(block.number for block in change.removed), *strays.values()]
            data: EventData = {
                "depth": len(hashes),
                "from": min(numbers),
                "transactions": len(flipped),
            }
            tx.events.append("reorg", chain_id, str(chain_id), None, data, now_s)
        self._events(tx, "inclusion.removed", flipped, now_s)
        return mark_suspects(tx, flipped, self._intents_of(tx, flipped), now_s)

    def _include(
        self, tx: Transaction, found: Sequence[_Found], now_s: int
    ) -> tuple[list[InclusionRow], dict[int, tuple[Leg, ...]]]:
        """Store what is in these blocks; answers the inclusions and the legs of each."""
        held = self.desk.fences.keys()
        own = [
            (one.block, entry)
            for one in found
            for entry in one.account.entries
            if entry.included.attempt.lane in held
            and self.desk.included.get(entry.included.attempt.hash) != one.block.hash  # else it is stored
        ]
        rows = tx.inclusions.insert_many(
            [
                NewInclusion(
                    entry.included.attempt.hash, block, receipt.index, receipt.status, receipt.gas_used,
                    receipt.effective_gas_price_wei, receipt.fee_wei, entry.included.attempt,
                )
                for block, entry in own
                for receipt in (entry.included.receipt,)
            ]
        )  # fmt: skip
        tx.postings.book_many(
            [
                PostingEntry(kind, block.chain_id, block.number, block.hash, legs, row.number, intent)
                for (block, entry), row in zip(own, rows, strict=True)
                for kind, intent, legs in _bookings(entry)
            ]
        )
        tx.segments.insert_many(
            [
                SegmentEnd(row.number, place, part.intent, part.landed, part.reason)
                for (_, entry), row in zip(own, rows, strict=True)
                for place, part in enumerate(entry.parts)
            ]
        )
        self._events(tx, "inclusion.added", rows, now_s)
        for one in found:
            if one.included:
                self._say_doubts(tx, one, now_s)
        # What several plans moved together is read by plan when they end.
        single = [(entry, row) for (_, entry), row in zip(own, rows, strict=True) if not entry.parts]
        return rows, {row.number: entry.legs for entry, row in single}

    def _say_doubts(self, tx: Transaction, found: _Found, now_s: int) -> None:
        """What the block did to our balances beyond the postings, once, whichever kernel is first."""
        block, unexplained = found.block, found.account.unexplained
        where = hex_text(block.hash)
        if not found.account.is_proved and any(i.attempt.lane in self.desk.fences for i in found.included):
            why: EventData = {"block": block.number, "why": "its state is not kept any more"}
            tx.events.append("unproved", block.chain_id, where, None, why, now_s)
        if not unexplained:
            return
        said = {
            (leg.account, leg.token)
            for row in tx.postings.in_block(block.hash)
            if row.entry.kind == "unexplained"
            for leg in row.entry.legs
        }
        pairs = zip(unexplained[::2], unexplained[1::2], strict=True)
        news = [pair for pair in pairs if (pair[0].account, pair[0].token) not in said]
        if not news:
            return
        legs = tuple(leg for pair in news for leg in pair)
        tx.postings.book(PostingEntry("unexplained", block.chain_id, block.number, block.hash, legs))
        for leg, _ in news:
            data: EventData = {
                "account": _text(leg),
                "token": hex_text(leg.token),
                "difference": str(leg.delta),
            }
            tx.events.append("unexplained", block.chain_id, where, None, data, now_s)

    def _consumed(self, tx: Transaction, row: InclusionRow) -> Consumed:
        """A final inclusion consumes its slot."""
        watched = self.desk.unsettled.get(row.attempt_hash)
        if watched is None:
            return Consumed(row.lane, row.nonce, tuple(tx.attempts.of_slot(row.lane, row.nonce)), row)
        attempts = tuple([self.desk.unsettled[h] for h in self.desk.hashes_of(row.lane, row.nonce)])
        return Consumed(row.lane, row.nonce, attempts, row)

    def _events(self, tx: Transaction, kind: str, rows: Sequence[InclusionRow], now_s: int) -> None:
        known = self.desk.intents
        intents_of = [self._attempt_of(tx, row).intents for row in rows]
        shared = [row.number for row, intents in zip(rows, intents_of, strict=True) if len(intents) > 1]
        ends = tx.segments.of_inclusions(shared) if shared else []
        failed = {(end.inclusion, end.intent) for end in ends if not end.landed}
        missing = [n for n in _numbers_in(intents_of) if n not in known]
        if missing:
            known.update((row.number, row) for row in tx.intents.get_many(missing))
        blocks = {row.block_hash: hex_text(row.block_hash) for row in rows}
        events = []
        for row, intents in zip(rows, intents_of, strict=True):
            data: dict[str, str | int | bool | None] = {
                "hash": hex_text(row.attempt_hash),
                "block": row.block_number,
                "block_hash": blocks[row.block_hash],
                "status": row.status,
            }
            for number, _ in intents:
                own = data | {"status": False} if (row.number, number) in failed else data
                events.append(NewEvent(kind, row.lane.chain_id, known[number].strategy, number, own))
            if not intents:
                events.append(NewEvent(kind, row.lane.chain_id, str(row.lane), None, data))
        tx.events.append_many(events, now_s)

    def _intents_of(self, tx: Transaction, rows: Sequence[InclusionRow]) -> list[IntentNumber]:
        return _numbers_in([self._attempt_of(tx, row).intents for row in rows])

    def _attempt_of(self, tx: Transaction, row: InclusionRow) -> AttemptRow:
        return self.desk.unsettled.get(row.attempt_hash) or tx.attempts.get(row.attempt)

    # ------------------------------------------------------------------ after it

    def _note(
        self,
        change: HeadChange,
        found: Sequence[_Found],
        foreign: ForeignUse,
        strays: Mapping[Hash, int],
        done: _Done,
    ) -> None:
        """The commit is done: bring the desk to it."""
        desk, metrics = self.desk, self.desk.parts.metrics
        desk.exclude({*(block.hash for block in change.removed), *strays})
        for one in found:
            for included in one.included:
                desk.include(included.attempt.hash, one.block.hash)
            landed = sum(included.receipt.status for included in one.included)
            if landed:
                metrics.included(True, landed)
            if landed < len(one.included):
                metrics.included(False, len(one.included) - landed)
                # Whoever was judged on top of its success is judged anew before a write.
                desk.verdicts.clear()
            metrics.unexplained(len(one.account.unexplained) // 2)
        self.nonces.note(foreign, _slots_of(found))
        # What is on the line is followed from now on; a gap of the line may hold others until they are final.
        line = desk.canonical_after(change.added, change.removed)
        self._unchecked = {
            h: n
            for h, n in self._unchecked.items()
            if n > change.final_number and h not in line and h not in strays
        }
        if done.suspects:
            for row in desk.unsettled.values():
                if any(number in done.suspects for number, _ in row.intents):
                    desk.verdicts.pop(row.number, None)
        if change.removed or strays:
            self._rows.clear()
            self._legs.clear()
        self._rows.update((row.number, row) for row in done.rows)
        self._legs.update(done.legs)
        _tell_included([(one.block, each) for one in found for each in one.included])
        self._note_ends(done.ends)
        desk.note_canonical(change.added, change.removed)
        if change.removed:
            metrics.reorged(len(change.removed))
            _log.warning("reorg", depth=len(change.removed), height=change.removed[-1].number)
        if change.added:
            desk.move_to(change.added[-1])
            metrics.head(change.added[-1])
        desk.safe_number, desk.final_number = change.safe_number, change.final_number

    def _note_ends(self, ends: _Ends) -> None:
        """A piece is stored: nothing of its slots is watched any more."""
        metrics = self.desk.parts.metrics
        self._is_more = not ends.is_all
        for number in ends.final:
            self._rows.pop(number, None)
            self._legs.pop(number, None)
        for state, count in Counter(ended.state for ended in ends.ended).items():
            metrics.ended(state, count)
        realised: Counter[str] = Counter()
        for ended in ends.ended:
            if ended.realised_wei is not None:
                realised[ended.intent.strategy] += ended.realised_wei
        for strategy, amount_wei in realised.items():
            metrics.realised(strategy, amount_wei)
        _tell_ended(ends.ended)
        for (lane, nonce), taken in zip(ends.slots, ends.taken, strict=True):
            self.desk.settle(lane, nonce)
            self.desk.parts.gate.book.correct(lane, nonce, taken)


def _tell_included(included: Sequence[tuple[Block, Included]]) -> None:
    for block, each in included[:LINES_MAX]:
        with correlated(each.correlation_id):
            _log.info("included", hash=hex_text(each.attempt.hash), block=block.number)
    if len(included) > LINES_MAX:
        _log.info("more_included", beside=LINES_MAX, in_all=len(included))


def _tell_ended(several: Sequence[Ended]) -> None:
    for ended in several[:LINES_MAX]:
        with correlated(ended.intent.correlation_id):
            _log.info("intent_ended", intent=ended.intent.number, state=ended.state, reason=ended.reason)
    if len(several) > LINES_MAX:
        _log.info("more_ended", beside=LINES_MAX, in_all=len(several))


def _bookings(entry: Entry) -> list[tuple[str, IntentNumber | None, tuple[Leg, ...]]]:
    """Kind, intent and legs of each posting entry: one a plan."""
    if not entry.parts:
        intents = entry.included.attempt.intents
        return [("inclusion", intents[0][0] if intents else None, entry.legs)]
    kinds = ["inclusion", *(f"inclusion.{place}" for place in range(1, len(entry.parts)))]
    return [(kind, part.intent, part.legs) for kind, part in zip(kinds, entry.parts, strict=True)]


def _numbers_in(links: Iterable[Sequence[tuple[IntentNumber, int]]]) -> list[IntentNumber]:
    return list(dict.fromkeys([number for intents in links for number, _ in intents]))


def _slots_of(found: Sequence[_Found]) -> frozenset[tuple[Lane, int]]:
    return frozenset((one.attempt.lane, one.attempt.nonce) for each in found for one in each.included)


def _text(leg: Leg) -> str:
    return leg.account if isinstance(leg.account, str) else hex_text(leg.account)
