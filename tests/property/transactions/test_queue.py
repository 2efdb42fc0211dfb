"""The queue in memory against a list that is sorted anew at every question."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from seawall.ledger.rows import IntentRow
from seawall.primitives.bounds import AGEING_S
from seawall.primitives.codec import plan_digest
from seawall.primitives.identifiers import IntentNumber, Lane
from seawall.primitives.levels import IntentState, Priority
from seawall.primitives.units import Address
from seawall.transactions.queue import Queues, urgency
from tests.builders.messages import CHAIN_ID, direct_plan

LANES = [Lane(CHAIN_ID, Address(bytes([n]) * 20)) for n in (1, 2)]
START_S = 1_000_000


def row_of(
    number: int, lane: Lane, priority: Priority, at_s: int, deadline_s: int, *, waits: bool
) -> IntentRow:
    depends_on = ("another",) if waits else ()
    plan = replace(
        direct_plan(key=str(number)),
        key=lane.key,
        priority=priority,
        deadline_s=deadline_s,
        depends_on=depends_on,
    )
    return IntentRow(
        IntentNumber(number), plan.strategy, lane, plan, plan_digest(plan), number, IntentState.QUEUED, "",
        None, "", at_s, None, 0, None, None,
    )  # fmt: skip


@dataclass(slots=True)
class Model:
    """What a queue is, said slowly."""

    rows: dict[int, IntentRow] = field(default_factory=dict)
    taken: set[int] = field(default_factory=set)
    blocked: set[int] = field(default_factory=set)
    resting: dict[int, float] = field(default_factory=dict)

    def ready(self, lane: Lane) -> list[IntentRow]:
        busy = self.taken | self.blocked | set(self.resting)
        return [row for number, row in self.rows.items() if number not in busy and row.lane == lane]

    def take(self, rooms: dict[Lane, int], now_s: int, limit: int) -> list[int]:
        left = dict(rooms)
        chosen: list[int] = []
        while len(chosen) < limit:
            heads = [
                min(ready, key=lambda row: urgency(row, now_s))
                for lane in LANES
                if left.get(lane, 0) > 0 and (ready := self.ready(lane))
            ]
            if not heads:
                break
            best = min(heads, key=lambda row: urgency(row, now_s))
            chosen.append(best.number)
            self.taken.add(best.number)
            left[best.lane] -= 1
        return chosen


class QueueMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.queues, self.model, self.now_s, self.next = Queues(), Model(), START_S, 1
        for lane in LANES:
            self.queues.open(lane)

    @rule(
        lane=st.sampled_from(LANES),
        priority=st.sampled_from(list(Priority)),
        ttl_s=st.integers(1, 4 * AGEING_S),
        waits=st.booleans(),
    )
    def offer(self, lane: Lane, priority: Priority, ttl_s: int, waits: bool) -> None:
        row = row_of(self.next, lane, priority, self.now_s, self.now_s + ttl_s, waits=waits)
        self.next += 1
        self.queues.offer([row])
        self.model.rows[row.number] = row
        if waits:
            self.model.blocked.add(row.number)

    @rule(by_s=st.integers(1, 2 * AGEING_S))
    def time_passes(self, by_s: int) -> None:
        self.now_s += by_s

    @rule(room=st.integers(0, 4), other=st.integers(0, 4), limit=st.integers(1, 6))
    def take(self, room: int, other: int, limit: int) -> None:
        rooms = {LANES[0]: room, LANES[1]: other}
        expected = self.model.take(rooms, self.now_s, limit)
        assert [row.number for row in self.queues.take(rooms, self.now_s, limit)] == expected

    @precondition(lambda self: self.model.taken)
    @rule(data=st.data(), fate=st.sampled_from(("back", "off", "done")), pause_s=st.integers(1, 40))
    def end_of_a_batch(self, data: st.DataObject, fate: str, pause_s: int) -> None:
        number = data.draw(st.sampled_from(sorted(self.model.taken)))
        row = self.model.rows[number]
        self.model.taken.discard(number)
        if fate == "back":
            self.queues.give_back([row])
        elif fate == "off":
            self.queues.put_off(row, float(self.now_s + pause_s), "no endpoint")
            self.model.resting[number] = float(self.now_s + pause_s)
            assert self.queues[row.lane].cause_of(row.number) == "no endpoint"
        else:
            self.queues.done(row)
            del self.model.rows[number]

    @rule()
    def wake(self) -> None:
        for lane in LANES:
            self.queues[lane].wake(float(self.now_s))
        self.model.resting = {n: s for n, s in self.model.resting.items() if s > self.now_s}

    @precondition(lambda self: self.model.blocked)
    @rule(data=st.data())
    def unblock(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.model.blocked)))
        self.queues[self.model.rows[number].lane].unblock(IntentNumber(number))
        self.model.blocked.discard(number)

    @rule(lane=st.sampled_from(LANES))
    def ledger_says_otherwise(self, lane: Lane) -> None:
        """Every second of those that no batch has was taken away by somebody else."""
        free = [n for n, row in self.model.rows.items() if row.lane == lane and n not in self.model.taken]
        gone = set(free[::2])
        left = [row for n, row in self.model.rows.items() if row.lane == lane and n not in gone]
        self.queues[lane].reconcile(left, self.next - 1)
        for number in gone:
            del self.model.rows[number]
            self.model.blocked.discard(number)
            self.model.resting.pop(number, None)

    @invariant()
    def overdue_are_those_past_their_deadline_that_no_batch_has(self) -> None:
        for lane in LANES:
            expected = {
                number
                for number, row in self.model.rows.items()
                if row.lane == lane and row.plan.deadline_s < self.now_s and number not in self.model.taken
            }
            assert {row.number for row in self.queues[lane].overdue(self.now_s, 1_000)} == expected

    @invariant()
    def nothing_is_lost(self) -> None:
        assert sum(len(self.queues[lane]) for lane in LANES) == len(self.model.rows)


TestQueue = QueueMachine.TestCase
TestQueue.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_low_class_overtakes_a_stream_of_normal_ones_once_it_has_waited_long_enough() -> None:
    queues = Queues()
    lane = LANES[0]
    queues.open(lane)
    queues.offer([row_of(1, lane, Priority.LOW, START_S, START_S + 10_000, waits=False)])
    later_s = START_S + AGEING_S
    queues.offer([row_of(2, lane, Priority.NORMAL, later_s, START_S + 10_000, waits=False)])
    assert [row.number for row in queues.take({lane: 1}, later_s - 1, 1)] == [2]
    queues.give_back([row_of(2, lane, Priority.NORMAL, later_s, START_S + 10_000, waits=False)])
    assert [row.number for row in queues.take({lane: 1}, later_s, 1)] == [1]
