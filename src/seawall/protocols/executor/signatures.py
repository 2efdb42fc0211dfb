"""The shape of a function's arguments, read from its signature as the policy registry reads it.

    shape_of("exactInput((bytes,address,uint256))") -> (TUPLE, BYTES, WORD, WORD, CLOSE)

Static tuples and arrays are nothing but their words. What the registry has no rule for (arrays whose elements
vary in size) and what no ABI names is refused.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

from seawall.primitives.errors import InputError

__all__ = ["Part", "shape_of"]

_SHAPE_MAX: Final = 64
_FIXED_LENGTH_MAX: Final = 32
_NAME: Final = re.compile(r"[^(]+")
_ELEMENTARY: Final = re.compile(r"[a-z]+[0-9]*")
_SUFFIX: Final = re.compile(r"\[(?:[1-9][0-9]?[0-9]?)?\]")
_SIZED: Final = {
    "uint": frozenset(range(8, 257, 8)),
    "int": frozenset(range(8, 257, 8)),
    "bytes": frozenset(range(1, 33)),
}


class Part(Enum):
    """One item of a shape."""

    WORD = "word"
    BYTES = "bytes"  # `bytes` or `string`
    ARRAY = "array"  # of any length: the words of one element follow, then CLOSE
    TUPLE = "tuple"  # with dynamic members: they follow, then CLOSE
    CLOSE = "close"


def shape_of(signature: str) -> tuple[Part, ...]:
    """The parts of all arguments, in order of the text."""
    name = _NAME.match(signature)
    if name is None:
        raise _refused(signature, "it has no name")
    reader = _Reader(signature, name.end())
    if signature[reader.at :] == "()":
        return ()
    shape, _ = reader.members()
    if reader.at != len(signature):
        raise _refused(signature, f"{signature[reader.at :]!r} is left over")
    if len(shape) > _SHAPE_MAX:
        raise _refused(signature, f"it has {len(shape)} parts, more than {_SHAPE_MAX}")
    return tuple(shape)


class _Reader:
    def __init__(self, signature: str, at: int) -> None:
        self.signature = signature
        self.at = at

    def members(self) -> tuple[list[Part], bool]:
        """Members between brackets, and whether any is dynamic."""
        self._take("(")
        shape, dynamic = self._type()
        while self.signature[self.at : self.at + 1] == ",":
            self.at += 1
            more, also = self._type()
            shape, dynamic = shape + more, dynamic or also
        self._take(")")
        return shape, dynamic

    def _type(self) -> tuple[list[Part], bool]:
        if self.signature[self.at : self.at + 1] == "(":
            shape, dynamic = self.members()
            if dynamic:
                shape = [Part.TUPLE, *shape, Part.CLOSE]
        else:
            shape, dynamic = self._elementary()
        while suffix := _SUFFIX.match(self.signature, self.at):
            if dynamic:
                raise _refused(self.signature, "it has an array of elements that vary in size")
            self.at = suffix.end()
            length = suffix.group().strip("[]")
            if not length:
                shape, dynamic = [Part.ARRAY, *shape, Part.CLOSE], True
            elif int(length) > _FIXED_LENGTH_MAX:
                raise _refused(self.signature, f"it has an array of more than {_FIXED_LENGTH_MAX}")
            else:
                shape = shape * int(length)
        return shape, dynamic

    def _elementary(self) -> tuple[list[Part], bool]:
        found = _ELEMENTARY.match(self.signature, self.at)
        if found is None:
            raise _refused(self.signature, f"there is no type at character {self.at}")
        self.at = found.end()
        text = found.group()
        if text in ("bytes", "string"):
            return [Part.BYTES], True
        name = text.rstrip("0123456789")
        digits = text[len(name) :]
        sized = digits.lstrip("0") == digits and digits != "" and int(digits) in _SIZED.get(name, ())
        if text not in ("address", "bool") and not sized:
            raise _refused(self.signature, f"{text!r} is no type of the ABI (write `uint256`, not `uint`)")
        return [Part.WORD], False

    def _take(self, char: str) -> None:
        if self.signature[self.at : self.at + 1] != char:
            raise _refused(self.signature, f"{char!r} is expected at character {self.at}")
        self.at += 1


def _refused(signature: str, what: str) -> InputError:
    return InputError(
        f"the signature cannot be listed: {what}",
        f"signature {signature[:200]!r}",
        "write it as in the contract's ABI, without names and spaces; it may have words, tuples, arrays of "
        "words or static tuples, and `bytes`",
    )
