"""Heads against a model chain: whatever it does, what the follower tells adds up to it, or is an alarm."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typing_extensions import override

from seawall.chain.client import ChainClient
from seawall.chain.heads import (
    BACKWARD_POLLS,
    CONTRADICTIONS_MAX,
    UNSETTLED_POLLS_MAX,
    HeadChange,
    HeadFollower,
)
from seawall.chain.networks import NETWORKS, FinalityRule
from seawall.chain.rpc import Request, RpcError, RpcPool
from seawall.native import keccak256
from seawall.primitives.blocks import Block
from seawall.primitives.bounds import HEADS_KEPT, REORG_DEPTH_MAX
from seawall.primitives.errors import IntegrityAlarm, UnavailableError
from seawall.primitives.ports import SystemClock
from seawall.primitives.units import Hash, hex_text

NETWORK = replace(NETWORKS[31337], finality=FinalityRule(REORG_DEPTH_MAX, REORG_DEPTH_MAX))


@dataclass(slots=True)
class ModelChain:
    """Fulfils `RpcTransport`: a chain of headers that forgets what a reorg removes."""

    branch: int = 0
    hashes: list[bytes] = field(default_factory=lambda: [bytes(32)])
    final_hash: str | None = None  # overrides the final block's hash
    shown: int | None = None  # a lagging endpoint shows only so many blocks
    label: str = "model"
    connects: int = 1

    def grow(self, blocks: int) -> None:
        for _ in range(blocks):
            seed = self.hashes[-1] + self.branch.to_bytes(4, "big")
            self.hashes.append(keccak256(seed))

    def reorg(self, depth: int, growth: int) -> None:
        self.branch += 1
        del self.hashes[len(self.hashes) - depth :]
        self.grow(growth)

    async def send(self, requests: Sequence[Request]) -> list[object | RpcError]:
        return [self._one(request) for request in requests]

    async def close(self) -> None:
        return

    def _one(self, request: Request) -> object:
        if request.method == "eth_chainId":
            return "0x7a69"
        wanted, height = request.params[0], (self.shown or len(self.hashes)) - 1
        assert isinstance(wanted, str)
        if request.method == "eth_getBlockByHash":
            index = (
                self.hashes.index(bytes.fromhex(wanted[2:]))
                if bytes.fromhex(wanted[2:]) in self.hashes
                else -1
            )
            return self._header(index) if 0 <= index <= height else None
        number = {"latest": height, "safe": max(height - 2, 0), "finalized": max(height - 4, 0)}.get(wanted)
        index = int(wanted, 16) if number is None else number
        header = self._header(index) if index <= height else None
        if wanted == "finalized" and header is not None and self.final_hash is not None:
            header["hash"] = self.final_hash
        return header

    def _header(self, number: int) -> dict[str, object]:
        parent = self.hashes[number - 1] if number else bytes(31) + b"\x01"
        return {
            "number": hex(number), "hash": hex_text(self.hashes[number]), "parentHash": hex_text(parent),
            "timestamp": hex(1_000 + number), "baseFeePerGas": "0x1", "gasLimit": "0x1c9c380",
            "miner": "0x" + "00" * 20, "mixHash": "0x" + "00" * 32,
        }  # fmt: skip


def follower_of(chain: ModelChain, recent: Sequence[Block] = (), *, tags: bool = False) -> HeadFollower:
    network = NETWORKS[31337] if tags else NETWORK
    pool = RpcPool([chain], chain_id=31337, clock=SystemClock())
    return HeadFollower(ChainClient(pool, network), SystemClock(), recent)


def apply(known: list[Block], change: HeadChange) -> None:
    for block in change.removed:
        assert known.pop() == block
    if change.skipped:
        known.clear()
    for block in change.added:
        assert not known or (block.parent_hash, block.number) == (known[-1].hash, known[-1].number + 1)
        known.append(block)


STEP = st.one_of(
    st.tuples(st.just("grow"), st.integers(1, 40), st.just(0)),
    st.tuples(st.just("grow"), st.integers(HEADS_KEPT, HEADS_KEPT + 60), st.just(0)),
    st.tuples(st.just("reorg"), st.integers(1, 60), st.integers(0, 70)),
    st.tuples(st.just("poll"), st.just(0), st.just(0)),
    st.tuples(st.just("restart"), st.just(0), st.just(0)),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(STEP, min_size=1, max_size=14))
def test_changes_add_up_to_the_chain(steps: list[tuple[str, int, int]]) -> None:
    async def run() -> None:
        chain = ModelChain()
        chain.grow(150)
        follower = follower_of(chain)
        known: list[Block] = []
        first = await follower.poll()
        assert first is not None
        apply(known, first)
        unpolled = 0  # blocks removed since the last poll: two reorgs may add up
        for kind, count, growth in [*steps, ("grow", 200, 0), ("poll", 0, 0), ("poll", 0, 0)]:
            if kind == "grow":
                chain.grow(count)
            elif kind == "reorg" and unpolled + count < REORG_DEPTH_MAX:
                unpolled += count
                chain.reorg(count, growth)
            elif kind == "restart":
                follower = follower_of(chain, known)
            elif kind == "poll":
                change = await follower.poll()
                if change is not None:
                    apply(known, change)
                    unpolled = 0
        tip = known[-1]
        assert (tip.number, tip.hash) == (len(chain.hashes) - 1, chain.hashes[-1])
        assert [block.hash for block in known] == chain.hashes[known[0].number :]

    asyncio.run(run())


@pytest.mark.parametrize("depth", [1, 5, 100, REORG_DEPTH_MAX])
async def test_reorg_of_any_depth_in_bounds_is_followed(depth: int) -> None:
    chain = ModelChain()
    chain.grow(20)
    follower = follower_of(chain)
    await follower.poll()
    chain.grow(200)
    await follower.poll()
    removed = [Hash(h) for h in reversed(chain.hashes[-depth:])]
    chain.reorg(depth, depth + 1)
    change = await follower.poll()
    assert change is not None
    assert [block.hash for block in change.removed] == removed
    assert len(change.added) == depth + 1


async def test_reorg_beyond_the_bound_is_an_integrity_alarm() -> None:
    chain = ModelChain()
    chain.grow(20)
    follower = follower_of(chain)
    await follower.poll()
    chain.grow(200)
    await follower.poll()
    chain.reorg(REORG_DEPTH_MAX + 1, REORG_DEPTH_MAX + 2)
    with pytest.raises(IntegrityAlarm):
        await follower.poll()


async def test_reorg_behind_a_long_gap_removes_what_left() -> None:
    chain = ModelChain()
    chain.grow(20)
    follower = follower_of(chain)
    await follower.poll()
    chain.grow(30)
    await follower.poll()
    chain.reorg(7, HEADS_KEPT + 100)
    change = await follower.poll()
    assert change is not None
    assert len(change.removed) == 7
    assert len(change.added) == HEADS_KEPT
    assert change.added[0].number - change.skipped == change.removed[-1].number


async def test_lagging_endpoint_changes_nothing() -> None:
    chain = ModelChain()
    chain.grow(100)
    follower = follower_of(chain, tags=True)
    await follower.poll()
    chain.grow(20)
    await follower.poll()
    for shown in (50, 99, 100, 101, 110, 120):
        chain.shown = shown
        assert await follower.poll() is None
    assert (follower.safe_number, follower.final_number) == (118, 116)


async def test_endpoint_that_lags_on_a_branch_that_lost_removes_nothing_and_raises_no_alarm() -> None:
    chain = ModelChain()
    chain.grow(100)
    follower = follower_of(chain, tags=True)
    await follower.poll()
    lost = replace(chain, hashes=list(chain.hashes))
    lost.reorg(3, 2)
    chain.grow(20)
    await follower.poll()
    true, chain.hashes = chain.hashes, lost.hashes
    for _ in range(3 * UNSETTLED_POLLS_MAX):
        with contextlib.suppress(UnavailableError):
            assert await follower.poll() is None
    chain.hashes = true
    chain.grow(1)
    change = await follower.poll()
    assert change is not None
    assert (len(change.added), change.removed) == (1, ())


SETTLED = 110  # what the ledger holds as final when `restarted` begins; no endpoint has said so


async def restarted(chain: ModelChain, first: int, height: int) -> HeadFollower:
    """A follower begun anew on stored heads 100 to 120, whose endpoints have another branch from `first` to
    `height` now."""
    chain.grow(100)
    before = follower_of(chain, tags=True)
    known: list[Block] = []
    for growth in (0, 20):
        chain.grow(growth)
        change = await before.poll()
        assert change is not None
        apply(known, change)
    chain.reorg(len(chain.hashes) - first, height - first + 1)
    after = follower_of(chain, known, tags=True)
    after.settle(next(block for block in known if block.number == SETTLED))
    return after


async def test_restarted_among_endpoints_that_lag_on_a_lost_branch_keeps_what_the_ledger_settled() -> None:
    true, chain = ModelChain(), ModelChain()
    true.grow(121)
    follower = await restarted(chain, 105, 112)
    for _ in range(3 * UNSETTLED_POLLS_MAX):
        with contextlib.suppress(UnavailableError):
            assert await follower.poll() is None
    chain.hashes = true.hashes
    change = await follower.poll()
    assert change is not None
    assert (len(change.added), change.removed, change.final_number) == (1, (), 117)


@pytest.mark.parametrize("height", [SETTLED + 4, 118, 130])
@pytest.mark.parametrize("first", [100, 105, SETTLED])
async def test_endpoints_whose_final_block_contradicts_what_the_ledger_settled_are_an_integrity_alarm(
    first: int, height: int
) -> None:
    follower = await restarted(ModelChain(), first, height)
    for _ in range(BACKWARD_POLLS if height < 120 else 0):
        assert await follower.poll() is None
    with pytest.raises(IntegrityAlarm, match=f"final up to {SETTLED}"):
        await follower.poll()


async def test_reorg_just_above_what_the_ledger_settled_is_followed() -> None:
    follower = await restarted(ModelChain(), SETTLED + 1, 113)
    for _ in range(BACKWARD_POLLS):
        assert await follower.poll() is None
    change = await follower.poll()
    assert change is not None
    assert [block.number for block in change.removed] == list(range(120, SETTLED, -1))


async def test_settled_block_of_another_branch_than_the_known_one_says_nothing() -> None:
    chain = ModelChain()
    follower = await restarted(chain, 120, 125)
    first = await follower.poll()
    assert first is not None
    ours = first.added[-1]
    follower.settle(replace(ours, hash=Hash(b"\x99" * 32)))
    follower.settle(None)
    chain.reorg(2, 4)
    change = await follower.poll()
    assert change is not None
    assert change.removed[0] == ours


async def test_lower_head_of_another_branch_is_believed_once_it_lasts() -> None:
    chain = ModelChain()
    chain.grow(20)
    follower = follower_of(chain)
    await follower.poll()
    chain.grow(30)
    await follower.poll()
    chain.reorg(5, 3)
    for _ in range(BACKWARD_POLLS):
        assert await follower.poll() is None
    change = await follower.poll()
    assert change is not None
    assert (len(change.added), len(change.removed)) == (3, 5)


async def test_reorg_of_a_final_block_is_an_integrity_alarm() -> None:
    chain = ModelChain()
    chain.grow(100)
    follower = follower_of(chain, tags=True)
    await follower.poll()
    chain.grow(20)
    await follower.poll()
    chain.reorg(6, 10)
    with pytest.raises(IntegrityAlarm, match="final"):
        await follower.poll()


async def test_reorg_of_a_final_block_before_the_first_known_is_an_integrity_alarm() -> None:
    chain = ModelChain()
    chain.grow(100)
    follower = follower_of(chain, tags=True)
    await follower.poll()
    chain.grow(3)
    await follower.poll()
    chain.reorg(8, 10)
    with pytest.raises(IntegrityAlarm, match="final"):
        await follower.poll()


async def test_final_block_off_the_branch_is_a_race_at_first_and_then_an_alarm() -> None:
    chain = ModelChain()
    chain.grow(100)
    follower = follower_of(chain, tags=True)
    await follower.poll()
    chain.grow(20)
    await follower.poll()
    chain.final_hash = "0x" + "99" * 32
    for _ in range(CONTRADICTIONS_MAX - 1):
        chain.grow(1)
        change = await follower.poll()
        assert change is not None
        assert change.final_number == 116
    chain.grow(1)
    with pytest.raises(IntegrityAlarm, match="not on the branch"):
        await follower.poll()


async def test_safe_and_final_blocks_above_the_head_say_nothing_of_its_branch() -> None:
    """Endpoints may agree on an old head, and on newer safe blocks of a branch that we do not know."""

    class Apart(ModelChain):
        @override
        def _one(self, request: Request) -> object:
            header = super()._one(request)
            if request.params[:1] in (("safe",), ("finalized",)):
                assert isinstance(header, dict)
                header |= {"number": hex(115), "hash": "0x" + "99" * 32}
            return header

    chain = ModelChain()
    chain.grow(100)
    first = await follower_of(chain, tags=True).poll()
    assert first is not None
    chain.grow(20)
    known = await follower_of(chain, first.added, tags=True).poll()
    assert known is not None
    apart = Apart(hashes=chain.hashes, shown=111)
    follower = follower_of(apart, [*first.added, *known.added], tags=True)
    for _ in range(2 * CONTRADICTIONS_MAX):
        assert await follower.poll() is None
    assert follower.final_number == -1


async def test_stored_heads_before_a_gap_are_left_aside() -> None:
    chain = ModelChain()
    chain.grow(20)
    follower = follower_of(chain)
    early = await follower.poll()
    chain.grow(HEADS_KEPT + 50)
    late = await follower.poll()
    assert early is not None
    assert late is not None
    reborn = follower_of(chain, [*early.added, *late.added])
    chain.reorg(3, 4)
    change = await reborn.poll()
    assert change is not None
    assert change.removed == tuple(reversed(late.added[-3:]))


async def test_stored_heads_that_do_not_link_are_an_integrity_alarm() -> None:
    chain = ModelChain()
    chain.grow(10)
    follower = follower_of(chain)
    change = await follower.poll()
    assert change is not None
    (head,) = change.added
    with pytest.raises(IntegrityAlarm, match="do not link"):
        follower_of(chain, [head, head])


async def test_endpoint_that_never_agrees_with_itself_is_unavailable() -> None:
    class Torn(ModelChain):
        @override
        def _one(self, request: Request) -> object:
            return None if request.method == "eth_getBlockByHash" else super()._one(request)

    chain = Torn()
    chain.grow(30)
    follower = follower_of(chain)
    await follower.poll()
    chain.reorg(3, 5)
    for _ in range(UNSETTLED_POLLS_MAX - 1):
        assert await follower.poll() is None
    with pytest.raises(UnavailableError, match="no consistent chain"):
        await follower.poll()
