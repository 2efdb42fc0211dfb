"""Follows the logs of one question to the head: no gap over restarts, lost sockets and skipped blocks, and
no log of a branch that is gone.

Flow of one step: a `HeadChange` comes from the chain's follower. The source's newest mark must be of the
branch that the change is on; if it is not, the source is taken back to the newest mark that is. What lies
between the mark and the new blocks (a stop, a socket that was away, heads that were skipped) is gathered by
range (`chain.logs.backfill`), each piece of it leaves a mark above finality, and all of them are held against
the chain again: an endpoint that still stood on a branch that is gone is found so. The last blocks are read
one by one by their hash, and must hold what the socket told of them. Marks that a former life left are held
against the chain once, be they final by now: nobody may have looked at them before it ended.

Every step begins at the mark in the ledger, so that a step that failed or was cut is simply made again. Each
log is stored once: by block hash and index, since a mark never passes a block twice on one branch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from seawall.chain.heads import HeadChange
from seawall.chain.logs.backfill import Backfill, LogQuestion
from seawall.ledger import Ledger, Transaction
from seawall.ledger.logs import LogMark, LogPiece, LogSource
from seawall.primitives.blocks import Block, Log, LogFilter
from seawall.primitives.bounds import HEADS_KEPT
from seawall.primitives.errors import EndpointError, StaleError
from seawall.primitives.units import Hash
from seawall.telemetry.logs import get_logger

__all__ = ["BY_HASH_MAX", "Followed", "LogFollower"]

# Marks that are held against the chain; below finality only one is kept.
MARKS_MAX: Final = 1_024
# New blocks of one step that are read by their hash; what lies before them is read by range.
BY_HASH_MAX: Final = 8
_log = get_logger(__name__)


class ChainReads(Protocol):
    """What is asked of a chain (`chain.client`)."""

    async def logs_of(self, wanted: Sequence[LogFilter], block_hash: Hash) -> list[list[Log]]: ...

    async def blocks(self, numbers: Sequence[int | str]) -> list[Block | None]: ...


@dataclass(frozen=True, slots=True)
class Followed:
    """One step: where the source stands now, and whether a reorg took back what was stored before it."""

    source: LogSource
    was_taken_back: bool


class LogFollower:
    """Keeps one source at the head. Steps are made one after the other, by one caller."""

    def __init__(
        self,
        client: ChainReads,
        ledger: Ledger,
        question: LogQuestion,
        backfill: Backfill,
        told: Callable[[Hash], frozenset[int]] = lambda _block_hash: frozenset(),
    ) -> None:
        """`told`: logs of a block that a socket told of (`chain.subscriptions.LogSocket`)."""
        self._client = client
        self._ledger = ledger
        self._question = question
        self._backfill = backfill
        self._told = told
        self._is_opened = False  # the ledger's source is known to be of this question
        self._known: dict[int, Hash] = {}  # the recent heads of our branch
        self._checked: set[LogMark] = set()  # marks that the chain has, as far as no reorg came since

    async def step(self, change: HeadChange) -> Followed:
        """Store what `change` brings. After an error, make the step again with the change merged into later
        ones, or with any later one: nothing is lost in between."""
        self._learn(change)
        before = await self._opened()
        source = await self._on_branch(before)
        was_taken_back = source.next_block < before.next_block
        if change.added:
            by_hash = change.added[-BY_HASH_MAX:]
            if source.next_block < by_hash[0].number:
                source = await self._over_the_gap(by_hash[0], change.final_number)
            for block in by_hash:
                if block.number >= source.next_block:
                    source = await self._take_block(source, block, change.final_number)
        return Followed(source, was_taken_back)

    def _learn(self, change: HeadChange) -> None:
        if change.removed or change.skipped:
            self._checked.clear()
        for block in change.removed:
            if self._known.get(block.number) == block.hash:
                del self._known[block.number]
        for block in change.added:
            self._known[block.number] = block.hash
        newest = max(self._known, default=0)
        for number in [number for number in self._known if number <= newest - HEADS_KEPT]:
            del self._known[number]

    async def _opened(self) -> LogSource:
        asked = self._question
        if self._is_opened:
            found = await self._ledger.read(lambda tx: tx.logs.find(asked.name))
            if found is not None:
                return found
        source = await self._ledger.write(
            lambda tx: tx.logs.open(asked.name, asked.chain_id, asked.digest, asked.first_block)
        )
        self._is_opened = True
        return source

    async def _on_branch(self, source: LogSource) -> LogSource:
        """The source, taken back to before its first mark that is not on the chain."""
        marks = await self._ledger.read(lambda tx: tx.logs.marks(source.number, MARKS_MAX))
        good = await self._last_good(list(reversed(marks)))
        if good == source.mark:
            return source
        _log.warning(
            "logs_taken_back",
            source=source.name,
            from_block=source.next_block - 1,
            to_block=source.first_block - 1 if good is None else good.number,
        )
        return await self._ledger.write(partial(_take_back, source, good))

    async def _last_good(self, marks: Sequence[LogMark]) -> LogMark | None:
        """Of marks, oldest first, the last one before any that the chain does not have."""
        unknown = [mark for mark in marks if mark.number not in self._known and mark not in self._checked]
        found = await self._client.blocks([mark.number for mark in unknown]) if unknown else []
        for mark, block in zip(unknown, found, strict=True):
            if block is not None and block.hash == mark.hash:
                self._checked.add(mark)
        good = None
        for mark in marks:
            if mark not in self._checked and self._known.get(mark.number) != mark.hash:
                break
            good = mark
        return good

    async def _over_the_gap(self, block: Block, final_number: int) -> LogSource:
        """Everything before `block`, by range; what was read while the chain moved is taken back."""
        source = await self._backfill.run(block.number - 1, final_number)
        kept = await self._on_branch(source)
        if kept.mark is None or kept.mark != LogMark(block.number - 1, block.parent_hash):
            raise StaleError(
                f"the chain moved below block {block.number} while its logs were read",
                f"logs {source.name!r}",
                "the step is made again",
            )
        return kept

    async def _take_block(self, source: LogSource, block: Block, final_number: int) -> LogSource:
        if source.mark is not None and source.mark != LogMark(block.number - 1, block.parent_hash):
            raise StaleError(
                f"block {block.number} does not follow what is stored",
                f"logs {source.name!r}",
                "the step is made again with the next head",
            )
        (logs,) = await self._client.logs_of([self._question.wanted], block.hash)
        untold = self._told(block.hash) - {log.log_index for log in logs}
        if untold:
            raise EndpointError(
                f"{len(untold)} logs of block {block.number} that a socket told of are left out",
                f"logs {source.name!r}",
                "the block is read again; compare the endpoints if it lasts",
            )
        ordered = tuple(sorted(logs, key=lambda log: log.log_index))
        piece = LogPiece(block.number, block.number, block.hash, ordered)
        return await self._ledger.write(partial(_append, source, piece, final_number))


def _append(source: LogSource, piece: LogPiece, final_number: int, tx: Transaction) -> LogSource:
    return tx.logs.append(source, piece, final_number)


def _take_back(source: LogSource, mark: LogMark | None, tx: Transaction) -> LogSource:
    return tx.logs.take_back(source, mark)
