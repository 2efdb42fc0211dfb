"""Housekeeping: a nonce used up by a transfer of nothing to ourselves, under its own fee ceiling.

It fills gaps, and cancels what must not or can no longer land. Its shape is fixed, so it is signed without a
verdict (invariant 1). What it replaces stays watched: whichever lands decides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from seawall.chain.replacement import Fees, replacement_fees, rule_of
from seawall.ledger.rows import AttemptRow, EventData, IntentRow
from seawall.ledger.transaction import Transaction
from seawall.primitives.codec import payload_digest
from seawall.primitives.errors import AuthorityChangedError
from seawall.primitives.levels import WriteKind
from seawall.primitives.units import Hash, hex_text
from seawall.primitives.verdicts import Payload
from seawall.telemetry import failpoints
from seawall.telemetry.logs import get_logger
from seawall.transactions.candidates import unsigned
from seawall.transactions.lanes import LaneRunner

__all__ = ["fees_of", "fill", "fill_fees"]

_AFTER_FILL_COMMIT = failpoints.declare("transactions.after_fill_commit")
_FILL_GAS: Final = 21_000
_log = get_logger(__name__)


async def fill(
    runner: LaneRunner, nonce: int, earlier: Sequence[AttemptRow], intent: IntentRow | None, why: str
) -> bool:
    """Sign, commit and write a filler that replaces `earlier`. False: what it would have to pay is above the
    ceiling for housekeeping."""
    desk = runner.desk
    if not desk.parts.latch.admits(WriteKind.HOUSEKEEPING):
        return True
    fees = await fill_fees(runner, earlier)
    if fees is None:
        return False
    payload = Payload(runner.lane.chain_id, runner.lane.key, runner.lane.key, b"", 0, _FILL_GAS)
    bid = (fees.max_fee_per_gas_wei, fees.max_priority_fee_per_gas_wei)
    (signed,) = await runner.sign_in_turn([unsigned(payload, nonce, *bid)])
    now_s = desk.parts.clock.now_s()

    def commit(tx: Transaction) -> AttemptRow:
        tx.lanes.require(runner.lane, runner.fence)
        tx.controls.require_epoch(desk.epoch)
        if not desk.parts.latch.admits(WriteKind.HOUSEKEEPING):
            raise AuthorityChangedError("HALT came into force", str(runner.lane), "resume to go on")
        slot = tx.slots.get(runner.lane, nonce) or tx.slots.insert(runner.lane, nonce, "gap_fill", None)
        row = tx.attempts.insert(
            slot, Hash(signed.hash), signed.raw, payload, payload_digest(payload), WriteKind.HOUSEKEEPING,
            *bid, "public", None, [], now_s,
        )  # fmt: skip
        if intent is not None and not tx.intents.get(intent.number).state.is_outcome:
            tx.intents.explain(intent.number, why)
        number = None if intent is None else intent.number
        data: EventData = {"hash": hex_text(row.hash), "nonce": nonce, "why": why}
        tx.events.append("slot.filled", runner.lane.chain_id, str(runner.lane), number, data, now_s)
        return row

    try:
        attempt = await desk.parts.ledger.write(commit)
    except AuthorityChangedError:
        return True
    await _AFTER_FILL_COMMIT.reach()
    _log.info("slot_filled", lane=str(runner.lane), nonce=nonce, hash=hex_text(attempt.hash), why=why)
    desk.take_filler(attempt)
    runner.outbox.put(attempt)
    return True


async def fill_fees(runner: LaneRunner, earlier: Sequence[AttemptRow]) -> Fees | None:
    """Above every earlier attempt by the clients' rule, under our ceiling. What more a calm quote would give
    is cut by the ceiling; what the rule needs is not."""
    parts = runner.desk.parts
    quote = await runner.desk.fee_quote()
    rule, ceiling_wei = rule_of(parts.network), parts.emergency_max_fee_per_gas_wei
    return replacement_fees(fees_of(earlier), quote, rule, ceiling_wei)


def fees_of(attempts: Sequence[AttemptRow]) -> list[Fees]:
    return [Fees(row.max_fee_per_gas_wei, row.max_priority_fee_per_gas_wei) for row in attempts]
