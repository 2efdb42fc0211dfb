"""A clock for tests whose endpoints answer at once: time passes only while nobody says anything."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import ClassVar

__all__ = ["IdleClock"]

_QUIET_TURNS = 12


@dataclass(slots=True)
class IdleClock:
    """Sleeps end in the order of their times, one after the other, and time has passed.

    Whoever acts calls `stir`: what is asked at once is answered at once, whatever sleeps beside it.
    """

    stirred: ClassVar[int] = 0
    time_s: float = 0.0
    _dues_s: list[float] = field(default_factory=list)

    @classmethod
    def stir(cls) -> None:
        cls.stirred += 1

    def now_s(self) -> int:
        return int(self.time_s)

    def monotonic_s(self) -> float:
        return self.time_s

    async def sleep_s(self, duration_s: float) -> None:
        due_s = self.time_s + duration_s
        self._dues_s.append(due_s)
        quiet, stirred = 0, self.stirred
        try:
            while quiet < _QUIET_TURNS or due_s > min(self._dues_s):
                await asyncio.sleep(0)
                quiet, stirred = (quiet + 1 if self.stirred == stirred else 0), self.stirred
            self.time_s = max(self.time_s, due_s)
            self.stir()
        finally:
            self._dues_s.remove(due_s)
