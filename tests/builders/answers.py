"""What contracts answer to the view calls of guards, written out as words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from seawall.native import abi_encode
from seawall.primitives.simulations import Probe
from seawall.primitives.units import Address
from tests.builders.messages import NOW_S

__all__ = ["answered", "observed", "round_of", "slot0_of", "words"]


def words(*values: int) -> bytes:
    """Each value as one word, negative ones in two's complement."""
    return b"".join((value % 2**256).to_bytes(32, "big") for value in values)


def round_of(
    answer: int, age_s: int = 0, *, round_id: int = 7, answered_in: int = 7, started_age_s: int | None = None
) -> bytes:
    """`latestRoundData()` of a feed."""
    types = ("uint80", "int256", "uint256", "uint256", "uint80")
    started_s = NOW_S - (age_s if started_age_s is None else started_age_s)
    return abi_encode(types, (round_id, answer, started_s, NOW_S - age_s, answered_in))


def slot0_of(sqrt_price_x96: int) -> bytes:
    return words(sqrt_price_x96, 0, 0, 1, 1, 0, 1)


def observed(ticks: Sequence[int]) -> bytes:
    """`observe(uint32[])` of a V3 pool: accumulated ticks, then as many of the other kind."""
    count = len(ticks)
    return words(0x40, 32 * (3 + count), count, *ticks, count, *(0 for _ in ticks))


def answered(
    probes: Sequence[Probe], by: Mapping[tuple[Address, bytes], bytes | None]
) -> dict[str, bytes | None]:
    """Answers by target and calldata's beginning; what nobody answers reverted. The longest match counts."""
    found: dict[str, bytes | None] = {}
    for probe in probes:
        fitting = [
            (len(begin), answer)
            for (target, begin), answer in by.items()
            if target == probe.target and probe.calldata.startswith(begin)
        ]
        found[probe.label] = max(fitting, key=lambda one: one[0])[1] if fitting else None
    return found
