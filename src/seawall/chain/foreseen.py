"""Receipts that need not be read: those of a block that holds nothing but transfers which we signed.

A transfer without data to an account without code uses 21,000 gas and logs nothing, so its receipt is known
before it is mined, if it succeeds. `foreseen_receipts` computes the receipts of a block of such transfers and
their root. If the header has this root, they are the block's receipts in everything that a root commits to
(status, gas and logs, in order); that is more than an endpoint's word for them. If it has another root (a
transfer failed, a receiver has code, the chain has other prices) nothing is known and they are read.

The price paid no root commits to, wherever it comes from: here it follows from the block's base fee, as
EIP-1559 has it. A roll-up takes a data fee beside it, so that nothing is foreseen there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from seawall.chain.receipts import Receipt
from seawall.native import transfers_root
from seawall.primitives.blocks import Block
from seawall.primitives.units import Hash

__all__ = ["TRANSFER_GAS", "Transfer", "foreseen_receipts"]

TRANSFER_GAS: Final = 21_000


class Transfer(Protocol):
    """One transaction without data, of type 2."""

    @property
    def hash(self) -> Hash: ...

    @property
    def max_fee_per_gas_wei(self) -> int: ...

    @property
    def max_priority_fee_per_gas_wei(self) -> int: ...


def foreseen_receipts(
    block: Block, receipts_root: Hash, transfers: Sequence[Transfer]
) -> list[Receipt] | None:
    """The receipts of a block that holds exactly these transfers, in order; None if they are not proved by
    `receipts_root`, which is that of the block's checked header."""
    if transfers_root(len(transfers), TRANSFER_GAS) != receipts_root:
        return None
    return [
        Receipt(
            one.hash,
            block.hash,
            block.number,
            index,
            True,
            TRANSFER_GAS,
            min(one.max_fee_per_gas_wei, block.base_fee_wei + one.max_priority_fee_per_gas_wei),
            0,
            (),
        )
        for index, one in enumerate(transfers)
    ]
