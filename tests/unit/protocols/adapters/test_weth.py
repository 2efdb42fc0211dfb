"""The model adapter and how adapters are held alike."""

from __future__ import annotations

import pytest

from seawall.chain.addresses import AddressBook, AddressEntry, AddressKind
from seawall.native import abi_encode
from seawall.primitives.blocks import Block
from seawall.primitives.errors import InputError, ProtocolError, UnavailableActionError
from seawall.primitives.units import NATIVE, Address, Hash
from seawall.protocols.adapters import catalogue
from seawall.protocols.adapters.actions import Deposit, Redeem, Swap
from seawall.protocols.adapters.base import Exact, PositionKind
from seawall.protocols.adapters.catalogue import adapters_of
from seawall.protocols.adapters.erased import AnyAdapter, Snapshot, erased, gather
from seawall.protocols.adapters.weth import WethAdapter, from_book
from seawall.protocols.executor.operations import Call, Measured, Splice

WETH = Address(b"\x11" * 20)
OTHER = Address(b"\x22" * 20)
US = Address(b"\x33" * 20)
HASH = Hash(bytes(32))
BLOCK = Block(1, 2, HASH, HASH, 3, 4, 5, OTHER, HASH)
SUPPLY = 1_000
BOOK = AddressBook(1, [AddressEntry(1, "weth", WETH, AddressKind.TOKEN, "test", bytes(32))])
ADAPTER = adapters_of(BOOK)["weth"]


def answered(adapter: AnyAdapter, values: dict[bytes, int]) -> Snapshot:
    reads = adapter.reads((US,))
    balance, supply = values[b"balance"], values[b"supply"]
    raw = {r.label: abi_encode(["uint256"], (supply if r is reads[0] else balance,)) for r in reads}
    return adapter.at(gather(adapter, lambda wanted: {r.label: raw[r.label] for r in wanted}, (US,)), BLOCK)


def snapshot(balance: int = 7) -> Snapshot:
    return answered(ADAPTER, {b"balance": balance, b"supply": SUPPLY})


def test_wrapping_and_unwrapping_are_one_for_one() -> None:
    wrapped = snapshot().quote(Deposit(NATIVE, WETH, 5, min_out=5), US)
    assert (wrapped.takes, wrapped.gives) == ((Exact(NATIVE, 5),), (Exact(WETH, 5),))
    unwrapped = snapshot().quote(Redeem(WETH, NATIVE, SUPPLY), US)
    assert (unwrapped.takes, unwrapped.gives) == ((Exact(WETH, SUPPLY),), (Exact(NATIVE, SUPPLY),))


@pytest.mark.parametrize(
    "action",
    [
        Redeem(WETH, NATIVE, SUPPLY + 1),
        Redeem(WETH, OTHER, 1),
        Redeem(OTHER, NATIVE, 1),
        Deposit(OTHER, WETH, 1),
        Deposit(NATIVE, WETH, 0),
        Deposit(NATIVE, WETH, 2**256),
        Deposit(NATIVE, WETH, 2**256 - 1),
        Deposit(NATIVE, WETH, 5, min_out=6),
        Deposit(NATIVE, WETH, 5, min_out=Measured("x")),
        Deposit(NATIVE, WETH, Measured("x")),
        Swap(NATIVE, WETH, 1),
    ],
)
def test_what_the_contract_would_not_do_is_refused(action: Deposit | Redeem | Swap) -> None:
    with pytest.raises(UnavailableActionError) as refusal:
        snapshot().quote(action, US)
    assert refusal.value.where == "weth"


def test_a_measured_amount_goes_into_value_or_argument() -> None:
    (wrap,) = ADAPTER.build(Deposit(NATIVE, WETH, Measured("coins")), US)
    assert isinstance(wrap, Call)
    assert wrap.value_wei == Measured("coins")
    (unwrap,) = ADAPTER.build(Redeem(WETH, NATIVE, Measured("coins"), min_out=Measured("coins")), US)
    assert isinstance(unwrap, Call)
    assert unwrap.splices == (Splice(0, Measured("coins")),)


def test_a_minimum_that_no_call_can_hold_is_not_built() -> None:
    with pytest.raises(UnavailableActionError, match="minimum"):
        ADAPTER.build(Deposit(NATIVE, WETH, 5, min_out=6), US)


def test_positions_are_of_those_who_were_read() -> None:
    (position,) = snapshot(7).positions(US)
    assert (position.kind, position.token, position.amount, position.receipt) == (
        PositionKind.SHARE,
        NATIVE,
        7,
        WETH,
    )
    assert snapshot(0).positions(US) == ()
    with pytest.raises(UnavailableActionError, match="nothing was read"):
        snapshot().positions(OTHER)


def test_unfit_answers_are_refused() -> None:
    for raw in (None, b"", b"\x01" * 31):
        with pytest.raises(ProtocolError):
            ADAPTER.at({read.label: raw for read in ADAPTER.reads()}, BLOCK)


def test_a_book_without_the_contract_has_no_adapter() -> None:
    assert from_book(AddressBook(1)) == ()
    assert dict(adapters_of(AddressBook(1))) == {}


def test_two_adapters_of_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    twice = (catalogue._SOURCES[0], catalogue._SOURCES[0])
    monkeypatch.setattr(catalogue, "_SOURCES", twice)
    with pytest.raises(InputError, match="two adapters are named 'weth'"):
        adapters_of(BOOK)


def test_reads_that_never_end_are_refused() -> None:
    class Restless(WethAdapter):
        def more_reads(self, answers: object, holders: tuple[Address, ...] = ()) -> object:
            del answers
            return self.reads(holders)

    restless = erased(Restless(1, WETH))
    with pytest.raises(UnavailableActionError, match="not whole after"):
        gather(restless, lambda wanted: dict.fromkeys((r.label for r in wanted), bytes(32)))
