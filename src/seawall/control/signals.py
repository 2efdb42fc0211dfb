"""Signals and the latch file, watched by one thread that needs no event loop.

SIGUSR1 halts, SIGUSR2 lowers to REDUCE_ONLY, SIGTERM and SIGINT ask for an orderly stop. The signals are
blocked before any other thread exists, so that every later thread inherits the mask and only the watch
receives them: a Python signal handler would run up to a second late behind a native call. The same thread
looks at the latch file, which another process may have written.

Children inherit the mask too: a program started by this process unblocks `WATCHED_SIGNALS` itself
(`unblock_signals`).
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable
from typing import Final

from seawall.control.latch import Latch
from seawall.primitives.errors import SeawallError
from seawall.primitives.levels import Authority

__all__ = ["LOOK_INTERVAL_S", "WATCHED_SIGNALS", "SignalWatch", "unblock_signals"]

WATCHED_SIGNALS: Final = frozenset({signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM, signal.SIGINT})
# How long the thread sleeps for a signal before it looks at the latch file again.
LOOK_INTERVAL_S: Final = 0.05
JOIN_WAIT_S: Final = 2.0
# What `si_code` says of a signal by kill(), sigqueue(), tgkill() and the kernel itself.
_SENT: Final = frozenset({0, -1, -6, 0x80})


class SignalWatch:
    """`start()` in the main thread, before any other; `on_stop` is called from the watch's thread."""

    def __init__(self, latch: Latch, on_stop: Callable[[], None]) -> None:
        self._latch = latch
        self._on_stop = on_stop
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        others = [thread.name for thread in threading.enumerate() if thread is not threading.current_thread()]
        if others:
            raise SeawallError(
                f"threads are running already: {', '.join(others[:5])}",
                "signal watch",
                "start it before anything that makes threads",
            )
        signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED_SIGNALS)
        self._thread = threading.Thread(target=self._run, name="signal-watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread and give the signals back to the calling thread."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join(JOIN_WAIT_S)
            self._thread = None
            unblock_signals()

    def _run(self) -> None:
        while not self._ending.is_set():
            received = signal.sigtimedwait(WATCHED_SIGNALS, LOOK_INTERVAL_S)
            # A stop whose file cannot be written has set the flag all the same: the watch lives on.
            with contextlib.suppress(Exception):
                self._act(_number_of(received))

    def _act(self, number: int | None) -> None:
        if number is None:
            self._latch.look()
        elif number == signal.SIGUSR1:
            self._lower(Authority.HALT, "SIGUSR1")
        elif number == signal.SIGUSR2:
            self._lower(Authority.REDUCE_ONLY, "SIGUSR2")
        else:
            self._on_stop()

    def _lower(self, to: Authority, name: str) -> None:
        """Whoever wrote the file before signalling said why; that reason stays. A stop ends a quiesce too."""
        self._latch.look()
        if self._latch.authority > to or (to is Authority.HALT and self._latch.quiescing):
            self._latch.lower(to, name, "signal")


def _number_of(received: signal.struct_siginfo | None) -> int | None:
    """The signal that was sent, if one was. After a pause of the whole process (SIGSTOP, SIGCONT) the call
    reports memory that nothing was written to, which says anything."""
    if received is None or received.si_signo not in WATCHED_SIGNALS or received.si_code not in _SENT:
        return None
    return received.si_signo


def unblock_signals() -> None:
    """Undo the inherited mask; the first thing a child process does."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, WATCHED_SIGNALS)
