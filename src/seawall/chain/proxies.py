"""Proxies: the storage slots by which it is known where a contract sends its calls.

EIP-1967 (implementation, and beacon), EIP-1822, ZeppelinOS (USDC's), and a Safe's, which is slot 0 behind the
code of its proxy: whoever asks must know that code. Minimal proxies (EIP-1167) carry their target in their
code, so that its hash covers them. Proxies that compute their target (diamonds) are not known here.
"""

from __future__ import annotations

from typing import Final

from seawall.native import encode_call

__all__ = ["BEACON_CALL", "BEACON_SLOT", "IMPLEMENTATION_SLOTS", "SAFE_SLOT"]

IMPLEMENTATION_SLOTS: Final = (
    bytes.fromhex("360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc"),  # EIP-1967
    bytes.fromhex("7050c9e0f4ca769c69bd3a8ef740bc37934f8e2c036e5a723fd8ee048ed3f8c3"),  # ZeppelinOS
    bytes.fromhex("c5f16f0fcc639fa48a6947836d9850f504798523bf8c9a3a87d5876cf622bcf7"),  # EIP-1822
)
"""In the order in which they are believed."""
BEACON_SLOT: Final = bytes.fromhex("a3f0ad74e5423aebfd80d3ef4346578335a9a72aeaee59ff6cb3582b35133d50")
BEACON_CALL: Final = encode_call("implementation()", ())
"""What a beacon is asked."""
SAFE_SLOT: Final = bytes(32)
