"""Rocket Pool: ether in for rETH less a fee within a cap, rETH burnt for ether while there is some.

The rate is ether over rETH as the oracle nodes reported both last; deposits and burns do not move it. What
burning can pay is `getTotalCollateral`: ether in the token and what the deposit pool has in excess.

Neither call takes a minimum, so the plan's bounds hold it. Not done here: node operators, selling rETH.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from seawall.chain.addresses import AddressBook
from seawall.native import encode_call
from seawall.primitives.blocks import Block, Read
from seawall.primitives.plans import TokenBound
from seawall.primitives.units import NATIVE, Address, address_text, mul_div_down
from seawall.protocols.adapters.actions import Action, Deposit, Redeem
from seawall.protocols.adapters.arguments import call_data, inflow_bounds
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
from seawall.protocols.adapters.refusals import (
    foreign_token,
    known_amount,
    known_minimum,
    refused,
    unsupported,
)
from seawall.protocols.adapters.wholeness import require_whole
from seawall.protocols.answers import Answers, integer_answer
from seawall.protocols.executor.operations import Call, Operation
from seawall.protocols.executor.policy import Listing, TokenPolicy, anything

__all__ = ["RocketPoolAdapter", "RocketPoolState", "from_book"]

_WAD: Final = 10**18
_NATIVE_MAX_WEI: Final = 2**128 - 1


@dataclass(frozen=True, slots=True)
class RocketPoolState:
    enabled: bool
    minimum_wei: int
    maximum_wei: int  # largest deposit taken now
    fee_wad: int
    total_wei: int  # ether of the network, as reported
    supply: int  # rETH, as reported [rETH wei]
    collateral_wei: int  # what burning can pay now
    balances: Holdings  # [rETH wei]

    def wei_of_down(self, amount: int) -> int:
        return amount if self.supply == 0 else mul_div_down(amount, self.total_wei, self.supply)

    def reth_of_down(self, amount_wei: int) -> int:
        if self.supply == 0:
            return amount_wei
        return mul_div_down(amount_wei, self.supply, self.total_wei) if self.total_wei else 0


@dataclass(frozen=True, slots=True)
class RocketPoolAdapter:
    chain_id: int
    reth: Address
    deposit_pool: Address
    balances: Address
    settings: Address
    name: str = "rocket_pool"

    @property
    def actions(self) -> frozenset[type[Action]]:
        return frozenset({Deposit, Redeem})

    def reads(self, holders: tuple[Address, ...] = ()) -> tuple[Read, ...]:
        views = (
            (self.settings, "getDepositEnabled"),
            (self.settings, "getMinimumDeposit"),
            (self.settings, "getDepositFee"),
            (self.deposit_pool, "getMaximumDepositAmount"),
            (self.balances, "getTotalETHBalance"),
            (self.balances, "getTotalRETHSupply"),
            (self.reth, "getTotalCollateral"),
        )
        state = (Read(self._label(view), target, encode_call(f"{view}()", ())) for target, view in views)
        return (*state, *holding_reads(self.name, self.reth, holders))

    def decode(self, answers: Answers, block: Block) -> RocketPoolState:
        del block

        def number(view: str) -> int:
            return integer_answer(answers, self._label(view), "uint256")

        fee_wad = number("getDepositFee")
        require_whole(fee_wad <= _WAD, f"a deposit fee of {fee_wad} / 1e18", self.name)
        return RocketPoolState(
            enabled=bool(number("getDepositEnabled")),
            minimum_wei=number("getMinimumDeposit"),
            maximum_wei=number("getMaximumDepositAmount"),
            fee_wad=fee_wad,
            total_wei=number("getTotalETHBalance"),
            supply=number("getTotalRETHSupply"),
            collateral_wei=number("getTotalCollateral"),
            balances=holdings(self.name, self.reth, answers),
        )

    def quote(self, state: RocketPoolState, action: Action, account: Address) -> Quote:
        del account
        match action:
            case Deposit():
                self._require(action.token_in, action.share)
                amount = known_amount(action.amount_in, self.name)
                self._require_deposit(state, amount)
                minted = state.reth_of_down(amount - mul_div_down(amount, state.fee_wad, _WAD))
                if minted == 0:
                    raise refused(f"{amount} wei buy no rETH", self.name, "deposit more")
                known_minimum(action.min_out, minted, self.name)
                return Quote(takes=(Exact(NATIVE, amount),), gives=(Exact(self.reth, minted),))
            case Redeem():
                self._require(action.token_out, action.share)
                amount = known_amount(action.amount_in, self.name)
                paid = state.wei_of_down(amount)
                if paid > state.collateral_wei:
                    raise refused(
                        f"{paid} wei are wanted, {state.collateral_wei} are there",
                        self.name,
                        "burn less, sell on a market, or wait for deposits and exits",
                    )
                known_minimum(action.min_out, paid, self.name)
                return Quote(takes=(Exact(self.reth, amount),), gives=(Exact(NATIVE, paid),))
            case _:
                raise unsupported(self.name, action)

    def build(self, action: Action, account: Address) -> tuple[Operation, ...]:
        del account
        match action:
            case Deposit():
                self._require(action.token_in, action.share)
                deposit = encode_call("deposit()", ())
                return (Call(self.deposit_pool, deposit, action.amount_in, measure=action.measure),)
            case Redeem():
                self._require(action.token_out, action.share)
                burn, splices = call_data("burn(uint256)", (action.amount_in,))
                return (Call(self.reth, burn, splices=splices, measure=action.measure),)
            case _:
                raise unsupported(self.name, action)

    def bounds(self, action: Action, account: Address) -> tuple[TokenBound, ...]:
        del account
        match action:
            case Deposit():
                return inflow_bounds(self.reth, action.min_out, self.name)
            case Redeem():
                return inflow_bounds(NATIVE, action.min_out, self.name)
            case _:
                raise unsupported(self.name, action)

    def policy(self, account: Address) -> PolicyPart:
        del account
        return PolicyPart(
            listings=(
                Listing(self.deposit_pool, "deposit()", max_native_wei=_NATIVE_MAX_WEI),
                Listing(self.reth, "burn(uint256)", (anything(),), reduce=True),
            ),
            tokens=(TokenPolicy(self.reth),),
        )

    def positions(self, state: RocketPoolState, holder: Address) -> tuple[Position, ...]:
        held = holding_of(holder, state.balances, self.name)
        if held == 0:
            return ()
        return (Position(holder, PositionKind.SHARE, NATIVE, state.wei_of_down(held), self.reth, held),)

    def liquidity(self, state: RocketPoolState, token: Address) -> int:
        if token != NATIVE:
            raise foreign_token(self.name, token)
        return state.collateral_wei

    def rates(self, state: RocketPoolState, token: Address, change: int = 0) -> Rates:
        """None: what staking earns is not in the state of one block."""
        del state, token, change
        return Rates(supply_ray=None, borrow_ray=None)

    def dependencies(self) -> tuple[Dependency, ...]:
        return (
            Dependency(DependencyKind.PROTOCOL, "rocket-pool"),
            Dependency(DependencyKind.ASSET, address_text(self.reth).lower()),
            Dependency(DependencyKind.ORACLE, address_text(self.balances).lower()),
        )

    def _require_deposit(self, state: RocketPoolState, amount: int) -> None:
        if not state.enabled:
            raise refused("deposits are disabled", self.name, "buy rETH on a market")
        if amount < state.minimum_wei:
            raise refused(f"{amount} wei is below {state.minimum_wei}", self.name, "deposit more")
        if amount > state.maximum_wei:
            raise refused(
                f"{amount} wei is more than the {state.maximum_wei} that the pool takes",
                self.name,
                "deposit less, or buy rETH on a market",
            )

    def _require(self, coin: Address, share: Address) -> None:
        if coin != NATIVE:
            raise foreign_token(self.name, coin)
        if share != self.reth:
            raise foreign_token(self.name, share)

    def _label(self, what: str) -> str:
        return f"{self.name}:{self.deposit_pool.hex()}:{what}"


def from_book(book: AddressBook) -> tuple[RocketPoolAdapter, ...]:
    names = ("rocket_reth", "rocket_deposit", "rocket_balances", "rocket_settings")
    if not all(name in book for name in names):
        return ()
    reth, deposit_pool, balances, settings = (book.address(name) for name in names)
    return (RocketPoolAdapter(book.chain_id, reth, deposit_pool, balances, settings),)
