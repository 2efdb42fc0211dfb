"""Seawall: a production runtime for automated on-chain (EVM) strategies.

Read `ARCHITECTURE.md` for the map and the life of a plan.
"""

from __future__ import annotations

__version__ = "0.1.0"
__all__ = ["__version__"]
