"""Answers that are lists: a dynamic array of integers, bounded before anything is built from it."""

from __future__ import annotations

from typing import Final

from seawall.native import abi_decode
from seawall.primitives.errors import EncodingError, ProtocolError
from seawall.protocols.answers import Answers

__all__ = ["LIST_MAX", "integer_list"]

# Requests or positions of one holder; a contract that answers more is not one of those we know.
LIST_MAX: Final = 1_024


def integer_list(answers: Answers, label: str) -> tuple[int, ...]:
    """The `uint256[]` that the read `label` returned; `ProtocolError` where it is none."""
    raw = answers.get(label)
    values: object = None
    if raw is not None and len(raw) <= 32 * (LIST_MAX + 2):
        try:
            (values,) = abi_decode(("uint256[]",), raw)
        except EncodingError:
            values = None
    if not isinstance(values, list | tuple) or not all(isinstance(value, int) for value in values):
        raise ProtocolError(
            what=f"the answer is not a list of at most {LIST_MAX} integers",
            where=f"read {label!r}",
            fix="check that the address is a contract of this protocol, and deployed at this block",
        )
    return tuple(value for value in values if isinstance(value, int))
