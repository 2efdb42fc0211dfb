"""Candidates: an intent with its exact payload. Pure; the nonce and fees come from outside.

The gas limit is measured: a first run with all the room there is gives the gas used, and the limit is that
plus the most a refund can hide (EIP-3529: a fifth of what was used) and a margin. The exact payload is then
run again, because only what will be signed may be judged."""

from __future__ import annotations

from typing import Final

from seawall.chain.data_fees import NO_DATA_FEE, DataFee, most_total_fee_wei
from seawall.chain.fees import FeeQuote
from seawall.ledger.rows import IntentRow
from seawall.native.wire import DynamicFeeTransaction
from seawall.primitives.blocks import Block
from seawall.primitives.bounds import GAS_LIMIT_TRANSACTION_MAX, PAYLOAD_BYTES_MAX
from seawall.primitives.errors import PlanError
from seawall.primitives.identifiers import Lane
from seawall.primitives.plans import DirectBody
from seawall.primitives.units import ceil_div
from seawall.primitives.verdicts import Candidate, Payload
from seawall.protocols.executor.encoding import execution_calldata

__all__ = ["NO_FEES", "build_candidate", "gas_limit_for", "gas_limit_room", "unsigned"]

# What a candidate promises while only its gas is measured: no fee, so that no profit check depends on the
# room given.
NO_FEES: Final = FeeQuote(0, 0, 0, 0, 0)
_REFUND_NUMERATOR: Final = 5
_REFUND_DENOMINATOR: Final = 4
_MARGIN_GAS: Final = 15_000


def gas_limit_room(base: Block) -> int:
    """The most gas that a transaction may be given on this chain now."""
    return min(base.gas_limit, GAS_LIMIT_TRANSACTION_MAX)


def gas_limit_for(gas_used: int, base: Block) -> int:
    """Enough gas for a run that used `gas_used` after refunds."""
    if gas_used == 21_000:
        return gas_used
    return min(
        gas_limit_room(base), ceil_div(gas_used * _REFUND_NUMERATOR, _REFUND_DENOMINATOR) + _MARGIN_GAS
    )


def unsigned(
    payload: Payload, nonce: int, max_fee_per_gas_wei: int, max_priority_fee_per_gas_wei: int
) -> DynamicFeeTransaction:
    """The transaction to be signed for a payload: the one place where a payload meets nonce and fees."""
    return DynamicFeeTransaction(
        chain_id=payload.chain_id,
        nonce=nonce,
        max_priority_fee_per_gas_wei=max_priority_fee_per_gas_wei,
        max_fee_per_gas_wei=max_fee_per_gas_wei,
        gas_limit=payload.gas_limit,
        to=payload.to,
        value_wei=payload.value_wei,
        data=payload.data,
    )


def build_candidate(
    row: IntentRow,
    lane: Lane,
    nonce: int,
    attempt_number: int,
    fees: FeeQuote,
    base: Block,
    gas_limit: int,
    data_fee: DataFee = NO_DATA_FEE,
) -> Candidate:
    """The payload that would be signed for `row` at this fee ceiling and gas limit, to which the gas that a
    roll-up takes for its data is added.

    Raises `PlanError` where no node would take it."""
    gas_limit += data_fee.extra_gas
    ceiling_wei = fees.ceiling_fee_per_gas_wei
    payload = _payload(row, lane, gas_limit, most_total_fee_wei(gas_limit, ceiling_wei, data_fee))
    if len(payload.data) > PAYLOAD_BYTES_MAX:
        what = f"{len(payload.data)} bytes of calldata, more than the {PAYLOAD_BYTES_MAX} that nodes take"
        raise PlanError(what, f"plan {row.plan.idempotency_key!r}", "make several plans of it")
    # By position: given by name, so many fields take four times as long.
    return Candidate(
        row.number,
        attempt_number,
        row.plan,
        row.plan_digest,
        row.intent_id,
        lane,
        nonce,
        payload,
        fees.max_fee_per_gas_wei,
        fees.max_priority_fee_per_gas_wei,
        fees.expected_fee_per_gas_wei,
        ceiling_wei,
        base,
        data_fee.fee_wei,
        data_fee.extra_gas,
    )


def _payload(row: IntentRow, lane: Lane, gas_limit: int, max_total_fee_wei: int) -> Payload:
    body = row.plan.body
    if isinstance(body, DirectBody):
        return Payload(lane.chain_id, lane.key, body.target, body.calldata, body.value_wei, gas_limit)
    data = execution_calldata(
        row.plan,
        body,
        intent_id=row.intent_id,
        plan_digest=row.plan_digest,
        max_total_fee_wei=max_total_fee_wei,
    )
    return Payload(lane.chain_id, lane.key, body.executor, data, 0, gas_limit)
