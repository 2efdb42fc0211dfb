"""The registry of networks: facts about each chain, and how its finality and its EVM are judged.

Facts only, no addresses of protocols (those are in the address book) and no endpoints (those are
configuration). A user adds a chain as another `Network` in configuration, without code. A chain whose EVM
the native core does not model names its kind in `l2_kind`; simulation refuses there unless a remote judge
is configured. So does a chain, or a time, for which no hardfork is known: a guess would be simulated as
truth.

Activation times of hardforks are those of the clients' own genesis files and of the forks' announcements.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from seawall.primitives.errors import ConfigError, InputError, UnavailableError
from seawall.primitives.units import Address, address_from_text

__all__ = [
    "NETWORKS",
    "FinalityRule",
    "L2Kind",
    "Network",
    "Proofs",
    "ReceiptReads",
    "hardfork_at",
    "network_of",
    "require_local_judge",
]

DEPTH_MAX: Final = 100_000
# Twelve seconds are a block; beyond this a head is nonsense, or the clock of this machine is.
HEAD_AHEAD_S_MAX: Final = 900
# A development chain is moved through time by hand.
_ANY_TIME_S: Final = 2**40


class L2Kind(StrEnum):
    """A family of chains whose gas, precompiles or block numbers differ from Ethereum's."""

    OPTIMISM = "optimism"
    ARBITRUM = "arbitrum"
    POLYGON = "polygon"


class ReceiptReads(StrEnum):
    """How the receipts of a block are read."""

    BLOCK = "block"  # all of them by eth_getBlockReceipts, so that their root can be checked
    SINGLE = "single"  # ours alone, one by one in one batch; no root can be checked


class Proofs(StrEnum):
    """What of an endpoint's answers can be checked against the hash of a block."""

    NONE = "none"  # blocks are not hashed as Ethereum hashes them, or nobody said that they are
    HEADERS = "headers"  # the fields of a header
    RECEIPTS = "receipts"  # and all receipts of a block


@dataclass(frozen=True, slots=True)
class FinalityRule:
    """How safe and final are found: a block tag to ask for, or a depth behind the head [blocks]."""

    safe: str | int = "safe"
    final: str | int = "finalized"

    def __post_init__(self) -> None:
        for name, rule in (("safe", self.safe), ("final", self.final)):
            if isinstance(rule, int) and not 0 <= rule <= DEPTH_MAX:
                raise ConfigError(f"a depth of {rule} blocks", f"finality.{name}", f"give 0 to {DEPTH_MAX}")
            if isinstance(rule, str) and rule not in ("safe", "finalized"):
                raise ConfigError(
                    f"{rule[:40]!r} is not a tag", f"finality.{name}", "give safe, finalized or a depth"
                )


@dataclass(frozen=True, slots=True)
class Network:
    """One chain."""

    chain_id: int
    name: str
    native_symbol: str
    block_time_s: int  # usual time between blocks, rounded up [s]
    finality: FinalityRule
    explorer: str  # base address, or empty
    multicall: Address | None
    wrapped_native: Address | None
    l2_kind: L2Kind | None = None
    hardforks: tuple[tuple[int, str], ...] = ()  # (active from this block timestamp [s], name), ascending
    receipts: ReceiptReads = ReceiptReads.BLOCK
    proofs: Proofs = Proofs.NONE
    head_ahead_s_max: int = HEAD_AHEAD_S_MAX  # a head's timestamp may be this far after our clock [s]

    def __post_init__(self) -> None:
        where = f"networks.{self.chain_id}"
        if self.chain_id <= 0:
            raise ConfigError(f"chain id {self.chain_id}", where, "a chain id is positive")
        if not self.name or not self.native_symbol:
            raise ConfigError("name or native symbol is empty", where, "name the chain and its native token")
        if self.block_time_s <= 0:
            raise ConfigError(f"block time {self.block_time_s} s", where, "give at least 1 second")
        times = [time for time, _ in self.hardforks]
        if times != sorted(set(times)) or any(time < 0 for time in times):
            raise ConfigError(
                "hardfork times are not ascending", f"{where}.hardforks", "order them by activation time"
            )


def _network(
    chain_id: int,
    name: str,
    native_symbol: str,
    block_time_s: int,
    *,
    explorer: str,
    wrapped_native: str | None,
    finality: FinalityRule | None = None,
    multicall: bool = True,
    l2_kind: L2Kind | None = None,
    hardforks: tuple[tuple[int, str], ...] = (),
    receipts: ReceiptReads = ReceiptReads.BLOCK,
    proofs: Proofs = Proofs.NONE,
    head_ahead_s_max: int = HEAD_AHEAD_S_MAX,
) -> Network:
    return Network(
        chain_id,
        name,
        native_symbol,
        block_time_s,
        finality or FinalityRule(),
        explorer,
        _MULTICALL3 if multicall else None,
        address_from_text(wrapped_native) if wrapped_native else None,
        l2_kind,
        hardforks,
        receipts,
        proofs,
        head_ahead_s_max,
    )


_MULTICALL3: Final = address_from_text("0xcA11bde05977b3631167028862bE2a173976CA11")
_OP_WETH: Final = "0x4200000000000000000000000000000000000006"

_ALL: Final = (
    _network(
        1,
        "ethereum",
        "ETH",
        12,
        explorer="https://etherscan.io",
        wrapped_native="0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2",
        hardforks=(
            (1_663_224_179, "paris"),
            (1_681_338_455, "shanghai"),
            (1_710_338_135, "cancun"),
            (1_746_612_311, "prague"),
            (1_764_798_551, "osaka"),
        ),
        proofs=Proofs.RECEIPTS,
    ),
    _network(
        10,
        "optimism",
        "ETH",
        2,
        explorer="https://optimistic.etherscan.io",
        wrapped_native=_OP_WETH,
        l2_kind=L2Kind.OPTIMISM,
        proofs=Proofs.RECEIPTS,
    ),
    _network(
        137,
        "polygon",
        "POL",
        2,
        explorer="https://polygonscan.com",
        wrapped_native="0x0d500B1d8E8eF31E21C99d1Db9A6444d3ADf1270",
        # Bor answers `finalized` by milestones and has no `safe`.
        finality=FinalityRule(safe=32, final="finalized"),
        l2_kind=L2Kind.POLYGON,
        # A state sync from Ethereum adds a receipt that the root does not hold.
        proofs=Proofs.HEADERS,
    ),
    # Which rules are active on 138 and 651940 is for their operators to say, in configuration.
    _network(
        138,
        "defi-oracle-meta",
        "ETH",
        5,
        explorer="https://blockscout.defi-oracle.io",
        wrapped_native=None,
        finality=FinalityRule(safe=8, final=32),
        multicall=False,
    ),
    _network(
        8_453,
        "base",
        "ETH",
        2,
        explorer="https://basescan.org",
        wrapped_native=_OP_WETH,
        l2_kind=L2Kind.OPTIMISM,
        proofs=Proofs.RECEIPTS,
    ),
    _network(
        31_337,
        "devnet",
        "ETH",
        1,
        explorer="",
        wrapped_native=None,
        multicall=False,
        hardforks=((0, "prague"),),
        # anvil searches its whole history for each receipt of a block.
        receipts=ReceiptReads.SINGLE,
        head_ahead_s_max=_ANY_TIME_S,
    ),
    _network(
        42_161,
        "arbitrum",
        "ETH",
        1,
        explorer="https://arbiscan.io",
        wrapped_native="0x82aF49447D8a07e3bd95BD0d56f35241523fBab1",
        l2_kind=L2Kind.ARBITRUM,
        # Every block holds an internal transaction, and its receipt is not known here.
        proofs=Proofs.HEADERS,
    ),
    _network(
        651_940,
        "all",
        "ALL",
        5,
        explorer="https://alltra.global",
        wrapped_native=None,
        finality=FinalityRule(safe=8, final=32),
        multicall=False,
    ),
    _network(
        11_155_111,
        "sepolia",
        "ETH",
        12,
        explorer="https://sepolia.etherscan.io",
        wrapped_native="0xfFf9976782d46CC05630D1f6eBAb18b2324d6B14",
        hardforks=(
            (1_677_557_088, "shanghai"),
            (1_706_655_072, "cancun"),
            (1_741_159_776, "prague"),
            (1_760_427_360, "osaka"),
        ),
        proofs=Proofs.RECEIPTS,
    ),
)

NETWORKS: Final[Mapping[int, Network]] = MappingProxyType({network.chain_id: network for network in _ALL})


def network_of(chain_id: int, configured: Mapping[int, Network] = MappingProxyType({})) -> Network:
    """The network of `chain_id`: as configured by the user, else from the registry."""
    network = configured.get(chain_id) or NETWORKS.get(chain_id)
    if network is None:
        known = ", ".join(str(n) for n in sorted({*NETWORKS, *configured}))
        raise ConfigError(
            f"chain {chain_id} is not known",
            f"networks.{chain_id}",
            f"describe it there, or use one of {known}",
        )
    return network


def hardfork_at(network: Network, timestamp_s: int) -> str:
    """The rules in force at a block's timestamp."""
    active = [name for from_s, name in network.hardforks if from_s <= timestamp_s]
    if not active:
        raise InputError(
            f"no hardfork of {network.name} is known at {timestamp_s}",
            f"networks.{network.chain_id}.hardforks",
            "list it with its activation time",
        )
    return active[-1]


def require_local_judge(network: Network) -> None:
    """Raise unless the native EVM models this chain; a wrong gas rule would be judged as truth."""
    if network.l2_kind is not None:
        raise UnavailableError(
            f"the EVM of {network.name} ({network.l2_kind}) is not modelled, no remote judge is configured",
            f"networks.{network.chain_id}",
            "run strategies on a modelled chain; remote judges (eth_simulateV1) are not part of this version",
        )
    if not network.hardforks:
        raise UnavailableError(
            f"no hardfork of {network.name} is known",
            f"networks.{network.chain_id}.hardforks",
            "list the chain's rules with their activation times",
        )
