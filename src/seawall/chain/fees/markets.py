"""How each network's base fee moves, and the defaults of bidding there.

    network              next base fee                        most it rises a block     least priority fee
    Ethereum, devnet,    exact by EIP-1559: target 1/2,       1/8                       0.01 gwei
    generic              denominator 8
    OP stack (Base,      exact; target and denominator are    by the header, else 2 %   0.000001 gwei
    Optimism)            in the parent's extraData, the
                         least base fee too
    Polygon              the producer's choice within         1/16                      25 gwei: the node's
                         bounds: the node's word is taken                               own pool takes no less
    Arbitrum             ArbOS prices its backlog: the        1/8, a bound of ours      0: it is not paid out
                         node's word is taken

Sources: EIP-1559; OP stack specifications (Canyon, Holocene, Jovian execution engine); bor's parameters
(Delhi, Bhilai and Dandeli forks), whose denominator only grew since; ArbOS documentation.

Operators set ceilings in configuration; what they leave out comes from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from seawall.chain.networks import L2Kind, Network
from seawall.primitives.errors import ConfigError
from seawall.primitives.levels import Priority
from seawall.primitives.units import BPS, ceil_div

__all__ = [
    "ETHEREUM_MARKET",
    "FeeMarket",
    "FeeSettings",
    "fee_settings_of",
    "highest_base_fee_after",
    "market_of",
    "market_of_header",
    "next_base_fee",
]

VALIDITY_BLOCKS_MAX: Final = 64
HEADROOM_BPS_MAX: Final = 100_000
_GWEI: Final = 10**9
# OP stack extraData: version 0 (Holocene) has 9 bytes, version 1 (Jovian) 17.
_HOLOCENE_BYTES: Final = 9
_JOVIAN_BYTES: Final = 17


@dataclass(frozen=True, slots=True)
class FeeMarket:
    """EIP-1559 with this chain's parameters. The gas target is `target_numerator / target_denominator` of the
    gas limit. Where the rule is not `exact`, the parameters only bound what the node says."""

    change_denominator: int = 8
    target_numerator: int = 1
    target_denominator: int = 2
    least_base_fee_wei: int = 0
    exact: bool = True
    in_header: bool = False  # the parent's extraData says the parameters

    @property
    def is_legible(self) -> bool:
        return self.change_denominator > 0 and 0 < self.target_numerator <= self.target_denominator


@dataclass(frozen=True, slots=True)
class FeeSettings:
    """Ceilings are the operator's; the defaults suit Ethereum. Percentiles are of what recent blocks paid, by
    `Priority`: critical, high, normal, low."""

    max_fee_per_gas_ceiling_wei: int = 300 * _GWEI
    priority_fee_floor_wei: int = _GWEI // 100
    priority_fee_ceiling_wei: int = 5 * _GWEI
    percentiles: tuple[int, int, int, int] = (90, 75, 50, 20)
    validity_blocks: int = 5
    headroom_bps: int = 15_000  # what replacements may reach, of what is signed first

    def __post_init__(self) -> None:
        floor_wei, ceiling_wei = self.priority_fee_floor_wei, self.priority_fee_ceiling_wei
        if not 0 <= floor_wei <= ceiling_wei <= self.max_fee_per_gas_ceiling_wei:
            raise ConfigError(
                "floor and ceilings are not ascending", "fees", "order: floor, priority ceiling, fee ceiling"
            )
        critical, high, normal, low = self.percentiles
        if not 0 <= low <= normal <= high <= critical <= 100:
            raise ConfigError(
                f"percentiles {list(self.percentiles)}",
                "fees.percentiles",
                "give 0 to 100, and the more urgent class never the lower one",
            )
        if not 1 <= self.validity_blocks <= VALIDITY_BLOCKS_MAX:
            raise ConfigError(
                f"{self.validity_blocks} blocks", "fees.validity_blocks", f"give 1 to {VALIDITY_BLOCKS_MAX}"
            )
        if not BPS <= self.headroom_bps <= HEADROOM_BPS_MAX:
            raise ConfigError(
                f"headroom of {self.headroom_bps} bps",
                "fees.headroom_bps",
                f"give {BPS} (no replacement may cost more) to {HEADROOM_BPS_MAX}",
            )

    def percentile(self, priority: Priority) -> int:
        return self.percentiles[priority]


ETHEREUM_MARKET: Final = FeeMarket()
_OPTIMISM_MARKET: Final = FeeMarket(250, 1, 6, in_header=True)
_POLYGON_MARKET: Final = FeeMarket(16, exact=False)
_ARBITRUM_MARKET: Final = FeeMarket(exact=False)

_ETHEREUM_SETTINGS: Final = FeeSettings()
_OPTIMISM_SETTINGS: Final = FeeSettings(
    priority_fee_floor_wei=_GWEI // 1_000_000, priority_fee_ceiling_wei=2 * _GWEI
)
_POLYGON_SETTINGS: Final = FeeSettings(
    max_fee_per_gas_ceiling_wei=3_000 * _GWEI,
    priority_fee_floor_wei=25 * _GWEI,
    priority_fee_ceiling_wei=300 * _GWEI,
)
_ARBITRUM_SETTINGS: Final = FeeSettings(priority_fee_floor_wei=0, priority_fee_ceiling_wei=0)

_BY_KIND: Final[dict[L2Kind | None, tuple[FeeMarket, FeeSettings]]] = {
    None: (ETHEREUM_MARKET, _ETHEREUM_SETTINGS),
    L2Kind.OPTIMISM: (_OPTIMISM_MARKET, _OPTIMISM_SETTINGS),
    L2Kind.POLYGON: (_POLYGON_MARKET, _POLYGON_SETTINGS),
    L2Kind.ARBITRUM: (_ARBITRUM_MARKET, _ARBITRUM_SETTINGS),
}


def market_of(network: Network) -> FeeMarket:
    return _BY_KIND[network.l2_kind][0]


def fee_settings_of(network: Network) -> FeeSettings:
    """The defaults of bidding on this network."""
    return _BY_KIND[network.l2_kind][1]


def market_of_header(market: FeeMarket, extra_data: bytes) -> FeeMarket:
    """`market` with what an OP stack parent's extraData says; as it is where that says nothing legible."""
    if not market.in_header or len(extra_data) not in (_HOLOCENE_BYTES, _JOVIAN_BYTES):
        return market
    if extra_data[0] != (len(extra_data) == _JOVIAN_BYTES):
        return market
    said = FeeMarket(
        change_denominator=int.from_bytes(extra_data[1:5], "big"),
        target_denominator=int.from_bytes(extra_data[5:9], "big"),
        least_base_fee_wei=int.from_bytes(extra_data[9:], "big"),
        in_header=True,
    )
    return said if said.is_legible else market


def next_base_fee(market: FeeMarket, base_fee_wei: int, gas_used: int, gas_limit: int) -> int:
    """The base fee of the block after one with these figures, by EIP-1559 [wei]."""
    target = gas_limit * market.target_numerator // market.target_denominator
    if target == 0 or gas_used == target:
        return max(base_fee_wei, market.least_base_fee_wei)
    change_wei = base_fee_wei * abs(gas_used - target) // target // market.change_denominator
    following_wei = base_fee_wei + max(change_wei, 1) if gas_used > target else base_fee_wei - change_wei
    return max(following_wei, market.least_base_fee_wei)


def highest_base_fee_after(base_fee_wei: int, blocks: int, market: FeeMarket = ETHEREUM_MARKET) -> int:
    """The most that `blocks` full blocks can make of a base fee, each rise rounded up [wei]."""
    assert base_fee_wei >= 0
    assert 0 <= blocks <= VALIDITY_BLOCKS_MAX
    over_target = market.target_denominator - market.target_numerator
    divisor = market.target_numerator * market.change_denominator
    highest_wei = max(base_fee_wei, market.least_base_fee_wei)
    for _ in range(blocks):
        highest_wei += max(ceil_div(highest_wei * over_target, divisor), 1)
    return highest_wei
