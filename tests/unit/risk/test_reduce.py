"""REDUCE_ONLY admits only what strictly lowers debt or exposure at bounded loss (CT-4, clauses a to e)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from seawall.native import abi_encode, encode_call, selector
from seawall.primitives.levels import Authority, WriteKind
from seawall.primitives.simulations import AllowanceChange, Flow, Simulation
from seawall.primitives.units import NATIVE, Address
from seawall.primitives.verdicts import Verdict
from seawall.risk.claims import Stake
from seawall.risk.evidence import Evidence
from seawall.risk.gate import Gate
from seawall.risk.lending import Collateral, Comet
from seawall.risk.limits import OurAddresses, PriceFeed, RiskLimits
from seawall.risk.reduce import HealthReader, ReduceRule, TokenClass
from tests.builders.answers import answered, words
from tests.builders.messages import (
    ETHER,
    FEED,
    KEY,
    NOW_S,
    POOL,
    USD,
    WETH,
    candidate,
    direct_plan,
    simulation,
)

DEBT = Address(b"\x11" * 20)
RECEIPT = Address(b"\x12" * 20)
ASSET = Address(b"\x13" * 20)
DESK = Address(b"\x14" * 20)
WAD = 10**18
CLASSES = {
    WETH: TokenClass.SETTLEMENT,
    NATIVE: TokenClass.SETTLEMENT,
    USD: TokenClass.SETTLEMENT,
    DEBT: TokenClass.DEBT,
    RECEIPT: TokenClass.RECEIPT,
    ASSET: TokenClass.ASSET,
}
HEALTH = HealthReader(KEY, DESK, encode_call("healthFactor(address)", (KEY,)))
FEEDS = tuple(PriceFeed(token, FEED, 18, 8) for token in (WETH, NATIVE, USD, DEBT, RECEIPT, ASSET))
RULE = ReduceRule(CLASSES, (DEBT,), (HEALTH,), FEEDS)
LIMITS = RiskLimits(position_caps=dict.fromkeys(CLASSES, 10**30))
OURS = OurAddresses(frozenset({KEY}), WETH)
DEBT_LABEL = next(p.label for p in RULE.probes(frozenset({KEY})) if p.target == DEBT)


def word(value: int) -> bytes:
    return value.to_bytes(32, "big")


def price(updated_at_s: int = NOW_S) -> bytes:
    return abi_encode(
        ("uint80", "int256", "uint256", "uint256", "uint80"), (1, 10**8, updated_at_s, updated_at_s, 1)
    )


def state(debt: int, health: int, price_at_s: int = NOW_S) -> dict[str, bytes | None]:
    return {DEBT_LABEL: word(debt), HEALTH.label: word(health), FEEDS[0].label: price(price_at_s)}


def repayment(paid: int = 100, debt_after: int = 0, health_after: int = 3 * WAD) -> Simulation:
    """100 of debt at health 2; pay some WETH to the desk."""
    return simulation(
        Flow(WETH, KEY, DESK, paid), probes=state(debt_after, health_after), before=state(100, 2 * WAD)
    )


def judge(found: Simulation, rule: ReduceRule = RULE) -> Verdict:
    gate = Gate(LIMITS, OURS, rule)
    return gate.judge(Evidence(candidate(direct_plan()), found, OURS, LIMITS, NOW_S), Authority.REDUCE_ONLY)


def failed(verdict: Verdict) -> set[str]:
    return {m.guard for m in verdict.refusals}


def test_repaying_debt_is_admitted_as_a_reducing_write() -> None:
    verdict = judge(repayment())
    assert verdict.admitted, verdict.explanation
    assert verdict.kind is WriteKind.REDUCING


def test_borrowing_more_is_refused() -> None:
    borrowed = simulation(Flow(WETH, DESK, KEY, 50), probes=state(150, WAD), before=state(100, 2 * WAD))
    assert {"reduce_only.nothing_rises", "reduce_only.something_falls", "reduce_only.health"} <= failed(
        judge(borrowed)
    )


def test_moving_settlement_tokens_alone_reduces_nothing() -> None:
    idle = simulation(
        Flow(WETH, KEY, POOL, 5),
        Flow(NATIVE, POOL, KEY, 5),
        probes=state(100, 2 * WAD),
        before=state(100, 2 * WAD),
    )
    assert failed(judge(idle)) == {"reduce_only.something_falls"}


def test_buying_an_asset_is_refused() -> None:
    buys = simulation(
        Flow(WETH, KEY, POOL, 5),
        Flow(ASSET, POOL, KEY, 5),
        probes=state(0, 2**256 - 1),
        before=state(0, 2**256 - 1),
    )
    assert "reduce_only.nothing_rises" in failed(judge(buys))


def test_selling_an_asset_at_a_fair_price_is_admitted_and_at_a_loss_refused() -> None:
    none = state(0, 2**256 - 1)
    fair = simulation(Flow(ASSET, KEY, POOL, 1000), Flow(WETH, POOL, KEY, 995), probes=none, before=none)
    lossy = simulation(Flow(ASSET, KEY, POOL, 1000), Flow(WETH, POOL, KEY, 900), probes=none, before=none)
    assert judge(fair).admitted
    assert failed(judge(lossy)) == {"reduce_only.loss"}


def test_falling_health_is_refused_even_if_debt_falls() -> None:
    assert failed(judge(repayment(paid=1, debt_after=99, health_after=WAD))) == {"reduce_only.health"}


def test_allowance_left_behind_is_refused() -> None:
    found = replace(repayment(), allowances=(AllowanceChange(WETH, KEY, DESK, 1),))
    assert failed(judge(found)) == {"reduce_only.allowance"}
    cleared = replace(
        found, allowances=(AllowanceChange(WETH, KEY, DESK, 1), AllowanceChange(WETH, KEY, DESK, 0))
    )
    assert judge(cleared).admitted


@pytest.mark.parametrize(
    "missing", ["class", "price", "stale price", "debt", "health of a debtor that gives up a receipt"]
)
def test_what_cannot_be_measured_is_refused(missing: str) -> None:
    found, rule = repayment(), RULE
    if missing == "class":
        found = replace(found, flows=(*found.flows, Flow(Address(b"\x99" * 20), KEY, POOL, 1)))
    elif missing == "price":
        found = replace(found, probes={**found.probes, FEEDS[0].label: None})
    elif missing == "stale price":
        found = replace(
            found, probes={**found.probes, FEEDS[0].label: price(NOW_S - LIMITS.oracle_age_s_max - 1)}
        )
    elif missing == "debt":
        found = replace(found, probes={**found.probes, DEBT_LABEL: None})
    else:
        rule = replace(RULE, health=())
        found = simulation(
            Flow(RECEIPT, KEY, DESK, 5), Flow(WETH, DESK, KEY, 5), probes=state(100, 0), before=state(100, 0)
        )
    verdict = judge(found, rule)
    assert not verdict.admitted
    assert any(m.measured is None for m in verdict.refusals)


def test_repaying_with_a_huge_overpayment_is_a_loss() -> None:
    assert "reduce_only.loss" in failed(judge(repayment(paid=100 + 5 * ETHER)))


PLACE = Comet(POOL, USD, FEED, (Collateral(WETH, FEED),))
WITH_PLACE = ReduceRule(CLASSES, (), (), FEEDS, (PLACE,))


def at_place(held: int, owed: int, *, broken: bool = False) -> dict[str, bytes | None]:
    """Prices of 1; WETH as collateral counts for 80 %."""
    info = words(0, int.from_bytes(WETH, "big"), int.from_bytes(FEED, "big"), 1, 0, 8 * 10**17, 0, 0)
    by: dict[tuple[Address, bytes], bytes | None] = {
        (POOL, selector("balanceOf(address)")): words(0),
        (POOL, selector("borrowBalanceOf(address)")): None if broken else words(owed),
        (POOL, selector("baseScale()")): words(1),
        (POOL, selector("baseTokenPriceFeed()")): words(int.from_bytes(FEED, "big")),
        (POOL, selector("getPrice(address)")): words(1),
        (POOL, selector("userCollateral(address,address)")): words(held, 0),
        (POOL, selector("getAssetInfoByAddress(address)")): info,
        (FEED, selector("latestRoundData()")): price(),
    }
    return answered(WITH_PLACE.probes(frozenset({KEY})), by)


def test_repaying_what_is_owed_at_a_lending_place_reduces() -> None:
    paid = simulation(Flow(USD, KEY, POOL, 40), probes=at_place(200, 60), before=at_place(200, 100))
    verdict = judge(paid, WITH_PLACE)
    assert verdict.admitted, verdict.explanation


@pytest.mark.parametrize(
    ("held", "owed", "flow", "refusals"),
    [
        (200, 140, Flow(USD, POOL, KEY, 40), {"nothing_rises", "something_falls", "health"}),
        (190, 100, Flow(WETH, POOL, KEY, 10), {"something_falls", "health"}),
        (200, 60, Flow(USD, KEY, POOL, 80), {"loss"}),
    ],
    ids=["borrows", "takes collateral away", "pays twice as much"],
)
def test_what_worsens_a_position_at_a_lending_place_is_refused(
    held: int, owed: int, flow: Flow, refusals: set[str]
) -> None:
    found = simulation(flow, probes=at_place(held, owed), before=at_place(200, 100))
    assert failed(judge(found, WITH_PLACE)) == {f"reduce_only.{name}" for name in refusals}


def test_a_lending_place_that_does_not_answer_is_refused() -> None:
    found = simulation(
        Flow(USD, KEY, POOL, 40), probes=at_place(200, 60, broken=True), before=at_place(200, 100)
    )
    assert failed(judge(found, WITH_PLACE)) == {"reduce_only.places"}


STAKE_POOL = Address(b"\x15" * 20)
WITH_STAKE = ReduceRule(CLASSES, (DEBT,), (HEALTH,), FEEDS, (), (Stake(STAKE_POOL, ASSET),))


def staking(debt: int, staked: int | None) -> dict[str, bytes | None]:
    (label,) = [p.label for p in WITH_STAKE.probes(frozenset(), (KEY,)) if p.target == STAKE_POOL]
    return state(debt, 3 * WAD) | {label: None if staked is None else word(staked)}


def test_a_stake_given_away_beside_a_repayment_is_a_loss() -> None:
    """What was staked passes through our address: by its own flows nothing happened."""
    through = (Flow(ASSET, STAKE_POOL, KEY, 500), Flow(ASSET, KEY, POOL, 500))
    repaid = Flow(WETH, KEY, DESK, 10)
    kept = simulation(repaid, probes=staking(90, 500), before=staking(100, 500))
    assert judge(kept, WITH_STAKE).admitted
    given = simulation(repaid, *through, probes=staking(90, 0), before=staking(100, 500))
    assert failed(judge(given, WITH_STAKE)) == {"reduce_only.loss"}


def test_a_stake_that_is_sold_reduces() -> None:
    flows = (
        Flow(ASSET, STAKE_POOL, KEY, 500),
        Flow(ASSET, KEY, POOL, 500),
        Flow(USD, POOL, KEY, 500),
    )
    sold = simulation(*flows, probes=staking(0, 0), before=staking(0, 500))
    verdict = judge(sold, WITH_STAKE)
    assert verdict.admitted, verdict.explanation


def test_a_stake_that_does_not_answer_is_refused() -> None:
    found = simulation(Flow(WETH, KEY, DESK, 10), probes=staking(90, None), before=staking(100, 500))
    assert failed(judge(found, WITH_STAKE)) == {"reduce_only.places"}
