"""How long an answer may take, by kind of operation, and whether it is worth asking a second endpoint early.

The kind of a batch is the slowest kind of its methods.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from types import MappingProxyType
from typing import Final, Protocol

__all__ = [
    "CALL_TIMEOUT_S",
    "CONNECT_TIMEOUT_S",
    "HEAD_TIMEOUT_S",
    "PROBE_TIMEOUT_S",
    "READ_TIMEOUT_S",
    "SLOW_TIMEOUT_S",
    "TRACE_TIMEOUT_S",
    "Kind",
    "kind_of",
    "timeout_s",
]

CONNECT_TIMEOUT_S: Final = 3.0
# Of a look whether an endpoint is there again.
PROBE_TIMEOUT_S: Final = 1.0
HEAD_TIMEOUT_S: Final = 3.0
READ_TIMEOUT_S: Final = 5.0
CALL_TIMEOUT_S: Final = 10.0
SLOW_TIMEOUT_S: Final = 30.0
TRACE_TIMEOUT_S: Final = 60.0


class Kind(IntEnum):
    """Kinds of operation, the slower the higher."""

    HEAD = 0  # blocks by number, tag or hash, and what names the chain
    READ = 1  # an account, a slot, a transaction, a receipt
    CALL = 2  # the node runs the EVM
    SLOW = 3  # whole blocks of receipts, ranges of logs
    TRACE = 4  # a block is run again


_TIMEOUTS_S: Final = (HEAD_TIMEOUT_S, READ_TIMEOUT_S, CALL_TIMEOUT_S, SLOW_TIMEOUT_S, TRACE_TIMEOUT_S)
_KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "eth_chainId": Kind.HEAD,
        "eth_blockNumber": Kind.HEAD,
        "eth_getBlockByNumber": Kind.HEAD,
        "eth_getBlockByHash": Kind.HEAD,
        "eth_call": Kind.CALL,
        "eth_estimateGas": Kind.CALL,
        "eth_createAccessList": Kind.CALL,
        "eth_simulateV1": Kind.CALL,
        "eth_getLogs": Kind.SLOW,
        "eth_feeHistory": Kind.SLOW,
        "eth_getBlockReceipts": Kind.SLOW,
        "debug_traceTransaction": Kind.TRACE,
        "debug_traceCall": Kind.TRACE,
        "trace_block": Kind.TRACE,
    }
)


class _Request(Protocol):
    @property
    def method(self) -> str: ...


def kind_of(requests: Sequence[_Request]) -> Kind:
    """The slowest kind among `requests`."""
    if len(requests) == 1:
        return _KINDS.get(requests[0].method, Kind.READ)
    return max([_KINDS.get(method, Kind.READ) for method in {request.method for request in requests}])


def timeout_s(requests: Sequence[_Request]) -> float:
    """Until the whole answer to `requests` is there [s]."""
    return _TIMEOUTS_S[kind_of(requests)]
