"""One host process as the kernel sees it: a socket, the turns that it owes, and a watch on both.

The host answers in the order asked, one strategy at a time, so the oldest unanswered turn names the strategy
that is running: it is to blame when a deadline passes, heartbeats cease, the process dies, or its bytes make
no sense. Loading a strategy counts as its first turn.

Restarting is not decided here: `on_end` tells the supervisor once, with the blame.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from seawall.primitives.errors import SeawallError, StrategyError, WireError
from seawall.primitives.frames import (
    PROTOCOL_VERSION,
    Failure,
    Frame,
    FrameDecoder,
    Heartbeat,
    Hello,
    Start,
    Stop,
    StrategySpec,
    Turn,
    check_decision,
    check_subscriptions,
    encode,
)
from seawall.primitives.observations import Decision
from seawall.primitives.ports import Clock
from seawall.runtime.hosts.errors import StrategyInterruptedError
from seawall.runtime.hosts.settings import HostSettings

__all__ = ["HostEnd", "HostListener", "HostProcess"]

_ENTRY: Final = "seawall.runtime.hosts.entry"
_RECEIVE_BYTES: Final = 256 * 1024
_WATCH_INTERVAL_S: Final = 0.05
# A watch that comes this late was held up itself: it hears what has gathered before it judges.
_WATCH_LATE_S: Final = 0.5
# Signs of life within one interval: more than gather while a kernel stands still are a flood.
HEARTBEATS_MAX: Final = 10_000
# One allocation arena: threads of a host allocate little, and arenas count against its address space.
_ENVIRONMENT: Final = {"LANG": "C.UTF-8", "MALLOC_ARENA_MAX": "1"}


@dataclass(frozen=True, slots=True)
class HostEnd:
    """Why a host ended. Nobody is blamed for a death between turns, nor for a stop that was asked for."""

    reason: str
    blamed: str | None
    is_wire_offence: bool = False


@dataclass(frozen=True, slots=True)
class HostListener:
    """What the supervisor is told, from within the loop; none of these may raise."""

    loaded: Callable[[Hello], None]
    failed: Callable[[Failure], None]
    ended: Callable[[HostProcess, HostEnd], None]


@dataclass(frozen=True, slots=True)
class _Owed:
    """A turn (or, without a future, a load) that the host has not answered."""

    strategy: str
    seq: int
    answer: asyncio.Future[Decision] | None


class HostProcess:
    """Spawned by `HostProcess.spawn`; over when `listener.ended` was called."""

    def __init__(
        self,
        popen: subprocess.Popen[bytes],
        stream: socket.socket,
        specs: Sequence[StrategySpec],
        settings: HostSettings,
        clock: Clock,
        listener: HostListener,
    ) -> None:
        self.resident_bytes = 0
        self._popen = popen
        self._stream = stream
        self._settings = settings
        self._clock = clock
        self._listener = listener
        self._owed = deque(_Owed(spec.name, 0, None) for spec in specs)
        self._head_since_s = self._heard_s = self._beats_since_s = clock.monotonic_s()
        self._beats = 0
        # One turn of each strategy, `Start` and `Stop`.
        self._outgoing: asyncio.Queue[list[bytes]] = asyncio.Queue(len(specs) + 2)
        self._end: HostEnd | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._burial: asyncio.Task[None] | None = None

    @classmethod
    def spawn(
        cls, specs: Sequence[StrategySpec], settings: HostSettings, clock: Clock, listener: HostListener
    ) -> HostProcess:
        """Start a process for `specs`; `OSError` where the system refuses."""
        start = Start(
            PROTOCOL_VERSION,
            round(settings.heartbeat_interval_s * 1000),
            settings.memory_bytes_max,
            settings.python_path,
            tuple(specs),
        )
        ours, theirs = socket.socketpair()
        try:
            popen = subprocess.Popen(  # noqa: S603  (our own module)
                [sys.executable, "-I", "-m", _ENTRY, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                env=_ENVIRONMENT,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        ours.setblocking(False)
        host = cls(popen, ours, specs, settings, clock, listener)
        host._outgoing.put_nowait(encode(start))
        host._tasks = [asyncio.create_task(work()) for work in (host._send, host._receive, host._watch)]
        return host

    @property
    def pid(self) -> int:
        return self._popen.pid

    def owes(self, strategy: str) -> bool:
        return any(owed.strategy == strategy for owed in self._owed)

    async def ask(self, turn: Turn) -> Decision:
        """The strategy's decision or `StrategyError`, within the deadlines of the turns ahead and its own.

        `WireError` if the observation is larger than the bound: nothing was sent.
        """
        assert self._end is None
        assert not self.owes(turn.observation.strategy)
        answer: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()
        frames = encode(turn)
        if not self._owed:
            self._head_since_s = self._clock.monotonic_s()
        self._owed.append(_Owed(turn.observation.strategy, turn.observation.seq, answer))
        self._outgoing.put_nowait(frames)
        return await answer

    def end(self, reason: str) -> None:
        """Kill the process; nobody is blamed."""
        self._finish(HostEnd(reason, None))

    async def stop(self) -> None:
        """Ask the process to end, wait the grace time, kill what is left of it. Returns when it is gone."""
        if self._end is None:
            self._outgoing.put_nowait(encode(Stop()))
            waited_s = 0.0
            while self._popen.poll() is None and waited_s < self._settings.stop_grace_s:
                await self._clock.sleep_s(_WATCH_INTERVAL_S)
                waited_s += _WATCH_INTERVAL_S
            self.end("it was stopped")
        await self.gone()

    async def gone(self) -> None:
        """After the end: wait until its tasks are done and the process is reaped."""
        assert self._burial is not None
        await asyncio.shield(self._burial)

    async def _send(self) -> None:
        loop = asyncio.get_running_loop()
        # The end of the stream is for the receiver to judge: bytes that wait there still count.
        with contextlib.suppress(OSError):
            while True:
                for frame in await self._outgoing.get():
                    await loop.sock_sendall(self._stream, frame)

    async def _receive(self) -> None:
        loop = asyncio.get_running_loop()
        decoder = FrameDecoder(from_host=True)
        try:
            while self._end is None and (data := await loop.sock_recv(self._stream, _RECEIVE_BYTES)):
                for frame in decoder.feed(data):
                    self._take(frame)
        except OSError as error:
            self._finish(HostEnd(f"its socket failed: {error.strerror}", self._head()))
        except SeawallError as error:
            reason = f"it sent what no host may send: {error}"
            self._finish(HostEnd(reason, self._head(), is_wire_offence=True))
        else:
            if self._end is None:
                self._finish(HostEnd(await self._post_mortem(), self._head()))

    def _take(self, frame: Frame) -> None:
        if self._end is not None:
            return
        self._heard_s = self._clock.monotonic_s()
        if isinstance(frame, Heartbeat):
            self.resident_bytes = frame.resident_bytes
            self._count_beat()
            return
        if not self._owed:
            raise WireError(f"{type(frame).__name__} that nobody asked for", "host", "correct the strategy")
        owed = self._owed[0]
        if isinstance(frame, Decision) and owed.answer is not None:
            check_decision(frame, owed.strategy, owed.seq)
            self._pop()
            if not owed.answer.done():
                owed.answer.set_result(frame)
        elif isinstance(frame, Hello) and owed.answer is None and frame.strategy == owed.strategy:
            check_subscriptions(frame.subscriptions, owed.strategy)
            self._pop()
            self._listener.loaded(frame)
        elif isinstance(frame, Failure) and (frame.strategy, frame.seq) == (owed.strategy, owed.seq):
            self._pop()
            self._listener.failed(frame)
            _refuse(owed, StrategyError(frame.what, f"strategy {owed.strategy!r}", "it starts anew"))
        else:
            raise WireError(f"{type(frame).__name__} out of turn", "host", "correct the strategy")

    def _count_beat(self) -> None:
        if self._heard_s - self._beats_since_s > self._settings.heartbeat_interval_s:
            self._beats, self._beats_since_s = 0, self._heard_s
        self._beats += 1
        if self._beats > HEARTBEATS_MAX:
            what = f"more than {HEARTBEATS_MAX} signs of life in {self._settings.heartbeat_interval_s:g} s"
            raise WireError(what, "host", "correct the strategy")

    def _pop(self) -> None:
        self._owed.popleft()
        self._head_since_s = self._heard_s

    def _head(self) -> str | None:
        return self._owed[0].strategy if self._owed else None

    async def _watch(self) -> None:
        last_s = self._clock.monotonic_s()
        while True:
            await self._clock.sleep_s(_WATCH_INTERVAL_S)
            now_s = self._clock.monotonic_s()
            was_late, last_s = now_s - last_s > _WATCH_LATE_S, now_s
            if was_late:
                continue
            if self._owed:
                loading = self._owed[0].answer is None
                limit_s = self._settings.load_deadline_s if loading else self._settings.decide_deadline_s
                if now_s - self._head_since_s > limit_s:
                    what = "did not load" if loading else "did not answer"
                    self._finish(HostEnd(f"it {what} within {limit_s:g} s", self._head()))
                    return
            if now_s - self._heard_s > self._settings.heartbeat_deadline_s:
                silence_s = self._settings.heartbeat_deadline_s
                self._finish(HostEnd(f"it gave no sign of life for {silence_s:g} s", self._head()))
                return

    async def _post_mortem(self) -> str:
        """How a process ended that closed its socket."""
        waited_s = 0.0
        while self._popen.poll() is None and waited_s < self._settings.stop_grace_s:
            await self._clock.sleep_s(_WATCH_INTERVAL_S)
            waited_s += _WATCH_INTERVAL_S
        status = self._popen.returncode
        if status is None:
            return "it closed its socket"
        if status < 0:
            return f"it died of {signal.Signals(-status).name}"
        return f"it exited with status {status}"

    def _finish(self, end: HostEnd) -> None:
        if self._end is not None:
            return
        self._end = end
        if self._popen.poll() is None:
            # The whole session: a strategy may have started processes.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._popen.pid, signal.SIGKILL)
        current = asyncio.current_task()
        for task in self._tasks:
            if task is not current:
                task.cancel()
        self._burial = asyncio.create_task(self._bury())
        self._listener.ended(self, end)
        for owed in self._owed:
            where = f"strategy {owed.strategy!r}"
            if owed.strategy == end.blamed:
                _refuse(owed, StrategyError(end.reason, where, "it starts anew in a host of its own"))
            else:
                what = f"its host ended: {end.reason}"
                _refuse(owed, StrategyInterruptedError(what, where, "observe again, it is being restarted"))
        self._owed.clear()

    async def _bury(self) -> None:
        # The descriptor is closed last: the loop watches it until the tasks are done.
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._stream.close()
        await asyncio.to_thread(self._popen.wait)


def _refuse(owed: _Owed, error: StrategyError) -> None:
    if owed.answer is not None and not owed.answer.done():
        owed.answer.set_exception(error)
