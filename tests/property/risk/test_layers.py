"""Layers for any limits: no layer ever loosens, order does not matter, and whatever `loosenings` does not
tell of admits nothing that was refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from seawall.primitives.units import Address
from seawall.risk.layers import Layer, LayerKind, Limited, LimitSet, Scalar, effective, loosenings, scalars_of
from seawall.risk.limits import RiskLimits

TOKENS = [Address(bytes([n]) * 20) for n in (1, 2, 3)]
TOKEN_SETS = st.frozensets(st.sampled_from(TOKENS))
SETS = st.builds(
    LimitSet,
    st.dictionaries(st.sampled_from(Scalar), st.integers(0, 12)),
    st.dictionaries(st.sampled_from(TOKENS), st.integers(0, 12)),
    st.none() | TOKEN_SETS,
    TOKEN_SETS,
)
LAYERS = st.lists(
    st.builds(Layer, st.just(LayerKind.STRATEGY), st.sampled_from("abc"), SETS),
    max_size=3,
    unique_by=lambda one: one.name,
)


def base_of(says: LimitSet) -> RiskLimits:
    plain = RiskLimits(position_caps=dict(says.position_caps), tokens_denied=says.tokens_denied)
    whole = effective(
        replace(plain, slippage_bps_max=12, position_loss_max=12, ltv_bps_max=12),
        [Layer(LayerKind.GLOBAL, "", says)],
    )
    return whole.limits


def admits_more(one: RiskLimits, other: RiskLimits) -> bool:
    """Whether `one` admits anything that `other` refuses."""
    mine, theirs = scalars_of(one), scalars_of(other)
    if any(name.is_tighter(theirs[name], mine[name]) for name in Scalar):
        return True
    if any(cap > other.position_caps.get(token, -1) for token, cap in one.position_caps.items()):
        return True

    def passes(limits: RiskLimits, token: Address) -> bool:
        return token not in limits.tokens_denied and (
            limits.tokens_allowed is None or token in limits.tokens_allowed
        )

    return any(passes(one, token) and not passes(other, token) for token in TOKENS)


@given(SETS, LAYERS)
def test_no_layer_ever_loosens(says: LimitSet, layers: list[Layer]) -> None:
    base = base_of(says)
    assert not admits_more(effective(base, layers).limits, base)


@given(SETS, LAYERS)
def test_the_order_of_layers_changes_no_limit(says: LimitSet, layers: list[Layer]) -> None:
    base = base_of(says)
    assert effective(base, layers).limits == effective(base, layers[::-1]).limits


@given(SETS, LAYERS)
def test_every_limit_names_the_layer_that_binds_it(says: LimitSet, layers: list[Layer]) -> None:
    base = base_of(says)
    found = effective(base, layers)
    told: Mapping[str, int | None] = {name.value: value for name, value in scalars_of(found.limits).items()}
    said = {layer.label: layer.says for layer in layers}
    for name, binding in found.binding.items():
        if binding in said and name in told:
            assert said[binding].scalars[Scalar(name)] == told[name]


@given(SETS, LAYERS, SETS, LAYERS)
def test_limits_that_loosen_nothing_admit_nothing_new(
    old_base: LimitSet, old_layers: list[Layer], new_base: LimitSet, new_layers: list[Layer]
) -> None:
    old, new = Limited(base_of(old_base), tuple(old_layers)), Limited(base_of(new_base), tuple(new_layers))
    assert loosenings(old, old) == ()
    if not loosenings(old, new):
        assert not admits_more(effective(new.base, new.layers).limits, effective(old.base, old.layers).limits)
