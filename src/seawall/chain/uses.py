"""Which transaction used a nonce: found by the nonces at blocks, and proved by its signature.

`use_of` looks for the block in which an account's nonce passed a number, in steps that double and then by
halves, and for the transaction in it that the account's key signed. What it answers is evidence that nobody
without the key can make up: the signature is the key's, the nonce is this one, and where the network's blocks
prove what they hold the block's transactions root says that it is in there. Whether that block is on the
chain and final is for the caller to know: it gives the final block.

None means *not proved*, never *not used*: the state of old blocks is not kept, the nonce was raised by
something that is no transaction of the key, or an unknown type is in the block.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from seawall.chain.client import ChainClient
from seawall.chain.contents import use_of_nonce
from seawall.chain.networks import Proofs
from seawall.primitives.blocks import Block
from seawall.primitives.errors import ChainError, UnavailableError
from seawall.primitives.units import Address, Hash
from seawall.telemetry.logs import get_logger

__all__ = ["SEARCH_BLOCKS_MAX", "NonceUse", "use_of"]

# A use that is longer ago is not looked for.
SEARCH_BLOCKS_MAX: Final = 4_096
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class NonceUse:
    """The transaction that used a nonce, and its block."""

    transaction_hash: Hash
    block: Block


async def use_of(
    client: ChainClient, key: Address, nonce: int, up_to: int, seen_at: int | None = None
) -> NonceUse | None:
    """The use of `key`'s `nonce` in a block of a number up to `up_to`, proved; else None. `seen_at` is the
    block at which it was seen first: it is looked for from there, for nodes keep the states of few blocks.

    Raises `UnavailableError` where nobody answers, or not enough of them the same: that says nothing yet."""
    try:
        block = None
        if seen_at is not None and seen_at < up_to:
            block = await _first_above(client, key, nonce, seen_at)
        block = block or await _first_above(client, key, nonce, up_to)
        contents = None if block is None else await client.contents(block.hash)
    except UnavailableError:
        raise
    except ChainError as trouble:
        _log.warning("use_not_proved", nonce=nonce, cause=str(trouble))
        return None
    if block is None or contents is None:
        return None
    if client.network.proofs is Proofs.RECEIPTS and not contents.proved:
        _log.warning("use_not_proved", nonce=nonce, cause=f"unknown types in block {block.number}")
        return None
    found = use_of_nonce(contents, key, nonce, chain_id=client.network.chain_id)
    return None if found is None else NonceUse(found, block)


async def _first_above(client: ChainClient, key: Address, nonce: int, up_to: int) -> Block | None:
    """The first block after which the account's nonce is above `nonce`."""
    high = await _at(client, key, up_to)
    if high is None or high[1] <= nonce:
        return None
    lowest = max(0, up_to - SEARCH_BLOCKS_MAX)
    step, below = 1, None
    while below is None:
        number = max(lowest, high[0].number - step)
        if number == high[0].number:
            return None
        found = await _at(client, key, number)
        if found is None:
            return None
        if found[1] > nonce:
            high, step = found, 2 * step
        else:
            below = number
    while high[0].number - below > 1:
        found = await _at(client, key, (high[0].number + below) // 2)
        if found is None:
            return None
        if found[1] > nonce:
            high = found
        else:
            below = found[0].number
    return high[0]


async def _at(client: ChainClient, key: Address, number: int) -> tuple[Block, int] | None:
    block = await client.block_by_number(number)
    return None if block is None else (block, await client.nonce_at(key, block.hash))
