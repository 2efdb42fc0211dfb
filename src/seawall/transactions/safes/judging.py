"""The verdict under which owners sign: what the gate says of the effect, and the rules of Safes beside it.

To the gate the transaction is a direct plan of the lane (chain, Safe): the Safe is the key, what leaves it is
what we lose. No fee is paid out of it, so that fees are nothing here; the outer transaction's are judged with
the intent that executes it. A verdict binds the digest by its plan, whose note is the digest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from seawall.chain.simulation import Entry
from seawall.primitives.blocks import Block
from seawall.primitives.codec import plan_digest
from seawall.primitives.identifiers import IntentNumber, Lane
from seawall.primitives.levels import Authority
from seawall.primitives.plans import DirectBody, Plan
from seawall.primitives.simulations import Simulation
from seawall.primitives.units import NATIVE, hex_text
from seawall.primitives.verdicts import Candidate, Payload, Verdict
from seawall.protocols.safe.transaction import SafeTransaction, safe_hash
from seawall.risk.evidence import Evidence, holders_of
from seawall.risk.gate import Gate
from seawall.risk.limits import SafePolicy
from seawall.risk.safes import SafeFacts, safe_findings
from seawall.risk.spending import SpendBook
from seawall.transactions.safes.rehearsal import Rehearsal

__all__ = ["Judged", "judge_safe", "safe_gate"]


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict, and what was found on the way to it."""

    verdict: Verdict
    simulation: Simulation
    facts: SafeFacts


def safe_gate(gate: Gate, policy: SafePolicy) -> Gate:
    """The chain's gate with the Safe's own caps in place of the keys'."""
    limits = replace(
        gate.limits,
        position_caps=dict(policy.position_caps),
        policies={},
        key_balance_min_wei=0,
        multisig=None,
    )
    return Gate(limits, gate.ours, gate.reduce, SpendBook(), gate.layers, gate.own)


async def judge_safe(
    gate: Gate,
    rehearsal: Rehearsal,
    policy: SafePolicy,
    transaction: SafeTransaction,
    facts: SafeFacts,
    block: Block,
    overlay: list[Entry],
    waiting: Sequence[SafeTransaction],
    *,
    authority: Authority,
    now_s: int,
) -> Judged:
    """`gate` is of `safe_gate`. Raises `StaleError` or `UnavailableError`, which are no refusals."""
    candidate = _candidate(transaction, block, now_s + gate.limits.validity_s)
    await rehearsal.stand_on(block, overlay)
    probes = gate.probes(candidate, authority)
    before = gate.probes_before(candidate, authority)
    simulation = await rehearsal.run(transaction, facts.state, probes, before, waiting)
    assert simulation.base_hash == block.hash, "the rehearsal stands where it was told to"
    evidence = Evidence(candidate, simulation, gate.ours, gate.limits, now_s)
    verdict = gate.judge(evidence, authority)
    findings = safe_findings(policy, transaction, facts)
    admitted = verdict.admitted and all(finding.passed for finding in findings)
    verdict = replace(verdict, admitted=admitted, measurements=(*verdict.measurements, *findings))
    assert transaction.safe in holders_of(candidate, gate.ours), "what leaves the Safe is an outflow"
    return Judged(verdict, simulation, facts)


def _candidate(transaction: SafeTransaction, block: Block, deadline_s: int) -> Candidate:
    plan = Plan(
        strategy="safe",
        chain_id=transaction.chain_id,
        key=transaction.safe,
        body=DirectBody(transaction.to, transaction.data, transaction.value_wei),
        accounting_token=NATIVE,
        idempotency_key=hex_text(safe_hash(transaction)),
        deadline_s=deadline_s,
        note=hex_text(safe_hash(transaction)),
    )
    payload = Payload(
        transaction.chain_id, transaction.safe, transaction.to, transaction.data, transaction.value_wei, 0
    )
    return Candidate(
        number=IntentNumber(0),
        attempt_number=1,
        plan=plan,
        plan_digest=plan_digest(plan),
        intent_id=0,
        lane=Lane(transaction.chain_id, transaction.safe),
        nonce=transaction.nonce,
        payload=payload,
        max_fee_per_gas_wei=0,
        max_priority_fee_per_gas_wei=0,
        expected_fee_per_gas_wei=0,
        ceiling_fee_per_gas_wei=0,
        base=block,
    )
