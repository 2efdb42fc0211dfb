"""What the executor says: its events, and its errors in plain words.

`Executed` marks the landing of a plan and carries its intent id and digest. `NativeMoved` books the legs that
leave no token log. Errors come from our contracts and nest: a refused target's own reason is inside
`OperationFailed`, told in words where the target's protocol is known. Nothing here guesses: bytes that are no
known error come back as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, cast

from seawall.native import abi_decode, keccak256
from seawall.primitives.blocks import Log
from seawall.primitives.errors import NativeError, ProtocolError
from seawall.primitives.units import Address, Hash, address_text, hex_text
from seawall.protocols.executor.artifacts import (
    EXECUTOR,
    PLAN_CHECKS,
    REGISTRY,
    RISK_BOOK,
    load_artifact,
)
from seawall.protocols.executor.sentences import SENTENCES
from seawall.protocols.known_errors import known_error, meaning_of

__all__ = [
    "EXECUTED_TOPIC",
    "NATIVE_MOVED_TOPIC",
    "Executed",
    "NativeMoved",
    "Revert",
    "decode_event",
    "decode_revert",
]

EXECUTED_TOPIC: Final = Hash(keccak256(b"Executed(uint256,bytes32,address,uint256)"))
NATIVE_MOVED_TOPIC: Final = Hash(keccak256(b"NativeMoved(address,int256)"))

_NESTED_MAX: Final = 8
_REASON_TEXT_MAX: Final = 200
_WORD_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Executed:
    """A plan landed: what the beneficiary gained in the accounting token, before the transaction's fee."""

    intent_id: int
    plan_digest: Hash
    accounting_token: Address
    inflow: int


@dataclass(frozen=True, slots=True)
class NativeMoved:
    """Native token moved: positive from `counterparty` to the executor, negative the other way [wei]."""

    counterparty: Address
    amount_wei: int


@dataclass(frozen=True, slots=True)
class Revert:
    """A decoded error. `text` is for people; `inner` is what a called target answered."""

    name: str
    arguments: tuple[tuple[str, int | bytes | str], ...]
    inner: Revert | None = None
    source: str = ""  # whose error it is, in words; empty: ours, or Solidity's own

    @property
    def text(self) -> str:
        values = {name: _shown(value) for name, value in self.arguments}
        own = self._own(values)
        return f"{own}: {self.inner.text}" if self.inner else own

    def _own(self, values: Mapping[str, str]) -> str:
        listed = ", ".join(f"{name}={value}" for name, value in values.items())
        if self.source:
            return f"{self.source}" + (f" ({listed})" if listed else "")
        told = SENTENCES.get(self.name)
        if told is None:
            return f"{self.name}({listed})"
        means = meaning_of(values["message"]) if self.name == "Error" else None
        return told(values) if means is None else f"{told(values)} ({means})"


def decode_event(log: Log, executor: Address) -> Executed | NativeMoved | None:
    """The event in a log of `executor`, None for any other; `ProtocolError` where its shape is wrong."""
    topics = log.topics
    if log.address != executor or not topics or topics[0] not in (EXECUTED_TOPIC, NATIVE_MOVED_TOPIC):
        return None
    expected = 4 if topics[0] == EXECUTED_TOPIC else 2
    if len(topics) != expected or len(log.data) != _WORD_BYTES:
        raise ProtocolError(
            "a log has our topic and another shape", address_text(executor), "check the address"
        )
    if topics[0] == EXECUTED_TOPIC:
        intent_id, inflow = int.from_bytes(topics[1], "big"), int.from_bytes(log.data, "big")
        return Executed(intent_id, topics[2], Address(topics[3][12:]), inflow)
    return NativeMoved(Address(topics[1][12:]), int.from_bytes(log.data, "big", signed=True))


def decode_revert(data: bytes) -> Revert | None:
    """The error that these revert bytes carry; None if it is neither ours, nor Solidity's, nor known."""
    return _decode(data, depth=0)


def _decode(data: bytes, depth: int) -> Revert | None:
    known, source = _errors().get(data[:4]), ""
    if known is None and (foreign := known_error(data[:4])) is not None:
        known, source = (foreign.name, foreign.inputs), f"{foreign.source}: {foreign.words}"
    if known is None or depth == _NESTED_MAX:
        return None
    name, inputs = known
    try:
        values = abi_decode(tuple(kind for _, kind in inputs), data[4:])
    except NativeError:
        return None
    arguments: list[tuple[str, int | bytes | str]] = []
    inner: Revert | None = None
    for (argument, _), value in zip(inputs, values, strict=True):
        if argument == "reason":
            inner = _decode(cast(bytes, value), depth + 1)
            if inner is not None:
                continue
        arguments.append((argument, cast("int | bytes | str", value)))
    return Revert(name, tuple(arguments), inner, source)


@lru_cache(maxsize=1)
def _errors() -> dict[bytes, tuple[str, tuple[tuple[str, str], ...]]]:
    """Selector to name and (argument, type), for our contracts and Solidity itself."""
    known: dict[bytes, tuple[str, tuple[tuple[str, str], ...]]] = {
        keccak256(b"Error(string)")[:4]: ("Error", (("message", "string"),)),
        keccak256(b"Panic(uint256)")[:4]: ("Panic", (("code", "uint256"),)),
    }
    ours = (load_artifact(name) for name in (EXECUTOR, REGISTRY, RISK_BOOK, PLAN_CHECKS))
    for item in (item for artifact in ours for item in artifact.abi):
        if item["type"] != "error":
            continue
        inputs = tuple(
            (str(i["name"]), str(i["type"])) for i in cast(list[dict[str, object]], item["inputs"])
        )
        signature = f"{item['name']}({','.join(kind for _, kind in inputs)})"
        known[keccak256(signature.encode())[:4]] = (str(item["name"]), inputs)
    return known


def _shown(value: int | bytes | str) -> str:
    if isinstance(value, bytes):
        return address_text(value) if len(value) == 20 else hex_text(value)[:_REASON_TEXT_MAX]
    return str(value)[:_REASON_TEXT_MAX]
