"""Typed face of the Rust core."""

from __future__ import annotations
