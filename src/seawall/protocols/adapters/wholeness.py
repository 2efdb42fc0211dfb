"""States that contradict themselves are refused when they are decoded, so that no quote stands on them."""

from __future__ import annotations

from seawall.primitives.errors import ProtocolError

__all__ = ["require_whole"]


def require_whole(holds: bool, otherwise: str, where: str) -> None:
    """`ProtocolError` unless `holds`: what was read cannot be the state of this protocol."""
    if not holds:
        raise ProtocolError(
            what=f"the state contradicts itself: {otherwise}",
            where=where,
            fix="read it again at one block, and check the address book",
        )
