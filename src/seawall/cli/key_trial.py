"""`seawall keys try`: open one signer as the kernel would, and let it sign what can never land.

What is signed has a fixed shape: nothing, to the key itself, with a nonce that no account ever reaches,
paying no fee. No chain takes it, now or later, and it is shown to nobody. So a new key, PIN or permission is
tried before a plan depends on it, and the address is compared before money is sent to it.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from seawall.cli.options import DEFAULT_CONFIG, ConfigOption, load
from seawall.cli.output import Json, JsonOption, print_facts, print_json, progress
from seawall.primitives.errors import InputError
from seawall.primitives.units import address_text

if TYPE_CHECKING:
    from seawall.native.wire import DynamicFeeTransaction
    from seawall.primitives.units import Address
    from seawall.runtime.configuration.settings import SignerSettings

__all__ = ["try_key"]

# The last nonce that EIP-2681 leaves; an account that signs each nanosecond gets there in 584 years.
UNREACHABLE_NONCE: Final = 2**64 - 2
TRANSFER_GAS: Final = 21_000


def try_key(name: str, path: ConfigOption = DEFAULT_CONFIG, json: JsonOption = False) -> None:
    """Open a signer, compare its address, and let it sign something that can never land."""
    configuration = load(path)
    signer = next((one for one in configuration.signers if one.name == name), None)
    if signer is None:
        known = ", ".join(sorted(one.name for one in configuration.signers)) or "none"
        raise InputError(f"no signer is named {name[:64]!r}", "signers", f"name one of: {known}")
    chain_id = next(iter(signer.policies), configuration.chains[0].network.chain_id)
    with progress("opening the key", quiet=json):
        facts = asyncio.run(_tried(signer, chain_id))
    if json:
        print_json(facts)
    else:
        print_facts(facts)


async def _tried(settings: SignerSettings, chain_id: int) -> dict[str, Json]:
    from seawall.native.wire import decode_transaction
    from seawall.signers.opening import open_signer

    signer = open_signer(settings.name, settings.key)
    try:
        begin_s = time.monotonic()
        await signer.unlock()
        opened_s = time.monotonic()
        (signed,) = await signer.sign_transactions([_unlandable(chain_id, signer.address)])
        signed_s = time.monotonic()
    finally:
        await signer.close()
    assert decode_transaction(signed.raw).sender == signer.address
    return {
        "name": signer.name,
        "address": address_text(signer.address),
        "local": signer.is_local,
        "opened_ms": round((opened_s - begin_s) * 1e3),
        "signed_ms": round((signed_s - opened_s) * 1e3),
    }


def _unlandable(chain_id: int, key: Address) -> DynamicFeeTransaction:
    from seawall.native.wire import DynamicFeeTransaction

    return DynamicFeeTransaction(chain_id, UNREACHABLE_NONCE, 0, 0, TRANSFER_GAS, key, 0, b"")
