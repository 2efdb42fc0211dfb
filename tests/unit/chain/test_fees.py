"""Fee quotes from a scripted history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from seawall.chain.client import ChainClient
from seawall.chain.fees import FeeEstimator, FeeQuote, FeeSettings, highest_base_fee_after
from seawall.chain.networks import NETWORKS
from seawall.chain.rpc import Request, RpcError, RpcPool
from seawall.primitives.errors import ConfigError, UnavailableError
from seawall.primitives.ports import SystemClock
from tests.builders.messages import GWEI, block


@dataclass(slots=True)
class History:
    """An endpoint that knows nothing but this fee history, of block 100."""

    base_fees_wei: tuple[int, ...]
    rewards_wei: tuple[int, ...] = (GWEI, GWEI, GWEI)
    label: str = "history"
    connects: int = 1

    async def send(self, requests: Sequence[Request]) -> list[object | RpcError]:
        fees = [hex(fee) for fee in self.base_fees_wei]
        history = {
            "oldestBlock": hex(100 - len(fees) + 2),
            "baseFeePerGas": fees,
            "reward": [[hex(reward)] for reward in self.rewards_wei],
        }
        return ["0x7a69" if request.method == "eth_chainId" else history for request in requests]

    async def close(self) -> None:
        return


async def quote(history: History, settings: FeeSettings | None = None) -> FeeQuote:
    client = ChainClient(RpcPool([history], chain_id=31_337, clock=SystemClock()), NETWORKS[31_337])
    return await FeeEstimator(client, settings or FeeSettings()).quote(block(100))


async def test_nodes_base_fee_is_taken_when_its_history_is_of_our_block() -> None:
    result = await quote(History((GWEI, GWEI, GWEI * 9 // 10)))
    assert result.base_fee_next_wei == GWEI * 9 // 10
    assert result.expected_fee_per_gas_wei == GWEI * 9 // 10 + GWEI
    assert result.max_fee_per_gas_wei == highest_base_fee_after(GWEI * 9 // 10, 5) + GWEI


async def test_history_of_another_branch_falls_back_to_the_most_a_block_can_add() -> None:
    result = await quote(History((GWEI, 3 * GWEI, 3 * GWEI)))
    assert result.base_fee_next_wei == GWEI * 9 // 8


async def test_impossible_base_fee_is_cut_to_the_most_a_block_can_add() -> None:
    result = await quote(History((GWEI, GWEI, 1_000 * GWEI)))
    assert result.base_fee_next_wei == GWEI * 9 // 8


@pytest.mark.parametrize(
    ("rewards", "expected"),
    [
        ((), GWEI // 100),
        ((0, 0, 0), GWEI // 100),
        ((GWEI, 2 * GWEI, 90 * GWEI), 2 * GWEI),
        ((90 * GWEI,), 5 * GWEI),
    ],
)
async def test_priority_fee_is_the_median_within_its_bounds(rewards: tuple[int, ...], expected: int) -> None:
    assert (await quote(History((GWEI, GWEI, GWEI), rewards))).max_priority_fee_per_gas_wei == expected


async def test_no_figure_passes_the_ceiling() -> None:
    settings = FeeSettings(max_fee_per_gas_ceiling_wei=GWEI, priority_fee_ceiling_wei=GWEI)
    result = await quote(History((GWEI, GWEI, GWEI), (5 * GWEI,)), settings)
    assert result.capped
    figures = (
        result.max_fee_per_gas_wei,
        result.max_priority_fee_per_gas_wei,
        result.expected_fee_per_gas_wei,
    )
    assert figures == (GWEI, GWEI, GWEI)


async def test_history_that_cannot_be_had_is_unavailable() -> None:
    with pytest.raises(UnavailableError, match="fee history"):
        await quote(History((GWEI,)))


def test_base_fee_rises_by_an_eighth_a_block_at_most() -> None:
    assert highest_base_fee_after(800, 0) == 800
    assert highest_base_fee_after(800, 2) == 1_013
    assert highest_base_fee_after(0, 3) == 3


@pytest.mark.parametrize(
    "change",
    [
        {"priority_fee_floor_wei": -1}, {"priority_fee_floor_wei": 10**12},
        {"max_fee_per_gas_ceiling_wei": 1},
        {"priority_percentile": 101}, {"validity_blocks": 0}, {"validity_blocks": 65},
    ],
)  # fmt: skip
def test_absurd_settings_are_config_errors(change: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        FeeSettings(**change)
