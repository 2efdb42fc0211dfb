"""Threads of one signer: what hangs in them holds up nobody else, and no end of the process."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest

from seawall.primitives.errors import SignerRefusedError
from seawall.signers.threads import THREADS_MAX, OwnThreads

ENDS_WITH_A_HANGING_CALL = """
import asyncio, threading
from seawall.signers.threads import OwnThreads

async def main():
    hung = asyncio.ensure_future(OwnThreads("hung").run(threading.Event().wait))
    await asyncio.sleep(0.1)
    hung.cancel()

asyncio.run(main())
print("ended")
"""


async def test_result_and_error_come_to_the_caller() -> None:
    threads = OwnThreads("one")
    assert await threads.run(lambda: threading.current_thread().name) == "one"

    def refuse() -> None:
        raise SignerRefusedError("no")

    with pytest.raises(SignerRefusedError):
        await threads.run(refuse)


async def test_calls_that_hang_keep_their_turns_until_they_end() -> None:
    threads, others, go_on = OwnThreads("hung"), OwnThreads("well"), threading.Event()
    hung = [asyncio.ensure_future(threads.run(go_on.wait)) for _ in range(THREADS_MAX)]
    await asyncio.sleep(0)
    for one in hung:
        one.cancel()
    next_one = asyncio.ensure_future(threads.run(lambda: 7))
    assert await others.run(lambda: 8) == 8
    assert not next_one.done()
    go_on.set()
    assert await next_one == 7


def test_process_ends_though_a_call_hangs() -> None:
    done = subprocess.run(
        (sys.executable, "-c", ENDS_WITH_A_HANGING_CALL),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "ended\n"), done.stderr
