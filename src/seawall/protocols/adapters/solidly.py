"""Solidly's pairs as Ramses and the first Solidly run them: one adapter a pair, volatile or stable.

Swaps go through the router's `swapExactTokensForTokensSimple`, whose arguments are all one word, so that the
policy can hold every one of them. Shares are brought and taken back as `pair_shares` says. The fee is the
factory's: the pair's own where it has one, else that of its curve.

A book names pairs `<family>_<token>_<token>_stable` or `_volatile`, beside `<family>_factory` and
`<family>_router`, and gives the decimals of both tokens.

Not done: Aerodrome and Velodrome V2, whose router takes routes of any length (their curve is in
`markets.solidly`); gauges; fees that a holder of shares may claim from the pair.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from seawall.chain.addresses import AddressBook
from seawall.markets.solidly import SolidlyPool
from seawall.markets.v2_shares import V2Shares
from seawall.native import encode_call
from seawall.primitives.blocks import Block, Read
from seawall.primitives.bounds import UINT256_MAX
from seawall.primitives.errors import InputError
from seawall.primitives.plans import TokenBound
from seawall.primitives.units import Address
from seawall.protocols.adapters.actions import Action, AddLiquidity, RemoveLiquidity, Swap
from seawall.protocols.adapters.base import Dependency, PolicyPart, Position, Quote, Rates
from seawall.protocols.adapters.holdings import Holdings, holding_reads, holdings
from seawall.protocols.adapters.pair_shares import FOREVER_S, Pair, pair_of
from seawall.protocols.adapters.pools import NamedPool, call_with, pools_named, swap_quote, token_set
from seawall.protocols.adapters.refusals import market_refusals, refused
from seawall.protocols.answers import Answers, integer_answer, integer_answers
from seawall.protocols.executor.operations import Operation
from seawall.protocols.executor.policy import Listing, anything, equal_to, in_set, ourselves

__all__ = ["SolidlyAdapter", "SolidlyState", "from_book"]

_PREFIXES: Final = ("solidly", "ramses")
_CURVES: Final = {"stable": True, "volatile": False}
_BPS: Final = 10_000
_SWAP: Final = "swapExactTokensForTokensSimple(uint256,uint256,address,address,bool,address,uint256)"


@dataclass(frozen=True, slots=True)
class SolidlyState:
    pool: SolidlyPool
    shares: V2Shares
    held: Holdings
    """Shares of the holders that were asked about."""
    paused: bool


@dataclass(frozen=True, slots=True)
class SolidlyAdapter:
    chain_id: int
    family: str
    factory: Address
    router: Address
    pair: Pair
    units: tuple[int, int]
    """10 to the power of the decimals of token0 and token1."""
    stable: bool

    @property
    def name(self) -> str:
        return self.pair.name

    @property
    def actions(self) -> frozenset[type[Action]]:
        return frozenset({Swap, AddLiquidity, RemoveLiquidity})

    def reads(self, holders: tuple[Address, ...] = ()) -> tuple[Read, ...]:
        pair = self.pair
        curve_fee = "stableFee()" if self.stable else "volatileFee()"
        return (
            Read(pair.label("reserves"), pair.address, encode_call("getReserves()", ())),
            *pair.reads(),
            Read(pair.label("pair-fee"), self.factory, encode_call("pairFee(address)", (pair.address,))),
            Read(pair.label("curve-fee"), self.factory, encode_call(curve_fee, ())),
            Read(pair.label("paused"), self.factory, encode_call("isPaused()", ())),
            *holding_reads(self.name, pair.address, holders),
        )

    def decode(self, answers: Answers, block: Block) -> SolidlyState:
        del block
        pair = self.pair
        reserve0, reserve1 = integer_answers(answers, pair.label("reserves"), ("uint256", "uint256"))
        own, of_curve, paused = (
            integer_answer(answers, pair.label(what), "uint256")
            for what in ("pair-fee", "curve-fee", "paused")
        )
        fee = own or of_curve
        with market_refusals(self.name):
            pool = SolidlyPool(pair.address, reserve0, reserve1, *self.units, fee, fee, _BPS, self.stable)
            shares = V2Shares(
                pair.address,
                reserve0,
                reserve1,
                *pair.balances(answers),
                pair.supply(answers),
                pair.stray(answers),
                reserve_max=UINT256_MAX,
            )
        held = holdings(self.name, pair.address, answers)
        return SolidlyState(pool, shares, held, paused != 0)

    def quote(self, state: SolidlyState, action: Action, account: Address) -> Quote:
        del account
        with market_refusals(self.name):
            match action:
                case Swap():
                    if state.paused:
                        raise refused("swaps are paused", self.name, "wait, or use another pool")
                    self.pair.require(action.token_in, action.token_out)
                    zero_for_one = action.token_in == self.pair.token0
                    return swap_quote(
                        self.name, action, lambda amount: state.pool.swapped_out_down(zero_for_one, amount)
                    )
                case _:
                    return self.pair.quote_liquidity(state.shares, action)

    def build(self, action: Action, account: Address) -> tuple[Operation, ...]:
        if not isinstance(action, Swap):
            return self.pair.build_liquidity(action, account, self.router, (self.stable,))
        tokens = (action.token_in, action.token_out)
        self.pair.require(*tokens)
        values = (action.amount_in, action.min_out, *tokens, self.stable, account, FOREVER_S)
        allowed = (action.token_in, action.amount_in)
        return (call_with(self.router, _SWAP, values, allowed, action.measure),)

    def bounds(self, action: Action, account: Address) -> tuple[TokenBound, ...]:
        del account
        return self.pair.bounds(action)

    def policy(self, account: Address) -> PolicyPart:
        del account
        tokens = token_set(*self.pair.tokens)
        one_of, curve = in_set(tokens.set_id), equal_to(int(self.stable))
        swap = (anything(), anything(), one_of, one_of, curve, ourselves(), anything())
        return PolicyPart(
            listings=(
                *self.pair.listings(self.router, (self.stable,)),
                Listing(self.router, _SWAP, swap),
            ),
            tokens=self.pair.token_policies(allowance=True),
            sets=(tokens,),
        )

    def positions(self, state: SolidlyState, holder: Address) -> tuple[Position, ...]:
        return self.pair.positions(state.shares, state.held, holder)

    def liquidity(self, state: SolidlyState, token: Address) -> int:
        return self.pair.available(state.shares, token)

    def rates(self, state: SolidlyState, token: Address, change: int = 0) -> Rates:
        del state, token, change
        return Rates(supply_ray=None, borrow_ray=None)

    def dependencies(self) -> tuple[Dependency, ...]:
        return self.pair.dependencies(self.family)


def from_book(book: AddressBook) -> tuple[SolidlyAdapter, ...]:
    return tuple(
        _adapter(book, prefix, pool)
        for prefix in _PREFIXES
        if f"{prefix}_factory" in book and f"{prefix}_router" in book
        for pool in pools_named(book, prefix)
    )


def _adapter(book: AddressBook, prefix: str, pool: NamedPool) -> SolidlyAdapter:
    if len(pool.tokens) != 2 or pool.suffix not in _CURVES:
        raise InputError(
            f"{pool.name} does not say which pair it is",
            f"address book of chain {book.chain_id}",
            f"name it {prefix}_<token>_<token>_stable or {prefix}_<token>_<token>_volatile",
        )
    pair = pair_of(pool, prefix)
    return SolidlyAdapter(
        book.chain_id,
        prefix,
        book.address(f"{prefix}_factory"),
        book.address(f"{prefix}_router"),
        pair,
        (pool.unit(book, pair.token0), pool.unit(book, pair.token1)),
        _CURVES[pool.suffix],
    )
