"""What was committed and is not on chain: one path for restart, resume after HALT, reorg, what a node forgot,
and what is stuck (TX-5).

An attempt once committed counts as possibly sent, for ever (invariant 3a). Ascending by nonce, each open slot
that no canonical inclusion explains is tended:

    past its deadline, or cancelled   fill the nonce with a dearer transfer to ourselves
    suspect                           judge the same payload anew: kept, or filled
    unknown to the node               verdict in force: write the same bytes; lapsed: judge the same payload
                                      anew; admitted: record the renewal and write; refused: fill
    rejected again and again          fill the nonce, for it blocks all behind it
    private                           handed to its relay again, until its window is over (`private`)
    known, and its turn, for long     by the policy of its priority: write again, then replace it, dearer;
                                      what would be refused today is cancelled, where the policy says so
    a filler                          written until the node has it, and made dearer, for it clears the way

When a filling is final the intent ends cancelled; others that its bytes carried too are queued again. Every
older hash of a slot stays watched until the slot is final. What may not be made dearer is reported, with who
waits behind it. Nothing here gives a nonce to an intent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from seawall.chain.broadcast import WriteAnswer
from seawall.ledger.rows import AttemptRow
from seawall.primitives.units import Hash
from seawall.telemetry.logs import correlated
from seawall.transactions.desk import Desk
from seawall.transactions.housekeeping import fill
from seawall.transactions.lanes import LaneRunner
from seawall.transactions.openslots import OpenSlot, blocks_since, due_attempts, read_slots, waited_blocks
from seawall.transactions.policies import HOUSEKEEPING, StuckPolicy
from seawall.transactions.private import tend_private
from seawall.transactions.renewing import judge_anew, renew, replace, replacement_bid
from seawall.transactions.reports import report_stuck, report_unfunded
from seawall.transactions.routes import is_private

__all__ = ["REJECTIONS_MAX", "tend"]

# Bytes that no node takes, whatever the reason, block all that is behind them: after this many writes their
# nonce is filled instead.
REJECTIONS_MAX: Final = 16
_OVER_CEILING: Final = "a dearer filler would pass the ceiling for housekeeping"


async def tend(runner: LaneRunner) -> None:
    """Look after every open slot of the lane once; call it at each head and at resume.

    The desk's turn is held only where there is something to do. Raises `UnavailableError` or `StaleError`
    when chain or head moved; the next call goes on where this one stopped."""
    desk, lane = runner.desk, runner.lane
    if runner.signer is None or not runner.signer.ready or desk.reload_due:
        return
    desk.base()
    at_head = await desk.nonce_at_head(lane)
    waiting = desk.waiting(lane)
    rows = [row for row in due_attempts(desk, waiting, at_head) if not runner.outbox.holds(row.hash)]
    if not rows and not _gaps(desk, waiting, at_head) and desk.is_ready:
        return
    hashes = [h for row in rows for h in desk.hashes_of(lane, row.nonce)]
    answers = await desk.parts.client.transactions_known(hashes) if hashes else []
    known = dict(zip(hashes, answers, strict=True))
    async with desk.turn:
        await _tend(runner, rows, known, at_head)


async def _tend(runner: LaneRunner, rows: list[AttemptRow], known: Mapping[Hash, bool], at_head: int) -> None:
    desk = runner.desk
    if desk.reload_due:  # a commit of another lane came in doubt meanwhile
        return
    for nonce in _gaps(desk, desk.waiting(runner.lane), at_head):
        await fill(runner, nonce, (), None, "no transaction of ours or of anybody has this nonce")
    slots = await desk.parts.ledger.read(lambda tx: read_slots(tx, rows)) if rows else []
    for slot in slots:
        if any(attempt.hash not in known for attempt in slot.attempts):
            # Whoever has the lane by now committed it: this kernel slept, and what it knows is of yesterday.
            desk.reload_due = True
            return
        await _tend_slot(runner, slot, known, is_turn=slot.slot.nonce == at_head)
    if not desk.is_ready:
        await desk.rebuild_overlay()


def _gaps(desk: Desk, waiting: Sequence[AttemptRow], at_head: int) -> list[int]:
    """Nonces below our highest that have no slot (a foreign transaction that a reorg took away): they block
    all behind them."""
    if not waiting or (waiting[-1].nonce - at_head == len(waiting) - 1 and waiting[0].nonce == at_head):
        return []  # one waits for each nonce
    lane, highest = waiting[-1].lane, waiting[-1].nonce
    return [nonce for nonce in range(at_head, highest) if not desk.hashes_of(lane, nonce)]


async def _tend_slot(
    runner: LaneRunner, slot: OpenSlot, known: Mapping[Hash, bool], *, is_turn: bool
) -> None:
    if slot.is_filled:
        await _tend_fill(runner, slot, known, is_turn=is_turn)
        return
    intent, attempt, desk = slot.intent, slot.newest, runner.desk
    assert intent is not None
    if is_private(attempt.route):
        await tend_private(runner, slot, known)
        return
    with correlated(intent.correlation_id):
        if intent.state.is_outcome:
            await _fill(runner, slot, f"its intent is {intent.state} by another nonce")
        elif intent.plan.deadline_s < desk.parts.clock.now_s():
            await _fill(runner, slot, "its deadline passed before it was on chain")
        elif intent.cancel_reason is not None:
            await _fill(runner, slot, intent.cancel_reason)
        elif slot.is_suspect and not desk.in_force(desk.verdicts.get(attempt.number)):
            await _write_anew(
                runner, slot, "what it depends on is gone from the chain, and its verdict", cancels=True
            )
        elif known[attempt.hash]:
            if is_turn:
                await _tend_stuck(runner, slot)
        elif attempt.answer == WriteAnswer.REJECTED and any(known[a.hash] for a in slot.attempts[:-1]):
            # The node keeps the cheaper one: what replaced it did not pay enough.
            if blocks_since(desk, attempt.written_at_s or attempt.committed_at_s) > 0:
                await _replace(runner, slot, desk.parts.stuck.of(intent.plan.priority))
        elif attempt.answer == WriteAnswer.REJECTED and attempt.writes >= REJECTIONS_MAX:
            why = f"every endpoint rejects its bytes, the last of {attempt.writes} times too"
            await _fill(runner, slot, why, is_joint=True)
        elif desk.in_force(desk.verdicts.get(attempt.number)):
            runner.outbox.put(attempt)
        elif attempt.max_fee_per_gas_wei < desk.parts.simulator.base_fee_wei:
            await _replace(runner, slot, desk.parts.stuck.of(intent.plan.priority))
        else:
            await _write_anew(runner, slot, "its verdict lapsed and", cancels=True)


async def _tend_stuck(runner: LaneRunner, slot: OpenSlot) -> None:
    """The nodes have it and it is its turn: by the policy, write it again, and in the end dearer."""
    desk, attempt, intent = runner.desk, slot.newest, slot.intent
    assert intent is not None
    policy = desk.parts.stuck.of(intent.plan.priority)
    written_at_s = attempt.committed_at_s if attempt.written_at_s is None else attempt.written_at_s
    if blocks_since(desk, written_at_s) < policy.rebroadcast_blocks:
        return
    is_left_behind = attempt.max_fee_per_gas_wei < desk.base().base_fee_wei
    waited = waited_blocks(desk, attempt)
    # Written twice, so that time under HALT does not count as waiting.
    if is_left_behind or (waited >= policy.replace_blocks and attempt.writes > 1):
        await _replace(runner, slot, policy)
    elif waited >= policy.rebroadcast_blocks:
        if desk.in_force(desk.verdicts.get(attempt.number)):
            runner.outbox.put(attempt)
        else:
            await _write_anew(runner, slot, "its verdict lapsed and", cancels=policy.cancel_refused)


async def _write_anew(runner: LaneRunner, slot: OpenSlot, cause: str, *, cancels: bool) -> None:
    """Judge the same payload anew on today's head, and write its bytes again if it is admitted."""
    judgement = await judge_anew(runner, slot)
    if judgement is None:
        return
    if judgement.admitted and judgement.verdict is not None:
        await renew(runner, slot, judgement.verdict, judgement.beside)
    elif cancels:
        await _fill(runner, slot, f"{cause} was not renewed: {judgement.why}", is_joint=True)


async def _replace(runner: LaneRunner, slot: OpenSlot, policy: StuckPolicy) -> None:
    bid = await replacement_bid(runner, slot)
    if isinstance(bid, str):
        await report_stuck(runner, slot, bid)
        return
    judgement = await judge_anew(runner, slot, bid)
    if judgement is None:
        return
    if judgement.admitted and judgement.verdict is not None:
        await replace(runner, slot, bid, judgement.verdict, beside=judgement.beside)
    elif policy.cancel_refused:
        why = f"at the fee that it needs now it is refused: {judgement.why}"
        await _fill(runner, slot, why, is_joint=True)
    else:
        await report_stuck(runner, slot, f"at the fee that it needs now it is refused: {judgement.why}")


async def _tend_fill(
    runner: LaneRunner, slot: OpenSlot, known: Mapping[Hash, bool], *, is_turn: bool
) -> None:
    """A filler is written until the node has it. It is made dearer once the base fee has left it behind, the
    node keeps what it is to replace (ours, or somebody else's with this nonce), or it waits for long."""
    desk, attempt = runner.desk, slot.newest
    written_at_s = attempt.committed_at_s if attempt.written_at_s is None else attempt.written_at_s
    since_write = blocks_since(desk, written_at_s)
    is_rejected = attempt.answer == WriteAnswer.REJECTED and not known[attempt.hash]
    if is_rejected and since_write > 0:
        needed_wei = attempt.payload.gas_limit * attempt.max_fee_per_gas_wei
        balance_wei = await desk.parts.client.balance_at(runner.lane.key, desk.base().hash)
        if balance_wei < needed_wei:
            await report_unfunded(runner, slot, needed_wei, balance_wei)
            return
    is_left_behind = attempt.max_fee_per_gas_wei < desk.base().base_fee_wei
    is_kept_out = attempt.hash in desk.underpriced or any(known[a.hash] for a in slot.attempts[:-1])
    is_outbid = is_rejected and since_write > 0 and is_kept_out
    waits = is_turn and known[attempt.hash] and since_write >= HOUSEKEEPING.rebroadcast_blocks
    for_long = waits and waited_blocks(desk, attempt) >= HOUSEKEEPING.replace_blocks
    why = slot.intent.reason if slot.intent else "gap"
    if (is_left_behind or is_outbid or for_long) and await _fill(runner, slot, why):
        return
    if not known[attempt.hash] or waits:
        runner.outbox.put(attempt)


async def _fill(runner: LaneRunner, slot: OpenSlot, why: str, *, is_joint: bool = False) -> bool:
    """False: it may not be made any dearer, which is told. With `is_joint` the cause is no single plan's: of
    several in the bytes none ends for it, and each may have another nonce once the filling is final."""
    intent = None if is_joint and len(slot.newest.intents) > 1 else slot.intent
    is_affordable = await fill(runner, slot.slot.nonce, slot.attempts, intent, why)
    if not is_affordable:
        await report_stuck(runner, slot, _OVER_CEILING)
    return is_affordable
