"""Uniswap V2 and its forks with a fixed fee (Sushi, Pancake V2): one adapter a pair.

`Swap` is an operation of the executor itself, which derives the pair from its factory. Shares are brought and
taken back as `pair_shares` says.

A book names pairs `<factory>_<token>_<token>`, as in `uniswap_v2_weth_usdx` beside `uniswap_v2_factory` and
`uniswap_v2_router`. Which fork it is follows from the address: the pair must be where one of the known
creation codes puts it.

Not done: tokens that take a fee on transfer (their swaps revert on chain; nothing is lost), shares of more
than one pair at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from seawall.chain.addresses import AddressBook
from seawall.markets.selling import Selling, selling_v2
from seawall.markets.uniswap_v2 import V2Pool
from seawall.markets.v2_shares import SIXTH, ProtocolCut, V2Shares
from seawall.native import encode_call
from seawall.primitives.blocks import Block, Read
from seawall.primitives.errors import ProtocolError
from seawall.primitives.plans import TokenBound
from seawall.primitives.units import BPS, ZERO_ADDRESS, Address, address_text, mul_div_up
from seawall.protocols import uniswap_v2 as protocol
from seawall.protocols.adapters.actions import Action, AddLiquidity, RemoveLiquidity, Swap
from seawall.protocols.adapters.base import Dependency, Exact, PolicyPart, Position, Quote, Rates
from seawall.protocols.adapters.holdings import Holdings, holding_reads, holdings
from seawall.protocols.adapters.pair_shares import Pair, pair_of
from seawall.protocols.adapters.pools import NamedPool, pools_named
from seawall.protocols.adapters.refusals import known_amount, known_minimum, market_refusals
from seawall.protocols.answers import Answers, address_answer, integer_answer
from seawall.protocols.executor.operations import Operation, SwapV2
from seawall.protocols.executor.policy import (
    FactoryKind,
    FactoryPolicy,
)

__all__ = ["FORKS", "Fork", "UniswapV2Adapter", "UniswapV2State", "from_book"]

_PPM: Final = 1_000_000
_PREFIXES: Final = ("uniswap_v2", "sushi_v2", "pancake_v2")


@dataclass(frozen=True, slots=True)
class Fork:
    """What tells one fork from another, fixed in its pairs' code."""

    init_code_hash: bytes
    fee_ppm: int
    cut: ProtocolCut


_EIGHT_OF_25: Final = ProtocolCut(8, 17)

FORKS: Final = (
    Fork(protocol.INIT_CODE_HASH, 3_000, SIXTH),
    Fork(bytes.fromhex("e18a34eb0e04b04f7a0ac29a6e80748dca96319b42c54d679cb821dca90c6303"), 3_000, SIXTH),
    Fork(
        bytes.fromhex("00fb7f630766e6a796048ea87d01acd3068e8ff67d078148a3fa3f4a84f69bd5"),
        2_500,
        _EIGHT_OF_25,
    ),
    Fork(
        bytes.fromhex("57224589c67f3f30a6b0d7a1b54cf3153ab84563bc609ef41dfb34f8b2974d2d"),
        2_500,
        _EIGHT_OF_25,
    ),
)
"""Uniswap, Sushi on mainnet, Pancake on its own chain and elsewhere."""


@dataclass(frozen=True, slots=True)
class UniswapV2State:
    pool: V2Pool
    shares: V2Shares
    held: Holdings
    """Shares of the holders that were asked about."""


@dataclass(frozen=True, slots=True)
class UniswapV2Adapter:
    chain_id: int
    family: str
    """`uniswap-v2`, `sushi-v2`: whose code and keys it stands on."""
    factory: Address
    router: Address
    pair: Pair
    fork: Fork

    @property
    def name(self) -> str:
        return self.pair.name

    @property
    def actions(self) -> frozenset[type[Action]]:
        return frozenset({Swap, AddLiquidity, RemoveLiquidity})

    def reads(self, holders: tuple[Address, ...] = ()) -> tuple[Read, ...]:
        pair = self.pair
        return (
            *protocol.reads(self._market()),
            *pair.reads(),
            Read(pair.label("k-last"), pair.address, encode_call("kLast()", ())),
            Read(pair.label("fee-to"), self.factory, encode_call("feeTo()", ())),
            *holding_reads(self.name, pair.address, holders),
        )

    def decode(self, answers: Answers, block: Block) -> UniswapV2State:
        del block
        pair = self.pair
        claimed = address_answer(answers, pair.label("fee-to")) != ZERO_ADDRESS
        with market_refusals(self.name):
            pool = protocol.decode_pool(self._market(), answers)
            shares = V2Shares(
                pair.address,
                pool.reserve0,
                pool.reserve1,
                *pair.balances(answers),
                pair.supply(answers),
                pair.stray(answers),
                integer_answer(answers, pair.label("k-last"), "uint256"),
                self.fork.cut if claimed else None,
            )
        return UniswapV2State(pool, shares, holdings(self.name, pair.address, answers))

    def quote(self, state: UniswapV2State, action: Action, account: Address) -> Quote:
        del account
        with market_refusals(self.name):
            match action:
                case Swap():
                    return self._quote_swap(state.pool, action)
                case _:
                    return self.pair.quote_liquidity(state.shares, action)

    def selling(self, state: UniswapV2State, token_in: Address, token_out: Address) -> Selling:
        self.pair.require(token_in, token_out)
        return selling_v2(state.pool, state.pool.zero_for_one(token_in))

    def build(self, action: Action, account: Address) -> tuple[Operation, ...]:
        if not isinstance(action, Swap):
            return self.pair.build_liquidity(action, account, self.router)
        tokens = (action.token_in, action.token_out)
        self.pair.require(*tokens)
        return (SwapV2(self.factory, *tokens, action.amount_in, action.min_out, measure=action.measure),)

    def bounds(self, action: Action, account: Address) -> tuple[TokenBound, ...]:
        del account
        return self.pair.bounds(action)

    def policy(self, account: Address) -> PolicyPart:
        del account
        factory = FactoryPolicy(
            self.factory,
            FactoryKind.UNISWAP_V2,
            self.fork.init_code_hash,
            self.fork.fee_ppm,
            reduce=True,
        )
        return PolicyPart(
            listings=self.pair.listings(self.router),
            tokens=self.pair.token_policies(allowance=False),
            factories=(factory,),
        )

    def positions(self, state: UniswapV2State, holder: Address) -> tuple[Position, ...]:
        return self.pair.positions(state.shares, state.held, holder)

    def liquidity(self, state: UniswapV2State, token: Address) -> int:
        return self.pair.available(state.shares, token)

    def rates(self, state: UniswapV2State, token: Address, change: int = 0) -> Rates:
        del state, token, change
        return Rates(supply_ray=None, borrow_ray=None)

    def dependencies(self) -> tuple[Dependency, ...]:
        return self.pair.dependencies(self.family)

    def _quote_swap(self, pool: V2Pool, action: Swap) -> Quote:
        self.pair.require(action.token_in, action.token_out)
        amount_in = known_amount(action.amount_in, self.name)
        zero_for_one = pool.zero_for_one(action.token_in)
        pool.after_exact_in(zero_for_one, amount_in)
        amount_out = pool.amount_out_down(zero_for_one, amount_in)
        known_minimum(action.min_out, amount_out, self.name)
        reserves = (pool.reserve0, pool.reserve1) if zero_for_one else (pool.reserve1, pool.reserve0)
        # Of a price that did not move: amount_in (1 - fee) reserve_out / reserve_in.
        unmoved = amount_in * pool.fee_numerator * reserves[1]
        lost = max(unmoved - amount_out * pool.fee_denominator * reserves[0], 0)
        return Quote(
            takes=(Exact(action.token_in, amount_in),),
            gives=(Exact(action.token_out, amount_out),),
            impact_bps=mul_div_up(lost, BPS, unmoved),
        )

    def _market(self) -> protocol.V2Market:
        pair = self.pair
        return protocol.V2Market(pair.address, *pair.tokens, _PPM - self.fork.fee_ppm, _PPM)


def from_book(book: AddressBook) -> tuple[UniswapV2Adapter, ...]:
    return tuple(
        _adapter(book, prefix, pool)
        for prefix in _PREFIXES
        if f"{prefix}_factory" in book and f"{prefix}_router" in book
        for pool in pools_named(book, prefix)
        if not pool.suffix
    )


def _adapter(book: AddressBook, prefix: str, pool: NamedPool) -> UniswapV2Adapter:
    factory = book.address(f"{prefix}_factory")
    pair = pair_of(pool, prefix)
    fork = next(
        (
            fork
            for fork in FORKS
            if protocol.pair_address(factory, *pair.tokens, fork.init_code_hash) == pool.address
        ),
        None,
    )
    if fork is None:
        raise ProtocolError(
            what=f"{address_text(pool.address)} is where no known creation code puts this pair",
            where=f"{pool.name}, address book of chain {book.chain_id}",
            fix="correct the entry, or add the fork's creation code hash and fee to FORKS",
        )
    return UniswapV2Adapter(
        book.chain_id,
        prefix.replace("_", "-"),
        factory,
        book.address(f"{prefix}_router"),
        pair,
        fork,
    )
