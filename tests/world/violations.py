"""How the checker says that something happened which must never happen."""

from __future__ import annotations

__all__ = ["Violation", "require"]


class Violation(AssertionError):  # noqa: N818
    """An invariant is broken; the message names it."""


def require(holds: bool, what: str, detail: object) -> None:
    if not holds:
        raise Violation(f"{what}: {detail}")
