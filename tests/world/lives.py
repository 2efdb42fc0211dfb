"""Lives of kernels: each member of the fleet starts a kernel again after every end of the one before.

A fleet of one has the ledger's lock. Frozen, it is *deposed*: its lock is taken from it, another kernel
starts in its place, and later it goes on, unsuspecting, until it finds out.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from seawall.primitives.errors import FenceLostError, LedgerError, SeawallError
from seawall.telemetry import failpoints
from tests.world.kernel import Kernel
from tests.world.violations import Violation, require

__all__ = ["Life", "Lives", "Member"]

_RESTART_S_MAX = 8
_TAKEOVER_S_MAX = 2


@dataclass(eq=False, slots=True)
class Life:
    """A kernel and the task that it lives in."""

    kernel: Kernel
    task: asyncio.Task[None]
    deposed: asyncio.Event


@dataclass(eq=False, slots=True)
class Member:
    """A place in the fleet, in which one kernel lives after the other."""

    number: int
    life: Life | None = None
    lives: int = 0


@dataclass(slots=True)
class Lives:
    make: Callable[[Member], Kernel]
    rng: random.Random
    note: Callable[[str], None]
    members: list[Member]
    deposed: list[Life] = field(default_factory=list)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._live(member)) for member in self.members]

    @property
    def kernels(self) -> list[Kernel]:
        present = [member.life for member in self.members if member.life is not None]
        return [life.kernel for life in (*self.deposed, *present)]

    def anyone(self) -> Member:
        return self.rng.choice(self.members)

    def of(self, kernel: Kernel) -> Life | None:
        """The life that the kernel has and is not deposed from."""
        lives = (member.life for member in self.members)
        return next((life for life in lives if life is not None and life.kernel is kernel), None)

    def depose(self, life: Life) -> None:
        life.kernel.machine.freeze()
        life.kernel.is_deposed = True
        life.kernel.leave_lock()
        life.deposed.set()
        self.deposed.append(life)
        for member in self.members:
            if member.life is life:
                member.life = None

    def reap(self) -> None:
        """Raises what ended a life and should not have."""
        for task in self._tasks:
            if task.done():
                task.result()
        for life in [life for life in self.deposed if life.task.done()]:
            self.deposed.remove(life)
            _require_natural_end(life)
            self.note("deposed kernel ended")

    async def _live(self, member: Member) -> None:
        while True:
            member.lives += 1
            kernel = self.make(member)
            member.life = life = Life(kernel, asyncio.create_task(kernel.run()), asyncio.Event())
            deposed = asyncio.create_task(life.deposed.wait())
            await asyncio.wait((life.task, deposed), return_when=asyncio.FIRST_COMPLETED)
            deposed.cancel()
            member.life = None
            if not life.deposed.is_set():
                _require_natural_end(life)
            waits_s = _TAKEOVER_S_MAX if life.deposed.is_set() else _RESTART_S_MAX
            await asyncio.sleep(self.rng.random() * waits_s)


def _require_natural_end(life: Life) -> None:
    """By a crash or a kill; deposed, by finding that out; new, because it must wait for a lease; or because
    its ledger failed."""
    try:
        with contextlib.suppress(asyncio.CancelledError, failpoints.Crash):
            life.task.result()
    except BaseException as error:
        kernel, causes = life.kernel, list(_leaves(error))
        for cause in causes:
            if isinstance(cause, Violation):
                raise cause from None
        waits = not kernel.has_lanes and all(isinstance(cause, FenceLostError) for cause in causes)
        crashed = kernel.has_crashed  # whatever its last tasks made of that
        deposed = kernel.is_deposed and all(isinstance(cause, SeawallError) for cause in causes)
        failed = kernel.storage_failed and all(isinstance(cause, LedgerError) for cause in causes)
        natural = crashed or deposed or waits or failed
        require(natural, f"{kernel.name} died", [repr(cause) for cause in causes])


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for each in error.exceptions for leaf in _leaves(each)]
    return [error]
