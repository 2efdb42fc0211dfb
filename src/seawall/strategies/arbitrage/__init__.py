"""Arbitrage between pools, flash-funded through the executor.

`settings` says where and under what terms, `view` gathers the pools from reads, `prospect` weighs a gap
between them, `two_venue` is the strategy that joins the three.
"""

from __future__ import annotations
