"""Quotes of Uniswap V4 recorded on mainnet, against the pool recorded at the same block."""

from __future__ import annotations

from seawall.markets.errors import MarketError
from seawall.markets.uniswap_v3 import TickTable, V3Pool
from seawall.primitives.units import Address
from tests.unit.markets import recorded


def test_every_recorded_quote_of_v4_equals_the_chains() -> None:
    pools = {}
    for path in recorded.files("quotes", "pools", "*_uniswap_v4_*.json.gz"):
        record = recorded.load(path)
        scalars = record["scalars"]
        assert scalars["protocol_fee_zero_for_one"] == scalars["protocol_fee_one_for_zero"] == 0
        pool = V3Pool(
            Address(bytes(20)),
            *recorded.PLACEHOLDERS,
            int(scalars["lp_fee"]),
            int(scalars["tick_spacing"]),
            int(scalars["sqrt_price_x96"]),
            int(scalars["tick"]),
            int(scalars["liquidity"]),
            TickTable.from_mapping(recorded.tick_nets(record["tick_data"])),
        )
        pools[record["pool_id"].removeprefix("0x"), record["block"]] = (pool, record["token0"]["symbol"])
    checked = 0
    for quote in recorded.quotes():
        known = pools.get((quote.pool, quote.block))
        if known is None or quote.exception == "Timeout":
            continue
        pool, symbol0 = known
        assert _answer(pool, quote.symbol_in == symbol0, quote.amount, quote.method) == quote.answer, quote
        checked += 1
    assert checked >= 40


def _answer(pool: V3Pool, zero_for_one: bool, amount: int, method: str) -> int | None:
    try:
        if "Input" in method:
            return pool.quote_exact_in(zero_for_one, amount).amount_out
        return pool.quote_exact_out(zero_for_one, amount).amount_in
    except MarketError:
        return None
