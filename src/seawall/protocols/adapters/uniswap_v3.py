"""Uniswap V3 and forks of the same pool (Sushi V3): one adapter a pool, and a range for bringing liquidity.

Swaps are `v3_swaps`. Positions are the NonfungiblePositionManager's, and `share` is the manager itself, of
whose numbered positions a holder has so many; the number is known once the plan has landed. They are opened
and added to through SwapRouter02: the manager takes both tokens by allowance, and a call of ours allows one.
So both are paid to the router, which lets the manager take them, has it open the position for us, and gives
back what was not used; all in one plan, so that nothing is ever left there. Taking back and collecting need
the manager alone. New positions have the adapter's range, by default every price: use `dataclasses.replace`
for another. `AddLiquidity.position` adds to one that is there, in its own range.

A book names pools `uniswap_v3_<token>_<token>_<fee>`, beside `uniswap_v3_factory`, `uniswap_v3_positions` and
`uniswap_v3_router`; without the router positions are not opened.

Not done: positions are not moved or burned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from seawall.chain.addresses import AddressBook
from seawall.markets.selling import Selling
from seawall.markets.tick_math import MAX_TICK
from seawall.markets.v3_liquidity import TickRange
from seawall.primitives.blocks import Block, Read
from seawall.primitives.bounds import UINT256_MAX
from seawall.primitives.errors import ProtocolError
from seawall.primitives.units import Address, address_text
from seawall.protocols import uniswap_v3 as protocol
from seawall.protocols.adapters.actions import Action, AddLiquidity, ClaimRewards, RemoveLiquidity, Swap
from seawall.protocols.adapters.base import (
    Dependency,
    Exact,
    PolicyPart,
    Position,
    PositionKind,
    Quote,
    Rates,
)
from seawall.protocols.adapters.pools import NamedPool, call_with, pools_named, token_set
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
from seawall.protocols.adapters.v3_swaps import V3Deployment, V3State
from seawall.protocols.answers import Answers
from seawall.protocols.executor.operations import Amount, Measure, Operation
from seawall.protocols.executor.policy import (
    Listing,
    TokenClass,
    TokenPolicy,
    anything,
    equal_to,
    in_set,
    ourselves,
)
from seawall.protocols.uniswap_v2 import sorted_tokens

__all__ = ["UniswapV3Adapter", "UniswapV3State", "from_book"]

# The header of an execution has the deadline that counts; the manager's own never ends.
_FOREVER_S: Final = 2**40
_UINT128_MAX: Final = 2**128 - 1
_PREFIXES: Final = ("uniswap_v3", "sushi_v3")
_PAY: Final = "transfer(address,uint256)"
# Of the router. Zero first: some tokens refuse to change an allowance that is not zero.
_ALLOW: Final = "approveZeroThenMax(address)"
_MINT: Final = "mint((address,address,uint24,int24,int24,uint256,uint256,address))"
_INCREASE: Final = "increaseLiquidity((address,address,uint256,uint256,uint256))"
_SWEEP: Final = "sweepToken(address,uint256,address)"
# Of the manager.
_DECREASE: Final = "decreaseLiquidity((uint256,uint128,uint256,uint256,uint256))"
_COLLECT: Final = "collect((uint256,address,uint128,uint128))"


@dataclass(frozen=True, slots=True)
class UniswapV3State:
    swaps: V3State
    positions: tuple[V3Position, ...]
    holders: frozenset[Address]


@dataclass(frozen=True, slots=True)
class UniswapV3Adapter:
    chain_id: int
    deployment: V3Deployment
    manager: Address
    router: Address | None
    within: TickRange
    """Of new positions."""

    @property
    def name(self) -> str:
        return self.deployment.name

    @property
    def market(self) -> protocol.V3Market:
        return self.deployment.market

    @property
    def actions(self) -> frozenset[type[Action]]:
        known: frozenset[type[Action]] = frozenset({Swap, RemoveLiquidity, ClaimRewards})
        return known if self.router is None else known | {AddLiquidity}

    # ------------------------------------------------------------------ reading

    def reads(self, holders: tuple[Address, ...] = ()) -> tuple[Read, ...]:
        return (*self.deployment.reads(), *self._position_reads().first(holders))

    def more_reads(self, answers: Answers, holders: tuple[Address, ...] = ()) -> tuple[Read, ...]:
        del holders
        with market_refusals(self.name):
            wanted = (*self.deployment.more_reads(answers), *self._position_reads().more(answers))
        return tuple(read for read in wanted if read.label not in answers)

    def decode(self, answers: Answers, block: Block) -> UniswapV3State:
        del block
        reads = self._position_reads()
        with market_refusals(self.name):
            swaps = self.deployment.decode(answers)
            held = reads.positions(answers, swaps.tick)
        return UniswapV3State(swaps, held, reads.holders(answers))

    # ------------------------------------------------------------------ quoting

    def quote(self, state: UniswapV3State, action: Action, account: Address) -> Quote:
        with market_refusals(self.name):
            match action:
                case Swap():
                    return self.deployment.quote(state.swaps, action)
                case AddLiquidity() if self.router is not None:
                    return self._quote_add(state, action, account)
                case RemoveLiquidity():
                    return self._quote_remove(state, action, account)
                case ClaimRewards():
                    self.deployment.require_tokens(action.tokens)
                    held = self._position(state, action.position, account)
                    return Quote(takes=(), gives=self._both(held.fees0, held.fees1))
                case _:
                    raise unsupported(self.name, action)

    def _quote_add(self, state: UniswapV3State, action: AddLiquidity, account: Address) -> Quote:
        amounts = [known_amount(amount, self.name) for amount in self._offered(action)]
        within = self.within
        if action.position:
            within = self._position(state, action.position, account).within
        price = state.swaps.sqrt_price_x96
        liquidity = within.liquidity_down(price, amounts[0], amounts[1])
        if not 0 < liquidity <= self._liquidity_max():
            raise refused(
                f"amounts {amounts} make a liquidity of {liquidity}", self.name, "bring other amounts"
            )
        taken = within.amounts_up(price, liquidity)
        for minimum, amount in zip(self._minimums(action), taken, strict=True):
            known_minimum(minimum, amount, self.name)
        opened = () if action.position else (Exact(self.manager, 1),)
        return Quote(takes=self._both(*taken), gives=opened)

    def _quote_remove(self, state: UniswapV3State, action: RemoveLiquidity, account: Address) -> Quote:
        minimums = self._minimums(action)
        held = self._position(state, action.position, account)
        liquidity = known_amount(action.amount, self.name)
        if liquidity > held.liquidity:
            raise refused(
                f"position {held.token_id} has a liquidity of {held.liquidity}", self.name, "take less"
            )
        amounts = held.within.amounts_down(state.swaps.sqrt_price_x96, liquidity)
        for minimum, amount in zip(minimums, amounts, strict=True):
            known_minimum(minimum, amount, self.name)
        gives = self._both(amounts[0] + held.fees0, amounts[1] + held.fees1)
        return Quote(takes=(), gives=gives, held=self._both(*amounts))

    def selling(self, state: UniswapV3State, token_in: Address, token_out: Address) -> Selling:
        return self.deployment.selling(state.swaps, token_in, token_out)

    # ------------------------------------------------------------------ doing

    def build(self, action: Action, account: Address) -> tuple[Operation, ...]:
        match action:
            case Swap():
                return (self.deployment.build(action),)
            case AddLiquidity() if self.router is not None:
                return self._build_add(action, account, self.router)
            case RemoveLiquidity():
                values = (action.position, action.amount, *self._minimums(action), _FOREVER_S)
                take = call_with(self.manager, _DECREASE, values)
                return (take, self._collect(action.position, account, action.measure))
            case ClaimRewards():
                self.deployment.require_tokens(action.tokens)
                return (self._collect(action.position, account, action.measure),)
            case _:
                raise unsupported(self.name, action)

    def _build_add(self, action: AddLiquidity, account: Address, router: Address) -> tuple[Operation, ...]:
        """Pay the router both tokens, have it bring them, and take back what was not used."""
        if action.min_share and not action.minimums:
            raise refused(
                "a minimum of one position holds no price", self.name, "give minimums of the tokens"
            )
        market, tokens = self.market, self.deployment.tokens
        offered = zip(tokens, self._offered(action), strict=True)
        minimums = self._minimums(action)
        if action.position:
            bring = call_with(
                router, _INCREASE, (*tokens, action.position, *minimums), measure=action.measure
            )
        else:
            ends = (self.within.lower, self.within.upper)
            values = (*tokens, market.fee_pips, *ends, *minimums, account)
            bring = call_with(router, _MINT, values, measure=action.measure)
        return (
            *(call_with(token, _PAY, (router, amount)) for token, amount in offered),
            *(call_with(router, _ALLOW, (token,)) for token in tokens),
            bring,
            *(call_with(router, _SWEEP, (token, 0, account)) for token in tokens),
        )

    def _collect(self, position: int, account: Address, measure: tuple[Measure, ...]) -> Operation:
        values = (position, account, _UINT128_MAX, _UINT128_MAX)
        return call_with(self.manager, _COLLECT, values, measure=measure)

    def policy(self, account: Address) -> PolicyPart:
        del account
        pair = token_set(*self.deployment.tokens)
        collect = (anything(), ourselves(), anything(), anything())
        listings = (
            Listing(self.manager, _DECREASE, tuple(anything() for _ in range(5)), reduce=True),
            Listing(self.manager, _COLLECT, collect, reduce=True),
        )
        return PolicyPart(
            listings=listings if self.router is None else (*listings, *self._bringing(self.router)),
            tokens=(
                *(TokenPolicy(token) for token in self.deployment.tokens),
                TokenPolicy(self.manager, TokenClass.KEPT),
            ),
            factories=(self.deployment.factory_policy(),),
            sets=() if self.router is None else (pair,),
        )

    def _bringing(self, router: Address) -> tuple[Listing, ...]:
        """Paying this router alone, new positions of this pool and range for ourselves alone."""
        tokens = self.deployment.tokens
        one_of = in_set(token_set(*tokens).set_id)
        which = tuple(equal_to(token) for token in tokens)
        ends = (equal_to(end % (UINT256_MAX + 1)) for end in (self.within.lower, self.within.upper))
        mint = (*which, equal_to(self.market.fee_pips), *ends, anything(), anything(), ourselves())
        return (
            *(Listing(token, _PAY, (equal_to(router), anything())) for token in tokens),
            Listing(router, _ALLOW, (one_of,)),
            Listing(router, _MINT, mint),
            Listing(router, _INCREASE, (*which, anything(), anything(), anything())),
            Listing(router, _SWEEP, (one_of, anything(), ourselves()), reduce=True),
        )

    # ------------------------------------------------------------------ having

    def positions(self, state: UniswapV3State, holder: Address) -> tuple[Position, ...]:
        """Two a number, one for each token; fees that can be collected are positions of their own."""
        if holder not in state.holders:
            raise unread_holder(self.name, holder)
        found = []
        for held in state.positions:
            if held.holder != holder:
                continue
            amounts = held.within.amounts_down(state.swaps.sqrt_price_x96, held.liquidity)
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
        return self.deployment.liquidity(state.swaps, token)

    def rates(self, state: UniswapV3State, token: Address, change: int = 0) -> Rates:
        del state, token, change
        return Rates(supply_ray=None, borrow_ray=None)

    def dependencies(self) -> tuple[Dependency, ...]:
        return self.deployment.dependencies()

    # ------------------------------------------------------------------ details

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
        if action.min_share not in (0, 0 if action.position else 1):
            raise refused(
                "one position is opened or added to, not several",
                self.name,
                "leave min_share and give minimums",
            )
        token0, token1 = self.deployment.tokens
        offered = {entry.token: entry.amount for entry in action.amounts}
        if len(action.amounts) != 2 or set(offered) != {token0, token1}:
            raise refused(
                "liquidity is brought in both tokens", self.name, "give one amount of each of the two"
            )
        return offered[token0], offered[token1]

    def _minimums(self, action: AddLiquidity | RemoveLiquidity) -> tuple[Amount, Amount]:
        self._require_share(action.share)
        wanted = {entry.token: entry.amount for entry in action.minimums}
        self.deployment.require_tokens(wanted)
        return wanted.get(self.market.token0, 0), wanted.get(self.market.token1, 0)

    def _require_share(self, share: Address) -> None:
        if share != self.manager:
            raise foreign_token(self.name, share)

    def _both(self, amount0: int, amount1: int) -> tuple[Exact, Exact]:
        return Exact(self.market.token0, amount0), Exact(self.market.token1, amount1)

    def _liquidity_max(self) -> int:
        """What the pool takes at one tick."""
        ticks = 2 * (MAX_TICK // self.market.tick_spacing) + 1
        return _UINT128_MAX // ticks

    def _position_reads(self) -> V3PositionReads:
        return V3PositionReads(self.name, self.manager, self.market)


def from_book(book: AddressBook) -> tuple[UniswapV3Adapter, ...]:
    return tuple(
        _adapter(book, prefix, pool)
        for prefix in _PREFIXES
        if all(f"{prefix}_{what}" in book for what in ("factory", "positions"))
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
    router = f"{prefix}_router"
    return UniswapV3Adapter(
        book.chain_id,
        V3Deployment(
            f"{prefix}:{pool.pair_name}",
            prefix.replace("_", "-"),
            factory,
            protocol.INIT_CODE_HASH,
            protocol.V3Market(pool.address, token0, token1, fee, spacing),
            fee,
        ),
        book.address(f"{prefix}_positions"),
        book.address(router) if router in book else None,
        TickRange(-end, end),
    )
