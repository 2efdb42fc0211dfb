"""Signatures of owners: four kinds, each read strictly, bound to one digest, and packed as the Safe reads it.

    kind            r, s, v as the contract reads them               whose
    ecdsa           a signature of the digest, v 27 or 28            what recovers
    eth_sign        ... of "\\x19Ethereum Signed Message:\\n32" || digest, v 31 or 32
    approved_hash   r the owner, s nothing, v 1                      the owner, who has approved on chain
    contract        r the owner, s an offset, v 0; bytes there       a contract, by EIP-1271

The first two are proved here. Of the others only the form is: whether the owner approved, or its contract
says yes, the chain must be asked (`needs_chain`).

The contract would take a signature with s in the upper half as well: two forms of one signature. Only one is
taken here, so that nothing that was refused comes back in another dress.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from seawall.native import keccak256, recover
from seawall.primitives.errors import InputError, SignatureError
from seawall.primitives.units import Address, Hash, address_text

__all__ = [
    "CONTRACT_BYTES_MAX",
    "OwnerSignature",
    "SignatureKind",
    "approved_hash",
    "contract_signature",
    "enough_of",
    "pack_signatures",
    "read_signature",
    "signature_bytes",
    "signed_by",
    "unpack_signatures",
]

STATIC_BYTES: Final = 65
CONTRACT_BYTES_MAX: Final = 4_096
SIGNATURES_MAX: Final = 64

_PREFIX: Final = b"\x19Ethereum Signed Message:\n32"
_V_ECDSA: Final = 27
_V_ETH_SIGN: Final = 31
_V_APPROVED: Final = 1
_V_CONTRACT: Final = 0
# Half the order of secp256k1.
_S_MAX: Final = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0


class SignatureKind(StrEnum):
    ECDSA = "ecdsa"
    ETH_SIGN = "eth_sign"
    APPROVED_HASH = "approved_hash"
    CONTRACT = "contract"


@dataclass(frozen=True, slots=True)
class OwnerSignature:
    """One owner's word on one digest. `data`: 65 bytes r, s, v; of a contract owner, what it is asked
    about.
    """

    owner: Address
    kind: SignatureKind
    data: bytes

    @property
    def needs_chain(self) -> bool:
        """Whether only the chain can say that it holds."""
        return self.kind in (SignatureKind.APPROVED_HASH, SignatureKind.CONTRACT)


def signed_by(owner: Address, digest: Hash, signature: bytes) -> OwnerSignature:
    """What a signer of ours answered for the digest: r, s and the parity of y."""
    found = read_signature(signature[:64] + bytes((_V_ECDSA + signature[64],)), digest)
    if found.owner != owner:
        raise InputError(
            f"the signer answered with a signature of {address_text(found.owner)}",
            address_text(owner),
            "check which key stands behind this signer",
        )
    return found


def approved_hash(owner: Address) -> OwnerSignature:
    """The owner has approved the digest on chain, or will execute the transaction itself."""
    return OwnerSignature(owner, SignatureKind.APPROVED_HASH, _owner_word(owner) + bytes((_V_APPROVED,)))


def contract_signature(owner: Address, data: bytes) -> OwnerSignature:
    """What the contract `owner` is to be asked about."""
    if len(data) > CONTRACT_BYTES_MAX:
        raise _unusable(f"a contract's signature of {len(data)} bytes exceeds {CONTRACT_BYTES_MAX}")
    return OwnerSignature(owner, SignatureKind.CONTRACT, data)


def read_signature(raw: bytes, digest: Hash) -> OwnerSignature:
    """One signature in the form of the contract: 65 bytes, and behind them what a contract owner is asked."""
    if len(raw) < STATIC_BYTES:
        raise _unusable(f"a signature has {STATIC_BYTES} bytes, this has {len(raw)}")
    v = raw[64]
    if v == _V_CONTRACT:
        (only,) = unpack_signatures(raw, digest, count=1)
        return only
    if len(raw) != STATIC_BYTES:
        raise _unusable(f"a signature of {len(raw)} bytes, where only a contract's is longer than 65")
    if v == _V_APPROVED:
        if any(raw[:12]) or any(raw[32:64]):
            raise _unusable("an approval names its owner and nothing else")
        return approved_hash(Address(raw[12:32]))
    if v in (_V_ECDSA, _V_ECDSA + 1):
        return OwnerSignature(_recovered(digest, raw, v - _V_ECDSA), SignatureKind.ECDSA, raw)
    if v in (_V_ETH_SIGN, _V_ETH_SIGN + 1):
        prefixed = Hash(keccak256(_PREFIX + digest))
        return OwnerSignature(_recovered(prefixed, raw, v - _V_ETH_SIGN), SignatureKind.ETH_SIGN, raw)
    raise _unusable(f"v of {v} is of no kind that a Safe knows")


def unpack_signatures(raw: bytes, digest: Hash, count: int | None = None) -> tuple[OwnerSignature, ...]:
    """Signatures one behind the other, as `execTransaction` takes them."""
    if count is None:
        count = _count_of(raw)
    if not 0 < count <= SIGNATURES_MAX or len(raw) < count * STATIC_BYTES:
        raise _unusable(f"{len(raw)} bytes do not hold {count} signatures")
    found = []
    for place in range(count):
        static = raw[place * STATIC_BYTES : (place + 1) * STATIC_BYTES]
        if static[64] != _V_CONTRACT:
            found.append(read_signature(static, digest))
            continue
        start = int.from_bytes(static[32:64])
        size = int.from_bytes(raw[start : start + 32]) if start + 32 <= len(raw) else len(raw)
        if any(static[:12]) or start < count * STATIC_BYTES or start + 32 + size > len(raw):
            raise _unusable("a contract's signature points outside of what came")
        found.append(contract_signature(Address(static[12:32]), raw[start + 32 : start + 32 + size]))
    return tuple(found)


def signature_bytes(signature: OwnerSignature) -> bytes:
    """One signature as files carry it."""
    return pack_signatures([signature])


def pack_signatures(signatures: Sequence[OwnerSignature]) -> bytes:
    """As `execTransaction` reads them: by ascending owner, what contracts are asked about behind all."""
    ordered = sorted(signatures, key=lambda one: one.owner)
    if len({one.owner for one in ordered}) < len(ordered):
        raise _unusable("an owner signed twice")
    head, tail = bytearray(), bytearray()
    for one in ordered:
        if one.kind is SignatureKind.CONTRACT:
            start = len(ordered) * STATIC_BYTES + len(tail)
            head += one.owner.rjust(32, b"\0") + start.to_bytes(32) + bytes((_V_CONTRACT,))
            tail += len(one.data).to_bytes(32) + one.data
        else:
            head += one.data
    return bytes(head + tail)


def enough_of(signatures: Iterable[OwnerSignature], threshold: int) -> tuple[OwnerSignature, ...]:
    """As many as are needed, those first that cost least to check."""
    cheap = sorted(signatures, key=lambda one: (one.kind is SignatureKind.CONTRACT, one.owner))
    return tuple(cheap[:threshold])


def _count_of(raw: bytes) -> int:
    """Static parts end where the first contract's bytes begin, or at the end."""
    end = len(raw)
    for start in range(0, len(raw) - STATIC_BYTES + 1, STATIC_BYTES):
        if start >= end:
            break
        if raw[start + 64] == _V_CONTRACT:
            end = min(end, int.from_bytes(raw[start + 32 : start + 64]))
    if end % STATIC_BYTES:
        raise _unusable(f"{len(raw)} bytes are not a row of signatures")
    return end // STATIC_BYTES


def _recovered(digest: Hash, raw: bytes, parity: int) -> Address:
    if int.from_bytes(raw[32:64]) > _S_MAX:
        raise _unusable("s is in the upper half: the other form of a signature, which is not taken")
    try:
        return Address(recover(digest, raw[:64] + bytes((parity,))))
    except SignatureError as error:
        raise _unusable(error.what) from None


def _owner_word(owner: Address) -> bytes:
    return owner.rjust(32, b"\0") + bytes(32)


def _unusable(what: str) -> InputError:
    return InputError(what, "signature", "have the owner sign the digest again")
