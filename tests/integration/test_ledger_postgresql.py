"""A whole ledger on a true PostgreSQL: opening, groups, snapshots, durability. Stores: tests/unit/ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import pytest
import sqlalchemy as sa

from seawall.ledger import Ledger, LedgerSettings, Transaction
from seawall.ledger.migrate import create, downgrade
from seawall.primitives.errors import LedgerError, LedgerSchemaError, LedgerUnavailableError, NonceTakenError
from seawall.primitives.levels import IntentState
from tests.fixtures.postgresql import new_postgresql_database, postgresql_server
from tests.unit.ledger.samples import (
    CHAIN_ID,
    LANE,
    NOW_S,
    FixedClock,
    FixedEntropy,
    accepted,
    block,
    committed,
    included,
)

__all__ = ["new_postgresql_database", "postgresql_server"]

pytestmark = pytest.mark.postgresql


@pytest.fixture
def url(new_postgresql_database: Callable[[], str]) -> str:
    made = new_postgresql_database()
    create(made, entropy=FixedEntropy())
    return made


def opened(url: str, *, kernel: bool = True, inline: bool = False) -> Ledger:
    return Ledger.open(LedgerSettings(url, kernel), clock=FixedClock(), entropy=FixedEntropy(), inline=inline)


def fill(tx: Transaction, nonce: int) -> int:
    return tx.slots.insert(LANE, nonce, "gap_fill", None).nonce


@pytest.mark.parametrize("inline", [False, True], ids=["threads", "inline"])
async def test_life_of_a_plan(url: str, inline: bool) -> None:
    ledger = opened(url, inline=inline)
    attempt = await ledger.write(committed)
    intent = attempt.intents[0][0]
    await ledger.write(lambda tx: included(tx, attempt, block(10)))
    await ledger.write(lambda tx: tx.inclusions.flip([block(10).hash]))
    await ledger.write(lambda tx: included(tx, attempt, block(11, "b")))
    await ledger.write(lambda tx: tx.slots.settle(LANE, attempt.nonce, attempt.hash))
    assert await ledger.read(lambda tx: tx.attempts.unsettled(CHAIN_ID)) == []
    row = await ledger.read(lambda tx: tx.intents.get(intent))
    assert row.state is IntentState.COMMITTED
    await ledger.close()


async def test_failing_work_harms_no_neighbour_of_its_group(url: str) -> None:
    ledger = opened(url)
    writes = [ledger.write(partial(fill, nonce=nonce)) for nonce in (0, 1, 1, 2)]
    results = await asyncio.gather(*writes, return_exceptions=True)
    assert [r for r in results if not isinstance(r, Exception)] == [0, 1, 2]
    assert isinstance(results[2], NonceTakenError)
    assert [slot.nonce for slot in await ledger.read(lambda tx: tx.slots.open(LANE))] == [0, 1, 2]
    await ledger.close()


async def test_read_cannot_change_anything(url: str) -> None:
    ledger = opened(url)
    with pytest.raises(LedgerError, match="a change inside a read"):
        await ledger.read(partial(fill, nonce=0))
    reader = opened(url, kernel=False)
    assert await reader.read(lambda tx: tx.slots.highest(LANE)) is None
    await reader.close()
    await ledger.close()


async def test_ids_of_two_kernels_never_meet(url: str) -> None:
    first, second = opened(url), opened(url)
    rows = [
        await ledger.write(partial(accepted, key=f"{i}")) for i, ledger in enumerate((first, second, first))
    ]
    assert len({row.intent_id for row in rows}) == 3
    assert first.epoch == second.epoch
    await first.close()
    await second.close()


async def test_lost_connection_is_typed_and_replaced(url: str) -> None:
    ledger = opened(url)
    await ledger.write(partial(fill, nonce=0))
    await ledger.read(lambda tx: tx.slots.highest(LANE))
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    with pytest.raises(LedgerUnavailableError, match="nothing of this change was stored"):
        await asyncio.wait_for(ledger.write(partial(fill, nonce=1)), 30)
    async with asyncio.timeout(30):
        while ledger.failure is not None:  # noqa: ASYNC110  (nobody would set an event)
            await asyncio.sleep(0.02)
    assert await ledger.read(lambda tx: tx.slots.highest(LANE)) == 0
    assert await ledger.write(partial(fill, nonce=2)) == 2
    await ledger.close()
    again = opened(url)
    assert [slot.nonce for slot in await again.read(lambda tx: tx.slots.open(LANE))] == [0, 2]
    await again.close()


@pytest.mark.parametrize("weaker", ["off", "local"])
def test_weaker_commit_than_on_is_refused(url: str, weaker: str) -> None:
    weakened = sa.make_url(url).update_query_dict({"options": f"-csynchronous_commit={weaker}"})
    with pytest.raises(LedgerError, match=f"synchronous_commit is '{weaker}'"):
        opened(weakened.render_as_string(hide_password=False))


def test_database_without_a_ledger_is_refused(new_postgresql_database: Callable[[], str]) -> None:
    with pytest.raises(LedgerSchemaError, match="seawall ledger migrate"):
        opened(new_postgresql_database())


def test_downgraded_database_is_refused(url: str) -> None:
    downgrade(url, "base")
    with pytest.raises(LedgerSchemaError):
        opened(url)


async def test_events_and_states_survive_reopening(url: str) -> None:
    ledger = opened(url)
    await ledger.write(
        lambda tx: tx.events.append("x", CHAIN_ID, "s", None, {"n": 2**100, "b": False}, NOW_S)
    )
    await ledger.write(lambda tx: tx.states.compare_and_set("s", 0, b"\x00\xff"))
    await ledger.close()
    again = opened(url)
    assert (await again.read(lambda tx: tx.events.after(0)))[0].data == {"n": 2**100, "b": False}
    assert await again.read(lambda tx: tx.states.get("s")) == (1, b"\x00\xff")
    await again.close()
