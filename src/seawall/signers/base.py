"""What a signer is: an address, whether it can sign now, and signatures.

`local` holds keys of this machine; keys kept elsewhere stand behind `checked`, which bounds every call and
believes no answer. A signer knows nothing of nonces, fees, verdicts or sending: `transactions` asks it only
for what a verdict binds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from seawall.native.wire import DynamicFeeTransaction, SignedTransaction
from seawall.primitives.units import Address, Hash

__all__ = ["KernelSigner", "Signer"]


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

    @property
    def is_local(self) -> bool:
        """Whether it answers within microseconds, and so may be asked inside a chain's turn."""
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


class KernelSigner(Signer, Protocol):
    """A signer with the life that a kernel gives it."""

    @property
    def name(self) -> str:
        """What the configuration calls it."""
        ...

    @property
    def trouble(self) -> str:
        """Why it does not sign, if the last thing that it was asked failed; otherwise nothing."""
        ...

    async def unlock(self) -> None:
        """Make it ready. After `SignerUnavailableError` later tries may help; after other errors not."""
        ...

    async def close(self) -> None:
        """Wipe or let go of what it holds. Closing twice changes nothing."""
        ...
