"""What a chain tells of a key before it is taken over: its nonce, what of it is under way, and whether code
stands behind it (KEY-3).

What is in a block that is not final counts as under way: a reorg may take it out again.

Pools differ and forget. So what a node says of pending transactions can only make the wait longer, never
shorter; a key is not adopted on an answer that is missing, unless the caller names the last nonce himself.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Final

from seawall.chain import decoding
from seawall.chain.client import ChainClient
from seawall.primitives.blocks import Block
from seawall.primitives.errors import ChainError
from seawall.primitives.units import Address, hex_text

__all__ = ["DELEGATION_PREFIX", "MISSING_MAX", "NONCE_MAX", "KeySurvey", "survey_key"]

# What an account that delegated its code by EIP-7702 holds as code, before the address of that code.
DELEGATION_PREFIX: Final = bytes.fromhex("ef0100")
NONCE_MAX: Final = 2**63 - 1
MISSING_MAX: Final = 100
_POOL_NONCES_MAX: Final = 10_000
_NONCE_DIGITS_MAX: Final = len(str(NONCE_MAX))


@dataclass(frozen=True, slots=True)
class KeySurvey:
    block: Block
    next_nonce: int  # at the block
    pending_count: int | None  # the next nonce by the node's pool; None: not told
    pool_nonces: tuple[int, ...] | None  # what the pool shows of it, ascending; None: not told
    delegate: Address | None  # whose code the key runs, by EIP-7702
    has_other_code: bool
    final_nonce: int | None = None  # at the newest final block; None: not told

    @property
    def is_told(self) -> bool:
        """Whether the node said anything of what is under way."""
        return self.pending_count is not None or self.pool_nonces is not None

    @property
    def last_nonce(self) -> int | None:
        """The last nonce that is spoken for elsewhere; None where nothing is under way."""
        last = max(*(self.pool_nonces or ()), (self.pending_count or 0) - 1, self.next_nonce - 1)
        return last if last >= self.first_open else None

    @property
    def first_open(self) -> int:
        """The first nonce that is not consumed beyond finality, as far as that is told."""
        return self.next_nonce if self.final_nonce is None else min(self.final_nonce, self.next_nonce)

    @property
    def missing_nonces(self) -> tuple[int, ...]:
        """The first below the last that the pool does not show: what follows cannot land before them."""
        last, shown = self.last_nonce, self.pool_nonces
        if last is None or shown is None:
            return ()
        pool = frozenset(shown)
        missing = (nonce for nonce in range(self.next_nonce, last) if nonce not in pool)
        return tuple(itertools.islice(missing, MISSING_MAX))


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
        final_nonce=await _final_nonce(client, key, head),
    )


async def _final_nonce(client: ChainClient, key: Address, head: Block) -> int | None:
    rule = client.network.finality.final
    try:
        (final,) = (
            await client.newest([rule])
            if isinstance(rule, str)
            else await client.blocks([max(head.number - rule, 0)])
        )
        return None if final is None else await client.nonce_at(key, final.hash)
    except ChainError:  # some keep no such state
        return None


async def _pending_count(client: ChainClient, key: Address) -> int | None:
    try:
        answer = await client.pool.call("eth_getTransactionCount", hex_text(key), "pending")
        return decoding.quantity(answer, "pending nonce", limit=NONCE_MAX)
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
        nonces |= {int(one) for one in listed if isinstance(one, str) and _is_nonce(one)}
    return tuple(sorted(nonces))[:_POOL_NONCES_MAX]


def _is_nonce(text: str) -> bool:
    is_number = text.isascii() and text.isdigit() and len(text) <= _NONCE_DIGITS_MAX
    return is_number and int(text) <= NONCE_MAX
