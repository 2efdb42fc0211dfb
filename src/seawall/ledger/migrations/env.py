"""Alembic's entry: migrates in the transaction that `seawall.ledger.migrate` opened."""

from __future__ import annotations

from alembic import context

from seawall.ledger.schema import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    transactional_ddl=True,
    render_as_batch=True,
)
context.run_migrations()
