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
from seawall.primitives.plans import TokenBound
from seawall.primitives.units import Address
from seawall.protocols.adapters.actions import (
    Action,
    AddLiquidity,
    Redeem,
    RemoveLiquidity,
    Swap,
)
from seawall.protocols.adapters.answer_lists import integer_list
from seawall.protocols.adapters.arguments import call_data, inflow_bounds, word_splices
from seawall.protocols.adapters.base import (
    Dependency,
    Exact,
    PolicyPart,
    Position,
    Quote,
    Rates,
)
from seawall.protocols.adapters.curve_coins import CurveCoins, known_or_zero
from seawall.protocols.adapters.holdings import Holdings, holding_reads, holdings
from seawall.protocols.adapters.pools import pools_named, swap_quote
from seawall.protocols.adapters.refusals import (
    known_amount,
    known_minimum,
    market_refusals,
    refused,
    unsupported,
)
from seawall.protocols.answers import Answers
from seawall.protocols.executor.operations import Amount, Call, CallWithAllowance, Operation
from seawall.protocols.executor.policy import Listing, anything, at_most, up_to

__all__ = ["CurveStableAdapter", "CurveState", "from_book"]

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
        reads = self._coins.reads((*_NUMBERS, "stored_rates"))
        return (*reads, *holding_reads(self.name, self.pool, holders))

    def decode(self, answers: Answers, block: Block) -> CurveState:
        del block
        coins = self._coins
        balances = coins.balances(answers)
        a, fee, offpeg, admin_fee, supply = (coins.number(answers, view) for view in _NUMBERS)
        rates = integer_list(answers, coins.label("stored_rates"))
        with market_refusals(self.name):
            pool = StablePool(self.name, StableKind.NG, a, balances, rates, supply, fee, offpeg, admin_fee)
        return CurveState(pool, holdings(self.name, self.pool, answers))

    # ------------------------------------------------------------------ quoting

    def quote(self, state: CurveState, action: Action, account: Address) -> Quote:
        del account
        coins = self._coins
        with market_refusals(self.name):
            match action:
                case Swap():
                    i, j = coins.place(action.token_in), coins.place(action.token_out)
                    return swap_quote(self.name, action, lambda dx: state.pool.exchanged_down(i, j, dx))
                case AddLiquidity():
                    return self._quote_added(state, action)
                case RemoveLiquidity():
                    return coins.quote_removed(action, state.pool.withdrawn_down)
                case Redeem():
                    coins.require_share(action.share)
                    place = coins.place(action.token_out)
                    burnt = known_amount(action.amount_in, self.name)
                    one = state.pool.withdrawn_one_down(burnt, place)
                    known_minimum(action.min_out, one, self.name)
                    return Quote(takes=(Exact(self.pool, burnt),), gives=(Exact(action.token_out, one),))
                case _:
                    raise unsupported(self.name, action)

    def _quote_added(self, state: CurveState, action: AddLiquidity) -> Quote:
        pool, minted, coins = state.pool, 0, self._coins
        takes = []
        for place, amount in coins.brought(action):
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
        coins = self._coins
        match action:
            case Swap():
                places = (coins.place(action.token_in), coins.place(action.token_out))
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
                coins.require_share(action.share)
                minimums = coins.amounts_of(action.minimums)
                known = tuple(known_or_zero(least) for least in minimums)
                data = encode_call(_REMOVE, (known_or_zero(action.amount), known))
                words: dict[int, Amount] = {0: action.amount}
                words |= {_ADDED_FIRST_WORD + place: least for place, least in enumerate(minimums)}
                splices = word_splices(dict(words))
            case Redeem():
                coins.require_share(action.share)
                place = coins.place(action.token_out)
                data, splices = call_data(_REMOVE_ONE, (action.amount_in, place, action.min_out))
            case _:
                raise unsupported(self.name, action)
        return (Call(self.pool, data, splices=splices, measure=action.measure),)

    def _build_added(self, action: AddLiquidity) -> tuple[Operation, ...]:
        several = self._coins.brought(action)
        if len(several) > 1 and action.measure:
            raise refused(
                "several coins are several calls: no measurement spans them",
                self.name,
                "bring one coin, or leave the measurement out",
            )
        operations = []
        for place, amount in several:
            least = action.min_share if len(several) == 1 else 0
            amounts = tuple(known_or_zero(amount) if k == place else 0 for k in range(len(self.coins)))
            data = encode_call(_ADD, (amounts, known_or_zero(least)))
            splices = word_splices({1: least, _ADDED_FIRST_WORD + place: amount})
            operations.append(
                CallWithAllowance(
                    self.pool, data, self.coins[place], amount, splices=splices, measure=action.measure
                )
            )
        return tuple(operations)

    def bounds(self, action: Action, account: Address) -> tuple[TokenBound, ...]:
        del account
        if isinstance(action, AddLiquidity) and len(self._coins.brought(action)) > 1:
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
            tokens=self._coins.token_policies(),
        )

    # ------------------------------------------------------------------ having

    def positions(self, state: CurveState, holder: Address) -> tuple[Position, ...]:
        return self._coins.positions(state.shares, holder, state.pool.withdrawn_down)

    def liquidity(self, state: CurveState, token: Address) -> int:
        return state.pool.balances[self._coins.place(token)]

    def rates(self, state: CurveState, token: Address, change: int = 0) -> Rates:
        """None: what trading fees earn is not in the state of one block."""
        del state, token, change
        return Rates(supply_ray=None, borrow_ray=None)

    def dependencies(self) -> tuple[Dependency, ...]:
        return self._coins.dependencies()

    @property
    def _coins(self) -> CurveCoins:
        return CurveCoins(self.name, self.pool, self.pool, self.coins)


def from_book(book: AddressBook) -> tuple[CurveStableAdapter, ...]:
    """One adapter for every pool named `curve_stable_TOKEN_TOKEN...`, coins in the pool's order."""
    return tuple(
        CurveStableAdapter(book.chain_id, pool.address, pool.tokens, f"curve_stable:{pool.pair_name}")
        for pool in pools_named(book, "curve_stable")
    )
