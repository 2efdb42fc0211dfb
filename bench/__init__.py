"""Measurements: `python -m bench NAME --json`. Each compares with a stated limit and with peers, in the same run."""

from __future__ import annotations
