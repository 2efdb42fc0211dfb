"""What an operator says about one endpoint: what it is used for, how much of the reads it takes, and what its
provider allows.

A provider counts requests, or *units*: a price list by method, each call of a batch for itself. The prices
here are of the usual order; an endpoint's own table goes before them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from seawall.chain.endpoints import Endpoint

__all__ = ["UNITS", "UNITS_OF_OTHERS", "EndpointSettings", "Use"]

# Units of one call, by method [units].
UNITS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "eth_chainId": 0,
        "eth_blockNumber": 10,
        "eth_gasPrice": 20,
        "eth_feeHistory": 10,
        "eth_call": 26,
        "eth_estimateGas": 87,
        "eth_createAccessList": 40,
        "eth_simulateV1": 100,
        "eth_getBlockReceipts": 500,
        "eth_getLogs": 75,
        "eth_sendRawTransaction": 40,
        "debug_traceTransaction": 310,
        "debug_traceCall": 310,
    }
)
UNITS_OF_OTHERS: Final = 20


class Use(StrEnum):
    """What an endpoint is asked for."""

    READ = "read"
    SEND = "send"
    BOTH = "both"

    @property
    def reads(self) -> bool:
        return self is not Use.SEND

    @property
    def sends(self) -> bool:
        return self is not Use.READ


@dataclass(frozen=True, slots=True)
class EndpointSettings:
    """One endpoint as it is configured. A limit of 0 is none."""

    endpoint: Endpoint
    use: Use = Use.BOTH
    requests_per_s: int = 0  # calls, each one of a batch counted
    units_per_s: int = 0
    weight: int = 1  # its share of the reads, against the others'
    units: Mapping[str, int] = field(default_factory=dict)  # by method, before `UNITS` [units]

    def units_of(self, method: str) -> int:
        """What one call of `method` costs here [units]."""
        units = self.units.get(method)
        return UNITS.get(method, UNITS_OF_OTHERS) if units is None else units
