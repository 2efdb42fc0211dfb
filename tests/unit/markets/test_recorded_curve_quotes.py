"""Curve quotes recorded on mainnet against pools recorded at the same block: equal to the wei, or refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from seawall.markets.curve_crypto import Amplification, CryptoPool
from seawall.markets.curve_meta import StableMetapool, virtual_price_rate
from seawall.markets.curve_stable import StableKind, StablePool
from seawall.markets.errors import MarketError
from tests.unit.markets import recorded

# The recorder's names of how a pool's contract computes D and y: those that our kinds are equal to.
_KINDS = {(1, 1): StableKind.FACTORY, (2, 3): StableKind.CLASSIC}
_REDEMPTION_RATE = 3  # a metapool whose own coin has a price that its issuer sets
# Pools whose A is not multiplied at all have it far below those that multiply it by 10,000.
_PLAIN_A_MAX = 100_000

Market = StablePool | StableMetapool | CryptoPool


@dataclass(frozen=True)
class Recorded:
    market: Market
    symbols: tuple[str, ...]
    underlying: tuple[str, ...]


def markets() -> dict[tuple[str, str], Recorded]:
    """By address, and by block where a file has several; kinds that we do not know are left out."""
    found = {}
    for path in recorded.files("quotes", "pools", "*curve*.json*"):
        record = recorded.load(path)
        if "states" in record:
            fixed = record["immutable"]
            for block, state in record["states"].items():
                moment = {**fixed, **state, "base_pool": _base_at(fixed["base_pool"], state)}
                market = _market(moment)
                if market is not None:
                    found[moment["address"].lower(), f"blk{block}"] = market
        else:
            market = _market(record)
            if market is not None:
                found[record["address"].lower(), str(record["block"])] = market
    return found


def _base_at(fixed: Mapping[str, Any], state: Mapping[str, Any]) -> dict[str, Any]:
    names = {
        "balances": "base_balances",
        "a_coefficient": "base_a",
        "lp_token_total_supply": "base_lp_token_total_supply",
    }
    return {**fixed, **{ours: state[theirs] for ours, theirs in names.items()}}


def _market(record: Mapping[str, Any]) -> Recorded | None:
    symbols = tuple(token["symbol"] for token in record["tokens"])
    if "gamma" in record:
        return Recorded(_crypto(record), symbols, ())
    if any(record["use_lending"]):
        return None
    base = _stable(record["base_pool"], _plain_rates(record["base_pool"])) if "base_pool" in record else None
    if base is None:
        pool = None if "base_pool" in record else _stable(record, _plain_rates(record))
        return None if pool is None else Recorded(pool, symbols, ())
    own_rate = _plain_rates(record)[0]
    if record["strategies"]["metapool_rate_style"] == _REDEMPTION_RATE:
        own_rate = record["redemption_price"]
    cached, cached_at_s = record["base_virtual_price"], record["base_cache_updated"]
    rate = virtual_price_rate(base, cached, cached_at_s, record["block_timestamp"])
    meta = _stable(record, (own_rate, rate))
    if meta is None:
        return None
    underlying = tuple(token["symbol"] for token in record["tokens_underlying"])
    return Recorded(StableMetapool(meta, base), symbols, underlying)


def _plain_rates(record: Mapping[str, Any]) -> tuple[int, ...]:
    return tuple(10 ** (36 - token["decimals"]) for token in record["tokens"])


def _stable(record: Mapping[str, Any], rates: tuple[int, ...]) -> StablePool | None:
    variants = record["strategies"]
    kind = _KINDS.get((variants["d_variant"], variants["y_variant"]))
    if kind is None:
        return None
    return StablePool(
        name=record.get("name", "base"),
        kind=kind,
        amplification=record["a_coefficient"] * kind.a_precision,
        balances=tuple(record["balances"]),
        rates=rates,
        supply=record["lp_token_total_supply"],
        fee=record["fee"],
    )


def _crypto(record: Mapping[str, Any]) -> CryptoPool:
    a = record["a_coefficient"]
    return CryptoPool(
        name=record["name"],
        amplification=Amplification(a, 1) if a < _PLAIN_A_MAX else Amplification(a),
        gamma=record["gamma"],
        d=record["d"],
        balances=tuple(record["balances"]),
        precisions=tuple(10 ** (18 - token["decimals"]) for token in record["tokens"]),
        price_scale=tuple(record["price_scale"]),
        mid_fee=record["mid_fee"],
        out_fee=record["out_fee"],
        fee_gamma=record["fee_gamma"],
        supply=record["lp_token_total_supply"],
    )


def quotes() -> Iterator[tuple[str, str, list[str], object]]:
    """Address, block, the rest of the key (method first), and the answer."""
    for path in recorded.files("quotes", "recorded", "*curve*.json*"):
        record = recorded.load(path)
        for key, answer in record["quotes"].items():
            address, *rest = key.split("|")
            blocks = [part for part in rest if part.startswith("blk")]
            block = blocks[0] if blocks else str(record["block_number"])
            yield address.lower(), block, [part for part in rest if part not in blocks], answer


def answer_of(market: Recorded, parts: list[str]) -> int | None:
    """What our maths say; None for a refusal."""
    pool = market.market
    method, amount = parts[0], int(parts[-1])
    try:
        if method == "get_dy_underlying":
            assert isinstance(pool, StableMetapool)
            i, j = (market.underlying.index(symbol) for symbol in parts[1].split("->"))
            return pool.get_dy_underlying_down(i, j, amount)
        if isinstance(pool, StableMetapool):
            pool = pool.pool
        if method == "get_dy":
            i, j = (market.symbols.index(symbol) for symbol in parts[1].split("->"))
            return pool.get_dy_down(i, j, amount)
        assert isinstance(pool, StablePool)
        if method == "calc_token_amount":
            place = int(parts[2].removeprefix("i="))
            amounts = [amount if k == place else 0 for k in range(pool.coins)]
            return pool.token_amount(amounts, is_deposit=parts[1] == "deposit")
        assert method == "calc_withdraw_one_coin"
        return pool.withdrawn_one_down(amount, int(parts[1].removeprefix("i=")))
    except MarketError:
        return None


def test_every_recorded_quote_of_curve_pools_equals_the_chains() -> None:
    known = markets()
    counted: Counter[str] = Counter()
    wrong = []
    for address, block, parts, answer in quotes():
        market = known.get((address, block))
        if market is None:
            counted["other kinds"] += 1
            continue
        counted[type(market.market).__name__] += 1
        expected = None if isinstance(answer, dict) else answer
        ours = answer_of(market, parts)
        if ours != expected:
            wrong.append((market.market, parts, answer, ours))
    assert wrong == []
    assert counted["StablePool"] >= 10
    assert counted["StableMetapool"] >= 300
    assert counted["CryptoPool"] >= 9
