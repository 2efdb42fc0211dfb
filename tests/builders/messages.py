"""Builders of plans, candidates and simulations."""

from __future__ import annotations

from seawall.primitives.blocks import Block
from seawall.primitives.codec import plan_digest
from seawall.primitives.identifiers import IntentNumber, Lane
from seawall.primitives.plans import DirectBody, ExecutorBody, GuardSpec, Plan, TokenDelta
from seawall.primitives.simulations import AllowanceChange, Flow, Simulation
from seawall.primitives.units import Address, Hash
from seawall.primitives.verdicts import Candidate, Payload

CHAIN_ID = 31337
KEY = Address(b"\x01" * 20)
EXECUTOR = Address(b"\x02" * 20)
TREASURY = Address(b"\x03" * 20)
WETH = Address(b"\x04" * 20)
USD = Address(b"\x05" * 20)
POOL = Address(b"\x06" * 20)
LENDER = Address(b"\x07" * 20)
FEED = Address(b"\x08" * 20)
NOW_S = 1_800_000_000
BASE_HASH = Hash(b"\xaa" * 32)
OVERLAY = Hash(b"\xbb" * 32)
GWEI = 10**9
ETHER = 10**18


def block(number: int = 100, gas_limit: int = 30_000_000, timestamp_s: int = NOW_S) -> Block:
    return Block(
        CHAIN_ID,
        number,
        BASE_HASH,
        Hash(b"\xab" * 32),
        timestamp_s,
        GWEI,
        gas_limit,
        Address(bytes(20)),
        Hash(bytes(32)),
    )


def direct_plan(
    *,
    guards: tuple[GuardSpec, ...] = (),
    expected: tuple[TokenDelta, ...] = (),
    value_wei: int = 0,
    key: str = "k",
) -> Plan:
    body = DirectBody(WETH, b"\xd0\xe3\x0d\xb0", value_wei)
    return Plan("keeper", CHAIN_ID, KEY, body, WETH, key, NOW_S + 600, guards=guards, expected=expected)


def executor_plan(
    *,
    min_profit_wei: int = 0,
    guards: tuple[GuardSpec, ...] = (),
    expected: tuple[TokenDelta, ...] = (),
    accounting_token: Address = WETH,
) -> Plan:
    body = ExecutorBody(EXECUTOR, TREASURY, b"\x01", (), min_profit_wei)
    return Plan(
        "arbitrage", CHAIN_ID, KEY, body, accounting_token, "k", NOW_S + 600, guards=guards, expected=expected
    )


def candidate(
    plan: Plan, *, max_fee_per_gas_wei: int = 2 * GWEI, gas_limit: int = 100_000, base: Block | None = None
) -> Candidate:
    value_wei = plan.body.value_wei if isinstance(plan.body, DirectBody) else 0
    return Candidate(
        number=IntentNumber(1),
        attempt_number=1,
        plan=plan,
        plan_digest=plan_digest(plan),
        intent_id=1,
        lane=Lane(CHAIN_ID, KEY),
        nonce=0,
        payload=Payload(CHAIN_ID, KEY, plan.target, b"", value_wei, gas_limit),
        max_fee_per_gas_wei=max_fee_per_gas_wei,
        max_priority_fee_per_gas_wei=1,
        expected_fee_per_gas_wei=GWEI,
        ceiling_fee_per_gas_wei=max_fee_per_gas_wei,
        base=base or block(),
    )


def simulation(
    *flows: Flow,
    success: bool = True,
    gas_used: int = 80_000,
    reason: str = "",
    probes: dict[str, bytes | None] | None = None,
    before: dict[str, bytes | None] | None = None,
    allowances: tuple[AllowanceChange, ...] = (),
    sender_balance_wei: int | None = ETHER,
) -> Simulation:
    return Simulation(
        success,
        gas_used,
        reason,
        flows,
        allowances,
        probes or {},
        BASE_HASH,
        OVERLAY,
        sender_balance_wei,
        before or {},
    )
