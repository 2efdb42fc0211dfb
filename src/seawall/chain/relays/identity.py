"""Who we are to a relay: `X-Flashbots-Signature: address:signature`.

The signature is of the request's body: EIP-191 over the text `0x...` of its keccak. The key holds no funds
and signs nothing else; a relay knows searchers by it, and takes a cancellation only from whoever sent the
bundle. `sign_digest` is injected, and is a key in this process: it answers in microseconds, on the sender's
thread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from seawall.native import keccak256, to_checksum
from seawall.primitives.units import Address, Hash, hex_text

__all__ = ["HEADER", "RelayIdentity", "body_digest"]

HEADER: Final = "X-Flashbots-Signature"
_PREFIX: Final = b"\x19Ethereum Signed Message:\n66"
_V_EVEN: Final = 27


@dataclass(frozen=True, slots=True)
class RelayIdentity:
    address: Address
    sign_digest: Callable[[Hash], bytes] = field(repr=False)  # r, s and the parity of y: 65 bytes

    def header(self, body: bytes) -> str:
        """The value of the header for this body."""
        signature = self.sign_digest(body_digest(body))
        sealed = signature[:64] + bytes([_V_EVEN + signature[64]])
        return f"{to_checksum(self.address)}:{hex_text(sealed)}"


def body_digest(body: bytes) -> Hash:
    """What is signed of a body."""
    return Hash(keccak256(_PREFIX + hex_text(keccak256(body)).encode("ascii")))
