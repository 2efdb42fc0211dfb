"""Confirmation: inclusions are provisional, reorgs flip them, finality makes outcomes (invariant 5).

One head change is one ledger transaction: heads, flipped and new inclusions, postings, settled slots,
outcomes and the events that others follow. Everything is read from the chain before it, so a failure leaves
nothing half done and the same change is handled again.

Several kernels may follow one chain. What is true of a lane is written by its holder alone, under its fence;
what is true of a block (the line of heads, a reorg, a balance that nothing explains) by whoever is first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from seawall.chain.heads import HeadChange
from seawall.ledger.rows import AttemptRow, EventData, InclusionRow, IntentRow, Leg, PostingEntry
from seawall.ledger.transaction import Transaction
from seawall.primitives.blocks import Block
from seawall.primitives.bounds import HEADS_KEPT
from seawall.primitives.errors import EndpointError, UnavailableError, UnknownBlockError
from seawall.primitives.identifiers import IntentNumber, Lane
from seawall.primitives.levels import Finality, IntentState
from seawall.primitives.plans import ExecutorBody
from seawall.primitives.units import NATIVE, Address, Hash, hex_text
from seawall.telemetry import failpoints
from seawall.telemetry.logs import correlated, get_logger
from seawall.telemetry.metrics import Stage
from seawall.transactions.accounting import Accountant, BlockAccount, Included, realised_of
from seawall.transactions.desk import Desk

__all__ = ["Confirmer"]

_BEFORE_COMMIT = failpoints.declare("confirmation.before_commit")
_AFTER_COMMIT = failpoints.declare("confirmation.after_commit")
_FOREIGN: Final = "its nonce was used, beyond finality, by a transaction that is not ours"
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Found:
    """What one added block holds of ours."""

    block: Block
    included: tuple[Included, ...]
    account: BlockAccount
    followed: bool = True  # False: a block that the follower passed over while we were away


@dataclass(frozen=True, slots=True)
class _Settled:
    """What one head change ended."""

    slots: list[tuple[Lane, int]] = field(default_factory=list)
    intents: list[IntentRow] = field(default_factory=list)


@dataclass(slots=True)
class Confirmer:
    """Handles head changes of one desk."""

    desk: Desk
    accountant: Accountant

    async def load(self) -> None:
        """Start-up: the head of the ledger, what is not settled, and which canonical block has it."""
        chain_id = self.desk.parts.network.chain_id

        def read(tx: Transaction) -> tuple[list[AttemptRow], list[InclusionRow], list[Block]]:
            heads = tx.heads.recent(chain_id, HEADS_KEPT)
            return tx.attempts.unsettled(chain_id), tx.inclusions.unsettled(chain_id), heads

        attempts, inclusions, heads = await self.desk.parts.ledger.read(read)
        self.desk.unsettled = {row.hash: row for row in attempts}
        self.desk.included = {row.attempt_hash: row.block_hash for row in inclusions if row.canonical}
        self.desk.note_canonical(tuple(heads), ())
        self.desk.head = heads[-1] if heads else None

    async def handle(self, change: HeadChange) -> None:
        """Take one head change into the ledger and the desk. Holds the desk's turn.

        Raises `UnavailableError` or `EndpointError` when the chain could not be read; nothing is stored then.
        """
        async with self.desk.turn:
            with self.desk.parts.metrics.timing(Stage.CONFIRM):
                await self._handle(change)

    async def _handle(self, change: HeadChange) -> None:
        found = [await self._find(block) for block in change.added]
        missed, foreign = await self._overtaken(change, found)
        found = [*missed, *found]
        await _BEFORE_COMMIT.reach()
        settled = _Settled()
        if self.desk.fences:
            settled = await self.desk.parts.ledger.write(lambda tx: self._commit(tx, change, found, foreign))
        await _AFTER_COMMIT.reach()
        self._note(change, found, settled)

    async def _find(self, block: Block) -> _Found:
        hashes = [
            h for h in await self.desk.parts.client.block_transactions(block.hash) if h in self.desk.unsettled
        ]
        if not hashes:
            return _Found(block, (), BlockAccount((), ()))
        included = []
        for tx_hash, receipt in zip(hashes, await self.desk.parts.client.receipts(hashes), strict=True):
            if receipt is None or receipt.block_hash != block.hash:
                what = f"the receipt of {hex_text(tx_hash)} is not of block {block.number}"
                raise UnavailableError(
                    what, self.desk.parts.network.name, "the head is handled again at the next poll"
                )
            attempt = self.desk.unsettled[tx_hash]
            rows = await self._intents(attempt)
            holders = frozenset(holder for row in rows for holder in _holders_of(row))
            included.append(Included(attempt, receipt, holders, rows[0].correlation_id if rows else ""))
        return _Found(block, tuple(included), await self.accountant.account(block, included))

    async def _intents(self, attempt: AttemptRow) -> list[IntentRow]:
        numbers = [number for number, _ in attempt.intents]
        return await self.desk.parts.ledger.read(lambda tx: [tx.intents.get(number) for number in numbers])

    async def _overtaken(
        self, change: HeadChange, found: Sequence[_Found]
    ) -> tuple[list[_Found], list[AttemptRow]]:
        """Slots whose nonce is used at the final block though no block that we followed explains it.

        Either a block was passed over while we were away (its receipt tells), or the key was used by
        somebody else."""
        if change.final_number <= self.desk.final_number:
            return [], []
        mined = {(i.attempt.lane, i.attempt.nonce) for one in found for i in one.included}
        suspects = [row for row in await self._consumed_at_head(change) if (row.lane, row.nonce) not in mined]
        if not suspects:
            return [], []
        client = self.desk.parts.client
        final = await client.block_by_number(change.final_number)
        if final is None:
            what = f"final block {change.final_number} is not known"
            raise UnavailableError(
                what, self.desk.parts.network.name, "the head is handled again at the next poll"
            )
        try:
            nonces = {
                lane: await client.nonce_at(lane.key, final.hash) for lane in {row.lane for row in suspects}
            }
        except (EndpointError, UnknownBlockError) as trouble:
            # A node that keeps few states may not have the final one: it is asked again when finality moves,
            # and the chain goes on.
            _log.warning("final_state_missing", block=change.final_number, cause=str(trouble))
            return [], []
        missed: dict[Hash, _Found] = {}
        foreign = []
        for row in suspects:
            if row.nonce >= nonces[row.lane]:
                continue
            siblings = [
                h for h, r in self.desk.unsettled.items() if (r.lane, r.nonce) == (row.lane, row.nonce)
            ]
            receipts = [r for r in await client.receipts(siblings) if r is not None]
            if not receipts:
                foreign.append(row)
            for receipt in receipts:
                if receipt.block_hash not in missed:
                    block = await client.block_by_hash(receipt.block_hash)
                    if block is None or block.number > change.final_number:
                        what = f"block {hex_text(receipt.block_hash)} of a receipt is not known, or not final"
                        raise UnavailableError(
                            what, self.desk.parts.network.name, "the head is handled again"
                        )
                    missed[block.hash] = replace(await self._find(block), followed=False)
        return list(missed.values()), foreign

    async def _consumed_at_head(self, change: HeadChange) -> list[AttemptRow]:
        """Unlanded attempts whose nonce the head has passed: rare, so that the state of the final block,
        which is older, is seldom needed."""
        head = change.added[-1] if change.added else self.desk.head
        unlanded = self.desk.unlanded()
        if head is None or not unlanded:
            return []
        client = self.desk.parts.client
        nonces = {lane: await client.nonce_at(lane.key, head.hash) for lane in {row.lane for row in unlanded}}
        return [row for row in unlanded if row.nonce < nonces[row.lane]]

    def _commit(
        self, tx: Transaction, change: HeadChange, found: Sequence[_Found], foreign: Sequence[AttemptRow]
    ) -> _Settled:
        chain_id, now_s = self.desk.parts.network.chain_id, self.desk.parts.clock.now_s()
        self.desk.require_leases(tx)
        held = self.desk.fences.keys()
        if change.removed:
            self._unwind(tx, change, now_s)
        line = self.desk.canonical_after(change.added, change.removed)
        for one in found:
            if one.followed:
                tx.heads.follow(one.block, line)
            self._include(tx, one, now_s)
        for row in tx.inclusions.set_finality(chain_id, change.safe_number, Finality.SAFE, held):
            self._event(tx, "inclusion.safe", row, now_s)
        settled = _Settled()
        for row in tx.inclusions.set_finality(chain_id, change.final_number, Finality.FINAL, held):
            self._settle(tx, row, settled, now_s)
        for attempt in foreign:
            if attempt.lane not in held:
                continue
            tx.slots.settle(attempt.lane, attempt.nonce, None)
            for number, _ in self._slot_intents(tx, attempt.lane, attempt.nonce):
                settled.intents.append(self._outcome(tx, number, IntentState.CANCELLED, _FOREIGN, now_s))
            self._release(tx, attempt.lane, attempt.nonce)
            settled.slots.append((attempt.lane, attempt.nonce))
        return settled

    def _unwind(self, tx: Transaction, change: HeadChange, now_s: int) -> None:
        hashes = [block.hash for block in change.removed]
        held = self.desk.fences.keys()
        flipped = tx.inclusions.flip(hashes, held)
        tx.postings.flip(hashes, held)
        is_first = tx.heads.remove(hashes) > 0
        chain_id = self.desk.parts.network.chain_id
        data: EventData = {
            "depth": len(hashes),
            "from": change.removed[-1].number,
            "transactions": len(flipped),
        }
        if is_first or flipped:
            tx.events.append("reorg", chain_id, str(chain_id), None, data, now_s)
        for row in flipped:
            self._event(tx, "inclusion.removed", row, now_s)

    def _include(self, tx: Transaction, found: _Found, now_s: int) -> None:
        chain_id = self.desk.parts.network.chain_id
        held = self.desk.fences.keys()
        own = [entry for entry in found.account.entries if entry.included.attempt.lane in held]
        for entry in own:
            receipt = entry.included.receipt
            row = tx.inclusions.insert(
                entry.included.attempt.hash,
                found.block,
                receipt.index,
                receipt.status,
                receipt.gas_used,
                receipt.effective_gas_price_wei,
                receipt.fee_wei,
            )
            intents = [number for number, _ in entry.included.attempt.intents]
            tx.postings.book(
                PostingEntry(
                    "inclusion", chain_id, found.block.number, found.block.hash, entry.legs, row.number,
                    intents[0] if intents else None,
                )
            )  # fmt: skip
            self._event(tx, "inclusion.added", row, now_s)
        if own and not found.account.is_proved:
            why: EventData = {"block": found.block.number, "why": "its state is not kept any more"}
            tx.events.append("unproved", chain_id, hex_text(found.block.hash), None, why, now_s)
        booked = {row.entry.kind for row in tx.postings.in_block(found.block.hash)} if own else set()
        if own and found.account.unexplained and "unexplained" not in booked:
            legs = found.account.unexplained
            tx.postings.book(
                PostingEntry("unexplained", chain_id, found.block.number, found.block.hash, legs)
            )
            for leg in legs[::2]:
                data: EventData = {
                    "account": _text(leg),
                    "token": hex_text(leg.token),
                    "difference": str(leg.delta),
                }
                tx.events.append("unexplained", chain_id, hex_text(found.block.hash), None, data, now_s)

    def _settle(self, tx: Transaction, row: InclusionRow, settled: _Settled, now_s: int) -> None:
        """A final inclusion consumes its slot: its own intents landed or failed, others of the slot are
        cancelled."""
        tx.slots.settle(row.lane, row.nonce, row.attempt_hash)
        winner = tx.attempts.by_hash(row.attempt_hash)
        assert winner is not None
        own = {number for number, _ in winner.intents}
        for number in own:
            state = IntentState.LANDED if row.status else IntentState.FAILED
            self._realise(tx, number)
            reason = "" if row.status else "it reverted on chain"
            settled.intents.append(self._outcome(tx, number, state, reason, now_s))
        for number, _ in self._slot_intents(tx, row.lane, row.nonce):
            if number not in own:
                reason = tx.intents.get(number).reason or "its nonce was filled"
                settled.intents.append(self._outcome(tx, number, IntentState.CANCELLED, reason, now_s))
        self._release(tx, row.lane, row.nonce)
        settled.slots.append((row.lane, row.nonce))

    def _release(self, tx: Transaction, lane: Lane, nonce: int) -> None:
        for attempt in tx.attempts.of_slot(lane, nonce):
            tx.reservations.release(attempt)

    def _slot_intents(self, tx: Transaction, lane: Lane, nonce: int) -> list[tuple[IntentNumber, int]]:
        pairs = [pair for attempt in tx.attempts.of_slot(lane, nonce) for pair in attempt.intents]
        return list(dict.fromkeys(pairs))

    def _realise(self, tx: Transaction, number: IntentNumber) -> None:
        intent = tx.intents.get(number)
        wrapped = self.accountant.ours.wrapped_native
        token = intent.plan.accounting_token
        native_like = token in (NATIVE, wrapped)
        tokens = frozenset({NATIVE, wrapped or NATIVE}) if native_like else frozenset({token})
        legs = [
            leg
            for posting in tx.postings.of_intent(number)
            if posting.canonical
            for leg in posting.entry.legs
        ]
        realised = realised_of(legs, _holders_of(intent), tokens)
        tx.intents.set_profit(number, intent.predicted_wei, realised)

    def _outcome(
        self, tx: Transaction, number: IntentNumber, state: IntentState, reason: str, now_s: int
    ) -> IntentRow:
        tx.intents.set_state(number, state, reason, Finality.FINAL, now_s)
        intent = tx.intents.get(number)
        tx.events.append(
            f"intent.{state}", intent.lane.chain_id, intent.strategy, number, {"reason": reason}, now_s
        )
        return intent

    def _event(self, tx: Transaction, kind: str, row: InclusionRow, now_s: int) -> None:
        attempt = tx.attempts.by_hash(row.attempt_hash)
        assert attempt is not None
        data: EventData = {
            "hash": hex_text(row.attempt_hash),
            "block": row.block_number,
            "block_hash": hex_text(row.block_hash),
            "status": row.status,
        }
        intents: list[IntentNumber | None] = [number for number, _ in attempt.intents] or [None]
        for number in intents:
            subject = tx.intents.get(number).strategy if number is not None else str(row.lane)
            tx.events.append(kind, self.desk.parts.network.chain_id, subject, number, data, now_s)

    def _note(self, change: HeadChange, found: Sequence[_Found], settled: _Settled) -> None:
        """The commit is done: bring the desk to it."""
        desk, metrics = self.desk, self.desk.parts.metrics
        gone = {block.hash for block in change.removed}
        desk.included = {h: block_hash for h, block_hash in desk.included.items() if block_hash not in gone}
        for one in found:
            for included in one.included:
                desk.included[included.attempt.hash] = one.block.hash
                metrics.included(included.receipt.status)
                if not included.receipt.status:
                    # Whoever was judged on top of its success is judged anew before a write.
                    desk.verdicts.clear()
                with correlated(included.correlation_id):
                    _log.info("included", hash=hex_text(included.attempt.hash), block=one.block.number)
            metrics.unexplained(len(one.account.unexplained) // 2)
        for intent in settled.intents:
            metrics.ended(intent.state)
            if intent.realised_wei is not None:
                metrics.realised(intent.strategy, intent.realised_wei)
            with correlated(intent.correlation_id):
                _log.info("intent_ended", intent=intent.number, state=intent.state, reason=intent.reason)
        done = set(settled.slots)
        for tx_hash, row in list(desk.unsettled.items()):
            if (row.lane, row.nonce) in done:
                del desk.unsettled[tx_hash]
                desk.included.pop(tx_hash, None)
                desk.verdicts.pop(row.number, None)
                desk.correlations.pop(row.number, None)
        desk.note_canonical(change.added, change.removed)
        if change.removed:
            metrics.reorged(len(change.removed))
            _log.warning("reorg", depth=len(change.removed), height=change.removed[-1].number)
        if change.added:
            desk.move_to(change.added[-1])
            metrics.head(change.added[-1])
        desk.safe_number, desk.final_number = change.safe_number, change.final_number


def _holders_of(intent: IntentRow) -> frozenset[Address]:
    """Addresses of ours that the plan pays from or to."""
    body = intent.plan.body
    if isinstance(body, ExecutorBody):
        return frozenset({intent.lane.key, body.beneficiary, body.executor})
    return frozenset({intent.lane.key})


def _text(leg: Leg) -> str:
    return leg.account if isinstance(leg.account, str) else hex_text(leg.account)
