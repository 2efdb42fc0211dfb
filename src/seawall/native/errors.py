"""Root of the error tree and the leaves that the native core raises.

Every error carries three sentences: *what* was wrong, *where*, and what to do about it (*fix*). The whole
tree is drawn in `seawall.primitives.errors`; only the root and the native leaves live here, because the
native core is the lowest row of the house and raises them itself.
"""

from __future__ import annotations

__all__ = [
    "AddressError",
    "EncodingError",
    "EvmInputError",
    "KeystoreError",
    "NativeError",
    "SeawallError",
    "SignatureError",
]


class SeawallError(Exception):
    """Something a person or an operation caused: what was wrong, where, and what to do."""

    what: str
    where: str
    fix: str

    def __init__(self, what: str, where: str = "", fix: str = "") -> None:
        place = f" (at {where})" if where else ""
        remedy = f"; {fix}" if fix else ""
        super().__init__(f"{what}{place}{remedy}")
        self.what = what
        self.where = where
        self.fix = fix


class NativeError(SeawallError):
    """The native core refused its input."""


class KeystoreError(NativeError):
    """A keystore or its password is wrong, malformed or unusable."""


class EncodingError(NativeError):
    """A value does not fit its ABI type or transaction field, or bytes do not decode."""


class AddressError(NativeError):
    """A text or bytes value is not an address, or its EIP-55 checksum is wrong."""


class SignatureError(NativeError):
    """A digest or signature has the wrong shape, or nothing can be recovered from it."""


class EvmInputError(NativeError):
    """The EVM was given an environment, state or transaction that cannot be run."""
