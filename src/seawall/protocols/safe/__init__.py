"""Safe 1.4.1: what its owners sign, how signatures are packed, batches, and its state at one block.

    transaction   SafeTransaction, its EIP-712 digest, the call that executes it
    signatures    the four kinds, recovered, sorted and packed; what is refused and why
    multisend     several calls in one transaction
    state         reads of one Safe, pinned to one block, and what they say
    calls         what a call does, in words
    files         proposals as JSON: ours, and the transaction service's

Sans I/O. Nothing here signs, sends or decides.
"""

from __future__ import annotations

__all__: list[str] = []
