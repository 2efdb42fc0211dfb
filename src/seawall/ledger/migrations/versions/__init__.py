"""Revisions, oldest first. One that was released is never edited."""

from __future__ import annotations
