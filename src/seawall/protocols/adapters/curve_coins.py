"""What Curve's pools have in common, whatever their curve: coins in an order, a share, what burning it pays.

A pool is asked for its coins, which must be those that the address book names, so that a place in the pool is
never taken for another. Nothing here knows a curve: what a share pays is given by whoever asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from seawall.native import encode_call
from seawall.primitives.blocks import Read
from seawall.primitives.errors import ProtocolError
from seawall.primitives.units import Address, address_text
from seawall.protocols.adapters.actions import AddLiquidity, RemoveLiquidity, TokenAmount
from seawall.protocols.adapters.base import (
    Dependency,
    DependencyKind,
    Exact,
    Position,
    PositionKind,
    Quote,
)
from seawall.protocols.adapters.holdings import Holdings, holding_of
from seawall.protocols.adapters.refusals import (
    foreign_token,
    known_amount,
    known_minimum,
    market_refusals,
    refused,
)
from seawall.protocols.answers import Answers, address_answer, integer_answer
from seawall.protocols.executor.operations import Amount, Measured
from seawall.protocols.executor.policy import TokenClass, TokenPolicy

__all__ = ["CurveCoins", "known_or_zero"]

Withdrawn = Callable[[int], tuple[int, ...]]
"""What burning so many shares pays of each coin, rounded down."""


@dataclass(frozen=True, slots=True)
class CurveCoins:
    """What never changes about a pool, of whatever kind."""

    name: str
    """Of the adapter."""
    pool: Address
    share: Address
    """The LP token: of younger pools the pool itself."""
    coins: tuple[Address, ...]

    # ------------------------------------------------------------------ reading

    def reads(self, views: Iterable[str]) -> tuple[Read, ...]:
        """The views without arguments, then coins and balances."""
        calls = [(view, encode_call(f"{view}()", ())) for view in views]
        for place in range(len(self.coins)):
            calls.append((f"coin:{place}", encode_call("coins(uint256)", (place,))))
            calls.append((f"balance:{place}", encode_call("balances(uint256)", (place,))))
        return tuple(Read(self.label(what), self.pool, calldata) for what, calldata in calls)

    def balances(self, answers: Answers) -> tuple[int, ...]:
        """In the pool's order; `ProtocolError` where the pool's coins are others."""
        for place, coin in enumerate(self.coins):
            found = address_answer(answers, self.label(f"coin:{place}"))
            if found != coin:
                raise ProtocolError(
                    f"coin {place} is {address_text(found)}, not {address_text(coin)}",
                    self.name,
                    "name the pool's coins in their order in the address book",
                )
        return tuple(self.number(answers, f"balance:{place}") for place in range(len(self.coins)))

    def number(self, answers: Answers, view: str) -> int:
        return integer_answer(answers, self.label(view), "uint256")

    def label(self, what: str) -> str:
        return f"{self.name}:{self.pool.hex()}:{what}"

    # ------------------------------------------------------------------ quoting

    def quote_removed(self, action: RemoveLiquidity, withdrawn_down: Withdrawn) -> Quote:
        self.require_share(action.share)
        burnt = known_amount(action.amount, self.name)
        paid = withdrawn_down(burnt)
        for least, amount in zip(self.amounts_of(action.minimums), paid, strict=True):
            known_minimum(least, amount, self.name)
        gives = tuple(Exact(coin, amount) for coin, amount in zip(self.coins, paid, strict=True))
        return Quote(takes=(Exact(self.share, burnt),), gives=gives)

    def brought(self, action: AddLiquidity) -> tuple[tuple[int, Amount], ...]:
        """Place and amount of each coin that is brought, in the pool's order; zero amounts bring nothing."""
        self.require_share(action.share)
        if action.min_share == 0 and any(entry.amount != 0 for entry in action.minimums):
            raise refused(
                "a minimum of what is brought holds no price", self.name, "give a minimum of the share"
            )
        amounts = self.amounts_of(action.amounts)
        some = tuple((place, amount) for place, amount in enumerate(amounts) if amount != 0)
        if not some:
            raise refused("nothing is brought", self.name, "give an amount above zero")
        return some

    def amounts_of(self, wanted: tuple[TokenAmount, ...]) -> tuple[Amount, ...]:
        """In the pool's order of coins, 0 for those that are not named."""
        by_coin: dict[Address, Amount] = {}
        for entry in wanted:
            self.place(entry.token)
            if entry.token in by_coin:
                raise refused(
                    f"{address_text(entry.token)} is named twice", self.name, "name each token once"
                )
            by_coin[entry.token] = entry.amount
        return tuple(by_coin.get(coin, 0) for coin in self.coins)

    def place(self, coin: Address) -> int:
        if coin not in self.coins:
            raise foreign_token(self.name, coin)
        return self.coins.index(coin)

    def require_share(self, share: Address) -> None:
        if share != self.share:
            raise foreign_token(self.name, share)

    # ------------------------------------------------------------------ having

    def positions(self, shares: Holdings, holder: Address, withdrawn_down: Withdrawn) -> tuple[Position, ...]:
        """One position a coin: what burning the share in proportion pays."""
        held = holding_of(holder, shares, self.name)
        if held == 0:
            return ()
        with market_refusals(self.name):
            paid = withdrawn_down(held)
        return tuple(
            Position(holder, PositionKind.SHARE, coin, amount, self.share, held)
            for coin, amount in zip(self.coins, paid, strict=True)
        )

    def token_policies(self) -> tuple[TokenPolicy, ...]:
        return (
            *(TokenPolicy(coin, allowance=True) for coin in self.coins),
            TokenPolicy(self.share, TokenClass.KEPT),
        )

    def dependencies(self) -> tuple[Dependency, ...]:
        return (
            Dependency(DependencyKind.PROTOCOL, "curve"),
            *(Dependency(DependencyKind.ASSET, address_text(coin).lower()) for coin in self.coins),
        )


def known_or_zero(amount: Amount) -> int:
    """What stands in calldata until a measured amount is spliced in."""
    return 0 if isinstance(amount, Measured) else amount
