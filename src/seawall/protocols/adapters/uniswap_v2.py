"""Uniswap V2 and its forks with a fixed fee (Sushi, Pancake V2): one adapter a pair.

`Swap` is an operation of the executor itself, which derives the pair from its factory. `AddLiquidity` pays
both tokens to the pair and has it mint the shares: the router would need allowances of two tokens in one
call. The pair's `mint` knows no minimum, so `bounds` says what the plan must hold. `RemoveLiquidity` goes
through the router, which does know minimums.

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
from seawall.markets.errors import AmountError
from seawall.markets.uniswap_v2 import V2Pool
from seawall.markets.v2_shares import SIXTH, ProtocolCut, V2Shares
from seawall.native import encode_call
from seawall.primitives.blocks import Block, Read
from seawall.primitives.errors import ProtocolError
from seawall.primitives.plans import TokenBound
from seawall.primitives.units import BPS, ZERO_ADDRESS, Address, address_text, mul_div_up
from seawall.protocols import erc20
from seawall.protocols import uniswap_v2 as protocol
from seawall.protocols.adapters.actions import Action, AddLiquidity, RemoveLiquidity, Swap
from seawall.protocols.adapters.base import (
    Dependency,
    DependencyKind,
    Exact,
    PolicyPart,
    Position,
    PositionKind,
    Quote,
    Rates,
)
from seawall.protocols.adapters.holdings import Holdings, holding_of, holding_reads, holdings
from seawall.protocols.adapters.pools import NamedPool, call_with, pools_named
from seawall.protocols.adapters.refusals import (
    foreign_token,
    known_amount,
    known_minimum,
    market_refusals,
    refused,
    unsupported,
)
from seawall.protocols.answers import Answers, address_answer, integer_answer
from seawall.protocols.executor.operations import Amount, Call, Measured, Operation, SwapV2
from seawall.protocols.executor.policy import (
    FactoryKind,
    FactoryPolicy,
    Listing,
    TokenClass,
    TokenPolicy,
    anything,
    equal_to,
    ourselves,
)

__all__ = ["FORKS", "Fork", "UniswapV2Adapter", "UniswapV2State", "from_book"]

# The header of an execution has the deadline that counts; the router's own never ends.
_FOREVER_S: Final = 2**40
_REMOVE: Final = "removeLiquidity(address,address,uint256,uint256,uint256,address,uint256)"
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
    name: str
    family: str
    """`uniswap-v2`, `sushi-v2`: whose code and keys it stands on."""
    factory: Address
    router: Address
    pair: Address
    token0: Address
    token1: Address
    fork: Fork

    @property
    def actions(self) -> frozenset[type[Action]]:
        return frozenset({Swap, AddLiquidity, RemoveLiquidity})

    def reads(self, holders: tuple[Address, ...] = ()) -> tuple[Read, ...]:
        return (
            *protocol.reads(self._market()),
            Read(self._label("supply"), self.pair, encode_call("totalSupply()", ())),
            Read(self._label("k-last"), self.pair, encode_call("kLast()", ())),
            Read(self._label("fee-to"), self.factory, encode_call("feeTo()", ())),
            *(erc20.balance_read(token, self.pair) for token in (self.token0, self.token1, self.pair)),
            *holding_reads(self.name, self.pair, holders),
        )

    def decode(self, answers: Answers, block: Block) -> UniswapV2State:
        del block
        with market_refusals(self.name):
            pool = protocol.decode_pool(self._market(), answers)
            shares = V2Shares(
                pool,
                erc20.balance(self.token0, self.pair, answers),
                erc20.balance(self.token1, self.pair, answers),
                integer_answer(answers, self._label("supply"), "uint256"),
                erc20.balance(self.pair, self.pair, answers),
                integer_answer(answers, self._label("k-last"), "uint256"),
                address_answer(answers, self._label("fee-to")) != ZERO_ADDRESS,
                self.fork.cut,
            )
        return UniswapV2State(pool, shares, holdings(self.name, self.pair, answers))

    def quote(self, state: UniswapV2State, action: Action, account: Address) -> Quote:
        del account
        with market_refusals(self.name):
            match action:
                case Swap():
                    return self._quote_swap(state.pool, action)
                case AddLiquidity():
                    return self._quote_add(state.shares, action)
                case RemoveLiquidity():
                    return self._quote_remove(state.shares, action)
                case _:
                    raise unsupported(self.name, action)

    def build(self, action: Action, account: Address) -> tuple[Operation, ...]:
        match action:
            case Swap():
                self._require_tokens(action.token_in, action.token_out)
                return (
                    SwapV2(
                        self.factory,
                        action.token_in,
                        action.token_out,
                        action.amount_in,
                        action.min_out,
                        measure=action.measure,
                    ),
                )
            case AddLiquidity():
                amounts = self._in_order(action)
                pay = tuple(
                    call_with(token, "transfer(address,uint256)", (self.pair, amount))
                    for token, amount in zip((self.token0, self.token1), amounts, strict=True)
                )
                mint = Call(self.pair, encode_call("mint(address)", (account,)), measure=action.measure)
                return (*pay, mint)
            case RemoveLiquidity():
                minimum0, minimum1 = self._minimums(action)
                values = (
                    self.token0, self.token1, action.amount, minimum0, minimum1, account, _FOREVER_S,
                )  # fmt: skip
                allowed = (self.pair, action.amount)
                return (call_with(self.router, _REMOVE, values, allowed, action.measure),)
            case _:
                raise unsupported(self.name, action)

    def bounds(self, action: Action, account: Address) -> tuple[TokenBound, ...]:
        del account
        if not isinstance(action, AddLiquidity) or action.min_share == 0:
            return ()
        if isinstance(action.min_share, Measured):
            raise refused(
                "a measured minimum of shares cannot be held", self.name, "give the minimum as a number"
            )
        return (TokenBound(self.pair, "inflow", action.min_share),)

    def policy(self, account: Address) -> PolicyPart:
        del account
        pay = (equal_to(self.pair), anything())
        remove = (
            equal_to(self.token0),
            equal_to(self.token1),
            *(anything() for _ in range(3)),
            ourselves(),
            anything(),
        )
        return PolicyPart(
            listings=(
                Listing(self.token0, "transfer(address,uint256)", pay),
                Listing(self.token1, "transfer(address,uint256)", pay),
                Listing(self.pair, "mint(address)", (ourselves(),)),
                Listing(self.router, _REMOVE, remove, reduce=True),
            ),
            tokens=(
                TokenPolicy(self.token0),
                TokenPolicy(self.token1),
                TokenPolicy(self.pair, TokenClass.KEPT, allowance=True),
            ),
            factories=(
                FactoryPolicy(
                    self.factory,
                    FactoryKind.UNISWAP_V2,
                    self.fork.init_code_hash,
                    self.fork.fee_ppm,
                    reduce=True,
                ),
            ),
        )

    def positions(self, state: UniswapV2State, holder: Address) -> tuple[Position, ...]:
        """One position a token, both with the same receipt: the shares stand for the two together."""
        shares = holding_of(holder, state.held, self.name)
        if shares == 0:
            return ()
        try:
            amounts = state.shares.burned_down(shares)
        except AmountError:  # so few that the pair would refuse them: there, and worth nothing
            amounts = (0, 0)
        return tuple(
            Position(holder, PositionKind.SHARE, token, amount, self.pair, shares)
            for token, amount in zip((self.token0, self.token1), amounts, strict=True)
        )

    def liquidity(self, state: UniswapV2State, token: Address) -> int:
        if token not in (self.token0, self.token1):
            raise foreign_token(self.name, token)
        reserve = state.pool.reserve0 if token == self.token0 else state.pool.reserve1
        return max(reserve - 1, 0)

    def rates(self, state: UniswapV2State, token: Address, change: int = 0) -> Rates:
        del state, token, change
        return Rates(supply_ray=None, borrow_ray=None)

    def dependencies(self) -> tuple[Dependency, ...]:
        return (
            Dependency(DependencyKind.PROTOCOL, self.family),
            *(
                Dependency(DependencyKind.ASSET, address_text(token).lower())
                for token in (self.token0, self.token1)
            ),
        )

    def _quote_swap(self, pool: V2Pool, action: Swap) -> Quote:
        self._require_tokens(action.token_in, action.token_out)
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

    def _quote_add(self, shares: V2Shares, action: AddLiquidity) -> Quote:
        amount0, amount1 = (known_amount(amount, self.name) for amount in self._in_order(action))
        minted = shares.minted_down(amount0, amount1)
        known_minimum(action.min_share, minted, self.name)
        return Quote(
            takes=(Exact(self.token0, amount0), Exact(self.token1, amount1)),
            gives=(Exact(self.pair, minted),),
        )

    def _quote_remove(self, shares: V2Shares, action: RemoveLiquidity) -> Quote:
        minimums = self._minimums(action)
        given = known_amount(action.amount, self.name)
        amounts = shares.burned_down(given)
        for minimum, amount in zip(minimums, amounts, strict=True):
            known_minimum(minimum, amount, self.name)
        return Quote(
            takes=(Exact(self.pair, given),),
            gives=(Exact(self.token0, amounts[0]), Exact(self.token1, amounts[1])),
        )

    def _in_order(self, action: AddLiquidity) -> tuple[Amount, Amount]:
        if action.share != self.pair:
            raise foreign_token(self.name, action.share)
        offered = {entry.token: entry.amount for entry in action.amounts}
        if len(action.amounts) != 2 or set(offered) != {self.token0, self.token1}:
            raise refused(
                "liquidity is brought in both tokens", self.name, "give one amount of each of the two"
            )
        return offered[self.token0], offered[self.token1]

    def _minimums(self, action: RemoveLiquidity) -> tuple[Amount, Amount]:
        if action.share != self.pair:
            raise foreign_token(self.name, action.share)
        wanted = {entry.token: entry.amount for entry in action.minimums}
        if len(wanted) != len(action.minimums) or not set(wanted) <= {self.token0, self.token1}:
            raise refused(
                "a minimum names another token, or one twice", self.name, "give at most one for each token"
            )
        return wanted.get(self.token0, 0), wanted.get(self.token1, 0)

    def _require_tokens(self, token_in: Address, token_out: Address) -> None:
        for token in (token_in, token_out):
            if token not in (self.token0, self.token1):
                raise foreign_token(self.name, token)
        if token_in == token_out:
            raise refused("a swap of a token for itself", self.name, "name the other token")

    def _market(self) -> protocol.V2Market:
        return protocol.V2Market(self.pair, self.token0, self.token1, _PPM - self.fork.fee_ppm, _PPM)

    def _label(self, what: str) -> str:
        return f"{self.name}:{self.pair.hex()}:{what}"


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
    token0, token1 = protocol.sorted_tokens(*pool.tokens)
    fork = next(
        (
            fork
            for fork in FORKS
            if protocol.pair_address(factory, token0, token1, fork.init_code_hash) == pool.address
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
        f"{prefix}:{pool.pair_name}",
        prefix.replace("_", "-"),
        factory,
        book.address(f"{prefix}_router"),
        pool.address,
        token0,
        token1,
        fork,
    )
