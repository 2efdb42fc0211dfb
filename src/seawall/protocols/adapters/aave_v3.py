"""Aave V3.6, and what was deployed from the same code: Spark is this adapter with other addresses.

Flow: reads of every reserve (books, totals, price) and of each holder; a second round for rate curves, for
the efficiency modes that holders are in and for a sequencer's sentinel; `decode` accrues all of it to the
block's second. What the pool does with an action is in `aave_v3_rules`; the arithmetic is in
`markets.aave_v3`.

Debts are told in `owes`, in debt tokens. Rates for a change of zero are those that the pool pays
now; the next action of anybody, of whatever size, also writes in what was accrued since.

Exact for the pool's revision named below, whose rounding is modelled; quotes and rates of another revision
are refused, positions and liquidity are still told. Not here: liquidations, rewards, switching collateral or
efficiency mode, debts in isolation mode.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from seawall.chain.addresses import AddressBook
from seawall.markets.aave_v3 import (
    Account,
    AccountData,
    Category,
    RateCurve,
    Reserve,
    ReserveSettings,
    percent_up,
)
from seawall.markets.errors import PoolStateError
from seawall.native import encode_call, keccak256
from seawall.primitives.blocks import Block, Read
from seawall.primitives.errors import InputError, ProtocolError
from seawall.primitives.units import ZERO_ADDRESS, Address, address_text
from seawall.protocols.adapters.aave_v3_rules import AaveState, account_of, after, reserve_of, summary
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
from seawall.protocols.adapters.refusals import foreign_token, refused, unsupported
from seawall.protocols.answers import Answers, address_answer, integer_answer, integer_answers
from seawall.protocols.executor.operations import Call, CallWithAllowance, Operation, RepayDebt
from seawall.protocols.executor.policy import (
    Listing,
    MemberSet,
    TokenClass,
    TokenPolicy,
    anything,
    equal_to,
    in_set,
    ourselves,
)

__all__ = ["AaveAdapter", "AaveReserve", "from_book"]

# Of the pool: 3.6. Earlier ones round differently.
REVISIONS_KNOWN: Final = frozenset({10})

_VARIABLE_RATE: Final = 2
_NO_REFERRAL: Final = 0
_SUPPLY: Final = "supply(address,uint256,address,uint16)"
_WITHDRAW: Final = "withdraw(address,uint256,address)"
_BORROW: Final = "borrow(address,uint256,uint256,uint16,address)"
_REPAY: Final = "repay(address,uint256,uint256,address)"
_AMOUNT_WORD: Final = 1

# Words of `getReserveData`.
_DATA_WORDS: Final = ("uint256",) * 15
_CONFIGURATION, _LIQUIDITY_INDEX, _LIQUIDITY_RATE, _DEBT_INDEX, _DEBT_RATE = range(5)
_UPDATED, _NUMBER, _RECEIPT, _DEBT_TOKEN, _RATES, _TREASURY = 6, 7, 8, 10, 11, 12


@dataclass(frozen=True, slots=True)
class AaveReserve:
    """One token of a deployment, as the address book has it."""

    token: Address
    receipt: Address
    debt_token: Address


@dataclass(frozen=True, slots=True)
class AaveAdapter:
    chain_id: int
    name: str
    pool: Address
    provider: Address
    oracle: Address
    reserves: tuple[AaveReserve, ...]

    @property
    def actions(self) -> frozenset[type[Action]]:
        return frozenset({Supply, Withdraw, Borrow, Repay})

    def reads(self, holders: tuple[Address, ...] = ()) -> tuple[Read, ...]:
        return (
            self._read("revision", self.pool, "POOL_REVISION()"),
            self._read("premium", self.pool, "FLASHLOAN_PREMIUM_TOTAL()"),
            self._read("oracle", self.provider, "getPriceOracle()"),
            self._read("sentinel", self.provider, "getPriceOracleSentinel()"),
            *(read for reserve in self.reserves for read in self._reserve_reads(reserve)),
            *(read for holder in holders for read in self._holder_reads(holder)),
        )

    def more_reads(self, answers: Answers, holders: tuple[Address, ...] = ()) -> tuple[Read, ...]:
        """Rate curves, efficiency modes that holders are in, and whether the sentinel allows debts."""
        wanted = [
            self._read(
                f"{one.token.hex()}:curve",
                self._rates_contract(answers, one),
                "getInterestRateDataBps(address)",
                one.token,
            )
            for one in self.reserves
            if self._label(f"{one.token.hex()}:curve") not in answers
        ]
        for category in sorted({self._mode(answers, holder) for holder in holders} - {0}):
            wanted += self._category_reads(category)
        sentinel = address_answer(answers, self._label("sentinel"))
        if sentinel != ZERO_ADDRESS:
            wanted.append(self._read("may-borrow", sentinel, "isBorrowAllowed()"))
        return tuple(read for read in wanted if read.label not in answers)

    def decode(self, answers: Answers, block: Block) -> AaveState:
        oracle = address_answer(answers, self._label("oracle"))
        if oracle != self.oracle:
            raise self._moved("the oracle", oracle)
        sentinel = address_answer(answers, self._label("sentinel"))
        may_borrow = sentinel == ZERO_ADDRESS or self._sentinel_allows(answers)
        prefix = self._label("mode:")
        holders = [Address(bytes.fromhex(x.removeprefix(prefix))) for x in answers if x.startswith(prefix)]
        try:
            reserves = {one.token: self._reserve(answers, one, block.timestamp_s) for one in self.reserves}
        except PoolStateError as error:
            raise ProtocolError(error.what, self.name, error.fix) from error
        return AaveState(
            name=self.name,
            revision=integer_answer(answers, self._label("revision"), "uint256"),
            reserves=MappingProxyType(reserves),
            accounts=MappingProxyType({holder: self._account(answers, holder) for holder in holders}),
            categories=MappingProxyType(self._categories(answers)),
            flash_premium_bps=integer_answer(answers, self._label("premium"), "uint256"),
            may_borrow=may_borrow,
        )

    def quote(self, state: AaveState, action: Action, account: Address) -> Quote:
        self._require_known_revision(state)
        return after(state, action, account).quote

    def build(self, action: Action, account: Address) -> tuple[Operation, ...]:
        match action:
            case Supply():
                self._reserve_of(action.token)
                data, splices = call_data(_SUPPLY, (action.token, action.amount, account, _NO_REFERRAL))
                return (
                    CallWithAllowance(
                        self.pool,
                        data,
                        action.token,
                        action.amount,
                        splices=splices,
                        measure=action.measure,
                    ),
                )
            case Repay():
                debt_token = self._reserve_of(action.token).debt_token
                data, _ = call_data(_REPAY, (action.token, 0, _VARIABLE_RATE, account))
                return (
                    RepayDebt(
                        self.pool,
                        data,
                        _AMOUNT_WORD,
                        action.token,
                        debt_token,
                        action.maximum,
                        measure=action.measure,
                    ),
                )
            case Withdraw():
                self._reserve_of(action.token)
                data, splices = call_data(_WITHDRAW, (action.token, action.amount, account))
                return (Call(self.pool, data, splices=splices, measure=action.measure),)
            case Borrow():
                self._reserve_of(action.token)
                data, splices = call_data(
                    _BORROW, (action.token, action.amount, _VARIABLE_RATE, _NO_REFERRAL, account)
                )
                return (Call(self.pool, data, splices=splices, measure=action.measure),)
            case _:
                raise unsupported(self.name, action)

    def policy(self, account: Address) -> PolicyPart:
        """Any amount of the reserves' tokens, only for ourselves, and debts at the variable rate."""
        del account
        digest = keccak256(b"%d:%s:reserves" % (self.chain_id, self.pool))
        tokens = MemberSet(
            int.from_bytes(digest, "big"),
            tuple(int.from_bytes(reserve.token, "big") for reserve in self.reserves),
        )
        token, mode, nobody = in_set(tokens.set_id), equal_to(_VARIABLE_RATE), equal_to(_NO_REFERRAL)
        return PolicyPart(
            listings=(
                Listing(self.pool, _SUPPLY, (token, anything(), ourselves(), nobody), reduce=True),
                Listing(self.pool, _WITHDRAW, (token, anything(), ourselves()), reduce=True),
                Listing(self.pool, _BORROW, (token, anything(), mode, nobody, ourselves())),
                Listing(self.pool, _REPAY, (token, anything(), mode, ourselves()), reduce=True),
            ),
            tokens=tuple(
                policy
                for reserve in self.reserves
                for policy in (
                    TokenPolicy(reserve.token, allowance=True),
                    TokenPolicy(reserve.receipt, TokenClass.KEPT),
                    TokenPolicy(reserve.debt_token, TokenClass.DEBT),
                )
            ),
            sets=(tokens,),
        )

    def positions(self, state: AaveState, holder: Address) -> tuple[Position, ...]:
        account = account_of(state, holder)
        found: list[Position] = []
        for reserve in state.reserves.values():
            supplied = reserve.supplied_down(account.supplied_scaled[reserve.token])
            owed = reserve.owed_up(account.debt_scaled[reserve.token])
            counts = account.uses_as_collateral(reserve)
            kind = PositionKind.COLLATERAL if counts else PositionKind.SUPPLIED
            if supplied:
                found.append(Position(holder, kind, reserve.token, supplied, reserve.receipt, supplied))
            if owed:
                found.append(
                    Position(holder, PositionKind.DEBT, reserve.token, owed, reserve.debt_token, owed)
                )
        return tuple(found)

    def liquidity(self, state: AaveState, token: Address) -> int:
        reserve = reserve_of(state, token)
        is_open = reserve.settings.is_active and not reserve.settings.is_paused
        return reserve.balance if is_open else 0

    def rates(self, state: AaveState, token: Address, change: int = 0) -> Rates:
        self._require_known_revision(state)
        reserve = reserve_of(state, token, with_curve=True)
        if reserve.balance + change < 0:
            raise refused(
                f"{-change} is more than the {reserve.balance} at hand", self.name, "withdraw less, or wait"
            )
        if change:
            reserve = reserve.changed(added=max(change, 0), taken=max(-change, 0))
        return Rates(reserve.liquidity_rate_ray, reserve.debt_rate_ray)

    def rates_with_debt(self, state: AaveState, token: Address, change: int) -> Rates:
        """Rates after our own borrowing (positive) or repayment (negative) of `change`."""
        self._require_known_revision(state)
        reserve = reserve_of(state, token, with_curve=True)
        debt = reserve.debt_minted_up(change) if change > 0 else -reserve.debt_burnt_down(-change)
        if reserve.balance < change or reserve.debt_scaled + debt < 0:
            raise refused(f"{change} is more than is at hand, or owed", self.name, "change less")
        changed = reserve.changed(added=max(-change, 0), taken=max(change, 0), debt_scaled=debt)
        return Rates(changed.liquidity_rate_ray, changed.debt_rate_ray)

    def dependencies(self) -> tuple[Dependency, ...]:
        protocols = dict.fromkeys(("aave-v3", self.name.replace("_", "-")))
        return (
            *(Dependency(DependencyKind.PROTOCOL, name) for name in protocols),
            Dependency(DependencyKind.ORACLE, _lower(self.oracle)),
            *(Dependency(DependencyKind.ASSET, _lower(reserve.token)) for reserve in self.reserves),
        )

    def account(self, state: AaveState, holder: Address) -> AccountData:
        """Totals and health, as the pool's `getUserAccountData` answers them."""
        return summary(state, account_of(state, holder))

    def flash_fee_up(self, state: AaveState, loan: Exact) -> int:
        """What a flash loan costs; `UnavailableActionError` where the pool would not give it."""
        reserve = reserve_of(state, loan.token)
        settings = reserve.settings
        if settings.is_paused or not settings.is_active or not settings.has_flash_loans:
            raise refused("flash loans of it are switched off", self.name, "use another lender")
        if loan.amount > min(reserve.balance, reserve.supplied_down(reserve.supplied_scaled)):
            raise refused(
                f"{loan.amount} is more than the {reserve.balance} at hand", self.name, "borrow less"
            )
        return percent_up(loan.amount, state.flash_premium_bps)

    def _reserve_reads(self, reserve: AaveReserve) -> Iterable[Read]:
        token = reserve.token
        for what, target, signature in (
            ("data", self.pool, "getReserveData(address)"),
            ("balance", self.pool, "getVirtualUnderlyingBalance(address)"),
            ("deficit", self.pool, "getReserveDeficit(address)"),
            ("price", self.oracle, "getAssetPrice(address)"),
        ):
            yield self._read(f"{token.hex()}:{what}", target, signature, token)
        yield self._read(f"{token.hex()}:supplied", reserve.receipt, "scaledTotalSupply()")
        yield self._read(f"{token.hex()}:owed", reserve.debt_token, "scaledTotalSupply()")

    def _holder_reads(self, holder: Address) -> Iterable[Read]:
        yield self._read(f"mode:{holder.hex()}", self.pool, "getUserEMode(address)", holder)
        yield self._read(f"flags:{holder.hex()}", self.pool, "getUserConfiguration(address)", holder)
        for reserve in self.reserves:
            for what, target in (("supplied", reserve.receipt), ("owed", reserve.debt_token)):
                label = f"{reserve.token.hex()}:{what}:{holder.hex()}"
                yield self._read(label, target, "scaledBalanceOf(address)", holder)

    def _category_reads(self, category: int) -> Iterable[Read]:
        for what in ("CollateralConfig", "CollateralBitmap", "BorrowableBitmap", "LtvzeroBitmap"):
            signature = f"getEModeCategory{what}(uint8)"
            yield self._read(f"category:{category}:{what}", self.pool, signature, category)

    def _reserve(self, answers: Answers, listed: AaveReserve, now_s: int) -> Reserve:
        prefix = f"{listed.token.hex()}:"
        data = integer_answers(answers, self._label(prefix + "data"), _DATA_WORDS)
        for what, word, ours in (
            ("the receipt token", _RECEIPT, listed.receipt),
            ("the debt token", _DEBT_TOKEN, listed.debt_token),
        ):
            if data[word] != int.from_bytes(ours, "big"):
                raise self._moved(what, _address(data[word]))
        if data[_UPDATED] > now_s:
            raise ProtocolError(
                f"interest was written at {data[_UPDATED]}, after the block of {now_s}",
                self.name,
                "answer all reads at the block that is given",
            )

        def integer(what: str) -> int:
            return integer_answer(answers, self._label(prefix + what), "uint256")

        return Reserve(
            token=listed.token,
            receipt=listed.receipt,
            debt_token=listed.debt_token,
            number=data[_NUMBER],
            settings=ReserveSettings.of_word(data[_CONFIGURATION]),
            curve=self._curve(answers, prefix),
            liquidity_index_ray=data[_LIQUIDITY_INDEX],
            liquidity_rate_ray=data[_LIQUIDITY_RATE],
            debt_index_ray=data[_DEBT_INDEX],
            debt_rate_ray=data[_DEBT_RATE],
            updated_s=data[_UPDATED],
            supplied_scaled=integer("supplied"),
            debt_scaled=integer("owed"),
            treasury_scaled=data[_TREASURY],
            balance=integer("balance"),
            deficit=integer("deficit"),
            price=integer("price"),
        ).accrued(now_s)

    def _curve(self, answers: Answers, prefix: str) -> RateCurve | None:
        """None where the second round was not asked."""
        label = self._label(prefix + "curve")
        if label not in answers:
            return None
        optimal, base, slope1, slope2 = integer_answers(answers, label, ("uint256",) * 4)
        return RateCurve(optimal, base, slope1, slope2)

    def _rates_contract(self, answers: Answers, reserve: AaveReserve) -> Address:
        label = self._label(f"{reserve.token.hex()}:data")
        return _address(integer_answer(answers, label, "uint256", _RATES))

    def _account(self, answers: Answers, holder: Address) -> Account:
        def scaled(what: str) -> dict[Address, int]:
            labels = {one.token: f"{one.token.hex()}:{what}:{holder.hex()}" for one in self.reserves}
            return {
                token: integer_answer(answers, self._label(label), "uint256")
                for token, label in labels.items()
            }

        return Account(
            flags=integer_answer(answers, self._label(f"flags:{holder.hex()}"), "uint256"),
            category=self._mode(answers, holder),
            supplied_scaled=MappingProxyType(scaled("supplied")),
            debt_scaled=MappingProxyType(scaled("owed")),
        )

    def _categories(self, answers: Answers) -> dict[int, Category]:
        prefix, suffix = self._label("category:"), ":CollateralConfig"
        numbers = [
            int(label.removeprefix(prefix).removesuffix(suffix))
            for label in answers
            if label.startswith(prefix) and label.endswith(suffix)
        ]
        return {number: self._category(answers, number) for number in numbers}

    def _category(self, answers: Answers, number: int) -> Category:
        label = self._label(f"category:{number}:")
        ltv_bps, threshold_bps, _ = integer_answers(answers, label + "CollateralConfig", ("uint256",) * 3)
        bitmaps = [
            integer_answer(answers, f"{label}{what}Bitmap", "uint256")
            for what in ("Collateral", "Borrowable", "Ltvzero")
        ]
        return Category(ltv_bps, threshold_bps, *bitmaps)

    def _mode(self, answers: Answers, holder: Address) -> int:
        return integer_answer(answers, self._label(f"mode:{holder.hex()}"), "uint256")

    def _sentinel_allows(self, answers: Answers) -> bool:
        """A sentinel that was not asked forbids."""
        label = self._label("may-borrow")
        return label in answers and integer_answer(answers, label, "uint256") != 0

    def _reserve_of(self, token: Address) -> AaveReserve:
        found = next((reserve for reserve in self.reserves if reserve.token == token), None)
        if found is None:
            raise foreign_token(self.name, token)
        return found

    def _require_known_revision(self, state: AaveState) -> None:
        if state.revision not in REVISIONS_KNOWN:
            raise refused(
                f"the pool's revision {state.revision} may round in another way than is known",
                self.name,
                "use it once an adapter knows this revision",
            )

    def _moved(self, what: str, found: Address) -> ProtocolError:
        return ProtocolError(
            f"{what} is {address_text(found)} now, not what the address book says",
            self.name,
            "check the change, and correct the address book",
        )

    def _read(self, label: str, target: Address, signature: str, *arguments: Address | int) -> Read:
        return Read(self._label(label), target, encode_call(signature, arguments))

    def _label(self, what: str) -> str:
        return f"{self.name}:{self.pool.hex()}:{what}"


@dataclass(frozen=True, slots=True)
class _Names:
    """How a deployment's contracts are called in an address book."""

    adapter: str
    prefix: str
    receipt_prefix: str


_DEPLOYMENTS: Final = (_Names("aave_v3", "aave", "a"), _Names("spark", "spark", "sp"))


def from_book(book: AddressBook) -> tuple[AaveAdapter, ...]:
    """One adapter a deployment whose pool the book has, with the reserves whose three tokens it has.

    Accounts that use others are refused: their health cannot be told.
    """
    return tuple(_deployed(book, names) for names in _DEPLOYMENTS if f"{names.prefix}_pool" in book)


def _deployed(book: AddressBook, names: _Names) -> AaveAdapter:
    debt_prefix = f"{names.prefix}_debt_"
    reserves = []
    for entry in book:
        if not entry.name.startswith(debt_prefix):
            continue
        token = entry.name.removeprefix(debt_prefix)
        underlying, receipt = _underlying(book, token), f"{names.receipt_prefix}_{token}"
        if underlying is not None and receipt in book:
            reserves.append(AaveReserve(underlying, book.address(receipt), entry.address))
    if not reserves:
        raise InputError(
            f"{names.prefix}_pool has no reserves",
            f"address book of chain {book.chain_id}",
            f"enter {debt_prefix}TOKEN and {names.receipt_prefix}_TOKEN beside each TOKEN",
        )
    return AaveAdapter(
        chain_id=book.chain_id,
        name=names.adapter,
        pool=book.address(f"{names.prefix}_pool"),
        provider=book.address(f"{names.prefix}_provider"),
        oracle=book.address(f"{names.prefix}_oracle"),
        reserves=tuple(reserves),
    )


def _underlying(book: AddressBook, token: str) -> Address | None:
    """Staking tokens stand in a book under the protocol that made them."""
    names = (token, f"lido_{token}", f"rocket_{token}")
    return next((book.address(name) for name in names if name in book), None)


def _address(word: int) -> Address:
    return Address(word.to_bytes(32, "big")[12:])


def _lower(address: Address) -> str:
    return address_text(address).lower()
