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

_DEFAULT = Path(__file__).parents[4] / "shared" / "data"


@dataclass(frozen=True)
class RecordedPool:
    chain_id: int
    pool: V2Pool | V3Pool
    symbols: tuple[str, str]


@dataclass(frozen=True)
class RecordedQuote:
    source: str
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
    opened = gzip.open(path, "rt") if path.suffix == ".gz" else path.open()
    with opened as file:
        return json.load(file)


def files(*parts: str) -> list[Path]:
    return sorted(data_folder().joinpath(*parts[:-1]).glob(parts[-1]))


def pools() -> dict[tuple[int, str], RecordedPool]:
    """Every recorded pool of the V2 and V3 kinds, by chain and lower-case address."""
    found = {}
    for path in files("quotes", "pools", "*.json*"):
        record = load(path)
        recorded = _recorded_pool(record)
        if recorded is not None:
            found[recorded.chain_id, recorded.pool.address.hex()] = recorded
    return found


def quotes() -> Iterator[tuple[int, RecordedQuote]]:
    """(chain, quote) of every recorded quote whose key names pool, method, direction and amount."""
    for path in files("quotes", "recorded", "*.json*"):
        record = load(path)
        for key, answer in record["quotes"].items():
            pool, method, *rest = key.split("|")
            reverted = isinstance(answer, dict)
            yield (
                record["chain_id"],
                RecordedQuote(
                    source=path.name,
                    pool=pool.removeprefix("0x").lower(),
                    method=method,
                    symbol_in=rest[0].split("->")[0],
                    amount=int(rest[-1]) if rest[-1].lstrip("-").isdigit() else 0,
                    answer=None if reverted else int(answer),
                    exception=answer.get("exception", "") if reverted else "",
                ),
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


def _recorded_pool(record: dict[str, Any]) -> RecordedPool | None:
    if "scalars" in record and "tick_data" in record and "tick_spacing" in record["scalars"]:
        if "pool" not in record or not str(record["pool"]).startswith("0x") or len(record["pool"]) != 42:
            return None
        flat = {**record, **record["scalars"], "address": record["pool"]}
        return RecordedPool(
            record["chain_id"], v3_pool(flat, tick_nets(record["tick_data"])), _symbols(record)
        )
    if record.get("family") == "v3":
        return RecordedPool(
            record["chain_id"], v3_pool(record, tick_nets(record["tick_data"])), _symbols(record)
        )
    if record.get("family") == "v2" or (str(record.get("dex", "")).endswith("-v2") and "fee_numer" in record):
        return RecordedPool(record["chain_id"], _v2_pool(record), _symbols(record))
    return None


def _v2_pool(record: dict[str, Any]) -> V2Pool:
    if "fee_numer" in record:
        fee, denominator = int(record["fee_numer"]), int(record["fee_denom"])
    else:
        fee, denominator = (int(part) for part in record["fee_token0"].split("/"))
    return V2Pool(
        address_from_text(record.get("address", record.get("pool"))),
        *_tokens(record),
        int(record["reserves_token0"]),
        int(record["reserves_token1"]),
        denominator - fee,
        denominator,
    )


def _tokens(record: Mapping[str, Any]) -> tuple[Address, Address]:
    token0, token1 = record["tokens"] if "tokens" in record else (record["token0"], record["token1"])
    names = [token["address"] if isinstance(token, dict) else token for token in (token0, token1)]
    return address_from_text(names[0]), address_from_text(names[1])


def _symbols(record: Mapping[str, Any]) -> tuple[str, str]:
    token0, token1 = record["tokens"] if "tokens" in record else (record["token0"], record["token1"])
    return token0["symbol"], token1["symbol"]
