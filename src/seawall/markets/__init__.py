"""Pools and exact quotes: pure integer maths, equal to the contracts to the wei.

Flow: `seawall.protocols` decodes reads into the frozen pool states of this room; strategies ask them for
quotes and for the best size of a cycle; nothing here reads a chain, keeps a cache of state or uses a float
where money is.

`uniswap_v2` and `uniswap_v3` are references: the native core must give the same integers.
"""

from __future__ import annotations
