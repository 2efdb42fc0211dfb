"""Limits of risk: configuration of what may be lost or used. Engineering bounds are in `primitives.bounds`.

Layers combine by taking the tighter side: a plan may ask for less than the configuration allows, never for
more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from seawall.primitives.units import ZERO_ADDRESS, Address
from seawall.protocols.safe.known import FALLBACK_HANDLER

__all__ = [
    "MultisigRule",
    "OurAddresses",
    "PriceFeed",
    "RiskLimits",
    "SafePolicy",
    "SignerPolicy",
    "TargetRule",
]


@dataclass(frozen=True, slots=True)
class PriceFeed:
    """A Chainlink-style feed that prices one token. `token_decimals` and `feed_decimals` scale its answer."""

    token: Address
    feed: Address
    token_decimals: int
    feed_decimals: int

    @property
    def label(self) -> str:
        """Of its read."""
        return f"price:{self.feed.hex()}"


@dataclass(frozen=True, slots=True)
class TargetRule:
    """One contract that a signer may call, and with what."""

    target: Address
    selectors: frozenset[bytes] | None  # of 4 bytes; None: any call


@dataclass(frozen=True, slots=True)
class SignerPolicy:
    """What one key may do on one chain (SPEC TX-10). What it may spend an hour and a day stands in
    `risk.spending`: there several keys may share one limit."""

    signer: str
    fee_max_wei: int  # of one transaction, replacements and data fee included
    value_max_wei: int  # of one transaction; 0: it sends none
    gas_limit_max: int
    balance_min_wei: int = 0  # that the key keeps
    any_target: bool = False
    targets: tuple[TargetRule, ...] = ()
    recipients: frozenset[Address] = frozenset()  # of plain transfers, without calldata


@dataclass(frozen=True, slots=True)
class SafePolicy:
    """What the operator allows one Safe, and how it must stand to be used at all."""

    name: str
    chain_id: int
    safe: Address
    threshold_min: int = 1
    modules: frozenset[Address] = frozenset()  # that may be enabled; they act without signatures
    guard: Address = ZERO_ADDRESS
    fallback_handler: Address = FALLBACK_HANDLER
    rule_changes: bool = False  # whether it may call itself: owners, threshold, modules, guard
    any_target: bool = False
    targets: tuple[TargetRule, ...] = ()
    recipients: frozenset[Address] = frozenset()  # of plain transfers, without calldata
    position_caps: Mapping[Address, int] = field(default_factory=dict)  # of one transaction


@dataclass(frozen=True, slots=True)
class MultisigRule:
    """Above this value a key does not send alone (SPEC TX-10)."""

    above: int  # [units of the feeds times risk.reduce.VALUE_SCALE]
    feeds: tuple[PriceFeed, ...]


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
    policies: Mapping[Address, SignerPolicy] = field(default_factory=dict)  # by key
    multisig: MultisigRule | None = None  # of plans of keys; a Safe's own transactions are not under it


@dataclass(frozen=True, slots=True)
class OurAddresses:
    """Addresses of ours on one chain: what flows between them is not lost."""

    holders: frozenset[Address]
    wrapped_native: Address | None
