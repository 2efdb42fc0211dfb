"""Strict decoding of what endpoints answer: every value is checked for type, form and size, or
`EndpointError`.

An endpoint is not trusted to be well-formed: a quantity with leading zeros, an odd number of hex digits, or
a hash of 31 bytes means that the answer is not what was asked for. Nothing here guesses or repairs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, cast

from seawall.native.wire import plain_data, plain_quantities
from seawall.primitives.bounds import UINT256_MAX
from seawall.primitives.errors import EndpointError
from seawall.primitives.units import Address, Hash

__all__ = [
    "DATA_BYTES_MAX",
    "LIST_ITEMS_MAX",
    "address",
    "array",
    "data",
    "digest",
    "mapping",
    "optional_quantity",
    "quantities",
    "quantity",
    "text",
]

# Return data of one call; a node's own limits are lower.
DATA_BYTES_MAX: Final = 16 * 1024 * 1024
LIST_ITEMS_MAX: Final = 100_000
_QUANTITY: Final = re.compile(r"0x(?:0|[1-9a-fA-F][0-9a-fA-F]{0,63})")
_QUANTITY_CHARS_MAX: Final = 66
_DIGEST_BYTES: Final = 32
_DIGEST_CHARS: Final = 66


def quantity(value: object, where: str, *, limit: int = UINT256_MAX) -> int:
    """A JSON-RPC quantity: `0x`, no leading zeros, at most `limit`."""
    if not isinstance(value, str) or len(value) > _QUANTITY_CHARS_MAX or value[:2] != "0x":
        raise _misfit("a quantity", value, where)
    try:
        number = int(value, 16)
    except ValueError:
        raise _misfit("a quantity", value, where) from None
    # Most are written as we would; what else `int` takes, spaces and underscores, is none.
    if hex(number) != value and _QUANTITY.fullmatch(value) is None:
        raise _misfit("a quantity", value, where)
    if number > limit:
        raise _misfit(f"a quantity up to {limit}", value, where)
    return number


def quantities(values: Sequence[object], where: str, *, limit: int = UINT256_MAX) -> list[int]:
    """As `quantity` of each, in one crossing."""
    numbers = plain_quantities(list(values))
    if numbers is None or max(numbers, default=0) > limit:
        return [quantity(value, where, limit=limit) for value in values]
    return numbers


def optional_quantity(value: object, where: str) -> int | None:
    return None if value is None else quantity(value, where)


def data(value: object, where: str, *, size: int | None = None) -> bytes:
    """JSON-RPC data: `0x` and whole bytes, exactly `size` of them if given."""
    if not isinstance(value, str) or len(value) > 2 * DATA_BYTES_MAX + 2:
        raise _misfit("data", value, where)
    raw = plain_data(value)
    if raw is None:
        raise _misfit("data", value, where)
    if size is not None and len(raw) != size:
        raise _misfit(f"{size} bytes", value, where)
    return raw


def digest(value: object, where: str) -> Hash:
    # As `data` with a size, which says what is wrong; most of what is decoded is a hash.
    if isinstance(value, str) and len(value) == _DIGEST_CHARS:
        raw = plain_data(value)
        if raw is not None:
            return Hash(raw)
    return Hash(data(value, where, size=_DIGEST_BYTES))


def address(value: object, where: str) -> Address:
    return Address(data(value, where, size=20))


def text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise _misfit("a text", value, where)
    return value


def mapping(value: object, where: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise _misfit("an object", value, where)
    return cast("Mapping[str, object]", value)


def array(value: object, where: str, *, limit: int = LIST_ITEMS_MAX) -> list[object]:
    if not isinstance(value, list) or len(value) > limit:
        raise _misfit(f"a list of at most {limit}", value, where)
    return value


def _misfit(expected: str, value: object, where: str) -> EndpointError:
    shown = value[:40] if isinstance(value, str) else type(value).__name__
    return EndpointError(
        f"{shown!r} where {expected} is due", where, "another endpoint is asked; check this one if it lasts"
    )
