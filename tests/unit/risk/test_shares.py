"""Tokens worth what they stand for: rates, pairs, and positions in them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from seawall.native import encode_call, selector
from seawall.primitives.errors import ProtocolError
from seawall.primitives.plans import ExecutorBody
from seawall.primitives.simulations import Flow
from seawall.primitives.units import Address
from seawall.risk.evidence import Evidence
from seawall.risk.guards.profit import PositionLoss
from seawall.risk.limits import ChainFacts, OurAddresses, PriceFeed, RiskLimits
from seawall.risk.prices import VALUE_SCALE, value_probes, valued
from seawall.risk.shares import PairShare, RateShare, ShareOf
from tests.builders.answers import answered, round_of, words
from tests.builders.messages import (
    EXECUTOR,
    FEED,
    KEY,
    NOW_S,
    POOL,
    TREASURY,
    USD,
    WETH,
    candidate,
    executor_plan,
    simulation,
)

VAULT = Address(b"\x0a" * 20)
USD_FEED = Address(b"\x09" * 20)
OURS = OurAddresses(frozenset({KEY, EXECUTOR, TREASURY}), WETH)
CONVERT = encode_call("convertToAssets(uint256)", (100,))
RATE = RateShare(VAULT, USD, VAULT, CONVERT, 100)
PAIR = PairShare(POOL, WETH, USD)
# One unit of WETH is worth 4, of USD 1.
FACTS = ChainFacts((PriceFeed(WETH, FEED, 0, 0), PriceFeed(USD, USD_FEED, 0, 0)), shares=(RATE, PAIR))
Answers = dict[tuple[Address, bytes], bytes | None]


def answers(rate: int = 103, reserve0: int = 50, reserve1: int = 200, supply: int = 100) -> Answers:
    latest = selector("latestRoundData()")
    return {
        (FEED, latest): round_of(4),
        (USD_FEED, latest): round_of(1),
        (VAULT, CONVERT): words(rate),
        (POOL, selector("getReserves()")): words(reserve0, reserve1, 0),
        (POOL, selector("totalSupply()")): words(supply),
    }


def evidence(by: Answers, facts: ChainFacts = FACTS) -> Evidence:
    probes = answered(value_probes(facts), by)
    return Evidence(candidate(executor_plan()), simulation(probes=probes), OURS, RiskLimits(), NOW_S)


def both(token: Address, amount: int, by: Answers) -> tuple[int | None, int | None]:
    seen = evidence(by)
    return valued(seen, FACTS, token, amount, up=False), valued(seen, FACTS, token, amount, up=True)


def test_a_rate_share_is_worth_what_its_call_answers_rounded_against_us() -> None:
    assert both(VAULT, 100, answers()) == (103 * VALUE_SCALE, 103 * VALUE_SCALE)
    assert both(VAULT, 50, answers()) == (51 * VALUE_SCALE, 52 * VALUE_SCALE)
    assert both(VAULT, 0, {}) == (0, 0)


def test_a_pair_share_is_worth_its_part_of_both_sides() -> None:
    down, up = both(POOL, 10, answers())
    assert down == 40 * VALUE_SCALE
    assert up is not None
    assert 0 <= up - 40 * VALUE_SCALE <= 1


@pytest.mark.parametrize("factor", [2, 5, 25, 50])
def test_moving_a_pair_s_price_hardly_moves_the_worth_of_its_share(factor: int) -> None:
    moved, _ = both(POOL, 10, answers(reserve0=50 * factor, reserve1=200 // factor))
    assert moved == 40 * VALUE_SCALE


NO_ANSWER: Answers = {(VAULT, CONVERT): None, (POOL, selector("totalSupply()")): None}
SHORT_ANSWER: Answers = {(VAULT, CONVERT): b"\x01", (POOL, selector("totalSupply()")): b"\x01"}


@pytest.mark.parametrize(
    ("token", "by"),
    [
        (VAULT, answers(rate=0)),
        (VAULT, answers() | NO_ANSWER),
        (VAULT, answers() | SHORT_ANSWER),
        (POOL, answers(reserve0=0)),
        (POOL, answers(reserve1=0)),
        (POOL, answers(supply=0)),
        (POOL, answers(reserve0=2**112)),
        (POOL, answers() | NO_ANSWER),
        (POOL, answers() | SHORT_ANSWER),
    ],
)
def test_a_share_whose_contract_tells_nothing_has_no_worth(token: Address, by: Answers) -> None:
    with pytest.raises(ProtocolError):
        both(token, 1, by)


@pytest.mark.parametrize("share", [RATE, PAIR])
def test_a_share_of_what_has_no_price_has_none(share: ShareOf) -> None:
    facts = replace(FACTS, prices=(), shares=(share,))
    assert valued(evidence(answers(), facts), facts, share.token, 5, up=True) is None


def test_a_position_plan_that_enters_a_vault_costs_what_the_share_is_short() -> None:
    body = ExecutorBody(EXECUTOR, TREASURY, b"\x01", (), 0, position=True)
    flows = (Flow(USD, EXECUTOR, VAULT, 103), Flow(VAULT, Address(bytes(20)), EXECUTOR, 99))
    seen = evidence(answers())
    entered = replace(
        seen,
        candidate=candidate(replace(executor_plan(), body=body), max_fee_per_gas_wei=0),
        simulation=replace(seen.simulation, flows=flows),
    )
    guard = PositionLoss((EXECUTOR, KEY), 2 * VALUE_SCALE, FACTS)
    found = guard.measure(entered)
    assert (found.measured, found.passed) == (2 * VALUE_SCALE, True)  # 99 of shares stand for 101 of USD
