"""Renewing: a committed payload judged anew on today's head, to be written again as it is, or dearer.

Only the fee may change, and never above what the payload was judged at first: the ceiling of the verdict is
handed on from renewal to renewal (invariant 2). A replacement is a further attempt of its slot with a verdict
of its own; every earlier hash stays watched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace as replaced
from typing import Final

from seawall.chain.data_fees import most_now
from seawall.chain.replacement import Fees, replacement_fees, rule_of
from seawall.chain.simulation import Machine
from seawall.ledger.rows import AttemptRow, EventData, IntentRow
from seawall.ledger.transaction import Transaction
from seawall.native.evm import Missing
from seawall.primitives.errors import (
    AuthorityChangedError,
    NativeError,
    PlanError,
    ProtocolError,
    StaleError,
    UnavailableError,
)
from seawall.primitives.levels import Authority
from seawall.primitives.units import Hash, hex_text
from seawall.primitives.verdicts import Candidate, Verdict
from seawall.risk.gate import Gate
from seawall.telemetry import failpoints
from seawall.telemetry.logs import get_logger
from seawall.transactions.candidates import build_candidate, unsigned
from seawall.transactions.housekeeping import fees_of
from seawall.transactions.judging import judge
from seawall.transactions.lanes import LaneRunner
from seawall.transactions.openslots import OpenSlot
from seawall.transactions.segments import Apart, Together, judge_together, payload_of, shares_of

__all__ = ["Judgement", "judge_anew", "renew", "replace", "replacement_bid"]

_AFTER_RENEWAL = failpoints.declare("transactions.after_renewal")
_AFTER_REPLACEMENT = failpoints.declare("transactions.after_replacement")
NOT_REPLACEABLE: Final = "nodes of this chain replace nothing"
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What today's head says about a committed payload. `verdict` is None if it cannot be judged at all."""

    verdict: Verdict | None
    why: str = ""  # it is not admitted
    beside: tuple[Verdict, ...] = ()  # of the further plans that it carries

    @property
    def admitted(self) -> bool:
        return self.verdict is not None and self.verdict.admitted


async def judge_anew(runner: LaneRunner, slot: OpenSlot, fees: Fees | None = None) -> Judgement | None:
    """Judge the slot's payload on what stands before it, paying `fees`, or what its newest attempt pays.
    None: it cannot be judged now. A refusal is recorded."""
    desk, attempt, intent = runner.desk, slot.newest, slot.intent
    assert intent is not None, "a payload was judged for its intent"
    if desk.authority is Authority.HALT:
        return None
    fees = fees or fees_of([attempt])[0]
    try:
        await desk.rebuild_overlay(before=attempt)
        if len(attempt.intents) > 1:
            return await _judge_batch_anew(runner, attempt, fees)
        candidate = await _candidate(runner, attempt, intent, fees)
        verdict = await judge(desk, candidate, desk.authority)
    except (UnavailableError, StaleError) as cause:
        _log.warning("renewal_put_off", intent=intent.number, cause=str(cause))
        return None
    except (PlanError, NativeError, ProtocolError) as cause:
        return Judgement(None, f"it cannot be judged anew: {cause}")
    if not verdict.admitted:
        await _record(runner, attempt, [verdict])
    return Judgement(verdict, verdict.explanation)


async def renew(runner: LaneRunner, slot: OpenSlot, verdict: Verdict, beside: Sequence[Verdict] = ()) -> None:
    """Record that the same bytes may be written again under these verdicts, then write them."""
    desk, attempt, intent = runner.desk, slot.newest, slot.intent
    assert intent is not None
    await _record(runner, attempt, [verdict, *beside])
    await _AFTER_RENEWAL.reach()
    desk.verdicts[attempt.number] = verdict
    desk.correlations[attempt.number] = intent.correlation_id
    runner.outbox.put(attempt)


async def replacement_bid(runner: LaneRunner, slot: OpenSlot) -> Fees | str:
    """What a replacement pays by the clients' rule, or why there can be none."""
    desk, attempt, intent = runner.desk, slot.newest, slot.intent
    assert intent is not None
    rule = rule_of(desk.parts.network)
    if not rule.replaceable:
        return NOT_REPLACEABLE
    try:
        ceiling_wei = await _ceiling(runner, attempt)
    except PlanError as cause:
        return str(cause)
    quote = await desk.fee_quote(intent.plan.priority)
    bid = replacement_fees(fees_of(slot.attempts), quote, rule, ceiling_wei)
    base_fee_wei = desk.base().base_fee_wei
    if base_fee_wei > ceiling_wei:
        return f"the base fee is {base_fee_wei} wei, and its verdict judged {ceiling_wei} at most"
    if bid is not None:
        return bid
    dearest_wei = max(row.max_fee_per_gas_wei for row in slot.attempts)
    return (
        f"a replacement must pay {rule.least_after(dearest_wei)} wei a gas at least, and its verdict judged"
        f" {ceiling_wei} at most"
    )


async def replace(
    runner: LaneRunner,
    slot: OpenSlot,
    bid: Fees,
    verdict: Verdict,
    route: str | None = None,
    beside: Sequence[Verdict] = (),
) -> None:
    """Sign the same payload at `bid`, commit it as a further attempt of the slot, and write it; by `route`,
    or as the earlier one went. It stands on `verdict`; `beside` are those of its further plans."""
    desk, earlier, intent = runner.desk, slot.newest, slot.intent
    assert intent is not None
    price = (bid.max_fee_per_gas_wei, bid.max_priority_fee_per_gas_wei)
    (signed,) = await runner.sign_in_turn([unsigned(earlier.payload, earlier.nonce, *price)])
    if not desk.in_force(verdict):
        return
    now_s = desk.parts.clock.now_s()

    def commit(tx: Transaction) -> AttemptRow:
        tx.lanes.require(runner.lane, runner.fence)
        tx.controls.require_epoch(desk.epoch)
        if not desk.parts.latch.admits(verdict.kind):
            raise AuthorityChangedError("authority changed", str(runner.lane), "resume to go on")
        numbers = []
        for one in (verdict, *beside):
            tx.intents.count_candidate(one.number)
            numbers.append(tx.verdicts.insert(one, now_s))
        row = tx.attempts.insert(
            slot.slot, Hash(signed.hash), signed.raw, earlier.payload, earlier.payload_digest, verdict.kind,
            *price, route or earlier.route, numbers[0], earlier.intents, now_s,
        )  # fmt: skip
        data: EventData = {
            "hash": hex_text(row.hash),
            "replaces": hex_text(earlier.hash),
            "nonce": row.nonce,
            "max_fee_per_gas_wei": str(price[0]),
        }
        tx.events.append(
            "attempt.replaced", runner.lane.chain_id, intent.strategy, intent.number, data, now_s
        )
        return row

    try:
        attempt = await desk.parts.ledger.write(commit)
    except AuthorityChangedError:
        return
    await _AFTER_REPLACEMENT.reach()
    _log.info(
        "attempt_replaced",
        intent=intent.number,
        nonce=attempt.nonce,
        hash=hex_text(attempt.hash),
        fee=price[0],
    )
    desk.take(attempt, verdict, intent.correlation_id)
    desk.unready()
    runner.outbox.put(attempt)


async def _ceiling(runner: LaneRunner, attempt: AttemptRow) -> int:
    """Fee per gas that the payload was judged at most, beside what a roll-up may take for its data now: both
    together stay within what its bytes promise.

    Raises `UnavailableError` where that is not known, `PlanError` where it leaves too little."""
    verdict = runner.desk.verdicts.get(attempt.number)
    if verdict is None:
        number = attempt.verdict
        assert number is not None, "bytes of a plan stand on a verdict"
        verdict = (await runner.desk.parts.ledger.read(lambda tx: tx.verdicts.get(number))).verdict
    left_wei = verdict.max_total_fee_wei - await _data_fee_wei(runner, attempt)
    ceiling_wei = left_wei // attempt.payload.gas_limit
    if ceiling_wei < attempt.max_fee_per_gas_wei:
        what = "what the roll-up takes for its data has passed what was judged"
        raise PlanError(what, str(attempt.lane), "none needed: its nonce is filled if it does not land")
    return ceiling_wei


async def _data_fee_wei(runner: LaneRunner, attempt: AttemptRow) -> int:
    """The most that a roll-up takes now beside gas; what Arbitrum takes is in the gas limit."""
    desk = runner.desk
    return (await most_now(desk.parts.data_fees, attempt.payload, desk.base())).fee_wei


async def _candidate(runner: LaneRunner, attempt: AttemptRow, intent: IntentRow, fees: Fees) -> Candidate:
    quote = await runner.desk.fee_quote(intent.plan.priority)
    return Candidate(
        number=intent.number,
        attempt_number=intent.candidates + 1,
        plan=intent.plan,
        plan_digest=intent.plan_digest,
        intent_id=intent.intent_id,
        lane=runner.lane,
        nonce=attempt.nonce,
        payload=attempt.payload,
        max_fee_per_gas_wei=fees.max_fee_per_gas_wei,
        max_priority_fee_per_gas_wei=fees.max_priority_fee_per_gas_wei,
        expected_fee_per_gas_wei=min(quote.expected_fee_per_gas_wei, fees.max_fee_per_gas_wei),
        ceiling_fee_per_gas_wei=await _ceiling(runner, attempt),
        base=runner.desk.base(),
        data_fee_wei=await _data_fee_wei(runner, attempt),
    )


async def _record(runner: LaneRunner, attempt: AttemptRow, verdicts: Sequence[Verdict]) -> None:
    """Store them, one for each plan that the bytes carry; they stand on the first."""
    now_s = runner.desk.parts.clock.now_s()

    def commit(tx: Transaction) -> None:
        tx.lanes.require(runner.lane, runner.fence)
        numbers = []
        for verdict in verdicts:
            tx.intents.count_candidate(verdict.number)
            numbers.append(tx.verdicts.insert(verdict, now_s))
        if all(verdict.admitted for verdict in verdicts):
            tx.attempts.renew(attempt, numbers[0])
        for verdict in verdicts:
            data: EventData = {
                "hash": hex_text(attempt.hash),
                "admitted": verdict.admitted,
                "why": verdict.explanation,
            }
            strategy = tx.intents.get(verdict.number).strategy
            tx.events.append("verdict.renewed", runner.lane.chain_id, strategy, verdict.number, data, now_s)

    await runner.desk.parts.ledger.write(commit)
    runner.desk.parts.metrics.judged(*verdicts)


async def _judge_batch_anew(runner: LaneRunner, attempt: AttemptRow, fees: Fees) -> Judgement | None:
    """As `judge_anew`, of bytes that carry several plans: all of them must still go together."""
    desk, numbers = runner.desk, [number for number, _ in attempt.intents]
    if desk.authority is not Authority.RUN:
        return Judgement(None, "several plans in one transaction are judged under RUN only")
    rows = await desk.parts.ledger.read(lambda tx: [tx.intents.get(number) for number in numbers])
    gas_limits, ceiling_wei = shares_of(attempt)
    if len(gas_limits) != len(rows):
        return Judgement(None, f"its bytes carry {len(gas_limits)} plans instead of {len(rows)}")
    quote = await desk.fee_quote(rows[0].plan.priority)
    quote = replaced(
        quote,
        max_fee_per_gas_wei=fees.max_fee_per_gas_wei,
        max_priority_fee_per_gas_wei=fees.max_priority_fee_per_gas_wei,
        expected_fee_per_gas_wei=min(quote.expected_fee_per_gas_wei, fees.max_fee_per_gas_wei),
        ceiling_fee_per_gas_wei=ceiling_wei,
    )
    base = desk.base()
    candidates = [
        build_candidate(row, runner.lane, attempt.nonce + place, row.candidates + 1, quote, base, gas_limit)
        for place, (row, gas_limit) in enumerate(zip(rows, gas_limits, strict=True))
    ]
    if payload_of(candidates) != attempt.payload:
        return Judgement(None, "its bytes carry other plans than the ledger says")
    work = _Anew(desk.parts.simulator.machine, desk.parts.gate, candidates, desk.parts.clock.now_s())
    together: Together | Apart = await desk.parts.simulator.drive(work, [one.payload for one in candidates])
    if isinstance(together, Apart):
        return Judgement(None, "its plans do not all land together any more")
    if not together.admitted:
        await _record(runner, attempt, together.verdicts)
        return Judgement(None, together.explanation)
    first, *beside = together.verdicts
    return Judgement(first, beside=tuple(beside))


@dataclass(frozen=True, slots=True)
class _Anew:
    machine: Machine
    gate: Gate
    candidates: Sequence[Candidate]
    now_s: int
    progress: int = 0

    def go(self) -> Together | Missing | Apart:
        return judge_together(self.machine, self.gate, self.candidates, self.now_s)
