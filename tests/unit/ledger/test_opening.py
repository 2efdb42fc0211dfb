from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from seawall.ledger import Ledger, LedgerSettings
from seawall.ledger import database as database_module
from seawall.ledger.database import Database
from seawall.ledger.lock import KernelLock
from seawall.ledger.migrate import create, downgrade, migrate
from seawall.ledger.schema import HEAD, REVISIONS
from seawall.primitives.errors import ConfigError, LedgerError, LedgerLockedError, LedgerSchemaError
from tests.unit.ledger.conftest import OpenLedger
from tests.unit.ledger.samples import NOW_S, FixedClock, FixedEntropy, accepted


def _path_of(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


def _execute(url: str, sql: str) -> None:
    connection = sqlite3.connect(_path_of(url))
    with connection:
        connection.execute(sql)
    connection.close()


async def test_epoch_is_drawn_at_creation_and_kept(url: str, open_ledger: OpenLedger) -> None:
    ledger = open_ledger(url)
    assert ledger.epoch == int.from_bytes(b"\x07" * 16, "big")
    await ledger.close()
    migrate(url, entropy=FixedEntropy(9))
    again = open_ledger(url)
    assert again.epoch == ledger.epoch
    await again.close()


def test_missing_file_is_not_created_by_opening(tmp_path: Path, open_ledger: OpenLedger) -> None:
    with pytest.raises(LedgerSchemaError, match="seawall ledger migrate"):
        open_ledger(f"sqlite:///{tmp_path / 'none.db'}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("sql", "advice"),
    [
        ("UPDATE alembic_version SET version_num = '9999'", "run the newer version"),
        ("DELETE FROM alembic_version", "seawall ledger migrate"),
        ("DROP TABLE alembic_version", "seawall ledger migrate"),
        ("DELETE FROM meta", "seawall ledger migrate"),
    ],
)
def test_schema_that_is_not_ours_is_refused_with_advice(
    url: str, open_ledger: OpenLedger, sql: str, advice: str
) -> None:
    _execute(url, sql)
    with pytest.raises(LedgerSchemaError, match=advice):
        open_ledger(url)


def test_older_schema_says_migrate(url: str, open_ledger: OpenLedger) -> None:
    downgrade(url, REVISIONS[-2])
    with pytest.raises(LedgerSchemaError, match=rf"older than {HEAD}.*seawall ledger migrate"):
        open_ledger(url)


def test_file_that_is_no_database_is_a_typed_error(tmp_path: Path, open_ledger: OpenLedger) -> None:
    path = tmp_path / "text.db"
    path.write_text("not a database" * 200)
    with pytest.raises(LedgerError, match="not a database"):
        open_ledger(f"sqlite:///{path}")


async def test_second_kernel_is_refused_and_told_who_has_it(url: str, open_ledger: OpenLedger) -> None:
    first = open_ledger(url)
    with pytest.raises(LedgerLockedError, match=r"held by process \d+ \(kernel\)"):
        open_ledger(url)
    with pytest.raises(LedgerLockedError):
        migrate(url)
    await first.close()
    await open_ledger(url).close()


async def test_failed_opening_leaves_no_lock(url: str, open_ledger: OpenLedger) -> None:
    _execute(url, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(LedgerSchemaError):
        open_ledger(url)
    _execute(url, f"UPDATE alembic_version SET version_num = '{HEAD}'")
    await open_ledger(url).close()


def test_lock_whose_file_is_unreadable_text_still_refuses(tmp_path: Path) -> None:
    with KernelLock(tmp_path / "x.db", "kernel", NOW_S):
        (tmp_path / "x.db.kernel-lock").write_text("{")
        with pytest.raises(LedgerLockedError, match="another process"):
            KernelLock(tmp_path / "x.db", "kernel", NOW_S)


def test_lock_in_a_missing_directory_says_so(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="lock file cannot be opened"):
        KernelLock(tmp_path / "none" / "x.db", "kernel", NOW_S)


def test_lock_says_who_holds_it(tmp_path: Path) -> None:
    with KernelLock(tmp_path / "x.db", "kernel", NOW_S):
        holder = json.loads((tmp_path / "x.db.kernel-lock").read_text())
    assert (holder["purpose"], holder["since_s"]) == ("kernel", NOW_S)


async def test_reader_sees_but_cannot_change(url: str, open_ledger: OpenLedger) -> None:
    kernel = open_ledger(url)
    row = await kernel.write(accepted)
    reader = open_ledger(url, kernel=False)
    assert await reader.read(lambda tx: tx.intents.get(row.number)) == row
    with pytest.raises(LedgerError, match="opened for reading"):
        await reader.write(accepted)
    with pytest.raises(LedgerError, match="a change inside a read"):
        await reader.read(lambda tx: tx.states.compare_and_set("s", 0, b""))
    await reader.close()
    await kernel.close()


def test_durability_is_set_and_verified(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    session = Database(url).session(read_only=False)
    assert [
        session.setting(f"PRAGMA {name}") for name in ("journal_mode", "synchronous", "foreign_keys")
    ] == ["wal", 2, 1]
    session.close()
    monkeypatch.setattr(database_module, "_SYNCHRONOUS", "NORMAL")
    with pytest.raises(LedgerError, match="synchronous is '1', which can lose a committed row"):
        Database(url).session(read_only=False)


def test_memory_is_for_the_simulator_alone(open_ledger: OpenLedger) -> None:
    with pytest.raises(LedgerError, match="in memory forgets"):
        open_ledger("sqlite://")
    with pytest.raises(LedgerError, match="made by opening"):
        create("sqlite://")


async def test_shared_memory_survives_a_simulated_restart(open_ledger: OpenLedger) -> None:
    url = "sqlite:///file:restart?mode=memory&cache=shared&uri=true"
    before = open_ledger(url, inline=True)
    row = await before.write(accepted)
    after = open_ledger(url, inline=True)
    await before.close()
    assert await after.read(lambda tx: tx.intents.get(row.number)) == row
    await after.close()


@pytest.mark.parametrize("url", ["nonsense", "mysql://host/db", "sqlite+aiosqlite:///x.db", ""])
def test_url_of_no_known_database_is_a_configuration_error(url: str, open_ledger: OpenLedger) -> None:
    with pytest.raises(ConfigError):
        open_ledger(url)


def test_password_in_the_url_is_never_shown() -> None:
    settings = LedgerSettings("postgresql+psycopg://seawall:hunter2@127.0.0.1:1/none")
    assert "hunter2" not in repr(settings)
    with pytest.raises(LedgerError) as caught:
        Ledger.open(settings, clock=FixedClock(), entropy=FixedEntropy())
    assert "hunter2" not in str(caught.value)


def test_password_in_the_urls_query_is_not_shown_either() -> None:
    shown = Database("postgresql+psycopg://user@host/ledger?password=hunter2&sslpassword=hunter2").shown
    assert shown == "postgresql+psycopg://user@host/ledger"


def test_existing_file_is_never_overwritten(url: str, tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="a file already"):
        create(url)
    with pytest.raises(LedgerError, match="cannot be made"):
        create(f"sqlite:///{tmp_path / 'none' / 'x.db'}")


def test_new_ledger_is_readable_by_its_owner_alone(url: str) -> None:
    assert _path_of(url).stat().st_mode & 0o077 == 0


def test_opening_imports_neither_alembic_nor_psycopg_nor_the_orm(url: str) -> None:
    script = (
        "import sys, asyncio\n"
        "from seawall.ledger import Ledger, LedgerSettings\n"
        "from seawall.primitives.ports import SystemClock, SystemEntropy\n"
        "async def main():\n"
        "    settings = LedgerSettings(sys.argv[1])\n"
        "    ledger = Ledger.open(settings, clock=SystemClock(), entropy=SystemEntropy())\n"
        "    await ledger.write(lambda tx: tx.states.compare_and_set('s', 0, b''))\n"
        "    await ledger.close()\n"
        "asyncio.run(main())\n"
        "print([m for m in ('alembic', 'psycopg', 'sqlalchemy.orm') if m in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, url], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_transaction_used_after_its_work_is_refused(url: str, open_ledger: OpenLedger) -> None:
    session = Database(url).session(read_only=True)
    with pytest.raises(AssertionError, match="outside of the work"):
        session.once(sa.select(sa.literal(1)))
    session.close()
