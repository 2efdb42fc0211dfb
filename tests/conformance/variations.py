"""The same action with another amount, or with a minimum that cannot be met."""

from __future__ import annotations

from dataclasses import replace

from seawall.primitives.units import Address
from seawall.protocols.adapters.actions import (
    Action,
    AddLiquidity,
    Borrow,
    ClaimExit,
    ClaimRewards,
    Deposit,
    Redeem,
    RemoveLiquidity,
    Repay,
    RequestExit,
    Supply,
    Swap,
    TokenAmount,
    Withdraw,
)
from seawall.protocols.adapters.base import Quote
from seawall.protocols.executor.operations import Amount, Measured

__all__ = ["UNKNOWN", "demanding", "measured", "sized"]

SOME = Address(b"\x11" * 20)
OTHER = Address(b"\x22" * 20)
UNKNOWN: tuple[Action, ...] = (
    Swap(SOME, OTHER, 1),
    Supply(SOME, 1),
    Withdraw(SOME, 1),
    Borrow(SOME, 1),
    Repay(SOME, 1),
    Deposit(SOME, OTHER, 1),
    Redeem(SOME, OTHER, 1),
    RequestExit(SOME, 1),
    ClaimExit(1, SOME),
    AddLiquidity((TokenAmount(SOME, 1),), OTHER),
    RemoveLiquidity(SOME, 1),
    ClaimRewards((SOME,)),
)
"""One of each kind, with tokens that no protocol knows."""


def sized(action: Action, amount: int) -> Action | None:
    """With `amount` of everything that it names an amount of; None where it names none."""
    return _with_amount(action, amount)


def measured(action: Action) -> Action | None:
    """With what is only measured on chain in place of every amount."""
    return _with_amount(action, Measured("before"))


def demanding(action: Action, quote: Quote) -> Action | None:
    """With a minimum of one more than `quote` gives; None where it has no minimum."""
    more = {entry.token: entry.amount + 1 for entry in quote.gives}
    match action:
        case Swap() | Deposit() | Redeem():
            (minimum,) = more.values()
            return replace(action, min_out=minimum)
        case AddLiquidity() if action.share in more:
            return replace(action, min_share=more[action.share])
        case AddLiquidity():
            taken = {entry.token: entry.amount + 1 for entry in quote.takes}
            return replace(action, minimums=tuple(TokenAmount(*entry) for entry in taken.items()))
        case RemoveLiquidity():
            return replace(action, minimums=tuple(TokenAmount(*entry) for entry in more.items()))
        case _:
            return None


def _with_amount(action: Action, amount: Amount) -> Action | None:
    match action:
        case Swap() | Deposit() | Redeem():
            return replace(action, amount_in=amount, min_out=0)
        case RequestExit():
            return replace(action, amount_in=amount)
        case Supply() | Withdraw() | Borrow():
            return replace(action, amount=amount)
        case RemoveLiquidity():
            return replace(action, amount=amount, minimums=())
        case Repay():
            return replace(action, maximum=amount)
        case AddLiquidity():
            amounts = tuple(TokenAmount(entry.token, amount) for entry in action.amounts)
            return replace(action, amounts=amounts, min_share=0)
        case ClaimExit() | ClaimRewards():
            return None
