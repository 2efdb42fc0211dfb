from __future__ import annotations

from seawall.ledger import Transaction
from seawall.ledger.rows import KernelRow
from seawall.primitives.levels import Authority
from tests.unit.ledger.samples import NOW_S


def test_kernel_beats_while_its_row_stands(tx: Transaction) -> None:
    tx.kernels.join("one", 3, Authority.RUN, NOW_S)
    assert tx.kernels.beat("one", 4, Authority.HALT)
    assert tx.kernels.all() == [KernelRow("one", NOW_S, 1, 4, Authority.HALT)]
    tx.kernels.leave("one")
    assert not tx.kernels.beat("one", 4, Authority.HALT)


def test_joining_again_replaces_the_row(tx: Transaction) -> None:
    tx.kernels.join("one", 3, Authority.RUN, NOW_S)
    tx.kernels.beat("one", 3, Authority.RUN)
    tx.kernels.join("one", 5, Authority.RUN, NOW_S + 9)
    assert tx.kernels.all() == [KernelRow("one", NOW_S + 9, 0, 5, Authority.RUN)]


def test_only_a_row_that_stood_still_is_forgotten(tx: Transaction) -> None:
    tx.kernels.join("one", 3, Authority.RUN, NOW_S)
    (before,) = tx.kernels.all()
    tx.kernels.beat("one", 3, Authority.RUN)
    assert not tx.kernels.forget(before)
    (now,) = tx.kernels.all()
    assert tx.kernels.forget(now)
    assert tx.kernels.all() == []


def test_kernels_are_listed_by_age(tx: Transaction) -> None:
    tx.kernels.join("young", 0, Authority.RUN, NOW_S + 1)
    tx.kernels.join("old", 0, Authority.RUN, NOW_S)
    assert [row.holder for row in tx.kernels.all()] == ["old", "young"]
