"""A secret on its way from where it is kept to the one call that needs it.

`runtime` knows where secrets are kept and hands the rooms a `SecretPlace` or the `Secret` itself; a room
reveals one where it puts it on the wire and nowhere else. Its text appears in no representation, comparison
or pickle.

It is ordinary Python memory: private keys do not come this way but live in native handles, which are wiped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NoReturn, final

from typing_extensions import override

__all__ = ["Secret", "SecretPlace"]


@final
class Secret:
    """A token, password or address with a token in it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself."""
        return self._text

    @override
    def __repr__(self) -> str:
        return "Secret(***)"

    @override
    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret does not leave the process")


@dataclass(frozen=True, slots=True)
class SecretPlace:
    """Where a secret is kept: the configuration named it, its form is checked, and it is not read yet."""

    where: str  # the configuration's key
    _read: Callable[[], Secret] = field(repr=False, compare=False)

    def read(self) -> Secret:
        """What is kept there; `ConfigError` with the key where it cannot be had. May wait for a network."""
        return self._read()
