"""The latch: file first, then flag; down by anybody, up only with a reason; fail closed."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from seawall.control import latch as latch_module
from seawall.control.latch import FILE_BYTES_MAX, Latch
from seawall.primitives.errors import AuthorityError, InputError
from seawall.primitives.levels import Authority, WriteKind


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "latch"


@pytest.fixture
def latch(path: Path) -> Latch:
    return Latch(path)


def test_no_file_means_run(latch: Latch) -> None:
    assert latch.authority is Authority.RUN
    assert all(latch.admits(kind) for kind in WriteKind)


def test_lowering_writes_the_file_and_says_who_and_why(latch: Latch, path: Path) -> None:
    latch.lower(Authority.HALT, "looks wrong", "ada")
    content = json.loads(path.read_text())
    assert {key: content[key] for key in ("authority", "reason", "who")} == {
        "authority": "HALT", "reason": "looks wrong", "who": "ada",
    }  # fmt: skip
    assert isinstance(content["at"], int)
    assert not any(latch.admits(kind) for kind in WriteKind)
    assert Latch(path).reason == "looks wrong"


def test_file_is_synced_and_in_place_before_the_flag(
    latch: Latch, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[tuple[str, Authority]] = []
    fsync, replace = os.fsync, os.replace

    def watched_fsync(descriptor: int) -> None:
        steps.append(("sync", latch.authority))
        fsync(descriptor)

    def watched_replace(source: Path, target: Path) -> None:
        steps.append(("replace", latch.authority))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "replace", watched_replace)
    latch.lower(Authority.HALT, "why", "who")
    run = Authority.RUN
    assert steps == [("sync", run), ("replace", run), ("sync", run)]
    assert latch.authority is Authority.HALT


def test_lowering_never_raises(latch: Latch) -> None:
    latch.lower(Authority.HALT, "first", "ada")
    latch.lower(Authority.REDUCE_ONLY, "second", "bob")
    latch.lower(Authority.RUN, "third", "bob")
    assert (latch.authority, latch.reason) == (Authority.HALT, "first")


def test_reduce_only_admits_reducing_and_housekeeping(latch: Latch) -> None:
    latch.lower(Authority.REDUCE_ONLY, "night", "breaker")
    assert [latch.admits(kind) for kind in WriteKind] == [False, True, True]


def test_raising_needs_a_reason_and_a_higher_authority(latch: Latch, path: Path) -> None:
    latch.lower(Authority.REDUCE_ONLY, "night", "breaker")
    with pytest.raises(AuthorityError, match="reason"):
        latch.raise_to(Authority.RUN, "  ", "ada")
    with pytest.raises(AuthorityError, match="below"):
        latch.raise_to(Authority.HALT, "reason", "ada")
    latch.raise_to(Authority.RUN, "checked the positions", "ada")
    assert latch.authority is Authority.RUN
    assert not path.exists()


def test_raising_by_one_step_is_kept_in_the_file(latch: Latch, path: Path) -> None:
    latch.lower(Authority.HALT, "stop", "ada")
    latch.raise_to(Authority.REDUCE_ONLY, "unwind", "ada")
    assert Latch(path).authority is Authority.REDUCE_ONLY


def test_raising_is_refused_when_another_process_lowered_meanwhile(latch: Latch, path: Path) -> None:
    latch.lower(Authority.REDUCE_ONLY, "night", "breaker")
    Latch(path).lower(Authority.HALT, "much worse", "bob")
    with pytest.raises(AuthorityError, match="much worse"):
        latch.raise_to(Authority.RUN, "it was a false alarm", "ada")
    assert latch.authority is Authority.HALT


def test_file_alone_never_raises(latch: Latch, path: Path) -> None:
    latch.lower(Authority.HALT, "stop", "ada")
    path.unlink()
    latch.look()
    assert latch.authority is Authority.HALT
    path.write_text('{"authority": "RUN", "reason": "", "who": "", "at": 1}')
    latch.look()
    assert latch.authority is Authority.HALT


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{}", b"[]", b"null", b"\xff\xfe", b'{"authority": "run"}', b'{"authority": 2}',
        b'{"authority": "HA', b"[" * 10_000, b" " * (FILE_BYTES_MAX + 1),
    ],
)  # fmt: skip
def test_file_that_cannot_be_understood_means_halt(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    latch = Latch(path)
    assert latch.authority is Authority.HALT
    assert "cannot be understood" in latch.reason
    latch.raise_to(Authority.RUN, "the file was ours and broken", "ada")
    assert Latch(path).authority is Authority.RUN


def test_directory_in_the_files_place_means_halt(path: Path) -> None:
    path.mkdir(parents=True)
    assert Latch(path).authority is Authority.HALT


def test_quiesce_is_a_step_of_halt_and_ends_with_a_fresh_stop(latch: Latch) -> None:
    with pytest.raises(AuthorityError, match="halt first"):
        latch.begin_quiesce()
    latch.lower(Authority.HALT, "stop", "ada")
    latch.begin_quiesce()
    assert [latch.admits(kind) for kind in WriteKind] == [False, False, True]
    latch.look()
    assert latch.admits(WriteKind.HOUSEKEEPING), "our own file is no fresh stop"
    latch.lower(Authority.HALT, "stop that too", "bob")
    assert [latch.admits(kind) for kind in WriteKind] == [False, False, False]
    assert not latch.quiescing


def test_fresh_halt_file_of_another_process_ends_a_quiesce(latch: Latch, path: Path) -> None:
    latch.lower(Authority.HALT, "stop", "ada")
    latch.begin_quiesce()
    Latch(path).lower(Authority.HALT, "stop that too", "bob")
    with latch.passage():
        assert not latch.admits(WriteKind.HOUSEKEEPING)


def test_subscribers_are_called_after_the_flag_and_cannot_break_it(latch: Latch) -> None:
    seen: list[Authority] = []

    def broken() -> None:
        raise RuntimeError("a subscriber's fault")

    latch.subscribe(broken)
    latch.subscribe(lambda: seen.append(latch.authority))
    before = latch.changes
    latch.lower(Authority.HALT, "stop", "ada")
    assert seen == [Authority.HALT]
    assert latch.changes == before + 1


def test_stop_takes_effect_even_if_its_file_cannot_be_written(
    latch: Latch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(AuthorityError, match="No space left"):
        latch.lower(Authority.HALT, "stop", "ada")
    assert latch.authority is Authority.HALT
    latch.look()
    assert latch.authority is Authority.HALT


def test_directory_that_cannot_be_made_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="directory"):
        Latch(tmp_path / "file" / "latch")


def test_stop_returns_only_when_the_write_under_way_is_over(latch: Latch) -> None:
    inside, leave, order = threading.Event(), threading.Event(), []

    def writer() -> None:
        with latch.passage():
            assert latch.admits(WriteKind.PLAN)
            inside.set()
            leave.wait(10)
            order.append("written")

    def stopper() -> None:
        latch.lower(Authority.HALT, "stop", "ada")
        order.append("stopped")

    threads = [threading.Thread(target=writer), threading.Thread(target=stopper)]
    threads[0].start()
    inside.wait(10)
    threads[1].start()
    while latch.admits(WriteKind.PLAN):
        threading.Event().wait(0.001)
    leave.set()
    for thread in threads:
        thread.join()
    assert order == ["written", "stopped"]


def test_stop_does_not_wait_for_ever_for_a_frozen_writer(
    latch: Latch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latch_module, "PASSAGE_WAIT_S", 0.01)
    with latch.passage():
        stopper = threading.Thread(target=latch.lower, args=(Authority.HALT, "stop", "ada"))
        stopper.start()
        stopper.join(10)
        assert not stopper.is_alive()
    assert latch.authority is Authority.HALT
