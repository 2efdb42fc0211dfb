"""Gas that is learned from one call and tried first for the next."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from seawall.chain.simulation import Machine
from seawall.primitives.levels import IntentState
from seawall.primitives.plans import DirectBody
from seawall.primitives.units import Address, Hash
from seawall.transactions.batches import GasBook, call_of, is_fitting
from seawall.transactions.candidates import gas_limit_for
from tests.builders.chain_model import ChainModel
from tests.builders.messages import block, direct_plan
from tests.builders.pipeline import pipeline

BASE: Final = block()
CALL: Final = call_of(direct_plan())
# What zero bytes in the calldata of a measuring run save against the bytes of true fees.
ZERO_BYTES_GAS: Final = 105
# Counts its calls in slot 0: SLOAD + 1, SSTORE. The first one pays 17,100 gas more than those behind it.
COUNTER: Final = Address(b"\xc1" * 20)
COUNTER_CODE: Final = bytes.fromhex("5f54600101805f5500")


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


def test_room_for_the_first_place_is_no_excess_for_one_alike_on_the_same_block() -> None:
    book, first_gas, behind_gas = GasBook(), 354_000, 241_000
    book.learn(CALL, gas_limit_for(first_gas, BASE), behind_gas, BASE)
    guess = book.guess(CALL)
    assert guess is not None
    assert not is_fitting(guess, behind_gas, BASE)
    assert book.covers(CALL, guess, behind_gas + 500, BASE)
    # Another one of the call's kind, another limit, another block, and one that failed: all are measured.
    assert not book.covers(CALL, guess, behind_gas - 20_000, BASE)
    assert not book.covers(CALL, guess + 1, behind_gas, BASE)
    assert not book.covers(CALL, guess, behind_gas, replace(BASE, hash=Hash(b"\x0b" * 32)))
    assert not book.covers(CALL, guess, None, BASE)
    assert not GasBook().covers(CALL, guess, behind_gas, BASE)


@given(st.integers(30_000, 1_000_000), st.integers(30_000, 1_000_000), st.integers(-2_000, 2_000))
def test_guess_that_is_covered_is_always_enough(first_gas: int, behind_gas: int, other: int) -> None:
    book = GasBook()
    book.learn(CALL, gas_limit_for(first_gas, BASE), behind_gas, BASE)
    guess = book.guess(CALL)
    assert guess is not None
    if book.covers(CALL, guess, behind_gas + other, BASE):
        assert guess + 1_024 >= gas_limit_for(behind_gas + other, BASE)


async def test_calls_that_pay_more_in_the_first_place_are_measured_once_a_block(tmp_path: Path) -> None:
    model = ChainModel()
    model.codes[COUNTER] = COUNTER_CODE
    measured: list[object] = []
    true_run = Machine.run_first

    def run_first(self: Machine, *arguments: object) -> object:
        measured.append(arguments)
        return true_run(self, *arguments)  # type: ignore[arg-type]

    async with pipeline(model, tmp_path) as found:
        plans = [replace(found.plan(f"{i}"), body=DirectBody(COUNTER, b"")) for i in range(8)]
        with patch.object(Machine, "run_first", run_first):
            numbers = await found.submit(*plans)
        rows = [await found.intent(number) for number in numbers]
        assert {row.state for row in rows} == {IntentState.COMMITTED}
        # The first pays for the slot; the second, whose use tells that it stands behind, is measured with it.
        assert len(measured) == 2
        limits = [(await found.attempts(number))[0].payload.gas_limit for number in numbers]
        assert min(limits) >= gas_limit_for(21_000 + 22_000, BASE)
