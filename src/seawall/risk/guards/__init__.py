"""Guards: each a small class that says which probes it needs and measures one thing against one limit."""

from __future__ import annotations
