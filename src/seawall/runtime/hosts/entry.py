"""The program of a host process: `python -I -m seawall.runtime.hosts.entry FD`.

Flow: read `Start` from the inherited socket, load each strategy (`Hello` or `Failure`), then answer turns
one after the other until `Stop` or the end of the stream. A thread sends heartbeats beside the decide loop
and ends the process when the kernel is gone, whatever the loop is busy with.

A strategy that raises, breaks a bound or runs out of memory is dropped with its views and reported; the
others of this host go on. Hanging is for the supervisor to see: it knows which turn is being answered.

Not here: keys, database, endpoints, the kernel. The network is refused to catch mistakes, not malice.
Standard output goes to standard error, because the kernel's standard output belongs to its commands.
"""

from __future__ import annotations

import os
import resource
import signal
import socket
import sys
import threading
import traceback
from typing import Final

from seawall.primitives.errors import SeawallError, StrategyError, WireError
from seawall.primitives.frames import (
    FAILURE_TEXT_MAX,
    PROTOCOL_VERSION,
    Failure,
    FailureKind,
    Frame,
    FrameDecoder,
    Heartbeat,
    Hello,
    Start,
    Stop,
    StrategySpec,
    Turn,
    check_subscriptions,
    encode,
)
from seawall.strategies.base import Strategy, answer
from seawall.strategies.loading import load_strategy

__all__ = ["Host", "Link", "main"]

_RECEIVE_BYTES: Final = 256 * 1024
_TRACE_FRAMES: Final = 3
_KERNEL_GONE: Final = 3  # exit status
_REFUSED_EVENTS: Final = frozenset(
    ("socket.bind", "socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto")
)


class Link:
    """The host's end of the socket. Frames of the two sending threads never mix."""

    def __init__(self, stream: socket.socket) -> None:
        self._stream = stream
        self._sending = threading.Lock()
        self._decoder = FrameDecoder(from_host=False)
        self._received: list[Frame] = []

    def send(self, frames: list[bytes]) -> None:
        """Send what `encode` gave; `OSError` when the kernel is gone."""
        with self._sending:
            for frame in frames:
                self._stream.sendall(frame)

    def receive(self) -> Frame | None:
        """The next frame, or None at the end of the stream."""
        while not self._received:
            data = self._stream.recv(_RECEIVE_BYTES)
            if not data:
                return None
            self._received = list(self._decoder.feed(data))
        return self._received.pop(0)


class Host:
    """The strategies of this process and the loop that asks them."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._strategies: dict[str, Strategy] = {}

    def run(self) -> None:
        """Serve until the kernel says stop or goes away."""
        start = self._link.receive()
        if start is None:
            return
        if not isinstance(start, Start) or start.version != PROTOCOL_VERSION:
            raise WireError("the kernel speaks another version", "host", "restart it after an upgrade")
        if start.memory_bytes_max:
            resource.setrlimit(resource.RLIMIT_AS, (start.memory_bytes_max, start.memory_bytes_max))
        sys.path[:0] = start.python_path
        beat = threading.Thread(target=self._beat, args=(start.heartbeat_interval_ms / 1000,), daemon=True)
        beat.start()
        for spec in start.strategies:
            self._link.send(self._load(spec))
        while (frame := self._link.receive()) is not None and not isinstance(frame, Stop):
            if isinstance(frame, Turn):
                self._link.send(self._decide(frame))

    def _load(self, spec: StrategySpec) -> list[bytes]:
        try:
            strategy = load_strategy(spec)
            subscriptions = strategy.subscriptions()
            check_subscriptions(subscriptions, spec.name)
            reply = encode(Hello(PROTOCOL_VERSION, spec.name, subscriptions))
        except (Exception, SystemExit) as error:  # noqa: BLE001  (user code: reported)
            return self._failure(spec.name, 0, FailureKind.LOAD, error)
        self._strategies[spec.name] = strategy
        return reply

    def _decide(self, turn: Turn) -> list[bytes]:
        name, seq = turn.observation.strategy, turn.observation.seq
        try:
            if name not in self._strategies:
                raise StrategyError("it is not loaded in this host", name, "start it again")
            return encode(answer(self._strategies[name], turn))
        except MemoryError as error:
            return self._failure(name, seq, FailureKind.MEMORY, error)
        except WireError as error:
            return self._failure(name, seq, FailureKind.BOUND, error)
        except (Exception, SystemExit) as error:  # noqa: BLE001  (user code: reported)
            return self._failure(name, seq, FailureKind.RAISED, error)

    def _failure(self, name: str, seq: int, kind: FailureKind, error: BaseException) -> list[bytes]:
        # The instance goes with its views: what they hold after a failure is unknown.
        self._strategies.pop(name, None)
        return encode(Failure(name, seq, kind, _told(error)))

    def _beat(self, interval_s: float) -> None:
        pause = threading.Event()
        try:
            while True:
                self._link.send(encode(Heartbeat(_resident_bytes())))
                pause.wait(interval_s)
        except OSError:
            # The decide loop may be busy for ever; nobody is left to kill this process.
            os._exit(_KERNEL_GONE)


def main() -> None:
    """Run on the socket whose descriptor is the only argument."""
    # The kernel keeps signals blocked for its own watcher; a child inherits that.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    sys.addaudithook(_refuse_network)
    with socket.socket(fileno=int(sys.argv[1])) as stream:
        try:
            Host(Link(stream)).run()
        except OSError:
            sys.exit(_KERNEL_GONE)
        except SeawallError as error:
            sys.exit(str(error))


def _refuse_network(event: str, _arguments: tuple[object, ...]) -> None:
    if event in _REFUSED_EVENTS:
        raise StrategyError(f"{event} refused", "host", "a strategy has no network: subscribe to reads")


def _told(error: BaseException) -> str:
    """What was raised, and the innermost lines that led there."""
    trace = traceback.extract_tb(error.__traceback__)[-_TRACE_FRAMES:]
    lines = "".join(f" [{os.path.basename(f.filename)}:{f.lineno} {f.name}]" for f in reversed(trace))
    return f"{type(error).__name__}: {error}"[: FAILURE_TEXT_MAX - len(lines)] + lines[:FAILURE_TEXT_MAX]


def _resident_bytes() -> int:
    """0 where the system does not tell."""
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * resource.getpagesize()
    except (OSError, MemoryError):
        return 0


if __name__ == "__main__":
    main()
