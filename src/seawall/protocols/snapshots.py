"""Many reads of many contracts at one block: through Multicall3 where the chain has it, one by one where not.

Flow: the reads become calls of `aggregate3` of bounded size, and all of them one batch pinned to one block
hash, so that everything in a `Snapshot` is of that block. A bundle that fails as a whole (no contract there,
or too much for the node's gas) is read one by one, pinned to the same hash.

Through Multicall3 the contract is the caller: reads that depend on who asks belong into
`ChainClient.call_at`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from seawall.primitives.blocks import Block, Read
from seawall.primitives.errors import InputError, ProtocolError
from seawall.primitives.units import Address
from seawall.protocols.multicall import aggregate3_answers, aggregate3_call

__all__ = ["BUNDLE_BYTES_MAX", "BUNDLE_READS_MAX", "PinnedReader", "Snapshot", "snapshot"]

# Of one bundle: what common nodes run within the gas of one call, and what fits a request.
BUNDLE_READS_MAX: Final = 200
BUNDLE_BYTES_MAX: Final = 128 * 1024


class PinnedReader(Protocol):
    """Reads of exactly one block, as `ChainClient` does them."""

    async def call_at(self, reads: Sequence[Read], block: Block) -> dict[str, bytes | None]:
        """Every read by its label; None where the call reverted."""
        ...


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was read of `block`, by label; None where a read reverted."""

    block: Block
    values: Mapping[str, bytes | None]


async def snapshot(
    reader: PinnedReader, reads: Sequence[Read], block: Block, multicall: Address | None
) -> Snapshot:
    """All of `reads` at `block`. Raises as `PinnedReader` does, among them `UnknownBlockError`."""
    labels = {read.label for read in reads}
    if len(labels) != len(reads):
        raise InputError("two reads have the same label", "snapshot", "give each its own")
    if multicall is None or len(reads) < 2:
        return Snapshot(block, await reader.call_at(reads, block) if reads else {})
    bundles = list(_bundles(reads))
    calls = [Read(str(place), multicall, aggregate3_call(bundle)) for place, bundle in enumerate(bundles)]
    returned = await reader.call_at(calls, block)
    values: dict[str, bytes | None] = {}
    left: list[Read] = []
    for place, bundle in enumerate(bundles):
        answer = returned[str(place)]
        try:
            if answer:
                values |= aggregate3_answers(bundle, answer)
                continue
        except ProtocolError:
            pass  # something else lives there
        left += bundle
    if left:
        values |= await reader.call_at(left, block)
    return Snapshot(block, values)


def _bundles(reads: Sequence[Read]) -> Iterator[list[Read]]:
    """In order, each within both bounds; a read over the second one stands alone."""
    if len(reads) <= BUNDLE_READS_MAX and sum([len(read.calldata) for read in reads]) <= BUNDLE_BYTES_MAX:
        yield list(reads)
        return
    bundle: list[Read] = []
    size = 0
    for read in reads:
        if bundle and (len(bundle) >= BUNDLE_READS_MAX or size + len(read.calldata) > BUNDLE_BYTES_MAX):
            yield bundle
            bundle, size = [], 0
        bundle.append(read)
        size += len(read.calldata)
    if bundle:
        yield bundle
