"""Gas that is learned from one call and tried first for the next."""

from __future__ import annotations

from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from seawall.transactions.batches import GasBook, call_of, is_fitting
from seawall.transactions.candidates import gas_limit_for
from tests.builders.messages import block, direct_plan

BASE: Final = block()
CALL: Final = call_of(direct_plan())
# What zero bytes in the calldata of a measuring run save against the bytes of true fees.
ZERO_BYTES_GAS: Final = 105


def test_plain_transfer_is_given_exactly_what_it_needs() -> None:
    book = GasBook()
    book.learn(CALL, 21_000, 21_000, BASE)
    assert book.guess(CALL) == 21_000
    assert is_fitting(21_000, 21_000, BASE)


@given(st.integers(30_000, 10_000_000))
def test_call_measured_without_fees_fits_with_them_from_the_next_one_on(gas_used: int) -> None:
    book = GasBook()
    book.learn(CALL, gas_limit_for(gas_used, BASE), gas_used + ZERO_BYTES_GAS, BASE)
    learned = book.guess(CALL)
    assert learned is not None
    assert learned >= gas_limit_for(gas_used + ZERO_BYTES_GAS, BASE)
    assert is_fitting(learned, gas_used + ZERO_BYTES_GAS, BASE)


@given(st.integers(30_000, 10_000_000), st.integers(-40_000, 5_000_000))
def test_guess_that_fits_is_enough_before_refunds_and_not_far_too_much(gas_used: int, more: int) -> None:
    guess = gas_limit_for(gas_used, BASE) + more
    if is_fitting(guess, gas_used, BASE):
        assert gas_used * 5 <= guess * 4  # a refund hides at most a fifth of what was used
        assert guess * 4 <= gas_limit_for(gas_used, BASE) * 5
    else:
        assert more < 0 or guess * 4 >= gas_limit_for(gas_used, BASE) * 5


def test_guess_that_lacks_a_sliver_of_the_margin_fits_and_one_that_lacks_more_does_not() -> None:
    needed = gas_limit_for(120_000, BASE)
    assert is_fitting(needed - 1_024, 120_000, BASE)
    assert not is_fitting(needed - 1_025, 120_000, BASE)


def test_call_that_failed_fits_nothing_and_teaches_only_its_measure() -> None:
    book = GasBook()
    book.learn(CALL, 165_000, None, BASE)
    assert book.guess(CALL) == 165_000
    assert not is_fitting(165_000, None, BASE)
