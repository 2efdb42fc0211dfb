from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from seawall.primitives.errors import InputError
from seawall.telemetry import failpoints
from seawall.telemetry.failpoints import Crash, Failpoint, FailpointError, declare

POINT = Failpoint("test.point")
OTHER = Failpoint("test.other")
WAIT_S = 10


@pytest.fixture(autouse=True)
def disarmed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Points of these tests are declared while they run: other tests ask which points the program has."""
    monkeypatch.setattr(failpoints, "_names", {*failpoints.names(), "test.point", "test.other"})
    yield
    failpoints.arm("")
    failpoints.install(None)


def test_all_declared_points_can_be_enumerated() -> None:
    assert {"test.point", "test.other"} <= set(failpoints.names())


def test_name_is_declared_once() -> None:
    with pytest.raises(AssertionError, match="declared twice"):
        declare("test.point")


async def test_unarmed_points_let_everything_pass() -> None:
    POINT.hit()
    await POINT.reach()


async def test_raise_breaks_the_named_point_alone() -> None:
    failpoints.arm("test.point:raise")
    OTHER.hit()
    with pytest.raises(FailpointError, match=r"test\.point"):
        POINT.hit()
    with pytest.raises(FailpointError):
        await POINT.reach()


@pytest.mark.parametrize("text", ["test.point", "test.point:explode", ":kill", "test.point:"])
def test_unusable_arming_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is not name:action"):
        failpoints.arm(text)


def test_environment_arms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEAWALL_FAILPOINT", "test.point:raise")
    failpoints.arm_from_environment()
    with pytest.raises(FailpointError):
        POINT.hit()


async def test_hook_sees_every_point_and_may_crash() -> None:
    passed: list[str] = []
    failpoints.install(passed.append)
    POINT.hit()
    await OTHER.reach()
    assert passed == ["test.point", "test.other"]

    def crash(name: str) -> None:
        raise Crash(name)

    failpoints.install(crash)
    with pytest.raises(Crash):
        await POINT.reach()


def _files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[Path, Path]:
    reached, release = tmp_path / "reached", tmp_path / "release"
    monkeypatch.setenv("SEAWALL_FAILPOINT_REACHED", str(reached))
    monkeypatch.setenv("SEAWALL_FAILPOINT_RELEASE", str(release))
    return reached, release


def _appears(path: Path) -> bool:
    until_s = time.monotonic() + WAIT_S
    while not path.exists() and time.monotonic() < until_s:
        time.sleep(0.005)
    return path.exists()


async def test_hold_leaves_the_loop_free_until_released(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    reached, release = _files(monkeypatch, tmp_path)
    failpoints.arm("test.point:hold")
    holding = asyncio.create_task(POINT.reach())
    assert await asyncio.to_thread(_appears, reached)
    assert not holding.done()
    await asyncio.to_thread(release.touch)
    async with asyncio.timeout(WAIT_S):
        await holding


def test_hold_in_a_thread_holds_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _, release = _files(monkeypatch, tmp_path)
    failpoints.arm("test.point:hold")
    thread = threading.Thread(target=POINT.hit)
    thread.start()
    release.touch()
    thread.join(WAIT_S)
    assert not thread.is_alive()
    release.unlink()
    POINT.hit()


def test_hold_gives_up_after_its_bound(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _files(monkeypatch, tmp_path)
    monkeypatch.setattr(failpoints, "HOLD_MAX_S", 0.02)
    failpoints.arm("test.point:hold")
    with pytest.raises(FailpointError, match="without release"):
        POINT.hit()


def test_hold_without_its_files_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEAWALL_FAILPOINT_REACHED", raising=False)
    failpoints.arm("test.point:hold")
    with pytest.raises(FailpointError, match="needs two files"):
        POINT.hit()
