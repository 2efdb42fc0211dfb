from __future__ import annotations

import pytest

from seawall.ledger import Transaction
from seawall.ledger.rows import TimerRow
from seawall.primitives.bounds import STATE_BYTES_MAX, TIMERS_PER_STRATEGY_MAX
from seawall.primitives.errors import AuthorityChangedError, LedgerError, StateVersionError
from seawall.primitives.levels import Authority
from seawall.primitives.observations import Timer
from tests.unit.ledger.samples import NOW_S


def test_state_begins_empty_at_version_zero(tx: Transaction) -> None:
    assert tx.states.get("s") == (0, b"")


def test_state_moves_by_compare_and_set(tx: Transaction) -> None:
    assert tx.states.compare_and_set("s", 0, b"one") == 1
    assert tx.states.compare_and_set("s", 1, b"two") == 2
    assert tx.states.get("s") == (2, b"two")


def test_decision_on_an_older_version_is_refused(tx: Transaction) -> None:
    tx.states.compare_and_set("s", 0, b"one")
    tx.states.compare_and_set("s", 1, b"two")
    with pytest.raises(StateVersionError, match="no longer at version 1"):
        tx.states.compare_and_set("s", 1, b"three")


def test_second_first_state_is_refused(tx: Transaction) -> None:
    tx.states.compare_and_set("s", 0, b"one")
    with pytest.raises(StateVersionError):
        tx.states.compare_and_set("s", 0, b"again")


def test_state_over_its_bound_is_refused(tx: Transaction) -> None:
    tx.states.compare_and_set("s", 0, bytes(STATE_BYTES_MAX))
    with pytest.raises(LedgerError, match="exceeds"):
        tx.states.compare_and_set("s", 1, bytes(STATE_BYTES_MAX + 1))


def test_timers_are_replaced_as_a_whole(tx: Transaction) -> None:
    tx.timers.replace("s", [Timer("a", 10), Timer("b", 5), Timer("a", 7)])
    tx.timers.replace("t", [Timer("a", 6)])
    assert tx.timers.due(6) == [TimerRow("s", "b", 5), TimerRow("t", "a", 6)]
    tx.timers.replace("s", [Timer("c", 1)])
    assert tx.timers.due(100) == [TimerRow("s", "c", 1), TimerRow("t", "a", 6)]
    assert tx.timers.next_at_s() == 1


def test_removed_timers_are_gone(tx: Transaction) -> None:
    tx.timers.replace("s", [Timer("a", 1), Timer("b", 2)])
    tx.timers.remove("s", ["a", "unknown"])
    assert tx.timers.due(9) == [TimerRow("s", "b", 2)]
    tx.timers.replace("s", [])
    assert tx.timers.next_at_s() is None


def test_too_many_timers_are_refused(tx: Transaction) -> None:
    with pytest.raises(LedgerError, match="timers exceed"):
        tx.timers.replace("s", [Timer(str(i), 1) for i in range(TIMERS_PER_STRATEGY_MAX + 1)])


def test_authority_is_run_until_something_is_said(tx: Transaction) -> None:
    assert (tx.controls.current().authority, tx.controls.current().epoch) == (Authority.RUN, 0)
    tx.controls.require_epoch(0)


def test_each_change_of_authority_is_an_epoch_that_stays(tx: Transaction) -> None:
    assert tx.controls.set("global", Authority.HALT, "drill", "anna", NOW_S) == 1
    assert tx.controls.set("global", Authority.RUN, "drill is over", "ben", NOW_S + 1) == 2
    assert (tx.controls.current().authority, tx.controls.current().who) == (Authority.RUN, "ben")
    assert [row.epoch for row in tx.controls.history(10)] == [2, 1]


def test_verdict_of_an_earlier_epoch_is_not_committed(tx: Transaction) -> None:
    tx.controls.set("global", Authority.REDUCE_ONLY, "breaker", "seawall", NOW_S)
    with pytest.raises(AuthorityChangedError, match="from epoch 0 to 1"):
        tx.controls.require_epoch(0)
    tx.controls.require_epoch(0, "chain:31337")
