"""Adapters of Lido, Rocket Pool, the redeemable dollar, Compound V3, Curve and Convex: made from a book, and
refusing what does not belong to them, without any chain."""

from __future__ import annotations

import pytest

from seawall.chain.addresses import AddressBook, AddressEntry, AddressKind
from seawall.primitives.errors import UnavailableActionError
from seawall.primitives.units import NATIVE, Address
from seawall.protocols.adapters import (
    compound_v3,
    convex,
    curve,
    curve_crypto,
    lido,
    redeemable,
    rocket_pool,
)
from seawall.protocols.adapters.actions import Deposit, Redeem, RequestExit
from seawall.protocols.adapters.base import DependencyKind, HoldsByBounds
from seawall.protocols.adapters.erased import AnyAdapter, erased
from seawall.protocols.executor.operations import CallWithAllowance, Measured
from tests.conformance.variations import UNKNOWN

ME = Address(b"\xaa" * 20)
ETHER = 10**18
STABLE = "curve_stable_usdx_rusd"
NAMES = {
    "weth": AddressKind.TOKEN,
    "usdx": AddressKind.TOKEN,
    "rusd": AddressKind.TOKEN,
    "redeemable_usd": AddressKind.TOKEN,
    "redeemable_issuer": AddressKind.LENDER,
    "lido_steth": AddressKind.TOKEN,
    "lido_wsteth": AddressKind.TOKEN,
    "lido_queue": AddressKind.POSITIONS,
    "rocket_reth": AddressKind.TOKEN,
    "rocket_deposit": AddressKind.LENDER,
    "rocket_balances": AddressKind.AUTHORITY,
    "rocket_settings": AddressKind.AUTHORITY,
    "comet_usdx": AddressKind.LENDER,
    STABLE: AddressKind.POOL,
    "curve_crypto_usdx_weth": AddressKind.POOL,
    "crv": AddressKind.TOKEN,
    "convex_cvx": AddressKind.TOKEN,
    "convex_booster": AddressKind.LENDER,
    f"convex_{STABLE}_7": AddressKind.POSITIONS,
}


def book_of(names: dict[str, AddressKind]) -> AddressBook:
    book = AddressBook(31_337)
    for number, (name, kind) in enumerate(names.items(), 1):
        decimals = 6 if name == "usdx" else 18 if kind is AddressKind.TOKEN else None
        address = Address(number.to_bytes(20, "big"))
        book.add(AddressEntry(31_337, name, address, kind, "test", bytes(32), decimals=decimals))
    return book


BOOK = book_of(NAMES)


def made(book: AddressBook) -> list[AnyAdapter]:
    return [
        *(erased(adapter) for adapter in redeemable.from_book(book)),
        *(erased(adapter) for adapter in lido.from_book(book)),
        *(erased(adapter) for adapter in rocket_pool.from_book(book)),
        *(erased(adapter) for adapter in compound_v3.from_book(book)),
        *(erased(adapter) for adapter in curve.from_book(book)),
        *(erased(adapter) for adapter in curve_crypto.from_book(book)),
        *(erased(adapter) for adapter in convex.from_book(book)),
    ]


ADAPTERS = pytest.mark.parametrize("adapter", made(BOOK), ids=lambda adapter: adapter.name)


def test_a_book_makes_one_adapter_a_deployment_and_an_empty_one_none() -> None:
    assert [adapter.name for adapter in made(BOOK)] == [
        "redeemable_usd",
        "lido",
        "rocket_pool",
        "compound_v3:usdx",
        "curve_stable:usdx-rusd",
        "curve_crypto:usdx-weth",
        f"convex:{STABLE}",
    ]
    assert made(AddressBook(1)) == []


@pytest.mark.parametrize("missing", ["lido_queue", "rocket_settings", "redeemable_issuer", "crv", "usdx"])
def test_a_deployment_without_one_of_its_contracts_is_none(missing: str) -> None:
    some = made(book_of({name: kind for name, kind in NAMES.items() if name != missing}))
    assert 0 < len(some) < len(made(BOOK))


@ADAPTERS
def test_tokens_of_others_are_never_built_for(adapter: AnyAdapter) -> None:
    for action in UNKNOWN:
        with pytest.raises(UnavailableActionError) as refusal:
            adapter.build(action, ME)
        assert refusal.value.where.startswith(adapter.name)


@ADAPTERS
def test_dependencies_name_the_protocol_and_lower_case_assets(adapter: AnyAdapter) -> None:
    found = adapter.dependencies()
    assert any(entry.kind is DependencyKind.PROTOCOL for entry in found)
    assert all(entry.name == entry.name.lower() for entry in found)
    assert len(set(found)) == len(found)


@ADAPTERS
def test_policies_let_nobody_else_be_paid(adapter: AnyAdapter) -> None:
    part = adapter.policy(ME)
    assert part.listings
    assert len({(listing.target, listing.signature) for listing in part.listings}) == len(part.listings)


def test_what_compound_may_open_a_debt_with_is_not_for_reducing() -> None:
    (adapter,) = compound_v3.from_book(BOOK)
    reducing = {listing.signature for listing in adapter.policy(ME).listings if listing.reduce}
    assert reducing == {"supply(address,uint256)"}


def test_large_exits_from_lido_become_several_requests_within_its_limits() -> None:
    (adapter,) = lido.from_book(BOOK)
    steth, wsteth = BOOK.address("lido_steth"), BOOK.address("lido_wsteth")
    (operation,) = adapter.build(RequestExit(steth, 2_000 * ETHER + 3), ME)
    assert isinstance(operation, CallWithAllowance)
    words = [int.from_bytes(operation.data[4 + 32 * n : 36 + 32 * n]) for n in range(6)]
    assert words[2] == 3
    assert words[3:] == [1_000 * ETHER, 1_000 * ETHER - 100, 103]
    assert operation.allowance == 2_000 * ETHER + 3
    for amount in (99, 16_000 * ETHER + 1, 2**255):
        with pytest.raises(UnavailableActionError, match="is not within"):
            adapter.build(RequestExit(steth, amount), ME)
    (wrapped,) = adapter.build(RequestExit(wsteth, 5_000 * ETHER), ME)
    assert isinstance(wrapped, CallWithAllowance)
    assert wrapped.data[:4] != operation.data[:4]


def test_minimums_that_a_call_cannot_be_told_become_bounds() -> None:
    share = BOOK.address("rocket_reth")
    (adapter,) = rocket_pool.from_book(BOOK)
    assert isinstance(adapter, HoldsByBounds)
    (bound,) = adapter.bounds(Deposit(NATIVE, share, ETHER, 5), ME)
    assert (bound.token, bound.kind, bound.amount) == (share, "inflow", 5)
    (bound,) = adapter.bounds(Redeem(share, NATIVE, ETHER, 6), ME)
    assert (bound.token, bound.amount) == (NATIVE, 6)
    assert adapter.bounds(Deposit(NATIVE, share, ETHER), ME) == ()
    with pytest.raises(UnavailableActionError, match="measured on chain"):
        adapter.bounds(Deposit(NATIVE, share, ETHER, Measured("before")), ME)


def test_cvx_is_minted_less_by_cliffs_and_never_beyond_its_maximum() -> None:
    assert convex.cvx_minted_down(1_000, 0) == 1_000
    assert convex.cvx_minted_down(1_000, 10**23 - 1) == 1_000
    assert convex.cvx_minted_down(1_000, 10**23) == 999
    assert convex.cvx_minted_down(10**30, 99_950_000 * ETHER) == 50_000 * ETHER
    assert convex.cvx_minted_down(1_000, 10**26) == 0
