"""Comet's arithmetic: rounding goes against accounts, interest never runs backwards, totals add up."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from seawall.markets.compound_v3 import INDEX_SCALE, CometBase, InterestCurve

WAD = 10**18
YEAR_S = 365 * 86_400

curves = st.builds(
    InterestCurve,
    st.integers(0, WAD),
    st.integers(0, WAD // YEAR_S // 10),
    st.integers(0, WAD // YEAR_S),
    st.integers(0, 10 * WAD // YEAR_S),
)
indices = st.integers(INDEX_SCALE, 100 * INDEX_SCALE)
markets = st.builds(
    CometBase, indices, indices, st.integers(0, 10**30), st.integers(0, 10**30), curves, curves
)
principals = st.integers(-(10**24), 10**24)
balances = st.integers(-(10**24), 10**24)


@given(markets, balances)
def test_storing_a_balance_never_favours_the_account(base: CometBase, balance: int) -> None:
    stored = base.balance_of(base.principal_of(balance))
    if balance >= 0:
        assert balance - (base.supply_index // INDEX_SCALE + 1) <= stored <= balance
    else:
        # A debt's principal rounds up by more than its balance rounds down again.
        assert balance - (base.borrow_index // INDEX_SCALE + 1) <= stored <= balance


@given(markets, st.integers(0, 10 * YEAR_S))
def test_indices_only_grow_and_time_in_one_step_is_simple_interest(base: CometBase, elapsed_s: int) -> None:
    later = base.accrued(elapsed_s)
    assert later.supply_index >= base.supply_index
    assert later.borrow_index >= base.borrow_index
    assert later.supply_index - base.supply_index == (base.supply_index * base.supply_rate * elapsed_s // WAD)


@given(curves, st.integers(0, 2 * WAD), st.integers(0, 2 * WAD))
def test_rates_rise_with_utilization(curve: InterestCurve, one: int, other: int) -> None:
    low, high = sorted((one, other))
    assert curve.rate_down(low) <= curve.rate_down(high)


@given(markets, principals, balances)
def test_totals_move_with_the_account(base: CometBase, principal: int, change: int) -> None:
    moved, after = base.moved(principal, change)
    if after is base:
        return
    assert after.lent - base.lent == max(moved, 0) - max(principal, 0)
    assert after.owed - base.owed == max(-moved, 0) - max(-principal, 0)
