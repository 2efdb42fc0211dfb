"""What key services wrap signatures and public keys in: DER, and PEM around it. Read strictly.

Only two shapes exist here: ECDSA-Sig-Value (SEQUENCE of two INTEGERs) and SubjectPublicKeyInfo of secp256k1.
Whatever is not exactly that is refused, trailing bytes and needless zeros included: a key service that
answers loosely is not the one that was meant.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

from seawall.native.wire import keccak256
from seawall.primitives.errors import SignerAnswerError
from seawall.primitives.units import Address

__all__ = ["address_of_point", "compact_from_der", "der_from_pem", "point_from_spki"]

_SEQUENCE: Final = 0x30
_INTEGER: Final = 0x02
_SCALAR_BYTES: Final = 32
# SubjectPublicKeyInfo { id-ecPublicKey, secp256k1 }, up to the point, which is uncompressed.
_SPKI_PREFIX: Final = bytes.fromhex("3056301006072a8648ce3d020106052b8104000a034200")
_UNCOMPRESSED: Final = 4
_POINT_BYTES: Final = 1 + 2 * _SCALAR_BYTES
_PEM: Final = re.compile(r"\s*-----BEGIN PUBLIC KEY-----([A-Za-z0-9+/=\s]+)-----END PUBLIC KEY-----\s*")
_FIX: Final = "it must be an ECDSA key on secp256k1 (ECC_SECG_P256K1), and what signs must be healthy"


def compact_from_der(der: bytes) -> bytes:
    """r and s, 32 bytes each, of an ECDSA signature."""
    if len(der) < 2 or der[0] != _SEQUENCE or der[1] != len(der) - 2 or der[1] > 0x7F:
        raise SignerAnswerError("the signature is no DER sequence of its length", "", _FIX)
    r, rest = _integer(der[2:])
    s, rest = _integer(rest)
    if rest:
        raise SignerAnswerError("the DER signature has bytes after s", "", _FIX)
    return r + s


def point_from_spki(der: bytes) -> bytes:
    """The uncompressed point (65 bytes) of a public key."""
    if not der.startswith(_SPKI_PREFIX) or len(der) != len(_SPKI_PREFIX) + _POINT_BYTES:
        raise SignerAnswerError("the public key is not on secp256k1", "", _FIX)
    return der[len(_SPKI_PREFIX) :]


def der_from_pem(pem: str) -> bytes:
    """What a PEM public key wraps."""
    found = _PEM.fullmatch(pem)
    try:
        return base64.b64decode("".join(found[1].split()), validate=True) if found else b""
    except binascii.Error:
        return b""


def address_of_point(point: bytes) -> Address:
    """The address of an uncompressed public key."""
    if len(point) != _POINT_BYTES or point[0] != _UNCOMPRESSED:
        raise SignerAnswerError("the public key is not an uncompressed point of 65 bytes", "", _FIX)
    return Address(keccak256(point[1:])[-20:])


def _integer(der: bytes) -> tuple[bytes, bytes]:
    """One INTEGER as 32 bytes, and what follows it."""
    if len(der) < 3 or der[0] != _INTEGER or not 1 <= der[1] <= len(der) - 2:
        raise SignerAnswerError("the DER signature is cut or holds no integers", "", _FIX)
    digits, rest = der[2 : 2 + der[1]], der[2 + der[1] :]
    if digits[0] > 0x7F or (len(digits) > 1 and digits[0] == 0 and digits[1] <= 0x7F):
        raise SignerAnswerError("an integer of the DER signature is negative or padded", "", _FIX)
    value = digits.lstrip(b"\x00")
    if len(value) > _SCALAR_BYTES:
        raise SignerAnswerError("an integer of the DER signature is too long", "", _FIX)
    return value.rjust(_SCALAR_BYTES, b"\x00"), rest
