"""Small builders of messages with sensible defaults, so that a test names only what it is about."""

from __future__ import annotations
