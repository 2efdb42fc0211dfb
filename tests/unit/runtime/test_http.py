from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import aiohttp
import pytest

from seawall import __version__
from seawall.primitives.errors import ConfigError, InputError, UnavailableError
from seawall.runtime.http import SIGNATURES_BYTES_MAX, Check, HealthReport, HealthServer
from seawall.telemetry.metrics import MetricLabels, Metrics

GOOD = Check("database", True, "answers")
LOCKED = Check("signer:main", False, "locked, being opened")
SLOW = Check("rpc:devnet", False, "one of two endpoints rests", is_needed=False)


@dataclass
class Standing:
    report: HealthReport

    def __call__(self) -> HealthReport:
        return self.report


@dataclass
class Probe:
    server: HealthServer
    session: aiohttp.ClientSession
    standing: Standing

    async def get(self, path: str) -> tuple[int, object]:
        async with self.session.get(f"http://127.0.0.1:{self.server.port}{path}") as response:
            return response.status, await response.json()


@pytest.fixture
async def probe() -> AsyncIterator[Probe]:
    standing = Standing(HealthReport(True, (GOOD,), {"authority": "RUN"}))
    server = HealthServer("127.0.0.1", 0, standing, Metrics(MetricLabels({31_337: "devnet"})))
    await server.start()
    async with aiohttp.ClientSession() as session:
        yield Probe(server, session, standing)
    await server.stop()
    await server.stop()


async def test_ready_kernel_answers_200_everywhere(probe: Probe) -> None:
    assert await probe.get("/live") == (200, {"live": True})
    assert await probe.get("/startup") == (200, {"started": True})
    assert await probe.get("/ready") == (200, {"ready": True, "reasons": []})
    checks = {"database": {"passed": True, "finding": "answers"}}
    facts = {"healthy": True, "version": __version__, "checks": checks, "authority": "RUN"}
    assert await probe.get("/health") == (200, facts)


async def test_starting_kernel_is_live_but_neither_started_nor_ready(probe: Probe) -> None:
    probe.standing.report = HealthReport(False, (GOOD, LOCKED))
    assert (await probe.get("/live"))[0] == 200
    assert await probe.get("/startup") == (503, {"started": False})
    reasons = ["start-up: not over yet", "signer:main: locked, being opened"]
    assert await probe.get("/ready") == (503, {"ready": False, "reasons": reasons})


async def test_failing_check_that_plans_do_not_need_shows_in_health_only(probe: Probe) -> None:
    probe.standing.report = HealthReport(True, (GOOD, SLOW))
    assert (await probe.get("/ready"))[0] == 200
    assert (await probe.get("/health"))[0] == 503


async def test_metrics_are_the_prometheus_exposition(probe: Probe) -> None:
    url = f"http://127.0.0.1:{probe.server.port}/metrics"
    async with probe.session.get(url) as response:
        text = await response.text()
        assert response.status == 200
        assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert 'seawall_intents_total{outcome="landed"} 0.0' in text


async def test_other_paths_and_methods_are_refused(probe: Probe) -> None:
    base = f"http://127.0.0.1:{probe.server.port}"
    async with probe.session.get(f"{base}/admin") as response:
        assert response.status == 404
    async with probe.session.post(f"{base}/ready", data=b"x") as response:
        assert response.status == 405


async def test_taken_port_is_a_configuration_error(probe: Probe) -> None:
    second = HealthServer("127.0.0.1", probe.server.port, probe.standing, Metrics())
    with pytest.raises(ConfigError) as caught:
        await second.start()
    assert caught.value.where == "kernel.listen"
    await second.stop()


class Door:
    """Takes what says that it may be taken."""

    async def take(self, content: bytes) -> tuple[bool, Mapping[str, object]]:
        if content == b"away":
            raise UnavailableError("no endpoint answers", "rpc", "wait")
        if not content.startswith(b"{"):
            raise InputError("this is not JSON", "proposals", "correct it")
        return content == b"{}", {"taken": len(content)}

    async def file_of(self, digest: str) -> Mapping[str, object] | None:
        return {"digest": digest} if digest == "known" else None


async def post(probe: Probe, content: bytes, kind: str = "application/json") -> tuple[int, object]:
    url = f"http://127.0.0.1:{probe.server.port}/safes/signatures"
    async with probe.session.post(url, data=content, headers={"Content-Type": kind}) as response:
        return response.status, await response.json(content_type=None) if response.status != 413 else None


@pytest.fixture
async def door() -> AsyncIterator[Probe]:
    standing = Standing(HealthReport(True, (GOOD,)))
    server = HealthServer("127.0.0.1", 0, standing, Metrics(), takes_signatures=True)
    await server.start()
    async with aiohttp.ClientSession() as session:
        yield Probe(server, session, standing)
    await server.stop()


async def test_signatures_wait_until_the_kernel_is_built(door: Probe) -> None:
    assert (await post(door, b"{}"))[0] == 503
    assert (await door.get("/safes/proposals/known"))[0] == 503


async def test_signatures_are_taken_refused_or_bounced_by_their_form(door: Probe) -> None:
    door.server.door = Door()
    assert await post(door, b"{}") == (200, {"taken": 2})
    assert await post(door, b"{1}") == (422, {"taken": 3})
    assert (await post(door, b"x"))[0] == 400
    assert (await post(door, b"away"))[0] == 503
    # What a web page may send to another address without asking it first.
    assert (await post(door, b"{}", "text/plain"))[0] == 415
    assert (await post(door, b"{" + bytes(SIGNATURES_BYTES_MAX)))[0] == 413
    assert await door.get("/safes/proposals/known") == (200, {"digest": "known"})
    assert (await door.get("/safes/proposals/other"))[0] == 404


async def test_kernel_without_safes_has_no_such_door(probe: Probe) -> None:
    url = f"http://127.0.0.1:{probe.server.port}/safes/signatures"
    async with probe.session.post(url, data=b"{}") as response:
        assert response.status == 404
