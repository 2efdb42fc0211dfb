"""Confirmation: inclusions are provisional, reorgs flip them, finality makes outcomes (invariant 5).

One head change is one ledger transaction: heads, flipped and new inclusions, postings, foreign use and the
events that others follow. Everything is read from the chain before it, so a failure leaves nothing half done
and the same change is handled again. What the chain says is read by `finding`, stored and taken back by
`including`, and ended by `ending`: with its head where that is little, else in pieces after it (`finish`).

Several kernels may follow one chain. What is true of a lane is written by its holder alone, under its fence;
what is true of a block (the line of heads, a reorg, a balance that nothing explains) by whoever is first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from seawall.chain.heads import HeadChange
from seawall.ledger.rows import AttemptRow, InclusionRow, Leg, SlotRow
from seawall.ledger.transaction import Transaction
from seawall.primitives.blocks import Block
from seawall.primitives.bounds import HEADS_KEPT
from seawall.primitives.identifiers import IntentNumber, Lane
from seawall.primitives.units import Hash, hex_text
from seawall.risk.spending import Past
from seawall.telemetry import failpoints
from seawall.telemetry.logs import correlated, get_logger
from seawall.telemetry.metrics import Stage
from seawall.transactions.accounting import Accountant, Included
from seawall.transactions.desk import Desk
from seawall.transactions.ending import LINES_MAX, Endings, Ends
from seawall.transactions.finding import Finder, Found
from seawall.transactions.foreign import ForeignUse, NonceWatch
from seawall.transactions.including import include, unwind
from seawall.transactions.spends import past_spends

__all__ = ["Confirmer"]

_BEFORE_COMMIT = failpoints.declare("confirmation.before_commit")
_AFTER_COMMIT = failpoints.declare("confirmation.after_commit")
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Done:
    """What one head change brought or made suspect, and the first piece of what it ended."""

    ends: Ends = field(default_factory=Ends)
    suspects: frozenset[IntentNumber] = frozenset()
    rows: Sequence[InclusionRow] = ()  # new inclusions
    legs: Mapping[int, tuple[Leg, ...]] = field(default_factory=dict)  # of new inclusions


@dataclass(slots=True)
class Confirmer:
    """Handles head changes of one desk."""

    desk: Desk
    accountant: Accountant
    nonces: NonceWatch = field(init=False)
    finder: Finder = field(init=False)
    endings: Endings = field(init=False)

    def __post_init__(self) -> None:
        self.nonces = NonceWatch(self.desk)
        self.finder = Finder(self.desk, self.accountant, self.nonces)
        self.endings = Endings(self.desk, self.accountant.ours.wrapped_native)

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
        self.endings.forget()
        self.finder.load(inclusions)
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
            found = await self.finder.find(change.added)
            strays = await self.finder.strays(change)
            missed, foreign = await self.finder.overtaken(change, found, strays)
            await _BEFORE_COMMIT.reach()
            async with self.desk.turn:
                await self._store(change, [*missed, *found], foreign, strays)

    async def finish(self) -> None:
        """Store what has become safe or final and was too much for the transaction of its head, in pieces.

        A failure leaves what is whole: the rest is stored when this is called again, or with the next one."""
        piece = self.endings.piece
        while self.endings.is_more:
            async with self.desk.turn:
                if self.desk.reload_due or not self.desk.fences:
                    return
                await self._end_more(piece)
            piece *= 2

    async def _store(
        self, change: HeadChange, found: list[Found], foreign: ForeignUse, strays: dict[Hash, int]
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

        def commit(tx: Transaction) -> Ends:
            desk.require_leases(tx)
            return self.endings.end_more(tx, piece)

        with desk.parts.metrics.timing(Stage.CONFIRM):
            ends = await desk.parts.ledger.write(commit)
        await _AFTER_COMMIT.reach()
        self.endings.note(ends)

    # ------------------------------------------------------------------ the one commit

    def _commit(
        self,
        tx: Transaction,
        change: HeadChange,
        found: Sequence[Found],
        foreign: ForeignUse,
        strays: Mapping[Hash, int],
    ) -> _Done:
        now_s = self.desk.parts.clock.now_s()
        self.desk.require_leases(tx)
        suspects = unwind(tx, self.desk, change, strays, now_s)
        line = self.desk.canonical_after(change.added, change.removed)
        replaced = [h for one in found if one.followed for h in tx.heads.follow(one.block, line)]
        if replaced:  # what is true of such a block alone; what is of a lane, its holder takes back
            tx.postings.flip(replaced, lanes=())
        rows, legs = include(tx, self.desk, found, now_s)
        consumed = self.nonces.store(tx, foreign, _slots_of(found), now_s)
        ends = self.endings.end(tx, change.safe_number, change.final_number, consumed, rows, legs)
        return _Done(ends, suspects, rows, legs)

    # ------------------------------------------------------------------ after it

    def _note(
        self,
        change: HeadChange,
        found: Sequence[Found],
        foreign: ForeignUse,
        strays: Mapping[Hash, int],
        done: _Done,
    ) -> None:
        """The commit is done: bring the desk to it."""
        desk, metrics = self.desk, self.desk.parts.metrics
        desk.exclude({*(block.hash for block in change.removed), *strays})
        for one in found:
            for included in one.included:
                # In a fleet it may be settled by now, by the kernel that holds its lane.
                if included.attempt.hash in desk.unsettled:
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
        self.finder.note(change, strays)
        if done.suspects:
            for row in desk.unsettled.values():
                if any(number in done.suspects for number, _ in row.intents):
                    desk.verdicts.pop(row.number, None)
        if change.removed or strays:
            self.endings.forget()
        self.endings.take(done.rows, done.legs)
        _tell_included([(one.block, each) for one in found for each in one.included])
        self.endings.note(done.ends)
        desk.note_canonical(change.added, change.removed)
        if change.removed:
            metrics.reorged(len(change.removed))
            _log.warning("reorg", depth=len(change.removed), height=change.removed[-1].number)
        if change.added:
            desk.move_to(change.added[-1])
            metrics.head(change.added[-1])
        desk.safe_number, desk.final_number = change.safe_number, change.final_number


def _tell_included(included: Sequence[tuple[Block, Included]]) -> None:
    for block, each in included[:LINES_MAX]:
        with correlated(each.correlation_id):
            _log.info("included", hash=hex_text(each.attempt.hash), block=block.number)
    if len(included) > LINES_MAX:
        _log.info("more_included", beside=LINES_MAX, in_all=len(included))


def _slots_of(found: Sequence[Found]) -> frozenset[tuple[Lane, int]]:
    return frozenset((one.attempt.lane, one.attempt.nonce) for each in found for one in each.included)
