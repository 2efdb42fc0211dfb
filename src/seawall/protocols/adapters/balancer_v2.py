"""Weighted pools of Balancer V2, traded through its Vault; one adapter a pool.

A book names pools `balancer_<token>_<token>...`, with what `balancer_vault` asks for. A name that ends in
`_v1` is a pool of the first version, which computes powers another way.

What the Vault lends is `protocols.balancer_v2`; stable pools are `balancer_stable`.

Not done: bringing and taking back liquidity, whose amounts hide in the pool's own user data, where no policy
could hold them (their exact maths are in `markets.balancer_weighted`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from seawall.chain.addresses import AddressBook
from seawall.markets.balancer_weighted import WeightedPool
from seawall.primitives.blocks import Block, Read
from seawall.primitives.units import Address
from seawall.protocols.adapters.actions import Action, Swap
from seawall.protocols.adapters.answer_lists import integer_list
from seawall.protocols.adapters.balancer_vault import VaultPool, vault_pool
from seawall.protocols.adapters.base import Dependency, PolicyPart, Position, PositionKind, Quote, Rates
from seawall.protocols.adapters.holdings import Holdings, holding_of, holding_reads, holdings
from seawall.protocols.adapters.pools import NamedPool, pools_named
from seawall.protocols.adapters.refusals import market_refusals
from seawall.protocols.answers import Answers
from seawall.protocols.executor.operations import Operation

__all__ = ["BalancerV2Adapter", "BalancerV2State", "from_book"]

_PREFIX: Final = "balancer"
_FIRST_VERSION: Final = "v1"


@dataclass(frozen=True, slots=True)
class BalancerV2State:
    pool: WeightedPool
    paused: bool
    held: Holdings
    """Pool shares of the holders that were asked about."""


@dataclass(frozen=True, slots=True)
class BalancerV2Adapter:
    chain_id: int
    at: VaultPool
    scales: tuple[int, ...]
    """What makes 18 decimals of an amount of each token."""
    first_version: bool = False

    @property
    def name(self) -> str:
        return self.at.name

    @property
    def actions(self) -> frozenset[type[Action]]:
        return frozenset({Swap})

    def reads(self, holders: tuple[Address, ...] = ()) -> tuple[Read, ...]:
        return (
            *self.at.reads(),
            self.at.view("weights", "getNormalizedWeights()"),
            self.at.view("supply", self._supply_function()),
            *holding_reads(self.name, self.at.pool, holders),
        )

    def decode(self, answers: Answers, block: Block) -> BalancerV2State:
        del block
        at = self.at
        with market_refusals(self.name):
            pool = WeightedPool(
                at.pool,
                at.balances(answers),
                self.scales,
                integer_list(answers, at.label("weights")),
                at.number(answers, "fee"),
                at.number(answers, "supply"),
                simple_powers=not self.first_version,
            )
        return BalancerV2State(pool, at.paused(answers), holdings(self.name, at.pool, answers))

    def quote(self, state: BalancerV2State, action: Action, account: Address) -> Quote:
        del account
        refusal = "pool or Vault are paused" if state.paused else ""
        return self.at.quote(action, refusal, state.pool.amount_out_down)

    def build(self, action: Action, account: Address) -> tuple[Operation, ...]:
        return (self.at.build(action, account),)

    def policy(self, account: Address) -> PolicyPart:
        del account
        return self.at.swap_policy()

    def positions(self, state: BalancerV2State, holder: Address) -> tuple[Position, ...]:
        """One position a token, all with the same receipt: the shares stand for them together."""
        shares = holding_of(holder, state.held, self.name)
        if shares == 0:
            return ()
        with market_refusals(self.name):
            amounts = state.pool.amounts_out_down(shares)
        return tuple(
            Position(holder, PositionKind.SHARE, token, amount, self.at.pool, shares)
            for token, amount in zip(self.at.tokens, amounts, strict=True)
        )

    def liquidity(self, state: BalancerV2State, token: Address) -> int:
        self.at.require(token)
        return state.pool.balances[self.at.tokens.index(token)]

    def rates(self, state: BalancerV2State, token: Address, change: int = 0) -> Rates:
        del state, token, change
        return Rates(supply_ray=None, borrow_ray=None)

    def dependencies(self) -> tuple[Dependency, ...]:
        return self.at.dependencies()

    def _supply_function(self) -> str:
        """The first version mints nothing later; the others owe their protocol shares until the next join."""
        return "totalSupply()" if self.first_version else "getActualSupply()"


def from_book(book: AddressBook) -> tuple[BalancerV2Adapter, ...]:
    if f"{_PREFIX}_vault" not in book:
        return ()
    return tuple(_adapter(book, pool) for pool in pools_named(book, _PREFIX))


def _adapter(book: AddressBook, pool: NamedPool) -> BalancerV2Adapter:
    at = vault_pool(book, pool, f"{_PREFIX}_v2", ("", _FIRST_VERSION))
    scales = tuple(10**18 // pool.unit(book, token) for token in at.tokens)
    return BalancerV2Adapter(book.chain_id, at, scales, pool.suffix == _FIRST_VERSION)
