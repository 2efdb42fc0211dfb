"""The chains in `seawall status`: what our addresses hold on each, and how far their lanes are (CH-10).

Every figure names its block; what is stale is marked, and what is not known is `?`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from seawall.cli.options import load
from seawall.cli.output import Json, print_line, print_table
from seawall.cli.records import read_ledger
from seawall.primitives.errors import SeawallError
from seawall.primitives.units import address_text, hex_text

if TYPE_CHECKING:
    from seawall.primitives.identifiers import Lane
    from seawall.primitives.units import Address
    from seawall.runtime.configuration.settings import Configuration
    from seawall.runtime.overview import ChainView, HolderView, LaneView, Total

__all__ = ["overview", "print_overview"]

_UNKNOWN: Final = "?"
_SHOWN_DECIMALS: Final = 6
_HEALTH_DECIMALS: Final = 18


def overview(path: Path) -> dict[str, Json]:
    """What `print_overview` prints, for `--json`; where it cannot be had, why."""
    from seawall.primitives.ports import SystemClock
    from seawall.runtime.overview import lanes_of, totals, view_chains

    clock = SystemClock()
    try:
        configuration = load(path)
        signers = _signers(configuration)
    except SeawallError as error:
        return {"chains": [], "totals": [], "overview_error": str(error)}
    lanes: Mapping[Lane, LaneView] = {}
    trouble: dict[str, Json] = {}
    try:
        lanes = read_ledger(configuration, lambda tx: lanes_of(tx, clock.now_s()))
    except SeawallError as error:
        trouble = {"overview_error": str(error)}
    views = asyncio.run(view_chains(configuration, signers, lanes, clock))
    return {
        "chains": [_chain(view) for view in views],
        "totals": [_total(total) for total in totals(views)],
        **trouble,
    }


def print_overview(found: Mapping[str, Json]) -> None:
    """One table of a line for each address on each chain, then the totals."""
    chains, sums = _records(found["chains"]), _records(found["totals"])
    rows = [_row(chain, holder) for chain in chains for holder in _records(chain["holders"])]
    if rows:
        print_line("")
        columns = ("chain", "block", "address", "name", "balances", "nonce", "under way", "note")
        print_table(columns, rows, "")
        print_table(("total", "amount", "of", "left out"), [_sum_row(one) for one in sums], "")
    for chain in chains:
        if chain["stale"] is not None:
            print_line(f"{chain['name']} is stale: {chain['stale']}")
    if "overview_error" in found:
        print_line(f"not everything could be read: {found['overview_error']}")


def _signers(configuration: Configuration) -> dict[str, Address]:
    return {one.name: one.address() for one in configuration.signers}


def _chain(view: ChainView) -> Json:
    symbols = {token.address: (token.symbol, token.decimals) for token in view.tokens}
    head: Json = None
    if view.block is not None:
        head = {"number": view.block.number, "hash": hex_text(view.block.hash), "age_s": view.age_s}
    return {
        "chain_id": view.chain_id,
        "name": view.name,
        "block": head,
        "stale": view.stale,
        "holders": [_holder(holder, symbols) for holder in view.holders],
    }


def _holder(holder: HolderView, symbols: Mapping[Address, tuple[str, int]]) -> Json:
    shown: dict[str, Json] = {
        "name": holder.name,
        "address": address_text(holder.address),
        "is_key": holder.is_key,
        "nonce": holder.nonce,
        "balances": [
            {
                "token": address_text(token),
                "symbol": symbols[token][0],
                "decimals": symbols[token][1],
                "amount": _amount(amount),
            }
            for token, amount in holder.balances.items()
        ],
        "health_factors": {address_text(at): _amount(factor) for at, factor in holder.health_factors.items()},
    }
    if holder.lane is not None:
        shown["lane"] = {
            "highest_nonce": holder.lane.highest_nonce,
            "open_slots": holder.lane.open_slots,
            "queued": holder.lane.queued,
            "quarantine": holder.lane.quarantine,
            "left_day": {address_text(token): str(amount) for token, amount in holder.lane.left_day.items()},
        }
    return shown


def _total(total: Total) -> Json:
    return {
        "symbol": total.symbol,
        "decimals": total.decimals,
        "amount": _amount(total.amount),
        "chains": list(total.chains),
        "left_out": list(total.left_out),
    }


def _row(chain: Mapping[str, Json], holder: Mapping[str, Json]) -> Sequence[object]:
    block, lane = chain["block"], holder.get("lane")
    number = block["number"] if isinstance(block, Mapping) else _UNKNOWN
    is_stale = chain["stale"] is not None
    notes = ["stale"] if is_stale else []
    way = ""
    if isinstance(lane, Mapping):
        way = f"{lane['open_slots']} open, {lane['queued']} queued"
        notes += ["quarantined"] if lane["quarantine"] is not None else []
    factors = holder["health_factors"]
    if isinstance(factors, Mapping):
        notes += [
            f"health {_decimal(int(one), _HEALTH_DECIMALS)}"
            for one in factors.values()
            if isinstance(one, str)
        ]
    return (
        chain["name"],
        number,
        holder["address"],
        holder["name"],
        "\n".join(_held(balance) for balance in _records(holder["balances"]) if balance["amount"] != "0")
        or "0",
        _UNKNOWN if holder["nonce"] is None and holder["is_key"] else holder["nonce"],
        way,
        ", ".join(notes),
    )


def _held(balance: Mapping[str, Json]) -> str:
    return f"{_shown(balance)} {balance['symbol']}"


def _shown(money: Mapping[str, Json]) -> str:
    amount, decimals = money["amount"], money["decimals"]
    assert isinstance(decimals, int)
    return _decimal(int(amount), decimals) if isinstance(amount, str) else _UNKNOWN


def _sum_row(total: Mapping[str, Json]) -> Sequence[object]:
    return total["symbol"], _shown(total), _names(total["chains"]), _names(total["left_out"])


def _names(value: Json) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else ""


def _decimal(amount: int, decimals: int) -> str:
    """Cut, never rounded up: nobody reads more than there is."""
    whole, part = divmod(amount, 10**decimals)
    return (
        f"{whole:,}.{part:0{decimals}d}"[: len(f"{whole:,}") + 1 + _SHOWN_DECIMALS]
        if decimals
        else f"{whole:,}"
    )


def _amount(amount: int | None) -> str | None:
    return None if amount is None else str(amount)


def _records(value: Json) -> list[Mapping[str, Json]]:
    assert isinstance(value, list)
    return [one for one in value if isinstance(one, Mapping)]
