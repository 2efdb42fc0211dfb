"""A ledger in memory, for the world simulator: the tables made straight from the schema, no migration run."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from sqlalchemy.schema import CreateIndex, CreateTable

from seawall.ledger.schema import EPOCH_BYTES, HEAD, METADATA, meta
from seawall.ledger.session import Prepared, Session
from seawall.primitives.ports import Entropy

__all__ = ["create_in_memory"]

_VERSION_TABLE: Final = sa.Table(
    "alembic_version", sa.MetaData(), sa.Column("version_num", sa.String(32), primary_key=True)
)
_TABLES: Final = sa.table("sqlite_master", sa.column("name"))
_EXISTING: Final = Prepared(sa.select(_TABLES.c.name).where(_TABLES.c.name == "meta"))
_DEFINITIONS: Final[tuple[sa.schema.ExecutableDDLElement, ...]] = (
    CreateTable(_VERSION_TABLE),
    *(CreateTable(table) for table in METADATA.sorted_tables),
    *(CreateIndex(index) for table in METADATA.sorted_tables for index in sorted(table.indexes, key=str)),
)
_STAMP: Final = Prepared(sa.insert(_VERSION_TABLE).values(version_num=HEAD))
_EPOCH: Final = Prepared(sa.insert(meta), ["number", "epoch"])


def create_in_memory(session: Session, entropy: Entropy) -> None:
    """Make an empty ledger, unless another connection to the same shared memory has made it."""
    session.begin_write()
    try:
        if session.first(_EXISTING) is None:
            for definition in _DEFINITIONS:
                session.define(definition)
            session.run(_STAMP)
            session.run(_EPOCH, {"number": 1, "epoch": entropy.token(EPOCH_BYTES)})
        session.commit()
    except BaseException:
        session.rollback()
        raise
