"""The spend book against a list of everything that happened: it never admits more than a cap, in any order of
reservations, releases and settlements, and never forgets what is still open."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from seawall.primitives.identifiers import Lane
from seawall.primitives.units import NATIVE, Address
from seawall.risk.spending import BUCKETS, DAY_S, HOUR_S, Budget, Past, SpendBook, SpendCap

START_S = 1_800_000_000
LANES = [Lane(31_337, Address(bytes([n]) * 20)) for n in (1, 2, 3)]
USD = Address(b"\x05" * 20)
TOKENS = [NATIVE, USD]
BUDGETS = (
    Budget("one", frozenset({LANES[0]}), (SpendCap(NATIVE, 100, 300), SpendCap(USD, 40, 90))),
    Budget("treasury", frozenset(LANES), (SpendCap(NATIVE, 150, 400),)),
)
AMOUNTS = st.dictionaries(st.sampled_from(TOKENS), st.integers(0, 120), min_size=1)


@dataclass
class Entry:
    lane: Lane
    at_s: int
    amounts: dict[Address, int]
    settled: bool = False
    committed: bool = False


@dataclass
class History:
    """What a plain list of all entries says."""

    entries: dict[tuple[Lane, int], Entry] = field(default_factory=dict)

    def spent(self, budget: Budget, token: Address, window_s: int, now_s: int) -> int:
        return sum(
            entry.amounts.get(token, 0)
            for entry in self.entries.values()
            if entry.lane in budget.lanes and (not entry.settled or entry.at_s > now_s - window_s)
        )


class Spending(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.book = SpendBook(BUDGETS)
        self.history = History()
        self.now_s = START_S
        self.nonce = 0

    def _open(self) -> list[tuple[Lane, int]]:
        return [key for key, entry in self.history.entries.items() if not entry.settled]

    @rule(lane=st.sampled_from(LANES), amounts=AMOUNTS)
    def reserve(self, lane: Lane, amounts: dict[Address, int]) -> None:
        self.nonce += 1
        if self.book.reserve(lane, self.nonce, amounts, self.now_s):
            self.history.entries[(lane, self.nonce)] = Entry(lane, self.now_s, dict(amounts))

    @rule(data=st.data(), amounts=AMOUNTS)
    def reserve_anew(self, data: st.DataObject, amounts: dict[Address, int]) -> None:
        if self._open():
            key = data.draw(st.sampled_from(self._open()))
            if self.book.reserve(*key, amounts, self.now_s):
                committed = self.history.entries[key].committed
                self.history.entries[key] = Entry(key[0], self.now_s, dict(amounts), committed=committed)

    @rule(data=st.data())
    def commit(self, data: st.DataObject) -> None:
        if self._open():
            key = data.draw(st.sampled_from(self._open()))
            self.book.keep(*key)
            self.history.entries[key].committed = True

    @rule()
    def release(self) -> None:
        self.book.release()
        entries = self.history.entries
        for key in [key for key, entry in entries.items() if not (entry.committed or entry.settled)]:
            del entries[key]

    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        if self._open():
            key = data.draw(st.sampled_from(self._open()))
            entry = self.history.entries[key]
            taken = {token: data.draw(st.integers(0, most)) for token, most in entry.amounts.items()}
            self.book.correct(*key, taken)
            self.book.correct(*key, taken)  # told twice: counted once
            entry.amounts, entry.settled = taken, True

    @rule(passed_s=st.sampled_from([1, 29, 31, 600, HOUR_S - 1, HOUR_S + 31, DAY_S // 2, DAY_S]))
    def wait(self, passed_s: int) -> None:
        self.now_s += passed_s

    @rule()
    def restart(self) -> None:
        """A new book, loaded from what a ledger keeps."""
        self.release()
        self.book = SpendBook(BUDGETS)
        past = [
            Past(entry.lane, token, amount, entry.at_s, None if entry.settled else key[1])
            for key, entry in self.history.entries.items()
            for token, amount in entry.amounts.items()
            if not entry.settled or entry.at_s >= self.now_s - DAY_S
        ]
        self.book.load(past, self.now_s)

    @invariant()
    def no_cap_is_passed_and_nothing_is_forgotten(self) -> None:
        for lane in LANES:
            for one in self.book.measure(lane, self.now_s):
                (budget,) = [b for b in BUDGETS if b.name == one.budget]
                true = self.history.spent(budget, one.token, one.window_s, self.now_s)
                longer_s = one.window_s + one.window_s // BUCKETS + 1
                assert true <= one.amount <= self.history.spent(budget, one.token, longer_s, self.now_s)
                assert one.amount <= one.cap


TestSpending = Spending.TestCase
TestSpending.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
