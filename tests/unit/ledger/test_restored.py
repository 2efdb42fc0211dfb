"""After a restore: a new epoch, every lane quarantined, and no kernel beside it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from seawall.ledger import Ledger, Transaction
from seawall.ledger.restored import mark_restored
from seawall.primitives.errors import LedgerLockedError
from seawall.primitives.identifiers import Lane
from seawall.primitives.levels import Authority
from seawall.primitives.ports import SystemEntropy
from seawall.primitives.units import Address
from tests.unit.ledger.samples import CHAIN_ID, LANE, NOW_S, FixedClock

UNSEEN = Lane(CHAIN_ID, Address(b"\x77" * 20))


def a_kernel_at_work(tx: Transaction) -> None:
    tx.lanes.acquire(LANE, "one", NOW_S, 3)
    tx.kernels.join("one", 1, Authority.RUN, NOW_S)


async def test_every_lane_is_quarantined_under_a_new_epoch(
    url: str, open_ledger: Callable[..., Ledger]
) -> None:
    before = open_ledger(url)
    epoch = before.epoch
    await before.write(a_kernel_at_work)
    await before.close()
    clock, entropy = FixedClock(), SystemEntropy()
    assert mark_restored(url, [UNSEEN], "a drill", "me", clock=clock, entropy=entropy) == sorted(
        [LANE, UNSEEN]
    )
    after = open_ledger(url)
    rows, kernels, events = await after.read(
        lambda tx: (tx.lanes.all(), tx.kernels.all(), tx.events.after(0))
    )
    assert after.epoch != epoch
    assert {row.lane: (row.holder, row.quarantine) for row in rows} == dict.fromkeys(
        (LANE, UNSEEN), (None, "restored: a drill")
    )
    assert kernels == []
    assert [event.kind for event in events] == ["ledger.restored"]
    await after.close()


async def test_restore_beside_a_running_kernel_is_refused(
    url: str, open_ledger: Callable[..., Ledger]
) -> None:
    running = open_ledger(url)
    with pytest.raises(LedgerLockedError):
        mark_restored(url, [], "a drill", "me", clock=FixedClock(), entropy=SystemEntropy())
    assert await running.read(lambda tx: tx.lanes.all()) == []
    await running.close()
