"""Gathering a V3 pool over heads, and the calls of pool, factory and quoter."""

from __future__ import annotations

from dataclasses import replace

import pytest

from seawall.markets.errors import UnknownTicksError
from seawall.markets.uniswap_v3 import V3Pool
from seawall.native import abi_decode, selector
from seawall.primitives.errors import ProtocolError
from seawall.primitives.units import address_from_text
from seawall.protocols.uniswap_v3 import (
    NOTHING_READ,
    TICKS_READ_MAX,
    V3Market,
    V3Observed,
    V3Window,
    observe,
    pool_address,
    quote_exact_in_call,
    reads,
    swap_call,
)
from tests.unit.markets import recorded
from tests.unit.markets.worlds import POOL, TOKEN0, TOKEN1, pool, positions
from tests.unit.protocols.pool_answers import v3_answers

_MARKET = V3Market(POOL, TOKEN0, TOKEN1, 3000, 60)
_STATE = pool(positions((-887220, 887220, 10**18), (-600, 660, 10**18), (-60, 120, 10**19)))


def _see(state: V3Pool, window: V3Window, market: V3Market = _MARKET) -> V3Observed:
    return observe(market, window, v3_answers(state, reads(market, window)))


def test_pool_is_gathered_in_three_heads_and_then_stays_complete() -> None:
    first = _see(_STATE, NOTHING_READ)
    assert first.pool is None
    assert not first.complete
    second = _see(_STATE, first.next_window)
    assert second.pool is not None
    assert not second.complete
    assert second.pool.ticks.indexes == ()
    third = _see(_STATE, second.next_window)
    assert third.complete
    assert third.pool is not None
    assert third.pool.ticks.indexes == (-600, -60, 120, 660)
    assert third.next_window == second.next_window


def test_pool_known_in_part_gives_exact_answers_up_to_the_first_unread_tick() -> None:
    partly = _see(_STATE, _see(_STATE, NOTHING_READ).next_window).pool
    assert partly is not None
    assert partly.quote_exact_in(True, 10**16) == _STATE.quote_exact_in(True, 10**16)
    with pytest.raises(UnknownTicksError):
        partly.quote_exact_in(True, 10**18)


def test_tick_that_appears_later_narrows_the_pool_until_it_is_read() -> None:
    window = _see(_STATE, _see(_STATE, NOTHING_READ).next_window).next_window
    grown = pool(positions((-887220, 887220, 10**18), (-600, 660, 10**18), (-60, 120, 10**19), (-240, 0, 5)))
    seen = _see(grown, window)
    assert seen.pool is not None
    assert not seen.complete
    assert (seen.pool.ticks.known_low, seen.pool.ticks.known_high) == (1, (2 * 256 - 1) * 60)
    assert _see(grown, seen.next_window).complete


def test_tick_that_vanished_is_dropped_from_the_window() -> None:
    window = _see(_STATE, _see(_STATE, NOTHING_READ).next_window).next_window
    shrunk = pool(positions((-887220, 887220, 10**18), (-600, 660, 10**18)))
    seen = _see(shrunk, window)
    assert seen.pool is not None
    assert seen.pool.ticks.indexes == (-600, 660)
    assert seen.next_window.ticks == (-600, 660)


def test_window_follows_the_price_into_another_word() -> None:
    window = _see(_STATE, _see(_STATE, NOTHING_READ).next_window).next_window
    moved = _STATE.after(_STATE.quote_exact_in(False, 10**20))
    seen = _see(moved, window)
    assert seen.pool is None
    assert moved.tick // 60 // 256 in seen.next_window.words
    later = _see(moved, _see(moved, seen.next_window).next_window)
    assert later.complete
    assert later.pool is not None
    assert later.pool.quote_exact_in(True, 10**15) == moved.quote_exact_in(True, 10**15)


def test_words_end_where_ticks_end() -> None:
    market = V3Market(POOL, TOKEN0, TOKEN1, 10_000, 16_000)
    state = pool(positions((-880_000, 880_000, 10**18)), tick_spacing=16_000, fee_pips=10_000)
    window = _see(state, NOTHING_READ, market).next_window
    assert window.words == (-1, 0)
    seen = _see(state, _see(state, window, market).next_window, market)
    assert seen.pool == state


def test_nearest_ticks_are_read_where_there_are_too_many() -> None:
    market = replace(_MARKET, tick_spacing=1, fee_pips=100)
    crowded = pool(positions(*((-tick, tick, 10**6) for tick in range(1, 500))), tick_spacing=1, fee_pips=100)
    window = _see(crowded, _see(crowded, NOTHING_READ, market).next_window, market).next_window
    assert len(window.ticks) == TICKS_READ_MAX
    seen = _see(crowded, window, market)
    assert seen.complete
    assert seen.pool is not None
    assert seen.pool.quote_exact_in(True, 10**5) == crowded.quote_exact_in(True, 10**5)


def test_reverted_and_missing_answers_are_refused() -> None:
    answers = v3_answers(_STATE, reads(_MARKET, NOTHING_READ))
    label = next(iter(answers))
    with pytest.raises(ProtocolError, match="reverted"):
        observe(_MARKET, NOTHING_READ, {**answers, label: None})
    with pytest.raises(ProtocolError, match="does not decode"):
        observe(_MARKET, NOTHING_READ, {**answers, label: b"\x00" * 31})
    with pytest.raises(ProtocolError, match="no answer"):
        observe(_MARKET, NOTHING_READ, {})


def test_recorded_answers_of_mainnet_decode_to_a_pool_that_quotes() -> None:
    checked = 0
    for path in recorded.files("quotes", "pools", "1_block_*.json.gz"):
        record = recorded.load(path)
        for key, words in record.items():
            if not key.endswith("_tick_bitmap"):
                continue
            address = key.split("_")[1]
            calls = {name.split(":")[1]: raw for name, raw in record["calls"].items() if address in name}
            spacing = int(calls["0xd0c93a7c"], 16)
            market = V3Market(
                address_from_text(address), TOKEN0, TOKEN1, int(calls["0xddca3f43"], 16), spacing
            )
            window = V3Window(
                tuple(range(int(calls["0x3850c7bd"][64:128], 16) // spacing // 256 - 1, 20)),
                tuple(sorted(int(tick) for tick in record[f"v3_{address}_tick_data"])),
            )
            seen = observe(market, window, _recorded_answers(record, market, window, calls, words))
            assert seen.pool is not None
            assert seen.pool.quote_exact_in(True, 10**7).complete
            checked += 1
    assert checked >= 1


def test_pool_address_is_mainnets() -> None:
    found = pool_address(
        address_from_text("0x1F98431c8aD98523631AE4a59f267346ea31F984"),
        address_from_text("0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2"),
        address_from_text("0x2260FAC5E5542a773Aa44fBCfeDf7C193bc2C599"),
        3000,
    )
    assert found == address_from_text("0xCBCdF9626bC03E24f779434178A73a0B4bad62eD")
    with pytest.raises(ProtocolError, match="different"):
        pool_address(TOKEN0, TOKEN1, TOKEN1, 3000)


def test_calls_have_the_contracts_selectors() -> None:
    swap = swap_call(TOKEN0, True, -5, 2**96, b"\x01")
    assert swap[:4] == bytes.fromhex("128acb08")
    assert abi_decode(("address", "bool", "int256", "uint160", "bytes"), swap[4:]) == (
        TOKEN0,
        True,
        -5,
        2**96,
        b"\x01",
    )
    quote = quote_exact_in_call(_MARKET, False, 7)
    assert quote[:4] == selector("quoteExactInputSingle((address,address,uint256,uint24,uint160))")
    (asked,) = abi_decode(("(address,address,uint256,uint24,uint160)",), quote[4:])
    assert asked == (TOKEN1, TOKEN0, 7, 3000, 0)


def _recorded_answers(
    record: dict[str, dict[str, dict[str, str]]],
    market: V3Market,
    window: V3Window,
    calls: dict[str, str],
    words: dict[str, dict[str, str]],
) -> dict[str, bytes | None]:
    prefix = f"v3:{market.address.hex()}"
    ticks = record[f"v3_0x{market.address.hex()}_tick_data"]
    word_of = {word: int(words[str(word)]["bitmap"]) if str(word) in words else 0 for word in window.words}
    return {
        f"{prefix}:slot0": bytes.fromhex(calls["0x3850c7bd"]),
        f"{prefix}:liquidity": bytes.fromhex(calls["0x1a686502"]),
        **{f"{prefix}:word:{word}": bits.to_bytes(32, "big") for word, bits in word_of.items()},
        **{
            f"{prefix}:tick:{tick}": int(ticks[str(tick)]["liquidity_gross"]).to_bytes(32, "big")
            + int(ticks[str(tick)]["liquidity_net"]).to_bytes(32, "big", signed=True)
            for tick in window.ticks
        },
    }
