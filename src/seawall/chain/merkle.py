"""RLP and the Merkle-Patricia root of an ordered list: what block headers commit to.

Only encoding, and only what headers, receipts and lists of them need: byte strings and lists, no decoding,
no proofs. The trie is built by the native core.

Source of the format: Ethereum yellow paper, appendix B (RLP).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from seawall.native import ordered_root as native_root
from seawall.primitives.units import Hash

__all__ = ["EMPTY_ROOT", "Item", "ordered_root", "rlp", "unsigned"]

Item = bytes | Sequence["Item"]
"""What RLP encodes: bytes, or a sequence of items."""

_SHORT_MAX: Final = 55
_KEPT: Final = 1_024  # prefixes, by length: most items share a few


def unsigned(number: int) -> bytes:
    """`number` as RLP wants it: big endian, no leading zeros, zero is empty."""
    assert number >= 0
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def rlp(item: Item) -> bytes:
    """The encoding of `item`."""
    if isinstance(item, bytes):
        if len(item) == 1 and item[0] < 0x80:
            return item
        return _prefixed(item, 0x80)
    return _prefixed(b"".join(map(rlp, item)), 0xC0)


def ordered_root(values: Sequence[bytes]) -> Hash:
    """The root of the trie that maps the RLP of each index to the value there."""
    return Hash(native_root(values))


def _prefixed(payload: bytes, offset: int) -> bytes:
    return _prefix(len(payload), offset) + payload


@lru_cache(_KEPT)
def _prefix(length: int, offset: int) -> bytes:
    if length <= _SHORT_MAX:
        return bytes((offset + length,))
    size = unsigned(length)
    return bytes((offset + _SHORT_MAX + len(size),)) + size


EMPTY_ROOT: Final = ordered_root(())
