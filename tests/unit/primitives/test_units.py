"""Amounts, addresses and hashes as people write them: exact, or an error that says what to do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.primitives.errors import AddressError, InputError
from seawall.primitives.units import (
    address_from_text,
    address_text,
    ceil_div,
    hash_from_text,
    mul_div_down,
    mul_div_up,
    token_amount,
)


@pytest.mark.parametrize(
    ("text", "decimals", "amount"),
    [
        ("1.5", 18, 15 * 10**17),
        ("0", 6, 0),
        ("0.000001", 6, 1),
        ("12", 0, 12),
        ("1.500000", 1, 15),
        ("007", 2, 700),
    ],
)
def test_decimal_amount_is_read_exactly(text: str, decimals: int, amount: int) -> None:
    assert token_amount(text, decimals) == amount


@pytest.mark.parametrize(
    ("text", "decimals"),
    [
        ("0.0000001", 6),  # over the token's precision
        ("-1", 18),
        ("+1", 18),
        ("1e18", 18),
        ("", 18),
        (".", 18),
        (".5", 18),
        ("1.", 18),
        ("1,5", 18),
        ("٣", 18),  # a digit, but not one of ours
        ("1 000", 18),
        ("0x10", 18),
        ("nan", 18),
        (str(2**256), 0),
        ("1" + "0" * 100, 18),
    ],
)
def test_absurd_negative_or_too_precise_amount_is_refused(text: str, decimals: int) -> None:
    with pytest.raises(InputError) as caught:
        token_amount(text, decimals)
    assert caught.value.fix


@given(st.integers(0, 2**256 - 1), st.integers(0, 30))
def test_amount_round_trips_through_its_decimal_form(amount: int, decimals: int) -> None:
    whole, fraction = divmod(amount, 10**decimals)
    text = f"{whole}.{fraction:0{decimals}d}" if decimals else str(whole)
    assert token_amount(text, decimals) == amount


@given(st.integers(0, 2**256), st.integers(0, 2**256), st.integers(1, 2**256))
def test_rounding_goes_the_way_the_name_says(a: int, b: int, divisor: int) -> None:
    down, up = mul_div_down(a, b, divisor), mul_div_up(a, b, divisor)
    assert down * divisor <= a * b <= up * divisor
    assert up - down == (a * b % divisor != 0)
    assert ceil_div(a, divisor) == mul_div_up(a, 1, divisor)


def test_address_with_a_wrong_checksum_is_refused_with_the_right_one() -> None:
    right = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
    assert address_text(address_from_text(right)) == right
    with pytest.raises(AddressError, match=right):
        address_from_text(right.replace("aAeb", "Aaeb"))


@pytest.mark.parametrize("text", ["0x12", "zz" * 32, "", "0x" + "1" * 65])
def test_hash_of_the_wrong_size_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="32-byte hash"):
        hash_from_text(text)
