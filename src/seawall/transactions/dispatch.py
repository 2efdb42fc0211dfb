"""From the queues of all lanes of a chain to committed attempts: take, judge, sign, commit (invariant 3).

One batch is what is ready now, the most urgent first over all lanes: simulated one upon the other, signed in
memory, and stored by ONE fenced ledger transaction. While it is being committed the next batch is prepared on
top of it, and dropped if that commit does not happen. Failing before the commit consumes nothing and leaves
no gap. A refusal is final. *Stale* and *unavailable* are not refusals: the candidate is built again after a
pause, a bounded number of times, until the intent's deadline.

A lane whose key is kept elsewhere goes this way twice: judged to be signed outside the turn (`remote`), and
judged again, the very bytes that were signed, in the batch that commits them.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from seawall.ledger.rows import IntentRow
from seawall.ledger.transaction import Transaction
from seawall.native.wire import SignedTransaction
from seawall.primitives.bounds import DISPATCH_BATCH_MAX, REBUILDS_MAX
from seawall.primitives.errors import (
    SeawallError,
    SignerError,
    StaleError,
    UnavailableError,
)
from seawall.primitives.identifiers import IntentNumber, Lane
from seawall.primitives.levels import Authority, IntentState
from seawall.signers.together import sign_together
from seawall.telemetry import failpoints
from seawall.telemetry.logs import get_logger
from seawall.telemetry.metrics import Stage
from seawall.transactions.alternatives import Alternatives
from seawall.transactions.batches import BatchJudging, GasBook, Judged, read_data_fees
from seawall.transactions.committing import Batch, Committer, Signed, Stance
from seawall.transactions.desk import Desk
from seawall.transactions.lanes import LaneRunner
from seawall.transactions.queue import Queues, pause_s
from seawall.transactions.remote import (
    ASKED_AT_ONCE_MAX,
    SIGNER_REST_S,
    RemoteSigning,
    SignedAhead,
    request_of,
)
from seawall.transactions.segments import adjacent
from seawall.transactions.waiting import Ended, Waiting, store_endings
from seawall.transactions.writing import Outbox

__all__ = ["DRY_RUN", "Dispatcher"]

DRY_RUN: Final = "dry_run"
# Batches that one turn of the desk makes, before a new head may have its turn.
BATCHES_PER_TURN_MAX: Final = 4

_AFTER_VERDICT = failpoints.declare("transactions.after_verdict")
_AFTER_SIGNATURE = failpoints.declare("transactions.after_signature")
_log = get_logger(__name__)


@dataclass(slots=True)
class Dispatcher:
    """All lanes of one desk."""

    desk: Desk
    runners: Mapping[Lane, LaneRunner]
    queues: Queues
    outbox: Outbox
    waiting: Waiting
    committer: Committer = field(init=False)
    remote: RemoteSigning = field(init=False)
    alternatives: Alternatives = field(init=False)
    _resting: dict[Lane, float] = field(default_factory=dict)  # lanes whose signer failed, until when
    _gas: GasBook = field(default_factory=GasBook)
    # Of batches that are prepared and not committed: the next nonce of each lane.
    _ahead: dict[Lane, int] = field(default_factory=dict)
    _stirred: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        parts = self.desk.parts
        self.committer = Committer(self.desk, self.runners, self.queues, self.outbox, self.waiting)
        self.remote = RemoteSigning(self.queues, parts.clock, parts.metrics)
        self.alternatives = Alternatives(self.desk, self.queues)
        self.queues.sift = self.alternatives.sift

    def stir(self) -> None:
        """Something may have become ready: it need not wait for the batch that is being committed."""
        self._stirred.set()

    async def step(self) -> bool:
        """Take what is ready as far as it goes now. True if something moved, so that stepping again may
        help."""
        async with self.desk.turn:
            if not await self._knows_what_is_committed():
                return False
            self.desk.base()
            now_s = self.desk.parts.clock.now_s()
            self.remote.let_go(now_s)
            self.alternatives.let_go(now_s)
            moved = await self.waiting.tidy(self.runners)
            if self.desk.authority is Authority.HALT or not await self.desk.is_mended():
                return False
            committed = await self._batches()
            refused = await self._propose()
            joined = await self.alternatives.step(self.runners)
            return committed or refused or joined or moved or self.committer.is_behind

    async def _knows_what_is_committed(self) -> bool:
        if self.committer.is_behind and self.committer.learn is not None and not self.desk.reload_due:
            self.committer.is_behind = False
            if await self.committer.learn():
                self.desk.unready()
        return not self.desk.reload_due

    async def _batches(self) -> bool:
        """Prepare one batch while the one before it is committed."""
        moved = False
        commit: asyncio.Task[bool] | None = None
        try:
            for _ in range(BATCHES_PER_TURN_MAX):
                try:
                    batch = await self._prepare_beside(commit)
                except BaseException:
                    if commit is not None:
                        await commit  # the one before stands on its own, and the turn lasts until its end
                    raise
                try:
                    happened = commit is None or await commit
                except BaseException:
                    self.queues.give_back(batch.rows if batch is not None else ())
                    raise
                if not happened:
                    self._drop(batch)
                    return False
                commit = None
                if batch is None:
                    return moved
                moved = True
                commit = asyncio.create_task(self.committer.commit(batch))
                commit.add_done_callback(lambda _: self.stir())
                if self.desk.turn.is_wanted or self.desk.known_attempts is not None:
                    break  # in a fleet a commit may have to be looked at again before anything stands on it
            return commit is None or await commit
        finally:
            self._ahead.clear()
            self.desk.parts.gate.book.release()

    # ------------------------------------------------------------------ prepare

    async def _prepare_beside(self, commit: asyncio.Task[bool] | None) -> Batch | None:
        """What is ready, or else the first that becomes ready while `commit` is under way."""
        batch = await self._prepare()
        while batch is None and commit is not None:
            self._stirred.clear()
            if not commit.done():
                await self._stirred.wait()
            if commit.done() or self.desk.turn.is_wanted:
                return None
            batch = await self._prepare()
        return batch

    async def _prepare(self) -> Batch | None:
        """Take the best of what is ready, judge it, and sign what was admitted. None: nothing is ready."""
        # One look at authority for the whole batch: HALT refuses nothing, it lets everything wait, and what
        # moves after this look drops the batch at its commit.
        stance = Stance(self.desk.epoch, self.desk.parts.latch.changes, self.desk.authority)
        if stance.authority is Authority.HALT:
            return None
        signed = self._take_signed()
        rows = [*(one.row for one in signed.values()), *self._take(DISPATCH_BATCH_MAX, is_local=True)]
        if not rows:
            return None
        try:
            return await self._batch_of(rows, stance, signed)
        except BaseException:
            # Candidates may stand on the overlay that no batch holds any more.
            self.queues.give_back(rows)
            self.desk.unready()
            raise

    async def _batch_of(
        self, rows: list[IntentRow], stance: Stance, signed: Mapping[IntentNumber, SignedAhead]
    ) -> Batch:
        desk = self.desk
        segments_max = desk.parts.segments_max
        if segments_max > 1:
            rows = adjacent(rows)
        work = await self._judged(rows, stance.authority, signed, segments_max)
        self.queues.give_back(work.untouched)
        await self._put_off(work.put_off)
        await _AFTER_VERDICT.reach()
        fences = {row.lane: self.runners[row.lane].fence for row in rows}
        batch = Batch(stance, fences, frozenset(work.reads or ()))
        batch.ended += [(row, IntentState.REFUSED, why, None) for row, why in work.unjudgeable]
        admitted: list[Judged] = []
        desk.parts.metrics.judged(*(one.verdict for each in work.judged for one in each.segments))
        for one in work.judged:
            if not one.verdict.admitted:
                batch.ended.append((one.row, IntentState.REFUSED, one.verdict.explanation, one))
            elif one.row.lane in work.dry:
                batch.ended.append((one.row, IntentState.CANCELLED, DRY_RUN, one))
            else:
                admitted.append(one)
        await self._sign(batch, admitted, signed)
        return batch

    def _take_signed(self) -> dict[IntentNumber, SignedAhead]:
        """What was signed elsewhere, of lanes that may go on."""
        lanes = [lane for lane in self.remote.lanes if self.runners[lane].may_dispatch]
        return {one.row.number: one for lane in lanes for one in self.remote.take(lane, self.desk.room(lane))}

    def _take(self, limit: int, *, is_local: bool) -> list[IntentRow]:
        rooms = {}
        monotonic_s = self.desk.parts.clock.monotonic_s()
        for lane, runner in self.runners.items():
            if runner.is_local is not is_local or self.remote.is_busy(lane):
                continue
            if runner.may_dispatch and self._resting.get(lane, monotonic_s) <= monotonic_s:
                waiting = max(0, self._ahead.get(lane, 0) - self.desk.next_nonce(lane, 0))
                room = self.desk.room(lane) - (waiting if lane in self._ahead else 0)
                rooms[lane] = room if is_local else min(room, ASKED_AT_ONCE_MAX)
        return self.queues.take(rooms, self.desk.parts.clock.now_s(), limit)

    async def _judged(
        self,
        rows: list[IntentRow],
        authority: Authority,
        signed: Mapping[IntentNumber, SignedAhead],
        segments_max: int = 1,
    ) -> BatchJudging:
        desk = self.desk
        fees = await desk.fee_quotes()
        await read_data_fees(desk, rows)
        nonces = {}
        for lane in {row.lane: None for row in rows}:
            from_slots = desk.next_nonce(lane, await desk.nonce_at_head(lane))
            nonces[lane] = max(from_slots, self._ahead.get(lane, 0))
        work = BatchJudging(
            desk=desk,
            rows=rows,
            nonces=nonces,
            dry=frozenset(lane for lane in nonces if self.runners[lane].signer is None),
            fees=fees,
            fee_cap_wei=desk.parts.gate.limits.max_fee_per_gas_wei,
            authority=authority,
            gas=self._gas,
            now_s=desk.parts.clock.now_s(),
            reads=None if desk.known_attempts is None else set(),
            signed={number: one.candidate for number, one in signed.items()},
            segments_max=segments_max,
        )
        with desk.parts.metrics.timing(Stage.JUDGE):
            try:
                await desk.parts.simulator.drive(work, work.payloads_ahead(), is_short=work.is_short)
            except (UnavailableError, StaleError) as cause:
                work.stop(cause)
        self._ahead.update(work.nonces)
        return work

    async def _sign(
        self, batch: Batch, admitted: Sequence[Judged], ahead: Mapping[IntentNumber, SignedAhead]
    ) -> None:
        """Sign per lane what is not signed. If one cannot be signed, or is not in force any more by then, all
        are built again: those beside it stood on the same overlay. Nothing is consumed by that."""
        by_lane: dict[Lane, list[Judged]] = defaultdict(list)
        signatures: dict[IntentNumber, SignedTransaction] = {}
        for one in admitted:
            if (known := ahead.get(one.row.number)) is None:
                by_lane[one.row.lane].append(one)
                continue
            assert request_of(known.candidate) == request_of(one.candidate), "these bytes were judged"
            signatures[one.row.number] = known.signed
        failed: SignerError | None = None
        until_s = self.desk.parts.clock.monotonic_s() + SIGNER_REST_S
        asked = []
        for lane, several in by_lane.items():
            signer = self.runners[lane].signer
            assert signer is not None
            asked.append((signer, [request_of(one.candidate) for one in several]))
        with self.desk.parts.metrics.timing(Stage.SIGN):
            answers = await sign_together(asked, self.desk.parts.offload)
        for (lane, several), answer in zip(by_lane.items(), answers, strict=True):
            if isinstance(answer, SignerError):
                failed, self._resting[lane] = answer, until_s
            else:
                signatures.update((one.row.number, s) for one, s in zip(several, answer, strict=True))
        await _AFTER_SIGNATURE.reach()
        if failed or not self.desk.all_in_force([one.verdict for one in admitted]):
            why = str(failed or "a verdict is not in force any more")
            _log.info("candidates_dropped", cause=why, count=len(admitted))
            # What was refused on top of them was refused for what will not be.
            refused = [row for row, _, _, one in batch.ended if one is not None]
            self.queues.give_back([*(one.row for each in admitted for one in each.segments), *refused])
            batch.ended = [ended for ended in batch.ended if ended[3] is None]
            batch.is_dropped = True
            return
        # Stored in the order in which they were judged: each stands on those before it.
        batch.signed += [Signed(one, signatures[one.row.number]) for one in admitted]

    # ------------------------------------------------------------------ keys elsewhere

    async def _propose(self) -> bool:
        """Judge what is ready on lanes whose keys are kept elsewhere, and have signed what was admitted: it
        leaves the overlay again, to be judged when it is committed. True if something ended."""
        stance = Stance(self.desk.epoch, self.desk.parts.latch.changes, self.desk.authority)
        # Off the overlay again, they leave it to be built anew, which takes a base that is the head.
        is_open = self.desk.is_ready and self.desk.is_on_head
        rows = self._take(DISPATCH_BATCH_MAX, is_local=False) if is_open else []
        if not rows:
            return False
        try:
            work = await self._judged(rows, stance.authority, {})
            self.queues.give_back(work.untouched)
            await self._put_off(work.put_off)
            has_ended = await self._end_refused(work, stance)
        except BaseException:
            self.queues.give_back(rows)
            raise
        finally:
            self.desk.unready()
            self._ahead.clear()
            self.desk.parts.gate.book.release()
        admitted = [one for one in work.judged if one.verdict.admitted]
        if not self.desk.all_in_force([one.verdict for one in admitted]):
            # Their time is over, or the head is far ahead of the base: nobody is asked before the next turn.
            self.queues.give_back(one.row for one in admitted)
            return has_ended
        by_lane: dict[Lane, list[Judged]] = defaultdict(list)
        for one in admitted:
            by_lane[one.row.lane].append(one)
        for lane, several in by_lane.items():
            signer = self.runners[lane].signer
            assert signer is not None
            self.remote.ask(lane, signer, several)
        await self.desk.is_mended()
        return has_ended

    async def _end_refused(self, work: BatchJudging, stance: Stance) -> bool:
        """Store the refusals of what was judged for a signature. One that stands on what may never be
        committed is none: it is judged again."""
        fences = {row.lane: self.runners[row.lane].fence for row in work.rows}
        batch = Batch(stance, fences, frozenset(work.reads or ()))
        batch.ended += [(row, IntentState.REFUSED, why, None) for row, why in work.unjudgeable]
        is_first = True
        for one in work.judged:
            is_first = is_first and not one.verdict.admitted
            if is_first:
                self.desk.parts.metrics.judged(one.verdict)
                batch.ended.append((one.row, IntentState.REFUSED, one.verdict.explanation, one))
            elif not one.verdict.admitted:
                self.queues.give_back((one.row,))
        return bool(batch.ended) and await self.committer.commit(batch)

    # ------------------------------------------------------------------ what goes no further now

    def _drop(self, batch: Batch | None) -> None:
        """What was prepared on top of a batch that was not committed."""
        if batch is not None:
            self.queues.give_back(batch.rows)
        self.desk.unready()

    async def _put_off(self, several: Sequence[tuple[IntentRow, SeawallError]]) -> None:
        """Count the tries; past the bound an intent expires with its last cause."""
        if not several:
            return
        clock = self.desk.parts.clock
        rows = {row.number: (row, f"{type(cause).__name__}: {cause}") for row, cause in several}
        fences = {row.lane: self.runners[row.lane].fence for row, _ in several}
        now_s = clock.now_s()

        def commit(tx: Transaction) -> tuple[list[int], list[Ended]]:
            tx.lanes.require_all(fences)
            counted = tx.intents.counted_many(list(rows))
            over = [one for one, tries in zip(rows.values(), counted, strict=True) if tries >= REBUILDS_MAX]
            return counted, store_endings(tx, [(r, IntentState.EXPIRED, why, None) for r, why in over], now_s)

        counted, told = await self.desk.parts.ledger.write(commit)
        for (row, why), tries in zip(rows.values(), counted, strict=True):
            _log.warning("candidate_put_off", intent=row.number, tries=tries, cause=why)
            if tries >= REBUILDS_MAX:
                self.queues.done(row)
            else:
                until_s = clock.monotonic_s() + pause_s(tries)
                self.queues.put_off(replace(row, candidates=tries), until_s, why)
        if told:
            self.desk.parts.metrics.ended(IntentState.EXPIRED, len(told))
