"""What holders have of one token, as part of an adapter's reads: asked, decoded, and looked up.

A holder that nobody asked about is refused; it is never taken for one who has nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from seawall.primitives.blocks import Read
from seawall.primitives.units import Address
from seawall.protocols import erc20
from seawall.protocols.adapters.refusals import unread_holder
from seawall.protocols.answers import Answers, integer_answer

__all__ = ["Holdings", "holding_of", "holding_reads", "holdings"]

Holdings = Mapping[Address, int]
"""[smallest unit of the token] by holder."""


def holding_reads(name: str, token: Address, holders: tuple[Address, ...]) -> tuple[Read, ...]:
    """The balances of `holders`, labelled for the adapter `name`."""
    prefix = _prefix(name, token)
    reads = (erc20.balance_read(token, holder) for holder in holders)
    return tuple(
        Read(prefix + holder.hex(), read.target, read.calldata)
        for holder, read in zip(holders, reads, strict=True)
    )


def holdings(name: str, token: Address, answers: Answers) -> Holdings:
    """Of all holders whose balances were asked; `ProtocolError` for unfit answers."""
    prefix = _prefix(name, token)
    labels = (label for label in answers if label.startswith(prefix))
    return MappingProxyType(
        {
            Address(bytes.fromhex(label.removeprefix(prefix))): integer_answer(answers, label, "uint256")
            for label in labels
        }
    )


def holding_of(holder: Address, held: Holdings, name: str) -> int:
    if holder not in held:
        raise unread_holder(name, holder)
    return held[holder]


def _prefix(name: str, token: Address) -> str:
    return f"{name}:{token.hex()}:held:"
