"""What all pools of the V3 family share: what is read of them, and swaps over their ticks.

`Swap` is an operation of the executor, which derives the pool from its factory and pays it in its callback.
Forks differ in what stands in the salt of their pools' addresses (the fee, or the tick spacing), in whose
creation code it is, and in whether the fee may change; their maths are one.

Not done: shares of such pools, which each protocol numbers in its own way.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from seawall.markets.selling import Selling, selling_v3
from seawall.markets.uniswap_v3 import V3Pool
from seawall.primitives.blocks import Read
from seawall.primitives.units import BPS, Address, address_text, mul_div_up
from seawall.protocols import erc20
from seawall.protocols import uniswap_v3 as protocol
from seawall.protocols.adapters.actions import Swap
from seawall.protocols.adapters.base import Dependency, DependencyKind, Exact, Quote
from seawall.protocols.adapters.refusals import foreign_token, known_amount, known_minimum, refused
from seawall.protocols.answers import Answers
from seawall.protocols.executor.operations import SwapV3
from seawall.protocols.executor.policy import FactoryKind, FactoryPolicy

__all__ = ["V3Deployment", "V3State", "quote_over_ticks", "window_of"]

_PIPS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class V3State:
    pool: V3Pool | None
    """None until bitmap and ticks around the price were read."""
    sqrt_price_x96: int
    tick: int
    balances: tuple[int, int]
    """Of the pool [token0 units, token1 units]."""


@dataclass(frozen=True, slots=True)
class V3Deployment:
    """One pool, and how its address follows."""

    name: str
    """Of the adapter."""
    family: str
    """`uniswap-v3`, `pancake-v3`: whose code and keys it stands on."""
    factory: Address
    """What creates the pools; of Pancake the factory's deployer."""
    init_code_hash: bytes
    market: protocol.V3Market
    salt_word: int
    """What stands in the salt beside the tokens: the fee, or the tick spacing."""

    @property
    def tokens(self) -> tuple[Address, Address]:
        return self.market.token0, self.market.token1

    def reads(self) -> tuple[Read, ...]:
        return (
            *protocol.reads(self.market, protocol.NOTHING_READ),
            *(erc20.balance_read(token, self.market.address) for token in self.tokens),
        )

    def more_reads(self, answers: Answers) -> tuple[Read, ...]:
        """The words and ticks that `answers` make necessary and do not hold."""
        following = protocol.next_window(self.market, self._window(answers), answers)
        return protocol.reads(self.market, following, answers)

    def decode(self, answers: Answers) -> V3State:
        market = self.market
        pool = protocol.pool_of(market, self._window(answers), answers)
        price, tick = protocol.price_of(market, answers)
        balance0, balance1 = (erc20.balance(token, market.address, answers) for token in self.tokens)
        return V3State(pool, price, tick, (balance0, balance1))

    def quote(self, state: V3State, action: Swap) -> Quote:
        self.require_ways(action.token_in, action.token_out)
        return quote_over_ticks(self.name, state.pool, action, action.token_in == self.market.token0)

    def selling(self, state: V3State, token_in: Address, token_out: Address) -> Selling:
        self.require_ways(token_in, token_out)
        if state.pool is None:
            return lambda _: None
        return selling_v3(state.pool, token_in == self.market.token0)

    def build(self, action: Swap) -> SwapV3:
        self.require_ways(action.token_in, action.token_out)
        tokens = (action.token_in, action.token_out)
        amounts = (action.amount_in, action.min_out)
        return SwapV3(self.factory, *tokens, self.salt_word, *amounts, measure=action.measure)

    def factory_policy(self) -> FactoryPolicy:
        return FactoryPolicy(self.factory, FactoryKind.UNISWAP_V3, self.init_code_hash, reduce=True)

    def liquidity(self, state: V3State, token: Address) -> int:
        self.require_tokens((token,))
        return state.balances[self.tokens.index(token)]

    def dependencies(self) -> tuple[Dependency, ...]:
        return (
            Dependency(DependencyKind.PROTOCOL, self.family),
            *(Dependency(DependencyKind.ASSET, address_text(token).lower()) for token in self.tokens),
        )

    def require_ways(self, token_in: Address, token_out: Address) -> None:
        self.require_tokens((token_in, token_out))
        if token_in == token_out:
            raise refused("a swap of a token for itself", self.name, "name the other token")

    def require_tokens(self, tokens: Iterable[Address]) -> None:
        for token in tokens:
            if token not in self.tokens:
                raise foreign_token(self.name, token)

    def _window(self, answers: Answers) -> protocol.V3Window:
        """What of the pool was read already."""
        prefix = protocol.label_of(self.market, "")
        return window_of(label.removeprefix(prefix) for label in answers if label.startswith(prefix))


def window_of(what: Iterable[str]) -> protocol.V3Window:
    """The words and ticks among the ends of labels, `word:-3` and `tick:60`."""
    found: dict[str, list[int]] = {"word": [], "tick": []}
    for one in what:
        kind, _, number = one.partition(":")
        if kind in found:
            found[kind].append(int(number))
    return protocol.V3Window(tuple(sorted(found["word"])), tuple(sorted(found["tick"])))


def quote_over_ticks(name: str, pool: V3Pool | None, action: Swap, zero_for_one: bool) -> Quote:
    amount_in = known_amount(action.amount_in, name)
    if pool is None:
        raise refused("ticks around the price were not read", name, "ask for `more_reads` as well")
    amount_out = pool.quote_exact_in(zero_for_one, amount_in).amount_out
    known_minimum(action.min_out, amount_out, name)
    # Of a price that did not move: amount_in (1 - fee) price, the price being (sqrt / 2^96)^2.
    square, scale = pool.sqrt_price_x96**2, 2**192
    numerator, denominator = (square, scale) if zero_for_one else (scale, square)
    unmoved = amount_in * (_PIPS - pool.fee_pips) * numerator
    lost = max(unmoved - amount_out * _PIPS * denominator, 0)
    return Quote(
        takes=(Exact(action.token_in, amount_in),),
        gives=(Exact(action.token_out, amount_out),),
        impact_bps=mul_div_up(lost, BPS, unmoved),
    )
