"""`driver_values`: what goes to the driver of SQLite, and bounds that are not those of the rows."""

from __future__ import annotations

import pytest

from seawall.native.rows import driver_values


def test_bytes_go_as_bytearrays_and_truth_as_numbers_and_the_rest_as_it_is() -> None:
    rows: list[tuple[object, ...]] = [(1, "a", b"\x00"), (2**62, None, True), (0, 1.5, False)]
    values = driver_values(rows, 0, 3, 3)
    assert values == [1, "a", bytearray(1), 2**62, None, 1, 0, 1.5, 0]
    assert [type(values[place]) for place in (2, 5, 8)] == [bytearray, int, int]
    assert driver_values(rows, 1, 2, 3) == [2**62, None, 1]


@pytest.mark.parametrize(
    ("begin", "end", "width"), [(0, 2**40, 2**30), (1, 0, 1), (0, 2, 1), (0, 1, 2), (0, 1, 2**60)]
)
def test_bounds_beside_the_rows_are_refused_before_anything_is_made(begin: int, end: int, width: int) -> None:
    with pytest.raises(ValueError, match="row"):
        driver_values([(1,)], begin, end, width)
