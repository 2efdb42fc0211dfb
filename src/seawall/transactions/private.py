"""Private attempts that are not on chain: handed to their relay again at every head, and what follows when
their window is over.

Bytes given to a relay stay valid until their nonce is used, and may leak. So a private attempt is watched
like any other until its nonce is final, and its intent gets no other nonce. At each head, for every attempt
that is the newest of its intent in the slot:

    overdue, or cancelled           withdrawn
    authority does not admit it     its relay is asked to forget it; it is handed over again when it is raised
    its dependency is gone          judged anew; refused: withdrawn
    its window is open              in force: handed over for the next block; lapsed: judged anew first
    its window is over, by plan     expire: withdrawn
                                    reprice: signed dearer, for the relay that does best now
                                    public: the same bytes, judged anew, go to the public pool

*Withdrawn* is asked of the relay by the name of the bundle, and believed of nobody: once nothing in the slot
is wanted any more its nonce is filled publicly, and whichever lands decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace as replaced
from typing import Final

from seawall.ledger.rows import AttemptRow, EventData, IntentRow, NewEvent
from seawall.ledger.transaction import Transaction
from seawall.primitives.identifiers import IntentNumber
from seawall.primitives.levels import WriteKind
from seawall.primitives.routes import Routing, Unlanded
from seawall.primitives.units import Hash, hex_text
from seawall.primitives.verdicts import Verdict
from seawall.telemetry.logs import correlated, get_logger
from seawall.transactions.desk import Desk
from seawall.transactions.housekeeping import fill
from seawall.transactions.lanes import LaneRunner
from seawall.transactions.openslots import OpenSlot
from seawall.transactions.renewing import judge_anew, renew, replace, replacement_bid
from seawall.transactions.reports import append_events, is_news, report_stuck
from seawall.transactions.routes import PUBLIC, REMEMBERED_MAX, is_bundle, is_private, relay_of
from seawall.transactions.suspects import dependencies_met
from seawall.transactions.terms import remaining_blocks

__all__ = ["recall_rates", "tend_private"]

_OVER_CEILING: Final = "a dearer filler would pass the ceiling for housekeeping"
_LEAKED: Final = "leaked"
_WITHDRAWN: Final = "withdrawn"
_RECALLED: Final = "recalled"
_CHANGES_BITS: Final = 32
_log = get_logger(__name__)


async def recall_rates(desk: Desk) -> None:
    """At a start: how the relays did, from what the ledger has of their last attempts."""
    routes, chain_id = desk.parts.routes, desk.parts.network.chain_id
    if routes.names:
        ended = await desk.parts.ledger.read(
            lambda tx: tx.routes.ended(chain_id, routes.private_ways, REMEMBERED_MAX)
        )
        routes.recall(ended)


async def tend_private(runner: LaneRunner, slot: OpenSlot, known: Mapping[Hash, bool]) -> None:
    """Look after a slot whose newest attempt is private. The desk's turn is held."""
    await _tell_leaks(runner, slot, known)
    over: list[str] = []
    parts = await _by_intent(runner, slot)
    for part in parts:
        assert part.intent is not None
        with correlated(part.intent.correlation_id):
            why = await _tend_one(runner, part)
            if why is not None:
                over.append(why)
                await _withdraw(runner, part, why)
    if over and len(over) == len(parts):
        why = "; ".join(dict.fromkeys(over))
        if not await fill(runner, slot.slot.nonce, slot.attempts, slot.intent, why):
            await report_stuck(runner, slot, _OVER_CEILING)
    await _tell_news(runner)


async def _tend_one(runner: LaneRunner, slot: OpenSlot) -> str | None:
    """Do what is due for one intent's newest attempt. Answers why nothing more is wanted of it, or None."""
    desk, attempt, intent = runner.desk, slot.newest, slot.intent
    assert intent is not None
    if intent.plan.deadline_s < desk.parts.clock.now_s():
        return "its deadline passed before it was on chain"
    if intent.cancel_reason is not None:
        return intent.cancel_reason
    if not desk.parts.latch.admits(attempt.kind):
        _recall(runner, slot)
        return None
    verdict = desk.verdicts.get(attempt.number)
    if slot.is_suspect and not desk.in_force(verdict):
        return await _renew(runner, slot, "what it depends on is gone from the chain, and its verdict")
    desk.intents.setdefault(intent.number, intent)  # its plan says how long its window is
    has_relay = relay_of(attempt.route) in desk.parts.routes.names
    if has_relay and remaining_blocks(desk, attempt) > 0:
        if not desk.in_force(verdict):
            return await _renew(runner, slot, "its verdict lapsed and")
        if _is_due(runner, attempt):
            runner.outbox.put(attempt)
        return None
    desk.parts.routes.count(attempt.hash, attempt.route, runner.lane.chain_id, landed=False)
    return await _follow(runner, slot, intent)


def _recall(runner: LaneRunner, slot: OpenSlot) -> None:
    """A stop reaches what relays still hold, as far as they listen; asked once a stop."""
    number = (slot.newest.number << _CHANGES_BITS) + runner.desk.parts.latch.changes
    if is_news(runner, _RECALLED, number):
        runner.outbox.withdraw(slot.attempts)


async def _follow(runner: LaneRunner, slot: OpenSlot, intent: IntentRow) -> str | None:
    """The window is over."""
    attempt, routing = slot.newest, intent.plan.routing or Routing()
    if routing.unlanded is Unlanded.PUBLIC:
        return await _go_public(runner, slot)
    if routing.unlanded is Unlanded.REPRICE:
        return await _reprice(runner, slot)
    return f"its relay {relay_of(attempt.route)!r} did not land it within its window"


def _is_due(runner: LaneRunner, attempt: AttemptRow) -> bool:
    """A bundle is for one block. A private transaction is kept by its relay up to a block, if it took it."""
    desk, head = runner.desk, runner.desk.head
    assert head is not None
    if is_bundle(attempt.route) or attempt.answer in ("accepted", "known"):
        return not desk.parts.routes.is_handed_over(attempt.hash, head.number + 1)
    return True


async def _renew(runner: LaneRunner, slot: OpenSlot, cause: str) -> str | None:
    judgement = await judge_anew(runner, slot)
    if judgement is None:
        return None
    if judgement.admitted and judgement.verdict is not None:
        await renew(runner, slot, judgement.verdict)
        return None
    return f"{cause} was not renewed: {judgement.why}"


async def _reprice(runner: LaneRunner, slot: OpenSlot) -> str | None:
    bid = await replacement_bid(runner, slot)
    if isinstance(bid, str):
        return f"it was not landed in its window, and cannot be repriced: {bid}"
    judgement = await judge_anew(runner, slot, bid)
    if judgement is None:
        return None
    if not judgement.admitted or judgement.verdict is None:
        return f"at the fee that it needs now it is refused: {judgement.why}"
    await replace(
        runner, slot, bid, judgement.verdict, route=runner.desk.parts.routes.again(slot.newest.route)
    )
    return None


async def _go_public(runner: LaneRunner, slot: OpenSlot) -> str | None:
    """The same bytes, under a verdict of today, go the public way from now on."""
    judgement = await judge_anew(runner, slot)
    if judgement is None:
        return None
    if not judgement.admitted or judgement.verdict is None:
        return f"it was not landed in its window, and is refused now: {judgement.why}"
    attempt = slot.newest
    await _store_public(runner, slot, judgement.verdict)
    desk = runner.desk
    rerouted = replaced(attempt, route=PUBLIC)
    desk.reroute(rerouted)
    desk.verdicts[attempt.number] = judgement.verdict
    _log.warning("attempt_made_public", hash=hex_text(attempt.hash), relay=relay_of(attempt.route))
    runner.outbox.put(rerouted)
    return None


async def _store_public(runner: LaneRunner, slot: OpenSlot, verdict: Verdict) -> None:
    attempt, intent = slot.newest, slot.intent
    assert intent is not None
    now_s = runner.desk.parts.clock.now_s()
    data: EventData = {"hash": hex_text(attempt.hash), "relay": relay_of(attempt.route)}

    def commit(tx: Transaction) -> None:
        tx.lanes.require(runner.lane, runner.fence)
        tx.intents.count_candidate(intent.number)
        tx.attempts.renew(attempt, tx.verdicts.insert(verdict, now_s))
        tx.routes.change(attempt.number, PUBLIC)
        tx.events.append(
            "attempt.made_public", runner.lane.chain_id, intent.strategy, intent.number, data, now_s
        )

    await runner.desk.parts.ledger.write(commit)


async def _withdraw(runner: LaneRunner, slot: OpenSlot, why: str) -> None:
    """Ask the relays to forget what they were given for this intent; said once."""
    attempt, intent = slot.newest, slot.intent
    assert intent is not None
    runner.outbox.withdraw(slot.attempts)
    if not is_news(runner, _WITHDRAWN, attempt.number):
        return
    now_s = runner.desk.parts.clock.now_s()
    data: EventData = {"hash": hex_text(attempt.hash), "relay": relay_of(attempt.route), "why": why}

    def commit(tx: Transaction) -> None:
        tx.lanes.require(runner.lane, runner.fence)
        tx.intents.explain(intent.number, why)
        tx.events.append(
            "private.withdrawn", runner.lane.chain_id, intent.strategy, intent.number, data, now_s
        )

    await runner.desk.parts.ledger.write(commit)


async def _by_intent(runner: LaneRunner, slot: OpenSlot) -> list[OpenSlot]:
    """The slot as each of its intents sees it: its own attempts alone. More than one, where alternatives
    share the nonce."""
    numbers: dict[IntentNumber, list[AttemptRow]] = {}
    for attempt in slot.attempts:
        if attempt.kind is not WriteKind.HOUSEKEEPING:
            for number, _ in attempt.intents:
                numbers.setdefault(number, []).append(attempt)
    if len(numbers) == 1 and slot.intent is not None:
        return [slot]

    def read(tx: Transaction) -> list[tuple[IntentRow, bool]]:
        rows = tx.intents.get_many(list(numbers))
        return [(row, bool(row.plan.depends_on) and not dependencies_met(tx, row)) for row in rows]

    found = await runner.desk.parts.ledger.read(read)
    return [OpenSlot(slot.slot, tuple(numbers[row.number]), row, suspect) for row, suspect in found]


async def _tell_leaks(runner: LaneRunner, slot: OpenSlot, known: Mapping[Hash, bool]) -> None:
    """Public nodes have bytes that only a relay was given."""
    events = []
    for attempt in slot.attempts:
        is_leaked = is_private(attempt.route) and known.get(attempt.hash, False)
        if is_leaked and is_news(runner, _LEAKED, attempt.number):
            number = attempt.intents[0][0] if attempt.intents else None
            data: EventData = {"hash": hex_text(attempt.hash), "relay": relay_of(attempt.route)}
            events.append(NewEvent("private.leaked", runner.lane.chain_id, str(runner.lane), number, data))
            _log.warning("private_leaked", hash=hex_text(attempt.hash), relay=relay_of(attempt.route))
    await append_events(runner, events)


async def _tell_news(runner: LaneRunner) -> None:
    """What happened to the rates of relays since it was told last."""
    routes = runner.desk.parts.routes
    news, routes.news = routes.news, []
    await append_events(runner, news)
