"""Snapshots: one pinned batch of bundles, the same values however they are read, and what falls back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from seawall.native import abi_decode, abi_encode
from seawall.primitives.blocks import Block, Read
from seawall.primitives.errors import InputError
from seawall.primitives.units import ZERO_ADDRESS, Address, Hash
from seawall.protocols.snapshots import BUNDLE_BYTES_MAX, BUNDLE_READS_MAX, snapshot

MULTICALL = Address(b"\xca" * 20)
TARGET = Address(b"\x01" * 20)
BLOCK = Block(
    31_337, 7, Hash(b"\x07" * 32), Hash(b"\x06" * 32), 1, 0, 30_000_000, ZERO_ADDRESS, Hash(bytes(32))
)


@dataclass(slots=True)
class Chain:
    """Answers each call with its calldata; `reverts` says no. Multicall3 is there unless told otherwise."""

    has_multicall: bool = True
    is_other_contract: bool = False
    bundle_reads_max: int = 1_000
    asked: list[int] = field(default_factory=list)

    async def call_at(self, reads: Sequence[Read], block: Block) -> dict[str, bytes | None]:
        assert block is BLOCK
        self.asked.append(len(reads))
        return {read.label: self._answer(read) for read in reads}

    def _answer(self, read: Read) -> bytes | None:
        if read.target != MULTICALL:
            return None if read.calldata == b"reverts" else read.calldata
        if not self.has_multicall:
            return b""
        if self.is_other_contract:
            return b"\x01" * 40
        (calls,) = abi_decode(("(address,bool,bytes)[]",), read.calldata[4:])
        assert isinstance(calls, tuple)
        if len(calls) > self.bundle_reads_max:
            return None
        answers = tuple((data != b"reverts", b"" if data == b"reverts" else data) for _, _, data in calls)
        return abi_encode(("(bool,bytes)[]",), (answers,))


def reads_of(count: int, size: int = 4) -> list[Read]:
    return [Read(str(i), TARGET, i.to_bytes(4, "big") * (size // 4)) for i in range(count)]


@pytest.mark.parametrize("chain", [Chain(), Chain(has_multicall=False), Chain(is_other_contract=True)])
@pytest.mark.parametrize("count", [0, 1, 2, BUNDLE_READS_MAX, 2 * BUNDLE_READS_MAX + 1])
async def test_values_are_the_same_however_they_are_read(chain: Chain, count: int) -> None:
    reads = [*reads_of(count), Read("no", TARGET, b"reverts")]
    found = await snapshot(chain, reads, BLOCK, MULTICALL)
    assert found.block is BLOCK
    assert found == await snapshot(chain, reads, BLOCK, None)
    assert found.values == {**{read.label: read.calldata for read in reads[:-1]}, "no": None}


async def test_reads_become_as_few_calls_as_both_bounds_allow() -> None:
    chain = Chain()
    await snapshot(chain, reads_of(2 * BUNDLE_READS_MAX + 1), BLOCK, MULTICALL)
    await snapshot(chain, reads_of(4, BUNDLE_BYTES_MAX), BLOCK, MULTICALL)
    assert chain.asked == [3, 4]


async def test_bundle_too_large_for_the_node_is_read_one_by_one_and_the_others_stay() -> None:
    chain = Chain(bundle_reads_max=BUNDLE_READS_MAX - 1)
    reads = reads_of(BUNDLE_READS_MAX + 3)
    found = await snapshot(chain, reads, BLOCK, MULTICALL)
    assert found.values == {read.label: read.calldata for read in reads}
    assert chain.asked == [2, BUNDLE_READS_MAX]


async def test_label_given_twice_is_refused() -> None:
    with pytest.raises(InputError, match="same label"):
        await snapshot(Chain(), reads_of(1) * 2, BLOCK, MULTICALL)
