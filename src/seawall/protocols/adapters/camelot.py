"""Camelot V2: pairs with a fee for each direction, volatile or stable; one adapter a pair.

Whether a pair is stable, and its fees, are settings of the pair that may change: they are part of the state.
Swaps go through the router's `...SupportingFeeOnTransferTokens`, the only kind that it has, over one pair.
Shares are brought and taken back as `pair_shares` says.

A book names pairs `camelot_<token>_<token>`, beside `camelot_factory` and `camelot_router`, and gives the
decimals of both tokens.

Not done: routes over several pairs (chain actions instead), Camelot V3, its nitro pools.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from seawall.chain.addresses import AddressBook
from seawall.markets.solidly import SolidlyPool
from seawall.markets.uniswap_v2 import RESERVE_MAX
from seawall.markets.v2_shares import ProtocolCut, V2Shares
from seawall.native import encode_call
from seawall.primitives.blocks import Block, Read
from seawall.primitives.errors import ProtocolError
from seawall.primitives.plans import TokenBound
from seawall.primitives.units import ZERO_ADDRESS, Address
from seawall.protocols.adapters.actions import Action, AddLiquidity, RemoveLiquidity, Swap
from seawall.protocols.adapters.base import Dependency, PolicyPart, Position, Quote, Rates
from seawall.protocols.adapters.holdings import Holdings, holding_reads, holdings
from seawall.protocols.adapters.pair_shares import FOREVER_S, Pair, pair_of
from seawall.protocols.adapters.pools import NamedPool, pools_named, swap_quote, token_set
from seawall.protocols.adapters.refusals import market_refusals
from seawall.protocols.answers import Answers, integer_answer, integer_answers
from seawall.protocols.executor.operations import CallWithAllowance, Measured, Operation, Splice
from seawall.protocols.executor.policy import Listing, anything, equal_to, in_set, ourselves, up_to

__all__ = ["CamelotAdapter", "CamelotState", "from_book"]

_PREFIX: Final = "camelot"
_FEE_DENOMINATOR: Final = 100_000
_SWAP: Final = (
    "swapExactTokensForTokensSupportingFeeOnTransferTokens(uint256,uint256,address[],address,address,uint256)"
)
_ONE_PAIR: Final = 2  # tokens on the way


@dataclass(frozen=True, slots=True)
class CamelotState:
    pool: SolidlyPool
    shares: V2Shares
    held: Holdings
    """Shares of the holders that were asked about."""


@dataclass(frozen=True, slots=True)
class CamelotAdapter:
    chain_id: int
    factory: Address
    router: Address
    pair: Pair
    units: tuple[int, int]
    """10 to the power of the decimals of token0 and token1."""

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
            Read(pair.label("stable"), pair.address, encode_call("stableSwap()", ())),
            Read(pair.label("k-last"), pair.address, encode_call("kLast()", ())),
            Read(pair.label("fee-info"), self.factory, encode_call("feeInfo()", ())),
            *pair.reads(),
            *holding_reads(self.name, pair.address, holders),
        )

    def decode(self, answers: Answers, block: Block) -> CamelotState:
        del block
        pair = self.pair
        reserve0, reserve1, fee0, fee1 = integer_answers(
            answers, pair.label("reserves"), ("uint112", "uint112", "uint16", "uint16")
        )
        stable = integer_answer(answers, pair.label("stable"), "uint256") != 0
        cut = self._cut(answers)
        with market_refusals(self.name):
            pool = SolidlyPool(
                pair.address,
                reserve0,
                reserve1,
                *self.units,
                fee0,
                fee1,
                _FEE_DENOMINATOR,
                stable,
                fee_in_fraction=True,
                reserve_max=RESERVE_MAX,
            )
            shares = V2Shares(
                pair.address,
                reserve0,
                reserve1,
                *pair.balances(answers),
                pair.supply(answers),
                pair.stray(answers),
                integer_answer(answers, pair.label("k-last"), "uint256"),
                None if stable else cut,
            )
        return CamelotState(pool, shares, holdings(self.name, pair.address, answers))

    def quote(self, state: CamelotState, action: Action, account: Address) -> Quote:
        del account
        with market_refusals(self.name):
            match action:
                case Swap():
                    self.pair.require(action.token_in, action.token_out)
                    zero_for_one = action.token_in == self.pair.token0
                    # The router takes what it finds above the reserve for paid in, left-over coins too.
                    found = state.shares.stray_coins(zero_for_one)
                    return swap_quote(
                        self.name,
                        action,
                        lambda amount: state.pool.swapped_out_down(zero_for_one, amount + found),
                    )
                case _:
                    return self.pair.quote_liquidity(state.shares, action)

    def build(self, action: Action, account: Address) -> tuple[Operation, ...]:
        if isinstance(action, Swap):
            return (self._build_swap(action, account),)
        return self.pair.build_liquidity(action, account, self.router)

    def bounds(self, action: Action, account: Address) -> tuple[TokenBound, ...]:
        del account
        return self.pair.bounds(action)

    def policy(self, account: Address) -> PolicyPart:
        del account
        tokens = token_set(*self.pair.tokens)
        swap = (
            anything(),
            anything(),
            up_to(_ONE_PAIR),
            in_set(tokens.set_id),
            ourselves(),
            equal_to(ZERO_ADDRESS),
            anything(),
        )
        return PolicyPart(
            listings=(*self.pair.listings(self.router), Listing(self.router, _SWAP, swap)),
            tokens=self.pair.token_policies(allowance=True),
            sets=(tokens,),
        )

    def positions(self, state: CamelotState, holder: Address) -> tuple[Position, ...]:
        return self.pair.positions(state.shares, state.held, holder)

    def liquidity(self, state: CamelotState, token: Address) -> int:
        return self.pair.available(state.shares, token)

    def rates(self, state: CamelotState, token: Address, change: int = 0) -> Rates:
        del state, token, change
        return Rates(supply_ray=None, borrow_ray=None)

    def dependencies(self) -> tuple[Dependency, ...]:
        return self.pair.dependencies(_PREFIX)

    def _build_swap(self, action: Swap, account: Address) -> Operation:
        self.pair.require(action.token_in, action.token_out)
        amounts = (action.amount_in, action.min_out)
        known = tuple(0 if isinstance(amount, Measured) else amount for amount in amounts)
        path = (action.token_in, action.token_out)
        return CallWithAllowance(
            self.router,
            encode_call(_SWAP, (*known, path, account, ZERO_ADDRESS, FOREVER_S)),
            action.token_in,
            action.amount_in,
            splices=tuple(Splice(n, x) for n, x in enumerate(amounts) if isinstance(x, Measured)),
            measure=action.measure,
        )

    def _cut(self, answers: Answers) -> ProtocolCut | None:
        """What the protocol claims of the growth of volatile pairs; None where nobody receives it."""
        share, receiver = integer_answers(answers, self.pair.label("fee-info"), ("uint256", "uint160"))
        if receiver == 0:
            return None
        if not 0 < share <= _FEE_DENOMINATOR:
            raise ProtocolError(
                what=f"the protocol claims {share} of {_FEE_DENOMINATOR}",
                where=f"{self.name}, feeInfo",
                fix="check that the factory is Camelot's",
            )
        return ProtocolCut(100, _FEE_DENOMINATOR * 100 // share - 100)


def from_book(book: AddressBook) -> tuple[CamelotAdapter, ...]:
    if f"{_PREFIX}_factory" not in book or f"{_PREFIX}_router" not in book:
        return ()
    pools = (pool for pool in pools_named(book, _PREFIX) if len(pool.tokens) == 2)
    return tuple(_adapter(book, pool) for pool in pools)


def _adapter(book: AddressBook, pool: NamedPool) -> CamelotAdapter:
    pair = pair_of(pool, _PREFIX)
    return CamelotAdapter(
        book.chain_id,
        book.address(f"{_PREFIX}_factory"),
        book.address(f"{_PREFIX}_router"),
        pair,
        (pool.unit(book, pair.token0), pool.unit(book, pair.token1)),
    )
