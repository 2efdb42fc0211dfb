"""What cannot go on is reported, not hidden: a slot that nothing may replace, and who waits behind it.

Each report is an event, a line of log and a metric, and is made once: the desk remembers what was told. A
restart tells again, which does no harm."""

from __future__ import annotations

from typing import Final

from seawall.ledger.rows import EventData, IntentRow, NewEvent
from seawall.ledger.transaction import Transaction
from seawall.primitives.levels import Priority
from seawall.primitives.units import hex_text
from seawall.telemetry.logs import get_logger
from seawall.transactions.lanes import LaneRunner
from seawall.transactions.openslots import OpenSlot

__all__ = ["append_events", "is_news", "report_stuck", "report_unfunded"]

TOLD_MAX: Final = 4_096
_QUEUE_LOOK: Final = 64  # how far down its queue urgent work is looked for
_STUCK: Final = "stuck"
_UNFUNDED: Final = "unfunded"
_BLOCKED: Final = "blocked"
_log = get_logger(__name__)


async def report_stuck(runner: LaneRunner, slot: OpenSlot, why: str) -> None:
    """Nothing may replace or fill this slot now. Urgent work behind it is named, and what blocks it."""
    lane, nonce, ledger = runner.lane, slot.slot.nonce, runner.desk.parts.ledger
    behind = [n for row in runner.desk.waiting(lane) if row.nonce > nonce for n, _ in row.intents]

    def read(tx: Transaction) -> list[IntentRow]:
        return [*tx.intents.get_many(behind), *tx.intents.queued(lane, _QUEUE_LOOK)]

    waiting = await ledger.read(read)
    blocking = None if slot.intent is None else slot.intent.number
    events: list[NewEvent] = []
    if is_news(runner, _STUCK, slot.newest.number):
        names = ", ".join(f"#{row.number}" for row in waiting[:8])
        data: EventData = {
            "nonce": nonce,
            "hash": hex_text(slot.newest.hash),
            "why": why,
            "waiting": len(waiting),
            "behind": names,
        }
        events.append(NewEvent("slot.stuck", lane.chain_id, str(lane), blocking, data))
        runner.desk.parts.metrics.stuck(lane)
        _log.warning(
            "slot_stuck", lane=str(lane), nonce=nonce, intent=blocking, why=why, waiting=len(waiting)
        )
    for row in waiting:
        if row.plan.priority <= Priority.HIGH and is_news(runner, _BLOCKED, row.number):
            data = {"nonce": nonce, "blocking": blocking, "blocked": row.number, "why": why}
            events.append(NewEvent("lane.blocked", lane.chain_id, str(lane), row.number, data))
            _log.warning("lane_blocked", lane=str(lane), intent=row.number, behind=blocking, nonce=nonce)
    await append_events(runner, events)


async def report_unfunded(runner: LaneRunner, slot: OpenSlot, needed_wei: int, balance_wei: int) -> None:
    """A filler that its key cannot pay. It is not written again before it can."""
    if not is_news(runner, _UNFUNDED, slot.newest.number):
        return
    lane, nonce = runner.lane, slot.slot.nonce
    data: EventData = {"nonce": nonce, "needed_wei": str(needed_wei), "balance_wei": str(balance_wei)}
    number = None if slot.intent is None else slot.intent.number
    runner.desk.parts.metrics.stuck(lane)
    _log.error("filler_unfunded", lane=str(lane), nonce=nonce, needed_wei=needed_wei, balance_wei=balance_wei)
    await append_events(runner, [NewEvent("filler.unfunded", lane.chain_id, str(lane), number, data)])


def is_news(runner: LaneRunner, kind: str, number: int) -> bool:
    """Whether this was not told of it yet; from now on it was."""
    told = runner.desk.told
    if (kind, number) in told:
        return False
    if len(told) >= TOLD_MAX:
        told.clear()
    told.add((kind, number))
    return True


async def append_events(runner: LaneRunner, events: list[NewEvent]) -> None:
    """Store them under the lane's fence; nothing, if there are none."""
    if not events:
        return
    now_s = runner.desk.parts.clock.now_s()

    def commit(tx: Transaction) -> None:
        tx.lanes.require(runner.lane, runner.fence)
        tx.events.append_many(events, now_s)

    await runner.desk.parts.ledger.write(commit)
