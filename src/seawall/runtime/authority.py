"""Authority inside a kernel: the latch decides, the ledger remembers, everybody is told.

The latch (file, then flag) is what guards writes and needs nothing else. This module carries its changes
into the ledger's controls, whose epoch fences commits: a candidate judged under another authority cannot
commit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from seawall.control.latch import Latch
from seawall.ledger import Ledger
from seawall.ledger.rows import EventData
from seawall.ledger.transaction import Transaction
from seawall.primitives.errors import LedgerLockedError
from seawall.primitives.levels import Authority
from seawall.primitives.ports import Clock
from seawall.telemetry.logs import get_logger
from seawall.transactions.desk import Desk

__all__ = ["AuthorityKeeper"]

_SCOPE = "global"
# How long a ledger that somebody else has locked is left alone.
RETRY_S: Final = 0.5
_log = get_logger(__name__)


@dataclass(slots=True)
class AuthorityKeeper:
    """Keeps ledger and desks at the latch's authority."""

    latch: Latch
    ledger: Ledger
    clock: Clock
    desks: Sequence[Desk]
    on_raised: Callable[[], None]
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Follow the latch. Its callback comes from any thread and only sets a flag here."""

        def wake() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._changed.set)

        self.latch.subscribe(wake)

    async def start(self) -> None:
        """The latch was read from its file first of all; bring the ledger to it."""
        await self._record()

    async def run(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self._record()
            except LedgerLockedError as trouble:
                # The latch is in force without it; commits are fenced by the latch too.
                _log.warning("authority_not_recorded", cause=str(trouble))
                await self.clock.sleep_s(RETRY_S)
                self._changed.set()

    async def _record(self) -> None:
        authority, reason, who, now_s = (
            self.latch.authority,
            self.latch.reason,
            self.latch.who,
            self.clock.now_s(),
        )
        current = await self.ledger.read(lambda tx: tx.controls.current(_SCOPE))
        epoch = current.epoch
        if current.authority is not authority or epoch == 0:
            data: EventData = {"authority": authority.name, "reason": reason, "who": who}

            def commit(tx: Transaction) -> int:
                tx.events.append("authority", 0, _SCOPE, None, data, now_s)
                return tx.controls.set(_SCOPE, authority, reason or "start", who or "seawall", now_s)

            epoch = await self.ledger.write(commit)
            _log.warning("authority", authority=authority.name, reason=reason, who=who)
        for desk in self.desks:
            desk.epoch = epoch
            desk.parts.metrics.authority(authority)
        if authority is not Authority.HALT:
            self.on_raised()
