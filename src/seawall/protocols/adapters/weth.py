"""Wrapped ether: `Deposit` wraps the native coin, `Redeem` unwraps it, one for one and at once.

The model of an adapter: the smallest one that is whole. Assumes the canonical contract, in which every token
is backed by a coin of its own, so that its supply is all that can be taken out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from seawall.chain.addresses import AddressBook
from seawall.native import encode_call
from seawall.primitives.blocks import Block, Read
from seawall.primitives.bounds import UINT256_MAX
from seawall.primitives.plans import TokenBound
from seawall.primitives.units import NATIVE, Address
from seawall.protocols import weth
from seawall.protocols.adapters.actions import Action, Deposit, Redeem
from seawall.protocols.adapters.arguments import inflow_bounds
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
from seawall.protocols.adapters.holdings import holding_of, holding_reads, holdings
from seawall.protocols.adapters.refusals import (
    foreign_token,
    known_amount,
    known_minimum,
    refused,
    unsupported,
)
from seawall.protocols.answers import Answers, integer_answer
from seawall.protocols.executor.operations import Amount, Call, Measured, Operation, Splice
from seawall.protocols.executor.policy import Listing, TokenPolicy, anything

__all__ = ["WethAdapter", "WethState", "from_book"]

_BOOK_NAME: Final = "weth"
# Wrapping only turns our own coin into our own token: no smaller limit protects anything.
_NATIVE_MAX_WEI: Final = 2**128 - 1


@dataclass(frozen=True, slots=True)
class WethState:
    supply_wei: int
    balances_wei: Mapping[Address, int]
    """Of the holders that were asked about."""


@dataclass(frozen=True, slots=True)
class WethAdapter:
    chain_id: int
    weth: Address
    name: str = "weth"

    @property
    def actions(self) -> frozenset[type[Action]]:
        return frozenset({Deposit, Redeem})

    def reads(self, holders: tuple[Address, ...] = ()) -> tuple[Read, ...]:
        supply = Read(self._label("supply"), self.weth, encode_call("totalSupply()", ()))
        return (supply, *holding_reads(self.name, self.weth, holders))

    def decode(self, answers: Answers, block: Block) -> WethState:
        del block
        supply_wei = integer_answer(answers, self._label("supply"), "uint256")
        return WethState(supply_wei, holdings(self.name, self.weth, answers))

    def quote(self, state: WethState, action: Action, account: Address) -> Quote:
        del account
        match action:
            case Deposit():
                self._require_pair(action.token_in, NATIVE, action.share)
                amount = known_amount(action.amount_in, self.name)
                room = UINT256_MAX - state.supply_wei
                if amount > room:
                    raise refused(f"{amount} wei do not exist", self.name, "wrap less")
                given, taken = Exact(self.weth, amount), Exact(NATIVE, amount)
            case Redeem():
                self._require_pair(action.token_out, NATIVE, action.share)
                amount = known_amount(action.amount_in, self.name)
                if amount > state.supply_wei:
                    raise refused(
                        f"{amount} wei is more than the {state.supply_wei} that exist",
                        self.name,
                        "unwrap less",
                    )
                given, taken = Exact(NATIVE, amount), Exact(self.weth, amount)
            case _:
                raise unsupported(self.name, action)
        known_minimum(action.min_out, amount, self.name)
        return Quote(takes=(taken,), gives=(given,))

    def build(self, action: Action, account: Address) -> tuple[Operation, ...]:
        del account
        match action:
            case Deposit():
                self._require_pair(action.token_in, NATIVE, action.share)
                self._require_minimum(action.amount_in, action.min_out)
                return (Call(self.weth, weth.deposit_call(), action.amount_in, measure=action.measure),)
            case Redeem():
                self._require_pair(action.token_out, NATIVE, action.share)
                self._require_minimum(action.amount_in, action.min_out)
                amount = action.amount_in
                if isinstance(amount, Measured):
                    spliced = (Splice(0, amount),)
                    return (Call(self.weth, weth.withdraw_call(0), 0, spliced, action.measure),)
                return (Call(self.weth, weth.withdraw_call(amount), measure=action.measure),)
            case _:
                raise unsupported(self.name, action)

    def bounds(self, action: Action, account: Address) -> tuple[TokenBound, ...]:
        """Of an amount that is known the minimum is held by itself."""
        del account
        if not isinstance(action, Deposit | Redeem):
            raise unsupported(self.name, action)
        if not isinstance(action.amount_in, Measured) or action.min_out == action.amount_in:
            return ()
        token = action.share if isinstance(action, Deposit) else action.token_out
        return inflow_bounds(token, action.min_out, self.name)

    def policy(self, account: Address) -> PolicyPart:
        del account
        return PolicyPart(
            listings=(
                Listing(self.weth, "deposit()", reduce=True, max_native_wei=_NATIVE_MAX_WEI),
                Listing(self.weth, "withdraw(uint256)", (anything(),), reduce=True),
            ),
            tokens=(TokenPolicy(self.weth),),
        )

    def positions(self, state: WethState, holder: Address) -> tuple[Position, ...]:
        amount = holding_of(holder, state.balances_wei, self.name)
        if amount == 0:
            return ()
        return (Position(holder, PositionKind.SHARE, NATIVE, amount, self.weth, amount),)

    def liquidity(self, state: WethState, token: Address) -> int:
        if token != NATIVE:
            raise foreign_token(self.name, token)
        return state.supply_wei

    def rates(self, state: WethState, token: Address, change: int = 0) -> Rates:
        del state, token, change
        return Rates(supply_ray=None, borrow_ray=None)

    def dependencies(self) -> tuple[Dependency, ...]:
        return (Dependency(DependencyKind.PROTOCOL, "weth"),)

    def _require_pair(self, coin: Address, wanted: Address, share: Address) -> None:
        if coin != wanted:
            raise foreign_token(self.name, coin)
        if share != self.weth:
            raise foreign_token(self.name, share)

    def _require_minimum(self, amount: Amount, minimum: Amount) -> None:
        """One for one: a minimum says nothing that the amount does not say, and that of one that is measured
        is a bound."""
        if isinstance(minimum, int) and (isinstance(amount, Measured) or minimum <= amount):
            return
        if minimum != amount:
            raise refused(
                "the minimum cannot be held", self.name, "leave it 0: wrapping is always one for one"
            )

    def _label(self, what: str) -> str:
        return f"{self.name}:{self.weth.hex()}:{what}"


def from_book(book: AddressBook) -> tuple[WethAdapter, ...]:
    return (WethAdapter(book.chain_id, book.address(_BOOK_NAME)),) if _BOOK_NAME in book else ()
