"""Calls and answers of set-up: signatures in, bytes out.

A signature is written in full, `joinPool(bytes32,address,(address[],bytes))`; a constructor is its list of types alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from eth_abi import decode as _decode
from eth_abi import encode as _encode

from seawall.native import keccak256

__all__ = ["AbiValue", "arguments", "call_data", "results", "split_types"]

AbiValue = int | bool | bytes | str | Sequence["AbiValue"]

SELECTOR_BYTES: Final = 4


def call_data(signature: str, *values: AbiValue) -> bytes:
    """Selector and encoded arguments."""
    return keccak256(signature.encode())[:SELECTOR_BYTES] + arguments(
        signature[signature.index("(") :], *values
    )


def arguments(types: str, *values: AbiValue) -> bytes:
    """Encoded arguments of a parenthesised list of types."""
    return _encode(split_types(types), values)


def results(types: str, data: bytes) -> tuple[AbiValue, ...]:
    """Decode an answer."""
    return tuple(_decode(split_types(types), data))


def split_types(types: str) -> list[str]:
    """The members of `(a,(b,c),d)`, nested tuples kept whole."""
    inner, depth, members = types.strip()[1:-1], 0, [""]
    for character in inner:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and depth == 0:
            members.append("")
        else:
            members[-1] += character
    return members if inner else []
