"""Inclusions become safe, then final, and what they were of ends: in pieces, each whole in itself.

What a head ends goes with its own transaction where it is little. More of it follows in pieces, so that
whoever accepts or dispatches never waits for a whole block's endings. Finality is asked of all that has not
reached it: what a failure leaves is done later."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from seawall.ledger.rows import InclusionRow, Leg
from seawall.ledger.transaction import Transaction
from seawall.primitives.identifiers import Lane
from seawall.primitives.levels import Finality
from seawall.primitives.units import Address
from seawall.telemetry.logs import correlated, get_logger
from seawall.transactions.desk import Desk
from seawall.transactions.including import tell
from seawall.transactions.settling import Consumed, Ended, Memory, settle

__all__ = ["LINES_MAX", "PIECE", "Endings", "Ends"]

# Transactions told one by one in the log; of a larger number only how many there are.
LINES_MAX: Final = 32
# Inclusions that one ledger transaction takes to be safe or final, those that a block brought counted in;
# each further piece of the same head may hold twice as many, so that there are few.
PIECE: Final = 32
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Ends:
    """What one piece settled."""

    slots: tuple[tuple[Lane, int], ...] = ()
    taken: tuple[Mapping[Address, int], ...] = ()  # of ours by each slot, by token
    ended: tuple[Ended, ...] = ()
    final: frozenset[int] = frozenset()  # inclusions
    is_all: bool = True  # False: more may have become safe or final than the piece could hold


@dataclass(slots=True)
class Endings:
    """What of one desk is included and has not ended."""

    desk: Desk
    wrapped_native: Address | None
    piece: int = PIECE
    is_more: bool = False  # there may be inclusions that are safe or final, and are not said to be
    # Inclusions and what they moved, by their number, until they are final: read from the ledger where they
    # are not here.
    _rows: dict[int, InclusionRow] = field(default_factory=dict)
    _legs: dict[int, tuple[Leg, ...]] = field(default_factory=dict)

    def forget(self) -> None:
        self._rows.clear()
        self._legs.clear()

    def take(self, rows: Sequence[InclusionRow], legs: Mapping[int, tuple[Leg, ...]]) -> None:
        """New inclusions are stored."""
        self._rows.update((row.number, row) for row in rows)
        self._legs.update(legs)

    def end(
        self,
        tx: Transaction,
        safe_number: int,
        final_number: int,
        consumed: list[Consumed],
        rows: Sequence[InclusionRow],
        legs: Mapping[int, tuple[Leg, ...]],
    ) -> Ends:
        """The first piece of a head that brought these inclusions."""
        known = self._rows | {row.number: row for row in rows}
        piece = max(0, self.piece - len(rows))
        return self._end(tx, safe_number, final_number, consumed, known, {**self._legs, **legs}, piece)

    def end_more(self, tx: Transaction, piece: int) -> Ends:
        """A further piece of at most so many."""
        safe_number, final_number = self.desk.safe_number, self.desk.final_number
        return self._end(tx, safe_number, final_number, [], self._rows, self._legs, piece)

    def _end(
        self,
        tx: Transaction,
        safe_number: int,
        final_number: int,
        consumed: list[Consumed],
        known: Mapping[int, InclusionRow],
        legs: Mapping[int, tuple[Leg, ...]],
        piece: int,
    ) -> Ends:
        """Take inclusions to be safe, then, if all that can be are, to be final: at most `piece` together.
        Settle the slots of the final ones, and those that foreign use has `consumed`."""
        desk = self.desk
        chain_id, held, now_s = desk.parts.network.chain_id, desk.fences.keys(), desk.parts.clock.now_s()
        ripe = tx.inclusions.set_finality
        safe = ripe(chain_id, safe_number, Finality.SAFE, held, known, at_most=piece)
        tell(tx, desk, "inclusion.safe", safe, now_s)
        final = ripe(chain_id, final_number, Finality.FINAL, held, known, at_most=piece - len(safe))
        consumed = [*consumed, *(self._consumed(tx, row) for row in final)]
        memory = Memory(desk.intents, legs, self.wrapped_native, desk.parts.moves)
        ended, taken = settle(tx, consumed, memory, now_s)
        return Ends(
            tuple([(one.lane, one.nonce) for one in consumed]),
            tuple(taken),
            tuple(ended),
            frozenset([row.number for row in final]),
            is_all=len(safe) + len(final) < piece,
        )

    def _consumed(self, tx: Transaction, row: InclusionRow) -> Consumed:
        """A final inclusion consumes its slot."""
        watched = self.desk.unsettled.get(row.attempt_hash)
        if watched is None:
            return Consumed(row.lane, row.nonce, tuple(tx.attempts.of_slot(row.lane, row.nonce)), row)
        attempts = tuple([self.desk.unsettled[h] for h in self.desk.hashes_of(row.lane, row.nonce)])
        return Consumed(row.lane, row.nonce, attempts, row)

    def note(self, ends: Ends) -> None:
        """A piece is stored: nothing of its slots is watched any more."""
        metrics = self.desk.parts.metrics
        self.is_more = not ends.is_all
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


def _tell_ended(several: Sequence[Ended]) -> None:
    for ended in several[:LINES_MAX]:
        with correlated(ended.intent.correlation_id):
            _log.info("intent_ended", intent=ended.intent.number, state=ended.state, reason=ended.reason)
    if len(several) > LINES_MAX:
        _log.info("more_ended", beside=LINES_MAX, in_all=len(several))
