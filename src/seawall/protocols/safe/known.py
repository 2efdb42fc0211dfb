"""Safe 1.4.1 as its authors deployed it: addresses that are the same on every chain, and what code they hold.

A contract is believed for its code hash, never for its address alone: whoever deploys on a new chain may put
anything anywhere. The devnet builds the same bytes at the same addresses, which a test holds.

Other versions are not known here on purpose: their checks of signatures and their storage differ.
"""

from __future__ import annotations

from typing import Final

from seawall.primitives.units import Address, Hash

__all__ = [
    "FALLBACK_HANDLER",
    "FALLBACK_HANDLER_CODE_HASH",
    "MULTI_SEND",
    "MULTI_SEND_CALL_ONLY",
    "MULTI_SEND_CODE_HASHES",
    "PROXY_CODE_HASH",
    "PROXY_FACTORY",
    "SINGLETON",
    "SINGLETON_CODE_HASHES",
    "SINGLETON_FACTORY",
    "SINGLETON_L2",
    "VERSION",
]

VERSION: Final = "1.4.1"

# Deploys by CREATE2 what comes behind a salt of 32 bytes; the authors' salt is zero.
SINGLETON_FACTORY: Final = Address(bytes.fromhex("914d7Fec6aaC8cd542e72Bca78B30650d45643d7"))
SINGLETON: Final = Address(bytes.fromhex("41675C099F32341bf84BFc5382aF534df5C7461a"))
SINGLETON_L2: Final = Address(bytes.fromhex("29fcB43b46531BcA003ddC8FCB67FFE91900C762"))
PROXY_FACTORY: Final = Address(bytes.fromhex("4e1DCf7AD4e460CfD30791CCC4F9c8a4f820ec67"))
FALLBACK_HANDLER: Final = Address(bytes.fromhex("fd0732Dc9E303f09fCEf3a7388Ad10A83459Ec99"))
MULTI_SEND: Final = Address(bytes.fromhex("38869bf66a61cF6bDB996A6aE40D5853Fd43B526"))
MULTI_SEND_CALL_ONLY: Final = Address(bytes.fromhex("9641d764fc13c8B624c04430C7356C1C7C8102e2"))


def _hash(text: str) -> Hash:
    return Hash(bytes.fromhex(text))


SINGLETON_CODE_HASHES: Final = {
    _hash("1fe2df852ba3299d6534ef416eefa406e56ced995bca886ab7a553e6d0c5e1c4"): "Safe 1.4.1",
    _hash("b1f926978a0f44a2c0ec8fe822418ae969bd8c3f18d61e5103100339894f81ff"): "SafeL2 1.4.1",
}
PROXY_CODE_HASH: Final = _hash("d7d408ebcd99b2b70be43e20253d6d92a8ea8fab29bd3be7f55b10032331fb4c")
FALLBACK_HANDLER_CODE_HASH: Final = _hash("7c6007a5d711cea8dfd5d91f5940ec29c7f200fe511eb1fc1397b367af3c42f9")
MULTI_SEND_CODE_HASHES: Final = {
    MULTI_SEND: _hash("0e4f7fc66550a322d1e7688e181b75e217e662a4f3f4d6a29b22bc61217c4b77"),
    MULTI_SEND_CALL_ONLY: _hash("ecd5bd14a08c5d2122379900b2f272bdf107a7e92423c10dd5fe3254386c9939"),
}
"""By address: both are needed, since the first holds its own address in its code."""
