"""What a retired key moves next (KEY-2): order, caps, and that nothing holds the others up for ever."""

from __future__ import annotations

import itertools

from seawall.primitives.units import NATIVE, Address
from seawall.runtime.keys.retiring import (
    NATIVE_WAITS_TRIES,
    RETRY_S,
    RETRY_S_MAX,
    TRIES_MAX,
    KeyBounds,
    Move,
    Tries,
    movable_of,
    next_move,
)

FIRST, SECOND = Address(b"\x01" * 20), Address(b"\x02" * 20)
ETHER = 10**18
FEE_WEI = ETHER // 100


def test_no_more_goes_at_once_than_the_hour_admits_with_its_fee() -> None:
    bounds = KeyBounds(kept_wei=0, value_max_wei=100 * ETHER, hour_max_wei=5 * ETHER)
    assert movable_of({NATIVE: 50 * ETHER}, FEE_WEI, bounds) == {NATIVE: 5 * ETHER - FEE_WEI}


def test_a_key_that_may_send_no_native_token_has_nothing_to_move() -> None:
    assert movable_of({NATIVE: 50 * ETHER}, FEE_WEI, KeyBounds(0, 0)) == {}
    assert movable_of({NATIVE: 50 * ETHER}, FEE_WEI, KeyBounds(0, ETHER, FEE_WEI)) == {}


def test_what_the_last_move_left_of_its_fee_is_not_moved_again() -> None:
    bounds = KeyBounds(kept_wei=ETHER, value_max_wei=100 * ETHER)
    assert movable_of({NATIVE: ETHER + 2 * FEE_WEI}, FEE_WEI, bounds) == {}
    assert movable_of({NATIVE: ETHER + 2 * FEE_WEI + 1}, FEE_WEI, bounds) == {NATIVE: FEE_WEI + 1}


def test_what_could_not_be_read_is_not_moved() -> None:
    assert movable_of({FIRST: None, SECOND: 7, NATIVE: 0}, FEE_WEI, KeyBounds(0, ETHER)) == {SECOND: 7}


def test_tokens_go_first_and_the_native_token_last() -> None:
    movable = {FIRST: 1, SECOND: 2, NATIVE: 3}
    assert next_move(movable, {}, 0) == (Move(FIRST, 1), True)
    assert next_move({NATIVE: 3}, {}, 0) == (Move(NATIVE, 3), True)
    assert next_move({}, {}, 0) == (None, False)


def test_a_token_that_does_not_move_holds_up_no_other() -> None:
    movable = {FIRST: 1, SECOND: 2, NATIVE: 3}
    stuck = {FIRST: Tries(1, 1_000)}
    assert next_move(movable, stuck, 1_001) == (Move(SECOND, 2), True)
    assert next_move({FIRST: 1, NATIVE: 3}, stuck, 1_001) == (None, True)
    assert next_move({FIRST: 1, NATIVE: 3}, stuck, 1_000 + RETRY_S) == (Move(FIRST, 1), True)
    often = {FIRST: Tries(NATIVE_WAITS_TRIES, 1_000)}
    assert next_move({FIRST: 1, NATIVE: 3}, often, 1_001) == (Move(NATIVE, 3), True)


def test_tries_grow_rarer_outlast_a_days_cap_and_end() -> None:
    now_s, waits, tries = 0, [], Tries(0, 0)
    while (found := next_move({NATIVE: 1}, {NATIVE: tries}, now_s)) != (None, False):
        if found[0] is None:
            now_s += 60
            continue
        waits.append(now_s)
        tries = Tries(tries.in_vain + 1, now_s)
    assert len(waits) == TRIES_MAX
    assert waits[-1] > 86_400
    assert max(later - sooner for sooner, later in itertools.pairwise(waits)) <= RETRY_S_MAX
