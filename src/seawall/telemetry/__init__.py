"""Logs, metrics, traces and failpoints: what lets a person or a test see into the running kernel."""

from __future__ import annotations
