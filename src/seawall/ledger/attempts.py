"""Attempts: signed bytes of slots. What is committed here counts as possibly sent, for ever.

The store holds invariants 1 and 2 as far as rows can: bytes of a plan stand on an admitted verdict for
exactly their payload and for at least their maximum fee; only housekeeping has none. A renewal swaps in
another verdict for the same payload; the earlier ones stay in `verdicts`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import Final

import sqlalchemy as sa
from sqlalchemy import bindparam

from seawall.ledger.batches import InList
from seawall.ledger.bulk import Batch
from seawall.ledger.rows import AttemptNumber, AttemptRow, SlotRow, VerdictNumber
from seawall.ledger.schema import attempt_intents, attempts, slots, verdicts
from seawall.ledger.session import DuplicateError, Prepared, Record, Session
from seawall.primitives.errors import LedgerError
from seawall.primitives.identifiers import IntentNumber, Lane
from seawall.primitives.levels import WriteKind
from seawall.primitives.units import Hash, hex_text
from seawall.primitives.verdicts import Payload

__all__ = ["Attempts"]

_COLUMNS: Final = (
    attempts.c.number,
    slots.c.chain_id,
    slots.c.key,
    slots.c.nonce,
    attempts.c.slot,
    attempts.c.hash,
    attempts.c.raw,
    attempts.c.target,
    attempts.c.data,
    attempts.c.value_wei,
    attempts.c.gas_limit,
    attempts.c.payload_digest,
    attempts.c.kind,
    attempts.c.max_fee_per_gas_wei,
    attempts.c.max_priority_fee_per_gas_wei,
    attempts.c.route,
    attempts.c.verdict,
    attempts.c.renewals,
    attempts.c.committed_at_s,
    attempts.c.writes,
    attempts.c.written_at_s,
    attempts.c.answer,
)
_JOINED: Final = sa.select(*_COLUMNS).join_from(attempts, slots, attempts.c.slot == slots.c.number)
_LINKS: Final = (attempt_intents.c.attempt, attempt_intents.c.intent, attempt_intents.c.segment)
_OPEN: Final = sa.text("NOT slots.final")
_ON_CHAIN: Final = slots.c.chain_id == bindparam("chain")
_THE_SLOT: Final = (
    slots.c.chain_id == bindparam("chain"),
    slots.c.key == bindparam("lane_key"),
    slots.c.nonce == bindparam("at_nonce"),
)

_INSERT: Final = Prepared(
    sa.insert(attempts).returning(attempts.c.number),
    [c.name for c in attempts.c if c.name not in ("number", "written_at_s")],
)
_LINK: Final = Prepared(sa.insert(attempt_intents), [c.name for c in attempt_intents.c])
_VERDICT: Final = Prepared(
    sa.select(verdicts.c.admitted, verdicts.c.payload_digest, verdicts.c.max_total_fee_wei).where(
        verdicts.c.number == bindparam("row")
    )
)
_OF_SLOT: Final = Prepared(_JOINED.where(*_THE_SLOT).order_by(attempts.c.number))
_OF_SLOT_LINKS: Final = Prepared(
    sa.select(*_LINKS)
    .join_from(attempt_intents, attempts, attempt_intents.c.attempt == attempts.c.number)
    .join(slots, attempts.c.slot == slots.c.number)
    .where(*_THE_SLOT)
    .order_by(attempt_intents.c.attempt, attempt_intents.c.segment)
)
_BY_HASH: Final = Prepared(_JOINED.where(attempts.c.hash == bindparam("wanted")))
_BY_HASHES: Final = InList(lambda hashes: _JOINED.where(attempts.c.hash.in_(hashes)))
_OF_SLOTS: Final = InList(
    lambda nonces: _JOINED.where(
        slots.c.chain_id == bindparam("chain"),
        slots.c.key == bindparam("lane_key"),
        slots.c.nonce.in_(nonces),
    ).order_by(attempts.c.number)
)
_LINKS_OF: Final = InList(
    lambda numbers: (
        sa.select(*_LINKS)
        .where(attempt_intents.c.attempt.in_(numbers))
        .order_by(attempt_intents.c.attempt, attempt_intents.c.segment)
    )
)
_NEWEST: Final = Prepared(sa.select(sa.func.max(attempts.c.number)))
_AFTER: Final = Prepared(
    _JOINED.where(attempts.c.number > bindparam("known"), _ON_CHAIN).order_by(attempts.c.number)
)
_BY_NUMBER: Final = Prepared(_JOINED.where(attempts.c.number == bindparam("row")))
_ONE_LINKS: Final = Prepared(
    sa.select(*_LINKS)
    .where(attempt_intents.c.attempt == bindparam("row"))
    .order_by(attempt_intents.c.segment)
)
_OF_INTENT: Final = Prepared(
    _JOINED.join(attempt_intents, attempt_intents.c.attempt == attempts.c.number)
    .where(attempt_intents.c.intent == bindparam("of"))
    .order_by(attempts.c.number)
)
_SLOTS_OF: Final = InList(
    lambda numbers: (
        sa.select(attempt_intents.c.intent, attempts.c.slot, slots.c.final)
        .join_from(attempt_intents, attempts, attempt_intents.c.attempt == attempts.c.number)
        .join(slots, attempts.c.slot == slots.c.number)
        .where(attempt_intents.c.intent.in_(numbers))
        .distinct()
    )
)
_UNSETTLED: Final = Prepared(_JOINED.where(_ON_CHAIN, _OPEN).order_by(attempts.c.number))
_UNSETTLED_LINKS: Final = Prepared(
    sa.select(*_LINKS)
    .join_from(attempt_intents, attempts, attempt_intents.c.attempt == attempts.c.number)
    .join(slots, attempts.c.slot == slots.c.number)
    .where(_ON_CHAIN, _OPEN)
    .order_by(attempt_intents.c.attempt, attempt_intents.c.segment)
)
_MARK_WRITTEN: Final = Prepared(
    sa.update(attempts)
    .where(attempts.c.number == bindparam("row"))
    .values(writes=attempts.c.writes + 1, written_at_s=bindparam("at"), answer=bindparam("said"))
)
_MARK_WRITTEN_MANY: Final = Batch(
    sa.update(attempts)
    .where(attempts.c.number == bindparam("row"))
    .values(
        writes=attempts.c.writes + sa.literal_column("1"),
        written_at_s=bindparam("at"),
        answer=bindparam("said"),
    ),
    ["at", "said", "row"],
)
_RENEW: Final = Prepared(
    sa.update(attempts)
    .where(attempts.c.number == bindparam("row"))
    .values(verdict=bindparam("by"), renewals=attempts.c.renewals + 1)
)


class Attempts:
    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def insert(
        self,
        slot: SlotRow,
        hash: Hash,  # noqa: A002  (the field's own word)
        raw: bytes,
        payload: Payload,
        payload_digest: Hash,
        kind: WriteKind,
        max_fee_per_gas_wei: int,
        max_priority_fee_per_gas_wei: int,
        route: str,
        verdict: VerdictNumber | None,
        intents: Sequence[tuple[IntentNumber, int]],
        at_s: int,
    ) -> AttemptRow:
        """Store signed bytes under the verdict that admitted them; `intents` are (intent, segment)."""
        if (payload.chain_id, payload.sender) != (slot.lane.chain_id, slot.lane.key):
            raise LedgerError(
                "the payload is of another lane",
                f"slot {slot.lane}/{slot.nonce}",
                "sign for the slot's own lane",
            )
        self._require_verdict(verdict, payload_digest, kind, payload.gas_limit * max_fee_per_gas_wei)
        values: dict[str, object] = {
            "slot": slot.row,
            "hash": hash,
            "raw": raw,
            "target": payload.to,
            "data": payload.data,
            "value_wei": payload.value_wei,
            "gas_limit": payload.gas_limit,
            "payload_digest": payload_digest,
            "kind": kind.value,
            "max_fee_per_gas_wei": max_fee_per_gas_wei,
            "max_priority_fee_per_gas_wei": max_priority_fee_per_gas_wei,
            "route": route,
            "verdict": verdict,
            "renewals": 0,
            "committed_at_s": at_s,
            "writes": 0,
            "answer": "",
        }
        try:
            created = self._session.first(_INSERT, values)
        except DuplicateError:
            raise LedgerError(
                f"the attempt {hex_text(hash)} exists already",
                f"slot {slot.lane}/{slot.nonce}",
                "write the stored bytes",
            ) from None
        assert created is not None
        number = AttemptNumber(created[0])
        self._session.many(_LINK, [{"attempt": number, "segment": s, "intent": i} for i, s in intents])
        return AttemptRow(
            number, slot.lane, slot.nonce, slot.row, hash, raw, payload, payload_digest, kind,
            max_fee_per_gas_wei, max_priority_fee_per_gas_wei, route, verdict, 0, at_s, 0, None, "",
            tuple(intents),
        )  # fmt: skip

    def of_slot(self, lane: Lane, nonce: int) -> list[AttemptRow]:
        """In commit order."""
        named = {"chain": lane.chain_id, "lane_key": lane.key, "at_nonce": nonce}
        return _joined(self._session.rows(_OF_SLOT, named), self._session.rows(_OF_SLOT_LINKS, named))

    def of_intent(self, number: IntentNumber) -> list[AttemptRow]:
        return [self._with_links(record) for record in self._session.rows(_OF_INTENT, {"of": number})]

    def slots_of(self, numbers: Sequence[IntentNumber]) -> dict[IntentNumber, list[tuple[int, bool]]]:
        """Of each intent the slots that bytes of it were made for, and whether each is final."""
        found: dict[IntentNumber, list[tuple[int, bool]]] = {number: [] for number in numbers}
        for number, slot, final in _SLOTS_OF.rows(self._session, numbers):
            found[number].append((slot, bool(final)))
        return found

    def by_hash(self, hash: Hash) -> AttemptRow | None:  # noqa: A002
        record = self._session.first(_BY_HASH, {"wanted": hash})
        return None if record is None else self._with_links(record)

    def by_hashes(self, hashes: Sequence[Hash]) -> dict[Hash, AttemptRow]:
        """Those of them that are ours."""
        rows = self._linked(_BY_HASHES.rows(self._session, hashes))
        return {row.hash: row for row in rows}

    def of_slots(self, wanted: Sequence[tuple[Lane, int]]) -> dict[tuple[Lane, int], list[AttemptRow]]:
        """Of each slot, in commit order; every wanted slot has its list."""
        found: dict[tuple[Lane, int], list[AttemptRow]] = {slot: [] for slot in wanted}
        nonces: dict[Lane, list[int]] = {}
        for lane, nonce in found:
            nonces.setdefault(lane, []).append(nonce)
        for lane, of_lane in nonces.items():
            named: dict[str, object] = {"chain": lane.chain_id, "lane_key": lane.key}
            for row in self._linked(_OF_SLOTS.rows(self._session, of_lane, named)):
                found[lane, row.nonce].append(row)
        return found

    def newest(self, chain_id: int) -> int:
        """A mark for `after`: whatever this chain has now does not lie beyond it. 0 on an empty ledger."""
        record = self._session.first(_NEWEST)
        return 0 if record is None or record[0] is None else int(record[0])

    def after(self, chain_id: int, number: int) -> list[AttemptRow]:
        """Committed since that mark, in commit order; take `newest` in the same work and go on from there."""
        return self._linked(self._session.rows(_AFTER, {"known": number, "chain": chain_id}))

    def get(self, number: AttemptNumber) -> AttemptRow:
        record = self._session.first(_BY_NUMBER, {"row": number})
        if record is None:
            raise LedgerError(f"there is no attempt {number}", "attempts", "look it up by its hash")
        return self._with_links(record)

    def unsettled(self, chain_id: int) -> list[AttemptRow]:
        """All attempts of slots that are not final, in commit order: what recovery and confirmation watch."""
        named = {"chain": chain_id}
        return _joined(self._session.rows(_UNSETTLED, named), self._session.rows(_UNSETTLED_LINKS, named))

    def mark_written(self, rows: Sequence[AttemptRow], at_s: int, answer: str) -> None:
        """Bytes left this process, or may have; `answer` is what came back."""
        self._session.many(_MARK_WRITTEN, [{"row": row.number, "at": at_s, "said": answer} for row in rows])

    def mark_written_many(self, written: Sequence[tuple[AttemptRow, str]], at_s: int) -> None:
        """As `mark_written`, each with its own answer."""
        self._session.load(_MARK_WRITTEN_MANY, [(at_s, answer, row.number) for row, answer in written])

    def renew(self, row: AttemptRow, verdict: VerdictNumber) -> None:
        """The same payload was judged anew and may be written again under `verdict`."""
        self._require_verdict(
            verdict, row.payload_digest, row.kind, row.payload.gas_limit * row.max_fee_per_gas_wei
        )
        if self._session.run(_RENEW, {"row": row.number, "by": verdict}) == 0:
            self.get(row.number)

    def _require_verdict(
        self, verdict: VerdictNumber | None, payload_digest: Hash, kind: WriteKind, max_total_fee_wei: int
    ) -> None:
        if verdict is None:
            if kind is WriteKind.HOUSEKEEPING:
                return
            raise LedgerError(
                f"a {kind.value} attempt without a verdict",
                "attempts",
                "only housekeeping is signed unjudged",
            )
        record = self._session.first(_VERDICT, {"row": verdict})
        if record is None:
            raise LedgerError(
                f"there is no verdict {verdict}", "attempts", "insert the verdict in the same commit"
            )
        admitted, judged, ceiling_wei = record
        if not admitted:
            problem = "refused"
        elif judged != payload_digest:
            problem = f"is about payload {hex_text(judged)}, not {hex_text(payload_digest)}"
        elif max_total_fee_wei > ceiling_wei:
            problem = f"judged a fee of at most {ceiling_wei} wei, not {max_total_fee_wei}"
        else:
            return
        raise LedgerError(
            f"verdict {verdict} {problem}", "attempts", "sign only what was admitted, under its fee"
        )

    def _linked(self, records: Sequence[Record]) -> list[AttemptRow]:
        numbers = [record[0] for record in records]
        return _joined(records, _LINKS_OF.rows(self._session, numbers))

    def _with_links(self, record: Record) -> AttemptRow:
        links = self._session.rows(_ONE_LINKS, {"row": record[0]})
        return _row_of(record, tuple((intent, segment) for _, intent, segment in links))


def _joined(records: Sequence[Record], links: Sequence[Record]) -> list[AttemptRow]:
    by_attempt = {
        number: tuple((intent, segment) for _, intent, segment in group)
        for number, group in groupby(links, key=itemgetter(0))
    }
    return [_row_of(record, by_attempt.get(record[0], ())) for record in records]


def _row_of(record: Record, intents: tuple[tuple[IntentNumber, int], ...]) -> AttemptRow:
    (number, chain_id, key, nonce, slot, digest, raw, target, data, value_wei, gas_limit, payload_digest,
     kind, max_fee_per_gas_wei, max_priority_fee_per_gas_wei, route, verdict, renewals, committed_at_s,
     writes, written_at_s, answer) = record  # fmt: skip
    payload = Payload(chain_id, key, target, data, value_wei, gas_limit)
    return AttemptRow(
        number, Lane(chain_id, key), nonce, slot, digest, raw, payload, payload_digest, WriteKind(kind),
        max_fee_per_gas_wei, max_priority_fee_per_gas_wei, route, verdict, renewals, committed_at_s, writes,
        written_at_s, answer, intents,
    )  # fmt: skip
