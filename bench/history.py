"""Finished intents by the million, made inside SQLite; `bench.ledger` measures the hot path beside them."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

_ANY: Final = "x'" + "09" * 20 + "'"
_BLOCK_HASH: Final = "CAST(printf('%032d', (i / 100) * 2654435761 % 4294967291) AS BLOB)"  # one for 100 rows
# The lane that is measured is left empty; its tables and indexes are not.
_TABLES: Final = (
    (
        "intents (strategy, idempotency_key, chain_id, key, executor, intent_id, plan, plan_digest, priority,"
        " deadline_s, state, reason, finality, correlation_id, accepted_at_s, ended_at_s, candidates)",
        f"'old', 'old-' || i, 1, {_ANY}, {_ANY}, i, zeroblob(64), randomblob(32), 2, 1, 'landed', '', 2, 'c',"
        " 1, 1, 1",
    ),
    (
        "slots (chain_id, key, nonce, purpose, intent, consumed_by, final)",
        f"1, {_ANY}, i, 'plan', i, randomblob(32), 1",
    ),
    (
        "attempts (slot, hash, raw, target, data, value_wei, gas_limit, payload_digest, kind, route, writes,"
        " max_fee_per_gas_wei, max_priority_fee_per_gas_wei, renewals, committed_at_s, answer)",
        f"i, randomblob(32), zeroblob(64), {_ANY}, zeroblob(4), '0', 21000, randomblob(32), 'plan',"
        " 'public', 1, '1', '1', 0, 1, ''",
    ),
    ("attempt_intents (attempt, segment, intent)", "i, 0, i"),
    ("spends (attempt, token, chain_id, key, at_s, amount)", f"i, {_ANY}, 1, {_ANY}, i / 100, '1'"),
    (
        'inclusions (attempt, slot, chain_id, block_number, block_hash, "index", status, gas_used,'
        " effective_gas_price_wei, fee_wei, canonical, finality)",
        f"i, i, 1, i / 100, {_BLOCK_HASH}, i % 100, 1, 21000, '1', '1', 1, 2",
    ),
    (
        "posting_entries (kind, chain_id, block_number, block_hash, inclusion, intent, canonical)",
        f"'inclusion', 1, i / 100, {_BLOCK_HASH}, i, i, 1",
    ),
    ("events (kind, chain_id, subject, intent, data, at_s)", "'intent.landed', 1, 'old', i, '{}', 1"),
)


def fill(path: Path, count: int) -> None:
    """`count` finished intents of another lane, with all that hangs on them."""
    numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA cache_size = -300000")
    connection.execute("BEGIN")
    for table, values in _TABLES:
        connection.execute(f"{numbers} INSERT INTO {table} SELECT {values} FROM n")
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
