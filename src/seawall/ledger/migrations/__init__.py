"""Alembic's environment and revisions. Run by `seawall.ledger.migrate`, which gives it a connection."""

from __future__ import annotations
