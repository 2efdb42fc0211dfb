"""Blocking libraries that reach a key: each signer has a few threads of its own.

The loop's common threads serve every room, and a process waits for them at its end; a key service that hangs
in one of those would in the end hang them all. Here a hang costs its own signer's turns only, until the
library's own time-out ends it, and the end of the process waits for nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Final, TypeVar, final

__all__ = ["THREADS_MAX", "OwnThreads"]

THREADS_MAX: Final = 4

T = TypeVar("T")


@final
class OwnThreads:
    """At most `THREADS_MAX` at once; those whose callers gave up count until they end."""

    __slots__ = ("_name", "_turns")

    def __init__(self, name: str) -> None:
        self._name = name
        self._turns = asyncio.Semaphore(THREADS_MAX)

    async def run(self, work: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        await self._turns.acquire()

        def deliver(result: T | None, failure: BaseException | None) -> None:
            self._turns.release()
            if done.done():
                return
            if failure is None:
                done.set_result(result)  # type: ignore[arg-type]
            else:
                done.set_exception(failure)

        def thread() -> None:
            result: T | None = None
            failure: BaseException | None = None
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001  (whatever it is, the waiting side raises it)
                failure = error
            # A loop that is gone waits for nothing.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(deliver, result, failure)

        threading.Thread(target=thread, name=self._name, daemon=True).start()
        return await done
