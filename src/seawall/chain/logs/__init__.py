"""Logs of long ranges, and of what comes after them: planned, read, stored without a hole, followed."""

from __future__ import annotations

__all__: list[str] = []
