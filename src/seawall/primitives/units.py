"""Scalars that every room shares: addresses, hashes, money, and integer arithmetic with a named rounding
direction.

Money is always `int` in the smallest unit of its token; a ratio is always an integer in basis points
(1/10,000)."""

from __future__ import annotations

from typing import Final, NewType

from seawall.native import parse_address as _parse_address
from seawall.native import to_checksum as _to_checksum
from seawall.native.wire import hex_text
from seawall.primitives.errors import InputError

__all__ = [
    "BPS",
    "NATIVE",
    "ZERO_ADDRESS",
    "Address",
    "Hash",
    "address_from_text",
    "address_text",
    "ceil_div",
    "hash_from_text",
    "hex_text",
    "mul_div_down",
    "mul_div_up",
    "token_amount",
]

Address = NewType("Address", bytes)
"""20 bytes."""
Hash = NewType("Hash", bytes)
"""32 bytes."""

BPS: Final = 10_000
ZERO_ADDRESS: Final = Address(bytes(20))
# The chain's native token wherever a token is named; the address that EIP-7528 set aside for it.
NATIVE: Final = Address(bytes.fromhex("ee" * 20))


def address_from_text(text: str) -> Address:
    """Parse `0x…` strictly: mixed case must satisfy EIP-55."""
    return Address(_parse_address(text))


def address_text(address: bytes) -> str:
    """The EIP-55 form of an address."""
    return _to_checksum(address)


def hash_from_text(text: str) -> Hash:
    """Parse 32 bytes of hex with or without `0x`."""
    try:
        raw = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        raw = b""
    if len(raw) != 32:
        raise InputError(f"{text[:80]!r} is not a 32-byte hash", "hash", "give 0x and 64 hex digits")
    return Hash(raw)


def mul_div_down(a: int, b: int, divisor: int) -> int:
    """floor(a * b / divisor) for a, b >= 0 and divisor > 0."""
    assert a >= 0
    assert b >= 0
    assert divisor > 0
    return a * b // divisor


def mul_div_up(a: int, b: int, divisor: int) -> int:
    """ceil(a * b / divisor) for a, b >= 0 and divisor > 0."""
    assert a >= 0
    assert b >= 0
    assert divisor > 0
    return -(-a * b // divisor)


def ceil_div(a: int, divisor: int) -> int:
    """ceil(a / divisor) for divisor > 0."""
    assert divisor > 0
    return -(-a // divisor)


def token_amount(text: str, decimals: int) -> int:
    """Parse a decimal amount such as `1.5` into the smallest unit; refuses signs, exponents and lost
    precision."""
    whole, dot, fraction = text.strip().partition(".")
    if not (whole.isascii() and whole.isdigit() and (not dot or (fraction.isascii() and fraction.isdigit()))):
        raise InputError(
            f"{text[:80]!r} is not a decimal amount",
            "amount",
            "write digits such as 1.5, no sign, no exponent",
        )
    if len(fraction.rstrip("0")) > decimals:
        raise InputError(
            f"{text[:80]!r} has more than {decimals} decimals",
            "amount",
            "the token cannot express it; shorten the fraction",
        )
    value = int(whole + fraction.rstrip("0").ljust(decimals, "0"))
    if value >= 2**256:
        raise InputError(
            f"{text[:80]!r} does not fit 256 bits", "amount", "check the amount and its decimals"
        )
    return value
