"""What a chain tells of a key before it is taken over: its nonce, what of it is under way, and whether code
stands behind it (KEY-3).

Pools differ and forget. So what a node says of pending transactions can only make the wait longer, never
shorter; a key is not adopted on an answer that is missing, unless the caller names the last nonce himself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from seawall.chain import decoding
from seawall.chain.client import ChainClient
from seawall.primitives.blocks import Block
from seawall.primitives.errors import ChainError
from seawall.primitives.units import Address, hex_text

__all__ = ["DELEGATION_PREFIX", "KeySurvey", "survey_key"]

# What an account that delegated its code by EIP-7702 holds as code, before the address of that code.
DELEGATION_PREFIX: Final = bytes.fromhex("ef0100")
_POOL_NONCES_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class KeySurvey:
    block: Block
    next_nonce: int  # at the block
    pending_count: int | None  # the next nonce by the node's pool; None: not told
    pool_nonces: tuple[int, ...] | None  # what the pool shows of it, ascending; None: not told
    delegate: Address | None  # whose code the key runs, by EIP-7702
    has_other_code: bool

    @property
    def is_told(self) -> bool:
        """Whether the node said anything of what is under way."""
        return self.pending_count is not None or self.pool_nonces is not None

    @property
    def last_nonce(self) -> int | None:
        """The last nonce that is spoken for elsewhere; None where nothing is under way."""
        known = [*(self.pool_nonces or ()), (self.pending_count or 0) - 1]
        last = max(known)
        return last if last >= self.next_nonce else None

    @property
    def missing_nonces(self) -> tuple[int, ...]:
        """Nonces below the last that the pool does not show: what follows cannot land before them."""
        last, shown = self.last_nonce, self.pool_nonces
        if last is None or shown is None:
            return ()
        return tuple(sorted(set(range(self.next_nonce, last)) - set(shown)))[:_POOL_NONCES_MAX]


async def survey_key(client: ChainClient, key: Address) -> KeySurvey:
    """At the newest block. `ChainError` where the chain cannot be read."""
    head = await client.head()
    nonce = await client.nonce_at(key, head.hash)
    code = await client.code_at(key, head.hash)
    is_delegated = code.startswith(DELEGATION_PREFIX) and len(code) == len(DELEGATION_PREFIX) + 20
    return KeySurvey(
        block=head,
        next_nonce=nonce,
        pending_count=await _pending_count(client, key),
        pool_nonces=await _pool_nonces(client, key),
        delegate=Address(code[len(DELEGATION_PREFIX) :]) if is_delegated else None,
        has_other_code=bool(code) and not is_delegated,
    )


async def _pending_count(client: ChainClient, key: Address) -> int | None:
    try:
        answer = await client.pool.call("eth_getTransactionCount", hex_text(key), "pending")
        return decoding.quantity(answer, "pending nonce")
    except ChainError:
        return None


async def _pool_nonces(client: ChainClient, key: Address) -> tuple[int, ...] | None:
    """By `txpool_contentFrom`, or out of the whole pool's content; many providers offer neither."""
    try:
        return _nonces_in(await client.pool.call("txpool_contentFrom", hex_text(key)))
    except ChainError:
        pass
    try:
        content = await client.pool.call("txpool_content")
    except ChainError:
        return None
    if not isinstance(content, dict):
        return None
    own: dict[str, object] = {}
    for part, by_sender in content.items():
        listed = by_sender.items() if isinstance(by_sender, dict) else ()
        own[part] = next((of for sender, of in listed if str(sender).lower() == hex_text(key)), {})
    return _nonces_in(own)


def _nonces_in(content: object) -> tuple[int, ...] | None:
    """Of one sender's `pending` and `queued` transactions, by nonce."""
    if not isinstance(content, dict):
        return None
    nonces: set[int] = set()
    for part in ("pending", "queued"):
        listed = content.get(part) or {}
        if not isinstance(listed, dict):
            return None
        nonces |= {int(one) for one in listed if isinstance(one, str) and one.isascii() and one.isdigit()}
    return tuple(sorted(nonces))[:_POOL_NONCES_MAX]
