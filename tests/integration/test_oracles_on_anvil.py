"""Oracles of the true contracts: a feed, and averages of Uniswap pools, over time that passes."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from seawall.chain.client import ChainClient
from seawall.chain.networks import NETWORKS
from seawall.chain.rpc import HttpTransport, RpcPool
from seawall.native import encode_call
from seawall.primitives.blocks import Block, Read
from seawall.primitives.ports import SystemClock
from seawall.primitives.units import Address
from seawall.protocols import oracles, twap, uniswap_v2
from seawall.protocols.answers import Answers, integer_answers
from seawall.protocols.oracles import FeedTerms, Problem
from seawall.rollout.devnet import OWNER, Devnet, Trader
from seawall.rollout.devnet.steering import mine, set_feed
from tests.fixtures.devnet import built_devnet, devnet, toolchain

__all__ = ["built_devnet", "devnet", "toolchain"]

pytestmark = pytest.mark.anvil

WINDOW_S = 600
ETHER = 10**18


async def read_at_head(devnet: Devnet, reads: Sequence[Read]) -> tuple[Answers, Block]:
    pool = RpcPool([HttpTransport(devnet.info.rpc_url)], chain_id=31_337, clock=SystemClock())
    try:
        client = ChainClient(pool, NETWORKS[31_337])
        head = await client.head()
        return await client.call_at(reads, head), head
    finally:
        await pool.close()


def wait(devnet: Devnet, seconds: int) -> None:
    devnet.rpc.call("evm_increaseTime", seconds)
    mine(devnet)


def v3_terms(devnet: Devnet, *, cardinality_min: int = 2) -> twap.V3Terms:
    weth, usdx = devnet.book.address("weth"), devnet.book.address("usdx")
    pool = devnet.book.address("uniswap_v3_weth_usdx_3000")
    is_inverse = weth > usdx
    return twap.V3Terms(
        pool, WINDOW_S, 18, decimals_of(devnet, usdx), is_inverse=is_inverse, cardinality_min=cardinality_min
    )


def decimals_of(devnet: Devnet, token: Address) -> int:
    return int.from_bytes(devnet.rpc.view(token, encode_call("decimals()", ())))


async def tick_of(devnet: Devnet, terms: twap.V3Terms) -> int:
    read = twap.reads_v3(terms)[0]
    answers, _ = await read_at_head(devnet, [read])
    return integer_answers(answers, read.label, ("uint160", "int24"))[1]


async def test_feed_goes_stale_when_its_heartbeat_is_missed(devnet: Devnet) -> None:
    set_feed(devnet, "feed_eth_usd", 2_345 * 10**8)
    terms = FeedTerms(devnet.book.address("feed_eth_usd"), 8, heartbeat_s=3_600, deviation_bps=50)
    answers, block = await read_at_head(devnet, oracles.reads(terms))
    price = oracles.observe(terms, answers, block)
    assert price.is_sound
    assert price.price == 2_345 * 10**8
    assert price.block_hash == block.hash
    wait(devnet, 4_000)
    answers, block = await read_at_head(devnet, oracles.reads(terms))
    late = oracles.observe(terms, answers, block)
    assert late.problems == (Problem.STALE,)
    assert late.age_s >= 4_000


async def test_average_of_a_v3_pool_moves_with_the_time_that_a_price_lasted(devnet: Devnet) -> None:
    terms = v3_terms(devnet)
    sent = devnet.rpc.send(
        OWNER, terms.pool, encode_call("increaseObservationCardinalityNext(uint16)", (20,))
    )
    devnet.rpc.settle([sent], mine=True)
    trader = Trader(devnet)
    wait(devnet, WINDOW_S)
    trader.swap_v3("weth", "usdx", 3000, ETHER)  # writes an observation, with the tick before it
    wait(devnet, WINDOW_S)
    before = await tick_of(devnet, terms)
    answers, block = await read_at_head(devnet, twap.reads_v3(terms))
    quiet = twap.observe_v3(terms, answers, block)
    assert quiet.tick == before
    assert quiet.cardinality >= 2
    assert quiet.price is not None
    assert quiet.price.is_sound

    trader.swap_v3("weth", "usdx", 3000, 50 * ETHER)
    moved = await tick_of(devnet, terms)
    assert abs(moved - before) > 20
    answers, block = await read_at_head(devnet, twap.reads_v3(terms))
    at_once = twap.observe_v3(terms, answers, block)
    assert at_once.tick is not None
    assert abs(at_once.tick - before) <= abs(moved - before) // 20  # a price of a few seconds weighs little
    wait(devnet, WINDOW_S // 2)
    answers, block = await read_at_head(devnet, twap.reads_v3(terms))
    half = twap.observe_v3(terms, answers, block)
    assert half.tick is not None
    assert abs(half.tick - (before + moved) / 2) <= abs(moved - before) / 10
    wait(devnet, WINDOW_S)
    answers, block = await read_at_head(devnet, twap.reads_v3(terms))
    assert twap.observe_v3(terms, answers, block).tick == moved


async def test_pool_whose_memory_is_younger_than_the_window_has_no_price(devnet: Devnet) -> None:
    terms = v3_terms(devnet)
    Trader(devnet).swap_v3("weth", "usdx", 3000, ETHER)  # its only observation is of now
    answers, block = await read_at_head(devnet, twap.reads_v3(terms))
    seen = twap.observe_v3(terms, answers, block)
    assert (seen.price, seen.cardinality) == (None, 1)
    wait(devnet, WINDOW_S + 60)
    answers, block = await read_at_head(devnet, twap.reads_v3(terms))
    remembered = twap.observe_v3(terms, answers, block)
    assert remembered.price is not None
    assert remembered.price.problems == (Problem.SHORT_HISTORY,)  # the next trade makes it forget again


async def test_average_of_a_v2_pair_between_two_blocks_weighs_prices_by_time(devnet: Devnet) -> None:
    weth, usdx = devnet.book.address("weth"), devnet.book.address("usdx")
    token0, token1 = uniswap_v2.sorted_tokens(weth, usdx)
    pair = uniswap_v2.pair_address(devnet.book.address("uniswap_v2_factory"), token0, token1)
    places = decimals_of(devnet, usdx)
    is_inverse = weth > usdx

    async def sample() -> twap.V2Sample:
        return twap.sample_v2(pair, *await read_at_head(devnet, twap.reads_v2(pair)))

    def average(older: twap.V2Sample, newer: twap.V2Sample) -> int:
        price = twap.between(
            older, newer, window_s=60, base_decimals=18, quote_decimals=places, is_inverse=is_inverse
        )
        assert price.is_sound
        assert price.block_hash == newer.block_hash
        return price.price

    first = await sample()
    wait(devnet, WINDOW_S)
    second = await sample()
    Trader(devnet).open_gap_v2("weth", "usdx", 1_000)
    third = await sample()
    wait(devnet, WINDOW_S)
    fourth = await sample()
    before, after = average(first, second), average(third, fourth)
    assert after == pytest.approx(1.1 * before, rel=0.01)
    passed = (third.timestamp_s - first.timestamp_s, fourth.timestamp_s - third.timestamp_s)
    weighed = (before * passed[0] + after * passed[1]) / sum(passed)
    assert average(first, fourth) == pytest.approx(weighed, rel=0.001)
