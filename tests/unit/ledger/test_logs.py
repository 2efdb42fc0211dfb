from __future__ import annotations

from dataclasses import replace

import pytest

from seawall.ledger import Transaction
from seawall.ledger.logs import LogMark, LogPiece, LogSource
from seawall.primitives.blocks import Log
from seawall.primitives.errors import LedgerError, StaleError
from seawall.primitives.units import Hash
from tests.unit.ledger.samples import CHAIN_ID, TOKEN, digest_of

FILTER = bytes(32)


def mark(number: int, branch: str = "main") -> LogMark:
    return LogMark(number, digest_of(branch, number))


def log(number: int, index: int = 0, topics: int = 2) -> Log:
    names = tuple(digest_of("topic", place) for place in range(topics))
    return Log(TOKEN, names, b"\x01\x02", mark(number).hash, number, digest_of("tx", number, index), index)


def upto(
    source: LogSource, number: int, *logs: Log, first: int | None = None, branch: str = "main"
) -> LogPiece:
    """What follows the mark, or begins at `first`."""
    return LogPiece(source.next_block if first is None else first, number, mark(number, branch).hash, logs)


def opened(tx: Transaction, name: str = "transfers") -> LogSource:
    return tx.logs.open(name, CHAIN_ID, FILTER, 10)


def test_logs_come_back_as_they_were_in_the_order_of_the_chain(tx: Transaction) -> None:
    source = opened(tx)
    gathered = [log(12, 1), log(12, 0, topics=0), log(15, 3, topics=4)]
    source = tx.logs.append(source, upto(source, 20, *gathered), -1)
    assert tx.logs.between(source, 10, 20, 99) == [gathered[1], gathered[0], gathered[2]]
    assert tx.logs.between(source, 13, 20, 99) == [gathered[2]]
    assert tx.logs.between(source, 10, 20, 1) == [gathered[1]]
    assert tx.logs.count(source) == 3
    assert opened(tx) == source


def test_source_goes_on_after_its_newest_mark(tx: Transaction) -> None:
    source = opened(tx)
    assert (source.mark, source.next_block) == (None, 10)
    source = tx.logs.append(source, upto(source, 19), -1)
    assert (opened(tx).mark, opened(tx).next_block) == (mark(19), 20)


def test_writer_that_believes_an_older_mark_stores_nothing(tx: Transaction) -> None:
    early = opened(tx)
    tx.logs.append(early, upto(early, 12, log(11)), -1)
    with pytest.raises(StaleError, match="somebody else"):
        tx.logs.append(early, upto(early, 12, log(11)), -1)
    with pytest.raises(StaleError):
        tx.logs.append(early, upto(early, 12), -1)
    with pytest.raises(StaleError):
        tx.logs.append(early, upto(early, 15), -1)
    with pytest.raises(StaleError):
        tx.logs.take_back(early, None)
    assert tx.logs.count(early) == 1


def test_source_that_asks_something_else_under_the_same_name_is_refused(tx: Transaction) -> None:
    opened(tx)
    for other in ((CHAIN_ID + 1, FILTER, 10), (CHAIN_ID, b"\x01" * 32, 10), (CHAIN_ID, FILTER, 11)):
        with pytest.raises(LedgerError, match="another"):
            tx.logs.open("transfers", *other)


def test_taking_back_removes_what_came_after_the_mark_and_nothing_else(tx: Transaction) -> None:
    source, other = opened(tx), opened(tx, "other")
    other = tx.logs.append(other, upto(other, 20, log(18)), -1)
    for number in (12, 14, 16):
        source = tx.logs.append(source, upto(source, number, log(number)), -1)
    source = tx.logs.take_back(source, mark(14))
    assert [found.block_number for found in tx.logs.between(source, 0, 99, 99)] == [12, 14]
    assert tx.logs.marks(source.number, 9) == [mark(14), mark(12)]
    elsewhere = replace(log(16), block_hash=Hash(b"\x07" * 32))
    source = tx.logs.append(source, upto(source, 16, elsewhere, branch="other"), -1)
    assert tx.logs.count(source) == 3
    assert tx.logs.take_back(source, None).next_block == 10
    assert tx.logs.count(source) == 0
    assert tx.logs.count(other) == 1


def test_of_marks_below_finality_the_newest_stays(tx: Transaction) -> None:
    source = opened(tx)
    for number in (12, 14, 16, 18):
        source = tx.logs.append(source, upto(source, number), 15)
    assert tx.logs.marks(source.number, 9) == [mark(18), mark(16), mark(14)]


def test_removed_source_leaves_nothing_and_its_name_is_free(tx: Transaction) -> None:
    source = tx.logs.append(opened(tx), upto(opened(tx), 12, log(11)), -1)
    source = tx.logs.append(source, upto(source, 30, log(25), first=20), -1)
    tx.logs.remove(source)
    assert tx.logs.find("transfers") is None
    assert tx.logs.open("transfers", CHAIN_ID + 1, FILTER, 0).mark is None


def test_piece_beyond_a_hole_is_shown_once_the_hole_is_filled(tx: Transaction) -> None:
    source = opened(tx)
    source = tx.logs.append(source, upto(source, 29, log(22), first=20), -1)
    source = tx.logs.append(source, upto(source, 49, log(41), first=40), -1)
    assert (source.mark, tx.logs.between(source, 0, 99, 99)) == (None, [])
    assert [(piece.first, piece.last) for piece in tx.logs.pieces(source)] == [(20, 29), (40, 49)]
    source = tx.logs.append(source, upto(source, 19, log(13)), -1)
    assert source.mark == mark(29)
    assert tx.logs.between(source, 0, 99, 99) == [log(13), log(22)]
    source = tx.logs.append(source, upto(source, 39), -1)
    assert source.mark == mark(49)
    assert opened(tx) == source
    assert tx.logs.pieces(source) == []


def test_piece_that_somebody_else_stored_is_refused(tx: Transaction) -> None:
    source = opened(tx)
    tx.logs.append(source, upto(source, 29, first=20), -1)
    with pytest.raises(StaleError):
        tx.logs.append(source, upto(source, 29, first=20), -1)


def test_taking_back_drops_the_pieces_too(tx: Transaction) -> None:
    source = opened(tx)
    source = tx.logs.append(source, upto(source, 12, log(11)), -1)
    source = tx.logs.append(source, upto(source, 29, log(22), first=20), -1)
    source = tx.logs.take_back(source, mark(12))
    assert tx.logs.pieces(source) == []
    assert tx.logs.count(source) == 1
