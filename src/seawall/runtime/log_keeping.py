"""Logs that a kernel keeps: gathered from a first block on and followed to the head, in the ledger.

`[[chains.logs]]` names what is kept (`runtime.log_sections`). A keeper hears of heads like any listener, and
makes its steps beside the chain's loop, which never waits for it: what it has not done yet is merged into its
next step. While endpoints or the ledger are away it tries again after a pause; where it stands is in the
ledger, so that a restart goes on there. Of several kernels of a fleet each may keep the same logs; every
piece is stored by one of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from seawall.chain.client import ChainClient
from seawall.chain.heads import HeadChange
from seawall.chain.logs.backfill import Backfill, LogQuestion
from seawall.chain.logs.follow import LogFollower
from seawall.chain.logs.reads import LogReads
from seawall.chain.subscriptions import HeadWake, LogSocket
from seawall.ledger import Ledger
from seawall.ledger.logs import LogSource
from seawall.primitives.errors import ChainError, LedgerError, StaleError, nothing_was_stored
from seawall.primitives.ports import Clock
from seawall.runtime.chain_loop import merged
from seawall.runtime.configuration.logs import KeptLogs, source_name
from seawall.runtime.http import Check
from seawall.telemetry.logs import get_logger

__all__ = ["LogKeeper", "checks_of"]

PAUSE_FIRST_S: Final = 0.5
PAUSE_MAX_S: Final = 30.0
_log = get_logger(__name__)


@dataclass(slots=True)
class LogKeeper:
    """One source of one chain. `run` ends by cancellation, or by a ledger that nothing here can mend."""

    name: str
    clock: Clock
    follower: LogFollower
    socket: LogSocket | None = None
    source: LogSource | None = None
    trouble: str = "nothing was gathered yet"
    _unseen: HeadChange | None = None
    _due: asyncio.Event = field(default_factory=asyncio.Event)

    @staticmethod
    def of(
        kept: KeptLogs,
        client: ChainClient,
        ledger: Ledger,
        clock: Clock,
        websocket: str | None,
        wake: HeadWake,
    ) -> LogKeeper:
        chain_id = client.network.chain_id
        name = source_name(chain_id, kept.name)
        question = LogQuestion(name, chain_id, kept.wanted, kept.first_block)
        reads = LogReads(client, kept.wanted)
        backfill = Backfill(reads, ledger, question, clock, workers=kept.workers)
        if websocket is None:
            return LogKeeper(name, clock, LogFollower(client, ledger, question, backfill))
        socket = LogSocket(websocket, kept.wanted, wake, clock)
        return LogKeeper(name, clock, LogFollower(client, ledger, question, backfill, socket.told), socket)

    def on_head(self, change: HeadChange) -> None:
        self._unseen = merged(self._unseen, change)
        self._due.set()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow())
            if self.socket is not None:
                tasks.create_task(self.socket.run())

    async def _follow(self) -> None:
        pause_s = PAUSE_FIRST_S
        while True:
            await self._due.wait()
            self._due.clear()
            change, self._unseen = self._unseen, None
            assert change is not None
            try:
                self.source = (await self.follower.step(change)).source
            except (ChainError, StaleError) as trouble:
                self._put_back(change, trouble)
            except LedgerError as trouble:
                if not nothing_was_stored(trouble):
                    raise
                self._put_back(change, trouble)
            else:
                if self.trouble:
                    _log.info("logs_gathered", source=self.name, to_block=self.source.next_block - 1)
                self.trouble, pause_s = "", PAUSE_FIRST_S
                continue
            await self.clock.sleep_s(pause_s)
            pause_s = min(pause_s * 2, PAUSE_MAX_S)
            self._due.set()

    def _put_back(self, change: HeadChange, trouble: Exception) -> None:
        """The same step again, with what came meanwhile."""
        if str(trouble) != self.trouble:
            _log.warning("logs_not_gathered", source=self.name, cause=str(trouble))
        self.trouble = str(trouble)
        self._unseen = merged(change, self._unseen)


def checks_of(keepers: Iterable[LogKeeper]) -> list[Check]:
    """How far each has come; none of them is needed for sending."""
    checks = []
    for keeper in keepers:
        stands = "" if keeper.source is None else f"gathered to block {keeper.source.next_block - 1}"
        finding = keeper.trouble or stands
        checks.append(Check(f"logs:{keeper.name}", not keeper.trouble, finding, is_needed=False))
    return checks
