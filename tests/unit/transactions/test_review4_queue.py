"""The queue in memory under what moves while it is compared, and over a long life."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from seawall.chain.broadcast import SignedWrite, SocketBroadcastPort, WriteAnswer
from seawall.chain.state import StateKeys
from seawall.control.latch import Latch
from seawall.ledger import Ledger
from seawall.ledger.rows import IntentRow
from seawall.ledger.transaction import Transaction
from seawall.native import keccak256
from seawall.primitives.identifiers import IntentNumber
from seawall.primitives.levels import IntentState, WriteKind
from seawall.primitives.observations import Decision
from seawall.primitives.ports import SystemClock
from seawall.primitives.units import Address, Hash, hex_text
from seawall.primitives.verdicts import Payload
from seawall.transactions.queue import LaneQueue, Queues
from tests.builders.chain_model import ChainModel
from tests.builders.messages import CHAIN_ID, block
from tests.builders.pipeline import pipeline
from tests.fixtures.raw_server import Peer, answers_to, raw_server
from tests.unit.transactions.test_review_overlay import desk

T = TypeVar("T")
USD = Address(b"\x05" * 20)


async def test_intent_accepted_while_the_queues_are_compared_stays_in_its_queue(tmp_path: Path) -> None:
    async with pipeline(ChainModel(), tmp_path) as found:
        await found.look()
        waiting, queues = found.chain.loop.dispatcher.waiting, found.chain.loop.dispatcher.queues
        # Something that this kernel has not heard of makes the queue differ.
        elsewhere = replace(found.chain.intake, queues=type(queues)())
        await elsewhere.accept(Decision("keeper", 1, 0, (found.plan("elsewhere"),)))
        numbers: list[IntentNumber] = []
        true_read = found.ledger.read

        async def read(work: Callable[[Transaction], T]) -> T:
            answer = await true_read(work)
            if not numbers:
                (row,) = await found.chain.intake.accept(Decision("keeper", 2, 0, (found.plan("here"),)))
                numbers.append(row.number)
            return answer

        parts = found.chain.desk.parts
        stand_in: Any = type("Read", (), {"read": staticmethod(read), "write": parts.ledger.write})()
        waiting.desk.parts = replace(parts, ledger=stand_in)
        waiting.reconcile_soon()
        await waiting.tidy(found.chain.loop.dispatcher.runners)
        waiting.desk.parts = parts
        assert numbers[0] in queues[found.lane]


def row_of(row: IntentRow, number: int) -> IntentRow:
    return replace(row, number=IntentNumber(number))


async def test_queue_does_not_grow_with_what_has_ended(tmp_path: Path) -> None:
    async with pipeline(ChainModel(), tmp_path) as found:
        plan = found.plan("far", ttl_s=10**9)
        (accepted,) = await found.chain.intake.accept(Decision("keeper", 1, 0, (plan,)))
    queue = LaneQueue()
    for number in range(50_000):
        row = row_of(accepted, number)
        queue.offer((row,))
        queue.take(row)
        queue.done(row.number)
    kept = [
        getattr(queue, name) for name in LaneQueue.__slots__ if name not in ("_ready", "_dead", "reconciled")
    ]
    held = sum(map(len, kept))
    assert held < 10_000


async def test_cancellation_asked_for_while_a_batch_had_it_keeps_its_reason(tmp_path: Path) -> None:
    async with pipeline(ChainModel(), tmp_path) as found:
        (accepted,) = await found.chain.intake.accept(Decision("keeper", 1, 0, (found.plan("one"),)))
    queue = LaneQueue()
    queue.offer((accepted,))
    queue.take(accepted)
    queue.offer((replace(accepted, cancel_reason="the operator wants it so"),))
    queue.give_back(accepted.number)
    assert [row.cancel_reason for row in queue.cancelled()] == ["the operator wants it so"]


async def spends(ledger: Ledger, found: Any) -> dict[Address, int]:
    rows = await ledger.read(lambda tx: tx.spends.since(found.lane, 0))
    return {row.token: row.amount for row in rows}


async def test_tokens_that_a_settled_slot_did_not_take_do_not_count_as_spent_after_a_restart(
    tmp_path: Path,
) -> None:
    # It reserved a token as well, and reverted, or was cancelled: none of it left.
    async with pipeline(ChainModel(), tmp_path) as found:
        (number,) = await found.submit(found.plan("one"))
        (attempt,) = await found.attempts(number)
        now_s = found.clock.now_s()
        await found.ledger.write(lambda tx: tx.spends.add(found.lane, attempt.number, USD, 1_000, now_s))
        await found.block()
        await found.empty_block(70)
        assert (await found.intent(number)).state is IntentState.LANDED
        assert (await spends(found.ledger, found))[USD] == 0


def refuses_batches(peer: Peer) -> None:
    """As providers do that take no batches, or only small ones."""
    while (body := peer.request()) is not None:
        request = json.loads(body)
        if isinstance(request, list):
            error = {"code": -32600, "message": "batch requests are not enabled"}
            peer.answer({"jsonrpc": "2.0", "id": None, "error": error})
            continue
        raw = bytes.fromhex(request["params"][0][2:])
        peer.answer({"jsonrpc": "2.0", "id": request["id"], "result": hex_text(Hash(keccak256(raw)))})


async def test_endpoint_that_takes_no_batches_gets_the_writes_one_by_one(tmp_path: Path) -> None:
    clock = SystemClock()
    with raw_server(refuses_batches) as server:
        port = SocketBroadcastPort([server.url], Latch(tmp_path / "latch.json", clock=clock), clock=clock)
        raws = [b"\x02" + bytes([number]) * 100 for number in range(3)]
        writes = [SignedWrite(WriteKind.PLAN, Hash(keccak256(raw)), raw, clock.now_s() + 60) for raw in raws]
        results = await port.write(writes)
        await port.close()
    assert [result.answer for result in results] == [WriteAnswer.ACCEPTED] * 3


async def test_endpoint_that_was_busy_for_one_batch_still_gets_batches(tmp_path: Path) -> None:
    clock, batches = SystemClock(), []

    def busy_once(peer: Peer) -> None:
        while (body := peer.request()) is not None:
            request = json.loads(body)
            batches.append(isinstance(request, list))
            if len(batches) == 1:
                error = {"code": -32005, "message": "rate limit exceeded"}
                peer.answer({"jsonrpc": "2.0", "id": None, "error": error})
            else:
                peer.answer(answers_to(body))

    with raw_server(busy_once) as server:
        port = SocketBroadcastPort([server.url], Latch(tmp_path / "latch.json", clock=clock), clock=clock)
        raws = [b"\x02" + bytes([number]) * 100 for number in range(3)]
        writes = [SignedWrite(WriteKind.PLAN, Hash(keccak256(raw)), raw, clock.now_s() + 60) for raw in raws]
        await port.write(writes)
        await port.write(writes)
        await port.close()
    assert batches == [True, True]


async def test_more_keys_than_one_fetch_takes_are_still_fetched_ahead() -> None:
    # Many lanes that swap read more than one request may ask for: not a reason to ask for nothing.
    standing = desk()
    simulator = standing.parts.simulator
    await simulator.pin(block())
    known = simulator._read_sets
    payloads = []
    for number in range(16):
        payload = Payload(CHAIN_ID, Address(bytes([number + 1]) * 20), USD, b"swap", 0, 100_000)
        slots = tuple((USD, Hash((number * 200 + n).to_bytes(32, "big"))) for n in range(200))
        known[(payload.sender, payload.to, payload.data[:4])] = StateKeys((payload.sender,), slots, (), ())
        payloads.append(payload)
    await simulator.drive(Nothing(), payloads)
    assert simulator.prefetches > 0


class Nothing:
    progress = 0

    def go(self) -> int:
        return 1


async def test_row_that_intake_offers_after_it_was_loaded_and_committed_is_not_taken_again(
    tmp_path: Path,
) -> None:
    async with pipeline(ChainModel(), tmp_path) as found:
        (accepted,) = await found.chain.intake.accept(Decision("keeper", 1, 0, (found.plan("one"),)))
    queues = Queues()
    queue = queues.open(accepted.lane)
    queue.reconcile([accepted], accepted.number)
    queue.take(accepted)
    queue.done(accepted.number)
    queues.offer([accepted])
    assert len(queue) == 0
