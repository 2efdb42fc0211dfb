"""Signers: one small interface that signs, and what holds the keys behind it."""

from __future__ import annotations
