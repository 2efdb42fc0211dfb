"""Fee quotes from a scripted history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from typing_extensions import override

from seawall.chain.client import ChainClient
from seawall.chain.fees import FeeEstimator, FeeQuote, FeeSettings, highest_base_fee_after
from seawall.chain.networks import NETWORKS
from seawall.chain.rpc import Request, RpcError, RpcPool
from seawall.primitives.blocks import Block
from seawall.primitives.errors import UnavailableError
from seawall.primitives.levels import Priority
from seawall.primitives.ports import SystemClock
from tests.builders.messages import GWEI, block

FLOOR_WEI = GWEI // 100


@dataclass(slots=True)
class History:
    """An endpoint that knows nothing but this fee history, of block 1,000, and the block's header."""

    base_fees_wei: tuple[int, ...]
    reward_wei: int = GWEI  # at percentile 50; at others in proportion
    header: dict[str, str] | None = None
    label: str = "history"
    connects: int = 1
    asked: list[Request] = field(default_factory=list)

    async def send(self, requests: Sequence[Request]) -> list[object | RpcError]:
        self.asked += requests
        return [self._answer(request) for request in requests]

    def _answer(self, request: Request) -> object | RpcError:
        if request.method == "eth_chainId":
            return "0x7a69"
        if request.method == "eth_getBlockByHash":
            return self.header
        fees = [hex(fee) for fee in self.base_fees_wei]
        asked = request.params[2]
        assert isinstance(asked, list)
        history: dict[str, object] = {"oldestBlock": hex(1_000 - len(fees) + 2), "baseFeePerGas": fees}
        if asked:
            assert asked == sorted(asked)
            history["reward"] = [[hex(self.reward_wei * percentile // 50) for percentile in asked]] * 3
        return history

    async def close(self) -> None:
        return


def estimator(history: History, settings: FeeSettings | None = None) -> FeeEstimator:
    client = ChainClient(RpcPool([history], chain_id=31_337, clock=SystemClock()), NETWORKS[31_337])
    return FeeEstimator(client, settings or FeeSettings())


async def quote(
    history: History,
    settings: FeeSettings | None = None,
    priority: Priority = Priority.NORMAL,
    head: Block | None = None,
) -> FeeQuote:
    return await estimator(history, settings).quote(head or block(1_000), priority)


def calm(blocks: int) -> tuple[int, ...]:
    """A base fee that wavers by a hundredth, ending with block 1,000 and the one after it, both at 1 gwei."""
    return (*(GWEI + (i % 2) * GWEI // 100 for i in range(blocks)), GWEI, GWEI)


async def test_nodes_base_fee_is_taken_when_its_history_is_of_our_block() -> None:
    result = await quote(History((GWEI, GWEI, GWEI * 9 // 10)))
    assert result.base_fee_next_wei == GWEI * 9 // 10
    assert result.expected_fee_per_gas_wei == GWEI * 9 // 10 + GWEI
    assert result.max_fee_per_gas_wei == highest_base_fee_after(GWEI * 9 // 10, 5) + GWEI


async def test_next_base_fee_is_computed_from_the_pinned_header() -> None:
    half, full = ({"gasUsed": hex(block(1_000).gas_limit // share)} for share in (2, 1))
    assert (await quote(History((GWEI, 3 * GWEI, GWEI), header=half))).base_fee_next_wei == GWEI
    assert (await quote(History((GWEI, 3 * GWEI, GWEI), header=full))).base_fee_next_wei == GWEI * 9 // 8


async def test_node_and_rule_that_disagree_count_at_the_higher() -> None:
    empty = {"gasUsed": "0x0"}
    assert (await quote(History((GWEI, GWEI, GWEI), header=empty))).base_fee_next_wei == GWEI


async def test_history_of_another_branch_falls_back_to_the_most_a_block_can_add() -> None:
    result = await quote(History((GWEI, 3 * GWEI, 3 * GWEI)))
    assert result.base_fee_next_wei == GWEI * 9 // 8


async def test_impossible_base_fee_is_cut_to_the_most_a_block_can_add() -> None:
    result = await quote(History((GWEI, GWEI, 1_000 * GWEI)))
    assert result.base_fee_next_wei == GWEI * 9 // 8


async def test_calm_history_bids_less_than_the_worst_case_but_lasts_a_full_block() -> None:
    result = await quote(History(calm(150)))
    assert result.max_fee_per_gas_wei == GWEI * 9 // 8 + GWEI
    assert result.forecast is not None
    assert len(result.forecast.upper_wei) == FeeSettings().validity_blocks


async def test_critical_plan_bids_the_worst_case_whatever_the_forecast() -> None:
    result = await quote(History(calm(150)), priority=Priority.CRITICAL)
    assert result.max_fee_per_gas_wei == highest_base_fee_after(GWEI, 5) + GWEI * 90 // 50


async def test_wild_history_never_bids_more_than_the_rule_allows() -> None:
    wild = (*(GWEI * (1 + 9 * (i % 10 == 0)) for i in range(150)), GWEI, GWEI)
    assert (await quote(History(wild))).max_fee_per_gas_wei == highest_base_fee_after(GWEI, 5) + GWEI


async def test_short_history_bids_the_worst_case() -> None:
    result = await quote(History(calm(20)))
    assert result.forecast is None
    assert result.max_fee_per_gas_wei == highest_base_fee_after(GWEI, 5) + GWEI


async def test_more_urgent_plans_pay_a_higher_priority_fee_from_the_same_request() -> None:
    history = History((GWEI, GWEI, GWEI), reward_wei=GWEI)
    quotes = await estimator(history).quotes(block(1_000))
    paid = [quotes[priority].max_priority_fee_per_gas_wei for priority in Priority]
    assert paid == [GWEI * 90 // 50, GWEI * 75 // 50, GWEI, GWEI * 20 // 50]
    assert [r.method for r in history.asked].count("eth_feeHistory") == 2


async def test_block_is_asked_for_once_whatever_the_priorities() -> None:
    history = History((GWEI, GWEI, GWEI))
    one = estimator(history)
    for priority in (Priority.NORMAL, Priority.LOW):
        await one.quote(block(1_000), priority)
    assert [r.method for r in history.asked].count("eth_getBlockByHash") == 1


@pytest.mark.parametrize(
    ("reward", "expected"), [(0, FLOOR_WEI), (2 * GWEI, 2 * GWEI), (90 * GWEI, 5 * GWEI)]
)
async def test_priority_fee_stays_within_its_bounds(reward: int, expected: int) -> None:
    assert (await quote(History((GWEI, GWEI, GWEI), reward))).max_priority_fee_per_gas_wei == expected


async def test_no_figure_passes_the_ceiling() -> None:
    settings = FeeSettings(max_fee_per_gas_ceiling_wei=GWEI, priority_fee_ceiling_wei=GWEI)
    result = await quote(History((GWEI, GWEI, GWEI), 5 * GWEI), settings)
    assert result.capped
    figures = (
        result.max_fee_per_gas_wei,
        result.max_priority_fee_per_gas_wei,
        result.expected_fee_per_gas_wei,
        result.ceiling_fee_per_gas_wei,
    )
    assert figures == (GWEI, GWEI, GWEI, GWEI)


async def test_replacements_may_reach_the_headroom_but_never_the_operators_ceiling() -> None:
    roomy = await quote(History((GWEI, GWEI, GWEI)))
    assert roomy.ceiling_fee_per_gas_wei == -(-roomy.max_fee_per_gas_wei * 3 // 2)
    tight = await quote(History((GWEI, GWEI, GWEI)), FeeSettings(max_fee_per_gas_ceiling_wei=5 * GWEI))
    assert tight.max_fee_per_gas_wei < 5 * GWEI
    assert tight.ceiling_fee_per_gas_wei == min(-(-tight.max_fee_per_gas_wei * 3 // 2), 5 * GWEI)
    none = await quote(History((GWEI, GWEI, GWEI)), FeeSettings(headroom_bps=10_000))
    assert none.ceiling_fee_per_gas_wei == none.max_fee_per_gas_wei


async def test_history_that_cannot_be_had_is_unavailable() -> None:
    class Silent(History):
        @override
        async def send(self, requests: Sequence[Request]) -> list[object | RpcError]:
            return [
                RpcError(-32601, "method not found") if r.method == "eth_feeHistory" else self._answer(r)
                for r in requests
            ]

    with pytest.raises(UnavailableError, match="no fee history"):
        await quote(Silent((GWEI, GWEI)))
