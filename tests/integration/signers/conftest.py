"""What the tests of signers share: a devnet, and a store of tokens."""

from __future__ import annotations

from tests.fixtures.kernel import manual_devnet
from tests.fixtures.softhsm import softhsm

__all__ = ["manual_devnet", "softhsm"]
