"""What must never happen, judged from the chain and from the ledger's file alone.

Reads the database with plain SQL, on a connection of its own, so that no bug in the ledger's code hides
another. It looks at three kinds of moments: every commit and write (`commits`), every block, and the end
(`resting`).
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from seawall.chain.broadcast import SignedWrite
from tests.world.commits import CommitChecker
from tests.world.kernel import Kernel
from tests.world.node import NodeModel
from tests.world.resting import RestChecker
from tests.world.strategy import Inhabitant
from tests.world.violations import require

__all__ = ["Checker"]


@dataclass(slots=True)
class Checker:
    directory: Path
    node: NodeModel
    keys: Sequence[bytes]
    is_known_on_chain: bool  # whether calldata tells what landed
    db: sqlite3.Connection = field(init=False)
    commits: CommitChecker = field(init=False)
    rest: RestChecker = field(init=False)
    _ended: set[int] = field(default_factory=set)  # intents whose outcome was checked

    def __post_init__(self) -> None:
        self.db = sqlite3.connect(f"file:{self.directory / 'ledger.db'}?mode=ro", uri=True)
        self.commits = CommitChecker(self.db, self.node, self.is_known_on_chain)
        self.rest = RestChecker(self.db, self.node, self.keys)

    def close(self) -> None:
        self.db.close()

    def at_commit(self, kernel: Kernel | None) -> None:
        self.commits.at_commit(kernel)

    def at_write(self, kernel: Kernel, write: SignedWrite) -> None:
        self.commits.at_write(kernel, write)

    def at_block(self, kernels: Iterable[Kernel]) -> None:
        """Just before the next block, when everything that the kernels may know is on the chain already."""
        twice = self.node.landed_twice if self.is_known_on_chain else []
        require(not twice, "an intent landed twice", twice)
        self._no_intent_landed_twice()
        self._new_outcomes_match_the_chain()
        for kernel in kernels:
            what = "an integrity alarm, though the node is honest"
            require(not kernel.alarms, what, kernel.alarms)

    def at_rest(self, askers: Iterable[Inhabitant]) -> None:
        """When chaos is over and everything had time to end."""
        self.rest.check(askers)
        numbers = [row[0] for row in self.db.execute("SELECT number FROM intents").fetchall()]
        self._outcomes_match_the_chain(numbers)

    def alive(self) -> list[int]:
        """Intents without an outcome."""
        rows = self.db.execute(
            "SELECT number FROM intents WHERE state IN ('queued', 'committed') ORDER BY number"
        ).fetchall()
        return [number for (number,) in rows]

    def _no_intent_landed_twice(self) -> None:
        """By the attempts of the ledger: of several of an intent, the chain may have one that succeeded."""
        rows = self.db.execute(
            "SELECT l.intent, a.hash FROM attempt_intents l JOIN attempts a ON a.number = l.attempt"
            " WHERE l.intent IN (SELECT intent FROM attempt_intents GROUP BY intent HAVING COUNT(*) > 1)"
        ).fetchall()
        places = [(intent, place) for intent, tx_hash in rows if (place := self.node.find(tx_hash))]
        landed = Counter(intent for intent, (_, _, mined) in places if mined.status)
        twice = [intent for intent, times in landed.items() if times > 1]
        require(not twice, "several attempts of an intent landed", twice)

    def _new_outcomes_match_the_chain(self) -> None:
        rows = self.db.execute(
            "SELECT number FROM intents WHERE state NOT IN ('queued', 'committed')"
        ).fetchall()
        fresh = [number for (number,) in rows if number not in self._ended]
        self._outcomes_match_the_chain(fresh)
        self._ends_are_the_plans_own_fault(fresh)
        self._ended.update(fresh)

    def _ends_are_the_plans_own_fault(self, numbers: Sequence[int]) -> None:
        """No plan here is to end for its form: nonce, gas and fees are the kernel's to choose.

        Only where somebody else uses the key, or the base fee jumped over what earlier attempts pay, a nonce
        may be out of turn until a plan's deadline. A plan of another's strategy may name a gas limit.
        """
        if not self.is_known_on_chain:
            return
        for number in numbers:
            state, reason, key = self.db.execute(
                "SELECT state, reason, key FROM intents WHERE number = ?", (number,)
            ).fetchone()
            if state not in ("refused", "expired"):
                continue
            rejected = "rejected: " in reason and "lack of funds" not in reason
            is_held_up = key in self.node.foreign_nonces or self.node.has_jumped
            excused = state == "expired" and is_held_up
            require(excused or not rejected, "a plan ended for what the kernel chose", (number, reason))

    def _outcomes_match_the_chain(self, numbers: Sequence[int]) -> None:
        """Landed or failed: one final transaction with that status, save copies of what landed that reverted.
        Any other outcome: none."""
        for number in numbers:
            (state,) = self.db.execute("SELECT state FROM intents WHERE number = ?", (number,)).fetchone()
            if state in ("queued", "committed"):
                continue
            hashes = self.db.execute(
                "SELECT a.hash FROM attempts a JOIN attempt_intents l ON l.attempt = a.number"
                " WHERE l.intent = ?",
                (number,),
            ).fetchall()
            places = [place for (tx_hash,) in hashes if (place := self.node.find(tx_hash)) is not None]
            found = [mined.status for block, _, mined in places if block.number <= self.node.final_number]
            expected = {"landed": [True], "failed": [False]}.get(state, [])
            if state in ("landed", "failed") and len(found) > 1 and self._has_moved(number):
                found = [True] * found.count(True) or [False]
            require(
                found == expected, f"intent {number} is {state}, but the final chain says {found}", number
            )

    def _has_moved(self, number: int) -> bool:
        (slots,) = self.db.execute(
            "SELECT COUNT(DISTINCT a.slot) FROM attempts a JOIN attempt_intents l ON l.attempt = a.number"
            " WHERE l.intent = ?",
            (number,),
        ).fetchone()
        return bool(slots > 1)
