"""RLP and the Merkle-Patricia root of an ordered list: what block headers commit to.

Only encoding, and only what headers, receipts and lists of them need: byte strings and lists, no decoding,
no proofs, no deletion. The trie is built once from all its items, bottom up, and only its root is kept.

Source of the formats: Ethereum yellow paper, appendices B (RLP), C (hex prefix) and D (trie).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from seawall.native import keccak256
from seawall.primitives.units import Hash

__all__ = ["EMPTY_ROOT", "Item", "ordered_root", "rlp", "rlp_list", "unsigned"]

Item = bytes | Sequence["Item"]
"""What RLP encodes: bytes, or a sequence of items."""

_SHORT_MAX: Final = 55
_NODE_INLINE_MAX: Final = 31  # a node shorter than a hash stands in its parent itself
_KEPT: Final = 1_024  # lengths and ends of keys, encoded: most nodes share a few
_Pairs = Sequence[tuple[str, bytes]]  # (key as hex, one digit a nibble; value), ascending


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
    return rlp_list(b"".join(map(rlp, item)))


def ordered_root(values: Sequence[bytes]) -> Hash:
    """The root of the trie that maps the RLP of each index to the value there."""
    if not values:
        return EMPTY_ROOT
    pairs = sorted([(rlp(unsigned(index)).hex(), value) for index, value in enumerate(values)])
    return Hash(keccak256(_node(pairs, 0)))


def rlp_list(encoded: bytes) -> bytes:
    """The encoding of a list whose items are encoded already."""
    return _prefixed(encoded, 0xC0)


def _prefixed(payload: bytes, offset: int) -> bytes:
    return _prefix(len(payload), offset) + payload


@lru_cache(_KEPT)
def _prefix(length: int, offset: int) -> bytes:
    if length <= _SHORT_MAX:
        return bytes((offset + length,))
    size = unsigned(length)
    return bytes((offset + _SHORT_MAX + len(size),)) + size


@lru_cache(_KEPT)
def _packed(nibbles: str, *, leaf: bool) -> bytes:
    """Hex prefix, encoded: the flag says leaf or extension, and whether the number of nibbles is odd."""
    flag = 2 if leaf else 0
    return rlp(bytes.fromhex(f"{flag + 1}{nibbles}" if len(nibbles) % 2 else f"{flag}0{nibbles}"))


def _node(pairs: _Pairs, depth: int) -> bytes:
    """The encoded node that holds `pairs`, whose keys agree in their first `depth` nibbles."""
    first, last = pairs[0][0], pairs[-1][0]
    if len(pairs) == 1:
        return rlp_list(_packed(first[depth:], leaf=True) + rlp(pairs[0][1]))
    shared = depth
    while first[shared] == last[shared]:  # no key of an index is the beginning of another
        shared += 1
    if shared > depth:
        return rlp_list(_packed(first[depth:shared], leaf=False) + _reference(_node(pairs, shared)))
    references = [b"\x80"] * 17  # the last is the node's own value: none
    first_of: dict[str, int] = {}
    for place, (key, _) in enumerate(pairs):
        first_of.setdefault(key[depth], place)
    for (nibble, begin), end in zip(first_of.items(), [*first_of.values(), len(pairs)][1:], strict=True):
        references[int(nibble, 16)] = _reference(_node(pairs[begin:end], depth + 1))
    return rlp_list(b"".join(references))


def _reference(node: bytes) -> bytes:
    """How a parent holds `node`, encoded."""
    return node if len(node) <= _NODE_INLINE_MAX else b"\xa0" + keccak256(node)


EMPTY_ROOT: Final = Hash(keccak256(rlp(b"")))
