"""Rows of the ledger as JSON documents: the form in which plans and transactions leave the program.

Amounts of tokens and wei are strings, times are UTC seconds, bytes are 0x hex, addresses have their checksum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seawall.cli.output import Json
from seawall.ledger.rows import Account, AttemptRow, InclusionRow, IntentRow, PostingRow, VerdictRow
from seawall.primitives.plans import DirectBody, Plan
from seawall.primitives.units import NATIVE, Address, address_text, hex_text
from seawall.primitives.verdicts import Measurement

__all__ = [
    "Sent",
    "measurement_view",
    "plan_details",
    "plan_summary",
    "plan_view",
    "transaction_details",
    "transaction_summary",
    "verdict_details",
]


@dataclass(frozen=True, slots=True)
class Sent:
    """An attempt with what became of it, removed inclusions too."""

    attempt: AttemptRow
    inclusions: tuple[InclusionRow, ...]

    @property
    def inclusion(self) -> InclusionRow | None:
        """Where it is in the chain now."""
        return next((row for row in self.inclusions if row.canonical), None)


def plan_summary(row: IntentRow) -> dict[str, Json]:
    return {
        "id": row.number,
        "strategy": row.strategy,
        "status": row.state.value,
        "reason": row.reason,
        "finality": row.finality.name.lower() if row.finality is not None else None,
        "chain_id": row.lane.chain_id,
        "key": address_text(row.lane.key),
        "accepted_at_s": row.accepted_at_s,
        "ended_at_s": row.ended_at_s,
        "accounting_token": _token(row.plan.accounting_token),
        "profit_predicted_wei": _amount(row.predicted_wei),
        "profit_realised_wei": _amount(row.realised_wei),
        "note": row.plan.note,
    }


def plan_details(
    row: IntentRow, verdicts: Sequence[VerdictRow], sent: Sequence[Sent], postings: Sequence[PostingRow]
) -> dict[str, Json]:
    return {
        **plan_summary(row),
        "idempotency_key": row.plan.idempotency_key,
        "plan_digest": hex_text(row.plan_digest),
        "intent_id": hex(row.intent_id),
        "correlation_id": row.correlation_id,
        "plan": plan_view(row.plan),
        "verdicts": [verdict_details(verdict) for verdict in verdicts],
        "transactions": [transaction_summary(one) for one in sent],
        "postings": [_posting(posting) for posting in postings],
    }


def verdict_details(row: VerdictRow) -> dict[str, Json]:
    verdict = row.verdict
    return {
        "candidate": verdict.attempt_number,
        "admitted": verdict.admitted,
        "explanation": verdict.explanation,
        "at_s": row.at_s,
        "base_number": verdict.base_number,
        "base_hash": hex_text(verdict.base_hash),
        "valid_until_block": verdict.valid_until_block,
        "valid_until_s": verdict.valid_until_s,
        "max_total_fee_wei": str(verdict.max_total_fee_wei),
        "gas_used": verdict.gas_used,
        "predicted_wei": _amount(verdict.predicted_wei),
        "predicted_floor_wei": _amount(verdict.predicted_floor_wei),
        "measurements": [measurement_view(measurement) for measurement in verdict.measurements],
    }


def transaction_summary(sent: Sent) -> dict[str, Json]:
    attempt, inclusion = sent.attempt, sent.inclusion
    return {
        "hash": hex_text(attempt.hash),
        "chain_id": attempt.lane.chain_id,
        "from": address_text(attempt.lane.key),
        "to": address_text(attempt.payload.to),
        "nonce": attempt.nonce,
        "kind": attempt.kind.value,
        "route": attempt.route,
        "plans": [number for number, _ in attempt.intents],
        "committed_at_s": attempt.committed_at_s,
        "writes": attempt.writes,
        "answer": attempt.answer,
        "included": _inclusion(inclusion) if inclusion is not None else None,
    }


def transaction_details(sent: Sent) -> dict[str, Json]:
    attempt = sent.attempt
    return {
        **transaction_summary(sent),
        "value_wei": str(attempt.payload.value_wei),
        "gas_limit": attempt.payload.gas_limit,
        "max_fee_per_gas_wei": str(attempt.max_fee_per_gas_wei),
        "max_priority_fee_per_gas_wei": str(attempt.max_priority_fee_per_gas_wei),
        "renewals": attempt.renewals,
        "written_at_s": attempt.written_at_s,
        "data": hex_text(attempt.payload.data),
        "removed_from": [_inclusion(row) for row in sent.inclusions if not row.canonical],
    }


def plan_view(plan: Plan) -> dict[str, Json]:
    body: dict[str, Json]
    if isinstance(plan.body, DirectBody):
        body = {"kind": "direct", "value_wei": str(plan.body.value_wei), "data": hex_text(plan.body.calldata)}
    else:
        body = {
            "kind": "executor",
            "beneficiary": address_text(plan.body.beneficiary),
            "min_profit_wei": str(plan.body.min_profit_wei),
            "operations": hex_text(plan.body.operations),
            "bounds": [
                {"token": _token(b.token), "kind": b.kind, "amount": str(b.amount)} for b in plan.body.bounds
            ],
        }
    return {
        "target": address_text(plan.target),
        "deadline_s": plan.deadline_s,
        "priority": plan.priority.name.lower(),
        "depends_on": list(plan.depends_on),
        "guards": [guard.name for guard in plan.guards],
        "expected": [
            {
                "holder": address_text(delta.holder),
                "token": _token(delta.token),
                "change": str(delta.change),
                "tolerance_bps": delta.tolerance_bps,
            }
            for delta in plan.expected
        ],
        "body": body,
    }


def measurement_view(measurement: Measurement) -> dict[str, Json]:
    return {
        "guard": measurement.guard,
        "passed": measurement.passed,
        "measured": _amount(measurement.measured),
        "limit": str(measurement.limit),
        "margin": _amount(measurement.margin),
        "unit": measurement.unit,
        "block_hash": hex_text(measurement.block_hash) if measurement.block_hash is not None else None,
        "reason": measurement.reason,
    }


def _inclusion(row: InclusionRow) -> dict[str, Json]:
    return {
        "block_number": row.block_number,
        "block_hash": hex_text(row.block_hash),
        "index": row.index,
        "succeeded": row.status,
        "finality": row.finality.name.lower(),
        "gas_used": row.gas_used,
        "effective_gas_price_wei": str(row.effective_gas_price_wei),
        "fee_wei": str(row.fee_wei),
    }


def _posting(row: PostingRow) -> dict[str, Json]:
    return {
        "kind": row.entry.kind,
        "block_number": row.entry.block_number,
        "block_hash": hex_text(row.entry.block_hash),
        "legs": [
            {
                "account": _account(leg.account),
                "token": _token(leg.token),
                "delta": str(leg.delta),
            }
            for leg in row.entry.legs
        ],
    }


def _token(token: Address) -> str:
    return "native" if token == NATIVE else address_text(token)


def _account(account: Account) -> str:
    return account if isinstance(account, str) else address_text(account)


def _amount(value: int | None) -> str | None:
    return None if value is None else str(value)
