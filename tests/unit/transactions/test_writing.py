"""What the outbox holds, and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from seawall.ledger import Ledger, Transaction
from tests.builders.chain_model import ChainModel
from tests.builders.pipeline import pipeline

WAIT_S = 20


async def test_what_was_withheld_is_let_go_though_the_ledger_is_busy_with_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with pipeline(ChainModel(), tmp_path) as found, asyncio.timeout(WAIT_S):
        outbox, desk = found.chain.loop.outbox, found.chain.desk
        numbers = await found.submit(found.plan("one"), found.plan("other"))
        written, withheld = [row for number in numbers for row in await found.attempts(number)]
        storing, may_store = asyncio.Event(), asyncio.Event()
        true_write: Callable[[Ledger, Callable[[Transaction], object]], Awaitable[object]] = Ledger.write

        async def busy(ledger: Ledger, work: Callable[[Transaction], object]) -> object:
            storing.set()
            await may_store.wait()
            return await true_write(ledger, work)

        monkeypatch.setattr(Ledger, "write", busy)
        outbox.put(written)
        await storing.wait()
        del desk.verdicts[withheld.number]
        outbox.put(withheld)
        while outbox.holds(withheld.hash):  # noqa: ASYNC110  (nobody would set an event)
            await asyncio.sleep(0.001)
        assert outbox.holds(written.hash), "its answer is not stored yet"
        may_store.set()
        await outbox.idle()
        assert not outbox.holds(written.hash)
