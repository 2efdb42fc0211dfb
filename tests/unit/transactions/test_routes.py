"""Which way a candidate goes, and how relays do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from seawall.primitives.errors import ConfigError, PlanError
from seawall.primitives.routes import Routing
from seawall.primitives.simulations import Flow
from seawall.primitives.units import NATIVE, Address, Hash
from seawall.telemetry.metrics import MetricLabels, Metrics
from seawall.transactions.routes import (
    PROBE_EVERY,
    PUBLIC,
    RATE_LEAST,
    RATE_OVER,
    RelayRoute,
    RoutePolicy,
    Routes,
    is_bundle,
    is_private,
    relay_of,
)
from tests.builders.messages import CHAIN_ID, ETHER, KEY, POOL, USD, WETH, candidate, direct_plan

BUILDER, OTHER = RelayRoute("builder", True), RelayRoute("other", False)
THRESHOLDS = {NATIVE: 10 * ETHER, USD: 30_000}
MIXED = RoutePolicy((BUILDER, OTHER), THRESHOLDS, WETH, is_mixed=True)
SEPARATE = replace(MIXED, is_mixed=False)


def flow(token: Address, amount: int) -> Flow:
    return Flow(token, POOL, KEY, amount)


def route(policy: RoutePolicy, *flows: Flow, value_wei: int = 0, routing: Routing | None = None) -> str:
    plan = replace(direct_plan(value_wei=value_wei), routing=routing)
    return Routes(policy).route_of(candidate(plan), flows)


def test_text_of_a_route_says_its_relay_and_how() -> None:
    assert [is_private(PUBLIC), is_private(BUILDER.route), is_private(OTHER.route)] == [False, True, True]
    assert [is_bundle(BUILDER.route), is_bundle(OTHER.route)] == [True, False]
    assert [relay_of(BUILDER.route), relay_of(OTHER.route)] == ["builder", "other"]


@pytest.mark.parametrize(
    ("flows", "value_wei", "private"),
    [
        ((), 10 * ETHER, False),
        ((), 10 * ETHER + 1, True),
        ((flow(WETH, 10 * ETHER + 1),), 0, True),
        ((flow(WETH, 6 * ETHER), flow(WETH, 6 * ETHER)), 0, False),
        ((flow(USD, 30_001),), 0, True),
        ((flow(POOL, 2**255),), 0, False),
    ],
)
def test_largest_single_movement_over_its_threshold_goes_privately(
    flows: tuple[Flow, ...], value_wei: int, private: bool
) -> None:
    assert route(MIXED, *flows, value_wei=value_wei) == (BUILDER.route if private else PUBLIC)


def test_plan_may_ask_for_a_private_route_and_never_for_a_public_one_above_the_threshold() -> None:
    assert route(MIXED, routing=Routing(private=True)) == BUILDER.route
    assert route(MIXED, value_wei=11 * ETHER, routing=Routing()) == BUILDER.route


def test_lane_kept_for_private_traffic_carries_everything_privately() -> None:
    assert route(replace(SEPARATE, private_keys=frozenset({KEY}))) == BUILDER.route


@pytest.mark.parametrize("asks", [{"value_wei": 11 * ETHER}, {"routing": Routing(private=True)}])
def test_what_must_go_privately_from_a_lane_of_public_traffic_is_refused(asks: dict[str, object]) -> None:
    with pytest.raises(PlanError, match="is for public traffic"):
        route(SEPARATE, **asks)  # type: ignore[arg-type]


def test_without_relays_value_goes_publicly_and_a_wish_is_not_dropped_silently() -> None:
    assert route(RoutePolicy(thresholds=THRESHOLDS), value_wei=100 * ETHER) == PUBLIC
    with pytest.raises(PlanError, match="configure a relay"):
        route(RoutePolicy(), routing=Routing(private=True))


def ended(routes: Routes, *landed: bool) -> None:
    for each in landed:
        number = ended.__dict__.setdefault("count", 0)
        ended.__dict__["count"] = number + 1
        routes.count(Hash(number.to_bytes(32, "big")), BUILDER.route, CHAIN_ID, landed=each)


def test_rate_says_nothing_before_it_is_of_enough() -> None:
    routes = Routes(MIXED)
    ended(routes, *[False] * (RATE_LEAST - 1))
    assert (routes.success_bps("builder"), routes.news) == (None, [])


def test_falling_rate_is_told_once_and_the_relay_passed_over_until_it_recovers() -> None:
    routes = Routes(MIXED)
    plan = replace(direct_plan(), routing=Routing(private=True))
    ended(routes, *[False] * (RATE_LEAST + 3))
    assert [one.kind for one in routes.news] == ["relay.success_fell"]
    chosen = [routes.route_of(candidate(plan), ()) for _ in range(PROBE_EVERY)]
    assert chosen == [OTHER.route] * (PROBE_EVERY - 1) + [BUILDER.route], "and tried now and then"
    ended(routes, *[True] * RATE_OVER)
    assert [one.kind for one in routes.news] == ["relay.success_fell", "relay.success_recovered"]
    assert routes.route_of(candidate(plan), ()) == BUILDER.route


def test_first_end_of_an_attempt_counts_and_no_other() -> None:
    metrics = Metrics(MetricLabels(relays=("builder",)))
    routes = Routes(MIXED, metrics)
    for landed in (False, True, True):
        routes.count(Hash(b"\x01" * 32), BUILDER.route, CHAIN_ID, landed=landed)
    routes.count(Hash(b"\x02" * 32), PUBLIC, CHAIN_ID, landed=True)
    text = metrics.render().decode()
    assert 'seawall_private_missed_total{relay="builder"} 1.0' in text
    assert 'seawall_private_landed_total{relay="builder"} 0.0' in text


def test_rate_is_recalled_at_a_start_without_being_news_and_nothing_counts_twice() -> None:
    metrics = Metrics(MetricLabels(relays=("builder",)))
    routes = Routes(MIXED, metrics)
    hashes = [Hash(bytes([number]) * 32) for number in range(RATE_LEAST)]
    routes.recall([(each, BUILDER.route, number == 0) for number, each in enumerate(hashes)])
    assert (routes.success_bps("builder"), routes.news) == (10_000 // RATE_LEAST, [])
    assert f'seawall_relay_success_ratio{{relay="builder"}} {1 / RATE_LEAST}' in metrics.render().decode()
    plan = replace(direct_plan(), routing=Routing(private=True))
    assert routes.route_of(candidate(plan), ()) == OTHER.route, "it is passed over at once"
    routes.count(hashes[1], BUILDER.route, CHAIN_ID, landed=True)
    assert routes.success_bps("builder") == 10_000 // RATE_LEAST


@pytest.mark.parametrize(
    "wrong", [{"window_blocks": 0}, {"window_blocks": 1_001}, {"success_bps_min": 10_001}]
)
def test_policy_out_of_bounds_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        RoutePolicy(**wrong)  # type: ignore[arg-type]
