"""Logs are followed over reorgs, gaps, failures and restarts: at each head all of its branch, no others."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.chain.heads import HeadChange
from seawall.chain.logs.backfill import Backfill, LogQuestion
from seawall.chain.logs.caps import Cap, Refusal
from seawall.chain.logs.follow import LogFollower
from seawall.chain.logs.planner import Span
from seawall.chain.logs.reads import Answer
from seawall.ledger import Ledger, LedgerSettings, Transaction
from seawall.ledger.logs import LogPiece, LogSource
from seawall.primitives.blocks import Block, Log, LogFilter
from seawall.primitives.errors import EndpointError, StaleError, UnavailableError
from seawall.primitives.ports import SystemEntropy
from seawall.primitives.units import Address, Hash
from tests.builders.messages import block as built_block
from tests.property.chain.test_log_backfill import Instant

ADDRESS = Address(b"\x11" * 20)
QUESTION = LogQuestion("transfers", 31_337, LogFilter((ADDRESS,)), 3)
FINAL_DEPTH = 6
STEPS_MAX = 200


class Chain:
    """A chain with branches; what endpoints say of it, sometimes of a branch that is just gone."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.blocks: list[Block] = []
        self.made = 0
        self.logs: dict[Hash, list[Log]] = {}
        self.fails = 0.0
        self.before: list[Block] = []  # the branch before the last reorg, which laggards still show
        for _ in range(20):
            self.grow()

    def grow(self) -> None:
        self.made += 1
        number = len(self.blocks)
        own = Hash(self.made.to_bytes(32, "big"))
        parent = self.blocks[-1].hash if self.blocks else Hash(bytes(32))
        self.blocks.append(replace(built_block(number), number=number, hash=own, parent_hash=parent))
        self.logs[own] = [
            Log(ADDRESS, (), b"", own, number, own, index) for index in range(self.chance.randint(0, 3))
        ]

    def reorg(self, depth: int) -> None:
        self.before = list(self.blocks)
        length = len(self.blocks)
        del self.blocks[length - depth :]
        while len(self.blocks) <= length:
            self.grow()

    async def _answer(self) -> list[Block]:
        await asyncio.sleep(0)
        if self.chance.random() < self.fails:
            raise UnavailableError("nobody answered", "chain", "wait")
        stale = self.before and self.chance.random() < self.fails
        return self.before if stale else self.blocks

    async def ask(self, span: Span) -> Answer | Refusal:
        shown = await self._answer()
        if span.last >= len(shown):
            raise UnavailableError("nobody has the last block", "chain", "wait")
        if span.blocks > 7:
            return Refusal(Cap.BLOCKS, 7)
        logs = [log for block in shown[span.first : span.last + 1] for log in self.logs[block.hash]]
        return Answer(span, tuple(logs), shown[span.last].hash)

    async def logs_of(self, wanted: Sequence[LogFilter], block_hash: Hash) -> list[list[Log]]:
        await self._answer()
        return [self.logs[block_hash] for _ in wanted]

    async def blocks_by_number(self, numbers: Sequence[int | str]) -> list[Block | None]:
        await self._answer()
        return [self.blocks[n] if isinstance(n, int) and n < len(self.blocks) else None for n in numbers]


class Client:
    """The chain as `LogFollower` asks it."""

    def __init__(self, chain: Chain) -> None:
        self.logs_of = chain.logs_of
        self.blocks = chain.blocks_by_number


class Heads:
    """What a follower of heads would tell."""

    def __init__(self, chain: Chain) -> None:
        self.chain, self.known = chain, [chain.blocks[-1]]

    def change(self) -> HeadChange:
        branch = {block.hash for block in self.chain.blocks}
        removed = [block for block in reversed(self.known) if block.hash not in branch]
        kept = [block for block in self.known if block.hash in branch]
        first = kept[-1].number + 1 if kept else self.chain.blocks[-1].number
        skipped = 0
        if len(self.chain.blocks) - first > 12:  # heads that were skipped
            skipped, first = len(self.chain.blocks) - 3 - first, len(self.chain.blocks) - 3
            kept = []
        added = self.chain.blocks[first:]
        self.known = [*kept, *added]
        final = len(self.chain.blocks) - 1 - FINAL_DEPTH
        return HeadChange(tuple(added), tuple(removed), final, final, skipped)


def follower_of(chain: Chain, ledger: Ledger) -> LogFollower:
    backfill = Backfill(chain, ledger, QUESTION, Instant(), workers=2)
    return LogFollower(Client(chain), ledger, QUESTION, backfill)


async def followed(seed: int, fails: float) -> None:
    chain = Chain(seed)
    chance = chain.chance
    ledger = Ledger.open(LedgerSettings("sqlite://"), clock=Instant(), entropy=SystemEntropy(), inline=True)
    heads, follower = Heads(chain), follower_of(chain, ledger)
    change = HeadChange((chain.blocks[-1],), (), 13, 13)
    for _ in range(10):
        chain.fails = fails
        for _ in range(STEPS_MAX):
            try:
                source = (await follower.step(change)).source
            except (StaleError, UnavailableError, EndpointError):
                continue
            break
        else:
            raise AssertionError("it never came through")
        chain.fails = 0.0
        stored = await ledger.read(lambda tx, source=source: tx.logs.between(source, 0, 10**9, 10**9))  # type: ignore[misc]
        assert stored == [log for block in chain.blocks[3:] for log in chain.logs[block.hash]]
        assert source.mark is not None
        assert source.mark.hash == chain.blocks[-1].hash
        chain.before = []
        what = chance.random()
        if what < 0.4:
            chain.reorg(chance.randint(1, FINAL_DEPTH - 1))
        else:
            for _ in range(chance.choice((1, 1, 1, 2, 9, 30))):
                chain.grow()
        if chance.random() < 0.2:
            follower = follower_of(chain, ledger)  # a new process
        change = heads.change()


@given(st.integers(0, 2**32), st.sampled_from([0.0, 0.2]))
@settings(max_examples=15, deadline=None)
def test_at_each_head_all_logs_of_its_branch_are_stored_and_no_others(seed: int, fails: float) -> None:
    asyncio.run(followed(seed, fails))


async def test_piece_of_a_dead_branch_between_good_ones_is_found_and_gathered_again() -> None:
    """As a kernel leaves it that was killed before it looked."""
    chain = Chain(3)
    ledger = Ledger.open(LedgerSettings("sqlite://"), clock=Instant(), entropy=SystemEntropy(), inline=True)
    source = await ledger.write(
        lambda tx: tx.logs.open(QUESTION.name, QUESTION.chain_id, QUESTION.digest, QUESTION.first_block)
    )
    dead = Hash(b"\xdd" * 32)
    for last, last_hash in ((8, chain.blocks[8].hash), (12, dead), (15, chain.blocks[15].hash)):
        blocks = chain.blocks[source.next_block : last + 1]
        logs = [] if last_hash == dead else [log for block in blocks for log in chain.logs[block.hash]]
        piece = LogPiece(source.next_block, last, last_hash, logs)
        source = await ledger.write(partial(appended, source, piece))
    step = await follower_of(chain, ledger).step(HeadChange((chain.blocks[-1],), (), 14, 14))
    assert step.was_taken_back
    stored = await ledger.read(lambda tx: tx.logs.between(step.source, 0, 10**9, 10**9))
    assert stored == [log for block in chain.blocks[3:] for log in chain.logs[block.hash]]


def appended(source: LogSource, piece: LogPiece, tx: Transaction) -> LogSource:
    return tx.logs.append(source, piece, -1)


async def followed_by_two(seed: int) -> None:
    chain = Chain(seed)
    ledger = Ledger.open(LedgerSettings("sqlite://"), clock=Instant(), entropy=SystemEntropy(), inline=True)
    heads, followers = Heads(chain), [follower_of(chain, ledger) for _ in range(2)]
    change = HeadChange((chain.blocks[-1],), (), 13, 13)

    async def keep_up(follower: LogFollower, change: HeadChange) -> None:
        for _ in range(STEPS_MAX):
            try:
                await follower.step(change)
            except (StaleError, UnavailableError, EndpointError):
                continue
            return
        raise AssertionError("it never came through")

    for _ in range(8):
        await asyncio.gather(*(keep_up(follower, change) for follower in followers))
        source = await ledger.read(lambda tx: tx.logs.find(QUESTION.name))
        assert source is not None
        stored = await ledger.read(lambda tx, source=source: tx.logs.between(source, 0, 10**9, 10**9))  # type: ignore[misc]
        assert stored == [log for block in chain.blocks[3:] for log in chain.logs[block.hash]]
        if chain.chance.random() < 0.4:
            chain.reorg(chain.chance.randint(1, FINAL_DEPTH - 1))
        else:
            for _ in range(chain.chance.choice((1, 2, 9, 30))):
                chain.grow()
        change = heads.change()


@given(st.integers(0, 2**32))
@settings(max_examples=10, deadline=None)
def test_two_kernels_that_keep_the_same_logs_store_each_of_them_once(seed: int) -> None:
    asyncio.run(followed_by_two(seed))
