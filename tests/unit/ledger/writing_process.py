"""A process that writes to a ledger and tells what was acknowledged, until somebody kills it."""

from __future__ import annotations

import asyncio
import os
import sys
from functools import partial

from seawall.ledger import Ledger, LedgerSettings, Transaction
from seawall.primitives.identifiers import Lane
from seawall.primitives.ports import SystemClock, SystemEntropy
from seawall.primitives.units import Address

PRODUCERS = 32
WRITES_EACH = 2_000


async def produce(ledger: Ledger, producer: int) -> None:
    lane = Lane(producer + 1, Address(bytes([producer]) * 20))

    def take(tx: Transaction, nonce: int) -> None:
        tx.slots.insert(lane, nonce, "gap_fill", None)

    for nonce in range(WRITES_EACH):
        await ledger.write(partial(take, nonce=nonce))
        os.write(sys.stdout.fileno(), f"{producer} {nonce}\n".encode())


async def main() -> None:
    ledger = Ledger.open(LedgerSettings(sys.argv[1]), clock=SystemClock(), entropy=SystemEntropy())
    async with asyncio.TaskGroup() as group:
        for producer in range(PRODUCERS):
            group.create_task(produce(ledger, producer))
    await ledger.close()


if __name__ == "__main__":
    asyncio.run(main())
