"""What the configuration says, as the kernel reads it: frozen, checked, paths absolute, amounts in their
smallest unit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Final

from seawall.chain.addresses import AddressBook
from seawall.chain.client import StateCheck
from seawall.chain.endpoints import Endpoint
from seawall.chain.fees import FeeSettings
from seawall.chain.networks import Network
from seawall.chain.pool.settings import EndpointSettings
from seawall.primitives.units import Address, address_text
from seawall.protocols.sequencer import UptimeTerms
from seawall.risk.layers import Layer
from seawall.risk.lending import LendingPlace
from seawall.risk.limits import PriceFeed, RiskLimits, SafePolicy, SignerPolicy
from seawall.risk.shares import ShareOf
from seawall.risk.spending import SpendCap
from seawall.runtime.caching import CacheSettings
from seawall.runtime.configuration.logs import KeptLogs
from seawall.runtime.configuration.pending import PendingSettings
from seawall.runtime.configuration.relays import PrivateSettings, RelayAccess
from seawall.runtime.hosts.settings import HostSettings
from seawall.runtime.places import LATCH_NAME, PID_NAME, SOCKET_NAME
from seawall.signers.kinds import KeyKind
from seawall.signers.opening import key_address
from seawall.telemetry.logs import LogSettings
from seawall.transactions.policies import MovePolicy, StuckPolicies

__all__ = [
    "OWN_BOOK",
    "OWN_KEY",
    "ROTATION_DAYS",
    "BudgetSettings",
    "ChainSettings",
    "Configuration",
    "KernelSettings",
    "Mode",
    "OwnGuardSettings",
    "PolicySettings",
    "SafeSettings",
    "SignerSettings",
    "StrategySettings",
    "SubmitterSettings",
]

# Stands for the address of the signer in the settings of a strategy.
OWN_KEY: Final = "@key"
# Stands for the chain's address book, as JSON.
OWN_BOOK: Final = "@book"
ROTATION_DAYS: Final = 90


class Mode(StrEnum):
    """What becomes of a strategy's plans. Both take the same path; a dry run ends at the verdict."""

    LIVE = "live"
    DRY_RUN = "dry_run"


@dataclass(frozen=True, slots=True)
class KernelSettings:
    """Where the kernel keeps its things and how it is reached. The HTTP server is for this machine only."""

    data: Path
    ledger_url: str = field(repr=False)  # may hold a password
    listen_host: str
    listen_port: int  # 0: any free port
    lease_ttl_s: int

    @property
    def latch_file(self) -> Path:
        return self.data / LATCH_NAME

    @property
    def pid_file(self) -> Path:
        return self.data / PID_NAME

    @property
    def socket_file(self) -> Path:
        return self.data / SOCKET_NAME


@dataclass(frozen=True, slots=True)
class ChainSettings:
    network: Network
    endpoints: tuple[EndpointSettings, ...]
    websocket: Endpoint | None
    poll_interval_s: float
    lane_unlanded_max: int  # transactions of one lane that may wait in pools
    batch_plans_max: int  # executor plans of one lane that may go in one transaction
    agreement: int  # how many of `readers` must say the same
    verify_state: StateCheck
    fees: FeeSettings
    emergency_max_fee_per_gas_wei: int
    stuck: StuckPolicies
    moves: MovePolicy
    book: AddressBook
    executor: Address | None
    accounts: tuple[Address, ...] = ()  # that hold positions of ours, and run plans of their own
    prices: tuple[PriceFeed, ...] = ()  # by which REDUCE_ONLY values what moves
    health: tuple[Address, ...] = ()  # protocols that answer healthFactor(address)
    lending: tuple[LendingPlace, ...] = ()  # where positions may lie
    shares: tuple[ShareOf, ...] = ()  # tokens whose worth follows from others'
    sequencer: UptimeTerms | None = None  # the uptime feed of a roll-up
    relays: tuple[RelayAccess, ...] = ()  # the first is preferred
    private: PrivateSettings = PrivateSettings()  # noqa: RUF009  (frozen)
    pending: tuple[PendingSettings, ...] = ()  # feeds of what comes before a block
    logs: tuple[KeptLogs, ...] = ()  # gathered and followed
    book_file: Path | None = None  # the project's own; None: `book` is the one that ships with Seawall

    @property
    def readers(self) -> tuple[EndpointSettings, ...]:
        """Whom the pool asks."""
        return tuple(each for each in self.endpoints if each.use.reads)

    @property
    def senders(self) -> tuple[EndpointSettings, ...]:
        """To whom signed bytes are written."""
        return tuple(each for each in self.endpoints if each.use.sends)

    @property
    def rpc(self) -> tuple[Endpoint, ...]:
        return tuple(each.endpoint for each in self.readers)

    @property
    def send(self) -> tuple[Endpoint, ...]:
        return tuple(each.endpoint for each in self.senders)


@dataclass(frozen=True, slots=True)
class PolicySettings:
    """What a signer may do on one chain, and spend there an hour and a day."""

    policy: SignerPolicy
    caps: tuple[SpendCap, ...]


@dataclass(frozen=True, slots=True)
class BudgetSettings:
    """One spend limit of a chain over several signers together."""

    name: str
    chain_id: int
    signers: tuple[str, ...]
    caps: tuple[SpendCap, ...]


@dataclass(frozen=True, slots=True)
class SignerSettings:
    name: str
    key: KeyKind
    policies: Mapping[int, PolicySettings] = field(default_factory=dict)  # by chain id
    since: date | None = None  # in use since; None: not known
    rotation_days: int = ROTATION_DAYS  # 0: never

    def address(self) -> Address:
        """Known without opening the key; `SignerError` for a keystore that cannot be read."""
        return key_address(self.name, self.key)


@dataclass(frozen=True, slots=True)
class StrategySettings:
    """`settings` holds what the file says, with names of the address book resolved; `@key` waits for its
    key.
    """

    name: str
    path: str  # "package.module:Class"
    chain_id: int
    signer: str
    mode: Mode
    host: str
    settings: Mapping[str, object]

    def settings_json(self, key: Address) -> str:
        """What the strategy's class is given: its settings, its chain, and the address of its signer."""
        address = address_text(key)
        own = {name: _with_key(value, address) for name, value in self.settings.items()}
        return json.dumps({**own, "chain_id": self.chain_id, "key": address})


@dataclass(frozen=True, slots=True)
class SubmitterSettings:
    """Who may hand in plans over the kernel's socket: the strategy name they stand under, and their lanes."""

    name: str
    chain_id: int
    signers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SafeSettings:
    """A Safe of ours: what it may do, and the signer whose lane sends its transactions."""

    policy: SafePolicy
    signer: str


@dataclass(frozen=True, slots=True)
class OwnGuardSettings:
    """A guard that the operator wrote. `settings` holds what the file says, names resolved."""

    name: str
    path: str  # "package.module:Class"
    chain_id: int
    settings: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Configuration:
    """Everything that one kernel runs with."""

    file: Path
    kernel: KernelSettings
    logs: LogSettings
    hosts: HostSettings
    chains: tuple[ChainSettings, ...]
    signers: tuple[SignerSettings, ...]
    strategies: tuple[StrategySettings, ...]
    limits: Mapping[int, RiskLimits]  # by chain id, before any layer
    submitters: tuple[SubmitterSettings, ...] = ()
    budgets: tuple[BudgetSettings, ...] = ()
    safes: tuple[SafeSettings, ...] = ()
    cache: CacheSettings = CacheSettings()  # noqa: RUF009  (frozen)
    layers: Mapping[int, tuple[Layer, ...]] = field(default_factory=dict)  # by chain id; signers without keys
    own_guards: tuple[OwnGuardSettings, ...] = ()


def _with_key(value: object, address: str) -> object:
    if isinstance(value, list):
        return [_with_key(item, address) for item in value]
    if isinstance(value, dict):
        return {name: _with_key(item, address) for name, item in value.items()}
    return address if value == OWN_KEY else value
