"""What a planted bug is."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

__all__ = ["Bug", "Planted"]

Planted = AbstractContextManager[object]


class Bug(Protocol):
    """Plants itself when it is entered."""

    __name__: str
    __call__: Callable[[], Planted]
