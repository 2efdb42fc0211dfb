"""Adapters: one file a protocol, one small interface (`base.Adapter`), shared words (`actions`)."""

from __future__ import annotations
