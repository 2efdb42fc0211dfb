"""The history of kept logs, told to a strategy that was loaded: what its view is built from.

A strategy names sources of `[[chains.logs]]` in its subscription. After each load it is told everything that
they hold up to the head at which it was loaded, in whole blocks, source by source and oldest first; live logs
begin with the next block. Where a source has not come so far yet, the history waits for it. Blocks that a
reorg takes away meanwhile are told anew as live ones, so that the history ends before them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from seawall.ledger import Ledger, Transaction
from seawall.ledger.logs import LogSource
from seawall.primitives.blocks import Log

__all__ = ["HISTORY_LOGS_MAX", "Chapter", "History"]

# Logs of one observation; a block is never split.
HISTORY_LOGS_MAX: Final = 5_000
_ALL: Final = 2**31 - 1
_BEGIN: Final = -1


@dataclass(frozen=True, slots=True)
class Chapter:
    """A part of the history, and where it leaves off."""

    logs: tuple[Log, ...]
    source: int  # place of the name
    next_block: int  # of that source


@dataclass(slots=True)
class History:
    """What is still to be told. `names` as the ledger has them."""

    names: Sequence[str]
    to_block: int | None  # None until the first head is known
    _source: int = 0
    _next_block: int = field(default=_BEGIN)

    @property
    def is_told(self) -> bool:
        return self._source >= len(self.names)

    def ends_before(self, number: int) -> None:
        """Blocks from `number` on are told as live ones."""
        self.to_block = number - 1 if self.to_block is None else min(self.to_block, number - 1)

    async def next_chapter(self, ledger: Ledger) -> Chapter | None:
        """What can be told now; None if the source has not come so far. Told only once `passed` is called."""
        if self.is_told or self.to_block is None:
            return None
        return await ledger.read(self._chapter)

    def passed(self, chapter: Chapter) -> None:
        assert self.to_block is not None
        self._source, self._next_block = chapter.source, chapter.next_block
        if self._next_block > self.to_block:
            self._source, self._next_block = self._source + 1, _BEGIN

    def _chapter(self, tx: Transaction) -> Chapter | None:
        assert self.to_block is not None
        source = tx.logs.find(self.names[self._source])
        if source is None:
            return None
        first = max(self._next_block, source.first_block)
        if first > self.to_block:
            return Chapter((), self._source, self.to_block + 1)
        last = min(self.to_block, source.next_block - 1)
        if first > last:
            return None
        logs, last = _whole_blocks(tx, source, first, last)
        return Chapter(tuple(logs), self._source, last + 1)


def _whole_blocks(tx: Transaction, source: LogSource, first: int, last: int) -> tuple[list[Log], int]:
    """Logs of the first blocks, as many as fit and one at least, and the last of these blocks."""
    logs = tx.logs.between(source, first, last, HISTORY_LOGS_MAX)
    if len(logs) < HISTORY_LOGS_MAX:
        return logs, last
    cut = logs[-1].block_number
    if cut == logs[0].block_number:
        return tx.logs.between(source, first, cut, _ALL), cut
    return [log for log in logs if log.block_number < cut], cut - 1
