"""Plans, verdicts, blocks and committed attempts for tests of the ledger."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from seawall.ledger import Transaction
from seawall.ledger.rows import AttemptRow, IntentRow
from seawall.primitives.blocks import Block
from seawall.primitives.codec import payload_digest, plan_digest
from seawall.primitives.identifiers import IntentNumber, Lane
from seawall.primitives.levels import IntentState, Priority, WriteKind
from seawall.primitives.plans import DirectBody, ExecutorBody, Plan
from seawall.primitives.units import NATIVE, ZERO_ADDRESS, Address, Hash
from seawall.primitives.verdicts import Measurement, Payload, Verdict

CHAIN_ID = 31337
KEY = Address(b"\x01" * 20)
EXECUTOR = Address(b"\x02" * 20)
TOKEN = Address(b"\x03" * 20)
LANE = Lane(CHAIN_ID, KEY)
NOW_S = 1_800_000_000
EPOCH = 0xABCDEF


@dataclass
class FixedClock:
    """A clock that stands where it is put."""

    at_s: int = NOW_S

    def now_s(self) -> int:
        return self.at_s

    def monotonic_s(self) -> float:
        return float(self.at_s)

    async def sleep_s(self, duration_s: float) -> None:
        self.at_s += int(duration_s)


@dataclass
class FixedEntropy:
    """The same bytes each time."""

    byte: int = 7

    def token(self, size: int) -> bytes:
        return bytes([self.byte]) * size


def digest_of(*parts: object) -> Hash:
    return Hash(hashlib.sha256(repr(parts).encode()).digest())


def plan(
    key: str = "one", *, strategy: str = "keeper", priority: Priority = Priority.NORMAL, value_wei: int = 1
) -> Plan:
    body = DirectBody(TOKEN, b"\xd0\xe3\x0d\xb0", value_wei)
    return Plan(strategy, CHAIN_ID, KEY, body, NATIVE, key, NOW_S + 600, priority=priority)


def executor_plan(key: str = "one") -> Plan:
    body = ExecutorBody(EXECUTOR, KEY, b"\x01\x02", (), 5)
    return Plan("arbitrage", CHAIN_ID, KEY, body, TOKEN, key, NOW_S + 600)


def payload(nonce: int = 0) -> Payload:
    return Payload(CHAIN_ID, KEY, TOKEN, b"\x01" * 4, nonce, 100_000)


def verdict(
    number: IntentNumber,
    *,
    admitted: bool = True,
    nonce: int = 0,
    max_total_fee_wei: int = 10**15,
    candidate: int = 1,
) -> Verdict:
    measured = None if not admitted else 12
    measurement = Measurement(
        "slippage", measured, 50, None, "bps", admitted, digest_of("block"), "the pool moved"
    )
    return Verdict(
        number,
        candidate,
        digest_of("plan"),
        payload_digest(payload(nonce)),
        100,
        digest_of("block"),
        digest_of("overlay"),
        103,
        NOW_S + 60,
        max_total_fee_wei,
        10**14,
        WriteKind.PLAN,
        admitted,
        (measurement,),
        2**200,
        -(2**200),
        21_000,
    )


def block(number: int, fork: str = "a", parent: Hash | None = None) -> Block:
    above = digest_of(number - 1, fork) if parent is None else parent
    return Block(
        CHAIN_ID,
        number,
        digest_of(number, fork),
        above,
        NOW_S + number,
        10**9,
        30_000_000,
        ZERO_ADDRESS,
        digest_of("r"),
    )


def accepted(tx: Transaction, key: str = "one") -> IntentRow:
    wanted = plan(key)
    return tx.intents.accept(wanted, plan_digest(wanted), "correlation", NOW_S).intent


def committed(
    tx: Transaction, nonce: int = 0, key: str | None = None, attempt_hash: Hash | None = None
) -> AttemptRow:
    """An intent all the way to its first attempt at `nonce`."""
    intent = accepted(tx, key or f"at-{nonce}")
    judged = tx.verdicts.insert(verdict(intent.number, nonce=nonce), NOW_S)
    slot = tx.slots.insert(LANE, nonce, "plan", intent.number)
    attempt = tx.attempts.insert(
        slot,
        attempt_hash or digest_of("attempt", nonce),
        b"\x02raw",
        payload(nonce),
        payload_digest(payload(nonce)),
        WriteKind.PLAN,
        10**9,
        10**8,
        "public",
        judged,
        [(intent.number, 0)],
        NOW_S,
    )
    tx.intents.set_state(intent.number, IntentState.COMMITTED, "", None, NOW_S)
    return attempt


def included(tx: Transaction, attempt: AttemptRow, at: Block, *, status: bool = True) -> int:
    return tx.inclusions.insert(attempt.hash, at, 3, status, 21_000, 10**9, 21_000 * 10**9).number
