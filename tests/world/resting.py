"""What must hold when chaos is over and everything had time to end: the ledger is the chain, to the wei."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from seawall.transactions.moving import MOVED
from tests.world.node import Mined, NodeModel
from tests.world.strategy import Inhabitant
from tests.world.violations import require

__all__ = ["RestChecker"]


_ACCEPTED = "intent.accepted"
_OUTCOMES = frozenset(f"intent.{state}" for state in ("landed", "failed", "refused", "expired", "cancelled"))
_MOMENTS = {
    _ACCEPTED: 0,
    "intent.committed": 1,
    "inclusion.added": 2,
    "inclusion.removed": 2,
    "inclusion.safe": 2,
} | dict.fromkeys(_OUTCOMES, 3)


@dataclass(slots=True)
class RestChecker:
    db: sqlite3.Connection
    node: NodeModel
    keys: Sequence[bytes]

    def check(self, askers: Iterable[Inhabitant]) -> None:
        self._everything_ended()
        self._slots_are_the_chain()
        self._inclusions_are_the_chain()
        self._reservations_are_released()
        self._balances_are_explained()
        self._ids_are_unique()
        self._events_tell_each_life_in_order()
        for asker in askers:
            if asker.is_known_on_chain:
                self._state_fits_the_intents(asker)
            self._was_told_every_outcome(asker)

    def _everything_ended(self) -> None:
        alive = self.db.execute(
            "SELECT number, state, reason FROM intents WHERE state IN ('queued', 'committed')"
        ).fetchall()
        require(not alive, "accepted intents never ended", alive)

    def _slots_are_the_chain(self) -> None:
        """Every nonce up to our highest is used, and each slot names what used it if that was ours."""
        open_ = self.db.execute("SELECT key, nonce FROM slots WHERE NOT final").fetchall()
        require(not open_, "slots never settled", [(key.hex(), nonce) for key, nonce in open_])
        ours = {row[0] for row in self.db.execute("SELECT hash FROM attempts").fetchall()}
        used = {(m.transaction.sender, m.transaction.fields.nonce): m.transaction.hash for m in self._mined()}
        for key, nonce, consumed_by in self.db.execute(
            "SELECT key, nonce, consumed_by FROM slots"
        ).fetchall():
            by = used.get((key, nonce))
            require(by is not None, "a settled nonce is not used", (key.hex(), nonce))
            expected = by if by in ours else None
            require(consumed_by == expected, "a slot was settled by another hash", (key.hex(), nonce))
        slots = {(key, nonce) for key, nonce in self.db.execute("SELECT key, nonce FROM slots").fetchall()}
        stray = [place for place, by in used.items() if by in ours and place not in slots]
        require(not stray, "bytes of ours landed on a nonce without a slot", stray)

    def _inclusions_are_the_chain(self) -> None:
        rows = self.db.execute(
            "SELECT a.hash, i.block_hash, i.status, i.gas_used FROM inclusions i"
            " JOIN attempts a ON a.number = i.attempt WHERE i.canonical"
        ).fetchall()
        ours = {row[0] for row in self.db.execute("SELECT hash FROM attempts").fetchall()}
        recorded = sorted((tx_hash, block, bool(status), gas) for tx_hash, block, status, gas in rows)
        expected = sorted(
            (mined.transaction.hash, block.hash, mined.status, mined.gas_used)
            for block in self.node.blocks
            for mined in block.transactions
            if mined.transaction.hash in ours
        )
        require(recorded == expected, "inclusions are not what the chain has", (len(recorded), len(expected)))

    def _reservations_are_released(self) -> None:
        left = self.db.execute("SELECT attempt FROM reservations").fetchall()
        require(not left, "reservations outlive their slots", left)

    def _ids_are_unique(self) -> None:
        twice = self.db.execute(
            "SELECT intent_id, COUNT(*) FROM intents GROUP BY intent_id HAVING COUNT(*) > 1"
        ).fetchall()
        require(not twice, "an intent id was used twice", twice)

    def _events_tell_each_life_in_order(self) -> None:
        """Accepted first, committed at most once and before any inclusion, one outcome, and that last."""
        states = dict(self.db.execute("SELECT number, state FROM intents").fetchall())
        lives: dict[int, list[str]] = {number: [] for number in states}
        for intent, kind in self.db.execute(
            "SELECT intent, kind FROM events WHERE intent IS NOT NULL ORDER BY seq"
        ).fetchall():
            lives[intent].append(kind)
        for number, kinds in lives.items():
            outcomes = [kind for kind in kinds if kind in _OUTCOMES]
            expected = [f"intent.{states[number]}"]
            require(outcomes == expected, "an intent was told another outcome", (number, outcomes, expected))
            told = [kind for kind in kinds if kind in _MOMENTS]
            moves = kinds.count(MOVED)
            if moves:  # what becomes of its earlier nonces may be told in between, and after its end
                told = [kind for kind in told if _MOMENTS[kind] != 2]
                while "intent.committed" in told[2:]:
                    told.remove("intent.committed")
                require(kinds.count("intent.committed") <= 1 + moves, "committed too often", (number, kinds))
            order = sorted(told, key=_MOMENTS.__getitem__)
            in_order = told == order and told.count("intent.committed") <= 1 and told[:1] == [_ACCEPTED]
            require(in_order, "events of an intent are out of order", (number, kinds))

    def _balances_are_explained(self) -> None:
        """Postings sum to each balance's change since genesis, but for what others did with our keys.

        What others did is booked as unexplained where it shares a block with something of ours, which is
        where balances are proved, and is not booked elsewhere.
        """
        rows = self.db.execute(
            "SELECT p.account, p.delta FROM postings p JOIN posting_entries e ON e.number = p.entry"
            " WHERE e.canonical"
        ).fetchall()
        sums: Counter[str] = Counter()
        for account, delta in rows:
            sums[account.hex() if len(account) == 20 else account.decode()] += int(delta)
        booked, unbooked = self._foreign_changes()
        for key in self.keys:
            change = self.node.head.balances[key] - self.node.blocks[0].balances[key] - unbooked[key]
            what = "the ledger does not equal the chain"
            require(sums[key.hex()] == change, what, (key.hex(), sums[key.hex()], change))
        what = "a balance change is unexplained, or an unexplained one was not booked"
        require(sums["unexplained"] == -booked.total(), what, (sums["unexplained"], -booked.total()))

    def _foreign_changes(self) -> tuple[Counter[bytes], Counter[bytes]]:
        """Changes per key by foreign transactions: in blocks that have something of ours too, and others."""
        ours = {row[0] for row in self.db.execute("SELECT hash FROM attempts").fetchall()}
        booked: Counter[bytes] = Counter()
        unbooked: Counter[bytes] = Counter()
        for block in self.node.blocks:
            has_ours = any(mined.transaction.hash in ours for mined in block.transactions)
            for mined in block.transactions:
                if mined.transaction.hash not in ours:
                    change = (
                        -mined.gas_used * mined.price_wei - mined.status * mined.transaction.fields.value_wei
                    )
                    (booked if has_ours else unbooked)[mined.transaction.sender] += change
        return booked, unbooked

    def _state_fits_the_intents(self, asker: Inhabitant) -> None:
        """A decision's plans and its state are kept together, or neither is."""
        row = self.db.execute("SELECT data FROM strategy_states WHERE strategy = ?", (asker.name,)).fetchone()
        (accepted,) = self.db.execute(
            "SELECT COUNT(*) FROM intents WHERE strategy = ?", (asker.name,)
        ).fetchone()
        asked = 0 if row is None else int.from_bytes(row[0], "big")
        require(asked == accepted, "plans and state of a decision were parted", (asker.name, asked, accepted))

    def _was_told_every_outcome(self, asker: Inhabitant) -> None:
        outcomes = self.db.execute(
            "SELECT idempotency_key, state FROM intents WHERE strategy = ?", (asker.name,)
        ).fetchall()
        untold = [outcome for outcome in outcomes if outcome not in asker.told]
        require(not untold, "a strategy was not told an outcome", untold)

    def _mined(self) -> list[Mined]:
        return [mined for block in self.node.blocks for mined in block.transactions]
