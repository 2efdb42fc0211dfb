"""Named points where a test may stop, kill or break the program.

A module declares its points at import, so that a test can enumerate all of them. They are armed in two ways:
by the environment, for real processes (`SEAWALL_FAILPOINT=name:action`), and by `install`, for the world
simulator, whose hook may raise `Crash`. Unarmed, passing a point costs one comparison.

Actions: `kill` sends SIGKILL to this process; `raise` raises `FailpointError`; `hold` touches the file
`$SEAWALL_FAILPOINT_REACHED` and waits until the file `$SEAWALL_FAILPOINT_RELEASE` exists, at most
`HOLD_MAX_S`. A held point is held once; afterwards it lets everything pass. Time here is real time on
purpose: virtual time belongs to the simulator, which uses the hook.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from seawall.primitives.errors import InputError, SeawallError

__all__ = [
    "HOLD_MAX_S",
    "Action",
    "Crash",
    "Failpoint",
    "FailpointError",
    "arm",
    "arm_from_environment",
    "declare",
    "install",
    "names",
]

HOLD_MAX_S: Final = 120.0
_POLL_S: Final = 0.005
_VARIABLE: Final = "SEAWALL_FAILPOINT"
_REACHED: Final = "SEAWALL_FAILPOINT_REACHED"
_RELEASE: Final = "SEAWALL_FAILPOINT_RELEASE"


class Crash(BaseException):
    """The simulated death of the process: nothing but the simulator may catch it."""


class FailpointError(SeawallError):
    """An armed failpoint broke the operation, as it was asked to."""


class Action(StrEnum):
    KILL = "kill"
    HOLD = "hold"
    RAISE = "raise"


@dataclass(slots=True)
class _Armed:
    name: str
    action: Action
    lock: threading.Lock
    spent: bool = False


_names: set[str] = set()
_armed: _Armed | None = None
_hook: Callable[[str], None] | None = None
_live: bool = False


class Failpoint:
    """One named point. `hit()` in threads, `await reach()` on the event loop."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def hit(self) -> None:
        if _live and _meets(self.name):
            _wait_for_release()

    async def reach(self) -> None:
        if _live and _meets(self.name):
            await asyncio.to_thread(_wait_for_release)


def declare(name: str) -> Failpoint:
    """Register a point; called once a name, at import of the module that passes it."""
    assert name not in _names, f"failpoint {name} is declared twice"
    _names.add(name)
    return Failpoint(name)


def names() -> tuple[str, ...]:
    """All points of the modules imported so far, sorted."""
    return tuple(sorted(_names))


def install(hook: Callable[[str], None] | None) -> None:
    """Call `hook(name)` at every point passed from now on; None takes it away."""
    global _hook
    _hook = hook
    _refresh()


def arm(text: str) -> None:
    """Arm `name:action`; an empty text disarms."""
    global _armed
    if not text:
        _armed = None
    else:
        name, _, action = text.rpartition(":")
        if not name or action not in set(Action):
            raise InputError(
                f"{text[:80]!r} is not name:action", _VARIABLE, f"use one of the actions {', '.join(Action)}"
            )
        _armed = _Armed(name, Action(action), threading.Lock())
    _refresh()


def arm_from_environment() -> None:
    """Read the environment.

    Done at import, so that a process started by a test is armed from its first step.
    """
    arm(os.environ.get(_VARIABLE, ""))


def _refresh() -> None:
    global _live
    _live = _armed is not None or _hook is not None


def _meets(name: str) -> bool:
    """Act on the point; True asks the caller to hold."""
    if _hook is not None:
        _hook(name)
    armed = _armed
    if armed is None or armed.name != name:
        return False
    with armed.lock:
        if armed.spent:
            return False
        armed.spent = armed.action is Action.HOLD
    if armed.action is Action.KILL:
        os.kill(os.getpid(), signal.SIGKILL)
    if armed.action is Action.RAISE:
        raise FailpointError(f"failpoint {name} was armed to raise", name, f"unset {_VARIABLE}")
    return True


def _wait_for_release() -> None:
    reached, release = os.environ.get(_REACHED), os.environ.get(_RELEASE)
    if not reached or not release:
        raise FailpointError(
            "a failpoint that holds needs two files", _VARIABLE, f"set {_REACHED} and {_RELEASE}"
        )
    Path(reached).touch()
    waited_until_s = time.monotonic() + HOLD_MAX_S
    while not Path(release).exists():
        if time.monotonic() > waited_until_s:
            raise FailpointError(
                f"held for {HOLD_MAX_S:.0f} s without release", _VARIABLE, f"create the file of {_RELEASE}"
            )
        time.sleep(_POLL_S)


arm_from_environment()
