"""Limits as kept text: what comes back is compared as what was kept."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from seawall.primitives.errors import InputError
from seawall.primitives.units import Address
from seawall.protocols.sequencer import UptimeTerms
from seawall.risk.layers import Layer, LayerKind, Limited, LimitSet, Scalar, loosened, standing_of
from seawall.risk.lending import AavePool
from seawall.risk.limit_records import digest_of, standing_from, text_of
from seawall.risk.limits import ChainFacts, ExposureLimit, RiskLimits
from seawall.risk.volatility import VolatilityRule
from tests.builders.messages import FEED, KEY, POOL, USD, WETH

DOLLARS = ExposureLimit("dollars", frozenset({USD}), 2_500)
FULL = Limited(
    RiskLimits(
        position_caps={WETH: 2**200, USD: 50},
        tokens_allowed=frozenset({WETH, USD}),
        tokens_denied=frozenset({FEED}),
        exposures=(DOLLARS,),
        volatility=VolatilityRule(POOL, 100),
        chain_checks=True,
        facts=ChainFacts(
            lending=(AavePool(POOL),),
            sequencer=UptimeTerms(FEED, 3_600),
            private_keys=frozenset({KEY}),
        ),
    ),
    (
        Layer(LayerKind.STRATEGY, "one", LimitSet({Scalar.SLIPPAGE_BPS: 10})),
        Layer(LayerKind.PROTOCOL, "two", LimitSet({}, {WETH: 7}), frozenset({POOL})),
    ),
)


def test_what_was_kept_is_what_comes_back_and_loosens_nothing() -> None:
    text = text_of(standing_of(FULL))
    restored = standing_from(text)
    assert text_of(restored) == text
    assert loosened(restored, standing_of(FULL)) == ()
    assert loosened(standing_of(FULL), restored) == ()


def test_order_of_layers_and_caps_makes_no_other_digest() -> None:
    turned = Limited(
        replace(FULL.base, position_caps=dict(reversed(FULL.base.position_caps.items()))), FULL.layers[::-1]
    )
    assert digest_of(text_of(standing_of(turned))) == digest_of(text_of(standing_of(FULL)))


def test_every_loosening_is_found_against_kept_limits() -> None:
    kept = standing_from(text_of(standing_of(FULL)))
    bare = Limited(RiskLimits(position_caps={WETH: 2**200 + 1, USD: 50}), ())
    found = " | ".join(loosened(kept, standing_of(bare)))
    for words in (
        "cap of",
        "more tokens are allowed",
        "no longer denied",
        "exposure 'dollars'",
        "volatility",
        "lending place",
        "sequencer",
        "on chain",
        "layer of strategy one is gone",
        "layer of protocol two is gone",
    ):
        assert words in found
    assert "private" not in found
    more = replace(FULL.base, facts=replace(FULL.base.facts, private_keys=frozenset({KEY, Address(POOL)})))
    assert loosened(kept, standing_of(Limited(more, FULL.layers))) == ("more keys count as private",)


def test_limits_of_another_release_are_read_without_what_is_gone() -> None:
    document = json.loads(text_of(standing_of(FULL)))
    document["base"]["scalars"]["of_old"] = 1
    assert loosened(standing_from(json.dumps(document)), standing_of(FULL)) == ()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format":2}', '{"format":1,"base":3}'])
def test_text_that_is_none_of_ours_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="not limits"):
        standing_from(text)
