"""The ledger as a kernel of the world has it: the true one, in line, on a disk and a connection that fail.

Commits and reads take time, so that others act between a kernel's asking and its learning of the answer. What
fails, fails inside the true writer, at its failpoints: before the commit nothing is stored; after it, all is,
and nobody says so.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from typing_extensions import override

from seawall.ledger import Ledger, LedgerSettings, Transaction
from seawall.ledger.session import DiskFullError, DoubtError
from seawall.primitives.errors import LedgerLockedError
from seawall.primitives.ports import Entropy
from tests.world.faults import Faults
from tests.world.loop import Machine

__all__ = ["StorageTrouble", "WorldLedger"]

_CONNECTION_ENDS = frozenset({"ledger.before_commit", "ledger.after_commit"})

T = TypeVar("T")


class WorldLedger(Ledger):
    """Opened with `at`. Shared by kernels, it has no lock, and a connection that was lost is made anew."""

    machine: Machine
    faults: Faults
    is_shared: bool
    _open_anew: Callable[[], Ledger]

    @staticmethod
    def at(
        directory: Path, machine: Machine, entropy: Entropy, faults: Faults, *, is_shared: bool
    ) -> WorldLedger:
        settings = LedgerSettings(f"sqlite:///{directory / 'ledger.db'}")

        def open_anew() -> Ledger:
            true = Ledger.open(settings, clock=machine, entropy=entropy, inline=True)
            if is_shared and true._lock is not None:
                true._lock.release()
            return true

        ledger = WorldLedger.__new__(WorldLedger)
        ledger.__dict__.update(open_anew().__dict__)
        ledger.machine, ledger.faults = machine, faults
        ledger.is_shared, ledger._open_anew = is_shared, open_anew
        return ledger

    @override
    async def write(self, work: Callable[[Transaction], T]) -> T:
        await self._take_time()
        if self._failure is not None and self.is_shared and not self._closed:
            for session in self._sessions:
                session.close()
            self.__dict__.update(self._open_anew().__dict__)
        try:
            return await super().write(work)
        finally:
            await self._take_time()

    @override
    async def read(self, work: Callable[[Transaction], T]) -> T:
        await self._take_time()
        return await super().read(work)

    async def _take_time(self) -> None:
        if self.faults.commit_s_max or self.machine.is_frozen:
            await self.machine.delay(self.faults.commit_s_max)


@dataclass(slots=True)
class StorageTrouble:
    """What fails at the ledger's failpoints."""

    rng: random.Random
    faults: Faults
    is_disk_full: bool = False
    lost: int = 0  # commits whose result nobody knows

    def meet(self, name: str) -> None:
        """Raises what the database would have said here, perhaps."""
        if name == "ledger.before_commit":
            if self.is_disk_full:
                raise DiskFullError("the disk is full", "world", "wait")
            if self.rng.random() < self.faults.ledger_locked:
                raise LedgerLockedError("the database is locked", "world", "wait")
        if name in _CONNECTION_ENDS and self.rng.random() < self.faults.commit_lost / 2:
            self.lost += 1
            raise DoubtError("the connection to the database is lost", "world", "open the ledger again")
