"""Blocks and what is read from them. A fact that came from a block carries its hash."""

from __future__ import annotations

from dataclasses import dataclass

from seawall.primitives.units import Address, Hash

__all__ = ["Block", "Log", "LogFilter", "Read"]


@dataclass(frozen=True, slots=True)
class Block:
    """A block header, as far as the runtime needs it."""

    chain_id: int
    number: int
    hash: Hash
    parent_hash: Hash
    timestamp_s: int  # UTC [s]
    base_fee_wei: int  # per gas [wei]
    gas_limit: int
    coinbase: Address
    prevrandao: Hash


@dataclass(frozen=True, slots=True)
class Read:
    """A view call wanted at every head, answered at exactly that head's hash."""

    label: str  # unique within the subscription
    target: Address
    calldata: bytes


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Logs wanted: any of `addresses` (empty: any), and per position any of the topics (empty: any)."""

    addresses: tuple[Address, ...] = ()
    topics: tuple[tuple[Hash, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Log:
    address: Address
    topics: tuple[Hash, ...]
    data: bytes
    block_hash: Hash
    block_number: int
    transaction_hash: Hash
    log_index: int
