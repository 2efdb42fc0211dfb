"""Foreign use of our keys: nonces that the chain has used and no canonical hash of ours explains (TX-3).

At each head, and per lane that this kernel holds, every nonce from the final block's to the head's is
accounted for. What nothing of ours explains is a *sighting*, with the block in which it was first seen:

    no slot of ours     a provisional foreign slot is stored
    a slot of ours      it is marked as overtaken; its bytes stay watched, for a reorg may bring them back

It is told at once (`slot.foreign`, a metric, a warning), and taken back by the reorg that removes its block.
Beyond finality the slot is settled: only then is the fate of its intent decided, and only if it is proved
whose transaction used the nonce may the intent have another one. A plan of the executor need not wait for
that: it is queued again at once, and committed as before if a reorg takes the sighting back (`moving`).

That a transaction of ours is *unknown* decides something here, so one endpoint's word is not enough: nonces
and receipts are what enough endpoints agree on, and while they do not, nothing is decided. A receipt that
turns up (a block was passed over while we were away) makes it an inclusion like any other."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from seawall.chain.client import Receipt
from seawall.chain.heads import HeadChange
from seawall.chain.uses import use_of
from seawall.ledger.rows import EventData, NewEvent, SlotRow
from seawall.ledger.transaction import Transaction
from seawall.primitives.blocks import Block
from seawall.primitives.errors import EndpointError, UnavailableError, UnknownBlockError
from seawall.primitives.identifiers import IntentNumber, Lane
from seawall.primitives.levels import IntentState
from seawall.primitives.units import Hash, hex_text
from seawall.telemetry.logs import get_logger
from seawall.transactions.desk import Desk
from seawall.transactions.moving import movable, queue_again, stay_committed
from seawall.transactions.settling import Consumed

__all__ = ["NONCES_LOOKED_AT_MAX", "PROOF_TRIES_MAX", "ForeignUse", "NonceWatch", "Sighting"]

# Of a key that somebody else uses a lot, only so many nonces below the head are looked at one by one.
NONCES_LOOKED_AT_MAX: Final = 1_024
# So often a final use is tried to be proved while the chain cannot be read; then it counts as not proved.
PROOF_TRIES_MAX: Final = 8
_log = get_logger(__name__)

Slot = tuple[Lane, int]


@dataclass(frozen=True, slots=True)
class Sighting:
    """A nonce that somebody else used, and the head at which that was seen first."""

    lane: Lane
    nonce: int
    block_hash: Hash
    block_number: int | None  # None: loaded from the ledger, and too old to be among its heads
    is_ours: bool  # a slot of ours has this nonce
    used_by: Hash | None = None  # the transaction that used it, beyond finality and proved


@dataclass(frozen=True, slots=True)
class ForeignUse:
    """What one look found: to be stored with the head change that it was made at."""

    new: tuple[Sighting, ...] = ()
    final: tuple[Sighting, ...] = ()
    missed: tuple[tuple[Block, Receipt], ...] = ()  # ours after all, in a block that was not looked at
    gone: frozenset[Hash] = frozenset()  # what was seen in these blocks is not so any more
    accounted: Mapping[Lane, int] = field(default_factory=dict)  # nonces below these need no further look


@dataclass(slots=True)
class NonceWatch:
    """The nonces of one desk's lanes: `look` reads the chain, `store` writes, `note` follows the commit."""

    desk: Desk
    sightings: dict[Slot, Sighting] = field(default_factory=dict)
    _accounted: dict[Lane, int] = field(default_factory=dict)
    _tries: dict[Slot, int] = field(default_factory=dict)  # to prove a use, while the chain could not be read

    def load(self, slots: Iterable[SlotRow], heads: Sequence[Block]) -> None:
        """Start-up: what was seen before. Nothing is accounted for until it is looked at."""
        numbers = {block.hash: block.number for block in heads}
        self.sightings = {
            (row.lane, row.nonce): Sighting(
                row.lane, row.nonce, row.block_hash, numbers.get(row.block_hash), row.purpose != "foreign"
            )
            for row in slots
            if row.block_hash is not None and not row.final
        }
        self._accounted.clear()

    async def look(self, change: HeadChange, included: Collection[Hash]) -> ForeignUse:
        """Account for every nonce up to the new head; `included` are our hashes that its branch has.

        Raises `EndpointError` or `UnavailableError` if the chain cannot be read now."""
        at_head = await self._nonces_at_head(change)
        # Somebody said that a nonce was used, and the head says that it was not: taken back like a reorg's.
        false = [s for s in self.sightings.values() if s.nonce >= at_head.get(s.lane, s.nonce + 1)]
        gone = frozenset((*(block.hash for block in change.removed), *(s.block_hash for s in false)))
        known = {slot: s for slot, s in self.sightings.items() if s.block_hash not in gone}
        accounted = dict(at_head)
        new: list[Sighting] = []
        missed: list[tuple[Block, Receipt]] = []
        for lane, nonce in at_head.items():
            low = None if gone else self._accounted.get(lane)
            nonces: Iterable[int]
            nonces = await self._all_nonces(lane, change, nonce) if low is None else range(low, nonce)
            head = change.added[-1] if change.added else self.desk.head
            assert head is not None
            unexplained = self._unexplained(lane, nonces, head, included, known)
            if unexplained:
                seen, found = await self._told_apart(unexplained, change, accounted)
                new, missed = new + seen, missed + found
        new = await self._not_settled(new)
        final: list[Sighting] = []
        if change.final_number > self.desk.final_number:
            final, found = await self._final(change, known)
            missed += [one for one in found if one not in missed]
        return ForeignUse(tuple(new), tuple(final), tuple(missed), gone, accounted)

    # ------------------------------------------------------------------ what nothing explains

    async def _nonces_at_head(self, change: HeadChange) -> dict[Lane, int]:
        """Of every lane at a new head; without one, of lanes that were just loaded."""
        head = change.added[-1] if change.added else self.desk.head
        lanes = [lane for lane in sorted(self.desk.fences) if change.added or lane not in self._accounted]
        if head is None or not lanes:
            return {}
        nonces = await self.desk.parts.client.nonces_at([lane.key for lane in lanes], head.hash)
        return dict(zip(lanes, nonces, strict=True))

    def _unexplained(
        self,
        lane: Lane,
        nonces: Iterable[int],
        head: Block,
        included: Collection[Hash],
        known: Mapping[Slot, Sighting],
    ) -> list[Sighting]:
        found = []
        for nonce in nonces:
            hashes = self.desk.hashes_of(lane, nonce)
            if (lane, nonce) not in known and not any(h in included for h in hashes):
                found.append(Sighting(lane, nonce, head.hash, head.number, bool(hashes)))
        return found

    async def _all_nonces(self, lane: Lane, change: HeadChange, at_head: int) -> Iterable[int]:
        """Everything that is not settled: from the nonce at the final block on, and before it what has a slot
        of ours. Where the final block's state is not kept, only what has a slot of ours."""
        ours = sorted(nonce for nonce in self.desk.open_nonces(lane) if nonce < at_head)
        try:
            final = await self.desk.parts.client.block_by_number(change.final_number)
            if final is None:
                return ours
            low = await self.desk.parts.client.nonce_at(lane.key, final.hash)
        except (EndpointError, UnknownBlockError) as trouble:
            _log.warning("final_state_missing", block=change.final_number, cause=str(trouble))
            return ours
        low = max(low, at_head - NONCES_LOOKED_AT_MAX)
        return [*(nonce for nonce in ours if nonce < low), *range(low, at_head)]

    async def _told_apart(
        self, unexplained: Sequence[Sighting], change: HeadChange, accounted: dict[Lane, int]
    ) -> tuple[list[Sighting], list[tuple[Block, Receipt]]]:
        """Somebody else's use, and our own transactions in blocks that were not looked at. One that is in a
        block which is neither followed nor final waits: its nonce stays to be accounted for."""
        ours = [one for one in unexplained if one.is_ours]
        receipts = await self._receipts(ours)
        new, missed = [one for one in unexplained if not one.is_ours], []
        for sighting in ours:
            receipt = None if receipts is None else receipts.get((sighting.lane, sighting.nonce))
            block = None if receipt is None else await self._settled_block(receipt, change)
            if receipt is not None and block is not None:
                missed.append((block, receipt))
            elif receipts is None or receipt is not None:
                accounted[sighting.lane] = min(accounted[sighting.lane], sighting.nonce)
            else:
                new.append(sighting)
        return new, missed

    async def _not_settled(self, new: Sequence[Sighting]) -> list[Sighting]:
        """Without what the ledger has as final: an endpoint that lags shows an older final block than the one
        that it was settled by."""
        strange = [one for one in new if not one.is_ours]
        if not strange:
            return list(new)
        rows = await self.desk.parts.ledger.read(
            lambda tx: [tx.slots.get(one.lane, one.nonce) for one in strange]
        )
        settled = {(row.lane, row.nonce) for row in rows if row is not None and row.final}
        return [one for one in new if (one.lane, one.nonce) not in settled]

    async def _receipts(self, sightings: Sequence[Sighting]) -> dict[Slot, Receipt] | None:
        """Of each slot, the receipt of whichever hash of it is in a block; None while endpoints do not say
        the same, so that nothing is decided."""
        wanted = {(one.lane, one.nonce) for one in sightings}
        hashes = {h: s for h, row in self.desk.unsettled.items() if (s := (row.lane, row.nonce)) in wanted}
        try:
            receipts = await self.desk.parts.client.receipts(list(hashes))
        except UnavailableError as trouble:
            _log.warning("foreign_use_undecided", slots=len(wanted), cause=str(trouble))
            return None
        return {hashes[receipt.transaction_hash]: receipt for receipt in receipts if receipt is not None}

    async def _settled_block(self, receipt: Receipt, change: HeadChange) -> Block | None:
        """The block that a receipt names, if it is on our branch or final, and has what the receipt says."""
        client = self.desk.parts.client
        followed = receipt.block_hash in self.desk.canonical_after(change.added, change.removed)
        if not followed and receipt.block_number > change.final_number:
            return None
        block = await client.block_by_hash(receipt.block_hash)
        if block is not None and not followed:
            (present,) = await client.blocks([block.number])
            block = None if present is None or present.hash != block.hash else block
        if block is None:
            return None
        (body,) = await client.bodies([block.hash])
        row = self.desk.unsettled[receipt.transaction_hash]
        listed = await client.proved_list(body, {row.hash: row.raw})
        return block if receipt.transaction_hash in listed else None

    # ------------------------------------------------------------------ beyond finality

    async def _final(
        self, change: HeadChange, known: Mapping[Slot, Sighting]
    ) -> tuple[list[Sighting], list[tuple[Block, Receipt]]]:
        """Sightings that finality has reached, and what was ours after all."""
        ripe = [
            one
            for one in known.values()
            if one.lane in self.desk.fences
            and (one.block_number is None or one.block_number <= change.final_number)
        ]
        if not ripe:
            return [], []
        final, missed = [], []
        nonces = await self._final_nonces({one.lane for one in ripe}, change.final_number)
        for one in ripe:
            if one.nonce >= nonces.get(one.lane, 0):
                continue
            receipts = await self._receipts([one]) if one.is_ours else {}
            if receipts is None:
                continue
            receipt = receipts.get((one.lane, one.nonce))
            if receipt is None:
                proved = await self._proved(one, change) if one.is_ours else one
                final += [] if proved is None else [proved]
            elif (block := await self._settled_block(receipt, change)) is not None:
                missed.append((block, receipt))
        return final, missed

    async def _proved(self, one: Sighting, change: HeadChange) -> Sighting | None:
        """With the transaction that used the nonce in a final block, if that can be proved; None where it
        was ours, though there is said to be no receipt, or where the chain cannot be read now: then nothing
        is decided, and it is tried again when finality moves."""
        try:
            client, final_number = self.desk.parts.client, change.final_number
            use = await use_of(client, one.lane.key, one.nonce, final_number, one.block_number)
        except UnavailableError as trouble:
            slot = (one.lane, one.nonce)
            self._tries[slot] = self._tries.get(slot, 0) + 1
            _log.warning("use_not_read", nonce=one.nonce, tries=self._tries[slot], cause=str(trouble))
            return None if self._tries[slot] < PROOF_TRIES_MAX else one
        if use is not None and use.transaction_hash in self.desk.hashes_of(one.lane, one.nonce):
            _log.warning("receipt_withheld", nonce=one.nonce, hash=hex_text(use.transaction_hash))
            return None
        return one if use is None else replace(one, used_by=use.transaction_hash)

    async def _final_nonces(self, lanes: Collection[Lane], final_number: int) -> dict[Lane, int]:
        """Nonces at the final block; nothing where its state is not kept: it is asked again when finality
        moves, and the chain goes on."""
        client, ordered = self.desk.parts.client, sorted(lanes)
        try:
            final = await client.block_by_number(final_number)
            if final is None:
                return {}
            nonces = await client.nonces_at([lane.key for lane in ordered], final.hash)
        except (EndpointError, UnavailableError, UnknownBlockError) as trouble:
            _log.warning("final_state_missing", block=final_number, cause=str(trouble))
            return {}
        return dict(zip(ordered, nonces, strict=True))

    # ------------------------------------------------------------------ in the commit, and after it

    def store(
        self, tx: Transaction, use: ForeignUse, included: Collection[Slot], now_s: int
    ) -> list[Consumed]:
        """Store what was seen; answers the slots that foreign use has consumed beyond finality. `included`
        are slots that a hash of ours is in a block for, whatever was seen before."""
        undone = [
            one
            for slot, one in self.sightings.items()
            if one.lane in self.desk.fences and (one.block_hash in use.gone or slot in included)
        ]
        new = [one for one in use.new if one.lane in self.desk.fences]
        if use.gone:
            tx.slots.forget_foreign(sorted(use.gone))
        for one in undone:
            if one.is_ours:
                tx.slots.mark_overtaken(one.lane, one.nonce, None)
                self._take_back(tx, one, now_s)
        events = [_event("slot.foreign_removed", one, None) for one in undone]
        for one in new:
            present = tx.slots.get(one.lane, one.nonce)
            if present is None:
                tx.slots.insert(one.lane, one.nonce, "foreign", None, one.block_hash)
            elif present.purpose != "foreign":  # ours, and maybe only since the chain was read
                tx.slots.mark_overtaken(one.lane, one.nonce, one.block_hash)
                self._move_at_once(tx, one, present, now_s)
            events.append(_event("slot.foreign", one, None if present is None else present.intent))
        tx.events.append_many(events, now_s)
        return [self._consumed(tx, one) for one in use.final if one.lane in self.desk.fences]

    def _move_at_once(self, tx: Transaction, one: Sighting, slot: SlotRow, now_s: int) -> None:
        """Where a second copy would revert, another nonce need not wait for finality."""
        rows = tx.intents.get_many(self._intents_of(one))
        going = movable(tx, rows, self.desk.parts.moves, now_s, still_open=slot.row)
        queue_again(tx, going, one.nonce, "its nonce was used by a transaction that is not ours", now_s)

    def _take_back(self, tx: Transaction, one: Sighting, now_s: int) -> None:
        """The nonce is ours again: what has no other one yet stays with it."""
        rows = tx.intents.get_many(self._intents_of(one))
        stay_committed(tx, [(row, "") for row in rows if row.state is IntentState.QUEUED], now_s)

    def _intents_of(self, one: Sighting) -> list[IntentNumber]:
        rows = [self.desk.unsettled[h] for h in self.desk.hashes_of(one.lane, one.nonce)]
        return list(dict.fromkeys([number for row in rows for number, _ in row.intents]))

    def _consumed(self, tx: Transaction, one: Sighting) -> Consumed:
        if tx.slots.get(one.lane, one.nonce) is None:  # another kernel, on another branch, took it back
            tx.slots.insert(one.lane, one.nonce, "foreign", None, one.block_hash)
        rows = [r for r in self.desk.unsettled.values() if (r.lane, r.nonce) == (one.lane, one.nonce)]
        return Consumed(one.lane, one.nonce, tuple(rows), None, one.used_by)

    def note(self, use: ForeignUse, included: Collection[Slot]) -> None:
        """The commit is done."""
        for slot in (*((one.lane, one.nonce) for one in use.final), *included):
            self.sightings.pop(slot, None)
            self._tries.pop(slot, None)
        if use.gone:
            self.sightings = {s: one for s, one in self.sightings.items() if one.block_hash not in use.gone}
            self._accounted.clear()
        self._accounted.update(use.accounted)
        for one in use.new:
            is_ours = bool(self.desk.hashes_of(one.lane, one.nonce))
            self.sightings[(one.lane, one.nonce)] = replace(one, is_ours=is_ours)
            self.desk.parts.metrics.foreign(one.lane)
            _log.warning(
                "foreign_use",
                lane=str(one.lane),
                nonce=one.nonce,
                block=one.block_number,
                overtakes_ours=one.is_ours,
            )


def _event(kind: str, one: Sighting, intent: IntentNumber | None) -> NewEvent:
    data: EventData = {
        "nonce": one.nonce,
        "block": one.block_number,
        "block_hash": hex_text(one.block_hash),
        "overtakes_ours": one.is_ours,
    }
    return NewEvent(kind, one.lane.chain_id, str(one.lane), intent, data)
