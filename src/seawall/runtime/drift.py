"""Whether the contracts of the address book are still what was recorded of them.

Flow: everything is read pinned to one block: code of each address, the slots where proxies keep their
implementation, the implementation's code, and what the contract answers to calls that all of its kind know
(`protocols.known_calls`). What differs is a `Drift`, with the entry's name. `recorded` makes of the same
look the entries that an operator adopts. The kernel looks from time to time (`DriftWatch`) and tells; it
stops nothing by itself, because an upgrade of somebody's proxy is as often right as wrong.

Proxies are known by their slots (`chain.proxies`). What was not recorded cannot drift: it is named as such.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from seawall.chain.addresses import AddressBook, AddressEntry, AddressKind
from seawall.chain.client import ChainClient
from seawall.chain.proxies import BEACON_CALL, BEACON_SLOT, IMPLEMENTATION_SLOTS, SAFE_SLOT
from seawall.chain.state import StateKeys
from seawall.ledger import Ledger
from seawall.ledger.transaction import Transaction
from seawall.native import keccak256
from seawall.primitives.blocks import Block, Read
from seawall.primitives.errors import ChainError, LedgerError
from seawall.primitives.ports import Clock
from seawall.primitives.units import ZERO_ADDRESS, Address, address_text, hex_text
from seawall.protocols.known_calls import known_reads, wrong_answers
from seawall.protocols.safe.known import PROXY_CODE_HASH
from seawall.protocols.snapshots import snapshot
from seawall.runtime.http import Check
from seawall.telemetry.logs import get_logger
from seawall.telemetry.metrics import Metrics

__all__ = [
    "WATCH_FIRST_S",
    "WATCH_INTERVAL_S",
    "Drift",
    "DriftKind",
    "DriftWatch",
    "Survey",
    "recorded",
    "survey",
]

# A kernel that has just started has better things to read.
WATCH_FIRST_S: Final = 30.0
WATCH_INTERVAL_S: Final = 900.0
WATCH_PAUSE_S: Final = 30.0
_SHOWN_MAX: Final = 5
_log = get_logger(__name__)


class DriftKind(StrEnum):
    """In what an entry differs from the chain."""

    NO_CODE = "no_code"
    CODE = "code"
    IMPLEMENTATION = "implementation"  # the proxy sends its calls elsewhere
    IMPLEMENTATION_CODE = "implementation_code"
    ANSWER = "answer"  # a call that every contract of its kind knows


@dataclass(frozen=True, slots=True)
class Drift:
    name: str
    address: Address
    kind: DriftKind
    text: str


@dataclass(frozen=True, slots=True)
class Survey:
    """What was found at one block. `unrecorded` names entries of which nobody recorded the code yet, or the
    implementation behind it."""

    block: Block
    drifts: tuple[Drift, ...]
    unrecorded: tuple[str, ...]
    entries: tuple[AddressEntry, ...]  # as the chain has them, where there is code

    @property
    def is_clean(self) -> bool:
        return not self.drifts


@dataclass(frozen=True, slots=True)
class _Found:
    """One address on the chain."""

    code: bytes
    implementation: Address | None
    implementation_code: bytes


async def survey(client: ChainClient, book: AddressBook, block: Block, *, asks_calls: bool = True) -> Survey:
    """Compare every entry with the chain at `block`. Raises `ChainError` where it cannot be read."""
    entries = tuple(book)
    found = await _look(client, entries, block)
    answers: Mapping[str, bytes | None] = {}
    if asks_calls:
        reads = [read for entry in entries if found[entry.address].code for read in known_reads(entry)]
        multicall = next(iter(book.of_kind(AddressKind.MULTICALL)), None)
        usable = multicall is not None and bool(found[multicall.address].code)
        where = multicall.address if usable and multicall is not None else None
        answers = (await snapshot(client, reads, block, where)).values
    drifts = [
        drift
        for entry in entries
        for drift in _drifts_of(entry, found[entry.address], answers if asks_calls else None, book)
    ]
    return Survey(
        block,
        tuple(drifts),
        tuple(entry.name for entry in entries if _is_unrecorded(entry, found[entry.address])),
        tuple(_as_found(entry, found[entry.address]) for entry in entries if found[entry.address].code),
    )


def recorded(book: AddressBook, found: Survey, names: Sequence[str] = ()) -> AddressBook:
    """The book with hashes as the chain has them: of `names`, or of what was not recorded yet."""
    adopted = AddressBook(book.chain_id, book)
    for entry in found.entries:
        if entry.name in (names or found.unrecorded):
            adopted.put(entry)
    return AddressBook(book.chain_id, [adopted[entry.name] for entry in book])


@dataclass(slots=True)
class DriftWatch:
    """One chain's book, looked at from time to time in a running kernel. Ends by cancellation."""

    client: ChainClient
    book: AddressBook
    ledger: Ledger
    clock: Clock
    metrics: Metrics
    drifts: tuple[Drift, ...] = ()
    trouble: str = "not compared with the chain yet"
    _told: frozenset[Drift] = field(default=frozenset())

    async def run(self) -> None:
        await self.clock.sleep_s(WATCH_FIRST_S)
        while True:
            try:
                await self.look()
            except ChainError as error:
                self.trouble = f"not compared with the chain: {error.what}"
                await self.clock.sleep_s(WATCH_PAUSE_S)
            else:
                await self.clock.sleep_s(WATCH_INTERVAL_S)

    async def look(self) -> None:
        """Once: what is new is logged, and an event for whoever is alerted."""
        block = await self.client.head()
        self.drifts, self.trouble = (await survey(self.client, self.book, block)).drifts, ""
        self.metrics.drifted(self.client.network.name, len(self.drifts))
        fresh = [drift for drift in self.drifts if drift not in self._told]
        for drift in fresh:
            _log.error("address_drift", name=drift.name, kind=drift.kind.value, finding=drift.text)
        try:
            if fresh:
                await self.ledger.write(lambda tx: self._tell(tx, fresh, block))
            self._told = frozenset(self.drifts)
        except LedgerError as error:
            _log.warning("drift_not_stored", cause=str(error))

    def check(self) -> Check:
        """For the health report: worth an alarm, and no reason to be taken out of service."""
        name = f"addresses:{self.client.network.name}"
        if self.trouble or not self.drifts:
            return Check(name, not self.drifts, self.trouble or "as recorded", is_needed=False)
        shown = "; ".join(f"{one.name}: {one.text}" for one in self.drifts[:_SHOWN_MAX])
        return Check(name, False, f"{len(self.drifts)} differ: {shown}", is_needed=False)

    def _tell(self, tx: Transaction, fresh: Sequence[Drift], block: Block) -> None:
        for drift in fresh:
            data = {
                "kind": drift.kind.value,
                "address": address_text(drift.address),
                "finding": drift.text,
                "block": block.number,
                "block_hash": hex_text(block.hash),
            }
            now_s = self.clock.now_s()
            tx.events.append("addresses.drift", self.book.chain_id, drift.name, None, data, now_s)


async def _look(
    client: ChainClient, entries: Sequence[AddressEntry], block: Block
) -> Mapping[Address, _Found]:
    """Codes and slots of all; then what stands behind the proxies, in a second round of the same block."""
    addresses = tuple(entry.address for entry in entries)
    wanted = [(a, slot) for a in addresses for slot in (*IMPLEMENTATION_SLOTS, BEACON_SLOT)]
    wanted += [(entry.address, SAFE_SLOT) for entry in entries if entry.kind is AddressKind.SAFE]
    state = await client.fetch_state(StateKeys(slots=tuple(wanted), codes=addresses), block)
    codes = dict(state.codes)
    slots = {(address, slot): Address(value[12:]) for address, slot, value in state.slots}
    behind = {address: _behind(address, codes[address], slots) for address in addresses}
    beacons = {a: slots[a, BEACON_SLOT] for a in addresses if slots[a, BEACON_SLOT] != ZERO_ADDRESS}
    if beacons:
        reads = [Read(address_text(address), beacon, BEACON_CALL) for address, beacon in beacons.items()]
        answers = await client.call_at(reads, block)
        for address in beacons:
            answered = answers[address_text(address)]
            if answered is not None and len(answered) >= 32:
                behind[address] = Address(answered[12:32])
    targets = tuple(dict.fromkeys(one for one in behind.values() if one is not None))
    implementations: dict[Address, bytes] = {}
    if targets:
        implementations = dict((await client.fetch_state(StateKeys(codes=targets), block)).codes)
    return {
        address: _Found(codes[address], target, b"" if target is None else implementations[target])
        for address, target in behind.items()
    }


def _behind(address: Address, code: bytes, slots: Mapping[tuple[Address, bytes], Address]) -> Address | None:
    if (address, SAFE_SLOT) in slots and keccak256(code) == PROXY_CODE_HASH:
        return slots[address, SAFE_SLOT]
    found = (slots[address, slot] for slot in IMPLEMENTATION_SLOTS)
    return next((target for target in found if target != ZERO_ADDRESS), None)


def _drifts_of(
    entry: AddressEntry, found: _Found, answers: Mapping[str, bytes | None] | None, book: AddressBook
) -> list[Drift]:
    def drift(kind: DriftKind, text: str) -> Drift:
        return Drift(entry.name, entry.address, kind, text)

    if not found.code:
        return [drift(DriftKind.NO_CODE, f"no code at {address_text(entry.address)}")]
    drifts = []
    code_hash = keccak256(found.code)
    if entry.code_hash is not None and code_hash != entry.code_hash:
        drifts.append(drift(DriftKind.CODE, f"code hash {hex_text(code_hash)} instead of the recorded one"))
    if entry.implementation not in (None, found.implementation):
        was, now = _named(entry.implementation), _named(found.implementation)
        drifts.append(drift(DriftKind.IMPLEMENTATION, f"its calls go to {now} instead of {was}"))
    elif entry.implementation_hash is not None:
        implementation_hash = keccak256(found.implementation_code)
        if implementation_hash != entry.implementation_hash:
            text = f"the code of its implementation {_named(found.implementation)} changed"
            drifts.append(drift(DriftKind.IMPLEMENTATION_CODE, text))
    if answers is not None:
        drifts += [drift(DriftKind.ANSWER, text) for text in wrong_answers(entry, answers, book)]
    return drifts


def _is_unrecorded(entry: AddressEntry, found: _Found) -> bool:
    return entry.code_hash is None or (entry.implementation is None and found.implementation is not None)


def _as_found(entry: AddressEntry, found: _Found) -> AddressEntry:
    behind = None if found.implementation is None else keccak256(found.implementation_code)
    return replace(
        entry,
        code_hash=keccak256(found.code),
        implementation=found.implementation,
        implementation_hash=behind,
    )


def _named(address: Address | None) -> str:
    return "nobody" if address is None else address_text(address)
