"""Logs of a chain as far as they were gathered, each source with its own checkpoint.

A source is one question (chain, filter, first block) under one name. What is stored of it is everything from
its first block up to its newest mark, without a hole, and perhaps pieces beyond it, which are shown once the
mark has reached them. Logs and what says that they are complete are written in one transaction, and only if
the source still stands where the writer believed: a kill at any moment leaves both or neither, and of two
kernels that gather the same only one stores each piece. A mark is a block with its hash, by which a reorg is
found and the source taken back; marks below finality are pruned to the newest one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy import bindparam

from seawall.ledger.batches import insert_batch
from seawall.ledger.schema import log_marks, log_pieces, log_sources, logs
from seawall.ledger.session import DuplicateError, Prepared, Record, Session
from seawall.primitives.blocks import Log
from seawall.primitives.errors import LedgerError, StaleError
from seawall.primitives.units import Address, Hash

__all__ = ["HASH_BYTES", "LogMark", "LogPiece", "LogSource", "LogStore"]

HASH_BYTES: Final = 32

_SOURCE: Final = log_sources.c.number == bindparam("of")
_ADD: Final = Prepared(sa.insert(log_sources), ["name", "chain_id", "filter_digest", "first_block"])
_FIND: Final = Prepared(
    sa.select(
        log_sources.c.number, log_sources.c.chain_id, log_sources.c.filter_digest, log_sources.c.first_block
    ).where(log_sources.c.name == bindparam("called"))
)
_REMOVE: Final = Prepared(sa.delete(log_sources).where(_SOURCE))
_MARK: Final = Prepared(sa.insert(log_marks), [c.name for c in log_marks.c])
_MARKS: Final = Prepared(
    sa.select(log_marks.c.block_number, log_marks.c.block_hash)
    .where(log_marks.c.source == bindparam("of"))
    .order_by(log_marks.c.block_number.desc())
    .limit(bindparam("count"))
)
_NEWEST_UP_TO: Final = Prepared(
    sa.select(sa.func.max(log_marks.c.block_number)).where(
        log_marks.c.source == bindparam("of"), log_marks.c.block_number <= bindparam("up_to")
    )
)
_PRUNE: Final = Prepared(
    sa.delete(log_marks).where(
        log_marks.c.source == bindparam("of"), log_marks.c.block_number < bindparam("below")
    )
)
_UNMARK: Final = Prepared(
    sa.delete(log_marks).where(
        log_marks.c.source == bindparam("of"), log_marks.c.block_number > bindparam("above")
    )
)
_PIECE: Final = Prepared(sa.insert(log_pieces), [c.name for c in log_pieces.c])
_PIECES: Final = Prepared(
    sa.select(log_pieces.c.first_block, log_pieces.c.last_block, log_pieces.c.last_hash)
    .where(log_pieces.c.source == bindparam("of"))
    .order_by(log_pieces.c.first_block)
)
_UNPIECE: Final = Prepared(
    sa.delete(log_pieces).where(
        log_pieces.c.source == bindparam("of"), log_pieces.c.first_block <= bindparam("up_to")
    )
)
_NO_PIECES: Final = Prepared(sa.delete(log_pieces).where(log_pieces.c.source == bindparam("of")))
_INSERT: Final = insert_batch(logs)
_TAKE_BACK: Final = Prepared(
    sa.delete(logs).where(logs.c.source == bindparam("of"), logs.c.block_number > bindparam("above"))
)
_COLUMNS: Final = (
    logs.c.address,
    logs.c.topics,
    logs.c.data,
    logs.c.block_hash,
    logs.c.block_number,
    logs.c.transaction_hash,
    logs.c.log_index,
)
_BETWEEN: Final = Prepared(
    sa.select(*_COLUMNS)
    .where(
        logs.c.source == bindparam("of"),
        logs.c.block_number >= bindparam("from_block"),
        logs.c.block_number <= bindparam("to_block"),
    )
    .order_by(logs.c.block_number, logs.c.log_index)
    .limit(bindparam("count"))
)
_COUNT: Final = Prepared(sa.select(sa.func.count()).select_from(logs).where(logs.c.source == bindparam("of")))


@dataclass(frozen=True, slots=True)
class LogMark:
    """The source has everything up to this block."""

    number: int
    hash: Hash


@dataclass(frozen=True, slots=True)
class LogPiece:
    """Everything that the source asks for in these blocks."""

    first: int
    last: int
    last_hash: Hash
    logs: Sequence[Log] = ()


@dataclass(frozen=True, slots=True)
class LogSource:
    """One question, and how far it is answered; `mark` is None while nothing is stored."""

    number: int
    name: str
    chain_id: int
    filter_digest: bytes
    first_block: int
    mark: LogMark | None

    @property
    def next_block(self) -> int:
        """The first block that is not stored yet."""
        return self.first_block if self.mark is None else self.mark.number + 1


class LogStore:
    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def open(self, name: str, chain_id: int, filter_digest: bytes, first_block: int) -> LogSource:
        """The source of this name, made if it is not there. One that asks something else is refused."""
        known = self.find(name)
        if known is None:
            asked = {
                "name": name,
                "chain_id": chain_id,
                "filter_digest": filter_digest,
                "first_block": first_block,
            }
            try:
                self._session.run(_ADD, asked)
            except DuplicateError:
                raise LedgerError(
                    "the source was made at the same moment", f"logs {name!r}", "open it again"
                ) from None
            known = self.find(name)
            assert known is not None
        if (known.chain_id, known.filter_digest, known.first_block) != (chain_id, filter_digest, first_block):
            raise LedgerError(
                "another chain, filter or first block is gathered under this name",
                f"logs {name!r}",
                "use another name, or remove what is stored under this one",
            )
        return known

    def find(self, name: str) -> LogSource | None:
        record = self._session.first(_FIND, {"called": name})
        if record is None:
            return None
        number, chain_id, filter_digest, first_block = record
        newest = self.marks(number, 1)
        return LogSource(number, name, chain_id, filter_digest, first_block, newest[0] if newest else None)

    def marks(self, source: int, count: int) -> list[LogMark]:
        """The newest `count` marks, newest first."""
        found = self._session.rows(_MARKS, {"of": source, "count": count})
        return [LogMark(number, block_hash) for number, block_hash in found]

    def pieces(self, source: LogSource) -> list[LogPiece]:
        """What is stored beyond the mark, ascending, without its logs."""
        return [LogPiece(*record) for record in self._session.rows(_PIECES, {"of": source.number})]

    def append(self, source: LogSource, piece: LogPiece, final_number: int) -> LogSource:
        """Store a piece that is not stored yet; the mark moves if nothing is missing before it.

        `StaleError` if somebody else stored of it meanwhile.
        """
        self._require_standing(source)
        assert source.next_block <= piece.first <= piece.last, "a piece lies beyond the mark"
        assert all(piece.first <= log.block_number <= piece.last for log in piece.logs)
        try:
            self._session.load(_INSERT, [_row(source.number, log) for log in piece.logs])
            if piece.first > source.next_block:
                self._session.run(
                    _PIECE,
                    {
                        "source": source.number,
                        "first_block": piece.first,
                        "last_block": piece.last,
                        "last_hash": piece.last_hash,
                    },
                )
                return source
        except DuplicateError:
            raise _moved_meanwhile(source) from None
        return self._advance(source, LogMark(piece.last, piece.last_hash), final_number)

    def _advance(self, source: LogSource, mark: LogMark, final_number: int) -> LogSource:
        """To `mark`, and over the pieces that follow it without a hole; each leaves a mark, to be checked."""
        marks = [mark]
        for piece in self.pieces(source):
            if piece.first > marks[-1].number + 1:
                break
            if piece.last > marks[-1].number:
                marks.append(LogMark(piece.last, piece.last_hash))
        mark = marks[-1]
        self._session.run(_UNPIECE, {"of": source.number, "up_to": mark.number})
        self._session.many(
            _MARK,
            [{"source": source.number, "block_number": one.number, "block_hash": one.hash} for one in marks],
        )
        kept = self._session.first(_NEWEST_UP_TO, {"of": source.number, "up_to": final_number})
        if kept is not None and kept[0] is not None:
            self._session.run(_PRUNE, {"of": source.number, "below": kept[0]})
        return _moved(source, mark)

    def take_back(self, source: LogSource, mark: LogMark | None) -> LogSource:
        """Undo what follows `mark`, one of the stored ones, and all pieces; everything where it is None."""
        self._require_standing(source)
        above = source.first_block - 1 if mark is None else mark.number
        self._session.run(_TAKE_BACK, {"of": source.number, "above": above})
        self._session.run(_NO_PIECES, {"of": source.number})
        self._session.run(_UNMARK, {"of": source.number, "above": above})
        return _moved(source, mark)

    def remove(self, source: LogSource) -> None:
        self.take_back(source, None)
        self._session.run(_REMOVE, {"of": source.number})

    def between(self, source: LogSource, from_block: int, to_block: int, count: int) -> list[Log]:
        """At most `count` logs of the blocks up to the mark, in the order of the chain."""
        to_block = min(to_block, source.next_block - 1)
        asked = {"of": source.number, "from_block": from_block, "to_block": to_block, "count": count}
        return [_log(record) for record in self._session.rows(_BETWEEN, asked)]

    def count(self, source: LogSource) -> int:
        found = self._session.first(_COUNT, {"of": source.number})
        return 0 if found is None else int(found[0])

    def _require_standing(self, source: LogSource) -> None:
        newest = self.marks(source.number, 1)
        if (newest[0] if newest else None) != source.mark:
            raise _moved_meanwhile(source)


def _moved_meanwhile(source: LogSource) -> StaleError:
    return StaleError(
        "the checkpoint moved: somebody else gathers the same logs",
        f"logs {source.name!r}",
        "read it again and go on from there",
    )


def _moved(source: LogSource, mark: LogMark | None) -> LogSource:
    return LogSource(
        source.number, source.name, source.chain_id, source.filter_digest, source.first_block, mark
    )


def _row(source: int, log: Log) -> tuple[object, ...]:
    return (
        source,
        log.block_number,
        log.log_index,
        log.block_hash,
        log.transaction_hash,
        log.address,
        b"".join(log.topics),
        log.data,
    )


def _log(record: Record) -> Log:
    address, topics, data, block_hash, block_number, transaction_hash, log_index = record
    split = tuple(Hash(topics[at : at + HASH_BYTES]) for at in range(0, len(topics), HASH_BYTES))
    return Log(Address(address), split, data, block_hash, block_number, transaction_hash, log_index)
