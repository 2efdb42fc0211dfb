"""An orderly stop ends even if a task loses its cancellation."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from seawall.runtime import kernel


async def deaf_once(started: asyncio.Event) -> None:
    """Swallows its first cancellation, as a `finally` that awaits can."""
    with contextlib.suppress(asyncio.CancelledError):
        started.set()
        await asyncio.Event().wait()
    await asyncio.Event().wait()


async def group_of(started: asyncio.Event) -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(deaf_once(started))


async def test_task_that_swallowed_its_cancellation_is_cancelled_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kernel, "STOP_WAIT_S", 0.01)
    started = asyncio.Event()
    work = asyncio.create_task(group_of(started))
    await started.wait()
    await kernel._cancel(work)
    assert work.done()
