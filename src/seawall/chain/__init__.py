"""The chain room: networks, endpoints, heads and reorgs, pinned reads, simulation, fees, and the broadcast
port.

Import from the module that owns the word; `chain.broadcast` is reserved to the rooms that may send.
"""

from __future__ import annotations
