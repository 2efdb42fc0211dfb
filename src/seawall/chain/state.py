"""State of accounts at one block: which keys are wanted, the batch that reads them, and what came back.

Every read names the block by hash. Hashes of older blocks (for BLOCKHASH) are read by number and must link
to the pinned block, so that they are of its branch too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from seawall.chain import decoding
from seawall.chain.rpc import Request, RpcError
from seawall.primitives.errors import EndpointError
from seawall.primitives.units import Address, hex_text

__all__ = ["BLOCKHASH_DEPTH_MAX", "AccountAt", "StateAt", "StateKeys", "state_from", "state_requests"]

# BLOCKHASH answers for this many blocks; nothing older can be wanted.
BLOCKHASH_DEPTH_MAX: Final = 256


@dataclass(frozen=True, slots=True)
class StateKeys:
    """Keys wanted: accounts (balance, nonce, code), slots, codes alone, numbers of block hashes."""

    accounts: tuple[Address, ...] = ()
    slots: tuple[tuple[Address, bytes], ...] = ()  # slot as a word of 32 bytes
    codes: tuple[Address, ...] = ()
    block_numbers: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.accounts) + len(self.slots) + len(self.codes) + len(self.block_numbers)

    def unique(self) -> StateKeys:
        """Each key once, in the order first seen."""
        return StateKeys(
            tuple(dict.fromkeys(self.accounts)),
            tuple(dict.fromkeys(self.slots)),
            tuple(dict.fromkeys(self.codes)),
            tuple(dict.fromkeys(self.block_numbers)),
        )

    def parts(self, size: int) -> list[StateKeys]:
        """These keys in parts of at most `size`."""
        room, parts = size, [StateKeys()]
        for name in ("accounts", "slots", "codes", "block_numbers"):
            keys = getattr(self, name)
            while keys:
                taken, keys = keys[:room], keys[room:]
                parts[-1] = parts[-1].union(replace(StateKeys(), **{name: taken}))
                room -= len(taken)
                if not room:
                    room = size
                    parts.append(StateKeys())
        return [part for part in parts if len(part)]

    def union(self, other: StateKeys) -> StateKeys:
        return StateKeys(
            self.accounts + other.accounts,
            self.slots + other.slots,
            self.codes + other.codes,
            self.block_numbers + other.block_numbers,
        ).unique()


@dataclass(frozen=True, slots=True)
class AccountAt:
    address: Address
    balance_wei: int
    nonce: int


@dataclass(frozen=True, slots=True)
class StateAt:
    """Values at one block; `codes` holds the code of every account asked for, empty where there is none."""

    accounts: tuple[AccountAt, ...]
    slots: tuple[tuple[Address, bytes, bytes], ...]  # (account, slot, value), words of 32 bytes
    codes: tuple[tuple[Address, bytes], ...]


def state_requests(keys: StateKeys, pin: Mapping[str, object]) -> list[Request]:
    """The reads of `keys`, block hashes apart, in the order that `state_from` expects."""
    requests: list[Request] = []
    for address in keys.accounts:
        requests += (
            Request("eth_getBalance", (hex_text(address), pin)),
            Request("eth_getTransactionCount", (hex_text(address), pin)),
            Request("eth_getCode", (hex_text(address), pin)),
        )
    requests += (Request("eth_getCode", (hex_text(address), pin)) for address in keys.codes)
    requests += (
        Request("eth_getStorageAt", (hex_text(address), hex_text(slot), pin)) for address, slot in keys.slots
    )
    return requests


def state_from(keys: StateKeys, answers: Sequence[object | RpcError]) -> StateAt:
    for answer in answers:
        if isinstance(answer, RpcError):
            raise EndpointError(
                f"state cannot be read: {answer.message} (code {answer.code})",
                "state",
                "use an endpoint that keeps state",
            )
    account_answers = answers[: 3 * len(keys.accounts)]
    rest = answers[3 * len(keys.accounts) :]
    accounts, codes = [], []
    for index, address in enumerate(keys.accounts):
        balance, nonce, code = account_answers[3 * index : 3 * index + 3]
        where = hex_text(address)
        accounts.append(
            AccountAt(
                address, decoding.quantity(balance, where), decoding.quantity(nonce, where, limit=2**64 - 1)
            )
        )
        codes.append((address, decoding.data(code, where)))
    for address, code in zip(keys.codes, rest, strict=False):
        codes.append((address, decoding.data(code, hex_text(address))))
    slots = tuple(
        (address, slot, decoding.data(value, hex_text(address), size=32))
        for (address, slot), value in zip(keys.slots, rest[len(keys.codes) :], strict=True)
    )
    return StateAt(tuple(accounts), slots, tuple(codes))
