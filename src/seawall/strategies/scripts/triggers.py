"""When a strategy file is looked at: blocks, times, events, crossings. Any one of its triggers is enough.

Times are kept by durable timers of the kernel. One that comes late, because nothing ran meanwhile, is a
missed run; the policy says what becomes of it. A timer or an event has no reads, so what is due waits for
the next head.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from seawall.native import keccak256
from seawall.primitives.blocks import LogFilter
from seawall.primitives.observations import Observation, Timer
from seawall.primitives.units import Address, Hash
from seawall.strategies.scripts.terms import Frame, Term

__all__ = [
    "LATE_S_MIN",
    "MISSED_RUNS_MAX",
    "BlockTrigger",
    "DailyTrigger",
    "Direction",
    "EventTrigger",
    "IntervalTrigger",
    "Missed",
    "PriceTrigger",
    "Trigger",
    "event_filter",
    "runs_due",
]

# Runs that are caught up on after a long absence.
MISSED_RUNS_MAX: Final = 16
# A timer this late is a missed run; less is the time that heads take.
LATE_S_MIN: Final = 120
DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Missed(StrEnum):
    """What becomes of runs whose time passed while nothing ran."""

    SKIP = "skip"
    ONCE = "once"
    ALL = "all"


class Direction(StrEnum):
    UP = "up"
    DOWN = "down"
    EITHER = "either"


@dataclass(frozen=True, slots=True)
class BlockTrigger:
    name: str
    every: int

    def fires(self, number: int, last_number: int | None) -> bool:
        """Once in every so many blocks, also when heads are skipped."""
        return last_number is None or number // self.every > last_number // self.every


@dataclass(frozen=True, slots=True)
class PriceTrigger:
    name: str
    value: Term
    threshold: Term
    direction: Direction

    def is_above(self, frame: Frame) -> bool:
        return self.value.run(frame) > self.threshold.run(frame)

    def fires(self, *, was_above: bool | None, is_above: bool) -> bool:
        """The first look only tells on which side it is."""
        if was_above is None or was_above == is_above:
            return False
        return self.direction is Direction.EITHER or is_above == (self.direction is Direction.UP)


@dataclass(frozen=True, slots=True)
class IntervalTrigger:
    name: str
    every_s: int
    missed: Missed

    def next_after(self, now_s: int) -> int:
        return now_s + self.every_s

    def count_missed(self, scheduled_s: int, now_s: int) -> int:
        return (now_s - scheduled_s) // self.every_s


@dataclass(frozen=True, slots=True)
class DailyTrigger:
    name: str
    minute: int  # of the day, UTC
    days: frozenset[int]  # 0 is Monday
    missed: Missed

    def next_after(self, now_s: int) -> int:
        day = datetime.fromtimestamp(now_s, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        for ahead in range(8):
            at = day + timedelta(days=ahead, minutes=self.minute)
            if at.timestamp() > now_s and at.weekday() in self.days:
                return int(at.timestamp())
        raise AssertionError("a week holds every day")

    def count_missed(self, scheduled_s: int, now_s: int) -> int:
        count, at_s = 0, scheduled_s
        while count < MISSED_RUNS_MAX and (at_s := self.next_after(at_s)) <= now_s:
            count += 1
        return count


@dataclass(frozen=True, slots=True)
class EventTrigger:
    name: str
    source: Address
    topic: Hash

    @property
    def filter(self) -> LogFilter:
        return event_filter(self.source, self.topic)

    def fires(self, observation: Observation) -> bool:
        return any(log.address == self.source and log.topics[:1] == (self.topic,) for log in observation.logs)


Trigger = BlockTrigger | PriceTrigger | IntervalTrigger | DailyTrigger | EventTrigger
Scheduled = IntervalTrigger | DailyTrigger


def topic_of(signature: str) -> Hash:
    return Hash(keccak256(signature.encode()))


def event_filter(source: Address, topic: Hash) -> LogFilter:
    return LogFilter((source,), ((topic,),))


def runs_due(trigger: Scheduled, scheduled_s: int, now_s: int) -> int:
    """How many runs a timer that was set for `scheduled_s` asks for now."""
    missed = trigger.count_missed(scheduled_s, now_s)
    is_late = now_s - scheduled_s >= LATE_S_MIN
    if not is_late and not missed:
        return 1
    match trigger.missed:
        case Missed.SKIP:
            return 0
        case Missed.ONCE:
            return 1
        case Missed.ALL:
            return min(1 + missed, MISSED_RUNS_MAX)


def timers_of(schedule: Mapping[str, int]) -> tuple[Timer, ...]:
    return tuple(Timer(name, at_s) for name, at_s in sorted(schedule.items()))
