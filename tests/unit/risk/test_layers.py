"""Layers of limits: each holds for its plans, the tighter side binds, and what loosens is told (GD-3)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from seawall.primitives.levels import Authority
from seawall.primitives.plans import DirectBody, ExecutorBody, Plan
from seawall.primitives.simulations import Flow
from seawall.primitives.units import NATIVE, Address
from seawall.protocols.sequencer import UptimeTerms
from seawall.risk.evidence import Evidence
from seawall.risk.gate import Gate
from seawall.risk.layers import Layer, LayerKind, Limited, LimitSet, Scalar, effective, loosenings
from seawall.risk.lending import AavePool
from seawall.risk.limits import ChainFacts, ExposureLimit, MultisigRule, OurAddresses, PriceFeed, RiskLimits
from seawall.risk.reduce import ReduceRule
from seawall.risk.volatility import VolatilityRule
from tests.builders.messages import (
    EXECUTOR,
    FEED,
    GWEI,
    KEY,
    NOW_S,
    POOL,
    TREASURY,
    USD,
    WETH,
    candidate,
    direct_plan,
    executor_plan,
    simulation,
)

OTHER = Address(b"\x0f" * 20)
DOLLARS = ExposureLimit("dollars", frozenset({USD}), 2_500)
BASE = RiskLimits(position_caps={WETH: 100, USD: 50}, position_loss_max=9)


def layer(
    kind: LayerKind,
    *addresses: Address,
    name: str = "x",
    caps: dict[Address, int] | None = None,
    **scalars: int,
) -> Layer:
    said = {Scalar(key): value for key, value in scalars.items()}
    return Layer(kind, name, LimitSet(said, caps or {}), frozenset(addresses))


def calling(data: bytes) -> Plan:
    return replace(direct_plan(), body=DirectBody(WETH, data))


def running(operations: bytes) -> Plan:
    return replace(executor_plan(), body=ExecutorBody(EXECUTOR, TREASURY, operations, (), 0))


@pytest.mark.parametrize(
    ("one", "plan", "holds"),
    [
        (layer(LayerKind.CHAIN), direct_plan(), True),
        (layer(LayerKind.STRATEGY, name="keeper"), direct_plan(), True),
        (layer(LayerKind.STRATEGY, name="other"), direct_plan(), False),
        (layer(LayerKind.SIGNER, KEY), direct_plan(), True),
        (layer(LayerKind.SIGNER, OTHER), direct_plan(), False),
        (layer(LayerKind.PROTOCOL, WETH, OTHER), direct_plan(), True),
        (layer(LayerKind.PROTOCOL, OTHER), calling(b"\x00" * 16 + OTHER), True),
        (layer(LayerKind.PROTOCOL, OTHER), running(b"\x01" + OTHER + b"\x00"), True),
        (layer(LayerKind.PROTOCOL, OTHER), running(b"\x01" + OTHER[:-1]), False),
        (layer(LayerKind.DEAL, EXECUTOR), executor_plan(), True),
        (layer(LayerKind.DEAL, TREASURY), executor_plan(), True),
        (layer(LayerKind.DEAL, OTHER), executor_plan(), False),
        (layer(LayerKind.DEAL, EXECUTOR), direct_plan(), False),
    ],
)
def test_a_layer_holds_for_the_plans_that_it_is_about(one: Layer, plan: Plan, holds: bool) -> None:
    assert one.holds(plan) is holds


def test_the_tighter_side_binds_whichever_layer_says_it() -> None:
    found = effective(
        BASE,
        [
            layer(LayerKind.CHAIN, name="one", slippage_bps=40, health_factor_min=2 * 10**18),
            layer(LayerKind.STRATEGY, slippage_bps=45, health_factor_min=10**18, mev_value=7),
            layer(LayerKind.SIGNER, slippage_bps=40, key_balance_min=3),
        ],
    )
    assert found.limits.slippage_bps_max == 40
    assert found.limits.health_factor_min_wad == 2 * 10**18
    assert found.limits.mev_value_max == 7
    assert found.limits.key_balance_min_wei == 3
    assert found.binding["slippage_bps"] == "chain one"  # said first, and as tight
    assert found.binding["mev_value"] == "strategy x"
    assert found.binding["ltv_bps"] == "default"
    assert found.binding["position_loss"] == "global"
    assert found.limits.validity_s == BASE.validity_s


def test_a_layer_cannot_open_what_is_closed() -> None:
    closed = replace(BASE, position_loss_max=None)
    found = effective(
        closed, [layer(LayerKind.STRATEGY, position_loss=5, caps={NATIVE: 5, WETH: 70, USD: 60})]
    )
    assert found.limits.position_loss_max is None
    assert found.limits.position_caps == {WETH: 70, USD: 50}
    assert {key: value for key, value in found.binding.items() if key.startswith("position ")} == {
        f"position {address}": binding
        for address, binding in (
            ("0x0404040404040404040404040404040404040404", "strategy x"),
            ("0x0505050505050505050505050505050505050505", "global"),
        )
    }


def test_lists_meet_denials_and_groups_add_up() -> None:
    allow = LimitSet(
        tokens_allowed=frozenset({WETH, OTHER}), tokens_denied=frozenset({USD}), exposures=(DOLLARS,)
    )
    found = effective(
        replace(BASE, tokens_allowed=frozenset({WETH, USD})), [Layer(LayerKind.DEAL, "one", allow)]
    )
    assert found.limits.tokens_allowed == frozenset({WETH})
    assert found.limits.tokens_denied == {USD}
    assert found.limits.exposures == (DOLLARS,)
    assert found.binding["exposure dollars"] == "deal one"


def test_a_multisig_limit_of_a_layer_is_valued_by_the_chain_s_feeds() -> None:
    feeds = (PriceFeed(WETH, FEED, 18, 8),)
    with_feeds = replace(BASE, facts=ChainFacts(prices=feeds))
    found = effective(with_feeds, [layer(LayerKind.SIGNER, multisig_above=4)])
    assert found.limits.multisig == MultisigRule(4, feeds)
    assert effective(with_feeds, []).limits == with_feeds


def test_the_gate_judges_each_plan_by_the_layers_that_hold_for_it() -> None:
    tight = layer(LayerKind.STRATEGY, name="keeper", max_fee_per_gas_gwei=GWEI, validity_s=5)
    limits = RiskLimits(position_caps={NATIVE: 10**18, WETH: 10**18})
    ours = OurAddresses(frozenset({KEY, EXECUTOR, TREASURY}), WETH)
    gate = Gate(limits, ours, ReduceRule({}, (), (), ()), layers=(tight,))
    who = candidate(direct_plan())
    verdict = gate.judge(Evidence(who, simulation(), ours, limits, NOW_S), Authority.RUN)
    (found,) = [one for one in verdict.measurements if one.guard == "gas_price"]
    assert (found.limit, found.passed, verdict.valid_until_s) == (GWEI, False, NOW_S + 5)
    free = candidate(replace(direct_plan(), strategy="other"))
    verdict = gate.judge(
        Evidence(free, simulation(Flow(NATIVE, POOL, KEY, 1)), ours, limits, NOW_S), Authority.RUN
    )
    assert verdict.admitted
    assert verdict.valid_until_s == NOW_S + 30


OLD = Limited(
    replace(
        BASE,
        tokens_allowed=frozenset({WETH}),
        tokens_denied=frozenset({USD}),
        exposures=(DOLLARS,),
        volatility=VolatilityRule(POOL, 100),
        chain_checks=True,
        facts=ChainFacts(lending=(AavePool(POOL),), sequencer=UptimeTerms(FEED)),
    ),
    (layer(LayerKind.PROTOCOL, POOL, OTHER, slippage_bps=10, caps={WETH: 5}),),
)


def test_nothing_changed_and_everything_tightened_needs_no_authority() -> None:
    assert loosenings(OLD, OLD) == ()
    base = replace(
        OLD.base,
        slippage_bps_max=1,
        health_factor_min_wad=2 * 10**18,
        position_caps={WETH: 99},
        position_loss_max=None,
        mev_value_max=4,
        tokens_denied=frozenset({USD, OTHER}),
        exposures=(replace(DOLLARS, share_bps_max=1, members=frozenset({USD, WETH})),),
    )
    more = (*OLD.layers, layer(LayerKind.STRATEGY, slippage_bps=1))
    assert loosenings(OLD, Limited(base, more)) == ()


@pytest.mark.parametrize(
    ("base", "told"),
    [
        (replace(OLD.base, slippage_bps_max=51), "limits: slippage_bps from 50 to 51"),
        (replace(OLD.base, health_factor_min_wad=10**18), "limits: health_factor_min"),
        (replace(OLD.base, position_loss_max=10), "limits: position_loss from 9 to 10"),
        (replace(OLD.base, position_caps={WETH: 101, USD: 50}), "cap of 0x04"),
        (replace(OLD.base, position_caps={WETH: 100, USD: 50, NATIVE: 1}), "cap of native from nothing to 1"),
        (replace(OLD.base, tokens_allowed=None), "more tokens are allowed"),
        (replace(OLD.base, tokens_allowed=frozenset({WETH, OTHER})), "more tokens are allowed"),
        (replace(OLD.base, tokens_denied=frozenset()), "no longer denied"),
        (replace(OLD.base, exposures=()), "exposure 'dollars'"),
        (replace(OLD.base, exposures=(replace(DOLLARS, share_bps_max=2_501),)), "exposure 'dollars'"),
        (replace(OLD.base, exposures=(replace(DOLLARS, members=frozenset({WETH})),)), "exposure 'dollars'"),
        (replace(OLD.base, volatility=None), "volatility"),
        (replace(OLD.base, chain_checks=False), "check on chain"),
        (replace(OLD.base, facts=replace(OLD.base.facts, lending=())), "lending place"),
        (replace(OLD.base, facts=replace(OLD.base.facts, sequencer=None)), "sequencer"),
        (replace(OLD.base, facts=replace(OLD.base.facts, private_keys=frozenset({KEY}))), "private"),
    ],
)
def test_what_loosens_the_base_is_told(base: RiskLimits, told: str) -> None:
    (found,) = loosenings(OLD, Limited(base, OLD.layers))
    assert told in found


@pytest.mark.parametrize(
    ("layers", "told"),
    [
        ((), "the layer of protocol x is gone"),
        ((layer(LayerKind.PROTOCOL, POOL, OTHER, caps={WETH: 5}),), "slippage_bps from 10 to nothing"),
        ((layer(LayerKind.PROTOCOL, POOL, OTHER, slippage_bps=11, caps={WETH: 5}),), "from 10 to 11"),
        ((layer(LayerKind.PROTOCOL, POOL, OTHER, slippage_bps=10, caps={WETH: 6}),), "cap of 0x04"),
        ((layer(LayerKind.PROTOCOL, POOL, OTHER, slippage_bps=10),), "cap of 0x04"),
        ((layer(LayerKind.PROTOCOL, POOL, slippage_bps=10, caps={WETH: 5}),), "no longer holds for 0x0f"),
    ],
)
def test_what_loosens_a_layer_is_told(layers: tuple[Layer, ...], told: str) -> None:
    (found,) = loosenings(OLD, Limited(OLD.base, layers))
    assert told in found
