"""Feeds judged by what their publisher states; uptime of sequencers; averages of pools."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal, localcontext
from fractions import Fraction

import pytest

from seawall.native import abi_encode, selector
from seawall.primitives.blocks import Block
from seawall.primitives.errors import InputError, ProtocolError
from seawall.primitives.units import Address, Hash, address_text
from seawall.protocols import oracles, sequencer, twap
from seawall.protocols.oracles import FeedTerms, PriceObservation, Problem
from seawall.protocols.sequencer import Sequencer, UptimeTerms
from tests.builders.messages import block as built_block

FEED = Address(b"\x0f" * 20)
AGGREGATOR = Address(b"\x0a" * 20)
POOL = Address(b"\x0b" * 20)
NOW_S = 1_800_000_000
BLOCK: Block = replace(built_block(100), timestamp_s=NOW_S)
TERMS = FeedTerms(FEED, 8, heartbeat_s=3_600, deviation_bps=50, grace_s=60)
ROUND_KINDS = ("uint80", "int256", "uint256", "uint256", "uint80")


def feed_answers(
    *, answer: int = 2_000 * 10**8, age_s: int = 10, decimals: int = 8, answered_in: int = 7
) -> dict[str, bytes | None]:
    latest, places = oracles.reads(TERMS)
    updated_at = NOW_S - age_s
    return {
        latest.label: abi_encode(ROUND_KINDS, (7, answer, updated_at, updated_at, answered_in)),
        places.label: abi_encode(("uint8",), (decimals,)),
    }


def test_fresh_round_is_a_sound_price_with_block_age_and_source() -> None:
    price = oracles.observe(TERMS, feed_answers(), BLOCK)
    assert price.is_sound
    assert (price.price, price.decimals, price.age_s) == (2_000 * 10**8, 8, 10)
    assert (price.block_number, price.block_hash) == (BLOCK.number, BLOCK.hash)
    assert address_text(FEED) in price.source


@pytest.mark.parametrize(
    ("answers", "problem"),
    [
        (feed_answers(age_s=3_661), Problem.STALE),
        (feed_answers(age_s=-31), Problem.AHEAD),
        (feed_answers(answered_in=6), Problem.INCOMPLETE),
    ],
)
def test_round_that_breaks_the_publishers_terms_says_how(
    answers: dict[str, bytes | None], problem: Problem
) -> None:
    assert oracles.observe(TERMS, answers, BLOCK).problems == (problem,)


def test_round_within_heartbeat_and_grace_is_sound() -> None:
    assert oracles.observe(TERMS, feed_answers(age_s=3_660), BLOCK).is_sound


def test_feed_of_other_decimals_or_without_a_price_is_refused() -> None:
    with pytest.raises(ProtocolError, match="18 decimals instead of 8"):
        oracles.observe(TERMS, feed_answers(decimals=18), BLOCK)
    with pytest.raises(ProtocolError, match="answers 0"):
        oracles.observe(TERMS, feed_answers(answer=0), BLOCK)


@pytest.mark.parametrize(("answer", "is_sound"), [(10**7, False), (10**7 + 1, True), (10**14, False)])
def test_answer_at_a_bound_of_the_aggregator_is_no_price(answer: int, is_sound: bool) -> None:
    terms = replace(TERMS, aggregator=AGGREGATOR)
    _, _, minimum, maximum = oracles.reads(terms)
    assert (minimum.target, minimum.calldata) == (AGGREGATOR, selector("minAnswer()"))
    bounds = {
        minimum.label: abi_encode(("int192",), (10**7,)),
        maximum.label: abi_encode(("int192",), (10**14,)),
    }
    price = oracles.observe(terms, feed_answers(answer=answer) | bounds, BLOCK)
    assert price.is_sound is is_sound


def priced(price: int, decimals: int) -> PriceObservation:
    return PriceObservation("one", price, decimals, BLOCK.number, BLOCK.hash, 0)


def test_prices_of_other_decimals_are_compared_in_one_scale_and_rounded_against_us() -> None:
    one, other = priced(2_000 * 10**8, 8), priced(2_010 * 10**6, 6)
    assert oracles.deviation_bps(one, other) == 50
    assert oracles.deviation_bps(other, priced(2_000 * 10**8 - 1, 8)) == 51
    assert oracles.compare(one, other, 50).is_sound
    assert oracles.compare(one, other, 49).problems == (Problem.DEVIATES,)


def test_prices_of_two_blocks_are_not_compared() -> None:
    elsewhere = replace(priced(1, 8), block_hash=Hash(bytes(32)))
    with pytest.raises(InputError, match="two blocks"):
        oracles.compare(priced(1, 8), elsewhere, 50)


@pytest.mark.parametrize(
    ("answer", "started_at_s", "state"),
    [
        (0, NOW_S - 3_600, Sequencer.UP),
        (0, NOW_S - 3_599, Sequencer.GRACE),
        (1, NOW_S - 9_999, Sequencer.DOWN),
        (0, 0, Sequencer.UNKNOWN),
        (0, NOW_S + 1, Sequencer.UNKNOWN),
    ],
)
def test_sequencer_is_up_only_after_its_grace_period(
    answer: int, started_at_s: int, state: Sequencer
) -> None:
    terms = UptimeTerms(FEED)
    (read,) = sequencer.reads(terms)
    raw = abi_encode(ROUND_KINDS, (1, answer, started_at_s, NOW_S, 1))
    found = sequencer.observe(terms, {read.label: raw}, BLOCK)
    assert found.state is state
    assert found.admits is (state is Sequencer.UP)
    assert found.block_hash == BLOCK.hash


def test_feed_that_is_no_uptime_feed_is_refused() -> None:
    terms = UptimeTerms(FEED)
    (read,) = sequencer.reads(terms)
    raw = abi_encode(ROUND_KINDS, (1, 2_000 * 10**8, NOW_S, NOW_S, 1))
    with pytest.raises(ProtocolError, match="neither up"):
        sequencer.observe(terms, {read.label: raw}, BLOCK)


V3 = twap.V3Terms(POOL, 600, base_decimals=18, quote_decimals=6)


def v3_answers(then: int, now: int, *, cardinality: int = 100) -> dict[str, bytes | None]:
    slot0, window = twap.reads_v3(V3)
    kinds = ("uint160", "int24", "uint16", "uint16", "uint16", "uint8", "bool")
    per_liquidity = (600 << 128) // 10**12
    return {
        slot0.label: abi_encode(kinds, (2**96, 0, 3, cardinality, cardinality, 0, True)),
        window.label: abi_encode(("int56[]", "uint160[]"), ((then, now), (5, 5 + per_liquidity))),
    }


def test_average_tick_is_rounded_down_also_below_zero() -> None:
    for then, now, tick in ((0, 6_000, 10), (0, 6_599, 10), (0, -6_000, -10), (0, -6_001, -11)):
        assert twap.observe_v3(V3, v3_answers(then, now), BLOCK).tick == tick


def test_average_has_price_liquidity_and_block() -> None:
    seen = twap.observe_v3(V3, v3_answers(0, 600 * -200_000), BLOCK)
    assert seen.price is not None
    assert seen.price.is_sound
    assert seen.price.block_hash == BLOCK.hash
    exact = Fraction(10001, 10000) ** -200_000 * 10**18
    assert abs(seen.price.price - exact) <= exact / 10**6 + 1
    assert seen.harmonic_liquidity is not None
    assert abs(seen.harmonic_liquidity - 10**12) < 10


def test_pool_that_does_not_remember_the_window_has_no_price() -> None:
    answers = v3_answers(0, 0)
    answers[twap.reads_v3(V3)[1].label] = None
    seen = twap.observe_v3(V3, answers, BLOCK)
    assert (seen.price, seen.tick, seen.cardinality) == (None, None, 100)


def test_pool_that_remembers_little_is_marked() -> None:
    seen = twap.observe_v3(V3, v3_answers(0, 0, cardinality=1), BLOCK)
    assert seen.price is not None
    assert seen.price.problems == (Problem.SHORT_HISTORY,)


@pytest.mark.parametrize("tick", [-887_272, -300_000, -1, 0, 1, 300_000, 500_000, 887_272])
def test_quote_at_a_tick_is_the_power_of_its_base_in_both_directions(tick: int) -> None:
    # To 120 digits: as a fraction the power has millions of them.
    with localcontext(prec=120):
        exact = Fraction(Decimal("1.0001") ** tick) * 10**30
    found = twap.quote_at_tick(tick, 10**30, is_inverse=False)
    assert abs(found - exact) <= exact / 10**9 + 1
    inverse = twap.quote_at_tick(tick, 10**30, is_inverse=True)
    assert abs(inverse - 10**60 / exact) <= 10**60 / exact / 10**9 + 1


def v2_sample(at_s: int, touched_s: int, reserves: tuple[int, int], sums: tuple[int, int]) -> twap.V2Sample:
    block = replace(BLOCK, timestamp_s=at_s, number=BLOCK.number + at_s - NOW_S)
    shown, price0, price1 = twap.reads_v2(POOL)
    kinds = ("uint112", "uint112", "uint32")
    return twap.sample_v2(
        POOL,
        {
            shown.label: abi_encode(kinds, (*reserves, touched_s % 2**32)),
            price0.label: abi_encode(("uint256",), (sums[0],)),
            price1.label: abi_encode(("uint256",), (sums[1],)),
        },
        block,
    )


def test_pair_that_nobody_touched_averages_its_last_price_over_wrapping_sums() -> None:
    sums = (2**256 - 5, 2**256 - 7)
    older = v2_sample(NOW_S, NOW_S - 50, (10**18, 2_000 * 10**6), sums)
    newer = v2_sample(NOW_S + 600, NOW_S - 50, (10**18, 2_000 * 10**6), sums)
    price = twap.between(older, newer, window_s=600, base_decimals=18, quote_decimals=6)
    assert price.is_sound
    assert abs(price.price - 2_000 * 10**6) <= 1
    inverse = twap.between(older, newer, window_s=601, base_decimals=6, quote_decimals=18, is_inverse=True)
    assert inverse.problems == (Problem.SHORT_HISTORY,)
    assert abs(inverse.price - 5 * 10**14) <= 1


def test_samples_in_the_wrong_order_and_empty_pairs_are_refused() -> None:
    sample = v2_sample(NOW_S, NOW_S, (1, 1), (0, 0))
    with pytest.raises(InputError, match="follow"):
        twap.between(sample, sample, window_s=1, base_decimals=0, quote_decimals=0)
    with pytest.raises(ProtocolError, match="empty"):
        v2_sample(NOW_S, NOW_S, (0, 1), (0, 0))
