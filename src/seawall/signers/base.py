"""What a signer is: an address, whether it can sign now, and signatures.

Remote and hardware signers are further implementations; that is why signing is awaited. A signer knows
nothing of nonces, fees, verdicts or sending: `transactions` asks it only for what a verdict binds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from seawall.native.wire import DynamicFeeTransaction, SignedTransaction
from seawall.primitives.units import Address, Hash

__all__ = ["Signer"]


class Signer(Protocol):
    """One key, wherever it is kept."""

    @property
    def address(self) -> Address:
        """Known before the key is opened."""
        ...

    @property
    def ready(self) -> bool:
        """Whether it can sign now; lanes wait until it can."""
        ...

    async def sign_transactions(
        self, transactions: Sequence[DynamicFeeTransaction]
    ) -> list[SignedTransaction]:
        """Signed, in order. `SignerError` while locked, `EncodingError` for fields that no transaction
        has.
        """
        ...

    async def sign_digest(self, digest: Hash) -> bytes:
        """r, s and the parity of y: 65 bytes."""
        ...
