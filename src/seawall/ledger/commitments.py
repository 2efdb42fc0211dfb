"""The fenced commit of many candidates at once: what each one needs, in one statement per table.

For every commitment: the slot, the verdict, the attempt with its bytes and its link to the intent, what it
may take (reservation, spend), the intent's step from queued to committed, and the event. It holds what the
single stores hold: bytes stand on an admitted verdict about exactly their payload and for at least their fee.
Lease and authority are checked by the caller, in the same work.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa
from sqlalchemy import bindparam

from seawall.ledger.batches import insert_batch, int256_text, take_numbers, uint256_text
from seawall.ledger.bulk import Batch
from seawall.ledger.events import Events
from seawall.ledger.rows import AttemptRow, Commitment, NewEvent, VerdictNumber
from seawall.ledger.schema import attempt_intents, attempts, intents, reservations, slots, spends, verdicts
from seawall.ledger.session import DuplicateError, Session
from seawall.primitives.codec import pack
from seawall.primitives.errors import IntentMovedError, LedgerError, NonceTakenError
from seawall.primitives.identifiers import AttemptNumber
from seawall.primitives.units import hex_text
from seawall.primitives.verdicts import Verdict

__all__ = ["Commitment", "Commitments"]

_SLOTS: Final = insert_batch(slots, "block_hash", "consumed_by")
_VERDICTS: Final = insert_batch(verdicts)
_ATTEMPTS: Final = insert_batch(attempts, "written_at_s")
_LINKS: Final = insert_batch(attempt_intents)
_RESERVATIONS: Final = insert_batch(reservations)
_SPENDS: Final = insert_batch(spends)
_INTENTS: Final = Batch(
    sa.update(intents)
    .where(intents.c.number == bindparam("row"), sa.text("state = 'queued'"))
    .values(
        state=sa.literal_column("'committed'"),
        reason=sa.literal_column("''"),
        candidates=intents.c.candidates + sa.literal_column("1"),
        predicted_wei=sa.func.coalesce(
            bindparam("predicted", type_=intents.c.predicted_wei.type), intents.c.predicted_wei
        ),
    ),
    ["predicted", "row"],
)


class Commitments:
    __slots__ = ("_events", "_session")

    def __init__(self, session: Session, events: Events) -> None:
        self._session = session
        self._events = events

    def insert(self, commitments: Sequence[Commitment], at_s: int) -> list[AttemptRow]:
        """All of them or, raising, none that the work's savepoint would keep.

        `NonceTakenError` if a slot exists already; `LedgerError` if an intent is not queued or a verdict does
        not carry what was signed.
        """
        if not commitments:
            return []
        for one in commitments:
            for _, verdict in one.segments:
                _require_judged(one, verdict)
        slot_rows = self._insert_slots(commitments)
        verdict_rows = self._insert_verdicts(commitments, at_s)
        rows = self._insert_attempts(commitments, slot_rows, verdict_rows, at_s)
        self._reserve(rows, commitments, at_s)
        self._move_intents(commitments)
        self._announce(commitments, at_s)
        return rows

    def _insert_slots(self, commitments: Sequence[Commitment]) -> Sequence[int]:
        numbers = take_numbers(self._session, slots.c.number, len(commitments))
        try:
            self._session.load(
                _SLOTS,
                [
                    (number, one.lane.chain_id, one.lane.key, one.nonce, "plan", one.intent, False)
                    for number, one in zip(numbers, commitments, strict=True)
                ],
            )
        except DuplicateError:
            first, last = commitments[0], commitments[-1]
            raise NonceTakenError(
                f"nonce {first.nonce} is taken, or one of {len(commitments)} up to {last.nonce}",
                f"slot {first.lane}/{first.nonce}",
                "build the candidates again from the highest slot and the chain",
            ) from None
        return numbers

    def _insert_verdicts(self, commitments: Sequence[Commitment], at_s: int) -> list[int]:
        """Answers the verdict that each attempt stands on: that of its first segment."""
        every = [verdict for one in commitments for _, verdict in one.segments]
        numbers = take_numbers(self._session, verdicts.c.number, len(every))
        self._session.load(
            _VERDICTS,
            [
                (
                    number, v.number, v.attempt_number, v.payload_digest, v.overlay_digest, v.base_number,
                    v.base_hash, v.valid_until_block, v.valid_until_s, uint256_text(v.max_total_fee_wei),
                    True, pack(v), at_s,
                )
                for number, v in zip(numbers, every, strict=True)
            ],
        )  # fmt: skip
        firsts, place = [], 0
        for one in commitments:
            firsts.append(numbers[place])
            place += 1 + len(one.beside)
        return firsts

    def _insert_attempts(
        self,
        commitments: Sequence[Commitment],
        slot_rows: Sequence[int],
        verdict_rows: Sequence[int],
        at_s: int,
    ) -> list[AttemptRow]:
        numbers = take_numbers(self._session, attempts.c.number, len(commitments))
        rows = [
            AttemptRow(
                AttemptNumber(number), one.lane, one.nonce, slot, one.hash, one.raw, one.payload,
                one.payload_digest, one.verdict.kind, one.max_fee_per_gas_wei,
                one.max_priority_fee_per_gas_wei, one.route, VerdictNumber(verdict), 0, at_s, 0, None, "",
                tuple([(v.number, segment) for segment, (_, v) in enumerate(one.segments)]),
            )
            for number, slot, verdict, one in zip(
                numbers, slot_rows, verdict_rows, commitments, strict=True
            )
        ]  # fmt: skip
        try:
            self._session.load(_ATTEMPTS, [_record_of(row) for row in rows])
        except DuplicateError:
            raise LedgerError(
                f"the attempt {hex_text(rows[0].hash)}, or one of {len(rows)} with it, exists already",
                f"slot {rows[0].lane}/{rows[0].nonce}",
                "write the stored bytes",
            ) from None
        self._session.load(
            _LINKS, [(row.number, place, number) for row in rows for number, place in row.intents]
        )
        return rows

    def _reserve(self, rows: Sequence[AttemptRow], commitments: Sequence[Commitment], at_s: int) -> None:
        taken = [
            (row, token, uint256_text(amount))
            for row, one in zip(rows, commitments, strict=True)
            for token, amount in one.reserved
        ]
        self._session.load(
            _RESERVATIONS, [(r.number, token, r.lane.chain_id, r.lane.key, text) for r, token, text in taken]
        )
        self._session.load(
            _SPENDS, [(r.number, token, r.lane.chain_id, r.lane.key, at_s, text) for r, token, text in taken]
        )

    def _move_intents(self, commitments: Sequence[Commitment]) -> None:
        every = [verdict for one in commitments for _, verdict in one.segments]
        moved = self._session.load(
            _INTENTS,
            [
                (None if one.predicted_wei is None else int256_text(one.predicted_wei), one.number)
                for one in every
            ],
        )
        if moved != len(every):
            raise IntentMovedError(
                f"{len(every) - moved} of {len(every)} intents are not queued any more",
                "intents " + ", ".join(f"#{one.number}" for one in every),
                "read the queue again: an intent is committed once",
            )

    def _announce(self, commitments: Sequence[Commitment], at_s: int) -> None:
        self._events.append_many(
            [
                NewEvent(
                    "intent.committed",
                    one.lane.chain_id,
                    strategy,
                    verdict.number,
                    {"hash": hex_text(one.hash), "nonce": one.nonce},
                )
                for one in commitments
                for strategy, verdict in one.segments
            ],
            at_s,
        )


def _require_judged(one: Commitment, verdict: Verdict) -> None:
    payload = one.payload
    if (payload.chain_id, payload.sender) != (one.lane.chain_id, one.lane.key):
        problem = "the payload is of another lane"
    elif verdict is one.verdict and verdict.number != one.intent:
        problem = f"the verdict is about intent #{verdict.number}"
    elif not verdict.admitted:
        problem = "its verdict refused it"
    elif verdict.payload_digest != one.payload_digest:
        problem = f"its verdict is about payload {hex_text(verdict.payload_digest)}"
    elif payload.gas_limit * one.max_fee_per_gas_wei > verdict.max_total_fee_wei:
        problem = f"its verdict judged a fee of at most {verdict.max_total_fee_wei} wei"
    else:
        return
    raise LedgerError(
        f"intent #{one.intent} cannot be committed: {problem}",
        f"slot {one.lane}/{one.nonce}",
        "sign only what was admitted, under its fee, for its own lane",
    )


def _record_of(row: AttemptRow) -> tuple[object, ...]:
    payload = row.payload
    return (
        row.number, row.slot, row.hash, row.raw, payload.to, payload.data, uint256_text(payload.value_wei),
        payload.gas_limit, row.payload_digest, row.kind.value, uint256_text(row.max_fee_per_gas_wei),
        uint256_text(row.max_priority_fee_per_gas_wei), row.route, row.verdict, 0, row.committed_at_s, 0, "",
    )  # fmt: skip
