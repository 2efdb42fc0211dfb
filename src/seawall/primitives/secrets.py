"""A secret on its way from where it is kept to the one call that needs it.

`runtime` reads secrets from their sources and hands them to the rooms as `Secret`; a room reveals one where
it puts it on the wire and nowhere else. Its text appears in no representation, comparison or pickle.

It is ordinary Python memory: private keys do not come this way but live in native handles, which are wiped.
"""

from __future__ import annotations

from typing import NoReturn, final

from typing_extensions import override

__all__ = ["Secret"]


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
