"""Answers of read calls: found by label, decoded by type, and refused where they do not have the shape.

A call that reverted, an answer that is absent and bytes that do not decode are three different mistakes; each
is a `ProtocolError` that says which.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Final

from seawall.native import abi_decode
from seawall.primitives.errors import EncodingError, ProtocolError
from seawall.primitives.units import Address

__all__ = ["Answers", "address_answer", "bytes_answer", "integer_answer", "integer_answers"]

_WORD_BYTES: Final = 32

Answers = Mapping[str, bytes | None]
"""What reads returned, by label; None where the call reverted."""


def integer_answer(answers: Answers, label: str, kind: str, word: int = 0) -> int:
    """The one integer that the read `label` returned, or the one in a later word."""
    return _integer(_returned(answers, label), word, label, kind)


def integer_answers(answers: Answers, label: str, kinds: Sequence[str]) -> tuple[int, ...]:
    """The leading integers that the read `label` returned; further words are ignored (forks append some)."""
    raw = _returned(answers, label)
    return tuple([_integer(raw, place, label, kind) for place, kind in enumerate(kinds)])


def address_answer(answers: Answers, label: str) -> Address:
    """The one address that the read `label` returned."""
    (value,) = _decoded(_returned(answers, label)[:32], label, ("address",))
    if not isinstance(value, bytes):
        raise _malformed(label, "is not an address")
    return Address(value)


def bytes_answer(answers: Answers, label: str) -> bytes:
    """All that the read `label` returned, as it is."""
    return _returned(answers, label)


def _returned(answers: Answers, label: str) -> bytes:
    if label not in answers:
        raise ProtocolError(
            what="there is no answer under this label",
            where=f"read {label!r}",
            fix="subscribe to the reads that belong to this decoder",
        )
    raw = answers[label]
    if raw is None:
        raise ProtocolError(
            what="the call reverted",
            where=f"read {label!r}",
            fix="check that the address is a contract of this protocol, and deployed at this block",
        )
    return raw


def _decoded(raw: bytes, label: str, kinds: Sequence[str]) -> Sequence[object]:
    try:
        values: Sequence[object] = abi_decode(kinds, raw)
    except EncodingError as error:
        raise _malformed(label, f"does not decode as ({', '.join(kinds)}): {error.what}") from error
    return values


def _integer(raw: bytes, place: int, label: str, kind: str) -> int:
    """The word at `place`. Cut out here: a snapshot has a hundred of them."""
    least, most = _range_of(kind)
    word = raw[_WORD_BYTES * place : _WORD_BYTES * (place + 1)]
    if len(word) != _WORD_BYTES:
        raise _malformed(label, f"does not decode: its {len(raw)} bytes have no word {place}, a {kind}")
    value = int.from_bytes(word, "big", signed=least < 0)
    if not least <= value <= most:
        raise _malformed(label, f"has {value} where a {kind} should be")
    return value


@cache
def _range_of(kind: str) -> tuple[int, int]:
    """The least and the most of an integer type."""
    bits = int(kind.removeprefix("u").removeprefix("int"))
    return (0, 2**bits - 1) if kind.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def _malformed(label: str, what: str) -> ProtocolError:
    return ProtocolError(
        what=f"the answer {what}",
        where=f"read {label!r}",
        fix="check that the address is a contract of this protocol",
    )
