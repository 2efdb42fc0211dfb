"""The address book: every contract a deployment relies on, what it is, and which bytecode it must have.

Flow: a roll-out (the devnet's build, `rollout.deployment`) or a publisher's list (`chain.books`) fills an
`AddressBook`; configuration, pool lists and guards look entries up by name or address; `AddressBook.verify`
compares code with what was recorded, so that a wrong endpoint or an emptied state file is found before
anything is signed. `runtime.drift` looks closer: behind proxies, and at what contracts answer.

A code hash that nobody recorded yet is None: unknown is said, never guessed. Assumes that code is immutable
once deployed. Reads no chain itself: codes come through the `CodeReader` given.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol

import orjson

from seawall.native import keccak256
from seawall.primitives.errors import InputError, NativeError, RolloutError
from seawall.primitives.units import Address, address_from_text, address_text, hash_from_text, hex_text

__all__ = ["AddressBook", "AddressEntry", "AddressKind", "CodeReader", "TokenClass"]

BOOK_FORMAT: Final = 1
BOOK_ENTRIES_MAX: Final = 10_000
MISMATCHES_SHOWN_MAX: Final = 5


class AddressKind(StrEnum):
    """What a contract is used as."""

    TOKEN = "token"  # noqa: S105  (a kind of contract)
    POOL = "pool"
    FACTORY = "factory"
    ROUTER = "router"
    QUOTER = "quoter"
    POSITIONS = "positions"
    LENDER = "lender"
    FEED = "feed"
    AUTHORITY = "authority"
    EXECUTOR = "executor"
    REGISTRY = "registry"
    MULTICALL = "multicall"
    SAFE = "safe"


class TokenClass(StrEnum):
    """How a balance of the token counts.

    settlement: money that profit is counted in; asset: worth what a market pays; receipt: a claim on a
    protocol; debt: owed, so that a rising balance is a loss.
    """

    SETTLEMENT = "settlement"
    ASSET = "asset"
    RECEIPT = "receipt"
    DEBT = "debt"


class CodeReader(Protocol):
    def codes(self, addresses: Sequence[Address]) -> Sequence[bytes]:
        """Runtime code of each address at the latest block, empty where there is none."""
        ...


@dataclass(frozen=True, slots=True)
class AddressEntry:
    chain_id: int
    name: str
    """Unique within a book, `snake_case`."""
    address: Address
    kind: AddressKind
    source: str
    """Where the bytecode came from: `package@version path`, or a path of this repository."""
    code_hash: bytes | None
    """Keccak-256 of the runtime code; None until `seawall addresses record` has read it."""
    token_class: TokenClass | None = None
    decimals: int | None = None
    symbol: str | None = None
    implementation: Address | None = None
    """Where a proxy sends its calls; None for what is no proxy, or was not recorded."""
    implementation_hash: bytes | None = None
    """Keccak-256 of the implementation's runtime code."""
    reference: str | None = None
    """What the protocol's own registry calls it, where that is not its address: the id of a Balancer pool."""


class AddressBook:
    """Entries of one chain, in the order they were recorded."""

    __slots__ = ("_by_address", "_by_name", "chain_id")

    def __init__(self, chain_id: int, entries: Iterable[AddressEntry] = ()) -> None:
        self.chain_id = chain_id
        self._by_name: dict[str, AddressEntry] = {}
        self._by_address: dict[Address, AddressEntry] = {}
        for entry in entries:
            self.add(entry)

    def __len__(self) -> int:
        return len(self._by_name)

    def __iter__(self) -> Iterator[AddressEntry]:
        return iter(self._by_name.values())

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def __getitem__(self, name: str) -> AddressEntry:
        entry = self._by_name.get(name)
        if entry is None:
            raise InputError(
                f"no contract is named {name[:80]!r}",
                f"address book of chain {self.chain_id}",
                f"use one of: {', '.join(sorted(self._by_name)) or 'the book is empty'}",
            )
        return entry

    def add(self, entry: AddressEntry) -> None:
        where = f"address book of chain {self.chain_id}"
        if entry.chain_id != self.chain_id:
            raise InputError(
                f"{entry.name} belongs to chain {entry.chain_id}", where, "keep one book a chain"
            )
        if len(self._by_name) >= BOOK_ENTRIES_MAX:
            raise InputError(f"more than {BOOK_ENTRIES_MAX} entries", where, "split the book")
        hashes = [one for one in (entry.code_hash, entry.implementation_hash) if one is not None]
        if len(entry.address) != 20 or any(len(one) != 32 for one in hashes):
            raise InputError(
                f"{entry.name} has a malformed address or code hash", where, "give 20 and 32 bytes"
            )
        twin = self._by_name.get(entry.name) or self._by_address.get(entry.address)
        if twin is not None:
            raise InputError(
                f"{entry.name} at {address_text(entry.address)} repeats {twin.name}",
                where,
                "name each contract once",
            )
        self._by_name[entry.name] = entry
        self._by_address[entry.address] = entry

    def put(self, entry: AddressEntry) -> None:
        """Add it, or say it anew: an entry of the same name gives way."""
        old = self._by_name.pop(entry.name, None)
        if old is not None:
            del self._by_address[old.address]
        self.add(entry)

    def address(self, name: str) -> Address:
        return self[name].address

    def find(self, address: bytes) -> AddressEntry | None:
        """The entry at an address, None for a stranger."""
        return self._by_address.get(Address(address))

    def of_kind(self, kind: AddressKind) -> tuple[AddressEntry, ...]:
        return tuple(entry for entry in self if entry.kind is kind)

    def verify(self, reader: CodeReader) -> None:
        """Compare every entry with the chain; RolloutError names those that differ."""
        entries = tuple(self)
        codes = reader.codes([entry.address for entry in entries])
        wrong: list[str] = []
        for entry, code in zip(entries, codes, strict=True):
            if not code:
                wrong.append(f"{entry.name} ({address_text(entry.address)}) has no code")
            elif entry.code_hash is not None and keccak256(code) != entry.code_hash:
                wrong.append(f"{entry.name} ({address_text(entry.address)}) has other code")
        if wrong:
            shown = "; ".join(wrong[:MISMATCHES_SHOWN_MAX])
            raise RolloutError(
                f"{len(wrong)} of {len(entries)} contracts are not what was deployed: {shown}",
                f"chain {self.chain_id}",
                "check that the endpoint serves the deployment that this address book was written for",
            )

    def to_json(self) -> str:
        return json.dumps(
            {
                "format": BOOK_FORMAT,
                "chain_id": self.chain_id,
                "contracts": [_to_record(entry) for entry in self],
            },
            indent=1,
        )

    def write(self, path: Path) -> None:
        """Into a file, whole or not at all."""
        partial = path.with_name(path.name + ".partial")
        try:
            partial.write_text(self.to_json() + "\n")
            partial.replace(path)
        except OSError as error:
            raise InputError(
                f"the address book cannot be written: {error.strerror}", str(path), "choose another file"
            ) from None

    @classmethod
    def from_json(cls, text: str | bytes) -> AddressBook:
        """Inverse of `to_json`; InputError on anything malformed."""
        try:
            document: object = orjson.loads(text)
            if not isinstance(document, dict) or document.get("format") != BOOK_FORMAT:
                raise ValueError(f"not an address book of format {BOOK_FORMAT}")
            chain_id = _integer(document["chain_id"])
            records: object = document["contracts"]
            if not isinstance(records, list):
                raise ValueError("`contracts` is not a list")  # noqa: TRY004  (one error for all)
            return cls(chain_id, [_from_record(chain_id, record) for record in records])
        except (ValueError, KeyError, RecursionError, NativeError) as error:
            raise InputError(
                f"unreadable address book: {str(error)[:200]}", "addresses.json", "build the deployment again"
            ) from error


def _to_record(entry: AddressEntry) -> dict[str, str | int | None]:
    record: dict[str, str | int | None] = {
        "name": entry.name,
        "address": address_text(entry.address),
        "kind": entry.kind.value,
        "token_class": entry.token_class.value if entry.token_class else None,
        "decimals": entry.decimals,
        "symbol": entry.symbol,
        "source": entry.source,
        "code_hash": None if entry.code_hash is None else hex_text(entry.code_hash),
    }
    if entry.implementation is not None:
        record["implementation"] = address_text(entry.implementation)
    if entry.implementation_hash is not None:
        record["implementation_hash"] = hex_text(entry.implementation_hash)
    if entry.reference is not None:
        record["reference"] = entry.reference
    return record


def _from_record(chain_id: int, record: object) -> AddressEntry:
    if not isinstance(record, dict):
        raise ValueError("an entry is not an object")  # noqa: TRY004
    token_class, decimals, symbol = record["token_class"], record["decimals"], record["symbol"]
    reference = record.get("reference")
    return AddressEntry(
        chain_id=chain_id,
        name=_text(record["name"]),
        address=address_from_text(_text(record["address"])),
        kind=AddressKind(_text(record["kind"])),
        source=_text(record["source"]),
        code_hash=_hash(record["code_hash"]),
        token_class=None if token_class is None else TokenClass(_text(token_class)),
        decimals=None if decimals is None else _integer(decimals),
        symbol=None if symbol is None else _text(symbol),
        implementation=_address(record.get("implementation")),
        implementation_hash=_hash(record.get("implementation_hash")),
        reference=None if reference is None else _text(reference),
    )


def _hash(value: object) -> bytes | None:
    return None if value is None else hash_from_text(_text(value))


def _address(value: object) -> Address | None:
    return None if value is None else address_from_text(_text(value))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r:.80} is not text")  # noqa: TRY004
    return value


def _integer(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{value!r:.80} is not an integer")  # noqa: TRY004
    return value
