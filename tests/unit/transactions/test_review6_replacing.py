"""A dearer attempt of several plans stands on a verdict for each of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

from seawall.chain.replacement import Fees
from seawall.ledger.rows import SlotRow
from seawall.primitives.identifiers import IntentNumber
from seawall.transactions import renewing
from seawall.transactions.openslots import OpenSlot
from seawall.transactions.segments import payload_of
from tests.builders.messages import GWEI, executor_plan
from tests.unit.transactions.test_segments import alone, attempt_of, row


async def test_each_plan_of_a_replaced_batch_has_its_verdict_counted_and_kept() -> None:
    counted: list[int] = []
    kept: list[object] = []
    nothing = lambda *_, **__: None  # noqa: E731
    attempt = replace(
        attempt_of(payload_of([alone(1, 100_000), alone(2, 100_000)])),
        intents=((IntentNumber(1), 0), (IntentNumber(2), 1)),
    )

    def insert(verdict: object, _: int) -> int:
        kept.append(verdict)
        return len(kept)

    tx = SimpleNamespace(
        lanes=SimpleNamespace(require=nothing),
        controls=SimpleNamespace(require_epoch=nothing),
        intents=SimpleNamespace(count_candidate=counted.append),
        verdicts=SimpleNamespace(insert=insert),
        attempts=SimpleNamespace(insert=lambda *_: attempt),
        events=SimpleNamespace(append=nothing),
    )

    async def write(commit: Callable[[object], object]) -> object:
        return commit(tx)

    async def sign(_: object) -> list[object]:
        return [SimpleNamespace(hash=bytes(32), raw=b"")]

    parts = SimpleNamespace(
        clock=SimpleNamespace(now_s=lambda: 1),
        latch=SimpleNamespace(admits=lambda _: True),
        ledger=SimpleNamespace(write=write),
    )
    desk = SimpleNamespace(parts=parts, epoch=1, in_force=lambda _: True, take=nothing, unready=nothing)
    runner = SimpleNamespace(
        desk=desk, lane=attempt.lane, fence=None, sign_in_turn=sign, outbox=SimpleNamespace(put=nothing)
    )
    first, second = (SimpleNamespace(number=number, kind=attempt.kind) for number in (1, 2))
    # The slot is tended for whichever of them ends first: here the second.
    slot = OpenSlot(cast(SlotRow, None), (attempt,), row(2, executor_plan()))
    await renewing.replace(
        cast(Any, runner), slot, Fees(3 * GWEI, 1), cast(Any, first), beside=(cast(Any, second),)
    )
    assert counted == [1, 2]
    assert kept == [first, second]
