"""Quotes recorded on live chains against pools recorded at the same block: equal to the wei, or refused."""

from __future__ import annotations

from collections import Counter

from seawall.markets.errors import InsufficientLiquidityError, MarketError, TooManyStepsError
from seawall.markets.tick_math import MAX_SQRT_RATIO, MIN_SQRT_RATIO
from seawall.markets.uniswap_v2 import V2Pool
from seawall.markets.uniswap_v3 import V3Pool
from seawall.primitives.units import address_from_text
from tests.unit.markets import recorded
from tests.unit.markets.recorded import RecordedPool, RecordedQuote

# The recorder's node gave up after 30 s: no answer of the contract, so nothing to compare with.
_UNANSWERED = "Timeout"


def test_every_recorded_quote_of_v2_and_v3_pools_equals_the_chains() -> None:
    pools = recorded.pools()
    counted: Counter[str] = Counter()
    wrong = []
    for quote in recorded.quotes():
        market = pools.get((quote.chain_id, quote.block, quote.pool))
        if market is None or quote.exception == _UNANSWERED:
            counted["other kinds" if market is None else "unanswered"] += 1
            continue
        answer = _answer(market, quote)
        counted[type(market.pool).__name__] += 1
        if answer != quote.answer:
            wrong.append((quote, answer))
    assert wrong == []
    assert counted["V3Pool"] >= 40
    assert counted["V2Pool"] >= 10


def test_mainnet_v2_pairs_price_both_ways() -> None:
    """Live reserves of some 400 pairs: the least input for an output buys it, and one less does not."""
    checked = 0
    for record in (
        row for path in recorded.files("pools", "mainnet_*.json.gz") for row in recorded.load(path)
    ):
        if record["exchange_name"] not in ("uniswap_v2", "sushiswap_v2"):
            continue
        reserves = [
            int(record[f"tkn{side}_balance"]) if record.get(f"tkn{side}_balance") else 0 for side in (0, 1)
        ]
        if min(reserves) < 1000:
            continue
        pair = V2Pool(address_from_text(record["address"]), *recorded.PLACEHOLDERS, *reserves)
        for zero_for_one in (True, False):
            wanted = max((reserves[1] if zero_for_one else reserves[0]) // 1000, 1)
            amount_in = pair.amount_in_up(zero_for_one, wanted)
            assert pair.amount_out_down(zero_for_one, amount_in) >= wanted
            assert amount_in < 3 or pair.amount_out_down(zero_for_one, amount_in - 2) < wanted
        checked += 1
    assert checked >= 100


def test_live_v3_pools_are_whole_and_price_both_ways() -> None:
    """Liquidity is the sum of the ticks below, and what an exact output asks for is enough."""
    checked = 0
    for path in recorded.files("pools", "uniswap_v3_ticks.json.gz"):
        for record in recorded.load(path):
            if record["state"]["protocol"] != "UniswapV3State":
                continue
            pool = recorded.routing_pool(record)
            nets = zip(pool.ticks.indexes, pool.ticks.liquidity_nets, strict=True)
            assert sum(net for index, net in nets if index <= pool.tick) == pool.liquidity
            for zero_for_one in (True, False):
                _assert_both_ways(pool, zero_for_one)
            checked += 1
    assert checked >= 10


def test_v2_hop_of_a_live_near_miss_gives_the_chains_number() -> None:
    checked = 0
    for path in recorded.files("quotes", "near_misses", "*.json.gz"):
        record = recorded.load(path)
        solved = record.get("recorded_solve", {})
        if "v2_actual" not in solved:
            continue
        pair = recorded.near_miss_pair(record["pools"][record["path"][solved["v2_hop_index"]]["pool"]])
        amount_out = pair.amount_out_down(solved["v2_zero_for_one"], int(solved["v2_input"]))
        assert amount_out == int(solved["v2_actual"])
        checked += 1
    assert checked >= 1


def _answer(market: RecordedPool, quote: RecordedQuote) -> int | None:
    zero_for_one = market.symbols[0] == quote.symbol_in
    pool = market.pool
    try:
        if isinstance(pool, V2Pool):
            return pool.amount_out_down(zero_for_one, quote.amount)
        # The recorder passed the last price as a limit, so that a partial fill is an answer too.
        limit = MIN_SQRT_RATIO + 1 if zero_for_one else MAX_SQRT_RATIO - 1
        if "Input" in quote.method:
            return pool.quote_exact_in(zero_for_one, quote.amount, limit).amount_out
        return pool.quote_exact_out(zero_for_one, quote.amount, limit).amount_in
    except MarketError:
        return None


def _assert_both_ways(pool: V3Pool, zero_for_one: bool) -> None:
    for digits in range(3, 28):
        amount_in = 10**digits
        try:
            quote = pool.quote_exact_in(zero_for_one, amount_in)
        except (InsufficientLiquidityError, TooManyStepsError):
            return
        if quote.amount_out:
            back = pool.quote_exact_out(zero_for_one, quote.amount_out)
            assert back.amount_out == quote.amount_out
            assert pool.quote_exact_in(zero_for_one, back.amount_in).amount_out >= quote.amount_out
