"""The kernel's local socket: the way in which the command line changes a running kernel.

Flow: `ask` connects to the socket in the data directory, sends one JSON line, and gets one back. `resume`
raises authority (a file never can, see `control.latch`); `status` answers with the health report. What else
there is, other parts of the kernel offer by name once they are built. Going down needs none of this: `seawall
halt` writes the latch file and signals.

An error crosses the socket with its kind and its three sentences, and is raised on the other side as what it
is. Assumes that the data directory belongs to this user: whoever may open the socket may command.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from seawall.control.latch import Latch
from seawall.primitives.bounds import DECISION_FRAME_BYTES_MAX
from seawall.primitives.errors import InputError, SeawallError, UnavailableError, WireError
from seawall.primitives.levels import Authority
from seawall.runtime.http import HealthReport

__all__ = [
    "ANSWER_TIMEOUT_S",
    "COMMANDS_MAX",
    "LINE_BYTES_MAX",
    "Answer",
    "Command",
    "CommandServer",
    "Handler",
    "ask",
]

# Plans come this way too: as much as a host may say at once.
LINE_BYTES_MAX: Final = DECISION_FRAME_BYTES_MAX
REQUEST_TIMEOUT_S: Final = 2.0
ANSWER_TIMEOUT_S: Final = 10.0
# Commands in hand at once. While a database is away those who ask give up and ask again; what they gave up
# still waits here.
COMMANDS_MAX: Final = 64
# What a person needs when everything else is stuck.
_ALWAYS: Final = ("resume", "status")
# The operating system's bound on the path of a socket.
_PATH_BYTES_MAX: Final = 107


Answer: TypeAlias = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Command:
    """A name, and what that command needs: `resume` an authority `to` and a reason, `status` nothing, others
    a `body` that they describe.
    """

    name: str
    to: str = ""
    reason: str = ""
    who: str = ""
    body: Mapping[str, object] = field(default_factory=dict)


Handler: TypeAlias = Callable[[Command], Awaitable[Answer]]


class CommandServer:
    """One request a connection, each within its deadline.

    `promised` are the names that `offer` will fill when the kernel is built: until then whoever asks is told
    to wait, and not that there is no such command.
    """

    def __init__(
        self,
        path: Path,
        latch: Latch,
        report: Callable[[], HealthReport],
        promised: tuple[str, ...] = (),
    ) -> None:
        self._path = path
        self._latch = latch
        self._report = report
        self._server: asyncio.Server | None = None
        self._in_hand = 0
        self._handlers: dict[str, Handler | None] = {
            **dict.fromkeys(promised),
            "resume": self._resume,
            "status": self._status,
        }

    def offer(self, name: str, handler: Handler) -> None:
        """From now on `handler` answers the commands of this name."""
        self._handlers[name] = handler

    async def start(self) -> None:
        """Listen. Only one kernel uses a data directory, so a socket that is there already is a dead
        one's.
        """
        self._path.unlink(missing_ok=True)
        with _reachable(self._path) as path:
            self._server = await asyncio.start_unix_server(self._serve, path, limit=LINE_BYTES_MAX)
        self._path.chmod(0o600)

    async def stop(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                line = await reader.readline()
            answer = await self._answer(line)
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        except (OSError, TimeoutError, ValueError):
            pass  # whoever asked is gone, silent, or endless
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _answer(self, line: bytes) -> Answer:
        try:
            return await self._obey(_parsed(line))
        except SeawallError as error:
            kind = type(error).__name__
            return {"error": {"kind": kind, "what": error.what, "where": error.where, "fix": error.fix}}

    async def _obey(self, command: Command) -> Answer:
        if command.name not in self._handlers:
            known = ", ".join(sorted(self._handlers))
            raise InputError(f"{command.name[:40]!r} is no command", "socket", f"use one of {known}")
        handler = self._handlers[command.name]
        if handler is None:
            raise UnavailableError("the kernel is starting", "socket", "ask again in a moment")
        if command.name in _ALWAYS:
            return await handler(command)
        if self._in_hand >= COMMANDS_MAX:
            what = f"{self._in_hand} commands are in hand already"
            raise UnavailableError(
                what, "socket", "ask again in a moment; `seawall status` says what is slow"
            )
        self._in_hand += 1
        try:
            return await handler(command)
        finally:
            self._in_hand -= 1

    async def _resume(self, command: Command) -> Answer:
        to = Authority.__members__.get(command.to)
        if to is None:
            raise InputError(f"{command.to[:40]!r} is no authority", "resume", "use RUN or REDUCE_ONLY")
        if not self._report().started:
            # What the ledger and the fleet say of authority is not known yet, and would undo it.
            raise UnavailableError("the kernel is starting", "resume", "ask again in a moment")
        # The latch syncs its file: off the loop.
        await asyncio.to_thread(self._latch.raise_to, to, command.reason, command.who)
        return await self._status(command)

    async def _status(self, _: Command) -> Answer:
        report = self._report()
        return {
            "authority": self._latch.authority.name,
            "reason": self._latch.reason,
            "who": self._latch.who,
            "started": report.started,
            "healthy": report.healthy,
            "reasons": list(report.reasons),
            "checks": [asdict(check) for check in report.checks],
            "facts": dict(report.facts),
        }


def ask(path: Path, command: Command) -> Answer | None:
    """The running kernel's answer, or None where none listens. Raises what the kernel refused."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(ANSWER_TIMEOUT_S)
        try:
            with _reachable(path) as reachable:
                connection.connect(reachable)
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        try:
            connection.sendall(json.dumps(asdict(command)).encode() + b"\n")
            with connection.makefile("rb") as stream:
                line = stream.readline(LINE_BYTES_MAX)
            answer: object = json.loads(line)
        except (OSError, ValueError):
            raise WireError(
                "the kernel did not answer", str(path), "look at its log; is it starting?"
            ) from None
    if not isinstance(answer, dict):
        raise WireError("the kernel's answer is no object", str(path), "run one version of seawall")
    refused = answer.get("error")
    if isinstance(refused, dict):
        kind = _kinds(SeawallError).get(str(refused.get("kind")), SeawallError)
        raise kind(*(str(refused.get(part, "")) for part in ("what", "where", "fix")))
    return answer


def _kinds(root: type[SeawallError]) -> dict[str, type[SeawallError]]:
    """The error tree by name."""
    found = {root.__name__: root}
    for kind in root.__subclasses__():
        found |= _kinds(kind)
    return found


def _parsed(line: bytes) -> Command:
    try:
        content: object = json.loads(line)
    except (ValueError, RecursionError):
        content = None
    known = {"name", "to", "reason", "who", "body"}
    body = content.get("body", {}) if isinstance(content, dict) else None
    if (
        not isinstance(content, dict)
        or not isinstance(body, dict)
        or not content.keys() <= known
        or not all(isinstance(value, str) for name, value in content.items() if name != "body")
        or "name" not in content
    ):
        raise WireError("this is not a command", "socket", "run one version of seawall")
    return Command(**content)


@contextlib.contextmanager
def _reachable(path: Path) -> Iterator[str]:
    """The socket's path in a form that fits the operating system's bound, however deep its folder is."""
    if len(os.fsencode(path)) <= _PATH_BYTES_MAX:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
