"""The address book: lookups, refusals, its file form, and the comparison with a chain."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from seawall.chain.addresses import AddressBook, AddressEntry, AddressKind, TokenClass
from seawall.native import keccak256
from seawall.primitives.errors import InputError, RolloutError
from seawall.primitives.units import Address

WETH = AddressEntry(
    31337,
    "weth",
    Address(bytes(19) + b"\x01"),
    AddressKind.TOKEN,
    "canonical-weth@1.4.0 build/contracts/WETH9.json",
    keccak256(b"weth"),
    TokenClass.SETTLEMENT,
    18,
    "WETH",
)
ROUTER = AddressEntry(
    31337, "router", Address(bytes(19) + b"\x02"), AddressKind.ROUTER, "own", keccak256(b"router")
)


class Codes:
    """Runtime code by address."""

    def __init__(self, codes: dict[Address, bytes]) -> None:
        self._codes = codes

    def codes(self, addresses: Sequence[Address]) -> list[bytes]:
        return [self._codes.get(address, b"") for address in addresses]


@pytest.fixture
def book() -> AddressBook:
    return AddressBook(31337, [WETH, ROUTER])


def test_entries_are_found_by_name_address_and_kind(book: AddressBook) -> None:
    assert book["weth"] is WETH
    assert book.address("router") == ROUTER.address
    assert book.find(bytes(WETH.address)) is WETH
    assert book.find(bytes(20)) is None
    assert book.of_kind(AddressKind.ROUTER) == (ROUTER,)
    assert "weth" in book
    assert len(book) == 2


def test_an_unknown_name_lists_the_known_ones(book: AddressBook) -> None:
    with pytest.raises(InputError, match="router, weth"):
        book["wet"]


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (replace(ROUTER, chain_id=1), "belongs to chain 1"),
        (replace(ROUTER, address=Address(bytes(19) + b"\x03")), "repeats router"),
        (replace(ROUTER, name="other"), "repeats router"),
        (replace(ROUTER, name="other", address=Address(b"\x03")), "malformed"),
        (replace(ROUTER, name="other", address=Address(bytes(20)), code_hash=b""), "malformed"),
    ],
)
def test_an_unfit_entry_is_refused(book: AddressBook, entry: AddressEntry, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        book.add(entry)


def test_entry_said_anew_takes_the_place_of_the_old_one(book: AddressBook) -> None:
    moved = replace(ROUTER, address=Address(bytes(19) + b"\x04"))
    book.put(moved)
    assert book["router"] is moved
    assert book.find(ROUTER.address) is None
    assert len(book) == 2


def test_book_that_grows_beyond_its_bound_is_refused(
    book: AddressBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seawall.chain.addresses.BOOK_ENTRIES_MAX", 2)
    with pytest.raises(InputError, match="more than 2 entries"):
        book.add(replace(ROUTER, name="third", address=Address(bytes(19) + b"\x03")))


def test_file_that_cannot_be_written_leaves_the_old_one(book: AddressBook, tmp_path: Path) -> None:
    target = tmp_path / "book.json"
    book.write(target)
    before = target.read_bytes()
    target.with_name("book.json.partial").mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        AddressBook(31337).write(target)
    assert target.read_bytes() == before


def test_proxy_comes_back_with_its_implementation_and_reference(tmp_path: Path) -> None:
    proxy = replace(
        ROUTER, implementation=WETH.address, implementation_hash=keccak256(b"weth"), reference="a note"
    )
    AddressBook(31337, [proxy]).write(tmp_path / "book.json")
    assert list(AddressBook.from_json((tmp_path / "book.json").read_bytes())) == [proxy]


def test_the_file_form_comes_back_equal(book: AddressBook) -> None:
    again = AddressBook.from_json(book.to_json())
    assert list(again) == list(book)
    assert again.chain_id == 31337


def test_a_wrong_checksum_in_the_file_is_refused() -> None:
    entry = replace(WETH, address=Address(bytes.fromhex("5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed")))
    text = AddressBook(31337, [entry]).to_json().replace("0x5aAe", "0x5AAe")
    with pytest.raises(InputError):
        AddressBook.from_json(text)


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"chain_id": "31337"},
        {"chain_id": True},
        {"contracts": {}},
        {"contracts": [1]},
        {"contracts": [{"name": "weth"}]},
    ],
)
def test_a_malformed_file_is_refused(book: AddressBook, change: dict[str, object]) -> None:
    document = json.loads(book.to_json()) | change
    with pytest.raises(InputError, match="unreadable address book"):
        AddressBook.from_json(json.dumps(document))


@pytest.mark.parametrize("field", ["kind", "token_class", "decimals", "symbol", "code_hash", "address"])
def test_a_malformed_field_is_refused(book: AddressBook, field: str) -> None:
    document = json.loads(book.to_json())
    document["contracts"][0][field] = ["nonsense"]
    with pytest.raises(InputError, match="unreadable address book"):
        AddressBook.from_json(json.dumps(document))


@pytest.mark.parametrize("text", ["", "[" * 100_000, "null", "{}"])
def test_no_file_crashes_the_reader(text: str) -> None:
    with pytest.raises(InputError):
        AddressBook.from_json(text)


def test_verification_passes_on_the_recorded_code(book: AddressBook) -> None:
    book.verify(Codes({WETH.address: b"weth", ROUTER.address: b"router"}))


def test_verification_names_what_differs(book: AddressBook) -> None:
    with pytest.raises(RolloutError, match=r"2 of 2 .*weth .* has other code; router .* has no code"):
        book.verify(Codes({WETH.address: b"other"}))
