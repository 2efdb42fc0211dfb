"""What reach needs: logs as far as they were gathered, transactions of Safes, and changes of keys."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0003"
down_revision: Final = "0002"


def upgrade() -> None:
    _create_logs()
    _create_safes()
    _create_key_changes()


def downgrade() -> None:
    op.drop_table("key_changes")
    op.drop_table("safe_verdicts")
    op.drop_table("safe_signatures")
    op.drop_table("safe_proposals")
    op.drop_table("logs")
    op.drop_table("log_pieces")
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
        "log_pieces",
        sa.Column("source", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("first_block", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("last_block", sa.BigInteger(), nullable=False),
        sa.Column("last_hash", sa.LargeBinary(length=32), nullable=False),
        sa.ForeignKeyConstraint(["source"], ["log_sources.number"], name=op.f("fk_log_pieces_source")),
        sa.PrimaryKeyConstraint("source", "first_block", name=op.f("pk_log_pieces")),
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


def _create_safes() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "safe_proposals",
        sa.Column("number", number, autoincrement=True, nullable=False),
        sa.Column("chain_id", sa.BigInteger(), nullable=False),
        sa.Column("safe", sa.LargeBinary(length=20), nullable=False),
        sa.Column("nonce", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("rules", sa.LargeBinary(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("who", sa.String(length=200), nullable=False),
        sa.Column("at_s", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("seen_number", sa.BigInteger(), nullable=True),
        sa.Column("seen_hash", sa.LargeBinary(length=32), nullable=True),
        sa.Column("is_settled", sa.Boolean(), nullable=False),
        sa.Column("intent", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["intent"], ["intents.number"], name=op.f("fk_safe_proposals_intent")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_safe_proposals")),
        sa.UniqueConstraint("chain_id", "hash", name=op.f("uq_safe_proposals_chain_id_hash")),
        sqlite_autoincrement=True,
    )
    taken, open_ones = sa.text("state IN ('executing', 'executed')"), sa.text("NOT is_settled")
    op.create_index(
        "ix_safe_proposals_once",
        "safe_proposals",
        ["chain_id", "safe", "nonce"],
        unique=True,
        sqlite_where=taken,
        postgresql_where=taken,
    )
    op.create_index(
        "ix_safe_proposals_unsettled",
        "safe_proposals",
        ["chain_id", "number"],
        unique=False,
        sqlite_where=open_ones,
        postgresql_where=open_ones,
    )
    op.create_table(
        "safe_signatures",
        sa.Column("proposal", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("owner", sa.LargeBinary(length=20), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("origin", sa.String(length=200), nullable=False),
        sa.Column("at_s", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["proposal"], ["safe_proposals.number"], name=op.f("fk_safe_signatures_proposal")
        ),
        sa.PrimaryKeyConstraint("proposal", "owner", name=op.f("pk_safe_signatures")),
    )
    op.create_table(
        "safe_verdicts",
        sa.Column("number", number, autoincrement=True, nullable=False),
        sa.Column("proposal", sa.BigInteger(), nullable=False),
        sa.Column("admitted", sa.Boolean(), nullable=False),
        sa.Column("base_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("purpose", sa.String(length=64), nullable=False),
        sa.Column("at_s", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["proposal"], ["safe_proposals.number"], name=op.f("fk_safe_verdicts_proposal")
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_safe_verdicts")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_safe_verdicts_proposal", "safe_verdicts", ["proposal"], unique=False)


def _create_key_changes() -> None:
    op.create_table(
        "key_changes",
        sa.Column("chain_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("key", sa.LargeBinary(length=20), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("successor", sa.LargeBinary(length=20), nullable=True),
        sa.Column("through_nonce", sa.BigInteger(), nullable=True),
        sa.Column("who", sa.String(length=200), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("began_at_s", sa.BigInteger(), nullable=False),
        sa.Column("ended_at_s", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("chain_id", "key", "kind", name=op.f("pk_key_changes")),
    )
