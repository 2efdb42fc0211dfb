"""The reason inside revert bytes: Solidity's own two errors, and custom ones of the ABIs that are passed in.

Clients hand the bytes over in several shapes (`revert_bytes` knows them). Bytes that no known error explains
are told by their selector; nothing is guessed. Which ABIs are known is the caller's: rooms above this one own
them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from seawall.native import abi_decode, keccak256
from seawall.primitives.errors import NativeError
from seawall.primitives.units import address_text, hex_text

__all__ = ["PANICS", "ErrorSignature", "RevertReason", "decode_revert", "revert_bytes"]

DATA_BYTES_MAX: Final = 16 * 1024
VALUE_CHARS_MAX: Final = 200
_SELECTOR_BYTES: Final = 4
_ADDRESS_BYTES: Final = 20
_HEX: Final = re.compile(r"0x((?:[0-9a-fA-F]{2})*)(?![0-9a-fA-F])")

# Solidity's documentation, "Panic via assert and Error via require".
PANICS: Final[Mapping[int, str]] = MappingProxyType(
    {
        0x00: "a panic of the compiler",
        0x01: "an assertion failed",
        0x11: "an arithmetic operation overflowed",
        0x12: "division or modulo by zero",
        0x21: "a value that its enum does not have",
        0x22: "a byte array in storage is wrongly encoded",
        0x31: "pop of an empty array",
        0x32: "an array index is out of bounds",
        0x41: "too much memory or too large an array",
        0x51: "a call of an internal function that was never set",
    }
)


@dataclass(frozen=True, slots=True)
class ErrorSignature:
    """One custom error: its name and its arguments' ABI types, as `Name(type,type)`."""

    name: str
    types: tuple[str, ...]

    @property
    def selector(self) -> bytes:
        return keccak256(f"{self.name}({','.join(self.types)})".encode())[:_SELECTOR_BYTES]


@dataclass(frozen=True, slots=True)
class RevertReason:
    """A decoded reason. `arguments` are shown values; `text` is for people."""

    name: str
    arguments: tuple[str, ...]
    text: str


_ERROR: Final = ErrorSignature("Error", ("string",))
_PANIC: Final = ErrorSignature("Panic", ("uint256",))
_SOLIDITYS_OWN: Final = MappingProxyType({one.selector: one for one in (_ERROR, _PANIC)})


def decode_revert(
    data: bytes, known: Mapping[bytes, ErrorSignature] = MappingProxyType({})
) -> RevertReason | None:
    """The reason in `data`; None for empty bytes. `known` is by selector."""
    if not data:
        return None
    signature = _SOLIDITYS_OWN.get(data[:_SELECTOR_BYTES]) or known.get(data[:_SELECTOR_BYTES])
    if signature is None or len(data) > DATA_BYTES_MAX:
        return _unexplained(data)
    try:
        values = abi_decode(signature.types, data[_SELECTOR_BYTES:])
    except NativeError:
        return _unexplained(data)
    arguments = tuple(_shown(value) for value in values)
    if signature is _ERROR:
        text = f"reverted with {arguments[0]!r}"
    elif signature is _PANIC:
        text = f"panicked: {PANICS.get(int(arguments[0]), f'code {arguments[0]}')}"
    else:
        text = f"{signature.name}({', '.join(arguments)})"
    return RevertReason(signature.name, arguments, text)


def revert_bytes(data: object) -> bytes | None:
    """The revert bytes in an error object's `data`: plain hex, behind a word, or inside an object."""
    for _ in range(3):  # hardhat nests them
        if not isinstance(data, dict):
            break
        data = data.get("data") or data.get("result") or data.get("originalError")
    if not isinstance(data, str) or len(data) > 2 * DATA_BYTES_MAX:
        return None
    found = _HEX.search(data)
    return None if found is None else bytes.fromhex(found[1])


def _unexplained(data: bytes) -> RevertReason:
    selector = hex_text(data[:_SELECTOR_BYTES])
    return RevertReason("", (), f"reverted with an unknown error {selector} of {len(data)} bytes")


def _shown(value: object) -> str:
    if isinstance(value, bytes):
        return address_text(value) if len(value) == _ADDRESS_BYTES else hex_text(value)[:VALUE_CHARS_MAX]
    return str(value)[:VALUE_CHARS_MAX]
