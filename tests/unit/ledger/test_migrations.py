from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

import seawall.ledger
from seawall.ledger import Transaction
from seawall.ledger.database import Database
from seawall.ledger.intents import IntentIds
from seawall.ledger.migrate import create, downgrade, migrate
from seawall.ledger.schema import METADATA, REVISIONS
from seawall.primitives.errors import LedgerError, LedgerSchemaError
from tests.unit.ledger.conftest import OpenLedger
from tests.unit.ledger.samples import accepted, committed


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a ledger that does not exist yet."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'fresh.db'}"
    make: Callable[[], str] = request.getfixturevalue("new_postgresql_database")
    return make()


def differences(url: str) -> list[object]:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, METADATA))


def definitions(engine: sa.Engine) -> dict[str, str]:
    """What the database itself says of its tables and indexes, partial conditions included."""
    sql = (
        "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"
        if engine.dialect.name == "sqlite"
        else "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'"
    )
    with engine.connect() as connection:
        rows = connection.exec_driver_sql(sql).all()
    ignored = ("alembic_version", "alembic_version_pkc", "sqlite_sequence")
    return {name: " ".join(text.replace('"', "").split()) for name, text in rows if name not in ignored}


def tables(url: str) -> set[str]:
    return set(sa.inspect(sa.create_engine(url, poolclass=sa.NullPool)).get_table_names()) - {
        "alembic_version"
    }


def test_revisions_known_to_the_program_are_those_of_alembic() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(seawall.ledger.__file__).parent / "migrations"))
    scripts = ScriptDirectory.from_config(config)
    assert tuple(reversed([script.revision for script in scripts.walk_revisions()])) == REVISIONS


def test_migrations_up_down_and_up_again_equal_the_schema(fresh: str) -> None:
    create(fresh)
    assert differences(fresh) == []
    downgrade(fresh, "base")
    assert tables(fresh) == set()
    migrate(fresh)
    assert differences(fresh) == []
    assert tables(fresh) == set(METADATA.tables)


def test_migrated_indexes_equal_the_schema_to_the_letter(
    tmp_path: Path, request: pytest.FixtureRequest, fresh: str
) -> None:
    create(fresh)
    if fresh.startswith("sqlite"):
        plain = f"sqlite:///{tmp_path / 'plain.db'}"
    else:
        plain = request.getfixturevalue("new_postgresql_database")()
    engines = [sa.create_engine(url, poolclass=sa.NullPool) for url in (fresh, plain)]
    METADATA.create_all(engines[1])
    migrated, declared = (definitions(engine) for engine in engines)
    if fresh.startswith("sqlite"):
        # The order of constraints inside a table's text is not part of the schema.
        migrated, declared = ({k: "".join(sorted(v)) for k, v in d.items()} for d in (migrated, declared))
    assert migrated == declared


def test_empty_database_becomes_a_ledger_by_migrating(tmp_path: Path, open_ledger: OpenLedger) -> None:
    path = tmp_path / "empty.db"
    path.touch()
    migrate(f"sqlite:///{path}")
    assert open_ledger(f"sqlite:///{path}", inline=True).epoch > 0


async def test_migrating_at_head_keeps_rows_and_epoch(url: str, open_ledger: OpenLedger) -> None:
    ledger = open_ledger(url)
    row = await ledger.write(accepted)
    await ledger.close()
    migrate(url)
    again = open_ledger(url)
    assert await again.read(lambda tx: tx.intents.get(row.number)) == row
    assert again.epoch == ledger.epoch
    await again.close()


def test_ledger_is_created_once(fresh: str) -> None:
    create(fresh)
    with pytest.raises(LedgerError, match="already"):
        create(fresh)


def test_rows_survive_a_step_down_and_up_again(fresh: str) -> None:
    """What a revision added is lost on the way down; what was there before it is not."""
    create(fresh)
    database = Database(fresh)
    session = database.session(read_only=False)
    session.begin_write()
    attempt = committed(Transaction(session, IntentIds(1)))
    session.commit()
    session.close()
    downgrade(fresh, REVISIONS[0])
    assert "spends" not in tables(fresh)
    migrate(fresh)
    session = database.session(read_only=True)
    session.begin_read()
    assert Transaction(session, IntentIds(1)).attempts.get(attempt.number) == attempt
    session.rollback()
    session.close()
    database.dispose()


def test_unknown_revision_is_a_typed_error_and_changes_nothing(url: str) -> None:
    with pytest.raises(LedgerSchemaError):
        migrate(url, "7777")
    assert differences(url) == []


def test_failing_migration_leaves_the_schema_as_it_was(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'foreign.db'}"
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE cursors (something TEXT)")
    with pytest.raises(LedgerError, match="nothing was changed"):
        migrate(url)
    assert tables(url) == {"cursors"}
