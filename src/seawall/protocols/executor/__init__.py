"""Our on-chain executor: what its operations are, their bytes, its events and errors, its policy, its
artifacts.

Sources, threat notes and the law of the byte layout: `contracts/README.md`.
"""

from __future__ import annotations
