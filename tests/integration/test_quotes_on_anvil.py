"""Quotes against the true contracts: the same integers as QuoterV2, the V2 router, and real swaps."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import pytest

from seawall.markets.errors import InsufficientLiquidityError
from seawall.markets.tick_math import sqrt_ratio_at_tick
from seawall.markets.two_venue import FREE_LOAN, best_cycle_either_way
from seawall.markets.uniswap_v2 import V2Pool
from seawall.markets.uniswap_v3 import STEPS_MAX, V3Pool, V3Quote
from seawall.native import abi_decode, encode_call
from seawall.primitives.blocks import Read
from seawall.primitives.units import Address
from seawall.protocols import balancer_v2, chainlink, erc20, multicall, uniswap_v2, uniswap_v3
from seawall.rollout.devnet import OWNER, Devnet, Trader
from seawall.rollout.devnet.deployer import FOREVER_S, AbiValue
from tests.fixtures.devnet import built_devnet, shared_devnet, toolchain

__all__ = ["built_devnet", "shared_devnet", "toolchain"]

pytestmark = pytest.mark.anvil

_FEES = (500, 3000, 10_000)
_NEW_FEE_PIPS = 10_000
_POSITIONS_PER_POOL = 12
_QUOTES_PER_POOL = 150
# One eth_call may use the block's gas; a quote that crosses many ticks takes a few millions of it.
_QUOTES_PER_CALL = 6
_WORDS_EVERYWHERE = 800
_QUOTER_ANSWER = ("uint256", "uint160", "uint32", "uint256")


@dataclass(frozen=True)
class _Markets:
    """Uniswap on the devnet, its V3 pools cut into many ranges."""

    devnet: Devnet
    pair: uniswap_v2.V2Market
    pools: dict[int, uniswap_v3.V3Market]

    def ask(self, reads: Sequence[Read], reads_per_call: int = 500) -> dict[str, bytes | None]:
        answers: dict[str, bytes | None] = {}
        target = self.devnet.book.address("multicall3")
        for start in range(0, len(reads), reads_per_call):
            part = reads[start : start + reads_per_call]
            returned = self.devnet.rpc.view(target, multicall.aggregate3_call(part))
            answers |= multicall.aggregate3_answers(part, returned)
        return answers

    def read_pair(self) -> V2Pool:
        return uniswap_v2.decode_pool(self.pair, self.ask(uniswap_v2.reads(self.pair)))

    def read_pool(self, fee_pips: int) -> V3Pool:
        market = self.pools[fee_pips]
        seen = self._see(market, uniswap_v3.NOTHING_READ)
        for _ in range(2):
            seen = self._see(market, seen.next_window)
        assert seen.complete
        assert seen.pool is not None
        return seen.pool

    def _see(self, market: uniswap_v3.V3Market, window: uniswap_v3.V3Window) -> uniswap_v3.V3Observed:
        answers = self.ask(uniswap_v3.reads(market, window))
        return uniswap_v3.observe(market, window, answers, _WORDS_EVERYWHERE)


@pytest.fixture(scope="module")
def markets(shared_devnet: Devnet) -> _Markets:
    book = shared_devnet.book
    weth, usdx = book.address("weth"), book.address("usdx")
    token0, token1 = uniswap_v2.sorted_tokens(weth, usdx)
    factory = book.address("uniswap_v3_factory")
    pools = {
        fee: uniswap_v3.V3Market(
            uniswap_v3.pool_address(factory, weth, usdx, fee),
            token0,
            token1,
            fee,
            uniswap_v3.TICK_SPACINGS[fee],
        )
        for fee in _FEES
    }
    pair = uniswap_v2.V2Market(
        uniswap_v2.pair_address(book.address("uniswap_v2_factory"), weth, usdx), token0, token1
    )
    made = _Markets(shared_devnet, pair, pools)
    _open_pool(made)
    draw = random.Random(20)
    for market in pools.values():
        _cut_into_ranges(made, market, draw)
    return made


def test_addresses_are_where_the_factories_put_the_pools(markets: _Markets) -> None:
    book = markets.devnet.book
    assert markets.pair.address == book.address("uniswap_v2_weth_usdx")
    assert markets.pools[500].address == book.address("uniswap_v3_weth_usdx_500")
    assert markets.pools[3000].address == book.address("uniswap_v3_weth_usdx_3000")


@pytest.mark.parametrize("fee_pips", _FEES)
@pytest.mark.parametrize("zero_for_one", [True, False])
def test_v3_quotes_equal_the_quoters(markets: _Markets, fee_pips: int, zero_for_one: bool) -> None:
    market, pool = markets.pools[fee_pips], markets.read_pool(fee_pips)
    assert len(pool.ticks.indexes) > _POSITIONS_PER_POOL
    draw = random.Random(fee_pips + zero_for_one)
    reads: list[Read] = []
    expected: dict[str, tuple[int, V3Quote] | None] = {}
    for number in range(_QUOTES_PER_POOL):
        label = f"quote:{number}"
        amount_in, amount_out = _amounts_into_a_random_range(pool, zero_for_one, draw)
        if number % 2 == 0:
            # QuoterV2 gives a partial fill where the pool cannot take the whole input.
            limit = _last_price(zero_for_one)
            quote = pool.quote_exact_in(zero_for_one, amount_in, limit)
            call = uniswap_v3.quote_exact_in_call(market, zero_for_one, amount_in, limit)
            expected[label] = (quote.amount_out, quote)
        else:
            call = uniswap_v3.quote_exact_out_call(market, zero_for_one, amount_out)
            try:
                quote = pool.quote_exact_out(zero_for_one, amount_out)
            except InsufficientLiquidityError:
                expected[label] = None
            else:
                expected[label] = (quote.amount_in, quote)
        reads.append(Read(label, markets.devnet.book.address("uniswap_v3_quoter"), call))
    answers = markets.ask(reads, _QUOTES_PER_CALL)
    crossed = 0
    for label, ours in expected.items():
        crossed += _assert_same(ours, answers[label])
    assert crossed > 100, "the amounts should cross ticks"
    assert None in expected.values(), "some outputs should be more than the pool has"


def test_v3_pool_after_real_swaps_is_the_quoted_one(markets: _Markets) -> None:
    trader = Trader(markets.devnet)
    weth = markets.devnet.book.address("weth")
    for fee_pips, token, other, amount_in in (
        (3000, "weth", "usdx", 90 * 10**18),
        (500, "usdx", "weth", 150_000 * 10**6),
        (_NEW_FEE_PIPS, "weth", "usdx", 10**15),
    ):
        pool = markets.read_pool(fee_pips)
        zero_for_one = (pool.token0 == weth) == (token == "weth")
        quote = pool.quote_exact_in(zero_for_one, amount_in)
        before = trader.balance(other)
        trader.swap_v3(token, other, fee_pips, amount_in)
        assert trader.balance(other) - before == quote.amount_out
        assert markets.read_pool(fee_pips) == pool.after(quote)


@pytest.mark.parametrize("zero_for_one", [True, False])
def test_v2_quotes_equal_the_routers(markets: _Markets, zero_for_one: bool) -> None:
    pair = markets.read_pair()
    path = (pair.token0, pair.token1) if zero_for_one else (pair.token1, pair.token0)
    reserve_out = pair.reserve1 if zero_for_one else pair.reserve0
    draw = random.Random(int(zero_for_one))
    router = markets.devnet.book.address("uniswap_v2_router")
    reads, expected = [], {}
    for number in range(_QUOTES_PER_POOL):
        amount_in = int(10 ** draw.uniform(0, 30))
        amount_out = draw.randrange(1, reserve_out)
        reads.append(Read(f"in:{number}", router, uniswap_v2.amounts_out_call(amount_in, path)))
        expected[f"in:{number}"] = (amount_in, pair.amount_out_down(zero_for_one, amount_in))
        reads.append(Read(f"out:{number}", router, uniswap_v2.amounts_in_call(amount_out, path)))
        expected[f"out:{number}"] = (pair.amount_in_up(zero_for_one, amount_out), amount_out)
    reads.append(Read("too much", router, uniswap_v2.amounts_in_call(reserve_out, path)))
    answers = markets.ask(reads)
    for label, amounts in expected.items():
        raw = answers[label]
        assert raw is not None
        assert abi_decode(("uint256[]",), raw) == (amounts,)
    assert answers["too much"] is None
    with pytest.raises(InsufficientLiquidityError):
        pair.amount_in_up(zero_for_one, reserve_out)


def test_v2_pair_after_a_real_swap_is_the_quoted_one(markets: _Markets) -> None:
    pair = markets.read_pair()
    zero_for_one = pair.token0 == markets.devnet.book.address("usdx")
    after = pair.after_exact_in(zero_for_one, 40_000 * 10**6)
    Trader(markets.devnet).swap_v2("usdx", "weth", 40_000 * 10**6)
    assert markets.read_pair() == after


def test_best_cycle_of_a_real_gap_is_what_the_contracts_quote(markets: _Markets) -> None:
    book = markets.devnet.book
    Trader(markets.devnet).open_gap_v2("weth", "usdx", 300)
    pair, pool = markets.read_pair(), markets.read_pool(3000)
    cycle = best_cycle_either_way(pair, pool, book.address("weth"), FREE_LOAN)
    assert cycle is not None
    assert cycle.profit > 10**16
    amount = cycle.amount_in
    for leg in (cycle.first, cycle.second):
        if leg.pool == pair:
            call = uniswap_v2.amounts_out_call(amount, (leg.token_in, leg.token_out))
            raw = markets.devnet.rpc.view(book.address("uniswap_v2_router"), call)
            amount = int.from_bytes(raw[-32:])
        else:
            call = uniswap_v3.quote_exact_in_call(markets.pools[3000], leg.zero_for_one, amount)
            raw = markets.devnet.rpc.view(book.address("uniswap_v3_quoter"), call)
            amount = int.from_bytes(raw[:32])
    assert amount == cycle.amount_out


def test_a_step_costs_so_much_gas_that_the_bound_on_steps_is_never_met_on_chain(markets: _Markets) -> None:
    market, pool = markets.pools[500], markets.read_pool(500)
    limit = sqrt_ratio_at_tick(pool.tick - 60_000)
    call = uniswap_v3.quote_exact_in_call(market, True, 10**30, limit)
    raw = markets.devnet.rpc.view(markets.devnet.book.address("uniswap_v3_quoter"), call)
    gas = abi_decode(_QUOTER_ANSWER, raw)[3]
    assert isinstance(gas, int)
    assert gas > pool.quote_exact_in(True, 10**30, limit).stops * (2**24 // STEPS_MAX)


def test_lender_token_and_feed_are_read(markets: _Markets) -> None:
    book = markets.devnet.book
    vault, weth = book.address("balancer_vault"), book.address("weth")
    collector = balancer_v2.fees_collector(vault, markets.ask([balancer_v2.fees_collector_read(vault)]))
    answers = markets.ask([balancer_v2.flash_fee_read(collector), erc20.balance_read(weth, vault)])
    assert balancer_v2.flash_fee(collector, answers).fee_up(10**18) == 0
    assert erc20.balance(weth, vault, answers) > 0
    feed = next(entry.address for entry in book if entry.kind == "feed")
    answers = markets.ask([chainlink.latest_round_read(feed), chainlink.decimals_read(feed)])
    assert chainlink.latest_round(feed, answers).answer > 0
    assert chainlink.decimals(feed, answers) == 8


def _assert_same(ours: tuple[int, V3Quote] | None, raw: bytes | None) -> int:
    if ours is None:
        assert raw is None
        return 0
    assert raw is not None
    amount, quote = ours
    theirs = abi_decode(_QUOTER_ANSWER, raw)
    # Its third value divides ticks towards zero and so is off by one below; the price says the same better.
    assert theirs[:2] == (amount, quote.sqrt_price_after_x96)
    return quote.ticks_crossed


def _amounts_into_a_random_range(pool: V3Pool, zero_for_one: bool, draw: random.Random) -> tuple[int, int]:
    """Input and output of about the way to some range ahead; one in ten asks for more than there is."""
    steps = list(islice(pool.steps(zero_for_one), draw.choice((1, 2, 5, 15, 40))))
    part = draw.random()
    amount_in = 1 + int(sum(step.amount_in for step in steps) * part)
    amount_out = 1 + int(sum(step.amount_out for step in steps) * part)
    if draw.random() < 0.1:
        amount_out += sum(step.amount_out for step in pool.steps(zero_for_one))
    return amount_in, amount_out


def _last_price(zero_for_one: bool) -> int:
    """Beyond all liquidity, but not so far that walking there exceeds the gas of a call."""
    return sqrt_ratio_at_tick(-870_000) if zero_for_one else sqrt_ratio_at_tick(870_000)


def _open_pool(markets: _Markets) -> None:
    book = markets.devnet.book
    market = markets.pools[_NEW_FEE_PIPS]
    pair = markets.read_pair()
    price_x192 = (pair.reserve1 << 192) // pair.reserve0
    _send(
        markets,
        book.address("uniswap_v3_positions"),
        "createAndInitializePoolIfNecessary(address,address,uint24,uint160)",
        (market.token0, market.token1, market.fee_pips, math.isqrt(price_x192)),
    )


def _cut_into_ranges(markets: _Markets, market: uniswap_v3.V3Market, draw: random.Random) -> None:
    """Positions of random width and size around the price, some of them touching, some far away."""
    book = markets.devnet.book
    reads = uniswap_v3.reads(market, uniswap_v3.NOTHING_READ)
    tick = int.from_bytes((markets.ask(reads)[reads[0].label] or b"")[32:64], signed=True)
    centre = tick // market.tick_spacing
    for number in range(_POSITIONS_PER_POOL):
        width = draw.choice((1, 3, 20, 200))
        lower = centre + draw.randint(-width, width)
        upper = lower + draw.randint(1, 2 * width)
        if number == 0:
            lower, upper = centre - 2, centre + 3
        amounts = [draw.randint(10**18, 10**20), draw.randint(10**9, 10**11)]
        if market.token0 == book.address("usdx"):
            amounts.reverse()
        ticks = (lower * market.tick_spacing, upper * market.tick_spacing)
        _send(
            markets,
            book.address("uniswap_v3_positions"),
            "mint((address,address,uint24,int24,int24,uint256,uint256,uint256,uint256,address,uint256))",
            (
                (
                    market.token0,
                    market.token1,
                    market.fee_pips,
                    *ticks,
                    *amounts,
                    0,
                    0,
                    OWNER,
                    FOREVER_S,
                ),
            ),
        )


def _send(markets: _Markets, target: Address, signature: str, values: tuple[AbiValue, ...]) -> None:
    rpc = markets.devnet.rpc
    rpc.settle([rpc.send(OWNER, target, encode_call(signature, values))], mine=True)
