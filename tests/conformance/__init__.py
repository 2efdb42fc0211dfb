"""What any adapter must pass; docs/guides/adapters.md says how one is added."""

from __future__ import annotations
