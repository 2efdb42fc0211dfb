"""CRC-32C (Castagnoli), by which Google's key service proves that nothing was changed on the way.

Reflected, polynomial 0x1EDC6F41, initial value and final exclusive-or all ones. A few dozen bytes a signature
make a table enough.
"""

from __future__ import annotations

from typing import Final

__all__ = ["crc32c"]

_POLYNOMIAL: Final = 0x82F63B78  # reflected
_ALL_ONES: Final = 0xFFFFFFFF


def _entry(index: int) -> int:
    value = index
    for _ in range(8):
        value = (value >> 1) ^ (_POLYNOMIAL if value & 1 else 0)
    return value


_TABLE: Final = tuple(_entry(index) for index in range(256))


def crc32c(data: bytes) -> int:
    value = _ALL_ONES
    for byte in data:
        value = (value >> 8) ^ _TABLE[(value ^ byte) & 0xFF]
    return value ^ _ALL_ONES
