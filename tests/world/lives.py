"""Lives of kernels: each member of the fleet starts a kernel again after every end of the one before."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from seawall.primitives.errors import LedgerError
from seawall.telemetry import failpoints
from tests.world.kernel import Kernel
from tests.world.violations import Violation, require

__all__ = ["Life", "Lives", "Member"]

_RESTART_S_MAX = 8


@dataclass(eq=False, slots=True)
class Life:
    """A kernel and the task that it lives in."""

    kernel: Kernel
    task: asyncio.Task[None]


@dataclass(eq=False, slots=True)
class Member:
    """A machine of the fleet, on which one kernel lives after the other."""

    number: int
    ahead_s: int  # of other machines' clocks
    life: Life | None = None
    lives: int = 0
    raised_s: float = float("-inf")  # when a hand last raised authority here


@dataclass(slots=True)
class Lives:
    make: Callable[[Member], Kernel]
    rng: random.Random
    members: list[Member]
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._live(member)) for member in self.members]

    @property
    def kernels(self) -> list[Kernel]:
        return [member.life.kernel for member in self.members if member.life is not None]

    def anyone(self) -> Member:
        return self.rng.choice(self.members)

    def reap(self) -> None:
        """Raises what ended a life and should not have."""
        for task in self._tasks:
            if task.done():
                task.result()

    async def _live(self, member: Member) -> None:
        while True:
            member.lives += 1
            kernel = self.make(member)
            member.life = life = Life(kernel, asyncio.create_task(kernel.run()))
            await asyncio.wait((life.task,))
            member.life = None
            _require_natural_end(life)
            await asyncio.sleep(self.rng.random() * _RESTART_S_MAX)


def _require_natural_end(life: Life) -> None:
    """By a crash or a kill; or, where it has the ledger for itself, because it lost that in a commit."""
    try:
        with contextlib.suppress(asyncio.CancelledError, failpoints.Crash):
            life.task.result()
    except BaseException as error:
        kernel, causes = life.kernel, list(_leaves(error))
        for cause in causes:
            if isinstance(cause, Violation):
                raise cause from None
        crashed = kernel.has_crashed  # whatever its last tasks made of that
        may_fail = kernel.is_in_doubt and (not kernel.has_company or not kernel.has_started)
        failed = may_fail and all(isinstance(cause, LedgerError) for cause in causes)
        require(crashed or failed, f"{kernel.name} died", [repr(cause) for cause in causes])


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for each in error.exceptions for leaf in _leaves(each)]
    return [error]
