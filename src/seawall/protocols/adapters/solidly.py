"""Solidly's pairs as the first Solidly, Ramses, Velodrome V2 and Aerodrome run them: one adapter a pair.

Pairs are volatile or stable. Shares are brought and taken back as `pair_shares` says. In all else there are
two kinds:

- Solidly, Ramses: swaps go through the router's `swapExactTokensForTokensSimple`, whose arguments are all
  one word, so that the policy can hold every one of them. The fee is the pair's own where it has one, else
  that of its curve.
- Velodrome, Aerodrome: their router takes routes of any length, so the executor swaps with the pair itself,
  which it derives from the factory, and which says what it gives. The fee is what the factory answers.

A book names pairs `<family>_<token>_<token>_stable` or `_volatile`, beside `<family>_factory` and
`<family>_router`, and gives the decimals of both tokens. For the second kind the factory's `reference` is the
hash of its pairs' creation code, by which the pair must be where the book says.

Not done: gauges; fees that a holder of shares may claim from the pair.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from seawall.chain.addresses import AddressBook
from seawall.markets.solidly import SolidlyPool, Stop
from seawall.markets.v2_shares import V2Shares
from seawall.native import encode_call, keccak256
from seawall.primitives.blocks import Block, Read
from seawall.primitives.bounds import UINT256_MAX
from seawall.primitives.errors import InputError
from seawall.primitives.plans import TokenBound
from seawall.primitives.units import Address, hash_from_text
from seawall.protocols.adapters.actions import Action, AddLiquidity, RemoveLiquidity, Swap
from seawall.protocols.adapters.base import Dependency, PolicyPart, Position, Quote, Rates
from seawall.protocols.adapters.holdings import Holdings, holding_reads, holdings
from seawall.protocols.adapters.pair_shares import FOREVER_S, Pair, pair_of
from seawall.protocols.adapters.pools import NamedPool, call_with, pools_named, swap_quote, token_set
from seawall.protocols.adapters.refusals import market_refusals, refused
from seawall.protocols.answers import Answers, integer_answer, integer_answers
from seawall.protocols.executor.operations import Operation, SwapQuoted
from seawall.protocols.executor.policy import (
    FactoryKind,
    FactoryPolicy,
    Listing,
    anything,
    equal_to,
    in_set,
    ourselves,
)

__all__ = ["SolidlyAdapter", "SolidlyState", "from_book", "pair_address"]

_PREFIXES: Final = ("solidly", "ramses", "velodrome", "aerodrome")
_DERIVED: Final = ("velodrome", "aerodrome")
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
    init_code_hash: bytes | None = None
    """By which the executor derives the pair; None where swaps go through the router."""

    @property
    def name(self) -> str:
        return self.pair.name

    @property
    def actions(self) -> frozenset[type[Action]]:
        return frozenset({Swap, AddLiquidity, RemoveLiquidity})

    def reads(self, holders: tuple[Address, ...] = ()) -> tuple[Read, ...]:
        pair = self.pair
        return (
            Read(pair.label("reserves"), pair.address, encode_call("getReserves()", ())),
            *pair.reads(),
            *self._fee_reads(),
            Read(pair.label("paused"), self.factory, encode_call("isPaused()", ())),
            *holding_reads(self.name, pair.address, holders),
        )

    def decode(self, answers: Answers, block: Block) -> SolidlyState:
        del block
        pair = self.pair
        reserve0, reserve1 = integer_answers(answers, pair.label("reserves"), ("uint256", "uint256"))
        fee, paused = self._fee_bps(answers), integer_answer(answers, pair.label("paused"), "uint256")
        stop = Stop.CLOSE if self.init_code_hash is None else Stop.LEAST
        with market_refusals(self.name):
            terms = (*self.units, fee, fee, _BPS, self.stable, stop)
            pool = SolidlyPool(pair.address, reserve0, reserve1, *terms)
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
        if self.init_code_hash is not None:
            amounts = (action.amount_in, action.min_out)
            return (SwapQuoted(self.factory, *tokens, *amounts, stable=self.stable, measure=action.measure),)
        values = (action.amount_in, action.min_out, *tokens, self.stable, account, FOREVER_S)
        allowed = (action.token_in, action.amount_in)
        return (call_with(self.router, _SWAP, values, allowed, action.measure),)

    def bounds(self, action: Action, account: Address) -> tuple[TokenBound, ...]:
        del account
        return self.pair.bounds(action)

    def policy(self, account: Address) -> PolicyPart:
        del account
        liquidity = self.pair.listings(self.router, (self.stable,))
        if self.init_code_hash is not None:
            pairs = FactoryPolicy(self.factory, FactoryKind.SOLIDLY, self.init_code_hash, reduce=True)
            return PolicyPart(liquidity, self.pair.token_policies(allowance=False), factories=(pairs,))
        tokens = token_set(*self.pair.tokens)
        one_of, curve = in_set(tokens.set_id), equal_to(int(self.stable))
        swap = (anything(), anything(), one_of, one_of, curve, ourselves(), anything())
        return PolicyPart(
            listings=(*liquidity, Listing(self.router, _SWAP, swap)),
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

    def _fee_reads(self) -> tuple[Read, ...]:
        pair = self.pair
        if self.init_code_hash is not None:
            call = encode_call("getFee(address,bool)", (pair.address, self.stable))
            return (Read(pair.label("fee"), self.factory, call),)
        of_curve = "stableFee()" if self.stable else "volatileFee()"
        return (
            Read(pair.label("pair-fee"), self.factory, encode_call("pairFee(address)", (pair.address,))),
            Read(pair.label("curve-fee"), self.factory, encode_call(of_curve, ())),
        )

    def _fee_bps(self, answers: Answers) -> int:
        if self.init_code_hash is not None:
            return integer_answer(answers, self.pair.label("fee"), "uint256")
        own, of_curve = (
            integer_answer(answers, self.pair.label(what), "uint256") for what in ("pair-fee", "curve-fee")
        )
        return own or of_curve


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
    pair, stable = pair_of(pool, prefix), _CURVES[pool.suffix]
    factory = book[f"{prefix}_factory"]
    init_code_hash = None
    if prefix in _DERIVED:
        init_code_hash = hash_from_text(factory.reference) if factory.reference else bytes(32)
        if pair_address(factory.address, *pair.tokens, stable, init_code_hash) != pair.address:
            raise InputError(
                f"{pool.name} is not where its factory puts such a pair",
                f"address book of chain {book.chain_id}",
                "correct its address, its name, or the hash of the pairs' creation code as the reference of "
                f"{prefix}_factory",
            )
    return SolidlyAdapter(
        book.chain_id,
        prefix,
        factory.address,
        book.address(f"{prefix}_router"),
        pair,
        (pool.unit(book, pair.token0), pool.unit(book, pair.token1)),
        stable,
        init_code_hash,
    )


def pair_address(
    factory: Address, token0: Address, token1: Address, stable: bool, init_code_hash: bytes
) -> Address:
    """Where a factory of the second kind puts a pair (CREATE2), deployed or not."""
    salt = keccak256(token0 + token1 + bytes([stable]))
    return Address(keccak256(b"\xff" + factory + salt + init_code_hash)[12:])
