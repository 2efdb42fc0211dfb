"""Lowering a whole fleet from the command line, with proof of when it held.

Flow: the new authority is written into the ledger's controls, from which moment no kernel commits under the
old one; then each kernel's row is watched until it says that it has obeyed. One that does not say so has no
send permit any more `PERMIT_S` after the write, whatever became of it. Without the database nothing is known
of the others, and that is what is answered: this machine's latch was lowered before any of this began.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from seawall.control.permit import PERMIT_S
from seawall.ledger import Ledger, LedgerSettings
from seawall.ledger.rows import EventData, KernelRow
from seawall.ledger.transaction import Transaction
from seawall.primitives.errors import SeawallError
from seawall.primitives.levels import Authority
from seawall.primitives.ports import Clock, SystemEntropy

__all__ = ["FleetStop", "KernelStop", "lower_fleet"]

DATABASE_WAIT_S: Final = 5.0
# Two machines' clocks may run a little apart in so short a time.
MARGIN_S: Final = 0.1
_LOOK_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class KernelStop:
    """How one kernel stopped: it said so, it left, or its permit ran out."""

    holder: str
    how: str
    after_s: float  # since the write; at the latest then


@dataclass(frozen=True, slots=True)
class FleetStop:
    """What a command to lower has reached. An epoch of 0: the database was not reached, and `trouble` says
    why."""

    epoch: int
    kernels: tuple[KernelStop, ...]
    trouble: str = ""


async def lower_fleet(url: str, to: Authority, reason: str, who: str, clock: Clock) -> FleetStop:
    """Lower all kernels of the ledger at `url`. Never raises for trouble with the database."""
    try:
        async with asyncio.timeout(DATABASE_WAIT_S):
            ledger = await asyncio.to_thread(
                Ledger.open, LedgerSettings(url), clock=clock, entropy=SystemEntropy()
            )
        try:
            async with asyncio.timeout(DATABASE_WAIT_S + PERMIT_S):
                return await _lower(ledger, to, reason, who, clock)
        finally:
            await ledger.close()
    except SeawallError as trouble:
        return FleetStop(0, (), trouble.what)
    except TimeoutError:
        return FleetStop(0, (), "the database does not answer")


async def _lower(ledger: Ledger, to: Authority, reason: str, who: str, clock: Clock) -> FleetStop:
    epoch, kernels = await ledger.write(lambda tx: _record(tx, to, reason, who, clock.now_s()))
    written_s = clock.monotonic_s()
    stops: dict[str, KernelStop] = {}
    while True:
        after_s = clock.monotonic_s() - written_s
        present = {row.holder: row for row in await ledger.read(lambda tx: tx.kernels.all())}
        for row in kernels:
            if row.holder not in stops and (how := _how(present.get(row.holder), epoch)):
                stops[row.holder] = KernelStop(row.holder, how, after_s)
        if len(stops) == len(kernels):
            break
        if after_s > PERMIT_S + MARGIN_S:
            over = [row.holder for row in kernels if row.holder not in stops]
            stops |= {holder: KernelStop(holder, "its permit ran out", after_s) for holder in over}
            break
        await clock.sleep_s(_LOOK_S)
    return FleetStop(epoch, tuple(stops[row.holder] for row in kernels))


def _record(
    tx: Transaction, to: Authority, reason: str, who: str, now_s: int
) -> tuple[int, Sequence[KernelRow]]:
    """The epoch in which the fleet is at `to` or lower, and who is in the fleet."""
    current = tx.controls.current()
    epoch = current.epoch
    if epoch == 0 or current.authority > to:
        data: EventData = {"authority": to.name, "reason": reason, "who": who}
        tx.events.append("authority", 0, "global", None, data, now_s)
        epoch = tx.controls.set("global", to, reason, who, now_s)
    return epoch, tx.kernels.all()


def _how(row: KernelRow | None, epoch: int) -> str:
    if row is None:
        return "it left"
    return "it obeyed" if row.epoch_seen >= epoch else ""
