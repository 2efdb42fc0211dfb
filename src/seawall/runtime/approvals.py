"""The inventory of what others may do with what is ours, of one chain: gathered from logs, verified by reads.

Flow: logs up to finality are gathered into a small store of their own (`chain.logs`), so that the next look
asks only for what is new; what is not final yet is asked each time. Every right that a log ever named is then
read at one block (`protocols.approvals`), with modules of Safes, offers of ownership, owners of executors and
code that a key delegated to (EIP-7702).

Ours are the keys of the configuration, the executors of the address book, and the configured Safes. The store
is a cache: a chain that no longer has the block up to which it reaches is gathered anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from seawall.chain.addresses import AddressKind
from seawall.chain.client import ChainClient
from seawall.chain.logs.backfill import Backfill, LogQuestion
from seawall.chain.logs.reads import LogReads
from seawall.chain.state import StateKeys
from seawall.ledger import Ledger
from seawall.ledger.transaction import Transaction
from seawall.native import encode_call, keccak256
from seawall.primitives.blocks import Block, Log, LogFilter, Read
from seawall.primitives.codec import pack
from seawall.primitives.errors import UnavailableError
from seawall.primitives.ports import Clock
from seawall.primitives.units import Address, address_text
from seawall.protocols.approvals import (
    Candidate,
    Grant,
    GrantKind,
    candidates,
    filters,
    grants,
    reads,
    standing_candidates,
)
from seawall.protocols.snapshots import snapshot
from seawall.runtime.configuration.settings import ChainSettings, Configuration
from seawall.runtime.keys.surveys import DELEGATION_PREFIX

__all__ = ["Holdings", "Inventory", "grant_id", "holdings_of", "take_inventory"]

_LOGS_MAX: Final = 2**31 - 1
# Anybody may log a right in our name, and search for one whose name is that of another.
_ID_BYTES: Final = 10


@dataclass(frozen=True, slots=True)
class Holdings:
    """What is ours on one chain, by name."""

    keys: Mapping[str, Address]
    executors: Mapping[str, Address]
    safes: Mapping[str, Address]

    @property
    def all(self) -> tuple[Address, ...]:
        return tuple(dict.fromkeys([*self.keys.values(), *self.executors.values(), *self.safes.values()]))


@dataclass(frozen=True, slots=True)
class Inventory:
    """What stood at `block`. `owners` are those of executors; `delegates` the code that a key runs."""

    block: Block
    grants: tuple[Grant, ...]
    owners: Mapping[Address, Address]
    delegates: Mapping[Address, Address]

    def hand_of(self, grant: Grant) -> Address | None:
        """Whose call takes it back; None for an executor's own, which only its owner's rescue reaches."""
        one = grant.candidate
        if one.kind in (GrantKind.ROLE, GrantKind.OWNERSHIP):
            return self.owners.get(one.holder)
        return None if one.holder in self.owners else one.holder


def holdings_of(configuration: Configuration, chain: ChainSettings) -> Holdings:
    """Ours on `chain`, by the configuration and its address book."""
    chain_id = chain.network.chain_id
    executors = {entry.name: entry.address for entry in chain.book.of_kind(AddressKind.EXECUTOR)}
    if chain.executor is not None and chain.executor not in executors.values():
        executors["executor"] = chain.executor
    return Holdings(
        keys={one.name: one.address() for one in configuration.signers},
        executors=executors,
        safes={
            one.policy.name: one.policy.safe for one in configuration.safes if one.policy.chain_id == chain_id
        },
    )


def grant_id(grant: Grant) -> str:
    """A short name that stays the same from one look to the next."""
    one = grant.candidate
    words = (one.kind.value, one.contract, one.holder, one.grantee, str(one.item))
    return keccak256(pack(words))[:_ID_BYTES].hex()


async def take_inventory(
    client: ChainClient,
    store: Ledger,
    clock: Clock,
    ours: Holdings,
    multicall: Address | None,
    first_block: int,
) -> Inventory:
    """Everything outstanding at the head. Raises `ChainError` where the chain cannot be read."""
    executors = tuple(ours.executors.values())
    head = await client.head()
    logs: list[Log] = []
    for name, wanted in filters(ours.all, executors).items():
        logs += await _gathered(client, store, clock, name, wanted, first_block, head)
    found = (*candidates(logs), *standing_candidates(tuple(ours.safes.values()), executors))
    owner_reads = [Read(address_text(one), one, encode_call("owner()", ())) for one in executors]
    answers = (await snapshot(client, [*reads(found), *owner_reads], head, multicall)).values
    owners = {}
    for executor in executors:
        answer = answers[address_text(executor)]
        if answer is not None and len(answer) >= 32:
            owners[executor] = Address(answer[12:32])
    standing = sorted(grants(found, answers, head.timestamp_s), key=lambda grant: _order(grant.candidate))
    return Inventory(head, tuple(standing), owners, await _delegates(client, tuple(ours.keys.values()), head))


async def _gathered(
    client: ChainClient,
    store: Ledger,
    clock: Clock,
    name: str,
    wanted: LogFilter,
    first_block: int,
    head: Block,
) -> list[Log]:
    """Logs of one question up to the head: the final part from the store, filled up first."""
    final = await _final_number(client, head)
    chain_id = client.network.chain_id
    asked = LogQuestion(
        f"{chain_id}:{name}:{first_block}:{keccak256(pack(wanted))[:_ID_BYTES].hex()}",
        chain_id,
        wanted,
        first_block,
    )
    await _forget_other_chain(client, store, asked.name)
    next_block, logs = first_block, list[Log]()
    if final >= first_block:
        source = await Backfill(LogReads(client, wanted), store, asked, clock).run(final, final)
        next_block = source.next_block
        last = next_block - 1
        logs += await store.read(lambda tx: tx.logs.between(source, first_block, last, _LOGS_MAX))
    if next_block <= head.number:
        logs += await client.logs(wanted, next_block, head.number)
    return logs


async def _forget_other_chain(client: ChainClient, store: Ledger, name: str) -> None:
    def newest(tx: Transaction) -> tuple[int, bytes] | None:
        source = tx.logs.find(name)
        marks = [] if source is None else tx.logs.marks(source.number, 1)
        return (marks[0].number, marks[0].hash) if marks else None

    mark = await store.read(newest)
    if mark is None:
        return
    block = await client.block_by_number(mark[0])
    if block is not None and block.hash == mark[1]:
        return

    def forget(tx: Transaction) -> None:
        source = tx.logs.find(name)
        if source is not None:
            tx.logs.remove(source)

    await store.write(forget)


async def _final_number(client: ChainClient, head: Block) -> int:
    """-1 where nothing is final yet."""
    rule = client.network.finality.final
    if isinstance(rule, int):
        return head.number - rule
    (final,) = await client.newest([rule])
    if final is None:
        raise UnavailableError(f"no {rule} block is known", client.network.name, "ask again in a moment")
    return min(final.number, head.number)


async def _delegates(client: ChainClient, keys: Sequence[Address], block: Block) -> dict[Address, Address]:
    state = await client.fetch_state(StateKeys(codes=tuple(keys)), block)
    prefix = len(DELEGATION_PREFIX)
    return {key: Address(code[prefix:]) for key, code in state.codes if code.startswith(DELEGATION_PREFIX)}


def _order(one: Candidate) -> tuple[str, bytes, bytes, int]:
    """Modules of a Safe keep the order of its chain, since sorting is stable."""
    grantee = b"" if one.kind is GrantKind.MODULE else bytes(one.grantee)
    return one.kind.value, bytes(one.holder) + bytes(one.contract), grantee, one.item
