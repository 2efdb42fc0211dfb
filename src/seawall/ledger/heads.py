"""Heads: the follower's checkpoint, one unbroken line of recent blocks per chain.

Several kernels may follow one chain (`follow`): the line is that of whoever is furthest, so that one that
lags, or still stands on a branch that is gone, takes nothing back.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

import sqlalchemy as sa
from sqlalchemy import bindparam

from seawall.ledger.schema import heads, inclusions
from seawall.ledger.session import DuplicateError, Prepared, Session
from seawall.primitives.blocks import Block
from seawall.primitives.bounds import HEADS_KEPT
from seawall.primitives.errors import LedgerError
from seawall.primitives.levels import Finality
from seawall.primitives.units import Hash, hex_text

__all__ = ["Heads"]

_COLUMNS: Final = (
    heads.c.chain_id,
    heads.c.number,
    heads.c.hash,
    heads.c.parent_hash,
    heads.c.timestamp_s,
    heads.c.base_fee_wei,
    heads.c.gas_limit,
    heads.c.coinbase,
    heads.c.prevrandao,
)
_ON_CHAIN: Final = heads.c.chain_id == bindparam("chain")
_INSERT: Final = Prepared(sa.insert(heads), [c.name for c in heads.c])
_PRUNE: Final = Prepared(sa.delete(heads).where(_ON_CHAIN, heads.c.number <= bindparam("up_to")))
_FROM: Final = Prepared(sa.delete(heads).where(_ON_CHAIN, heads.c.number >= bindparam("lowest")))
_RECENT: Final = Prepared(
    sa.select(*_COLUMNS).where(_ON_CHAIN).order_by(heads.c.number.desc()).limit(bindparam("count"))
)
_FINAL: Final = Prepared(
    sa.select(*_COLUMNS)
    .where(
        _ON_CHAIN,
        sa.exists().where(
            inclusions.c.block_hash == heads.c.hash,
            sa.text("inclusions.canonical"),
            inclusions.c.finality == int(Finality.FINAL),
        ),
    )
    .order_by(heads.c.number.desc())
    .limit(1)
)


class Heads:
    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def append(self, block: Block) -> None:
        """The new head. It must continue the line, unless blocks between were never seen."""
        latest = self.latest(block.chain_id)
        if latest == block:
            return
        if latest is not None:
            _require_continuing(latest, block)
        try:
            self._session.run(_INSERT, {c.name: getattr(block, c.name) for c in _COLUMNS})
        except DuplicateError:
            raise _broken(block) from None
        self._session.run(_PRUNE, {"chain": block.chain_id, "up_to": block.number - HEADS_KEPT})

    def follow(self, block: Block, line: Collection[Hash]) -> list[Hash]:
        """A block of the branch that this kernel is on, `line`. Nothing is stored if another kernel stored
        it, or stands as high on another branch: whoever gets further replaces what is not on its own.
        Answers the blocks that were replaced: nobody else may live to take them back.
        """
        latest = self.latest(block.chain_id)
        if latest is not None and block.number <= latest.number:
            return []
        strangers: list[Block] = []
        if latest is not None and latest.hash != block.parent_hash and latest.hash not in line:
            strangers = [b for b in self.recent(block.chain_id, HEADS_KEPT) if b.hash not in line]
            lowest = min(b.number for b in strangers)
            self._session.run(_FROM, {"chain": block.chain_id, "lowest": lowest})
        self.append(block)
        return [b.hash for b in strangers]

    def remove(self, hashes: Sequence[Hash]) -> int:
        """A reorg removed these; answers how many were known."""
        gone = self._session.once(sa.delete(heads).where(heads.c.hash.in_(hashes)).returning(heads.c.number))
        return len(gone)

    def latest(self, chain_id: int) -> Block | None:
        found = self.recent(chain_id, 1)
        return found[0] if found else None

    def latest_final(self, chain_id: int) -> Block | None:
        """The highest block of the line with something of ours that was settled as final."""
        record = self._session.first(_FINAL, {"chain": chain_id})
        return None if record is None else Block(*record)

    def recent(self, chain_id: int, count: int) -> list[Block]:
        """The last `count` blocks, oldest first."""
        records = self._session.rows(_RECENT, {"chain": chain_id, "count": count})
        return [Block(*record) for record in reversed(records)]


def _require_continuing(latest: Block, block: Block) -> None:
    adjacent = block.number == latest.number + 1
    if block.number <= latest.number or (adjacent and block.parent_hash != latest.hash):
        raise _broken(block)


def _broken(block: Block) -> LedgerError:
    return LedgerError(
        f"block {block.number} ({hex_text(block.hash)}) does not continue the stored line",
        f"heads of chain {block.chain_id}",
        "remove the blocks that a reorg took away first",
    )
