from __future__ import annotations

import asyncio
import contextlib
import socket
import stat
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from seawall.control.latch import Latch
from seawall.primitives.errors import (
    AuthorityError,
    IdempotencyConflictError,
    InputError,
    UnavailableError,
    WireError,
)
from seawall.primitives.levels import Authority
from seawall.runtime.commands import COMMANDS_MAX, LINE_BYTES_MAX, Answer, Command, CommandServer, ask
from seawall.runtime.http import Check, HealthReport

REPORT = HealthReport(True, (Check("database", True, "answers"),), {"head:devnet": 17})


@pytest.fixture
def latch(tmp_path: Path) -> Latch:
    return Latch(tmp_path / "latch.json")


@pytest.fixture
async def path(tmp_path: Path, latch: Latch) -> AsyncIterator[Path]:
    server = CommandServer(tmp_path / "k.sock", latch, lambda: REPORT)
    await server.start()
    yield tmp_path / "k.sock"
    await server.stop()
    assert not (tmp_path / "k.sock").exists()


async def test_status_gives_authority_and_health(path: Path) -> None:
    answer = await asyncio.to_thread(ask, path, Command("status"))
    assert answer is not None
    assert (answer["authority"], answer["started"], answer["reasons"]) == ("RUN", True, [])
    assert answer["facts"] == {"head:devnet": 17}


async def test_resume_raises_the_authority_of_the_running_kernel(path: Path, latch: Latch) -> None:
    latch.lower(Authority.HALT, "test", "test")
    answer = await asyncio.to_thread(ask, path, Command("resume", "RUN", "all is well", "me"))
    assert answer is not None
    assert answer["authority"] == "RUN"
    assert latch.authority is Authority.RUN


async def test_resume_without_a_reason_is_refused_and_changes_nothing(path: Path, latch: Latch) -> None:
    latch.lower(Authority.HALT, "test", "test")
    with pytest.raises(AuthorityError, match="reason"):
        await asyncio.to_thread(ask, path, Command("resume", "RUN", " ", "me"))
    assert latch.authority is Authority.HALT


@pytest.mark.parametrize("command", [Command("sell"), Command("resume", "MORE", "reason", "me")])
async def test_unknown_command_and_authority_are_refused(path: Path, command: Command) -> None:
    with pytest.raises(InputError, match="is no"):
        await asyncio.to_thread(ask, path, command)


async def test_more_commands_than_the_bound_are_told_to_come_back(tmp_path: Path, latch: Latch) -> None:
    server = CommandServer(tmp_path / "k.sock", latch, lambda: REPORT)
    free = asyncio.Event()

    async def wait(_: Command) -> Answer:
        await free.wait()
        return {"waited": True}

    server.offer("wait", wait)
    await server.start()
    waiting = [asyncio.create_task(server._answer(b'{"name": "wait"}')) for _ in range(COMMANDS_MAX)]
    try:
        await asyncio.sleep(0)
        with pytest.raises(UnavailableError, match="in hand"):
            await asyncio.to_thread(ask, tmp_path / "k.sock", Command("wait"))
        assert await asyncio.to_thread(ask, tmp_path / "k.sock", Command("status")) is not None
        free.set()
        assert await asyncio.gather(*waiting) == [{"waited": True}] * COMMANDS_MAX
        assert await asyncio.to_thread(ask, tmp_path / "k.sock", Command("wait")) == {"waited": True}
    finally:
        await server.stop()


async def test_command_that_is_promised_and_not_offered_yet_says_to_wait(
    tmp_path: Path, latch: Latch
) -> None:
    server = CommandServer(tmp_path / "k.sock", latch, lambda: REPORT, ("double",))
    await server.start()
    try:
        with pytest.raises(UnavailableError, match="starting"):
            await asyncio.to_thread(ask, tmp_path / "k.sock", Command("double"))

        async def double(command: Command) -> Answer:
            number = command.body["number"]
            if not isinstance(number, int):
                raise IdempotencyConflictError("no number", "body.number", "give one")
            return {"number": 2 * number}

        server.offer("double", double)
        asked = Command("double", body={"number": 21})
        assert await asyncio.to_thread(ask, tmp_path / "k.sock", asked) == {"number": 42}
        with pytest.raises(IdempotencyConflictError, match="no number") as caught:
            await asyncio.to_thread(ask, tmp_path / "k.sock", Command("double", body={"number": "x"}))
        assert (caught.value.where, caught.value.fix) == ("body.number", "give one")
    finally:
        await server.stop()


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"{\n",
        b"[]\n",
        b'{"name": 7}\n',
        b'{"nam": "status"}\n',
        b'{"name": "status", "body": []}\n',
        b"[" * 10_000 + b"\n",
    ],
)
async def test_malformed_line_is_refused_and_the_server_goes_on(path: Path, line: bytes) -> None:
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(line)
    assert b"not a command" in await reader.readline()
    writer.close()
    await writer.wait_closed()
    assert await asyncio.to_thread(ask, path, Command("status")) is not None


async def test_endless_line_is_cut_off_and_the_server_goes_on(path: Path) -> None:
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(b"x" * (4 * LINE_BYTES_MAX))
    with contextlib.suppress(ConnectionError):  # cut off with bytes unread
        assert await reader.read() == b""
    writer.close()
    assert await asyncio.to_thread(ask, path, Command("status")) is not None


async def test_socket_is_its_owners_and_a_dead_one_is_replaced(tmp_path: Path, latch: Latch) -> None:
    path = tmp_path / "k.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert ask(path, Command("status")) is None
    server = CommandServer(path, latch, lambda: REPORT)
    await server.start()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    await server.stop()
    await server.stop()


def test_no_kernel_is_no_answer(tmp_path: Path) -> None:
    assert ask(tmp_path / "k.sock", Command("status")) is None


def test_kernel_that_hangs_up_is_an_error(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "k.sock"))
        listener.listen(1)
        listener.settimeout(5)

        def hang_up() -> None:
            listener.accept()[0].close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        with pytest.raises(WireError, match="did not answer"):
            ask(tmp_path / "k.sock", Command("status"))
        thread.join()


async def test_socket_in_a_folder_deeper_than_the_bound_of_its_path_is_reached(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 100) / ("y" * 100)
    folder.mkdir(parents=True)
    server = CommandServer(folder / "k.sock", Latch(folder / "latch.json"), lambda: HealthReport(True, ()))
    await server.start()
    try:
        answer = await asyncio.to_thread(ask, folder / "k.sock", Command("status"))
        assert answer is not None
        assert answer["authority"] == "RUN"
    finally:
        await server.stop()


def test_deep_folder_without_a_kernel_is_nobody_listening(tmp_path: Path) -> None:
    assert ask(tmp_path / ("x" * 120) / "k.sock", Command("status")) is None
