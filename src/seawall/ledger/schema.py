"""All tables, one schema for SQLite and PostgreSQL. `migrations/` builds the same; a test holds them equal.

Keys and digests of intents stay for ever. Queries on live work go through partial indexes over unsettled
rows, so that a million finished ones cost nothing. Two indexes on random values exist on purpose: the
attempt's hash (unique, for ever: a hash is what people and nodes ask by) and the inclusion's block hash (a
reorg starts from it).
"""

from __future__ import annotations

from typing import Final, TypeVar

import sqlalchemy as sa

from seawall.ledger.columns import Int256, RowNumber, Uint256

__all__ = ["EPOCH_BYTES", "HEAD", "METADATA", "REVISIONS"]

T = TypeVar("T")

EPOCH_BYTES: Final = 16
# Alembic's revisions, oldest first, known here so that opening a ledger need not import Alembic.
REVISIONS: Final = ("0001", "0002", "0003", "0004")
HEAD: Final = REVISIONS[-1]

METADATA: Final = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_Address = sa.LargeBinary(20)
_Hash = sa.LargeBinary(32)
_Seconds = sa.BigInteger  # UTC


def _required(name: str, kind: sa.types.TypeEngine[T] | type[sa.types.TypeEngine[T]]) -> sa.Column[T]:
    return sa.Column(name, kind, nullable=False)


def _optional(name: str, kind: sa.types.TypeEngine[T] | type[sa.types.TypeEngine[T]]) -> sa.Column[T]:
    return sa.Column(name, kind, nullable=True)


def _number() -> sa.Column[int]:
    return sa.Column("number", RowNumber, primary_key=True, autoincrement=True)


def _refers(name: str, target: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, sa.ForeignKey(target), nullable=nullable)


def _partial(name: str, *columns: str, where: str, unique: bool = False) -> sa.Index:
    condition = sa.text(where)
    return sa.Index(name, *columns, unique=unique, sqlite_where=condition, postgresql_where=condition)


# One row: the epoch under which on-chain intent ids are drawn. New after every restore or rebuild.
meta = sa.Table(
    "meta",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    _required("epoch", sa.LargeBinary(EPOCH_BYTES)),
    sa.CheckConstraint("number = 1", name="meta_has_one_row"),
)

# Next block of intent sequence numbers per (chain, executor); the zero address stands for direct plans.
sequences = sa.Table(
    "sequences",
    METADATA,
    sa.Column("chain_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("executor", _Address, primary_key=True),
    _required("next_sequence", sa.BigInteger),
)

intents = sa.Table(
    "intents",
    METADATA,
    _number(),
    _required("strategy", sa.String(200)),
    _required("idempotency_key", sa.String(200)),
    _required("chain_id", sa.BigInteger),
    _required("key", _Address),
    _required("executor", _Address),
    _required("intent_id", Uint256),
    _required("plan", sa.LargeBinary),
    _required("plan_digest", _Hash),
    _required("priority", sa.SmallInteger),
    _required("deadline_s", _Seconds),
    _required("state", sa.String(16)),
    _required("reason", sa.Text),
    _optional("finality", sa.SmallInteger),
    _required("correlation_id", sa.String(64)),
    _required("accepted_at_s", _Seconds),
    _optional("ended_at_s", _Seconds),
    _required("candidates", sa.Integer),
    _optional("predicted_wei", Int256),
    _optional("realised_wei", Int256),
    _optional("cancel_reason", sa.Text),  # cancellation was asked for: by whom and why
    sa.UniqueConstraint("strategy", "idempotency_key"),
    sa.UniqueConstraint("chain_id", "executor", "intent_id"),
    sa.Index("ix_intents_strategy_number", "strategy", "number"),
    _partial(
        "ix_intents_alive",
        "chain_id",
        "key",
        "state",
        "number",
        where="state IN ('queued', 'committed')",
    ),
    sqlite_autoincrement=True,
)

lanes = sa.Table(
    "lanes",
    METADATA,
    sa.Column("chain_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("key", _Address, primary_key=True),
    _optional("holder", sa.String(200)),
    _required("fence", sa.BigInteger),
    _required("expires_at_s", _Seconds),
    _optional("quarantine", sa.Text),  # why nothing is dispatched here
    # Counts how often the lease was renewed: who waits for it to end watches this with a clock of its own.
    sa.Column("renewals", sa.BigInteger, nullable=False, server_default="0"),
)

# The kernels of a fleet, as each says of itself.
kernels = sa.Table(
    "kernels",
    METADATA,
    sa.Column("holder", sa.String(200), primary_key=True),
    _required("started_at_s", _Seconds),
    _required("beats", sa.BigInteger),  # grows while it lives
    _required("epoch_seen", sa.BigInteger),  # of the controls: what it has obeyed
    _required("authority", sa.SmallInteger),
)

slots = sa.Table(
    "slots",
    METADATA,
    _number(),
    _required("chain_id", sa.BigInteger),
    _required("key", _Address),
    _required("nonce", sa.BigInteger),
    _required("purpose", sa.String(16)),
    _refers("intent", "intents.number", nullable=True),
    _optional("block_hash", _Hash),
    _optional("consumed_by", _Hash),
    _required("final", sa.Boolean),
    sa.UniqueConstraint("chain_id", "key", "nonce"),
    _partial("ix_slots_open", "chain_id", "key", "nonce", where="NOT final"),
    sqlite_autoincrement=True,
)

verdicts = sa.Table(
    "verdicts",
    METADATA,
    _number(),
    _refers("intent", "intents.number"),
    _required("candidate", sa.Integer),
    _required("payload_digest", _Hash),
    _required("overlay_digest", _Hash),
    _required("base_number", sa.BigInteger),
    _required("base_hash", _Hash),
    _required("valid_until_block", sa.BigInteger),
    _required("valid_until_s", _Seconds),
    _required("max_total_fee_wei", Uint256),
    _required("admitted", sa.Boolean),
    _required("body", sa.LargeBinary),  # the whole verdict, every measurement included, in canonical bytes
    _required("at_s", _Seconds),
    sa.Index("ix_verdicts_intent", "intent"),
    sqlite_autoincrement=True,
)

attempts = sa.Table(
    "attempts",
    METADATA,
    _number(),
    _refers("slot", "slots.number"),
    _required("hash", _Hash),
    _required("raw", sa.LargeBinary),
    _required("target", _Address),
    _required("data", sa.LargeBinary),
    _required("value_wei", Uint256),
    _required("gas_limit", sa.BigInteger),
    _required("payload_digest", _Hash),
    _required("kind", sa.String(16)),
    _required("max_fee_per_gas_wei", Uint256),
    _required("max_priority_fee_per_gas_wei", Uint256),
    _required("route", sa.String(64)),
    _refers("verdict", "verdicts.number", nullable=True),
    _required("renewals", sa.Integer),
    _required("committed_at_s", _Seconds),
    _required("writes", sa.Integer),
    _optional("written_at_s", _Seconds),
    _required("answer", sa.Text),
    sa.UniqueConstraint("hash"),
    sa.Index("ix_attempts_slot", "slot"),
    sqlite_autoincrement=True,
)

attempt_intents = sa.Table(
    "attempt_intents",
    METADATA,
    sa.Column(
        "attempt", sa.BigInteger, sa.ForeignKey("attempts.number"), primary_key=True, autoincrement=False
    ),
    sa.Column("segment", sa.Integer, primary_key=True, autoincrement=False),
    _refers("intent", "intents.number"),
    sa.Index("ix_attempt_intents_intent", "intent"),
)

inclusions = sa.Table(
    "inclusions",
    METADATA,
    _number(),
    _refers("attempt", "attempts.number"),
    _refers("slot", "slots.number"),
    _required("chain_id", sa.BigInteger),
    _required("block_number", sa.BigInteger),
    _required("block_hash", _Hash),
    _required("index", sa.Integer),
    _required("status", sa.Boolean),
    _required("gas_used", sa.BigInteger),
    _required("effective_gas_price_wei", Uint256),
    _required("fee_wei", Uint256),
    _required("canonical", sa.Boolean),
    _required("finality", sa.SmallInteger),
    sa.UniqueConstraint("attempt", "block_hash"),
    sa.Index("ix_inclusions_block_hash", "block_hash"),
    # A nonce lands once: whatever is canonical for a slot is the only thing that is.
    _partial("uq_inclusions_canonical_slot", "slot", where="canonical", unique=True),
    _partial("ix_inclusions_unsettled", "chain_id", "block_number", where="canonical AND finality < 2"),
    sqlite_autoincrement=True,
)

# Of inclusions that held several plans: what became of each. One with a single plan ends as its inclusion.
segment_ends = sa.Table(
    "segment_ends",
    METADATA,
    sa.Column(
        "inclusion", sa.BigInteger, sa.ForeignKey("inclusions.number"), primary_key=True, autoincrement=False
    ),
    sa.Column("segment", sa.Integer, primary_key=True, autoincrement=False),
    _refers("intent", "intents.number"),
    _required("landed", sa.Boolean),
    _required("reason", sa.Text),
    sa.Index("ix_segment_ends_intent", "intent"),
)

# Double entry: an entry is derived from a block; its legs sum to zero per token.
posting_entries = sa.Table(
    "posting_entries",
    METADATA,
    _number(),
    _required("kind", sa.String(32)),
    _required("chain_id", sa.BigInteger),
    _required("block_number", sa.BigInteger),
    _required("block_hash", _Hash),
    _refers("inclusion", "inclusions.number", nullable=True),
    _refers("intent", "intents.number", nullable=True),
    _required("canonical", sa.Boolean),
    sa.Index("ix_posting_entries_block_hash", "block_hash"),
    sa.Index("ix_posting_entries_intent", "intent"),
    _partial("uq_posting_entries_inclusion", "inclusion", "kind", where="canonical", unique=True),
    sqlite_autoincrement=True,
)

postings = sa.Table(
    "postings",
    METADATA,
    sa.Column(
        "entry", sa.BigInteger, sa.ForeignKey("posting_entries.number"), primary_key=True, autoincrement=False
    ),
    sa.Column("leg", sa.Integer, primary_key=True, autoincrement=False),
    _required("account", sa.LargeBinary(20)),  # an address of ours, or a name in ASCII
    _required("token", _Address),
    _required("delta", Int256),
)

reservations = sa.Table(
    "reservations",
    METADATA,
    sa.Column(
        "attempt", sa.BigInteger, sa.ForeignKey("attempts.number"), primary_key=True, autoincrement=False
    ),
    sa.Column("token", _Address, primary_key=True),
    _required("chain_id", sa.BigInteger),
    _required("key", _Address),
    _required("amount", Uint256),
    sa.Index("ix_reservations_lane", "chain_id", "key", "token"),
)

# What attempts took or may take out of a lane, by time: limits per hour and day are judged on it.
spends = sa.Table(
    "spends",
    METADATA,
    sa.Column(
        "attempt", sa.BigInteger, sa.ForeignKey("attempts.number"), primary_key=True, autoincrement=False
    ),
    sa.Column("token", _Address, primary_key=True),
    _required("chain_id", sa.BigInteger),
    _required("key", _Address),
    _required("at_s", _Seconds),
    _required("amount", Uint256),
    sa.Index("ix_spends_lane", "chain_id", "key", "at_s"),
)

strategy_states = sa.Table(
    "strategy_states",
    METADATA,
    sa.Column("strategy", sa.String(200), primary_key=True),
    _required("version", sa.BigInteger),
    _required("data", sa.LargeBinary),
)

timers = sa.Table(
    "timers",
    METADATA,
    sa.Column("strategy", sa.String(200), primary_key=True),
    sa.Column("name", sa.String(200), primary_key=True),
    _required("at_s", _Seconds),
    sa.Index("ix_timers_at_s", "at_s"),
)

# Append-only: the row of the highest epoch of a scope is in force.
controls = sa.Table(
    "controls",
    METADATA,
    sa.Column("scope", sa.String(200), primary_key=True),
    sa.Column("epoch", sa.BigInteger, primary_key=True, autoincrement=False),
    _required("authority", sa.SmallInteger),
    _required("reason", sa.Text),
    _required("who", sa.String(200)),
    _required("at_s", _Seconds),
)

heads = sa.Table(
    "heads",
    METADATA,
    sa.Column("chain_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    _required("hash", _Hash),
    _required("parent_hash", _Hash),
    _required("timestamp_s", _Seconds),
    _required("base_fee_wei", Uint256),
    _required("gas_limit", sa.BigInteger),
    _required("coinbase", _Address),
    _required("prevrandao", _Hash),
)

events = sa.Table(
    "events",
    METADATA,
    sa.Column("seq", RowNumber, primary_key=True, autoincrement=True),
    _required("kind", sa.String(64)),
    _required("chain_id", sa.BigInteger),
    _required("subject", sa.String(200)),
    _refers("intent", "intents.number", nullable=True),
    _required("data", sa.Text),  # JSON with sorted keys
    _required("at_s", _Seconds),
    sqlite_autoincrement=True,
)

cursors = sa.Table(
    "cursors",
    METADATA,
    sa.Column("name", sa.String(200), primary_key=True),
    _required("seq", sa.BigInteger),
)

# One question for logs, under a name.
log_sources = sa.Table(
    "log_sources",
    METADATA,
    _number(),
    _required("name", sa.String(200)),
    _required("chain_id", sa.BigInteger),
    _required("filter_digest", _Hash),
    _required("first_block", sa.BigInteger),
    sa.UniqueConstraint("name"),
    sqlite_autoincrement=True,
)

# Blocks up to which a source has everything.
log_marks = sa.Table(
    "log_marks",
    METADATA,
    sa.Column(
        "source", sa.BigInteger, sa.ForeignKey("log_sources.number"), primary_key=True, autoincrement=False
    ),
    sa.Column("block_number", sa.BigInteger, primary_key=True, autoincrement=False),
    _required("block_hash", _Hash),
)

# Runs of blocks beyond the newest mark of which a source has everything.
log_pieces = sa.Table(
    "log_pieces",
    METADATA,
    sa.Column(
        "source", sa.BigInteger, sa.ForeignKey("log_sources.number"), primary_key=True, autoincrement=False
    ),
    sa.Column("first_block", sa.BigInteger, primary_key=True, autoincrement=False),
    _required("last_block", sa.BigInteger),
    _required("last_hash", _Hash),
)

logs = sa.Table(
    "logs",
    METADATA,
    sa.Column(
        "source", sa.BigInteger, sa.ForeignKey("log_sources.number"), primary_key=True, autoincrement=False
    ),
    sa.Column("block_number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("log_index", sa.BigInteger, primary_key=True, autoincrement=False),
    _required("block_hash", _Hash),
    _required("transaction_hash", _Hash),
    _required("address", _Address),
    _required("topics", sa.LargeBinary),  # one after the other, 32 bytes each
    _required("data", sa.LargeBinary),
)

# Keys that are being retired, or were taken over with transactions of others under way.
key_changes = sa.Table(
    "key_changes",
    METADATA,
    sa.Column("chain_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("key", _Address, primary_key=True),
    sa.Column("kind", sa.String(16), primary_key=True),
    _optional("successor", _Address),
    _optional("through_nonce", sa.BigInteger),
    _required("who", sa.String(200)),
    _required("reason", sa.Text),
    _required("began_at_s", _Seconds),
    _optional("ended_at_s", _Seconds),
)

# Transactions of Safes, as their owners are asked to sign them.
safe_proposals = sa.Table(
    "safe_proposals",
    METADATA,
    _number(),
    _required("chain_id", sa.BigInteger),
    _required("safe", _Address),
    _required("nonce", sa.BigInteger),
    _required("hash", _Hash),
    _required("body", sa.LargeBinary),
    _required("rules", sa.LargeBinary),  # the Safe's state that it stands on
    _required("note", sa.Text),
    _required("who", sa.String(200)),
    _required("at_s", _Seconds),
    _required("state", sa.String(16)),
    _required("reason", sa.Text),
    _optional("seen_number", sa.BigInteger),  # the block in which the reason was seen
    _optional("seen_hash", _Hash),
    _required("is_settled", sa.Boolean),
    _refers("intent", "intents.number", nullable=True),
    sa.UniqueConstraint("chain_id", "hash"),
    _partial(
        "ix_safe_proposals_once",
        "chain_id",
        "safe",
        "nonce",
        where="state IN ('executing', 'executed')",
        unique=True,
    ),
    _partial("ix_safe_proposals_unsettled", "chain_id", "number", where="NOT is_settled"),
    sqlite_autoincrement=True,
)

safe_signatures = sa.Table(
    "safe_signatures",
    METADATA,
    sa.Column(
        "proposal", sa.BigInteger, sa.ForeignKey("safe_proposals.number"), primary_key=True,
        autoincrement=False,
    ),
    sa.Column("owner", _Address, primary_key=True),
    _required("kind", sa.String(16)),
    _required("data", sa.LargeBinary),
    _required("origin", sa.String(200)),
    _required("at_s", _Seconds),
)  # fmt: skip

safe_verdicts = sa.Table(
    "safe_verdicts",
    METADATA,
    _number(),
    _refers("proposal", "safe_proposals.number"),
    _required("admitted", sa.Boolean),
    _required("base_hash", _Hash),
    _required("body", sa.LargeBinary),
    _required("purpose", sa.String(64)),
    _required("at_s", _Seconds),
    sa.Index("ix_safe_verdicts_proposal", "proposal"),
    sqlite_autoincrement=True,
)
