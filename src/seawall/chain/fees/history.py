"""What a fee quote is made of: one batch a head.

The header of the pinned block, by hash, gives gas used and limit as integers. Two fee histories give the base
fees of many recent blocks, and what the last few paid on top at each percentile; nodes answer those by
number, so that their branch is compared with our block before they count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from seawall.chain import decoding
from seawall.chain.client import ChainClient
from seawall.chain.fees.forecasting import WINDOW_BLOCKS
from seawall.chain.rpc import Request, RpcError
from seawall.primitives.blocks import Block
from seawall.primitives.errors import UnavailableError
from seawall.primitives.units import hex_text

__all__ = ["FeeFacts", "read_fee_facts"]

REWARD_BLOCKS: Final = 10
_GAS_MAX: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class FeeFacts:
    """What was read for the block after `block`. Rewards are by percentile, one a recent block [wei]."""

    gas_used: int | None  # as the base fee counts it; None from a node that does not say
    extra_data: bytes
    base_fees_wei: tuple[int, ...]  # oldest first, ending with our block's; empty from another branch
    following_wei: int | None  # the node's own figure for the next block
    rewards_wei: Mapping[int, tuple[int, ...]]


async def read_fee_facts(client: ChainClient, block: Block, percentiles: Sequence[int]) -> FeeFacts:
    """One batch, or `UnavailableError`."""
    asked, newest = sorted(set(percentiles)), hex(block.number)
    header, window, recent = await client.pool.batch(
        [
            Request("eth_getBlockByHash", (hex_text(block.hash), False)),
            Request("eth_feeHistory", (hex(min(WINDOW_BLOCKS, block.number + 1)), newest, [])),
            Request("eth_feeHistory", (hex(min(REWARD_BLOCKS, block.number + 1)), newest, asked)),
        ]
    )
    if isinstance(recent, RpcError):
        raise UnavailableError(
            f"no fee history: {recent.message}",
            f"chain {block.chain_id}",
            "check the endpoint, or use another",
        )
    gas_used, extra_data = _header(header)
    base_fees_wei, following_wei = _base_fees(recent if isinstance(window, RpcError) else window, block)
    return FeeFacts(gas_used, extra_data, base_fees_wei, following_wei, _rewards(recent, asked))


def _header(answer: object) -> tuple[int | None, bytes]:
    if answer is None or isinstance(answer, RpcError):
        return None, b""
    header = decoding.mapping(answer, "block")
    if header.get("gasUsed") is None:
        return None, b""
    used = decoding.quantity(header.get("gasUsed"), "block.gasUsed", limit=_GAS_MAX)
    extra = header.get("extraData")
    extra_data = b"" if extra is None else decoding.data(extra, "block.extraData")
    # From Jovian on, an OP stack block's data footprint stands in blobGasUsed, and the fee follows the
    # larger.
    if extra_data[:1] == b"\x01" and header.get("blobGasUsed") is not None:
        used = max(used, decoding.quantity(header.get("blobGasUsed"), "block.blobGasUsed", limit=_GAS_MAX))
    return used, extra_data


def _base_fees(answer: object, block: Block) -> tuple[tuple[int, ...], int | None]:
    history = decoding.mapping(answer, "eth_feeHistory")
    fees = decoding.array(history.get("baseFeePerGas"), "baseFeePerGas", limit=WINDOW_BLOCKS + 1)
    oldest = decoding.quantity(history.get("oldestBlock"), "oldestBlock", limit=_GAS_MAX)
    if len(fees) < 2:
        return (), None
    found = tuple(decoding.quantity(fee, "baseFeePerGas") for fee in fees)
    is_ours = oldest + len(found) - 2 == block.number and found[-2] == block.base_fee_wei
    return (found[:-1], found[-1]) if is_ours else ((), None)


def _rewards(answer: object, percentiles: Sequence[int]) -> Mapping[int, tuple[int, ...]]:
    history = decoding.mapping(answer, "eth_feeHistory")
    rows = decoding.array(history.get("reward") or [], "reward", limit=REWARD_BLOCKS)
    found: dict[int, list[int]] = {percentile: [] for percentile in percentiles}
    for row in rows:
        paid = decoding.array(row or [], "reward", limit=len(percentiles))
        for percentile, reward in zip(percentiles, paid, strict=False):
            found[percentile].append(decoding.quantity(reward, "reward"))
    return {percentile: tuple(paid) for percentile, paid in found.items()}
