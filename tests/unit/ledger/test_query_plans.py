"""Live work is found through indexes over unsettled rows, so that a million finished ones cost nothing."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql.compiler import SQLCompiler

from seawall.ledger import attempts, heads, inclusions, intents, postings, slots
from seawall.ledger.session import Prepared
from seawall.primitives.units import Hash

DIALECT = sqlite.dialect()

LIVE = [
    (intents, "_QUEUED", "ix_intents_alive"),
    (intents, "_IN_STATE", "ix_intents_alive"),
    (intents, "_ALL_ALIVE", "ix_intents_alive"),
    (slots, "_OPEN_OF", "ix_slots_open"),
    (attempts, "_UNSETTLED", "ix_slots_open"),
    (attempts, "_UNSETTLED_LINKS", "ix_slots_open"),
    (inclusions, "_UNSETTLED", "ix_inclusions_unsettled"),
    (inclusions, "_RIPE", "ix_inclusions_unsettled"),
]


def plan_of(url: str, statement: sa.Executable) -> str:
    assert isinstance(statement, sa.ClauseElement)
    compiled = statement.compile(dialect=DIALECT, compile_kwargs={"render_postcompile": True})
    connection = sqlite3.connect(Path(url.removeprefix("sqlite:///")))
    assert isinstance(compiled, SQLCompiler)
    names = compiled.positiontup or []
    rows = connection.execute(f"EXPLAIN QUERY PLAN {compiled.string}", [None] * len(names)).fetchall()
    connection.close()
    return "; ".join(row[3] for row in rows)


@pytest.mark.parametrize(("store", "name", "index"), LIVE, ids=[f"{s.__name__}{n}" for s, n, _ in LIVE])
def test_live_query_walks_unsettled_rows_only(url: str, store: object, name: str, index: str) -> None:
    assert f"USING INDEX {index}" in plan_of(url, getattr(store, name).statement)


STATEMENTS = [
    (f"{store.__name__.rpartition('.')[2]}{name}", value.statement)
    for store in (attempts, heads, inclusions, intents, postings, slots)
    for name, value in vars(store).items()
    if isinstance(value, Prepared)
]


@pytest.mark.parametrize("statement", [s for _, s in STATEMENTS], ids=[n for n, _ in STATEMENTS])
def test_no_statement_walks_a_whole_table(url: str, statement: sa.Executable) -> None:
    steps = plan_of(url, statement).split("; ")
    assert [
        step for step in steps if step.startswith("SCAN") and "USING INDEX ix_intents_alive" not in step
    ] == []


def test_finding_foreign_slots_of_removed_blocks_walks_open_slots_only(url: str) -> None:
    assert "ix_slots_open" in plan_of(url, slots.foreign_slots_of([Hash(b"\x01" * 32)]))
