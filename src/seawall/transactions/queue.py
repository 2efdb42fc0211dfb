"""What waits in the lanes, in memory: who goes next, who may not yet, whose time is over (TX-1).

The ledger is the truth; this is its queued intents in an order that costs little to keep. An intent is

    ready      the next of its lane by urgency: its class, one better for every `AGEING_S` that it waited,
               and among equals the one accepted first
    taken      a batch has it; the batch gives it back, puts it off, or is done with it
    blocked    something that it depends on is not there yet
    put off    it was tried and could not be judged; it is tried again after a pause that doubles

Pure: times are given, nothing is read or written. Losing it loses nothing: it is loaded from the ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from heapq import heapify, heappop, heappush, heapreplace
from typing import Final

from seawall.ledger.rows import IntentRow
from seawall.primitives.bounds import AGEING_S
from seawall.primitives.identifiers import IntentNumber, Lane
from seawall.primitives.levels import Priority

__all__ = ["PUT_OFF_MAX_S", "LaneQueue", "Queues", "pause_s", "urgency"]

PUT_OFF_FIRST_S: Final = 0.1
PUT_OFF_MAX_S: Final = 60.0
# Numbers that the heaps may hold beside those that wait.
DEAD_MAX: Final = 1_024
_FIRST_CLASS: Final = int(min(Priority))


def urgency(row: IntentRow, now_s: int) -> tuple[int, int]:
    """Smaller goes first: the class with its age counted in, then the order of acceptance."""
    aged = (now_s - row.accepted_at_s) // AGEING_S
    if aged > 0:
        return max(_FIRST_CLASS, row.plan.priority - aged), row.number
    return row.plan.priority, row.number


def pause_s(tries: int) -> float:
    """How long an intent rests after its `tries`-th failed try."""
    return min(PUT_OFF_FIRST_S * 2.0 ** min(max(0, tries - 1), 16), PUT_OFF_MAX_S)


class LaneQueue:
    """One lane's waiting intents."""

    __slots__ = (
        "_blocked",
        "_cancelled",
        "_causes",
        "_dead",
        "_deadlines",
        "_put_off",
        "_ready",
        "_rows",
        "_taken",
        "reconciled",
    )

    def __init__(self) -> None:
        self.reconciled = 0  # numbers up to here were in the ledger's word when it was last compared
        self._rows: dict[IntentNumber, IntentRow] = {}
        # One heap of numbers a class; what is in a heap and not in `_rows`, or not ready, is skipped there.
        self._ready: dict[Priority, list[IntentNumber]] = {priority: [] for priority in Priority}
        self._taken: set[IntentNumber] = set()
        self._blocked: dict[IntentNumber, None] = {}
        self._cancelled: dict[IntentNumber, None] = {}
        self._causes: dict[IntentNumber, str] = {}
        self._put_off: list[tuple[float, IntentNumber]] = []
        self._deadlines: list[tuple[int, IntentNumber]] = []
        self._dead = 0  # done with since the heaps were last swept

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, number: IntentNumber) -> bool:
        return number in self._rows

    def offer(self, rows: Iterable[IntentRow]) -> None:
        """Take queued intents in; one that is here already stays where it is."""
        for row in rows:
            if row.cancel_reason is not None:
                self._cancelled[row.number] = None
            if row.number in self._rows:
                if row.cancel_reason is not None:
                    self._rows[row.number] = row
                continue
            self._rows[row.number] = row
            heappush(self._deadlines, (row.plan.deadline_s, row.number))
            if row.plan.depends_on:
                self._blocked[row.number] = None
            else:
                heappush(self._ready[row.plan.priority], row.number)

    def count(self, newest: int) -> int:
        """How many wait of those numbered up to `newest`."""
        return sum(number <= newest for number in self._rows)

    def reconcile(self, rows: Iterable[IntentRow], newest: int) -> None:
        """Make it what the ledger says: `rows` are all that are queued there, and `newest` is the highest
        number given by then. What was accepted since is left, and what a batch has."""
        queued = {row.number: row for row in rows}
        gone = [n for n in self._rows if n <= newest and n not in queued and n not in self._taken]
        for number in gone:
            self.done(number)
        self.offer(queued.values())
        self.reconciled = newest

    def best(self, now_s: int) -> tuple[tuple[int, int], IntentRow] | None:
        """The next one with its urgency, left where it is."""
        found = None
        for heap in self._ready.values():
            if heap and (head := self._head(heap)) is not None:
                urgent = urgency(head, now_s)
                if found is None or urgent < found[0]:
                    found = urgent, head
        return found

    def take(self, row: IntentRow) -> None:
        """`row` is in a batch now: it was `best`."""
        heap = self._ready[row.plan.priority]
        assert heap[0] == row.number, "only the best one may be taken"
        heappop(heap)
        self._taken.add(row.number)

    def has_taken(self, number: IntentNumber) -> bool:
        """Whether a batch has it still: it was not ended, and the queue was not read anew since."""
        return number in self._taken

    def is_over(self, number: IntentNumber, now_s: int) -> bool:
        """Whether it is to end whoever has it: it was cancelled, or its deadline has passed."""
        row = self._rows.get(number)
        return row is not None and (row.cancel_reason is not None or row.plan.deadline_s < now_s)

    def give_back(self, number: IntentNumber) -> None:
        """The batch did nothing with it."""
        if number in self._taken:
            self._taken.discard(number)
            heappush(self._ready[self._rows[number].plan.priority], number)

    def put_off(self, row: IntentRow, until_s: float, cause: str) -> None:
        """Not before `until_s` of the monotonic clock; `row` as it is now, its tries counted."""
        if row.number in self._taken:
            self._taken.discard(row.number)
            # Its cancellation may have been asked for while a batch had it.
            self._rows[row.number] = replace(self._rows[row.number], candidates=row.candidates)
            self._causes[row.number] = cause
            heappush(self._put_off, (until_s, row.number))

    def cause_of(self, number: IntentNumber) -> str:
        """Why it was put off the last time; empty if it never was."""
        return self._causes.get(number, "")

    def done(self, number: IntentNumber) -> None:
        """It waits no more: committed, ended, or taken away by somebody else."""
        if self._rows.pop(number, None) is not None:
            self._dead += 1
        self._taken.discard(number)
        self._blocked.pop(number, None)
        self._causes.pop(number, None)
        self._cancelled.pop(number, None)
        if self._dead > len(self._rows) + DEAD_MAX:
            self._sweep()

    def wake(self, monotonic_s: float) -> None:
        """Whoever rested long enough is ready again."""
        while self._put_off and self._put_off[0][0] <= monotonic_s:
            _, number = heappop(self._put_off)
            if number in self._rows:
                heappush(self._ready[self._rows[number].plan.priority], number)

    def blocked(self, limit: int) -> list[IntentRow]:
        """The next `limit` of those that depend on others; asked again, the ones after them."""
        looked = list(self._blocked)[:limit]
        for number in looked:
            self._blocked[number] = self._blocked.pop(number)
        return [self._rows[number] for number in looked]

    def cancelled(self) -> list[IntentRow]:
        """Those whose cancellation was asked for; what a batch has at this moment is that batch's."""
        return [self._rows[number] for number in self._cancelled if number not in self._taken]

    def unblock(self, number: IntentNumber) -> None:
        if number in self._blocked:
            del self._blocked[number]
            heappush(self._ready[self._rows[number].plan.priority], number)

    def overdue(self, now_s: int, limit: int) -> list[IntentRow]:
        """Whose deadline is over; what a batch has at this moment is that batch's."""
        found: list[IntentRow] = []
        later: list[tuple[int, IntentNumber]] = []
        while self._deadlines and self._deadlines[0][0] < now_s and len(found) < limit:
            entry = heappop(self._deadlines)
            if entry[1] in self._taken:
                later.append(entry)
            elif entry[1] in self._rows:
                found.append(self._rows[entry[1]])
                later.append(entry)  # stays until it is done with, should storing its end fail
        for entry in later:
            heappush(self._deadlines, entry)
        return found

    def _sweep(self) -> None:
        """Heaps keep what is done with until it comes up; with far deadlines that would be for ever."""
        rows = self._rows
        self._deadlines = [entry for entry in self._deadlines if entry[1] in rows]
        self._put_off = [entry for entry in self._put_off if entry[1] in rows]
        heapify(self._deadlines)
        heapify(self._put_off)
        for ready in self._ready.values():
            ready[:] = [number for number in ready if number in rows]
            heapify(ready)
        self._dead = 0

    def _head(self, heap: list[IntentNumber]) -> IntentRow | None:
        while heap:
            row = self._rows.get(heap[0])
            if row is not None and heap[0] not in self._taken:
                return row
            heappop(heap)
        return None


class Queues:
    """All lanes of one chain that this kernel may work."""

    __slots__ = ("_lanes", "sift")

    def __init__(self) -> None:
        # Of what would be taken, what may go the ordinary way; the rest is taken by whoever sifts.
        self.sift: Callable[[list[IntentRow]], list[IntentRow]] | None = None
        self._lanes: dict[Lane, LaneQueue] = {}

    def __getitem__(self, lane: Lane) -> LaneQueue:
        return self._lanes[lane]

    def __contains__(self, lane: Lane) -> bool:
        return lane in self._lanes

    def get(self, lane: Lane) -> LaneQueue | None:
        return self._lanes.get(lane)

    @property
    def lanes(self) -> tuple[Lane, ...]:
        return tuple(self._lanes)

    def open(self, lane: Lane) -> LaneQueue:
        """An empty queue for a lane whose lease was gained: everything in it is loaded anew."""
        queue = self._lanes[lane] = LaneQueue()
        return queue

    def close(self, lane: Lane) -> None:
        """The lane is another kernel's now."""
        self._lanes.pop(lane, None)

    def offer(self, rows: Iterable[IntentRow]) -> None:
        """What was just accepted; of lanes that are not ours, whoever holds them hears from the ledger."""
        for row in rows:
            queue = self._lanes.get(row.lane)
            # What was accepted before the last look at the ledger came by it, and may be gone again by now.
            if queue is not None and row.number > queue.reconciled:
                queue.offer((row,))

    def done(self, row: IntentRow) -> None:
        """It waits no more, if its lane is still ours."""
        if (queue := self._lanes.get(row.lane)) is not None:
            queue.done(row.number)

    def give_back(self, rows: Iterable[IntentRow]) -> None:
        for row in rows:
            if (queue := self._lanes.get(row.lane)) is not None:
                queue.give_back(row.number)

    def is_over(self, row: IntentRow, now_s: int) -> bool:
        queue = self._lanes.get(row.lane)
        return queue is not None and queue.is_over(row.number, now_s)

    def put_off(self, row: IntentRow, until_s: float, cause: str) -> None:
        if (queue := self._lanes.get(row.lane)) is not None:
            queue.put_off(row, until_s, cause)

    def take(self, rooms: Mapping[Lane, int], now_s: int, limit: int) -> list[IntentRow]:
        """The most urgent over the lanes that have room, at most `limit`, and of a lane at most its room."""
        left = dict(rooms)
        heads: list[tuple[tuple[int, int], Lane, IntentRow]] = []
        for lane, room in left.items():
            best = self._lanes[lane].best(now_s) if room > 0 and lane in self._lanes else None
            if best is not None:
                heads.append((best[0], lane, best[1]))
        heapify(heads)
        taken: list[IntentRow] = []
        while heads and len(taken) < limit:
            _, lane, row = heads[0]
            queue = self._lanes[lane]
            queue.take(row)
            taken.append(row)
            left[lane] -= 1
            best = queue.best(now_s) if left[lane] > 0 else None
            if best is None:
                heappop(heads)
            else:
                heapreplace(heads, (best[0], lane, best[1]))
        return taken if self.sift is None else self.sift(taken)
