"""A fleet and its limits: quarantine and renewals of lanes, kernels, spends, cancellation on request."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0002"
down_revision: Final = "0001"


def upgrade() -> None:
    op.add_column("intents", sa.Column("cancel_reason", sa.Text(), nullable=True))
    op.add_column("lanes", sa.Column("quarantine", sa.Text(), nullable=True))
    op.add_column("lanes", sa.Column("renewals", sa.BigInteger(), server_default="0", nullable=False))
    op.create_table(
        "kernels",
        sa.Column("holder", sa.String(length=200), nullable=False),
        sa.Column("started_at_s", sa.BigInteger(), nullable=False),
        sa.Column("beats", sa.BigInteger(), nullable=False),
        sa.Column("epoch_seen", sa.BigInteger(), nullable=False),
        sa.Column("authority", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("holder", name=op.f("pk_kernels")),
    )
    op.create_table(
        "spends",
        sa.Column("attempt", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("token", sa.LargeBinary(length=20), nullable=False),
        sa.Column("chain_id", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.LargeBinary(length=20), nullable=False),
        sa.Column("at_s", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.String(79), nullable=False),
        sa.ForeignKeyConstraint(["attempt"], ["attempts.number"], name=op.f("fk_spends_attempt")),
        sa.PrimaryKeyConstraint("attempt", "token", name=op.f("pk_spends")),
    )
    _index_alive(["chain_id", "key", "state", "number"])
    op.create_index("ix_spends_lane", "spends", ["chain_id", "key", "at_s"], unique=False)


def downgrade() -> None:
    _index_alive(["chain_id", "key", "state", "priority", "number"])
    op.drop_table("spends")
    op.drop_table("kernels")
    op.drop_column("lanes", "renewals")
    op.drop_column("lanes", "quarantine")
    op.drop_column("intents", "cancel_reason")


def _index_alive(columns: list[str]) -> None:
    """Lanes keep their queue in memory and read on by number; the order by priority is made there."""
    alive = sa.text("state IN ('queued', 'committed')")
    op.drop_index("ix_intents_alive", table_name="intents")
    op.create_index(
        "ix_intents_alive", "intents", columns, unique=False, sqlite_where=alive, postgresql_where=alive
    )
