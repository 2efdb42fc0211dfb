"""The foundations: intents to inclusions, accounts, strategies' state, controls, heads, events."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0001"
down_revision: Final = None

_NUMBER: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TABLES: Final = (
    "meta",
    "sequences",
    "intents",
    "lanes",
    "slots",
    "verdicts",
    "attempts",
    "attempt_intents",
    "inclusions",
    "posting_entries",
    "postings",
    "reservations",
    "strategy_states",
    "timers",
    "controls",
    "heads",
    "events",
    "cursors",
)


def upgrade() -> None:
    _create_lanes_and_intents()
    _create_slots_and_verdicts()
    _create_attempts()
    _create_accounts()
    _create_strategies_and_controls()
    _create_heads_and_events()


def downgrade() -> None:
    for name in reversed(_TABLES):
        op.drop_table(name)


def _create_lanes_and_intents() -> None:
    op.create_table(
        "meta",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.LargeBinary(length=16), nullable=False),
        sa.CheckConstraint("number = 1", name=op.f("meta_has_one_row")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_meta")),
    )
    op.create_table(
        "sequences",
        sa.Column("chain_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("executor", sa.LargeBinary(length=20), nullable=False),
        sa.Column("next_sequence", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("chain_id", "executor", name=op.f("pk_sequences")),
    )
    op.create_table(
        "intents",
        sa.Column("number", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("strategy", sa.String(length=200), nullable=False),
        sa.Column("idempotency_key", sa.String(length=200), nullable=False),
        sa.Column("chain_id", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.LargeBinary(length=20), nullable=False),
        sa.Column("executor", sa.LargeBinary(length=20), nullable=False),
        sa.Column("intent_id", sa.String(79), nullable=False),
        sa.Column("plan", sa.LargeBinary(), nullable=False),
        sa.Column("plan_digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("deadline_s", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("finality", sa.SmallInteger(), nullable=True),
        sa.Column("correlation_id", sa.String(length=64), nullable=False),
        sa.Column("accepted_at_s", sa.BigInteger(), nullable=False),
        sa.Column("ended_at_s", sa.BigInteger(), nullable=True),
        sa.Column("candidates", sa.Integer(), nullable=False),
        sa.Column("predicted_wei", sa.String(79), nullable=True),
        sa.Column("realised_wei", sa.String(79), nullable=True),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_intents")),
        sa.UniqueConstraint(
            "chain_id", "executor", "intent_id", name=op.f("uq_intents_chain_id_executor_intent_id")
        ),
        sa.UniqueConstraint("strategy", "idempotency_key", name=op.f("uq_intents_strategy_idempotency_key")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_intents_alive",
        "intents",
        ["chain_id", "key", "state", "priority", "number"],
        unique=False,
        sqlite_where=sa.text("state IN ('queued', 'committed')"),
        postgresql_where=sa.text("state IN ('queued', 'committed')"),
    )
    op.create_index("ix_intents_strategy_number", "intents", ["strategy", "number"], unique=False)
    op.create_table(
        "lanes",
        sa.Column("chain_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("key", sa.LargeBinary(length=20), nullable=False),
        sa.Column("holder", sa.String(length=200), nullable=True),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("expires_at_s", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("chain_id", "key", name=op.f("pk_lanes")),
    )


def _create_slots_and_verdicts() -> None:
    op.create_table(
        "slots",
        sa.Column("number", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("chain_id", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.LargeBinary(length=20), nullable=False),
        sa.Column("nonce", sa.BigInteger(), nullable=False),
        sa.Column("purpose", sa.String(length=16), nullable=False),
        sa.Column("intent", sa.BigInteger(), nullable=True),
        sa.Column("block_hash", sa.LargeBinary(length=32), nullable=True),
        sa.Column("consumed_by", sa.LargeBinary(length=32), nullable=True),
        sa.Column("final", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["intent"], ["intents.number"], name=op.f("fk_slots_intent")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_slots")),
        sa.UniqueConstraint("chain_id", "key", "nonce", name=op.f("uq_slots_chain_id_key_nonce")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_slots_open",
        "slots",
        ["chain_id", "key", "nonce"],
        unique=False,
        sqlite_where=sa.text("NOT final"),
        postgresql_where=sa.text("NOT final"),
    )
    op.create_table(
        "verdicts",
        sa.Column("number", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("intent", sa.BigInteger(), nullable=False),
        sa.Column("candidate", sa.Integer(), nullable=False),
        sa.Column("payload_digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("overlay_digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("base_number", sa.BigInteger(), nullable=False),
        sa.Column("base_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("valid_until_block", sa.BigInteger(), nullable=False),
        sa.Column("valid_until_s", sa.BigInteger(), nullable=False),
        sa.Column("max_total_fee_wei", sa.String(79), nullable=False),
        sa.Column("admitted", sa.Boolean(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("at_s", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["intent"], ["intents.number"], name=op.f("fk_verdicts_intent")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_verdicts")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_verdicts_intent", "verdicts", ["intent"], unique=False)


def _create_attempts() -> None:
    op.create_table(
        "attempts",
        sa.Column("number", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("slot", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.Column("target", sa.LargeBinary(length=20), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("value_wei", sa.String(79), nullable=False),
        sa.Column("gas_limit", sa.BigInteger(), nullable=False),
        sa.Column("payload_digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("max_fee_per_gas_wei", sa.String(79), nullable=False),
        sa.Column("max_priority_fee_per_gas_wei", sa.String(79), nullable=False),
        sa.Column("route", sa.String(length=64), nullable=False),
        sa.Column("verdict", sa.BigInteger(), nullable=True),
        sa.Column("renewals", sa.Integer(), nullable=False),
        sa.Column("committed_at_s", sa.BigInteger(), nullable=False),
        sa.Column("writes", sa.Integer(), nullable=False),
        sa.Column("written_at_s", sa.BigInteger(), nullable=True),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["slot"], ["slots.number"], name=op.f("fk_attempts_slot")),
        sa.ForeignKeyConstraint(["verdict"], ["verdicts.number"], name=op.f("fk_attempts_verdict")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_attempts")),
        sa.UniqueConstraint("hash", name=op.f("uq_attempts_hash")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_attempts_slot", "attempts", ["slot"], unique=False)
    op.create_table(
        "attempt_intents",
        sa.Column("attempt", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("segment", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("intent", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["attempt"], ["attempts.number"], name=op.f("fk_attempt_intents_attempt")),
        sa.ForeignKeyConstraint(["intent"], ["intents.number"], name=op.f("fk_attempt_intents_intent")),
        sa.PrimaryKeyConstraint("attempt", "segment", name=op.f("pk_attempt_intents")),
    )
    op.create_index("ix_attempt_intents_intent", "attempt_intents", ["intent"], unique=False)
    op.create_table(
        "inclusions",
        sa.Column("number", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("attempt", sa.BigInteger(), nullable=False),
        sa.Column("slot", sa.BigInteger(), nullable=False),
        sa.Column("chain_id", sa.BigInteger(), nullable=False),
        sa.Column("block_number", sa.BigInteger(), nullable=False),
        sa.Column("block_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("index", sa.Integer(), nullable=False),
        sa.Column("status", sa.Boolean(), nullable=False),
        sa.Column("gas_used", sa.BigInteger(), nullable=False),
        sa.Column("effective_gas_price_wei", sa.String(79), nullable=False),
        sa.Column("fee_wei", sa.String(79), nullable=False),
        sa.Column("canonical", sa.Boolean(), nullable=False),
        sa.Column("finality", sa.SmallInteger(), nullable=False),
        sa.ForeignKeyConstraint(["attempt"], ["attempts.number"], name=op.f("fk_inclusions_attempt")),
        sa.ForeignKeyConstraint(["slot"], ["slots.number"], name=op.f("fk_inclusions_slot")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_inclusions")),
        sa.UniqueConstraint("attempt", "block_hash", name=op.f("uq_inclusions_attempt_block_hash")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_inclusions_block_hash", "inclusions", ["block_hash"], unique=False)
    op.create_index(
        "ix_inclusions_unsettled",
        "inclusions",
        ["chain_id", "block_number"],
        unique=False,
        sqlite_where=sa.text("canonical AND finality < 2"),
        postgresql_where=sa.text("canonical AND finality < 2"),
    )
    op.create_index(
        "uq_inclusions_canonical_slot",
        "inclusions",
        ["slot"],
        unique=True,
        sqlite_where=sa.text("canonical"),
        postgresql_where=sa.text("canonical"),
    )


def _create_accounts() -> None:
    op.create_table(
        "posting_entries",
        sa.Column("number", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("chain_id", sa.BigInteger(), nullable=False),
        sa.Column("block_number", sa.BigInteger(), nullable=False),
        sa.Column("block_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("inclusion", sa.BigInteger(), nullable=True),
        sa.Column("intent", sa.BigInteger(), nullable=True),
        sa.Column("canonical", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["inclusion"], ["inclusions.number"], name=op.f("fk_posting_entries_inclusion")
        ),
        sa.ForeignKeyConstraint(["intent"], ["intents.number"], name=op.f("fk_posting_entries_intent")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_posting_entries")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_posting_entries_block_hash", "posting_entries", ["block_hash"], unique=False)
    op.create_index("ix_posting_entries_intent", "posting_entries", ["intent"], unique=False)
    op.create_index(
        "uq_posting_entries_inclusion",
        "posting_entries",
        ["inclusion", "kind"],
        unique=True,
        sqlite_where=sa.text("canonical"),
        postgresql_where=sa.text("canonical"),
    )
    op.create_table(
        "postings",
        sa.Column("entry", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("leg", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("account", sa.LargeBinary(length=20), nullable=False),
        sa.Column("token", sa.LargeBinary(length=20), nullable=False),
        sa.Column("delta", sa.String(79), nullable=False),
        sa.ForeignKeyConstraint(["entry"], ["posting_entries.number"], name=op.f("fk_postings_entry")),
        sa.PrimaryKeyConstraint("entry", "leg", name=op.f("pk_postings")),
    )
    op.create_table(
        "reservations",
        sa.Column("attempt", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("token", sa.LargeBinary(length=20), nullable=False),
        sa.Column("chain_id", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.LargeBinary(length=20), nullable=False),
        sa.Column("amount", sa.String(79), nullable=False),
        sa.ForeignKeyConstraint(["attempt"], ["attempts.number"], name=op.f("fk_reservations_attempt")),
        sa.PrimaryKeyConstraint("attempt", "token", name=op.f("pk_reservations")),
    )
    op.create_index("ix_reservations_lane", "reservations", ["chain_id", "key", "token"], unique=False)


def _create_strategies_and_controls() -> None:
    op.create_table(
        "strategy_states",
        sa.Column("strategy", sa.String(length=200), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("strategy", name=op.f("pk_strategy_states")),
    )
    op.create_table(
        "timers",
        sa.Column("strategy", sa.String(length=200), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("at_s", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("strategy", "name", name=op.f("pk_timers")),
    )
    op.create_index("ix_timers_at_s", "timers", ["at_s"], unique=False)
    op.create_table(
        "controls",
        sa.Column("scope", sa.String(length=200), nullable=False),
        sa.Column("epoch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("authority", sa.SmallInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("who", sa.String(length=200), nullable=False),
        sa.Column("at_s", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("scope", "epoch", name=op.f("pk_controls")),
    )


def _create_heads_and_events() -> None:
    op.create_table(
        "heads",
        sa.Column("chain_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("parent_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("timestamp_s", sa.BigInteger(), nullable=False),
        sa.Column("base_fee_wei", sa.String(79), nullable=False),
        sa.Column("gas_limit", sa.BigInteger(), nullable=False),
        sa.Column("coinbase", sa.LargeBinary(length=20), nullable=False),
        sa.Column("prevrandao", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("chain_id", "number", name=op.f("pk_heads")),
    )
    op.create_table(
        "events",
        sa.Column("seq", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("chain_id", sa.BigInteger(), nullable=False),
        sa.Column("subject", sa.String(length=200), nullable=False),
        sa.Column("intent", sa.BigInteger(), nullable=True),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("at_s", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["intent"], ["intents.number"], name=op.f("fk_events_intent")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_events")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "cursors",
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_cursors")),
    )
