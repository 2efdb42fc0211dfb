"""What must never happen, judged from the chain and from the ledger's file alone.

Reads the database with plain SQL, on a connection of its own, so that no bug in the ledger's code hides another.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.world.node import NodeModel
from tests.world.port import ModelPort

__all__ = ["Checker", "Violation"]

_OUTCOMES = ("landed", "failed", "refused", "expired", "cancelled")


class Violation(AssertionError):  # noqa: N818
    """An invariant is broken; the message names it."""


@dataclass(slots=True)
class Checker:
    path: Path
    node: NodeModel
    keys: frozenset[bytes]
    port_log_seen: int = 0

    def every_step(self, port: ModelPort | None) -> None:
        """After every block."""
        with sqlite3.connect(f"file:{self.path}?mode=ro", uri=True) as db:
            self._lands_at_most_once()
            self._sent_is_committed(db)
            self._signed_under_verdict(db)
            self._outcomes_match_chain(db)
            self._ids_are_unique(db)
        if port is not None:
            self._latch_was_respected(port)

    def at_rest(self) -> None:
        """When chaos is over and everything had time to end."""
        with sqlite3.connect(f"file:{self.path}?mode=ro", uri=True) as db:
            self._everything_ended(db)
            self._outcomes_match_chain(db)
            self._balances_are_explained(db)
            self._no_slot_is_open(db)
            self._reservations_are_released(db)

    def _lands_at_most_once(self) -> None:
        seen = Counter(
            mined.transaction.fields.data
            for block in self.node.blocks
            for mined in block.transactions
            if mined.transaction.fields.data and mined.status
        )
        twice = [key for key, count in seen.items() if count > 1]
        _require(not twice, "an intent landed twice", twice)

    def _sent_is_committed(self, db: sqlite3.Connection) -> None:
        committed = {row[0] for row in db.execute("SELECT hash FROM attempts")}
        for at_s, transaction in self.node.arrivals:
            _require(transaction.hash in committed, "bytes were sent that no commit holds", (at_s, transaction.hash.hex()))

    def _signed_under_verdict(self, db: sqlite3.Connection) -> None:
        rows = db.execute(
            "SELECT a.hash, v.admitted, v.payload_digest = a.payload_digest FROM attempts a "
            "LEFT JOIN verdicts v ON v.number = a.verdict WHERE a.kind != 'housekeeping'"
        )
        for tx_hash, admitted, same in rows:
            _require(bool(admitted) and bool(same), "signed without a verdict on exactly what was signed", tx_hash.hex())

    def _outcomes_match_chain(self, db: sqlite3.Connection) -> None:
        """A landed or failed intent has a final transaction with that status; any other outcome has none that landed."""
        final = {
            mined.transaction.hash: mined.status
            for block in self.node.blocks[: self.node.final_number + 1]
            for mined in block.transactions
        }
        query = (
            "SELECT i.number, i.state, a.hash FROM intents i LEFT JOIN attempt_intents l ON l.intent = i.number "
            "LEFT JOIN attempts a ON a.number = l.attempt WHERE i.state NOT IN ('queued', 'committed')"
        )
        attempts: dict[int, list[bytes]] = {}
        states: dict[int, str] = {}
        for number, state, tx_hash in db.execute(query):
            states[number] = state
            attempts.setdefault(number, []).extend([tx_hash] if tx_hash is not None else [])
        for number, state in states.items():
            statuses = [final[h] for h in attempts[number] if h in final]
            expected = {"landed": [True], "failed": [False]}.get(state, [])
            _require(statuses == expected, f"intent {number} is {state}, but the final chain says {statuses}", number)

    def _ids_are_unique(self, db: sqlite3.Connection) -> None:
        twice = db.execute("SELECT intent_id, COUNT(*) FROM intents GROUP BY intent_id HAVING COUNT(*) > 1").fetchall()
        _require(not twice, "an intent id was used twice", twice)

    def _latch_was_respected(self, port: ModelPort) -> None:
        bad = [w for w in port.log if not w.latch_admitted]
        _require(not bad, "signed bytes were written against the latch", [(w.at_s, w.write.kind) for w in bad])

    def _everything_ended(self, db: sqlite3.Connection) -> None:
        alive = db.execute("SELECT number, state, reason FROM intents WHERE state IN ('queued', 'committed')").fetchall()
        _require(not alive, "accepted intents never ended", alive)

    def _no_slot_is_open(self, db: sqlite3.Connection) -> None:
        rows = db.execute("SELECT key, nonce FROM slots WHERE NOT final").fetchall()
        _require(not rows, "slots never settled", [(key.hex(), nonce) for key, nonce in rows])

    def _reservations_are_released(self, db: sqlite3.Connection) -> None:
        _require(not db.execute("SELECT * FROM reservations").fetchall(), "reservations outlive their slots", None)

    def _balances_are_explained(self, db: sqlite3.Connection) -> None:
        """Postings of canonical entries sum to the balance's change since genesis, and none is unexplained."""
        rows = db.execute(
            "SELECT p.account, p.delta FROM postings p JOIN posting_entries e ON e.number = p.entry WHERE e.canonical"
        )
        sums: Counter[str] = Counter()
        for account, delta in rows:
            sums[_account(account)] += int(delta)
        for key in self.keys:
            change = self.node.head.balances[key] - self.node.blocks[0].balances[key]
            _require(sums[key.hex()] == change, "the ledger does not equal the chain", (key.hex(), sums[key.hex()], change))
        _require(sums["unexplained"] == 0, "a balance change is unexplained", sums["unexplained"])


def _account(stored: bytes) -> str:
    return stored.hex() if len(stored) == 20 else stored.decode()


def _require(holds: bool, what: str, detail: object) -> None:
    if not holds:
        raise Violation(f"{what}: {detail}")
