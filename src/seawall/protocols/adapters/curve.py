"""Curve stableswap pools of the "NG" kind: trades, deposits, withdrawals of all coins or of one.

`Swap` trades two coins, `AddLiquidity` brings some of them, `RemoveLiquidity` takes all in proportion, and
`Redeem` takes one coin out. The pool is its own LP token.

The pool pulls coins by allowances, and an operation allows one token: several coins are brought one after the
other, each by its own call, and quoted as such; that costs a little more fee than bringing them at once.

Not done here: pools of the older kinds (`markets.curve_stable` quotes them), metapools, ramps of A within a
block, gauges (see `convex`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from seawall.chain.addresses import AddressBook
from seawall.markets.curve_stable import StableKind, StablePool
from seawall.native import encode_call
from seawall.primitives.blocks import Block, Read
from seawall.primitives.errors import ProtocolError
from seawall.primitives.plans import TokenBound
from seawall.primitives.units import Address, address_text
from seawall.protocols.adapters.actions import (
    Action,
    AddLiquidity,
    Redeem,
    RemoveLiquidity,
    Swap,
    TokenAmount,
)
from seawall.protocols.adapters.answer_lists import integer_list
from seawall.protocols.adapters.arguments import call_data, inflow_bounds, word_splices
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
from seawall.protocols.adapters.pools import pools_named, swap_quote
from seawall.protocols.adapters.refusals import (
    foreign_token,
    known_amount,
    known_minimum,
    market_refusals,
    refused,
    unsupported,
)
from seawall.protocols.answers import Answers, address_answer, integer_answer
from seawall.protocols.executor.operations import Amount, Call, CallWithAllowance, Measured, Operation
from seawall.protocols.executor.policy import Listing, TokenClass, TokenPolicy, anything, at_most, up_to

__all__ = ["CurveStableAdapter", "CurveState", "brought", "from_book", "wanted_of_each"]

_EXCHANGE: Final = "exchange(int128,int128,uint256,uint256)"
_ADD: Final = "add_liquidity(uint256[],uint256)"
_REMOVE: Final = "remove_liquidity(uint256,uint256[])"
_REMOVE_ONE: Final = "remove_liquidity_one_coin(uint256,int128,uint256)"
_ADDED_FIRST_WORD: Final = 3  # offset, minimum, length, then the amounts
_NUMBERS: Final = ("A_precise", "fee", "offpeg_fee_multiplier", "admin_fee", "totalSupply")


@dataclass(frozen=True, slots=True)
class CurveState:
    pool: StablePool
    shares: Holdings  # [LP wei]


@dataclass(frozen=True, slots=True)
class CurveStableAdapter:
    chain_id: int
    pool: Address
    coins: tuple[Address, ...]
    name: str

    @property
    def actions(self) -> frozenset[type[Action]]:
        return frozenset({Swap, AddLiquidity, RemoveLiquidity, Redeem})

    # ------------------------------------------------------------------ reading

    def reads(self, holders: tuple[Address, ...] = ()) -> tuple[Read, ...]:
        views = [(view, encode_call(f"{view}()", ())) for view in (*_NUMBERS, "stored_rates")]
        for place in range(len(self.coins)):
            views.append((f"coin:{place}", encode_call("coins(uint256)", (place,))))
            views.append((f"balance:{place}", encode_call("balances(uint256)", (place,))))
        reads = (Read(self._label(view), self.pool, calldata) for view, calldata in views)
        return (*reads, *holding_reads(self.name, self.pool, holders))

    def decode(self, answers: Answers, block: Block) -> CurveState:
        del block
        for place, coin in enumerate(self.coins):
            found = address_answer(answers, self._label(f"coin:{place}"))
            if found != coin:
                raise ProtocolError(
                    f"coin {place} is {address_text(found)}, not {address_text(coin)}",
                    self.name,
                    "name the pool's coins in their order in the address book",
                )
        a, fee, offpeg, admin_fee, supply = (self._number(answers, view) for view in _NUMBERS)
        rates = integer_list(answers, self._label("stored_rates"))
        balances = tuple(self._number(answers, f"balance:{place}") for place in range(len(self.coins)))
        with market_refusals(self.name):
            pool = StablePool(self.name, StableKind.NG, a, balances, rates, supply, fee, offpeg, admin_fee)
        return CurveState(pool, holdings(self.name, self.pool, answers))

    # ------------------------------------------------------------------ quoting

    def quote(self, state: CurveState, action: Action, account: Address) -> Quote:
        del account
        with market_refusals(self.name):
            match action:
                case Swap():
                    i, j = self._place(action.token_in), self._place(action.token_out)
                    return swap_quote(self.name, action, lambda dx: state.pool.exchanged_down(i, j, dx))
                case AddLiquidity():
                    return self._quote_added(state, action)
                case RemoveLiquidity():
                    self._require_share(action.share)
                    burnt = known_amount(action.amount, self.name)
                    paid = state.pool.withdrawn_down(burnt)
                    for least, amount in zip(
                        wanted_of_each(action.minimums, self.coins, self.name), paid, strict=True
                    ):
                        known_minimum(least, amount, self.name)
                    gives = tuple(Exact(coin, amount) for coin, amount in zip(self.coins, paid, strict=True))
                    return Quote(takes=(Exact(self.pool, burnt),), gives=gives)
                case Redeem():
                    self._require_share(action.share)
                    place = self._place(action.token_out)
                    burnt = known_amount(action.amount_in, self.name)
                    one = state.pool.withdrawn_one_down(burnt, place)
                    known_minimum(action.min_out, one, self.name)
                    return Quote(takes=(Exact(self.pool, burnt),), gives=(Exact(action.token_out, one),))
                case _:
                    raise unsupported(self.name, action)

    def _quote_added(self, state: CurveState, action: AddLiquidity) -> Quote:
        pool, minted = state.pool, 0
        takes = []
        for place, amount in self._brought(action):
            known = known_amount(amount, self.name)
            amounts = [known if k == place else 0 for k in range(len(self.coins))]
            minted += pool.minted_down(amounts)
            pool = pool.after_minting(amounts)
            takes.append(Exact(self.coins[place], known))
        known_minimum(action.min_share, minted, self.name)
        return Quote(takes=tuple(takes), gives=(Exact(self.pool, minted),))

    # ------------------------------------------------------------------ doing

    def build(self, action: Action, account: Address) -> tuple[Operation, ...]:
        del account
        match action:
            case Swap():
                places = (self._place(action.token_in), self._place(action.token_out))
                data, splices = call_data(_EXCHANGE, (*places, action.amount_in, action.min_out))
                traded = CallWithAllowance(
                    self.pool,
                    data,
                    action.token_in,
                    action.amount_in,
                    splices=splices,
                    measure=action.measure,
                )
                return (traded,)
            case AddLiquidity():
                return self._build_added(action)
            case RemoveLiquidity():
                self._require_share(action.share)
                minimums = wanted_of_each(action.minimums, self.coins, self.name)
                known = tuple(0 if isinstance(least, Measured) else least for least in minimums)
                burnt = 0 if isinstance(action.amount, Measured) else action.amount
                data = encode_call(_REMOVE, (burnt, known))
                words: dict[int, Amount] = {0: action.amount}
                words |= {_ADDED_FIRST_WORD + place: least for place, least in enumerate(minimums)}
                splices = word_splices(dict(words))
            case Redeem():
                self._require_share(action.share)
                place = self._place(action.token_out)
                data, splices = call_data(_REMOVE_ONE, (action.amount_in, place, action.min_out))
            case _:
                raise unsupported(self.name, action)
        return (Call(self.pool, data, splices=splices, measure=action.measure),)

    def _build_added(self, action: AddLiquidity) -> tuple[Operation, ...]:
        several = self._brought(action)
        if len(several) > 1 and action.measure:
            raise refused(
                "several coins are several calls: no measurement spans them",
                self.name,
                "bring one coin, or leave the measurement out",
            )
        operations = []
        for place, amount in several:
            least = action.min_share if len(several) == 1 else 0
            amounts = tuple(
                amount if k == place and isinstance(amount, int) else 0 for k in range(len(self.coins))
            )
            data = encode_call(_ADD, (amounts, 0 if isinstance(least, Measured) else least))
            splices = word_splices({1: least, _ADDED_FIRST_WORD + place: amount})
            operations.append(
                CallWithAllowance(
                    self.pool, data, self.coins[place], amount, splices=splices, measure=action.measure
                )
            )
        return tuple(operations)

    def bounds(self, action: Action, account: Address) -> tuple[TokenBound, ...]:
        del account
        if isinstance(action, AddLiquidity) and len(self._brought(action)) > 1:
            return inflow_bounds(self.pool, action.min_share, self.name)
        return ()

    def policy(self, account: Address) -> PolicyPart:
        del account
        count = len(self.coins)
        place, amounts = at_most(count - 1), (up_to(count), anything())
        return PolicyPart(
            listings=(
                Listing(self.pool, _EXCHANGE, (place, place, anything(), anything()), reduce=True),
                Listing(self.pool, _ADD, (*amounts, anything())),
                Listing(self.pool, _REMOVE, (anything(), *amounts), reduce=True),
                Listing(self.pool, _REMOVE_ONE, (anything(), place, anything()), reduce=True),
            ),
            tokens=(
                *(TokenPolicy(coin, allowance=True) for coin in self.coins),
                TokenPolicy(self.pool, TokenClass.KEPT),
            ),
        )

    # ------------------------------------------------------------------ having

    def positions(self, state: CurveState, holder: Address) -> tuple[Position, ...]:
        """One position a coin: what burning the share in proportion pays."""
        held = holding_of(holder, state.shares, self.name)
        if held == 0:
            return ()
        with market_refusals(self.name):
            paid = state.pool.withdrawn_down(held)
        return tuple(
            Position(holder, PositionKind.SHARE, coin, amount, self.pool, held)
            for coin, amount in zip(self.coins, paid, strict=True)
        )

    def liquidity(self, state: CurveState, token: Address) -> int:
        return state.pool.balances[self._place(token)]

    def rates(self, state: CurveState, token: Address, change: int = 0) -> Rates:
        """None: what trading fees earn is not in the state of one block."""
        del state, token, change
        return Rates(supply_ray=None, borrow_ray=None)

    def dependencies(self) -> tuple[Dependency, ...]:
        return (
            Dependency(DependencyKind.PROTOCOL, "curve"),
            *(Dependency(DependencyKind.ASSET, address_text(coin).lower()) for coin in self.coins),
        )

    # ------------------------------------------------------------------ details

    def _brought(self, action: AddLiquidity) -> tuple[tuple[int, Amount], ...]:
        self._require_share(action.share)
        return brought(action, self.coins, self.name)

    def _place(self, coin: Address) -> int:
        if coin not in self.coins:
            raise foreign_token(self.name, coin)
        return self.coins.index(coin)

    def _require_share(self, share: Address) -> None:
        if share != self.pool:
            raise foreign_token(self.name, share)

    def _number(self, answers: Answers, view: str) -> int:
        return integer_answer(answers, self._label(view), "uint256")

    def _label(self, what: str) -> str:
        return f"{self.name}:{self.pool.hex()}:{what}"


def brought(action: AddLiquidity, coins: tuple[Address, ...], where: str) -> tuple[tuple[int, Amount], ...]:
    """Place and amount of each coin that is brought, in the pool's order; zero amounts bring nothing."""
    if action.min_share == 0 and any(entry.amount != 0 for entry in action.minimums):
        raise refused("a minimum of what is brought holds no price", where, "give a minimum of the share")
    amounts = wanted_of_each(action.amounts, coins, where)
    some = tuple((place, amount) for place, amount in enumerate(amounts) if amount != 0)
    if not some:
        raise refused("nothing is brought", where, "give an amount above zero")
    return some


def wanted_of_each(
    wanted: tuple[TokenAmount, ...], coins: tuple[Address, ...], where: str
) -> tuple[Amount, ...]:
    """Amounts in the pool's order of coins, 0 for those that are not named."""
    by_coin: dict[Address, Amount] = {}
    for entry in wanted:
        if entry.token not in coins:
            raise foreign_token(where, entry.token)
        if entry.token in by_coin:
            raise refused(f"{address_text(entry.token)} is named twice", where, "name each token once")
        by_coin[entry.token] = entry.amount
    return tuple(by_coin.get(coin, 0) for coin in coins)


def from_book(book: AddressBook) -> tuple[CurveStableAdapter, ...]:
    """One adapter for every pool named `curve_stable_TOKEN_TOKEN...`, coins in the pool's order."""
    return tuple(
        CurveStableAdapter(book.chain_id, pool.address, pool.tokens, f"curve_stable:{pool.pair_name}")
        for pool in pools_named(book, "curve_stable")
    )
