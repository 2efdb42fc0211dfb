"""What users of other systems suffer, one test named after each pain: on the real pipeline, and failing if
the pain were there."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from seawall.chain.broadcast import WriteAnswer
from seawall.chain.fees import FeeSettings
from seawall.chain.rpc import Request, RpcError
from seawall.native import keccak256
from seawall.primitives.bounds import RETRIES_MAX
from seawall.primitives.errors import PlanError
from seawall.primitives.identifiers import IntentNumber
from seawall.primitives.levels import IntentState, Priority
from seawall.primitives.units import Address, Hash
from tests.builders.chain_model import ChainModel, ModelTransaction
from tests.builders.pipeline import Pipeline, pipeline
from tests.fixtures.raw_server import Behaviour, Peer, raw_server

FINAL_BLOCKS = 4
TARGET = Address(b"\xc0" * 20)
# PUSH0 PUSH0 REVERT
REVERTS = bytes.fromhex("5f5ffd")


async def nonces(found: Pipeline, numbers: Sequence[IntentNumber]) -> list[int]:
    return [attempt.nonce for number in numbers for attempt in await found.attempts(number)]


def mined(model: ChainModel) -> int:
    return len(model.head.transactions)


async def states(found: Pipeline, numbers: Sequence[IntentNumber]) -> list[IntentState]:
    return [(await found.intent(number)).state for number in numbers]


async def finish(found: Pipeline, blocks: int = 1) -> None:
    await found.block(blocks)
    await found.empty_block(FINAL_BLOCKS)


# ---------------------------------------------------------------------- 1


async def test_pain_1_a_counter_raised_before_signing_and_never_rolled_back(tmp_path: Path) -> None:
    """Candidates that are refused, and a key that fails as it signs, leave no gap: the next nonce follows
    from slots and chain."""
    model = ChainModel(codes={TARGET: REVERTS})
    async with pipeline(model, tmp_path) as found:
        refused = await found.submit(*[found.plan(f"refused {i}", to=TARGET) for i in range(3)])
        assert await states(found, refused) == [IntentState.REFUSED] * 3
        signer = found.signers[found.key]
        signer.fails = True
        with pytest.raises(ConnectionError):
            await found.submit(found.plan("unsigned"))
    async with pipeline(model, tmp_path) as again:
        numbers = await again.submit(again.plan("next"), again.plan("and next"))
        (unsigned,) = await again.ledger.read(lambda tx: [tx.intents.find("keeper", "unsigned")])
        assert unsigned is not None
        assert sorted(await nonces(again, [unsigned.number, *numbers])) == [0, 1, 2]
        await finish(again)
        assert await states(again, [unsigned.number, *numbers]) == [IntentState.LANDED] * 3


# ---------------------------------------------------------------------- 2


@pytest.mark.parametrize("restarted", [False, True])
async def test_pain_2_a_lost_write_and_no_watchdog(tmp_path: Path, restarted: bool) -> None:
    """Bytes that left and never arrived are looked for on the chain at each head, whatever memory says."""
    model = ChainModel()
    async with pipeline(model, tmp_path) as found:
        found.port.lost = True
        (number,) = await found.submit(found.plan("lost"))
        assert model.pool == {}
        found.port.lost = False
        if not restarted:
            await found.empty_block()
            assert len(model.pool) == 1
    if restarted:
        model.mine_nothing()
    async with pipeline(model, tmp_path) as again:
        await finish(again, 2)
        assert await states(again, [number]) == [IntentState.LANDED]
        assert len(await again.attempts(number)) == 1


# ---------------------------------------------------------------------- 3 and 4: the true port


def node(model: ChainModel, answer: Callable[[bytes, str | None], str | None]) -> Behaviour:
    """A send endpoint: takes bytes into the model and says what `answer` makes of the model's word."""

    def one(call: dict[str, object]) -> dict[str, object]:
        said = {"jsonrpc": "2.0", "id": call["id"]}
        if call["method"] != "eth_sendRawTransaction":
            return said | {"result": hex(model.chain_id)}
        params = call["params"]
        assert isinstance(params, list)
        raw = bytes.fromhex(params[0][2:])
        problem = answer(raw, model.receive(raw))
        if problem is not None:
            return said | {"error": {"code": -32000, "message": problem}}
        return said | {"result": "0x" + keccak256(raw).hex()}

    def behave(peer: Peer) -> None:
        while (body := peer.request()) is not None:
            calls = json.loads(body)
            peer.answer([one(call) for call in calls] if isinstance(calls, list) else one(calls))

    return behave


async def test_pain_3_nonce_too_low_is_no_failure_of_the_endpoint(tmp_path: Path) -> None:
    """It is said of bytes that landed a moment ago: they are looked up, and the endpoint goes on serving."""
    model = ChainModel()
    said: list[str] = []

    def too_low(_raw: bytes, _problem: str | None) -> str | None:
        said.append("nonce too low: next nonce 1, tx nonce 0")
        return said[-1] if len(said) == 1 else None

    with raw_server(node(model, too_low)) as server:
        async with pipeline(model, tmp_path, send_urls=[server.url]) as found:
            (first,) = await found.submit(found.plan("first"))
            assert len(said) == 1
            (second,) = await found.submit(found.plan("second"))
            assert len(said) == 2, "the endpoint was paused"
            (attempt,) = await found.attempts(second)
            assert attempt.answer == WriteAnswer.ACCEPTED
            await finish(found)
            assert await states(found, [first, second]) == [IntentState.LANDED] * 2
            assert [len(await found.attempts(n)) for n in (first, second)] == [1, 1]


async def test_pain_4_several_nodes_contradict_each_other_about_the_same_bytes(tmp_path: Path) -> None:
    """One accepts, one knows it already, one says that the nonce is too low: it is accepted, once."""
    model = ChainModel()
    nodes = [
        node(model, lambda _raw, _problem: None),
        node(model, lambda _raw, _problem: "already known"),
        node(model, lambda _raw, _problem: "nonce too low"),
    ]
    with raw_server(nodes[0]) as a, raw_server(nodes[1]) as b, raw_server(nodes[2]) as c:
        async with pipeline(model, tmp_path, send_urls=[c.url, b.url, a.url]) as found:
            (number,) = await found.submit(found.plan("one"))
            (attempt,) = await found.attempts(number)
            assert attempt.answer in (WriteAnswer.ACCEPTED, WriteAnswer.KNOWN)
            await finish(found)
            assert await states(found, [number]) == [IntentState.LANDED]
            assert len(await found.slot_attempts(0)) == 1
            assert not found.alarms


# ---------------------------------------------------------------------- 5


@dataclass(slots=True)
class Balanced:
    """A load balancer before two nodes, one of which is some blocks behind; any request may meet it."""

    model: ChainModel
    behind: int
    label: str = "balanced"
    connects: int = 1
    rng: random.Random = field(default_factory=lambda: random.Random(5))

    async def send(self, requests: Sequence[Request]) -> list[object | RpcError]:
        blocks = self.model.blocks
        if self.rng.random() < 0.5:
            self.model.blocks = blocks[: max(1, len(blocks) - self.behind)]
        try:
            return await self.model.send(requests)
        finally:
            self.model.blocks = blocks

    async def close(self) -> None:
        return


async def test_pain_5_a_stale_nonce_behind_a_load_balancer(tmp_path: Path) -> None:
    """Nonces are read of the pinned block by its hash: a node that lacks it says so; none is used twice."""
    model = ChainModel()
    model.mine_nothing(6)
    numbers: list[IntentNumber] = []
    async with pipeline(model, tmp_path, transports=[Balanced(model, behind=2)]) as found:
        for index in range(6):
            numbers += await found.submit(found.plan(f"plan {index}", ttl_s=10_000))
            await found.block(2)
        await found.block(4)
        await found.empty_block(2 * FINAL_BLOCKS)
        assert sorted(set(await nonces(found, numbers))) == list(range(6))
        assert await states(found, numbers) == [IntentState.LANDED] * 6
        assert not found.alarms


# ---------------------------------------------------------------------- 6


async def test_pain_6_a_dropped_transaction_leaves_a_gap_and_everything_behind_it_waits(
    tmp_path: Path,
) -> None:
    model = ChainModel()
    async with pipeline(model, tmp_path) as found:
        numbers = await found.submit(*[found.plan(f"plan {i}") for i in range(5)])
        first = next(t for t in model.pool.values() if t.nonce == 0)
        model.drop(first.hash)
        await found.block()
        assert mined(model) == 0
        await found.block()
        assert mined(model) == 5
        await found.empty_block(FINAL_BLOCKS)
        assert await states(found, numbers) == [IntentState.LANDED] * 5


# ---------------------------------------------------------------------- 7


async def test_pain_7_the_key_is_used_elsewhere_and_nothing_jams(tmp_path: Path) -> None:
    model = ChainModel()
    async with pipeline(model, tmp_path) as found:
        numbers = await found.submit(*[found.plan(f"plan {i}") for i in range(3)])
        mine = sorted(model.pool.values(), key=lambda t: t.nonce)
        model.drop()
        model.mine(ModelTransaction(Hash(b"\x01" * 32), found.key, 0), *mine[1:])
        await found.look()
        numbers += await found.submit(found.plan("after"))
        assert await nonces(found, numbers[3:]) == [3]
        await finish(found)
        ends = [IntentState.CANCELLED, *[IntentState.LANDED] * 3]
        assert await states(found, numbers) == ends
        assert [row.intent for row in await found.events("slot.foreign")] == numbers[:1]


async def test_pain_7_a_cancel_does_not_block_its_successors(tmp_path: Path) -> None:
    model = ChainModel()
    async with pipeline(model, tmp_path) as found:
        numbers = await found.submit(*[found.plan(f"plan {i}") for i in range(3)])
        await found.ledger.write(lambda tx: tx.intents.ask_cancel(numbers[0], "not wanted any more"))
        await found.empty_block()
        await found.block()
        assert mined(model) == 3
        await found.empty_block(FINAL_BLOCKS)
        ends = [IntentState.CANCELLED, *[IntentState.LANDED] * 2]
        assert await states(found, numbers) == ends


# ---------------------------------------------------------------------- 8


async def test_pain_8_urgent_work_behind_an_unreplaceable_transaction_is_reported_not_hidden(
    tmp_path: Path,
) -> None:
    fees = FeeSettings(headroom_bps=10_000)
    async with pipeline(ChainModel(), tmp_path, fees=fees) as found:
        (stuck,) = await found.submit(found.plan("stuck"))
        (urgent,) = await found.submit(found.plan("urgent", priority=Priority.CRITICAL))
        await found.empty_block(15)
        (event,) = await found.events("lane.blocked")
        assert (event.intent, event.data["blocking"], event.data["blocked"]) == (urgent, stuck, urgent)
        assert len(await found.events("slot.stuck")) == 1


# ---------------------------------------------------------------------- 9


async def test_pain_9_a_revert_is_not_submitted_again(tmp_path: Path) -> None:
    """An intent that reverted has failed, for ever; what tries it again says so, and only so often."""
    model = ChainModel(reverting={TARGET})
    async with pipeline(model, tmp_path) as found:
        plan = found.plan("first", to=TARGET, ttl_s=10_000)
        for tried in range(RETRIES_MAX + 1):
            (number,) = await found.submit(plan)
            await finish(found)
            assert await states(found, [number]) == [IntentState.FAILED]
            plan = replace(plan, idempotency_key=f"retry {tried}", retry_of=plan.idempotency_key)
        with pytest.raises(PlanError, match="retries of one effect"):
            await found.submit(plan)
        await found.block(10)
        ours = [t for block in model.blocks for t in block.transactions]
        assert len(ours) == RETRIES_MAX + 1
