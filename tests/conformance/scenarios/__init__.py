"""One module a protocol, each with `SCENARIOS`."""

from __future__ import annotations
