"""Limits in layers (SPEC GD-3): global, chain, protocol, strategy, signer, deal.

A layer says what it wants to say and nothing else. All layers that hold for a plan combine by the tighter
side of each limit; no layer can loosen what another one says, and no plan can loosen any of them. `effective`
answers the limits and, for each of them, the layer that binds.

A protocol's layer holds for every plan in whose bytes one of the protocol's addresses stands. That can hold
for too many plans, which is the safe side; a contract that a plan reaches without naming it has to be listed
by what the plan does name (a factory, for its pools).

`loosenings` compares two whole configurations of one chain: what it lists needs authority (a restart by
whoever may restart, today); an empty answer means that the new limits may come into force at once.
`standing_of` is what it compares, in a form that can be kept (`limit_records`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from seawall.primitives.plans import DirectBody, Plan
from seawall.primitives.units import NATIVE, Address, address_text
from seawall.risk.limits import ExposureLimit, MultisigRule, RiskLimits

__all__ = [
    "DEFAULT",
    "Effective",
    "Footing",
    "Layer",
    "LayerKind",
    "LimitSet",
    "Limited",
    "Scalar",
    "Standing",
    "effective",
    "loosened",
    "loosenings",
    "scalars_of",
    "standing_of",
]

DEFAULT: Final = "default"
_BASE: Final = "limits"


class LayerKind(StrEnum):
    """The wider first."""

    GLOBAL = "global"
    CHAIN = "chain"
    PROTOCOL = "protocol"
    STRATEGY = "strategy"
    SIGNER = "signer"
    DEAL = "deal"


class Scalar(StrEnum):
    """Limits that are one number, by the name that the configuration gives them."""

    SLIPPAGE_BPS = "slippage_bps"
    MAX_FEE_PER_GAS = "max_fee_per_gas_gwei"
    ORACLE_AGE_S = "oracle_age_s"
    ORACLE_DEVIATION_BPS = "oracle_deviation_bps"
    TWAP_DEVIATION_BPS = "twap_deviation_bps"
    PRICE_IMPACT_BPS = "price_impact_bps"
    LTV_BPS = "ltv_bps"
    HEALTH_FACTOR_MIN = "health_factor_min"
    KEY_BALANCE_MIN = "key_balance_min"
    REDUCE_LOSS_BPS = "reduce_loss_bps"
    MEV_VALUE = "mev_value"
    POSITION_LOSS = "position_loss"
    MULTISIG_ABOVE = "multisig_above"
    VALIDITY_BLOCKS = "validity_blocks"
    VALIDITY_S = "validity_s"

    @property
    def decimals(self) -> int:
        """Of the amount that the configuration writes; 0 for whole numbers."""
        return _DECIMALS.get(self, 0)

    @property
    def is_minimum(self) -> bool:
        return self in (Scalar.HEALTH_FACTOR_MIN, Scalar.KEY_BALANCE_MIN)

    @property
    def is_closed(self) -> bool:
        """Where nobody says anything, nothing is admitted; of all others, everything."""
        return self is Scalar.POSITION_LOSS

    def is_tighter(self, one: int | None, other: int | None) -> bool:
        """Whether `one` is strictly tighter than `other`; None where nothing is said."""
        if one is None or other is None:
            return one != other and (one is None) is self.is_closed
        return one > other if self.is_minimum else one < other


_DECIMALS: Final = {
    Scalar.MAX_FEE_PER_GAS: 9,
    Scalar.KEY_BALANCE_MIN: 18,
    Scalar.HEALTH_FACTOR_MIN: 18,
    Scalar.MEV_VALUE: 18,
    Scalar.POSITION_LOSS: 18,
    Scalar.MULTISIG_ABOVE: 18,
}


@dataclass(frozen=True, slots=True)
class LimitSet:
    """What one layer says."""

    scalars: Mapping[Scalar, int] = field(default_factory=dict)
    position_caps: Mapping[Address, int] = field(default_factory=dict)  # only of tokens that are open
    tokens_allowed: frozenset[Address] | None = None  # None: says nothing
    tokens_denied: frozenset[Address] = frozenset()
    exposures: tuple[ExposureLimit, ...] = ()


@dataclass(frozen=True, slots=True)
class Layer:
    """A set of limits and the plans for which it holds."""

    kind: LayerKind
    name: str
    says: LimitSet
    addresses: frozenset[Address] = frozenset()  # a protocol's contracts, a signer's key, a deal's accounts

    @property
    def label(self) -> str:
        return self.kind.value if self.kind is LayerKind.GLOBAL else f"{self.kind.value} {self.name}"

    def holds(self, plan: Plan) -> bool:
        if self.kind is LayerKind.STRATEGY:
            return plan.strategy == self.name
        if self.kind is LayerKind.SIGNER:
            return plan.key in self.addresses
        body = plan.body
        if self.kind is LayerKind.DEAL:
            paid = () if isinstance(body, DirectBody) else (body.beneficiary,)
            return not self.addresses.isdisjoint((plan.key, plan.target, *paid))
        if self.kind is LayerKind.PROTOCOL:
            content = body.calldata if isinstance(body, DirectBody) else body.operations
            return any(one == plan.target or content.find(one) >= 0 for one in self.addresses)
        return True  # global, and the chain's own: a gate is of one chain


@dataclass(frozen=True, slots=True)
class Footing:
    """What limits stand on beside numbers. Rules and places are told in full, as text."""

    chain_checks: bool = False
    volatility: str = ""  # empty: none
    lending: frozenset[str] = frozenset()
    sequencer: str = ""  # empty: none
    private_keys: frozenset[Address] = frozenset()


@dataclass(frozen=True, slots=True)
class Standing:
    """All of one chain's limits that can be looser or tighter than others."""

    base: LimitSet
    footing: Footing
    layers: tuple[Layer, ...]


@dataclass(frozen=True, slots=True)
class Limited:
    """Everything that the configuration limits on one chain."""

    base: RiskLimits  # what no layer speaks of, and the facts
    layers: tuple[Layer, ...] = ()


@dataclass(frozen=True, slots=True)
class Effective:
    """Limits in force for one plan, and which layer binds each: by `Scalar`, or by token or group."""

    limits: RiskLimits
    binding: Mapping[str, str]


def effective(base: RiskLimits, layers: Sequence[Layer]) -> Effective:
    """The tighter side of everything that is said. `layers` hold, the wider first: at equality it binds."""
    scalars = scalars_of(base)
    caps = dict(base.position_caps)
    allowed, denied, exposures = base.tokens_allowed, base.tokens_denied, base.exposures
    stated, standard = LayerKind.GLOBAL.value, scalars_of(RiskLimits())
    binding = {
        name.value: DEFAULT if value == standard[name] else stated
        for name, value in scalars.items()
        if value is not None
    }
    binding |= {_cap_name(token): stated for token in caps}
    binding |= {f"exposure {one.name}": stated for one in exposures}
    if allowed is not None:
        binding["tokens_allowed"] = stated
    for layer in layers:
        says = layer.says
        for name, value in says.scalars.items():
            if name.is_tighter(value, scalars[name]):
                scalars[name], binding[name.value] = value, layer.label
        for token, cap in says.position_caps.items():
            if token in caps and cap < caps[token]:
                caps[token], binding[_cap_name(token)] = cap, layer.label
        if says.tokens_allowed is not None:
            allowed = says.tokens_allowed if allowed is None else allowed & says.tokens_allowed
            binding["tokens_allowed"] = layer.label
        denied |= says.tokens_denied
        exposures += says.exposures
        binding |= {f"exposure {one.name}": layer.label for one in says.exposures}
    limits = replace(
        _with_scalars(base, scalars),
        position_caps=caps,
        tokens_allowed=allowed,
        tokens_denied=denied,
        exposures=exposures,
    )
    return Effective(limits, binding)


def scalars_of(limits: RiskLimits) -> dict[Scalar, int | None]:
    """By name; None where there is no limit."""
    return {
        Scalar.SLIPPAGE_BPS: limits.slippage_bps_max,
        Scalar.MAX_FEE_PER_GAS: limits.max_fee_per_gas_wei,
        Scalar.ORACLE_AGE_S: limits.oracle_age_s_max,
        Scalar.ORACLE_DEVIATION_BPS: limits.oracle_deviation_bps_max,
        Scalar.TWAP_DEVIATION_BPS: limits.twap_deviation_bps_max,
        Scalar.PRICE_IMPACT_BPS: limits.price_impact_bps_max,
        Scalar.LTV_BPS: limits.ltv_bps_max,
        Scalar.HEALTH_FACTOR_MIN: limits.health_factor_min_wad,
        Scalar.KEY_BALANCE_MIN: limits.key_balance_min_wei,
        Scalar.REDUCE_LOSS_BPS: limits.reduce_loss_bps,
        Scalar.MEV_VALUE: limits.mev_value_max,
        Scalar.POSITION_LOSS: limits.position_loss_max,
        Scalar.MULTISIG_ABOVE: None if limits.multisig is None else limits.multisig.above,
        Scalar.VALIDITY_BLOCKS: limits.validity_blocks,
        Scalar.VALIDITY_S: limits.validity_s,
    }


def loosenings(old: Limited, new: Limited) -> tuple[str, ...]:
    """What the new limits of a chain admit and the old ones did not, in words; empty: nothing.

    Layers are compared one by one, so that moving a limit from one layer into another counts as loosening
    the first: whoever asks for authority too often errs on the right side."""
    return loosened(standing_of(old), standing_of(new))


def standing_of(limited: Limited) -> Standing:
    base = limited.base
    footing = Footing(
        base.chain_checks,
        "" if base.volatility is None else repr(base.volatility),
        frozenset(map(repr, base.facts.lending)),
        "" if base.facts.sequencer is None else repr(base.facts.sequencer),
        base.facts.private_keys,
    )
    return Standing(_set_of(base), footing, limited.layers)


def loosened(old: Standing, new: Standing) -> tuple[str, ...]:
    """As `loosenings`, of what was kept of limits."""
    found = _loosened_sets(_BASE, old.base, new.base)
    found += _loosened_footing(old.footing, new.footing)
    known = {(layer.kind, layer.name): layer for layer in new.layers}
    for layer in old.layers:
        later = known.get((layer.kind, layer.name))
        if later is None:
            found.append(f"the layer of {layer.label} is gone")
            continue
        found += _loosened_sets(layer.label, layer.says, later.says)
        found += [
            f"{layer.label} no longer holds for {address_text(address)}"
            for address in sorted(layer.addresses - later.addresses)
        ]
    return tuple(found)


def _loosened_sets(where: str, old: LimitSet, new: LimitSet) -> list[str]:
    found = []
    for name in Scalar:
        before, after = old.scalars.get(name), new.scalars.get(name)
        if _is_loosened(name, before, after, is_base=where == _BASE):
            found.append(f"{where}: {name} from {_said(before)} to {_said(after)}")
    for token in sorted({*old.position_caps, *new.position_caps}):
        was, now = old.position_caps.get(token), new.position_caps.get(token)
        # In the base an unlisted token is refused; in a layer it is one of which nothing is said.
        opens = was is None and where == _BASE
        lifts = was is not None and (now > was if now is not None else where != _BASE)
        if opens or lifts:
            found.append(f"{where}: cap of {_token(token)} from {_said(was)} to {_said(now)}")
    if old.tokens_allowed is not None and (
        new.tokens_allowed is None or not new.tokens_allowed <= old.tokens_allowed
    ):
        found.append(f"{where}: more tokens are allowed")
    found += [
        f"{where}: {_token(one)} is no longer denied" for one in sorted(old.tokens_denied - new.tokens_denied)
    ]
    later = {one.name: one for one in new.exposures}
    for group in old.exposures:
        after_group = later.get(group.name)
        if (
            after_group is None
            or after_group.share_bps_max > group.share_bps_max
            or not group.members <= after_group.members
        ):
            found.append(f"{where}: exposure {group.name!r} is wider or gone")
    return found


def _is_loosened(name: Scalar, before: int | None, after: int | None, *, is_base: bool) -> bool:
    """A layer that says nothing tightens nothing; a base may close by saying nothing."""
    if not is_base and (before is None or after is None):
        return before is not None
    return name.is_tighter(before, after)


def _loosened_footing(old: Footing, new: Footing) -> list[str]:
    found = []
    if old.chain_checks and not new.chain_checks:
        found.append("plans need no longer check on chain what their guards ask")
    if old.volatility and old.volatility != new.volatility:
        found.append("limits no longer follow volatility as they did")
    if old.lending - new.lending:
        found.append("a lending place is no longer watched")
    if old.sequencer and old.sequencer != new.sequencer:
        found.append("the sequencer is watched otherwise, or no longer")
    if new.private_keys - old.private_keys:
        found.append("more keys count as private")
    return found


def _set_of(limits: RiskLimits) -> LimitSet:
    return LimitSet(
        {name: value for name, value in scalars_of(limits).items() if value is not None},
        limits.position_caps,
        limits.tokens_allowed,
        limits.tokens_denied,
        limits.exposures,
    )


def _with_scalars(base: RiskLimits, scalars: Mapping[Scalar, int | None]) -> RiskLimits:
    def number(name: Scalar) -> int:
        value = scalars[name]
        assert value is not None, "what the base says, layers only tighten"
        return value

    above = scalars[Scalar.MULTISIG_ABOVE]
    return replace(
        base,
        slippage_bps_max=number(Scalar.SLIPPAGE_BPS),
        max_fee_per_gas_wei=number(Scalar.MAX_FEE_PER_GAS),
        oracle_age_s_max=number(Scalar.ORACLE_AGE_S),
        oracle_deviation_bps_max=number(Scalar.ORACLE_DEVIATION_BPS),
        twap_deviation_bps_max=number(Scalar.TWAP_DEVIATION_BPS),
        price_impact_bps_max=number(Scalar.PRICE_IMPACT_BPS),
        ltv_bps_max=number(Scalar.LTV_BPS),
        health_factor_min_wad=number(Scalar.HEALTH_FACTOR_MIN),
        key_balance_min_wei=number(Scalar.KEY_BALANCE_MIN),
        reduce_loss_bps=number(Scalar.REDUCE_LOSS_BPS),
        mev_value_max=scalars[Scalar.MEV_VALUE],
        position_loss_max=scalars[Scalar.POSITION_LOSS],
        multisig=_multisig(base, above),
        validity_blocks=number(Scalar.VALIDITY_BLOCKS),
        validity_s=number(Scalar.VALIDITY_S),
    )


def _multisig(base: RiskLimits, above: int | None) -> MultisigRule | None:
    if above is None or (base.multisig is not None and base.multisig.above == above):
        return base.multisig
    return MultisigRule(above, base.facts.prices if base.multisig is None else base.multisig.feeds)


def _cap_name(token: Address) -> str:
    return f"position {_token(token)}"


def _token(token: Address) -> str:
    return "native" if token == NATIVE else address_text(token)


def _said(value: int | None) -> str:
    return "nothing" if value is None else str(value)
