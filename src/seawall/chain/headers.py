"""A block's header as its hash commits to it: recomputed from the fields that an endpoint shows.

A header whose fields do not hash to the hash it claims is evidence against the endpoint that showed it. The
check is made where the chain hashes headers as Ethereum does (`Network.headers`), and where every field that
is shown is known here: a fork that adds a field makes its headers unchecked until it is listed, not wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from seawall.chain import decoding
from seawall.chain.merkle import Item, rlp, unsigned
from seawall.native import keccak256
from seawall.primitives.errors import DisprovedError
from seawall.primitives.units import Hash, hex_text

__all__ = ["header_hash", "require_own_hash"]

# (name, size in bytes; 0: a number; -1: any length), in the order of the header.
_FIELDS: Final = (
    ("parentHash", 32), ("sha3Uncles", 32), ("miner", 20), ("stateRoot", 32), ("transactionsRoot", 32),
    ("receiptsRoot", 32), ("logsBloom", 256), ("difficulty", 0), ("number", 0), ("gasLimit", 0),
    ("gasUsed", 0), ("timestamp", 0), ("extraData", -1), ("mixHash", 32), ("nonce", 8),
)  # fmt: skip
# What forks appended: London, Shanghai, Cancun (three), Prague.
_APPENDED: Final = (
    ("baseFeePerGas", 0), ("withdrawalsRoot", 32), ("blobGasUsed", 0), ("excessBlobGas", 0),
    ("parentBeaconBlockRoot", 32), ("requestsHash", 32),
)  # fmt: skip
# Shown beside the header, not hashed.
_BESIDE: Final = frozenset(
    {
        "hash", "size", "uncles", "transactions", "withdrawals", "totalDifficulty", "author",
        "l1BlockNumber", "sendCount", "sendRoot",
    }
)  # fmt: skip
_KNOWN: Final = _BESIDE | {name for name, _ in _FIELDS + _APPENDED}


def header_hash(header: Mapping[str, object], where: str) -> Hash | None:
    """The hash of the shown fields, or None if a field is shown that is not known here."""
    if any(value is not None and name not in _KNOWN for name, value in header.items()):
        return None
    items: list[Item] = [_item(header, name, size, where) for name, size in _FIELDS]
    items += [_item(header, name, size, where) for name, size in _APPENDED if header.get(name) is not None]
    return Hash(keccak256(rlp(items)))


def require_own_hash(header: Mapping[str, object], where: str) -> bool:
    """Raise `DisprovedError` unless the header has the hash it claims; False if that cannot be told."""
    claimed = decoding.digest(header.get("hash"), f"{where}.hash")
    computed = header_hash(header, where)
    if computed is not None and computed != claimed:
        raise DisprovedError(
            f"a header that hashes to {hex_text(computed)} and claims to be {hex_text(claimed)}",
            where,
            "do not use this endpoint",
        )
    return computed is not None


def _item(header: Mapping[str, object], name: str, size: int, where: str) -> bytes:
    value, place = header.get(name), f"{where}.{name}"
    if size == 0:
        return unsigned(decoding.quantity(value, place))
    return decoding.data(value, place, size=size if size > 0 else None)
