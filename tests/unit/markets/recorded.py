"""Pools and quotes recorded on live chains, read from the shared data folder; nothing of it is kept here."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from seawall.markets.tick_math import MAX_TICK, MIN_TICK
from seawall.markets.uniswap_v2 import V2Pool
from seawall.markets.uniswap_v3 import TICKS_PER_WORD, TickTable, V3Pool
from seawall.primitives.units import Address, address_from_text

PLACEHOLDERS = (Address(bytes([1]) * 20), Address(bytes([2]) * 20))
"""Tokens of a pool of which only the state is recorded."""

_FEES_PIPS = {"Lowest": 100, "Low": 500, "Medium": 3000, "High": 10_000}
_DEFAULT = Path(__file__).parents[4] / "shared" / "data"


@dataclass(frozen=True)
class RecordedPool:
    chain_id: int
    block: int
    pool: V2Pool | V3Pool
    symbols: tuple[str, str]


@dataclass(frozen=True)
class RecordedQuote:
    chain_id: int
    block: int
    pool: str
    method: str
    symbol_in: str
    amount: int
    answer: int | None
    """None: the record says `reverted`."""
    exception: str


def data_folder() -> Path:
    folder = Path(os.environ.get("SEAWALL_DATA", _DEFAULT))
    if not folder.is_dir():
        pytest.skip(f"recorded chain data is not at {folder}; name its folder in SEAWALL_DATA")
    return folder


def load(path: Path) -> Any:
    raw = path.read_bytes()
    return json.loads(gzip.decompress(raw) if path.suffix == ".gz" else raw)


def files(*parts: str) -> list[Path]:
    return sorted(data_folder().joinpath(*parts[:-1]).glob(parts[-1]))


def pools() -> dict[tuple[int, int, str], RecordedPool]:
    """Every recorded pool of the V2 and V3 kinds, by chain, block and lower-case address without 0x."""
    found = {}
    for path in files("quotes", "pools", "*.json*"):
        record = load(path)
        recorded = _recorded_pool(record)
        if recorded is not None:
            found[recorded.chain_id, recorded.block, recorded.pool.address.hex()] = recorded
    return found


def quotes() -> Iterator[RecordedQuote]:
    """Every recorded quote; its key names pool, method, direction and amount."""
    for path in files("quotes", "recorded", "*.json*"):
        record = load(path)
        for key, answer in record["quotes"].items():
            pool, method, *rest = key.split("|")
            reverted = isinstance(answer, dict)
            yield RecordedQuote(
                chain_id=record["chain_id"],
                block=record.get("block_number", 0),
                pool=pool.removeprefix("0x").lower(),
                method=method,
                symbol_in=rest[0].split("->")[0],
                amount=int(rest[-1]),
                answer=None if reverted else int(answer),
                exception=answer.get("exception", "") if reverted else "",
            )


def v3_pool(record: Mapping[str, Any], nets: Mapping[int, int]) -> V3Pool:
    """A pool from flat fields, its ticks all known unless the record names the words that it holds."""
    spacing = int(record["tick_spacing"])
    words = sorted(int(word) for word in record.get("tick_bitmap", {}))
    known = (MIN_TICK, MAX_TICK)
    if words and words == list(range(words[0], words[-1] + 1)):
        known = (
            max(words[0] * TICKS_PER_WORD * spacing, MIN_TICK),
            min((words[-1] * TICKS_PER_WORD + TICKS_PER_WORD - 1) * spacing, MAX_TICK),
        )
    token0, token1 = _tokens(record)
    return V3Pool(
        address_from_text(record["address"]),
        token0,
        token1,
        int(record.get("fee", record.get("fee_token0", 0))),
        spacing,
        int(record["sqrt_price_x96"]),
        int(record["tick"]),
        int(record["liquidity"]),
        TickTable.from_mapping(nets, *known),
    )


def tick_nets(ticks: Mapping[str, Any]) -> dict[int, int]:
    """{tick: liquidity_net}; a tick is recorded as (gross, net) or as named fields."""
    return {
        int(tick): int(value["liquidity_net"] if isinstance(value, dict) else value[1])
        for tick, value in ticks.items()
    }


def routing_pool(record: dict[str, Any]) -> V3Pool:
    """A pool as `pools/uniswap_v3_ticks.json.gz` records it: all of its ticks, no address."""
    state = record["state"]["state"]
    ticks = state["ticks"]
    return V3Pool(
        Address(bytes(20)),
        *PLACEHOLDERS,
        _FEES_PIPS[state["fee"]],
        ticks["tick_spacing"],
        int(state["sqrt_price"], 16),
        state["tick"],
        state["liquidity"],
        TickTable.from_mapping({tick["index"]: tick["net_liquidity"] for tick in ticks["ticks"]}),
    )


def near_miss_pair(record: dict[str, Any]) -> V2Pool:
    return V2Pool(
        address_from_text(record["address"]),
        address_from_text(record["token0"]),
        address_from_text(record["token1"]),
        int(record["reserve0"]),
        int(record["reserve1"]),
        record["fee_gamma"],
        record["fee_denom"],
    )


def _recorded_pool(record: dict[str, Any]) -> RecordedPool | None:
    """None for every other kind of pool."""
    pool: V2Pool | V3Pool
    if "scalars" in record and "tick_data" in record and "pool" in record:
        flat = {**record, **record["scalars"], "address": record["pool"]}
        pool = v3_pool(flat, tick_nets(record["tick_data"]))
    elif record.get("family") == "v3":
        pool = v3_pool(record, tick_nets(record["tick_data"]))
    elif record.get("family") == "v2" or "fee_numer" in record:
        pool = _v2_pool(record)
    else:
        return None
    return RecordedPool(record["chain_id"], record["block"], pool, _symbols(record))


def _v2_pool(record: dict[str, Any]) -> V2Pool:
    if "fee_numer" in record:
        fee, denominator = int(record["fee_numer"]), int(record["fee_denom"])
    else:
        fee, denominator = (int(part) for part in record["fee_token0"].split("/"))
    return V2Pool(
        address_from_text(record["address"] if "address" in record else record["pool"]),
        *_tokens(record),
        int(record["reserves_token0"]),
        int(record["reserves_token1"]),
        denominator - fee,
        denominator,
    )


def _tokens(record: Mapping[str, Any]) -> tuple[Address, Address]:
    named = _named_tokens(record)
    if named is None:
        return PLACEHOLDERS
    token0, token1 = (token["address"] if isinstance(token, dict) else token for token in named)
    return address_from_text(token0), address_from_text(token1)


def _symbols(record: Mapping[str, Any]) -> tuple[str, str]:
    named = _named_tokens(record)
    if named is None:
        # Only in the name, as in "Aerodrome V3 cbETH/WETH (0.01%)".
        symbols = next(word for word in record["name"].split() if "/" in word).split("/")
        return symbols[0], symbols[1]
    return named[0]["symbol"], named[1]["symbol"]


def _named_tokens(record: Mapping[str, Any]) -> tuple[Any, Any] | None:
    if "tokens" in record:
        return record["tokens"][0], record["tokens"][1]
    if "token0" in record:
        return record["token0"], record["token1"]
    return None
