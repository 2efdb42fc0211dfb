"""Compound V3: one market (a Comet) that lends one base token against several collaterals.

The base token is supplied, withdrawn, borrowed and repaid; collaterals are supplied and withdrawn, and earn
nothing. Comet has one function for each direction: withdrawing more than one has lent borrows the rest, and
supplying while one owes repays first. The adapter keeps the words apart and refuses quotes in which one would
turn into the other; `Repay` never pays more than is owed.

There is no debt token, so quotes leave `owes` empty: debts are among the positions; position tokens of the
address book bound them and the collateral on chain, and a plan's check of the health factor does.

Interest is accrued to the block's time where Comet does so; withdrawing collateral judges debts by the stored
index, as Comet does. Not done here: rewards, absorption, buying collateral.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from seawall.chain.addresses import AddressBook
from seawall.markets.compound_v3 import CometAsset, CometBase, InterestCurve, collateral_liquidity
from seawall.native import encode_call, keccak256
from seawall.primitives.blocks import Block, Read
from seawall.primitives.bounds import UINT256_MAX
from seawall.primitives.errors import ProtocolError
from seawall.primitives.plans import TokenBound
from seawall.primitives.units import Address, address_text
from seawall.protocols import erc20
from seawall.protocols.adapters.actions import Action, Borrow, Repay, Supply, Withdraw
from seawall.protocols.adapters.arguments import call_data
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
from seawall.protocols.adapters.position_views import (
    debt_bound,
    outflow_bound,
    position_view,
    view_policy,
)
from seawall.protocols.adapters.refusals import (
    foreign_token,
    known_amount,
    refused,
    unread_holder,
    unsupported,
)
from seawall.protocols.adapters.wholeness import require_whole
from seawall.protocols.answers import Answers, address_answer, integer_answer, integer_answers
from seawall.protocols.executor.operations import (
    Amount,
    Call,
    CallWithAllowance,
    DebtKind,
    Operation,
    RepayDebt,
)
from seawall.protocols.executor.policy import Listing, MemberSet, TokenClass, TokenPolicy, anything, in_set

__all__ = ["COLLATERAL_NAMES", "CometAccount", "CometState", "CompoundV3Adapter", "from_book"]

# Tokens of an address book that a Comet may take; whether it does is read.
COLLATERAL_NAMES: Final = (
    "weth", "wbtc", "cbbtc", "tbtc", "ethx", "lido_wsteth", "rocket_reth", "cbeth", "weeth", "link", "uni",
    "comp", "usdx",
)  # fmt: skip

SECONDS_PER_YEAR: Final = 365 * 86_400
_WAD_TO_RAY: Final = 10**9
_SUPPLY: Final = "supply(address,uint256)"
_WITHDRAW: Final = "withdraw(address,uint256)"
_AMOUNT_WORD: Final = 1
_TOTALS: Final = ("uint64", "uint64", "uint64", "uint64", "uint104", "uint104", "uint40", "uint8")
_INFO: Final = ("uint8", "uint160", "uint160", "uint64", "uint64", "uint64", "uint64", "uint128")
# As many as Comet's own bitmap of an account can hold.
_ASSETS_MAX: Final = 24
_PAUSED_SUPPLY: Final = 1
_PAUSED_WITHDRAW: Final = 4
_CURVE_VIEWS: Final = (
    "{}Kink()",
    "{}PerSecondInterestRateBase()",
    "{}PerSecondInterestRateSlopeLow()",
    "{}PerSecondInterestRateSlopeHigh()",
)


@dataclass(frozen=True, slots=True)
class CometAccount:
    principal: int  # signed
    collateral: Mapping[Address, int]  # [smallest unit]


@dataclass(frozen=True, slots=True)
class CometState:
    stored: CometBase  # as of the last accrual
    base: CometBase  # accrued to the block
    base_feed: Address  # whose word the base's price is
    base_price: int  # [8 decimals]
    borrow_min: int  # [base units]
    cash: int  # base token that Comet holds
    supply_paused: bool
    withdraw_paused: bool
    assets: Mapping[Address, CometAsset]
    accounts: Mapping[Address, CometAccount]


@dataclass(frozen=True, slots=True)
class CompoundV3Adapter:
    chain_id: int
    comet: Address
    base_token: Address
    base_decimals: int
    candidates: tuple[Address, ...]
    """Tokens that may be collaterals here."""
    name: str
    collateral_views: Mapping[Address, Address] = field(default_factory=lambda: MappingProxyType({}))
    """Position tokens by what is put up, where there are any."""
    debt_view: Address | None = None

    @property
    def actions(self) -> frozenset[type[Action]]:
        return frozenset({Supply, Withdraw, Borrow, Repay})

    # ------------------------------------------------------------------ reading

    def reads(self, holders: tuple[Address, ...] = ()) -> tuple[Read, ...]:
        cash = erc20.balance_read(self.base_token, self.comet)
        names = ("totalsBasic", "baseToken", "baseTokenPriceFeed", "baseBorrowMin", "numAssets")
        views = [f"{name}()" for name in names]
        views += [view.format(side) for side in ("supply", "borrow") for view in _CURVE_VIEWS]
        reads = [self._read(view, encode_call(view, ())) for view in views]
        reads.append(Read(self._label("cash"), cash.target, cash.calldata))
        users = (self._of("user", x, encode_call("userBasic(address)", (x,))) for x in holders)
        return (*reads, *users)

    def more_reads(self, answers: Answers, holders: tuple[Address, ...] = ()) -> tuple[Read, ...]:
        """What Comet takes as collateral; then prices, totals, and what the holders have put up of it."""
        count = self._count(answers)
        infos = [
            self._read(f"info:{place}", encode_call("getAssetInfo(uint8)", (place,)))
            for place in range(count)
        ]
        if any(read.label not in answers for read in infos):
            return tuple(read for read in infos if read.label not in answers)
        feeds = {self.base_token: address_answer(answers, self._label("baseTokenPriceFeed()"))}
        for place in range(count):
            token, feed, _ = self._info(answers, place)
            feeds[token] = feed
        wanted = [
            self._of("price", x, encode_call("getPrice(address)", (feed,))) for x, feed in feeds.items()
        ]
        for token in list(feeds)[1:]:
            wanted.append(self._of("total", token, encode_call("totalsCollateral(address)", (token,))))
            for holder in holders:
                ask = encode_call("userCollateral(address,address)", (holder, token))
                wanted.append(self._of(f"held:{token.hex()}", holder, ask))
        return tuple(read for read in wanted if read.label not in answers)

    def decode(self, answers: Answers, block: Block) -> CometState:
        base_token = address_answer(answers, self._label("baseToken()"))
        if base_token != self.base_token:
            raise ProtocolError(
                f"the base token is {address_text(base_token)}",
                self.name,
                "correct the address book: the market is another one",
            )
        numbers = integer_answers(answers, self._label("totalsBasic()"), _TOTALS)
        supply_index, borrow_index, _, _, lent, owed, accrued_s, flags = numbers
        curves = [self._curve(answers, side) for side in ("supply", "borrow")]
        stored = CometBase(supply_index, borrow_index, lent, owed, curves[0], curves[1])
        prefix = self._label("user:")
        holders = [Address(bytes.fromhex(x.removeprefix(prefix))) for x in answers if x.startswith(prefix)]
        assets = dict(self._asset(answers, place) for place in range(self._count(answers)))
        require_whole(min(supply_index, borrow_index) > 0, "an index is zero", self.name)
        return CometState(
            stored=stored,
            base=stored.accrued(block.timestamp_s - accrued_s),
            base_feed=address_answer(answers, self._label("baseTokenPriceFeed()")),
            base_price=self._number(answers, f"price:{self.base_token.hex()}"),
            borrow_min=self._number(answers, "baseBorrowMin()"),
            cash=self._number(answers, "cash"),
            supply_paused=bool(flags & _PAUSED_SUPPLY),
            withdraw_paused=bool(flags & _PAUSED_WITHDRAW),
            assets=assets,
            accounts={
                holder: CometAccount(
                    integer_answer(answers, prefix + holder.hex(), "int104"),
                    {token: self._number(answers, f"held:{token.hex()}:{holder.hex()}") for token in assets},
                )
                for holder in holders
            },
        )

    # ------------------------------------------------------------------ quoting

    def quote(self, state: CometState, action: Action, account: Address) -> Quote:
        match action:
            case Supply() | Withdraw() if action.token != self.base_token:
                return self._quote_collateral(state, action, account)
            case Supply():
                amount = known_amount(action.amount, self.name)
                if amount == UINT256_MAX:
                    raise refused("supplying all means repaying all", self.name, "use Repay, or a number")
                return self._quote_paid(state, amount, account)
            case Repay():
                self._require_base(action.token)
                return self._quote_paid(state, self._repaid(state, action.maximum, account), account)
            case Withdraw():
                lent = self._balance(state, account)
                amount = known_amount(action.amount, self.name)
                amount = lent if amount == UINT256_MAX and lent > 0 else amount
                if amount > lent:
                    raise refused(
                        f"{amount} is more than the {max(lent, 0)} lent: the rest would be borrowed",
                        self.name,
                        "withdraw less, or use Borrow for the rest",
                    )
                return self._quote_taken(state, amount, account)
            case Borrow():
                self._require_base(action.token)
                amount = known_amount(action.amount, self.name)
                if self._balance(state, account) > 0:
                    raise refused("what is lent would be withdrawn first", self.name, "withdraw that before")
                return self._quote_taken(state, amount, account)
            case _:
                raise unsupported(self.name, action)

    def _quote_paid(self, state: CometState, amount: int, account: Address) -> Quote:
        self._require_open(state.supply_paused, "supply")
        gained = self._receipt_change(state, amount, account)
        gives = (Exact(self.comet, gained),) if gained else ()
        return Quote(takes=(Exact(self.base_token, amount),), gives=gives)

    def _quote_taken(self, state: CometState, amount: int, account: Address) -> Quote:
        self._require_open(state.withdraw_paused, "withdrawal")
        if amount > state.cash:
            raise refused(
                f"{amount} is wanted, {state.cash} is at hand", self.name, "take less, or wait for repayments"
            )
        balance = self._balance(state, account) - amount
        if balance < 0:
            if -balance < state.borrow_min:
                raise refused(
                    f"a debt of {-balance} is below the minimum of {state.borrow_min}",
                    self.name,
                    "borrow more, or nothing",
                )
            principal = state.base.principal_of(balance)
            held = state.accounts[account].collateral
            self._require_collateral(state, state.base.balance_of(principal), held)
        lost = -self._receipt_change(state, -amount, account)
        takes = (Exact(self.comet, lost),) if lost else ()
        return Quote(takes=takes, gives=(Exact(self.base_token, amount),))

    def _quote_collateral(self, state: CometState, action: Supply | Withdraw, account: Address) -> Quote:
        asset = state.assets.get(action.token)
        if asset is None or action.token not in self.candidates:
            raise foreign_token(self.name, action.token)
        amount = known_amount(action.amount, self.name)
        moved = (Exact(action.token, amount),)
        if isinstance(action, Supply):
            self._require_open(state.supply_paused, "supply")
            if asset.supplied + amount > asset.supply_cap:
                raise refused(
                    f"{amount} more is over the cap of {asset.supply_cap}, {asset.supplied} is there",
                    self.name,
                    "supply less",
                )
            return Quote(takes=moved, gives=())
        self._require_open(state.withdraw_paused, "withdrawal")
        user = self._account(state, account)
        left = user.collateral[action.token] - amount
        if left < 0:
            raise refused(
                f"{amount} is more than the {left + amount} put up", self.name, "withdraw a number up to that"
            )
        held = {**user.collateral, action.token: left}
        self._require_collateral(state, state.stored.balance_of(user.principal), held)
        return Quote(takes=(), gives=moved)

    def _receipt_change(self, state: CometState, change: int, account: Address) -> int:
        """What Comet's own balance of `account` moves by when its base moves by `change`."""
        before = self._balance(state, account)
        principal, _ = state.base.moved(state.accounts[account].principal, change)
        return max(state.base.balance_of(principal), 0) - max(before, 0)

    def _repaid(self, state: CometState, maximum: Amount, account: Address) -> int:
        owed = -self._balance(state, account)
        amount = known_amount(maximum, self.name)
        if owed <= 0:
            raise refused("nothing is owed", self.name, "use Supply")
        return min(amount, owed)

    def _require_collateral(self, state: CometState, balance: int, held: Mapping[Address, int]) -> None:
        if balance >= 0:
            return
        values = (
            asset.weighted_value_down(held[token], asset.borrow_factor)
            for token, asset in state.assets.items()
        )
        missing = -collateral_liquidity(balance, state.base_price, 10**self.base_decimals, values)
        if missing > 0:
            raise refused(
                f"the collateral is short by {missing} (8 decimals of the price's unit)",
                self.name,
                "borrow or withdraw less, or put up more first",
            )

    # ------------------------------------------------------------------ doing

    def build(self, action: Action, account: Address) -> tuple[Operation, ...]:
        del account
        match action:
            case Supply():
                self._require_known(action.token)
                data, splices = call_data(_SUPPLY, (action.token, action.amount))
                supplied = CallWithAllowance(
                    self.comet, data, action.token, action.amount, splices=splices, measure=action.measure
                )
                return (supplied,)
            case Repay():
                self._require_base(action.token)
                return (self._build_repaid(action),)
            case Withdraw():
                self._require_known(action.token)
            case Borrow():
                self._require_base(action.token)
            case _:
                raise unsupported(self.name, action)
        data, splices = call_data(_WITHDRAW, (action.token, action.amount))
        return (Call(self.comet, data, splices=splices, measure=action.measure),)

    def _build_repaid(self, action: Repay) -> Operation:
        data, _ = call_data(_SUPPLY, (action.token, 0))
        return RepayDebt(
            self.comet,
            data,
            _AMOUNT_WORD,
            action.token,
            self.comet,
            action.maximum,
            kind=DebtKind.COMET,
            measure=action.measure,
        )

    def bounds(self, action: Action, account: Address) -> tuple[TokenBound, ...]:
        """What collateral may fall by, and the debt may rise by: Comet's own calls know no such limit."""
        del account
        match action:
            case Withdraw() if action.token != self.base_token:
                return outflow_bound(self.collateral_views.get(action.token), action.amount, 0)
            case Borrow():
                return debt_bound(self.debt_view, action.amount)
            case _:
                return ()

    def policy(self, account: Address) -> PolicyPart:
        """Base and collaterals of this market, any amount, always for the caller itself.

        Withdrawing is not for REDUCE_ONLY: the same call of the same token may open a debt.
        """
        del account
        tokens = (self.base_token, *self.candidates)
        digest = keccak256(b"%d:%s:tokens" % (self.chain_id, self.comet))
        members = MemberSet(
            int.from_bytes(digest, "big"), tuple(int.from_bytes(token, "big") for token in tokens)
        )
        rules = (in_set(members.set_id), anything())
        return PolicyPart(
            listings=(
                Listing(self.comet, _SUPPLY, rules, reduce=True),
                Listing(self.comet, _WITHDRAW, rules),
            ),
            tokens=(
                *(TokenPolicy(token, allowance=True) for token in tokens),
                TokenPolicy(self.comet, TokenClass.KEPT),
                *(TokenPolicy(view, TokenClass.KEPT) for view in self.collateral_views.values()),
                *view_policy(self.debt_view, TokenClass.DEBT),
            ),
            sets=(members,),
        )

    # ------------------------------------------------------------------ having

    def positions(self, state: CometState, holder: Address) -> tuple[Position, ...]:
        balance = self._balance(state, holder)
        found = []
        if balance > 0:
            kind = PositionKind.SUPPLIED
            found.append(Position(holder, kind, self.base_token, balance, self.comet, balance))
        elif balance < 0:
            found.append(self._seen(holder, PositionKind.DEBT, self.base_token, -balance, self.debt_view))
        views = self.collateral_views
        found += [
            self._seen(holder, PositionKind.COLLATERAL, token, amount, views.get(token))
            for token, amount in state.accounts[holder].collateral.items()
            if amount
        ]
        return tuple(found)

    def _seen(
        self, holder: Address, kind: PositionKind, token: Address, amount: int, view: Address | None
    ) -> Position:
        return Position(holder, kind, token, amount, view, 0 if view is None else amount)

    def is_liquidatable(self, state: CometState, holder: Address) -> bool:
        """By the stored index, as Comet's own view; absorption accrues first."""
        user = self._account(state, holder)
        balance = state.stored.balance_of(user.principal)
        values = (
            asset.weighted_value_down(user.collateral[token], asset.liquidate_factor)
            for token, asset in state.assets.items()
        )
        return balance < 0 and (
            collateral_liquidity(balance, state.base_price, 10**self.base_decimals, values) < 0
        )

    def liquidity(self, state: CometState, token: Address) -> int:
        if token != self.base_token and token not in state.assets:
            raise foreign_token(self.name, token)
        if state.withdraw_paused:
            return 0
        return state.cash if token == self.base_token else state.assets[token].supplied

    def rates(self, state: CometState, token: Address, change: int = 0) -> Rates:
        """Without a change, those that Comet pays since its last accrual."""
        if token != self.base_token:
            if token not in state.assets:
                raise foreign_token(self.name, token)
            return Rates(supply_ray=0, borrow_ray=None)
        if change < -state.cash:
            raise refused(
                f"{-change} is more than the {state.cash} at hand", self.name, "withdraw less, or wait"
            )
        base = state.stored
        if change > 0:
            _, base = state.base.moved(0, change)
        elif change < 0:
            _, base = state.base.moved(state.base.lent, change)
        return Rates(_yearly_ray(base.supply_rate), _yearly_ray(base.borrow_rate))

    def dependencies(self) -> tuple[Dependency, ...]:
        return (
            Dependency(DependencyKind.PROTOCOL, "compound-v3"),
            Dependency(DependencyKind.PROTOCOL, self.name.replace("_", "-")),
            *(
                Dependency(DependencyKind.ASSET, address_text(token).lower())
                for token in (self.base_token, *self.candidates)
            ),
        )

    # ------------------------------------------------------------------ details

    def _account(self, state: CometState, holder: Address) -> CometAccount:
        if holder not in state.accounts:
            raise unread_holder(self.name, holder)
        return state.accounts[holder]

    def _balance(self, state: CometState, holder: Address) -> int:
        return state.base.balance_of(self._account(state, holder).principal)

    def _require_open(self, paused: bool, what: str) -> None:
        if paused:
            raise refused(f"{what} is paused", self.name, "wait for the pause guardian")

    def _require_base(self, token: Address) -> None:
        if token != self.base_token:
            raise foreign_token(self.name, token)

    def _require_known(self, token: Address) -> None:
        if token != self.base_token and token not in self.candidates:
            raise foreign_token(self.name, token)

    def _count(self, answers: Answers) -> int:
        count = integer_answer(answers, self._label("numAssets()"), "uint8")
        require_whole(count <= _ASSETS_MAX, f"{count} collaterals, more than {_ASSETS_MAX}", self.name)
        return count

    def _info(self, answers: Answers, place: int) -> tuple[Address, Address, tuple[int, ...]]:
        """Token, price feed, and scale, factors and cap."""
        numbers = integer_answers(answers, self._label(f"info:{place}"), _INFO)
        token, feed = (Address(number.to_bytes(20, "big")) for number in numbers[1:3])
        return token, feed, numbers[3:]

    def _asset(self, answers: Answers, place: int) -> tuple[Address, CometAsset]:
        token, _, (scale, borrow, liquidate, liquidation, cap) = self._info(answers, place)
        require_whole(scale > 0, f"the scale of {address_text(token)} is zero", self.name)
        price, total = (self._number(answers, f"{what}:{token.hex()}") for what in ("price", "total"))
        return token, CometAsset(price, scale, borrow, liquidate, liquidation, cap, total)

    def _curve(self, answers: Answers, side: str) -> InterestCurve:
        kink, base, low, high = (self._number(answers, view.format(side)) for view in _CURVE_VIEWS)
        return InterestCurve(kink, base, low, high)

    def _number(self, answers: Answers, what: str) -> int:
        return integer_answer(answers, self._label(what), "uint256")

    def _of(self, what: str, whom: Address, calldata: bytes) -> Read:
        return self._read(f"{what}:{whom.hex()}", calldata)

    def _read(self, what: str, calldata: bytes) -> Read:
        return Read(self._label(what), self.comet, calldata)

    def _label(self, what: str) -> str:
        return f"{self.name}:{self.comet.hex()}:{what}"


def from_book(book: AddressBook) -> tuple[CompoundV3Adapter, ...]:
    """One adapter for every `comet_TOKEN` whose `TOKEN` is in the book too."""
    found = []
    for entry in book:
        base = entry.name.removeprefix("comet_")
        if base == entry.name or base not in book:
            continue
        decimals = book[base].decimals
        if decimals is None:
            continue
        names = [name for name in COLLATERAL_NAMES if name in book and name != base]
        tokens = tuple(book.address(name) for name in names)
        token = book.address(base)
        views = {
            book.address(name): view
            for name in names
            if (view := position_view(book, entry.name, "collateral", name)) is not None
        }
        found.append(
            CompoundV3Adapter(
                book.chain_id,
                entry.address,
                token,
                decimals,
                tokens,
                f"compound_v3:{base}",
                MappingProxyType(views),
                position_view(book, entry.name, "debt", base),
            )
        )
    return tuple(found)


def _yearly_ray(rate_wad_per_s: int) -> int:
    return rate_wad_per_s * SECONDS_PER_YEAR * _WAD_TO_RAY
