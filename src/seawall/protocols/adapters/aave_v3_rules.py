"""What an Aave V3.6 pool does with an action, or why it would refuse it: the state after, to the wei.

    after(state, action, holder) -> Effect(quote, state)

The checks are those of the pool's validation, in its own terms. Each refusal says which one. What the pool
does not ask (whether the holder has the tokens to pay with) is not asked here either.

Refused though the pool might allow it: borrowing in isolation mode, whose ceilings are not modelled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from seawall.markets.aave_v3 import (
    HEALTH_ONE_WAD,
    Account,
    AccountData,
    Category,
    Reserve,
    account_data,
    limits_bps,
)
from seawall.primitives.bounds import UINT256_MAX
from seawall.primitives.units import BPS, Address, address_text, mul_div_up
from seawall.protocols.adapters.actions import Action, Borrow, Repay, Supply, Withdraw
from seawall.protocols.adapters.base import Exact, Quote
from seawall.protocols.adapters.refusals import (
    foreign_token,
    known_amount,
    refused,
    unread_holder,
    unsupported,
)

__all__ = ["AaveState", "Effect", "account_of", "after", "reserve_of", "summary"]


@dataclass(frozen=True, slots=True)
class AaveState:
    """A pool at one second: reserves accrued to it, and what the asked holders have."""

    name: str
    """Of the adapter, for refusals."""
    revision: int
    reserves: Mapping[Address, Reserve]
    accounts: Mapping[Address, Account]
    categories: Mapping[int, Category] = field(default_factory=lambda: MappingProxyType({}))
    flash_premium_bps: int = 0
    may_borrow: bool = True
    """False while a sequencer's sentinel forbids it."""


@dataclass(frozen=True, slots=True)
class Effect:
    quote: Quote
    state: AaveState


def after(state: AaveState, action: Action, holder: Address) -> Effect:
    """The quote, and the state that is left; `UnavailableActionError` where the pool would refuse."""
    match action:
        case Supply():
            return _supplied(state, holder, action.token, known_amount(action.amount, state.name))
        case Withdraw():
            return _withdrawn(state, holder, action.token, known_amount(action.amount, state.name))
        case Borrow():
            return _borrowed(state, holder, action.token, known_amount(action.amount, state.name))
        case Repay():
            return _repaid(state, holder, action.token, known_amount(action.maximum, state.name))
        case _:
            raise unsupported(state.name, action)


def reserve_of(state: AaveState, token: Address, *, with_curve: bool = False) -> Reserve:
    if token not in state.reserves:
        raise foreign_token(state.name, token)
    reserve = state.reserves[token]
    if with_curve and reserve.curve is None:
        raise _refused(state, reserve, "its rate curve was not read", "answer the adapter's `more_reads` too")
    return reserve


def account_of(state: AaveState, holder: Address) -> Account:
    if holder not in state.accounts:
        raise unread_holder(state.name, holder)
    account = state.accounts[holder]
    known = {reserve.number for reserve in state.reserves.values()}
    foreign = {*account.collateral_numbers, *account.borrowed_numbers} - known
    if foreign:
        raise refused(
            f"{address_text(holder)} uses reserves {sorted(foreign)}, which the address book lacks",
            state.name,
            "enter their tokens in the address book",
        )
    return account


def summary(state: AaveState, account: Account) -> AccountData:
    """Health and totals, as the pool would answer now."""
    return account_data(state.reserves.values(), account, _category(state, account))


def _supplied(state: AaveState, holder: Address, token: Address, amount: int) -> Effect:
    reserve = reserve_of(state, token, with_curve=True)
    account = account_of(state, holder)
    _require_open(state, reserve)
    _require_not_frozen(state, reserve)
    minted = reserve.minted_down(amount)
    if minted == 0:
        raise _refused(state, reserve, f"{amount} is too little to be counted", "supply more")
    cap = reserve.settings.supply_cap * 10**reserve.settings.decimals
    total = reserve.supplied_down(reserve.supplied_scaled + minted + reserve.treasury_scaled)
    if cap and total > cap:
        raise _refused(
            state, reserve, f"{total} would be over the supply cap of {cap}", "supply less, or wait"
        )
    held = account.supplied_scaled[token]
    is_collateral = account.uses_as_collateral(reserve) or (
        held == 0 and _becomes_collateral(state, account, reserve)
    )
    gained = reserve.supplied_down(held + minted) - reserve.supplied_down(held)
    return _effect(
        state,
        holder,
        reserve.changed(added=amount, supplied_scaled=minted),
        account.with_supplied(reserve, held + minted, is_collateral=is_collateral),
        Quote(takes=(Exact(token, amount),), gives=(Exact(reserve.receipt, gained),)),
    )


def _withdrawn(state: AaveState, holder: Address, token: Address, amount: int) -> Effect:
    reserve = reserve_of(state, token, with_curve=True)
    account = account_of(state, holder)
    _require_open(state, reserve)
    held = account.supplied_scaled[token]
    takes_all = amount == UINT256_MAX
    burnt = held if takes_all else reserve.burnt_up(amount)
    amount = reserve.supplied_down(held) if takes_all else amount
    if burnt == 0 or burnt > held:
        owned = reserve.supplied_down(held)
        raise _refused(state, reserve, f"{amount} of {owned} supplied cannot be withdrawn", "withdraw less")
    if amount > reserve.balance:
        raise _refused(
            state, reserve, f"{amount} is more than the {reserve.balance} at hand", "withdraw less, or wait"
        )
    left = held - burnt
    was_collateral = account.uses_as_collateral(reserve)
    next_account = account.with_supplied(reserve, left, is_collateral=was_collateral and left > 0)
    if was_collateral and account.borrows_any:
        _require_health_after_withdrawal(state, next_account, reserve)
    lost = reserve.supplied_down(held) - reserve.supplied_down(left)
    return _effect(
        state,
        holder,
        reserve.changed(taken=amount, supplied_scaled=-burnt),
        next_account,
        Quote(takes=(Exact(reserve.receipt, lost),), gives=(Exact(token, amount),)),
    )


def _borrowed(state: AaveState, holder: Address, token: Address, amount: int) -> Effect:
    reserve = reserve_of(state, token, with_curve=True)
    account = account_of(state, holder)
    _require_open(state, reserve)
    _require_not_frozen(state, reserve)
    _require_borrowable(state, account, reserve)
    minted = reserve.debt_minted_up(amount)
    if reserve.owed_up(minted) > reserve.supplied_down(reserve.supplied_scaled) or amount > reserve.balance:
        raise _refused(
            state, reserve, f"{amount} is more than the {reserve.balance} at hand", "borrow less, or wait"
        )
    cap = reserve.settings.borrow_cap * 10**reserve.settings.decimals
    total = reserve.owed_up(reserve.debt_scaled + minted)
    if cap and total > cap:
        raise _refused(
            state, reserve, f"{total} would be over the borrow cap of {cap}", "borrow less, or wait"
        )
    owed = account.debt_scaled[token]
    next_account = account.with_debt(reserve, owed + minted)
    _require_covered(state, next_account, reserve)
    grown = reserve.owed_up(owed + minted) - reserve.owed_up(owed)
    return _effect(
        state,
        holder,
        reserve.changed(taken=amount, debt_scaled=minted),
        next_account,
        Quote(takes=(), gives=(Exact(token, amount),), owes=(Exact(reserve.debt_token, grown),)),
    )


def _repaid(state: AaveState, holder: Address, token: Address, maximum: int) -> Effect:
    reserve = reserve_of(state, token, with_curve=True)
    account = account_of(state, holder)
    _require_open(state, reserve)
    scaled = account.debt_scaled[token]
    if scaled == 0:
        raise _refused(
            state, reserve, f"{address_text(holder)} owes nothing", "repay where something is owed"
        )
    owed = reserve.owed_up(scaled)
    amount = min(maximum, owed)
    burnt = reserve.debt_burnt_down(amount)
    if burnt == 0:
        raise _refused(state, reserve, f"{amount} is too little to be counted", "repay more")
    left = reserve.owed_up(scaled - burnt)
    return _effect(
        state,
        holder,
        reserve.changed(added=amount, debt_scaled=-burnt),
        account.with_debt(reserve, scaled - burnt),
        Quote(takes=(Exact(token, amount),), gives=(), owes=(Exact(reserve.debt_token, left - owed),)),
    )


def _effect(state: AaveState, holder: Address, reserve: Reserve, account: Account, quote: Quote) -> Effect:
    reserves = MappingProxyType({**state.reserves, reserve.token: reserve})
    accounts = MappingProxyType({**state.accounts, holder: account})
    return Effect(quote, replace(state, reserves=reserves, accounts=accounts))


def _require_open(state: AaveState, reserve: Reserve) -> None:
    if not reserve.settings.is_active:
        raise _refused(state, reserve, "the reserve is not active", "use another lender")
    if reserve.settings.is_paused:
        raise _refused(state, reserve, "the reserve is paused", "wait until it is opened again")


def _require_not_frozen(state: AaveState, reserve: Reserve) -> None:
    if reserve.settings.is_frozen:
        raise _refused(
            state, reserve, "the reserve is frozen: it takes and lends nothing new", "use another lender"
        )


def _require_borrowable(state: AaveState, account: Account, reserve: Reserve) -> None:
    category = _category(state, account)
    if category is not None and not category.lends(reserve):
        what = f"efficiency mode {account.category} does not lend it"
        raise _refused(state, reserve, what, "leave the mode, or borrow what it lends")
    if category is None and not reserve.settings.can_be_borrowed:
        raise _refused(state, reserve, "the reserve does not lend", "use another lender")
    if not state.may_borrow:
        raise _refused(state, reserve, "the sequencer was down: nothing is lent", "wait for its grace period")
    borrowed = [other for other in state.reserves.values() if account.borrows(other)]
    lone = borrowed[0] if len(borrowed) == 1 else None
    if lone is not None and lone.settings.is_siloed:
        if lone.token != reserve.token:
            raise _refused(state, reserve, "what is owed allows no other debt beside it", "repay it first")
    elif borrowed and reserve.settings.is_siloed:
        raise _refused(state, reserve, "it may only be owed alone", "repay the other debts first")
    if _is_isolated(state, account):
        raise _refused(state, reserve, "debts in isolation mode are not quoted", "use other collateral")


def _require_covered(state: AaveState, account: Account, reserve: Reserve) -> None:
    data = summary(state, account)
    if data.ltv_bps == 0:
        raise _refused(state, reserve, "nothing counts as collateral", "supply collateral first")
    if data.health_wad < HEALTH_ONE_WAD:
        raise _refused(state, reserve, f"health would be {data.health_wad} of 1e18", "borrow less")
    needed = mul_div_up(data.debt_base, BPS, data.ltv_bps)
    if data.collateral_base < needed:
        what = f"collateral of {data.collateral_base} is less than {needed} (base currency)"
        raise _refused(state, reserve, what, "borrow less, or supply more collateral")


def _require_health_after_withdrawal(state: AaveState, account: Account, reserve: Reserve) -> None:
    data = summary(state, account)
    if data.health_wad < HEALTH_ONE_WAD:
        raise _refused(
            state, reserve, f"health would be {data.health_wad} of 1e18", "withdraw less, or repay"
        )
    if data.has_collateral_without_ltv and limits_bps(reserve, _category(state, account))[0] != 0:
        what = "collateral that nothing can be borrowed against must leave first"
        raise _refused(state, reserve, what, "withdraw the token whose loan to value is zero")


def _becomes_collateral(state: AaveState, account: Account, reserve: Reserve) -> bool:
    """Whether a first supply counts as collateral by itself."""
    if reserve.settings.debt_ceiling or limits_bps(reserve, _category(state, account))[0] == 0:
        return False
    return not _is_isolated(state, account)


def _is_isolated(state: AaveState, account: Account) -> bool:
    used = [reserve for reserve in state.reserves.values() if account.uses_as_collateral(reserve)]
    return len(used) == 1 and used[0].settings.debt_ceiling != 0


def _category(state: AaveState, account: Account) -> Category | None:
    if account.category == 0:
        return None
    if account.category not in state.categories:
        raise refused(
            f"efficiency mode {account.category} was not read",
            state.name,
            "answer the adapter's `more_reads` too",
        )
    return state.categories[account.category]


def _refused(state: AaveState, reserve: Reserve, what: str, fix: str) -> Exception:
    return refused(what, f"{state.name}, {address_text(reserve.token)}", fix)
