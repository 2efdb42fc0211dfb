"""The devnet's unlocked accounts, by role. Their keys are public knowledge (anvil's default mnemonic)."""

from __future__ import annotations

from typing import Final

from seawall.primitives.units import Address

__all__ = ["BORROWERS", "GUARDIAN", "OWNER", "PAUSER", "TRADERS"]

OWNER: Final = Address(bytes.fromhex("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266"))
"""Deploys, owns the stand-in tokens and the executor, and moves the feeds."""

TRADERS: Final = (
    Address(bytes.fromhex("70997970C51812dc3A010C7d01b50e0d17dc79C8")),
    Address(bytes.fromhex("3C44CdDdB6a900fa2b585dd299e03d12FA4293BC")),
    Address(bytes.fromhex("90F79bf6EB2c4f870365E785982E1f101E93b906")),
)
"""Hold every token and have approved the routers."""

GUARDIAN: Final = Address(bytes.fromhex("15d34AAf54267DB7D7c367839AAf71A00a2C6A65"))
PAUSER: Final = Address(bytes.fromhex("9965507D1a55bcC2695C58ba16FB37d819B0A4dc"))

BORROWERS: Final = (
    Address(bytes.fromhex("976EA74026E726554dB657fA54763abd0C3a0aa9")),
    Address(bytes.fromhex("14dC79964da2C08b23698B3D3cc7Ca32193d9955")),
    Address(bytes.fromhex("23618e81E3f5cdF7f54C3d65f7FBc0aBf5B21E8f")),
    Address(bytes.fromhex("a0Ee7A142d267C1f36714E4a8F75612F20a79720")),
)
"""Owe something to every lender, at different distances from liquidation."""
