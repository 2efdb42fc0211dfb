"""Uniswap V3 and forks of the same pool (Sushi V3): one adapter a pool, and a range for bringing liquidity.

`Swap` is an operation of the executor, which derives the pool from its factory and pays it in its callback.
Liquidity goes through the NonfungiblePositionManager. A call of ours may take one token by allowance, and
bringing liquidity takes two: so it is offered where one of them is wrapped ether, which the manager also
takes as coins sent along; what it does not use comes back and is wrapped again. `share` is the manager
itself, of whose numbered positions a holder has so many; the number is known once the plan has landed. New
positions have the adapter's range, by default every price: use `dataclasses.replace` for another.

A book names pools `uniswap_v3_<token>_<token>_<fee>`, beside `uniswap_v3_factory` and `uniswap_v3_positions`.

Not done: pools of two tokens of which neither is wrapped ether are traded, not brought liquidity; positions
are not moved or burned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from seawall.chain.addresses import AddressBook
from seawall.markets.tick_math import MAX_TICK
from seawall.markets.uniswap_v3 import V3Pool
from seawall.markets.v3_liquidity import TickRange
from seawall.native import encode_call, keccak256
from seawall.primitives.blocks import Block, Read
from seawall.primitives.bounds import UINT256_MAX
from seawall.primitives.errors import ProtocolError
from seawall.primitives.units import BPS, NATIVE, Address, address_text, mul_div_up
from seawall.protocols import erc20, weth
from seawall.protocols import uniswap_v3 as protocol
from seawall.protocols.adapters.actions import Action, AddLiquidity, ClaimRewards, RemoveLiquidity, Swap
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
from seawall.protocols.adapters.pools import NamedPool, call_with, pools_named
from seawall.protocols.adapters.refusals import (
    foreign_token,
    known_amount,
    known_minimum,
    market_refusals,
    refused,
    unread_holder,
    unsupported,
)
from seawall.protocols.adapters.uniswap_v3_positions import V3Position, V3PositionReads
from seawall.protocols.answers import Answers, integer_answers
from seawall.protocols.executor.operations import Amount, Call, Measure, Measured, Operation, SwapV3
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
from seawall.protocols.uniswap_v2 import sorted_tokens

__all__ = ["UniswapV3Adapter", "UniswapV3State", "from_book"]

# The header of an execution has the deadline that counts; the manager's own never ends.
_FOREVER_S: Final = 2**40
_UINT128_MAX: Final = 2**128 - 1
_PIPS: Final = 1_000_000
_PREFIXES: Final = ("uniswap_v3", "sushi_v3")
_MINT: Final = "mint((address,address,uint24,int24,int24,uint256,uint256,uint256,uint256,address,uint256))"
_DECREASE: Final = "decreaseLiquidity((uint256,uint128,uint256,uint256,uint256))"
_COLLECT: Final = "collect((uint256,address,uint128,uint128))"


@dataclass(frozen=True, slots=True)
class UniswapV3State:
    pool: V3Pool | None
    """None until bitmap and ticks around the price were read."""
    sqrt_price_x96: int
    balances: tuple[int, int]
    """Of the pool [token0 units, token1 units]."""
    positions: tuple[V3Position, ...]
    holders: frozenset[Address]


@dataclass(frozen=True, slots=True)
class UniswapV3Adapter:
    chain_id: int
    name: str
    family: str
    factory: Address
    manager: Address
    weth: Address
    market: protocol.V3Market
    within: TickRange
    """Of new positions."""

    @property
    def actions(self) -> frozenset[type[Action]]:
        swaps: frozenset[type[Action]] = frozenset({Swap})
        return swaps | {AddLiquidity, RemoveLiquidity, ClaimRewards} if self._has_weth() else swaps

    def reads(self, holders: tuple[Address, ...] = ()) -> tuple[Read, ...]:
        market = self.market
        return (
            *protocol.reads(market, protocol.NOTHING_READ),
            *(erc20.balance_read(token, market.address) for token in (market.token0, market.token1)),
            *self._position_reads().first(holders),
        )

    def more_reads(self, answers: Answers, holders: tuple[Address, ...] = ()) -> tuple[Read, ...]:
        del holders
        with market_refusals(self.name):
            window = protocol.observe(self.market, self._window(answers), answers).next_window
        wanted = (*protocol.reads(self.market, window), *self._position_reads().more(answers))
        return tuple(read for read in wanted if read.label not in answers)

    def decode(self, answers: Answers, block: Block) -> UniswapV3State:
        del block
        market = self.market
        with market_refusals(self.name):
            pool = protocol.observe(market, self._window(answers), answers).pool
            price, tick = integer_answers(
                answers, protocol.reads(market, protocol.NOTHING_READ)[0].label, ("uint160", "int24")
            )
            reads = self._position_reads()
            held = tuple(reads.positions(answers, tick))
        balances = tuple(
            erc20.balance(token, market.address, answers) for token in (market.token0, market.token1)
        )
        return UniswapV3State(pool, price, (balances[0], balances[1]), held, reads.holders(answers))

    def quote(self, state: UniswapV3State, action: Action, account: Address) -> Quote:
        with market_refusals(self.name):
            match action:
                case Swap():
                    return self._quote_swap(state, action)
                case AddLiquidity() if self._has_weth():
                    return self._quote_add(state, action)
                case RemoveLiquidity() if self._has_weth():
                    return self._quote_remove(state, action, account)
                case ClaimRewards() if self._has_weth():
                    self._require_pool_tokens(action.tokens)
                    held = self._position(state, action.position, account)
                    return Quote(takes=(), gives=self._both(held.fees0, held.fees1))
                case _:
                    raise unsupported(self.name, action)

    def build(self, action: Action, account: Address) -> tuple[Operation, ...]:
        match action:
            case Swap():
                self._require_swap(action)
                return (
                    SwapV3(
                        self.factory,
                        action.token_in,
                        action.token_out,
                        self.market.fee_pips,
                        action.amount_in,
                        action.min_out,
                        measure=action.measure,
                    ),
                )
            case AddLiquidity() if self._has_weth():
                return self._build_add(action, account)
            case RemoveLiquidity() if self._has_weth():
                values = (action.position, action.amount, *self._minimums(action), _FOREVER_S)
                take = call_with(self.manager, _DECREASE, values)
                return (take, self._collect(action.position, account, action.measure))
            case ClaimRewards() if self._has_weth():
                self._require_pool_tokens(action.tokens)
                return (self._collect(action.position, account, action.measure),)
            case _:
                raise unsupported(self.name, action)

    def policy(self, account: Address) -> PolicyPart:
        del account
        market = self.market
        factory = FactoryPolicy(self.factory, FactoryKind.UNISWAP_V3, protocol.INIT_CODE_HASH, reduce=True)
        if not self._has_weth():
            tokens = (TokenPolicy(market.token0), TokenPolicy(market.token1))
            return PolicyPart(tokens=tokens, factories=(factory,))
        mint = (
            equal_to(market.token0),
            equal_to(market.token1),
            equal_to(market.fee_pips),
            equal_to(self.within.lower % (UINT256_MAX + 1)),
            equal_to(self.within.upper % (UINT256_MAX + 1)),
            *(anything() for _ in range(4)),
            ourselves(),
            anything(),
        )
        collect = (anything(), ourselves(), anything(), anything())
        return PolicyPart(
            listings=(
                Listing(self.weth, "withdraw(uint256)", (anything(),), reduce=True),
                Listing(self.weth, "deposit()", reduce=True, max_native_wei=_UINT128_MAX),
                Listing(self.manager, _MINT, mint, max_native_wei=_UINT128_MAX),
                Listing(self.manager, "refundETH()", reduce=True),
                Listing(self.manager, _DECREASE, tuple(anything() for _ in range(5)), reduce=True),
                Listing(self.manager, _COLLECT, collect, reduce=True),
            ),
            tokens=(
                TokenPolicy(self.weth),
                TokenPolicy(self._other(), allowance=True),
                TokenPolicy(self.manager, TokenClass.KEPT),
            ),
            factories=(factory,),
        )

    def positions(self, state: UniswapV3State, holder: Address) -> tuple[Position, ...]:
        """Two a number, one for each token; fees that can be collected are positions of their own."""
        if holder not in state.holders:
            raise unread_holder(self.name, holder)
        found = []
        for held in state.positions:
            if held.holder != holder:
                continue
            amounts = held.within.amounts_down(state.sqrt_price_x96, held.liquidity)
            entries = (
                *((PositionKind.SHARE, entry) for entry in self._both(*amounts)),
                *((PositionKind.REWARD, entry) for entry in self._both(held.fees0, held.fees1)),
            )
            found += [
                Position(holder, kind, entry.token, entry.amount, reference=str(held.token_id))
                for kind, entry in entries
                if entry.amount
            ]
        return tuple(found)

    def liquidity(self, state: UniswapV3State, token: Address) -> int:
        self._require_pool_tokens((token,))
        return state.balances[0] if token == self.market.token0 else state.balances[1]

    def rates(self, state: UniswapV3State, token: Address, change: int = 0) -> Rates:
        del state, token, change
        return Rates(supply_ray=None, borrow_ray=None)

    def dependencies(self) -> tuple[Dependency, ...]:
        return (
            Dependency(DependencyKind.PROTOCOL, self.family),
            *(
                Dependency(DependencyKind.ASSET, address_text(token).lower())
                for token in (self.market.token0, self.market.token1)
            ),
        )

    def _quote_swap(self, state: UniswapV3State, action: Swap) -> Quote:
        self._require_swap(action)
        amount_in = known_amount(action.amount_in, self.name)
        pool = state.pool
        if pool is None:
            raise refused("ticks around the price were not read", self.name, "ask for `more_reads` as well")
        zero_for_one = pool.zero_for_one(action.token_in)
        amount_out = pool.quote_exact_in(zero_for_one, amount_in).amount_out
        known_minimum(action.min_out, amount_out, self.name)
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

    def _quote_add(self, state: UniswapV3State, action: AddLiquidity) -> Quote:
        amounts = [known_amount(amount, self.name) for amount in self._offered(action)]
        liquidity = self.within.liquidity_down(state.sqrt_price_x96, amounts[0], amounts[1])
        if not 0 < liquidity <= self._liquidity_max():
            raise refused(
                f"amounts {amounts} make a liquidity of {liquidity}", self.name, "bring other amounts"
            )
        taken = self.within.amounts_up(state.sqrt_price_x96, liquidity)
        for minimum, amount in zip(self._minimums(action), taken, strict=True):
            known_minimum(minimum, amount, self.name)
        return Quote(takes=self._both(*taken), gives=(Exact(self.manager, 1),))

    def _quote_remove(self, state: UniswapV3State, action: RemoveLiquidity, account: Address) -> Quote:
        minimums = self._minimums(action)
        held = self._position(state, action.position, account)
        liquidity = known_amount(action.amount, self.name)
        if liquidity > held.liquidity:
            raise refused(
                f"position {held.token_id} has a liquidity of {held.liquidity}", self.name, "take less"
            )
        amounts = held.within.amounts_down(state.sqrt_price_x96, liquidity)
        for minimum, amount in zip(minimums, amounts, strict=True):
            known_minimum(minimum, amount, self.name)
        gives = self._both(amounts[0] + held.fees0, amounts[1] + held.fees1)
        return Quote(takes=(), gives=gives, held=self._both(*amounts))

    def _build_add(self, action: AddLiquidity, account: Address) -> tuple[Operation, ...]:
        """Unwrap, mint with the coins sent along, take back what was not used, wrap it again."""
        if action.min_share and not action.minimums:
            raise refused(
                "a minimum of one position holds no price", self.name, "give minimums of the tokens"
            )
        amounts, minimums = self._offered(action), self._minimums(action)
        coins, other = amounts if self.market.token0 == self.weth else amounts[::-1]
        values = (
            self.market.token0,
            self.market.token1,
            self.market.fee_pips,
            self.within.lower,
            self.within.upper,
            *amounts,
            *minimums,
            account,
            _FOREVER_S,
        )
        allowed = (self._other(), other)
        mint = call_with(self.manager, _MINT, values, allowed, action.measure, value_wei=coins)
        # A name of its own for each position that one plan opens.
        left = Measure(f"{self.name}:unused:{keccak256(repr(values).encode())[:8].hex()}", NATIVE)
        return (
            call_with(self.weth, "withdraw(uint256)", (coins,)),
            mint,
            Call(self.manager, encode_call("refundETH()", ()), measure=(left,)),
            Call(self.weth, weth.deposit_call(), Measured(left.name)),
        )

    def _collect(self, position: int, account: Address, measure: tuple[Measure, ...]) -> Operation:
        values = (position, account, _UINT128_MAX, _UINT128_MAX)
        return call_with(self.manager, _COLLECT, values, measure=measure)

    def _position(self, state: UniswapV3State, number: int, holder: Address) -> V3Position:
        if holder not in state.holders:
            raise unread_holder(self.name, holder)
        for held in state.positions:
            if held.token_id == number and held.holder == holder:
                return held
        raise refused(
            f"{address_text(holder)} has no position {number} here",
            self.name,
            "name one of its positions, by number",
        )

    def _offered(self, action: AddLiquidity) -> tuple[Amount, Amount]:
        self._require_share(action.share)
        if action.min_share not in (0, 1):
            raise refused(
                "one position is opened, not several", self.name, "leave min_share and give minimums"
            )
        offered = {entry.token: entry.amount for entry in action.amounts}
        if len(action.amounts) != 2 or set(offered) != {self.market.token0, self.market.token1}:
            raise refused(
                "liquidity is brought in both tokens", self.name, "give one amount of each of the two"
            )
        return offered[self.market.token0], offered[self.market.token1]

    def _minimums(self, action: AddLiquidity | RemoveLiquidity) -> tuple[Amount, Amount]:
        self._require_share(action.share)
        wanted = {entry.token: entry.amount for entry in action.minimums}
        self._require_pool_tokens(tuple(wanted))
        return wanted.get(self.market.token0, 0), wanted.get(self.market.token1, 0)

    def _require_share(self, share: Address) -> None:
        if share != self.manager:
            raise foreign_token(self.name, share)

    def _require_swap(self, action: Swap) -> None:
        self._require_pool_tokens((action.token_in, action.token_out))
        if action.token_in == action.token_out:
            raise refused("a swap of a token for itself", self.name, "name the other token")

    def _require_pool_tokens(self, tokens: tuple[Address, ...]) -> None:
        for token in tokens:
            if token not in (self.market.token0, self.market.token1):
                raise foreign_token(self.name, token)

    def _both(self, amount0: int, amount1: int) -> tuple[Exact, Exact]:
        return Exact(self.market.token0, amount0), Exact(self.market.token1, amount1)

    def _has_weth(self) -> bool:
        return self.weth in (self.market.token0, self.market.token1)

    def _other(self) -> Address:
        return self.market.token1 if self.market.token0 == self.weth else self.market.token0

    def _liquidity_max(self) -> int:
        """What the pool takes at one tick."""
        ticks = 2 * (MAX_TICK // self.market.tick_spacing) + 1
        return _UINT128_MAX // ticks

    def _window(self, answers: Answers) -> protocol.V3Window:
        """What of the pool was read already."""
        prefix = protocol.reads(self.market, protocol.NOTHING_READ)[0].label.removesuffix("slot0")
        found: dict[str, list[int]] = {"word": [], "tick": []}
        for label in answers:
            kind, _, number = label.removeprefix(prefix).partition(":")
            if label.startswith(prefix) and kind in found:
                found[kind].append(int(number))
        return protocol.V3Window(tuple(sorted(found["word"])), tuple(sorted(found["tick"])))

    def _position_reads(self) -> V3PositionReads:
        return V3PositionReads(self.name, self.manager, self.market)


def from_book(book: AddressBook) -> tuple[UniswapV3Adapter, ...]:
    return tuple(
        _adapter(book, prefix, pool)
        for prefix in _PREFIXES
        if all(f"{prefix}_{what}" in book for what in ("factory", "positions")) and "weth" in book
        for pool in pools_named(book, prefix)
    )


def _adapter(book: AddressBook, prefix: str, pool: NamedPool) -> UniswapV3Adapter:
    factory = book.address(f"{prefix}_factory")
    token0, token1 = sorted_tokens(*pool.tokens)
    fee = int(pool.suffix) if pool.suffix.isdecimal() else 0
    spacing = protocol.TICK_SPACINGS.get(fee)
    if spacing is None or protocol.pool_address(factory, token0, token1, fee) != pool.address:
        raise ProtocolError(
            what=f"{address_text(pool.address)} is not the factory's pool of these tokens and this fee",
            where=f"{pool.name}, address book of chain {book.chain_id}",
            fix="name it <protocol>_<token>_<token>_<fee in millionths>, or correct its address",
        )
    end = MAX_TICK // spacing * spacing
    return UniswapV3Adapter(
        book.chain_id,
        f"{prefix}:{pool.pair_name}",
        prefix.replace("_", "-"),
        factory,
        book.address(f"{prefix}_positions"),
        book.address("weth"),
        protocol.V3Market(pool.address, token0, token1, fee, spacing),
        TickRange(-end, end),
    )
