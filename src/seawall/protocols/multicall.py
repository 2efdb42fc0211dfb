"""Multicall3: many reads in one call, each allowed to revert for itself."""

from __future__ import annotations

from collections.abc import Sequence

from seawall.native.wire import aggregate3_calldata, aggregate3_results
from seawall.primitives.blocks import Read
from seawall.primitives.errors import EncodingError, ProtocolError

__all__ = ["aggregate3_answers", "aggregate3_call"]


def aggregate3_call(reads: Sequence[Read]) -> bytes:
    """The call that asks all of `reads`, in their order."""
    return aggregate3_calldata([(read.target, read.calldata) for read in reads])


def aggregate3_answers(reads: Sequence[Read], returned: bytes) -> dict[str, bytes | None]:
    """What the call returned, by label; None where a read reverted."""
    try:
        results = aggregate3_results(returned, len(reads))
    except EncodingError as error:
        raise ProtocolError(error.what, error.where, error.fix) from error
    return dict(zip([read.label for read in reads], results, strict=True))
