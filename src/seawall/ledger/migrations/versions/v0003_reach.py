"""What reach needs: logs as far as they were gathered."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0003"
down_revision: Final = "0002"


def upgrade() -> None:
    _create_logs()


def downgrade() -> None:
    op.drop_table("logs")
    op.drop_table("log_marks")
    op.drop_table("log_sources")


def _create_logs() -> None:
    op.create_table(
        "log_sources",
        sa.Column(
            "number",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("chain_id", sa.BigInteger(), nullable=False),
        sa.Column("filter_digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("first_block", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_log_sources")),
        sa.UniqueConstraint("name", name=op.f("uq_log_sources_name")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "log_marks",
        sa.Column("source", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("block_number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("block_hash", sa.LargeBinary(length=32), nullable=False),
        sa.ForeignKeyConstraint(["source"], ["log_sources.number"], name=op.f("fk_log_marks_source")),
        sa.PrimaryKeyConstraint("source", "block_number", name=op.f("pk_log_marks")),
    )
    op.create_table(
        "logs",
        sa.Column("source", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("block_number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("log_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("block_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("transaction_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("address", sa.LargeBinary(length=20), nullable=False),
        sa.Column("topics", sa.LargeBinary(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["source"], ["log_sources.number"], name=op.f("fk_logs_source")),
        sa.PrimaryKeyConstraint("source", "block_number", "log_index", name=op.f("pk_logs")),
    )
