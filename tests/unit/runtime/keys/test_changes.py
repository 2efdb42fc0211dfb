"""Ages of keys, and that reminders come once a day (KEY-2). The rest: tests/integration/kernel."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from seawall.ledger import Ledger, LedgerSettings
from seawall.ledger.migrate import create
from seawall.ledger.rows import EventRow
from seawall.runtime.keys.changes import REMIND_DAYS, KeyAge, KeyKeeper, rotation_of
from tests.unit.ledger.samples import FixedClock, FixedEntropy

TODAY = date(2026, 5, 1)
DAY_S = 86_400


@pytest.mark.parametrize(
    ("since", "rotation_days", "expected"),
    [
        (None, 90, "unknown"),
        (None, 0, "never"),
        (date(2020, 1, 1), 0, "never"),
        (date(2026, 4, 30), 90, "later"),
        (date(2026, 5, 1), REMIND_DAYS + 1, "later"),
        (date(2026, 5, 1), REMIND_DAYS, "soon"),
        (date(2026, 4, 1), 31, "soon"),
        (date(2026, 4, 1), 30, "due"),
        (date(2026, 12, 1), 90, "later"),
    ],
)
def test_rotation_is_told_by_age(since: date | None, rotation_days: int, expected: str) -> None:
    assert rotation_of(KeyAge("main", since, rotation_days), TODAY) == expected


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
async def ledger(tmp_path: Path, clock: FixedClock) -> AsyncIterator[Ledger]:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    create(url)
    ledger = Ledger.open(LedgerSettings(url), clock=clock, entropy=FixedEntropy(), inline=True)
    yield ledger
    await ledger.close()


async def reminders(ledger: Ledger) -> list[tuple[str, int, object]]:
    rows: list[EventRow] = list(await ledger.read(lambda tx: tx.events.after(0, 100)))
    return [(row.subject, row.chain_id, row.data["rotation"]) for row in rows]


async def test_reminders_come_once_a_day_and_of_unknown_ages_once(ledger: Ledger, clock: FixedClock) -> None:
    today = datetime.fromtimestamp(clock.now_s(), UTC).date()
    ages = [
        KeyAge("old", date(2020, 1, 1), 90, (1, 10)),
        KeyAge("young", today, 90, (1,)),
        KeyAge("unknown", None, 90, (1,)),
    ]
    keeper = KeyKeeper(ledger, {}, {}, clock, {}, ages)
    for _ in range(3):
        await keeper.remind()
    first = [("old", 1, "due"), ("old", 10, "due"), ("unknown", 1, "unknown")]
    assert await reminders(ledger) == first
    await clock.sleep_s(DAY_S)
    await keeper.remind()
    assert await reminders(ledger) == [*first, *first[:2]]
