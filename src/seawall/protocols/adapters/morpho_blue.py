"""Morpho Blue, one adapter a market: lending, collateral, debts, by the adaptive rate model.

Flow: one round of reads (the market's books, rate, oracle, holders); `decode` accrues them to the block's
second; `after` is what Morpho does with an action, or why it refuses. The arithmetic is in
`markets.morpho_blue`.

`Supply` and `Withdraw` of the loan token lend it; of the collateral token they put it up and take it back.
Amounts are assets. Debts are counted in shares that are worth more every second: `Repay` of `UINT256_MAX`
ends a debt by its shares, whatever they cost, so bound the outflow; any other maximum is paid in full, and
more than is owed is refused. What was lent can be taken back to the last share by `build_exit`, which knows
the shares of a state. There is no debt token: quotes of debts have no `owes`. Position tokens of the address
book show positions on chain; what is lent they show as of the market's last accrual.

An oracle that does not answer stops what needs a price; paying back and lending go on, as on chain.

Not here: liquidations, other rate models, supplying for others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from seawall.chain.addresses import AddressBook
from seawall.markets.errors import PoolStateError
from seawall.markets.morpho_blue import WAD, MorphoAccount, MorphoMarket
from seawall.native import abi_encode, encode_call, keccak256
from seawall.primitives.blocks import Block, Read
from seawall.primitives.bounds import UINT256_MAX
from seawall.primitives.errors import InputError, ProtocolError
from seawall.primitives.plans import TokenBound
from seawall.primitives.units import Address, Hash, address_text, hex_text, mul_div_down
from seawall.protocols.adapters.actions import Action, Borrow, Repay, Supply, Withdraw
from seawall.protocols.adapters.arguments import word_splices
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
from seawall.protocols.answers import Answers, address_answer, integer_answer, integer_answers
from seawall.protocols.executor.operations import (
    Amount,
    Call,
    CallWithAllowance,
    DebtKind,
    Measured,
    Operation,
    RepayDebt,
)
from seawall.protocols.executor.policy import (
    Listing,
    Rule,
    TokenClass,
    TokenPolicy,
    anything,
    content,
    equal_to,
    ourselves,
)

__all__ = ["MorphoAdapter", "MorphoEffect", "MorphoState", "MorphoViews", "from_book"]

_PARAMS: Final = "(address,address,address,address,uint256)"
_SUPPLY: Final = f"supply({_PARAMS},uint256,uint256,address,bytes)"
_WITHDRAW: Final = f"withdraw({_PARAMS},uint256,uint256,address,address)"
_BORROW: Final = f"borrow({_PARAMS},uint256,uint256,address,address)"
_REPAY: Final = f"repay({_PARAMS},uint256,uint256,address,bytes)"
_PUT_UP: Final = f"supplyCollateral({_PARAMS},uint256,address,bytes)"
_TAKE_BACK: Final = f"withdrawCollateral({_PARAMS},uint256,address,address)"
# The parameters of the market are five words.
_ASSETS_WORD: Final = 5
_SHARES_WORD: Final = 6
# What a callback of Morpho would be given: none is wanted.
_NO_DATA: Final = b""
_LIMIT_WAD_OF_BPS: Final = 10**14
_UINT128_MAX: Final = 2**128 - 1
_ORACLE_PREFIX: Final = "morpho_oracle_"


@dataclass(frozen=True, slots=True)
class MorphoState:
    """A market at one second, and what the asked holders have in it."""

    market: MorphoMarket
    price: int | None
    """Of collateral in loan tokens, times 1e36; None while the oracle does not answer."""
    accounts: Mapping[Address, MorphoAccount]


@dataclass(frozen=True, slots=True)
class MorphoEffect:
    quote: Quote
    state: MorphoState


@dataclass(frozen=True, slots=True)
class MorphoViews:
    """The market's position tokens, where there are any."""

    collateral: Address | None = None
    supply: Address | None = None
    debt: Address | None = None


@dataclass(frozen=True, slots=True)
class MorphoAdapter:
    chain_id: int
    name: str
    morpho: Address
    loan: Address
    collateral: Address
    oracle: Address
    rate_model: Address
    lltv_wad: int
    views: MorphoViews = MorphoViews()

    @property
    def actions(self) -> frozenset[type[Action]]:
        return frozenset({Supply, Withdraw, Borrow, Repay})

    @property
    def market_id(self) -> Hash:
        kinds = ["address", "address", "address", "address", "uint256"]
        return Hash(keccak256(abi_encode(kinds, self.params)))

    def reads(self, holders: tuple[Address, ...] = ()) -> tuple[Read, ...]:
        market_id = self.market_id
        return (
            Read(self._label("market"), self.morpho, encode_call("market(bytes32)", (market_id,))),
            Read(self._label("target"), self.rate_model, encode_call("rateAtTarget(bytes32)", (market_id,))),
            Read(self._label("price"), self.oracle, encode_call("price()", ())),
            Read(self._label("recipient"), self.morpho, encode_call("feeRecipient()", ())),
            *(
                Read(
                    self._label(f"holder:{holder.hex()}"),
                    self.morpho,
                    encode_call("position(bytes32,address)", (market_id, holder)),
                )
                for holder in holders
            ),
        )

    def decode(self, answers: Answers, block: Block) -> MorphoState:
        books = integer_answers(answers, self._label("market"), ("uint256",) * 6)
        if books[4] > block.timestamp_s:
            raise ProtocolError(
                f"interest was written at {books[4]}, after the block of {block.timestamp_s}",
                self.name,
                "answer all reads at the block that is given",
            )
        rate = integer_answer(answers, self._label("target"), "int256")
        try:
            market, fee_shares = _books(books, rate).accrued(block.timestamp_s)
        except PoolStateError as error:
            raise ProtocolError(error.what, self.name, error.fix) from error
        recipient = address_answer(answers, self._label("recipient"))
        prefix = self._label("holder:")
        holders = [Address(bytes.fromhex(x.removeprefix(prefix))) for x in answers if x.startswith(prefix)]
        accounts: dict[Address, MorphoAccount] = {}
        for holder in holders:
            supplied, owed, put_up = integer_answers(answers, prefix + holder.hex(), ("uint256",) * 3)
            earned = fee_shares if holder == recipient else 0
            accounts[holder] = MorphoAccount(supplied + earned, owed, put_up)
        return MorphoState(market, self._price(answers), MappingProxyType(accounts))

    def quote(self, state: MorphoState, action: Action, account: Address) -> Quote:
        return self.after(state, action, account).quote

    def after(self, state: MorphoState, action: Action, holder: Address) -> MorphoEffect:
        """The quote, and the state that is left; `UnavailableActionError` where Morpho would refuse."""
        account = self._account(state, holder)
        match action:
            case Supply():
                amount = self._amount(action.amount)
                quote = Quote(takes=(Exact(action.token, amount),), gives=())
                market, account = self._supplied(state, account, action.token, amount)
            case Withdraw():
                amount = self._amount(action.amount)
                quote = Quote(takes=(), gives=(Exact(action.token, amount),))
                market, account = self._withdrawn(state, account, action.token, amount)
            case Borrow():
                amount = self._amount(action.amount)
                quote = Quote(takes=(), gives=(Exact(self.loan, amount),))
                market, account = self._borrowed(state, account, action.token, amount)
            case Repay():
                paid, market, account = self._repaid(state, account, action)
                quote = Quote(takes=(Exact(self.loan, paid),), gives=())
            case _:
                raise unsupported(self.name, action)
        accounts = MappingProxyType({**state.accounts, holder: account})
        return MorphoEffect(quote, replace(state, market=market, accounts=accounts))

    def build(self, action: Action, account: Address) -> tuple[Operation, ...]:
        match action:
            case Supply() if action.token == self.collateral:
                return (self._paying(_PUT_UP, action.amount, (account, _NO_DATA), action),)
            case Supply():
                self._require_loan(action.token)
                return (self._paying(_SUPPLY, action.amount, (0, account, _NO_DATA), action),)
            case Withdraw() if action.token == self.collateral:
                return (self._receiving(_TAKE_BACK, action.amount, (account, account), action),)
            case Withdraw():
                self._require_loan(action.token)
                return (self._receiving(_WITHDRAW, action.amount, (0, account, account), action),)
            case Borrow():
                self._require_loan(action.token)
                return (self._receiving(_BORROW, action.amount, (0, account, account), action),)
            case Repay() if action.maximum == UINT256_MAX:
                self._require_loan(action.token)
                data = encode_call(_REPAY, (self.params, 0, 0, account, _NO_DATA))
                return (
                    RepayDebt(
                        self.morpho,
                        data,
                        _SHARES_WORD,
                        self.loan,
                        self.morpho,
                        UINT256_MAX,
                        allowance=UINT256_MAX,
                        kind=DebtKind.MORPHO_SHARES,
                        market=self.market_id,
                        measure=action.measure,
                    ),
                )
            case Repay():
                self._require_loan(action.token)
                return (self._paying(_REPAY, action.maximum, (0, account, _NO_DATA), action),)
            case _:
                raise unsupported(self.name, action)

    def bounds(self, action: Action, account: Address) -> tuple[TokenBound, ...]:
        """What positions may fall by, and the debt may rise by: Morpho's own calls know no such limit."""
        del account
        match action:
            case Withdraw() if action.token == self.collateral:
                return outflow_bound(self.views.collateral, action.amount, 0)
            case Withdraw():
                return outflow_bound(self.views.supply, action.amount)
            case Borrow():
                return debt_bound(self.views.debt, action.amount)
            case _:
                return ()

    def build_exit(self, state: MorphoState, account: Address) -> tuple[Operation, ...]:
        """Take back all that was lent, by shares, so that nothing stays behind."""
        shares = self._account(state, account).supply_shares
        return (Call(self.morpho, encode_call(_WITHDRAW, (self.params, 0, shares, account, account))),)

    def policy(self, account: Address) -> PolicyPart:
        """This market alone, any amount, only for ourselves, without callbacks."""
        del account
        params = tuple(equal_to(value) for value in self.params)
        no_data, us = content(_NO_DATA), ourselves()

        def listing(signature: str, *rules: Rule, reduce: bool) -> Listing:
            return Listing(self.morpho, signature, (*params, *rules), reduce=reduce)

        return PolicyPart(
            listings=(
                listing(_SUPPLY, anything(), equal_to(0), us, no_data, reduce=True),
                listing(_WITHDRAW, anything(), anything(), us, us, reduce=True),
                listing(_BORROW, anything(), equal_to(0), us, us, reduce=False),
                listing(_REPAY, anything(), anything(), us, no_data, reduce=True),
                listing(_PUT_UP, anything(), us, no_data, reduce=True),
                listing(_TAKE_BACK, anything(), us, us, reduce=True),
            ),
            tokens=(
                TokenPolicy(self.loan, TokenClass.PAID_OUT, allowance=True),
                TokenPolicy(self.collateral, TokenClass.PAID_OUT, allowance=True),
                *view_policy(self.views.collateral, TokenClass.KEPT),
                *view_policy(self.views.supply, TokenClass.KEPT),
                *view_policy(self.views.debt, TokenClass.DEBT),
            ),
        )

    def positions(self, state: MorphoState, holder: Address) -> tuple[Position, ...]:
        account, market = self._account(state, holder), state.market
        reference, views = hex_text(self.market_id), self.views
        lent = market.supply_assets_down(account.supply_shares)
        amounts = (
            (PositionKind.SUPPLIED, self.loan, lent, views.supply),
            (PositionKind.COLLATERAL, self.collateral, account.collateral, views.collateral),
            (PositionKind.DEBT, self.loan, market.borrow_assets_up(account.borrow_shares), views.debt),
        )
        return tuple(
            Position(holder, kind, token, amount, view, 0 if view is None else amount, reference)
            for kind, token, amount, view in amounts
            if amount
        )

    def liquidity(self, state: MorphoState, token: Address) -> int:
        """Collateral is lent to nobody: none of it can be had but by its owners."""
        if token == self.collateral:
            return 0
        self._require_loan(token)
        return state.market.liquidity

    def rates(self, state: MorphoState, token: Address, change: int = 0) -> Rates:
        if token == self.collateral:
            return Rates(None, None)
        self._require_loan(token)
        if -change > state.market.liquidity:
            raise self._short(-change, state)
        return Rates(*state.market.supplied(change, 0).rates_ray())

    def rates_with_debt(self, state: MorphoState, change: int) -> Rates:
        """Rates after our own borrowing (positive) or repayment (negative) of `change`."""
        if change > state.market.liquidity:
            raise self._short(change, state)
        return Rates(*state.market.borrowed(change, 0).rates_ray())

    def health_wad(self, state: MorphoState, holder: Address) -> int:
        """What may be owed over what is owed; below one it can be liquidated. UINT256_MAX without debt."""
        account = self._account(state, holder)
        owed = state.market.borrow_assets_up(account.borrow_shares)
        if owed == 0:
            return UINT256_MAX
        return mul_div_down(account.debt_limit_down(self._known_price(state), self.lltv_wad), WAD, owed)

    def dependencies(self) -> tuple[Dependency, ...]:
        return (
            Dependency(DependencyKind.PROTOCOL, "morpho-blue"),
            Dependency(DependencyKind.ORACLE, address_text(self.oracle).lower()),
            Dependency(DependencyKind.ASSET, address_text(self.loan).lower()),
            Dependency(DependencyKind.ASSET, address_text(self.collateral).lower()),
        )

    # ------------------------------------------------------------------ rules

    def _supplied(
        self, state: MorphoState, account: MorphoAccount, token: Address, amount: int
    ) -> tuple[MorphoMarket, MorphoAccount]:
        market = state.market
        if token == self.collateral:
            self._require_room(account.collateral + amount)
            return market, replace(account, collateral=account.collateral + amount)
        self._require_loan(token)
        shares = market.supply_shares_down(amount)
        self._require_room(market.supply_assets + amount)
        self._require_room(market.supply_shares + shares)
        return market.supplied(amount, shares), replace(account, supply_shares=account.supply_shares + shares)

    def _withdrawn(
        self, state: MorphoState, account: MorphoAccount, token: Address, amount: int
    ) -> tuple[MorphoMarket, MorphoAccount]:
        market = state.market
        if token == self.collateral:
            if amount > account.collateral:
                raise self._refused(f"{amount} of {account.collateral} cannot be taken back", "take less")
            left = replace(account, collateral=account.collateral - amount)
            self._require_health(state, market, left)
            return market, left
        self._require_loan(token)
        shares = market.supply_shares_up(amount)
        if shares > account.supply_shares:
            owned = market.supply_assets_down(account.supply_shares)
            raise self._refused(f"{amount} of {owned} lent cannot be taken back", "take less")
        if amount > market.liquidity:
            raise self._short(amount, state)
        left = replace(account, supply_shares=account.supply_shares - shares)
        return market.supplied(-amount, -shares), left

    def _borrowed(
        self, state: MorphoState, account: MorphoAccount, token: Address, amount: int
    ) -> tuple[MorphoMarket, MorphoAccount]:
        self._require_loan(token)
        if amount > state.market.liquidity:
            raise self._short(amount, state)
        shares = state.market.borrow_shares_up(amount)
        self._require_room(state.market.borrow_shares + shares)
        market = state.market.borrowed(amount, shares)
        owing = replace(account, borrow_shares=account.borrow_shares + shares)
        self._require_health(state, market, owing)
        return market, owing

    def _repaid(
        self, state: MorphoState, account: MorphoAccount, action: Repay
    ) -> tuple[int, MorphoMarket, MorphoAccount]:
        self._require_loan(action.token)
        amount = known_amount(action.maximum, self.name)
        owed = state.market.borrow_assets_up(account.borrow_shares)
        if owed == 0:
            raise self._refused("nothing is owed", "repay where something is owed")
        if amount == UINT256_MAX:
            amount, shares = owed, account.borrow_shares
        else:
            shares = state.market.borrow_shares_down(amount)
            if shares > account.borrow_shares:
                raise self._refused(f"{amount} is more than the {owed} owed", "repay UINT256_MAX to end it")
        left = replace(account, borrow_shares=account.borrow_shares - shares)
        return amount, state.market.borrowed(-amount, -shares), left

    def _require_health(self, state: MorphoState, market: MorphoMarket, account: MorphoAccount) -> None:
        if account.borrow_shares and not account.is_healthy(market, self._known_price(state), self.lltv_wad):
            raise self._refused("the collateral would not cover the debt", "borrow less, or put up more")

    def _require_room(self, total: int) -> None:
        if total > _UINT128_MAX:
            raise self._refused(f"{total} does not fit Morpho's 128-bit books", "use a smaller amount")

    # ------------------------------------------------------------------ details

    @property
    def params(self) -> tuple[Address, Address, Address, Address, int]:
        return (self.loan, self.collateral, self.oracle, self.rate_model, self.lltv_wad)

    def _paying(
        self,
        signature: str,
        amount: Amount,
        rest: tuple[Address | int | bytes, ...],
        action: Supply | Repay,
    ) -> Operation:
        if amount == UINT256_MAX:
            raise self._refused("the amount is not named", "name it")
        return CallWithAllowance(
            self.morpho,
            self._data(signature, amount, rest),
            action.token,
            amount,
            splices=word_splices({_ASSETS_WORD: amount}),
            measure=action.measure,
        )

    def _receiving(
        self,
        signature: str,
        amount: Amount,
        rest: tuple[Address | int, ...],
        action: Withdraw | Borrow,
    ) -> Operation:
        if amount == UINT256_MAX:
            raise self._refused("Morpho has no word for all", "name the amount, or use `build_exit`")
        data = self._data(signature, amount, rest)
        splices = word_splices({_ASSETS_WORD: amount})
        return Call(self.morpho, data, splices=splices, measure=action.measure)

    def _data(self, signature: str, amount: Amount, rest: tuple[Address | int | bytes, ...]) -> bytes:
        known = 0 if isinstance(amount, Measured) else amount
        return encode_call(signature, (self.params, known, *rest))

    def _amount(self, amount: Amount) -> int:
        known = known_amount(amount, self.name)
        self._require_room(known)
        return known

    def _account(self, state: MorphoState, holder: Address) -> MorphoAccount:
        if holder not in state.accounts:
            raise unread_holder(self.name, holder)
        return state.accounts[holder]

    def _price(self, answers: Answers) -> int | None:
        label = self._label("price")
        if label in answers and answers[label] is None:
            return None
        return integer_answer(answers, label, "uint256")

    def _known_price(self, state: MorphoState) -> int:
        if state.price is None:
            raise self._refused("the oracle does not answer", "wait, or repay what is owed")
        return state.price

    def _require_loan(self, token: Address) -> None:
        if token != self.loan:
            raise foreign_token(self.name, token)

    def _short(self, amount: int, state: MorphoState) -> Exception:
        return self._refused(f"{amount} is more than the {state.market.liquidity} at hand", "take less")

    def _refused(self, what: str, fix: str) -> Exception:
        return refused(what, self.name, fix)

    def _label(self, what: str) -> str:
        return f"{self.name}:{what}"


def _books(words: tuple[int, ...], rate_at_target_wad: int) -> MorphoMarket:
    supply_assets, supply_shares, borrow_assets, borrow_shares, updated_s, fee_wad = words
    return MorphoMarket(
        supply_assets,
        supply_shares,
        borrow_assets,
        borrow_shares,
        updated_s,
        fee_wad,
        rate_at_target_wad,
    )


def from_book(book: AddressBook) -> tuple[MorphoAdapter, ...]:
    """One adapter a market, told by its oracle's name: `morpho_oracle_COLLATERAL_LOAN_LIMITBPS`."""
    if "morpho" not in book:
        return ()
    markets = [entry.name for entry in book if entry.name.startswith(_ORACLE_PREFIX)]
    return tuple(_market(book, name) for name in markets)


def _market(book: AddressBook, oracle: str) -> MorphoAdapter:
    tokens, _, limit_bps = oracle.removeprefix(_ORACLE_PREFIX).rpartition("_")
    pairs = [
        (collateral, loan)
        for collateral, loan in (
            (tokens[:at], tokens[at + 1 :]) for at, letter in enumerate(tokens) if letter == "_"
        )
        if collateral in book and loan in book
    ]
    if len(pairs) != 1 or not limit_bps.isascii() or not limit_bps.isdigit():
        raise InputError(
            f"{oracle} names no market",
            f"address book of chain {book.chain_id}",
            "name it morpho_oracle_COLLATERAL_LOAN_LIMIT: two tokens of the book, and basis points",
        )
    ((collateral, loan),) = pairs
    place = f"morpho_{oracle.removeprefix(_ORACLE_PREFIX)}"
    return MorphoAdapter(
        chain_id=book.chain_id,
        name=f"morpho_blue:{collateral}-{loan}-{limit_bps}",
        morpho=book.address("morpho"),
        loan=book.address(loan),
        collateral=book.address(collateral),
        oracle=book.address(oracle),
        rate_model=book.address("morpho_irm"),
        lltv_wad=int(limit_bps) * _LIMIT_WAD_OF_BPS,
        views=MorphoViews(
            position_view(book, place, "collateral", collateral),
            position_view(book, place, "supply", loan),
            position_view(book, place, "debt", loan),
        ),
    )
