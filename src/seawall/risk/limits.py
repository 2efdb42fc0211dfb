"""Limits of risk: configuration of what may be lost or used. Engineering bounds are in `primitives.bounds`.

Layers combine by taking the tighter side: a plan may ask for less than the configuration allows, never for
more."""

from __future__ import annotations

from dataclasses import dataclass, field

from seawall.primitives.units import Address

__all__ = ["OurAddresses", "RiskLimits"]


@dataclass(frozen=True, slots=True)
class RiskLimits:
    """What the operator allows, for every plan of a chain."""

    slippage_bps_max: int = 50
    max_fee_per_gas_wei: int = 500 * 10**9
    oracle_age_s_max: int = 3_600
    position_caps: dict[Address, int] = field(
        default_factory=dict
    )  # per token [smallest unit]; unlisted: refused
    key_balance_min_wei: int = 0
    reduce_loss_bps: int = 100
    validity_blocks: int = 3
    validity_s: int = 30


@dataclass(frozen=True, slots=True)
class OurAddresses:
    """Addresses of ours on one chain: what flows between them is not lost."""

    holders: frozenset[Address]
    wrapped_native: Address | None
