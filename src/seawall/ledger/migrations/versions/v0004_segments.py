"""What became of each plan where several went in one call of the executor."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0004"
down_revision: Final = "0003"


def upgrade() -> None:
    op.create_table(
        "segment_ends",
        sa.Column("inclusion", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("segment", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("intent", sa.BigInteger(), nullable=False),
        sa.Column("landed", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["inclusion"], ["inclusions.number"], name=op.f("fk_segment_ends_inclusion")),
        sa.ForeignKeyConstraint(["intent"], ["intents.number"], name=op.f("fk_segment_ends_intent")),
        sa.PrimaryKeyConstraint("inclusion", "segment", name=op.f("pk_segment_ends")),
    )
    op.create_index("ix_segment_ends_intent", "segment_ends", ["intent"], unique=False)


def downgrade() -> None:
    op.drop_table("segment_ends")
