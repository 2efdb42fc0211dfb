"""What is said of one relay."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from seawall.chain.endpoints import Endpoint
from seawall.primitives.secrets import Secret

__all__ = ["ANSWER_TIMEOUT_S", "Dialect", "RelaySettings"]

ANSWER_TIMEOUT_S: Final = 3.0


class Dialect(StrEnum):
    """How a relay is spoken to."""

    FLASHBOTS = "flashbots"  # and every builder that takes eth_sendBundle
    MEV_SHARE = "mev_share"
    BLOXROUTE = "bloxroute"
    PRIVATE_RPC = "private_rpc"  # an endpoint that keeps what it is sent by eth_sendRawTransaction


@dataclass(frozen=True, slots=True)
class RelaySettings:
    """One relay, which may answer at several addresses: all of them are given everything."""

    name: str
    dialect: Dialect
    endpoints: tuple[Endpoint, ...]
    is_bundle: bool
    builders: tuple[str, ...] = ()  # to whom it shall pass things on; empty: its own default
    authorization: Secret | None = None  # value of the header of that name
    answer_timeout_s: float = ANSWER_TIMEOUT_S
