"""What lanes may spend an hour and a day, over all lanes of a budget together.

    candidate judged     `measure` says what each budget has spent; the guard adds the candidate's most
    candidate admitted   `reserve` takes that most at once, or answers False: nobody spends it in between
    committed            `keep`
    not committed        `release`: all that was reserved since, and not kept
    settled              `correct` to what it truly took
    start                `load` from the ledger's spends, with what is not settled yet
    others' commits      `note`: another kernel's lane may share a budget

A spend counts from the moment it is committed, in every window that holds that moment. What is not settled
counts at its most, however old it is, for it can still be taken; what is settled counts at what it took. A
slot is one spend, whatever the number of its attempts: at most one of them lands, within the verdict's
maximum.

Cost and memory are flat in history: windows are kept as `BUCKETS` sums. A bucket leaves a window as a whole,
so that a spend counts up to one part in `BUCKETS` longer than the window, never shorter.

Times are given, nothing is read from a clock or a database. Calls exclude each other, for verdicts are made
on worker threads. A budget over lanes of several kernels holds as well as `note` is told of their commits
before ours: the fenced commit, of which there is one at a time, is the place to see that none was missed.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from seawall.primitives.identifiers import Lane
from seawall.primitives.units import Address

__all__ = ["DAY_S", "HOUR_S", "Budget", "Past", "SpendBook", "SpendCap", "SpendKey", "Spent"]

HOUR_S: Final = 3_600
DAY_S: Final = 86_400
BUCKETS: Final = 120

SpendKey = tuple[Lane, int]
"""A slot: the lane and its nonce."""


@dataclass(frozen=True, slots=True)
class SpendCap:
    """The most of a token that a budget's lanes may spend [smallest unit of token]."""

    token: Address
    per_hour: int
    per_day: int


@dataclass(frozen=True, slots=True)
class Budget:
    """One limit over one or many lanes. A token that has no cap in it is none of its business."""

    name: str
    lanes: frozenset[Lane]
    caps: tuple[SpendCap, ...]


@dataclass(frozen=True, slots=True)
class Spent:
    """What one budget has spent of one token in one window, unsettled at its most."""

    budget: str
    token: Address
    window_s: int
    amount: int
    cap: int


@dataclass(frozen=True, slots=True)
class Past:
    """A spend that the ledger remembers. `slot` is given for what is not settled."""

    lane: Lane
    token: Address
    amount: int
    at_s: int
    slot: int | None = None  # its nonce


@dataclass(slots=True)
class _Bucket:
    total: int = 0
    unsettled: int = 0


@dataclass(slots=True)
class _Window:
    """Sums of one token over the last `length_s`. Buckets are numbered by time; `first` is the oldest
    inside."""

    length_s: int
    cap: int
    first: int = 0
    inside: int = 0
    outside: int = 0  # unsettled, and older than the window
    buckets: dict[int, _Bucket] = field(default_factory=dict)  # in the order of time, nearly

    @property
    def amount(self) -> int:
        return self.inside + self.outside

    def advance(self, now_s: int) -> None:
        first = (now_s - self.length_s) * BUCKETS // self.length_s
        if first <= self.first:
            return
        self.first = first
        for number in [number for number in self.buckets if number < first]:
            bucket = self.buckets.pop(number)
            self.inside -= bucket.total
            self.outside += bucket.unsettled

    def add(self, at_s: int, amount: int, *, settled: bool) -> None:
        number = self._number(at_s)
        if number >= self.first:
            bucket = self.buckets.setdefault(number, _Bucket())
            bucket.total += amount
            self.inside += amount
            if not settled:
                bucket.unsettled += amount
        elif not settled:
            self.outside += amount

    def settle(self, at_s: int, reserved: int, taken: int) -> None:
        number = self._number(at_s)
        if number >= self.first:
            bucket = self.buckets[number]
            bucket.total += taken - reserved
            bucket.unsettled -= reserved
            self.inside += taken - reserved
        else:
            self.outside -= reserved

    def _number(self, at_s: int) -> int:
        return at_s * BUCKETS // self.length_s


@dataclass(frozen=True, slots=True)
class _Reservation:
    at_s: int
    amounts: Mapping[Address, int]


class SpendBook:
    """All budgets of one chain."""

    def __init__(self, budgets: Sequence[Budget] = ()) -> None:
        self._budgets = tuple(budgets)
        self._lock = threading.Lock()
        self._of_lane: dict[Lane, list[Budget]] = {}
        for budget in self._budgets:
            for lane in budget.lanes:
                self._of_lane.setdefault(lane, []).append(budget)
        self._windows = _windows_of(self._budgets)
        assert len(self._windows) == sum(len(budget.caps) for budget in self._budgets), "a cap is there twice"
        self._reserved: dict[SpendKey, _Reservation] = {}
        self._uncommitted: set[SpendKey] = set()

    @property
    def lanes(self) -> frozenset[Lane]:
        """All lanes that have a budget."""
        return frozenset(self._of_lane)

    def is_kept(self, lanes: Iterable[Lane], now_s: int) -> bool:
        """Whether every budget of these lanes holds, with all that is reserved."""
        return all(spent.amount <= spent.cap for lane in lanes for spent in self.measure(lane, now_s))

    def measure(self, lane: Lane, now_s: int, apart_from: int | None = None) -> tuple[Spent, ...]:
        """What has been spent of every budget of the lane, without what the slot `apart_from` has reserved: a
        candidate that is judged again must not count twice."""
        if lane not in self._of_lane:
            return ()
        with self._lock:
            own = None if apart_from is None else self._reserved.get((lane, apart_from))
            return tuple(
                Spent(
                    budget.name,
                    cap.token,
                    window.length_s,
                    window.amount - (0 if own is None else own.amounts.get(cap.token, 0)),
                    window.cap,
                )
                for budget in self._of_lane.get(lane, ())
                for cap in budget.caps
                for window in self._advanced(budget.name, cap.token, now_s)
            )

    def reserve(self, lane: Lane, nonce: int, amounts: Mapping[Address, int], at_s: int) -> bool:
        """Take the most that the slot may spend out of every budget of its lane. False, and nothing taken,
        where one of them has not that much left. A slot that is reserved already is reserved anew, at these
        amounts."""
        if lane not in self._of_lane:
            return True
        assert all(amount >= 0 for amount in amounts.values())
        with self._lock:
            key = (lane, nonce)
            before = self._forget(key)
            for window, amount in self._touched(lane, amounts, at_s):
                if window.amount + amount > window.cap:
                    self._put(key, before)
                    return False
            self._put(key, _Reservation(at_s, dict(amounts)))
            if before is None:
                self._uncommitted.add(key)
            return True

    def note(self, lane: Lane, nonce: int, amounts: Mapping[Address, int], at_s: int) -> None:
        """What is committed already counts, whatever is left: by another kernel, or before this one's
        start."""
        with self._lock:
            self._forget((lane, nonce))
            self._uncommitted.discard((lane, nonce))
            self._touched(lane, amounts, at_s)
            self._put((lane, nonce), _Reservation(at_s, dict(amounts)))

    def widen(self, lane: Lane, nonce: int, amounts: Mapping[Address, int], at_s: int) -> None:
        """An alternative was committed to a slot that is committed: one of them lands at most, so that of
        each token the largest amount counts."""
        with self._lock:
            before = self._forget((lane, nonce))
            known = {} if before is None else dict(before.amounts)
            largest = {
                token: max(known.get(token, 0), amounts.get(token, 0)) for token in {**known, **amounts}
            }
            self._touched(lane, largest, at_s)
            self._put((lane, nonce), _Reservation(at_s if before is None else before.at_s, largest))

    def keep(self, lane: Lane, nonce: int) -> None:
        """The slot is committed: what it reserved stays until it is settled."""
        if lane not in self._of_lane:
            return
        with self._lock:
            self._uncommitted.discard((lane, nonce))

    def release(self) -> None:
        """What was reserved and not kept will not be committed: nothing of it can be spent."""
        with self._lock:
            for key in self._uncommitted:
                self._forget(key)
            self._uncommitted.clear()

    def correct(self, lane: Lane, nonce: int, taken: Mapping[Address, int] | None) -> None:
        """The slot is settled and took this much; of a token that is not named, nothing. None: how much is
        not known here, so that it stays at its most. A slot that is not known (it has no budget, or was
        settled before) changes nothing."""
        with self._lock:
            found = self._reserved.pop((lane, nonce), None)
            self._uncommitted.discard((lane, nonce))
            if found is None:
                return
            for token, reserved in found.amounts.items():
                for window in self._windows_of(lane, token):
                    window.settle(found.at_s, reserved, reserved if taken is None else taken.get(token, 0))

    def load(self, past: Iterable[Past], now_s: int) -> None:
        """At start, and whenever lanes changed hands: forget everything, then count the spends since `now_s`
        less a day and all that are not settled, of every lane in `lanes`."""
        with self._lock:
            self._reserved.clear()
            self._uncommitted.clear()
            self._windows = _windows_of(self._budgets)
            slots: dict[SpendKey, tuple[int, dict[Address, int]]] = {}
            for one in past:
                if one.slot is not None:
                    at_s, amounts = slots.setdefault((one.lane, one.slot), (one.at_s, {}))
                    # Attempts of one slot: at most one lands.
                    amounts[one.token] = max(amounts.get(one.token, 0), one.amount)
                    continue
                for window in self._windows_of(one.lane, one.token):
                    window.advance(now_s)
                    window.add(one.at_s, one.amount, settled=True)
            for key, (at_s, amounts) in slots.items():
                self._touched(key[0], amounts, now_s)
                self._put(key, _Reservation(at_s, amounts))

    def _advanced(self, budget: str, token: Address, now_s: int) -> tuple[_Window, ...]:
        windows = self._windows[(budget, token)]
        for window in windows:
            window.advance(now_s)
        return windows

    def _touched(self, lane: Lane, amounts: Mapping[Address, int], now_s: int) -> list[tuple[_Window, int]]:
        """The windows that these amounts count in, brought to `now_s`."""
        return [
            (window, amount)
            for budget in self._of_lane.get(lane, ())
            for token, amount in amounts.items()
            if (budget.name, token) in self._windows
            for window in self._advanced(budget.name, token, now_s)
        ]

    def _windows_of(self, lane: Lane, token: Address) -> list[_Window]:
        names = [(budget.name, token) for budget in self._of_lane.get(lane, ())]
        return [window for name in names for window in self._windows.get(name, ())]

    def _put(self, key: SpendKey, reservation: _Reservation | None) -> None:
        if reservation is None or key[0] not in self._of_lane:
            return
        self._reserved[key] = reservation
        for token, amount in reservation.amounts.items():
            for window in self._windows_of(key[0], token):
                window.add(reservation.at_s, amount, settled=False)

    def _forget(self, key: SpendKey) -> _Reservation | None:
        found = self._reserved.pop(key, None)
        if found is not None:
            for token, amount in found.amounts.items():
                for window in self._windows_of(key[0], token):
                    window.settle(found.at_s, amount, 0)
        return found


def _windows_of(budgets: Sequence[Budget]) -> dict[tuple[str, Address], tuple[_Window, ...]]:
    return {
        (budget.name, cap.token): (_Window(HOUR_S, cap.per_hour), _Window(DAY_S, cap.per_day))
        for budget in budgets
        for cap in budget.caps
    }
