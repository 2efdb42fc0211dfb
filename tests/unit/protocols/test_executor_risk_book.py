"""Limits of losses as calls to the risk book, and its answers, by an independent ABI decoder."""

from __future__ import annotations

from dataclasses import replace

import pytest
from eth_abi.abi import decode

from seawall.native import keccak256
from seawall.primitives.errors import InputError, ProtocolError
from seawall.primitives.units import Address
from seawall.protocols.executor.artifacts import RISK_BOOK, load_artifact
from seawall.protocols.executor.risk_book import (
    HEALTH_SOURCES_MAX,
    VALUE_UNIT,
    HealthKind,
    HealthSource,
    LossLimit,
    RiskPolicy,
    TokenLimit,
    per_day_down,
    risk_book_calls,
    room_reads,
    rooms_of,
)

POLICY = Address(b"\x11" * 20)
TOKEN = Address(b"\x33" * 20)
FEED = Address(b"\x44" * 20)
BOOK = Address(b"\x55" * 20)
LIMIT = TokenLimit(TOKEN, FEED, 3600, 18, 10**19, 7)
MARKET = HealthSource(HealthKind.MORPHO_MARKET, BOOK, b"\x66" * 32)
WHOLE = RiskPolicy(POLICY, (LIMIT,), LossLimit(1 * VALUE_UNIT, 2 * VALUE_UNIT, 3), (MARKET,), True)


def text(address: bytes) -> str:
    return "0x" + address.hex()


def test_sources_come_first_and_every_word_is_in_its_place() -> None:
    health, token, losses, holds = risk_book_calls(WHOLE)
    assert decode(["address", "(uint8,address,bytes32)", "bool"], health[4:]) == (
        text(POLICY),
        (2, text(BOOK), b"\x66" * 32),
        True,
    )
    assert decode(["address", "address", "(address,uint32,uint8,uint128,uint128)"], token[4:]) == (
        text(POLICY),
        text(TOKEN),
        (text(FEED), 3600, 18, 10**19, 7),
    )
    assert decode(["address", "(uint128,uint128,uint128)"], losses[4:])[1] == (10**8, 2 * 10**8, 3)
    assert decode(["address", "bool"], holds[4:]) == (text(POLICY), True)


def test_every_call_and_read_is_a_function_of_the_book() -> None:
    functions = [item for item in load_artifact(RISK_BOOK).abi if item["type"] == "function"]
    known = {keccak256(_signature(item).encode())[:4] for item in functions}
    calls = (*risk_book_calls(WHOLE), *(read.calldata for read in room_reads(BOOK, POLICY, (TOKEN,))))
    assert {call[:4] for call in calls} <= known


def test_rooms_are_told_apart_by_book_executor_and_token() -> None:
    reads = room_reads(BOOK, POLICY, (TOKEN, FEED))
    answers = {read.label: (at + 1).to_bytes(32, "big") for at, read in enumerate(reads)}
    rooms = rooms_of(answers, BOOK, POLICY, (TOKEN, FEED))
    assert rooms.tokens == {TOKEN: 1, FEED: 2}
    assert rooms.loss == 3
    with pytest.raises(ProtocolError):
        rooms_of({}, BOOK, POLICY, ())


def test_a_daily_refill_is_rounded_against_us() -> None:
    assert per_day_down(86_400 * 5 + 86_399) == 5


@pytest.mark.parametrize(
    ("policy", "complaint"),
    [
        (replace(WHOLE, health=(MARKET,) * (HEALTH_SOURCES_MAX + 1)), "health sources"),
        (replace(WHOLE, tokens=(LIMIT, LIMIT)), "two limits"),
        (replace(WHOLE, tokens=(replace(LIMIT, capacity=2**128),)), "2\\^128"),
        (replace(WHOLE, tokens=(replace(LIMIT, refill_per_s=-1),)), "2\\^128"),
        (replace(WHOLE, tokens=(replace(LIMIT, heartbeat_s=0),)), "heartbeat"),
        (replace(WHOLE, tokens=(replace(LIMIT, decimals=37),)), "37 decimals"),
        (replace(WHOLE, losses=LossLimit(-1)), "2\\^128"),
        (replace(WHOLE, health=(replace(MARKET, market=b"1"),)), "1 bytes"),
        (replace(WHOLE, health=(replace(MARKET, market=bytes(32)),)), "needs its id"),
        (replace(WHOLE, health=(replace(MARKET, kind=HealthKind.COMET),)), "nothing else"),
    ],
)
def test_what_the_book_would_refuse_is_refused_first(policy: RiskPolicy, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        risk_book_calls(policy)


def _signature(item: dict[str, object]) -> str:
    return f"{item['name']}({','.join(_type(one) for one in _inputs(item))})"


def _type(one: dict[str, object]) -> str:
    kind = str(one["type"])
    if not kind.startswith("tuple"):
        return kind
    inner = ",".join(_type(part) for part in _inputs(one, "components"))
    return f"({inner}){kind.removeprefix('tuple')}"


def _inputs(item: dict[str, object], key: str = "inputs") -> list[dict[str, object]]:
    found = item[key]
    assert isinstance(found, list)
    return found
