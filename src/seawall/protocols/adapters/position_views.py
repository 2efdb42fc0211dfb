"""Names and bounds of position tokens: positions without a token of their own, seen as one on chain.

An executor watches balances. `contracts/src/PositionToken.sol` shows what lies in a Morpho market, or as
collateral or debt in a Comet, as a balance. Where an address book has such a contract, the adapter lists it
in its policy and bounds it in its plans, so that the position cannot be lost between two looks. Without it
the position is left to the health factor and to the guards.

They have no class in the address book: off chain, lending places count the same positions.
"""

from __future__ import annotations

from typing import Final

from seawall.chain.addresses import AddressBook
from seawall.primitives.bounds import UINT256_MAX
from seawall.primitives.plans import TokenBound
from seawall.primitives.units import Address
from seawall.protocols.executor.operations import Amount
from seawall.protocols.executor.policy import TokenClass, TokenPolicy

__all__ = ["debt_bound", "is_debt_view", "outflow_bound", "position_name", "position_view", "view_policy"]

ROUNDING: Final = 1
"""What shares may add to a fall or a debt. [smallest unit]"""


def position_name(market: str, what: str, token: str) -> str:
    """In an address book: `position_comet_usdx_collateral_weth`."""
    return f"position_{market}_{what}_{token}"


def is_debt_view(name: str) -> bool:
    """Whether what the book calls so stands for what is owed."""
    return name.startswith("position_") and "_debt_" in name


def position_view(book: AddressBook, market: str, what: str, token: str) -> Address | None:
    name = position_name(market, what, token)
    return book.address(name) if name in book else None


def view_policy(view: Address | None, token_class: TokenClass) -> tuple[TokenPolicy, ...]:
    return () if view is None else (TokenPolicy(view, token_class),)


def outflow_bound(view: Address | None, amount: Amount, rounding: int = ROUNDING) -> tuple[TokenBound, ...]:
    """A position may fall by what is taken out. What is measured on chain is bounded by its cap alone."""
    return () if view is None else (TokenBound(view, "outflow", _most(amount, rounding)),)


def debt_bound(view: Address | None, amount: Amount) -> tuple[TokenBound, ...]:
    """A debt may rise by what is borrowed."""
    return () if view is None else (TokenBound(view, "debt_increase", _most(amount, ROUNDING)),)


def _most(amount: Amount, rounding: int) -> int:
    return min(amount + rounding, UINT256_MAX) if isinstance(amount, int) else UINT256_MAX
