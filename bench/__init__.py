"""Measurements: `python -m bench NAME --json`. Each compares with a limit and with peers, in the same run."""

from __future__ import annotations
