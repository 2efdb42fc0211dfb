"""Limits of risk: configuration of what may be lost or used. Engineering bounds are in `primitives.bounds`.

Layers combine by taking the tighter side: a plan may ask for less than the configuration allows, never for
more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from seawall.primitives.units import NATIVE, ZERO_ADDRESS, Address
from seawall.protocols.safe.known import FALLBACK_HANDLER
from seawall.protocols.sequencer import UptimeTerms
from seawall.risk.claims import ClaimPlace
from seawall.risk.lending import LendingPlace
from seawall.risk.shares import ShareOf
from seawall.risk.volatility import VolatilityRule

__all__ = [
    "ChainFacts",
    "ExposureLimit",
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

    above: int  # [units of the feeds times risk.prices.VALUE_SCALE]
    feeds: tuple[PriceFeed, ...]


@dataclass(frozen=True, slots=True)
class ExposureLimit:
    """The most that tokens and lending places together may be of all that we have."""

    name: str
    members: frozenset[Address]  # tokens, receipts, and places whose positions are no tokens
    share_bps_max: int


@dataclass(frozen=True, slots=True)
class ChainFacts:
    """What guards know of a chain, whatever is allowed there."""

    prices: tuple[PriceFeed, ...] = ()
    receipts: tuple[Address, ...] = ()  # tokens that stand for what is lent; they may grow by themselves
    debts: tuple[Address, ...] = ()  # tokens that stand for what is owed
    lending: tuple[LendingPlace, ...] = ()
    sequencer: UptimeTerms | None = None
    multicall: Address | None = None  # answers native balances to probes
    private_keys: frozenset[Address] = frozenset()  # whose lanes never carry public traffic
    wrapped_native: Address | None = None
    shares: tuple[ShareOf, ...] = ()  # tokens whose worth follows from others'
    positions: frozenset[Address] = frozenset()  # answer balances, and log no transfers
    position_debts: frozenset[Address] = frozenset()  # those of them that stand for what is owed
    claims: tuple[ClaimPlace, ...] = ()  # stakes and queues, which no token stands for

    def feed_of(self, token: Address) -> PriceFeed | None:
        """Native and wrapped native have one price, whichever of them has a feed."""
        wanted = (NATIVE, self.wrapped_native) if token in (NATIVE, self.wrapped_native) else (token,)
        return next((feed for feed in self.prices if feed.token in wanted), None)

    def share_of(self, token: Address) -> ShareOf | None:
        return next((share for share in self.shares if share.token == token), None)


@dataclass(frozen=True, slots=True)
class RiskLimits:
    """What the operator allows, for every plan of a chain.

    *Value* is in units of the chain's feeds, times `risk.prices.VALUE_SCALE`."""

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
    oracle_deviation_bps_max: int = 200  # of a feed from a market, where a plan asks
    twap_deviation_bps_max: int = 300  # of a pool's price from its average, where a plan asks
    price_impact_bps_max: int = 100  # of a plan on a pool, where it asks
    ltv_bps_max: int = 8_000
    health_factor_min_wad: int = 105 * 10**16
    exposures: tuple[ExposureLimit, ...] = ()
    tokens_allowed: frozenset[Address] | None = None  # None: all that are not denied
    tokens_denied: frozenset[Address] = frozenset()
    mev_value_max: int | None = (
        None  # that a sandwich could take from a public plan [value]; None: not judged
    )
    position_loss_max: int | None = None  # of a position plan, fees included [value]; None: refused
    chain_checks: bool = False  # executor plans check on chain what their guards ask
    volatility: VolatilityRule | None = None  # by which limits tighten; None: they stay
    facts: ChainFacts = ChainFacts()


@dataclass(frozen=True, slots=True)
class OurAddresses:
    """Addresses of ours on one chain: what flows between them is not lost."""

    holders: frozenset[Address]
    wrapped_native: Address | None
