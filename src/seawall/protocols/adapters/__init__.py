"""Adapters: one file a protocol behind one small interface (`base.Adapter`), in words they share (`actions`)."""

from __future__ import annotations
