"""What goes into the ledger, made natively: canonical bytes of messages, and values of rows.

`CanonicalPacker` writes a message's bytes and digests; it asks Python once for the fields of each type.
`driver_values` puts the values of many rows one after the other, each as SQLite's driver takes it quickest.
Absent on purpose: reading, and any database.
"""

from __future__ import annotations

from seawall._native import CanonicalPacker, driver_values

__all__ = ["CanonicalPacker", "driver_values"]
