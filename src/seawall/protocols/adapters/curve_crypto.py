"""Curve crypto pools of two coins (first generation): trades, one coin brought, both taken in proportion.

A trade may move the pool's price scale, so a state serves one action: of several coins brought one after the
other only the first could be quoted, and more than one is refused.

Not done here: pools of three coins (`markets.curve_crypto` quotes them), "NG" pools, ramps of A and gamma (a
pool that ramps is refused), withdrawal of one coin, the native coin.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from seawall.chain.addresses import AddressBook
from seawall.markets.curve_crypto import Amplification, CryptoPool
from seawall.native import encode_call
from seawall.primitives.blocks import Block, Read
from seawall.primitives.units import Address
from seawall.protocols.adapters.actions import Action, AddLiquidity, RemoveLiquidity, Swap
from seawall.protocols.adapters.arguments import call_data, word_splices
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
from seawall.protocols.executor.policy import Listing, anything, at_most

__all__ = ["CurveCryptoAdapter", "CurveCryptoState", "from_book"]

_EXCHANGE: Final = "exchange(uint256,uint256,uint256,uint256)"
_ADD: Final = "add_liquidity(uint256[2],uint256)"
_REMOVE: Final = "remove_liquidity(uint256,uint256[2])"
_NUMBERS: Final = ("A", "gamma", "D", "price_scale", "mid_fee", "out_fee", "fee_gamma")
_FLAGS: Final = ("is_killed", "future_A_gamma_time")
_COINS: Final = 2


@dataclass(frozen=True, slots=True)
class CurveCryptoState:
    pool: CryptoPool
    killed: bool
    ramping: bool
    shares: Holdings  # [LP wei]


@dataclass(frozen=True, slots=True)
class CurveCryptoAdapter:
    chain_id: int
    pool: Address
    share: Address
    """The LP token: of younger pools the pool itself."""
    coins: tuple[Address, ...]
    precisions: tuple[int, ...]
    """10^(18 - decimals)"""
    name: str

    @property
    def actions(self) -> frozenset[type[Action]]:
        return frozenset({Swap, AddLiquidity, RemoveLiquidity})

    # ------------------------------------------------------------------ reading

    def reads(self, holders: tuple[Address, ...] = ()) -> tuple[Read, ...]:
        coins = self._coins
        supply = Read(coins.label("supply"), self.share, encode_call("totalSupply()", ()))
        return (*coins.reads((*_NUMBERS, *_FLAGS)), supply, *holding_reads(self.name, self.share, holders))

    def decode(self, answers: Answers, block: Block) -> CurveCryptoState:
        del block
        coins = self._coins
        balances = coins.balances(answers)
        a, gamma, d, scale, mid_fee, out_fee, fee_gamma = (coins.number(answers, x) for x in _NUMBERS)
        killed, ramping = (coins.number(answers, flag) != 0 for flag in _FLAGS)
        with market_refusals(self.name):
            pool = CryptoPool(
                name=self.name,
                amplification=Amplification(a),
                gamma=gamma,
                d=d,
                balances=balances,
                precisions=self.precisions,
                price_scale=(scale,),
                mid_fee=mid_fee,
                out_fee=out_fee,
                fee_gamma=fee_gamma,
                supply=coins.number(answers, "supply"),
            )
        return CurveCryptoState(pool, killed, ramping, holdings(self.name, self.share, answers))

    # ------------------------------------------------------------------ quoting

    def quote(self, state: CurveCryptoState, action: Action, account: Address) -> Quote:
        del account
        if not isinstance(action, RemoveLiquidity):
            if state.killed:
                raise refused("the pool is killed", self.name, "take liquidity out in proportion")
            if state.ramping:
                raise refused("A and gamma are ramping", self.name, "wait for the end of the ramp")
        with market_refusals(self.name):
            match action:
                case Swap():
                    i, j = (self._coins.place(token) for token in (action.token_in, action.token_out))
                    return swap_quote(self.name, action, lambda dx: state.pool.get_dy_down(i, j, dx))
                case AddLiquidity():
                    place, amount = self._one_coin(action)
                    known = known_amount(amount, self.name)
                    minted = state.pool.minted_down([known if k == place else 0 for k in range(_COINS)])
                    known_minimum(action.min_share, minted, self.name)
                    return Quote((Exact(self.coins[place], known),), (Exact(self.share, minted),))
                case RemoveLiquidity():
                    return self._coins.quote_removed(action, state.pool.withdrawn_down)
                case _:
                    raise unsupported(self.name, action)

    # ------------------------------------------------------------------ doing

    def build(self, action: Action, account: Address) -> tuple[Operation, ...]:
        del account
        match action:
            case Swap():
                places = (self._coins.place(token) for token in (action.token_in, action.token_out))
                data, splices = call_data(_EXCHANGE, (*places, action.amount_in, action.min_out))
                token, amount = action.token_in, action.amount_in
            case AddLiquidity():
                place, amount = self._one_coin(action)
                token = self.coins[place]
                amounts = tuple(known_or_zero(amount) if k == place else 0 for k in range(_COINS))
                data = encode_call(_ADD, (amounts, known_or_zero(action.min_share)))
                splices = word_splices({place: amount, _COINS: action.min_share})
            case RemoveLiquidity():
                self._coins.require_share(action.share)
                minimums = self._coins.amounts_of(action.minimums)
                known = tuple(known_or_zero(least) for least in minimums)
                data = encode_call(_REMOVE, (known_or_zero(action.amount), known))
                splices = word_splices(dict(enumerate((action.amount, *minimums))))
                return (Call(self.pool, data, splices=splices, measure=action.measure),)
            case _:
                raise unsupported(self.name, action)
        return (CallWithAllowance(self.pool, data, token, amount, splices=splices, measure=action.measure),)

    def policy(self, account: Address) -> PolicyPart:
        del account
        place, amount = at_most(_COINS - 1), anything()
        return PolicyPart(
            listings=(
                Listing(self.pool, _EXCHANGE, (place, place, amount, amount), reduce=True),
                Listing(self.pool, _ADD, (amount, amount, amount)),
                Listing(self.pool, _REMOVE, (amount, amount, amount), reduce=True),
            ),
            tokens=self._coins.token_policies(),
        )

    # ------------------------------------------------------------------ having

    def positions(self, state: CurveCryptoState, holder: Address) -> tuple[Position, ...]:
        return self._coins.positions(state.shares, holder, state.pool.withdrawn_down)

    def liquidity(self, state: CurveCryptoState, token: Address) -> int:
        return state.pool.balances[self._coins.place(token)]

    def rates(self, state: CurveCryptoState, token: Address, change: int = 0) -> Rates:
        """None: what trading fees earn is not in the state of one block."""
        del state, token, change
        return Rates(supply_ray=None, borrow_ray=None)

    def dependencies(self) -> tuple[Dependency, ...]:
        return self._coins.dependencies()

    # ------------------------------------------------------------------ details

    def _one_coin(self, action: AddLiquidity) -> tuple[int, Amount]:
        several = self._coins.brought(action)
        if len(several) > 1:
            raise refused("only one coin can be brought by one action", self.name, "use two actions")
        return several[0]

    @property
    def _coins(self) -> CurveCoins:
        return CurveCoins(self.name, self.pool, self.share, self.coins)


def from_book(book: AddressBook) -> tuple[CurveCryptoAdapter, ...]:
    """One adapter for every pool named `curve_crypto_TOKEN_TOKEN`, coins in the pool's order; its LP token is
    what `..._lp` of the same name says, or the pool itself."""
    found = []
    for pool in pools_named(book, "curve_crypto"):
        if len(pool.tokens) != _COINS or pool.suffix:
            continue
        lp_name = f"{pool.name}_lp"
        share = book.address(lp_name) if lp_name in book else pool.address
        precisions = tuple(10**18 // pool.unit(book, coin) for coin in pool.tokens)
        name = f"curve_crypto:{pool.pair_name}"
        found.append(CurveCryptoAdapter(book.chain_id, pool.address, share, pool.tokens, precisions, name))
    return tuple(found)
