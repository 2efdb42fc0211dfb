"""The bloom filter over a block's logs, as its header holds it: what certainly is not in the block.

A filter that the bloom does not admit has no log in the block. One that it admits may have: in full blocks
most bits are set, so that this alone proves nothing.
"""

from __future__ import annotations

from typing import Final

from seawall.native import keccak256
from seawall.primitives.blocks import LogFilter

__all__ = ["BLOOM_BYTES", "bloom_of", "may_hold"]

BLOOM_BYTES: Final = 256
_BITS: Final = 8 * BLOOM_BYTES
_PAIRS: Final = (0, 2, 4)  # three pairs of bytes of the hash choose a bit each


def may_hold(bloom: bytes, wanted: LogFilter) -> bool:
    """False only if no log of the block can match."""
    assert len(bloom) == BLOOM_BYTES
    bits = int.from_bytes(bloom, "big")
    choices: list[tuple[bytes, ...]] = [tuple(wanted.addresses), *wanted.topics]
    return all(not options or any(bits & mask == mask for mask in map(_mask, options)) for options in choices)


def bloom_of(items: list[bytes]) -> bytes:
    """The bloom of addresses and topics."""
    bits = 0
    for item in items:
        bits |= _mask(item)
    return bits.to_bytes(BLOOM_BYTES, "big")


def _mask(item: bytes) -> int:
    digest = keccak256(item)
    mask = 0
    for place in _PAIRS:
        mask |= 1 << (int.from_bytes(digest[place : place + 2], "big") % _BITS)
    return mask
