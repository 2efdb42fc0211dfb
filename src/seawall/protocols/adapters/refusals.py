"""How adapters say no: the same words for the same mistakes, whatever the protocol.

Every refusal is an `UnavailableActionError` (or a `ProtocolError` for addresses that do not belong), says
which adapter it came from, and what to do. Nothing here reads or decides anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from seawall.primitives.bounds import UINT256_MAX
from seawall.primitives.errors import MarketError, UnavailableActionError
from seawall.primitives.units import Address, address_text
from seawall.protocols.adapters.actions import Action
from seawall.protocols.executor.operations import Amount, Measured

__all__ = [
    "foreign_token",
    "known_amount",
    "known_minimum",
    "market_refusals",
    "refused",
    "unread_holder",
    "unsupported",
]


def refused(what: str, where: str, fix: str) -> UnavailableActionError:
    return UnavailableActionError(what=what, where=where, fix=fix)


def unsupported(where: str, action: Action) -> UnavailableActionError:
    """The adapter does not know this kind of action at all."""
    return refused(
        f"{type(action).__name__} is not something that this protocol does",
        where,
        "use one of the adapter's `actions`",
    )


def foreign_token(where: str, token: Address) -> UnavailableActionError:
    """The token does not belong to this deployment."""
    return refused(
        f"token {address_text(token)} is not traded or held here",
        where,
        "name the tokens of this deployment, or use another adapter",
    )


def unread_holder(where: str, holder: Address) -> UnavailableActionError:
    """The state was read without this holder: what it has is not known, which is not the same as nothing."""
    return refused(
        f"nothing was read about {address_text(holder)}", where, "name the holder when you ask for `reads`"
    )


def known_amount(amount: Amount, where: str) -> int:
    """An amount that can be quoted: known now, above zero, within 256 bits."""
    if isinstance(amount, Measured):
        raise refused(
            f"amount {amount.name!r} is only measured on chain",
            where,
            "quote with the amount that the simulation expects, and build with the measured one",
        )
    if not 0 < amount <= UINT256_MAX:
        raise refused(
            f"amount {amount} is not a positive 256-bit number",
            where,
            "give an amount above zero in the token's smallest unit",
        )
    return amount


def known_minimum(minimum: Amount, amount: int, where: str) -> None:
    """Refuse a quote below the action's own minimum, as the chain would."""
    if isinstance(minimum, Measured):
        raise refused(
            f"minimum {minimum.name!r} is only measured on chain",
            where,
            "quote with the amount that the simulation expects, and build with the measured one",
        )
    if amount < minimum:
        raise refused(f"{amount} comes out, {minimum} is demanded", where, "demand less, or wait")


@contextmanager
def market_refusals(where: str) -> Iterator[None]:
    """What the maths of a market refuse, the adapter refuses."""
    try:
        yield
    except MarketError as error:
        raise refused(error.what, f"{where}, {error.where}", error.fix) from error
