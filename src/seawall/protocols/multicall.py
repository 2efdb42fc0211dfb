"""Multicall3: many reads in one call, each allowed to revert for itself."""

from __future__ import annotations

from collections.abc import Sequence

from seawall.native import abi_decode, encode_call
from seawall.primitives.blocks import Read
from seawall.primitives.errors import EncodingError, ProtocolError

__all__ = ["aggregate3_answers", "aggregate3_call"]


def aggregate3_call(reads: Sequence[Read]) -> bytes:
    """The call that asks all of `reads`, in their order."""
    calls = tuple((read.target, True, read.calldata) for read in reads)
    return encode_call("aggregate3((address,bool,bytes)[])", (calls,))


def aggregate3_answers(reads: Sequence[Read], returned: bytes) -> dict[str, bytes | None]:
    """What the call returned, by label; None where a read reverted."""
    try:
        (results,) = abi_decode(("(bool,bytes)[]",), returned)
    except EncodingError as error:
        raise _malformed(f"the answer does not decode: {error.what}") from error
    if not isinstance(results, tuple) or len(results) != len(reads):
        raise _malformed(f"the answer does not hold {len(reads)} results")
    answers: dict[str, bytes | None] = {}
    for read, result in zip(reads, results, strict=True):
        if isinstance(result, tuple) and len(result) == 2:
            succeeded, data = result
            if isinstance(succeeded, bool) and isinstance(data, bytes):
                answers[read.label] = data if succeeded else None
                continue
        raise _malformed(f"the result of {read.label!r} is not (success, data)")
    return answers


def _malformed(what: str) -> ProtocolError:
    return ProtocolError(
        what=what,
        where="aggregate3",
        fix="check that Multicall3 is deployed at the target and that these are the reads that were asked",
    )
