"""What a spend book says at the edges of its windows, and over several keys."""

from __future__ import annotations

import threading
import tracemalloc

import pytest

from seawall.primitives.identifiers import Lane
from seawall.primitives.units import NATIVE, Address
from seawall.risk.spending import BUCKETS, DAY_S, HOUR_S, Budget, Past, SpendBook, SpendCap

NOW_S = 1_800_000_000
KEYS = [Lane(31_337, Address(bytes([n]) * 20)) for n in range(1, 9)]
CAP = SpendCap(NATIVE, per_hour=100, per_day=250)


def book(*, lanes: list[Lane] | None = None) -> SpendBook:
    return SpendBook((Budget("treasury", frozenset(lanes or KEYS), (CAP,)),))


def spent(one: SpendBook, now_s: int = NOW_S) -> tuple[int, int]:
    hour, day = one.measure(KEYS[0], now_s)
    assert (hour.window_s, day.window_s) == (HOUR_S, DAY_S)
    return hour.amount, day.amount


def test_eight_keys_share_one_limit() -> None:
    one = book()
    admitted = [one.reserve(key, 7, {NATIVE: 30}, NOW_S) for key in KEYS]
    assert admitted == [True] * 3 + [False] * 5
    assert spent(one) == (90, 90)


def test_refused_reservation_leaves_nothing_behind() -> None:
    one = book()
    assert not one.reserve(KEYS[0], 0, {NATIVE: 101}, NOW_S)
    assert spent(one) == (0, 0)
    assert one.reserve(KEYS[0], 0, {NATIVE: 100}, NOW_S)


def test_refused_renewal_keeps_the_reservation_before_it() -> None:
    one = book()
    assert one.reserve(KEYS[0], 0, {NATIVE: 60}, NOW_S)
    assert not one.reserve(KEYS[0], 0, {NATIVE: 101}, NOW_S)
    assert spent(one) == (60, 60)
    assert one.reserve(KEYS[0], 0, {NATIVE: 100}, NOW_S)
    assert spent(one) == (100, 100)


def test_hour_frees_what_was_settled_while_the_day_remembers_it() -> None:
    one = book()
    assert one.reserve(KEYS[0], 0, {NATIVE: 100}, NOW_S)
    one.correct(KEYS[0], 0, {NATIVE: 90})
    later_s = NOW_S + HOUR_S + HOUR_S // BUCKETS + 1
    assert spent(one, later_s) == (0, 90)
    assert spent(one, NOW_S + DAY_S + DAY_S // BUCKETS + 1) == (0, 0)


def test_unsettled_spend_counts_however_old_it_is() -> None:
    one = book()
    assert one.reserve(KEYS[0], 0, {NATIVE: 80}, NOW_S)
    assert spent(one, NOW_S + 3 * DAY_S) == (80, 80)
    one.correct(KEYS[0], 0, {NATIVE: 70})
    assert spent(one, NOW_S + 3 * DAY_S) == (0, 0)


def test_day_is_full_though_the_hour_is_not() -> None:
    one = book()
    for hour in range(3):
        assert one.reserve(KEYS[0], hour, {NATIVE: 80}, NOW_S + 2 * hour * HOUR_S)
        one.correct(KEYS[0], hour, {NATIVE: 80})
    assert not one.reserve(KEYS[0], 9, {NATIVE: 11}, NOW_S + 6 * HOUR_S)
    assert one.reserve(KEYS[0], 9, {NATIVE: 10}, NOW_S + 6 * HOUR_S)


def test_what_was_not_committed_is_given_back_and_what_was_stays() -> None:
    one = book()
    assert one.reserve(KEYS[0], 0, {NATIVE: 40}, NOW_S)
    assert one.reserve(KEYS[1], 0, {NATIVE: 60}, NOW_S)
    one.keep(KEYS[0], 0)
    one.release()
    one.release()
    assert spent(one) == (40, 40)
    assert one.reserve(KEYS[1], 0, {NATIVE: 60}, NOW_S)


def test_commit_of_another_kernel_counts_even_past_the_cap() -> None:
    one = book()
    one.note(KEYS[1], 3, {NATIVE: 130}, NOW_S)
    one.note(KEYS[1], 3, {NATIVE: 130}, NOW_S)
    assert spent(one) == (130, 130)
    assert not one.reserve(KEYS[0], 0, {NATIVE: 0}, NOW_S)
    one.correct(KEYS[1], 3, {NATIVE: 20})
    assert spent(one) == (20, 20)


def test_settled_at_an_unknown_cost_stays_at_its_most_and_ages() -> None:
    one = book()
    one.note(KEYS[1], 3, {NATIVE: 50}, NOW_S)
    one.correct(KEYS[1], 3, None)
    assert spent(one) == (50, 50)
    assert spent(one, NOW_S + 2 * DAY_S) == (0, 0)


def test_start_counts_what_the_ledger_remembers() -> None:
    one = book()
    one.load(
        [
            Past(KEYS[0], NATIVE, 10, NOW_S - 60),
            Past(KEYS[1], NATIVE, 20, NOW_S - 2 * HOUR_S),
            Past(KEYS[2], NATIVE, 5, NOW_S - 2 * DAY_S, slot=4),
            Past(KEYS[2], NATIVE, 7, NOW_S - 60, slot=4),  # a second attempt of the same slot
        ],
        NOW_S,
    )
    assert spent(one) == (17, 37)
    one.correct(KEYS[2], 4, {})
    assert spent(one) == (10, 30)
    one.load([Past(KEYS[0], NATIVE, 10, NOW_S - 60)], NOW_S)
    assert spent(one) == (10, 10)


def test_candidate_that_is_judged_again_does_not_count_itself() -> None:
    one = book()
    assert one.reserve(KEYS[0], 5, {NATIVE: 70}, NOW_S)
    assert one.reserve(KEYS[1], 5, {NATIVE: 20}, NOW_S)
    for now_s in (NOW_S, NOW_S + 2 * DAY_S):
        assert [found.amount for found in one.measure(KEYS[0], now_s, apart_from=5)] == [20, 20]
        assert [found.amount for found in one.measure(KEYS[0], now_s, apart_from=6)] == [90, 90]


def test_lane_without_a_budget_is_not_counted() -> None:
    one = book(lanes=[KEYS[0]])
    assert one.reserve(KEYS[1], 0, {NATIVE: 10**30}, NOW_S)
    assert one.measure(KEYS[1], NOW_S) == ()
    assert one.lanes == {KEYS[0]}
    assert spent(one) == (0, 0)


@pytest.mark.parametrize("threads", [8])
def test_threads_that_reserve_at_once_never_pass_the_cap(threads: int) -> None:
    one, admitted = book(), list[bool]()

    def worker(key: Lane) -> None:
        admitted.extend(one.reserve(key, nonce, {NATIVE: 1}, NOW_S) for nonce in range(50))

    running = [threading.Thread(target=worker, args=(KEYS[n],)) for n in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    assert sum(admitted) == 100
    assert spent(one)[0] == 100


def test_memory_is_flat_in_history() -> None:
    one = SpendBook((Budget("b", frozenset(KEYS), (SpendCap(NATIVE, 10**9, 10**9),)),))

    def live_through(first: int, count: int) -> int:
        for nonce in range(first, first + count):
            assert one.reserve(KEYS[0], nonce, {NATIVE: 1}, NOW_S + nonce)
            one.correct(KEYS[0], nonce, {NATIVE: 1})
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = live_through(0, 2_000)
        assert live_through(2_000, 20_000) < before + 64 * 1024
    finally:
        tracemalloc.stop()
