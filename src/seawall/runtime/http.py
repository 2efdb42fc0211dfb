"""Health and metrics over HTTP, for this machine's probes and scrapers.

    /live      200 while the event loop answers
    /startup   200 once start-up is over
    /ready     200 when plans can be carried, else 503 with every reason in plain words
    /health    200 or 503, with each check and its finding
    /metrics   Prometheus exposition

The kernel hands in a `HealthReport` function; it is called for each request and must not block. Listens on
loopback only: there is no authentication here, and nothing that changes anything.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import orjson
from aiohttp import web

from seawall import __version__
from seawall.primitives.errors import ConfigError
from seawall.telemetry.metrics import CONTENT_TYPE, Metrics

__all__ = ["Check", "HealthReport", "HealthServer"]

# Probes send no body and hold no connection for long.
REQUEST_BYTES_MAX: Final = 1_024
KEEP_ALIVE_S: Final = 5.0
SHUT_DOWN_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at. `is_needed`: plans cannot be carried while it fails."""

    name: str  # "database", "rpc:devnet", "signer:main", "authority", ...
    passed: bool
    finding: str  # one sentence for a human
    is_needed: bool = True


@dataclass(frozen=True, slots=True)
class HealthReport:
    """How the kernel stands."""

    started: bool  # start-up and recovery are over
    checks: tuple[Check, ...]
    facts: Mapping[str, str | int | None] = field(
        default_factory=dict
    )  # authority, heads, what else is of use

    @property
    def healthy(self) -> bool:
        return all(check.passed for check in self.checks)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it is not ready; empty when it is."""
        starting = () if self.started else ("start-up: not over yet",)
        failed = (f"{c.name}: {c.finding}" for c in self.checks if c.is_needed and not c.passed)
        return (*starting, *failed)


_Handler = Callable[[web.Request], Awaitable[web.Response]]


class HealthServer:
    """`start` binds and serves in the running loop; `stop` ends it."""

    def __init__(self, host: str, port: int, report: Callable[[], HealthReport], metrics: Metrics) -> None:
        self._host = host
        self._port = port
        self._report = report
        self._metrics = metrics
        self._runner: web.AppRunner | None = None

    @property
    def port(self) -> int:
        """The port that is bound; the configured one before `start`."""
        return self._port

    async def start(self) -> None:
        """`ConfigError` if the address cannot be had."""
        application = web.Application(client_max_size=REQUEST_BYTES_MAX)
        routes: dict[str, _Handler] = {
            "/live": self._live,
            "/startup": self._startup,
            "/ready": self._ready,
            "/health": self._health,
            "/metrics": self._exposition,
        }
        for path, handler in routes.items():
            application.router.add_get(path, handler)
        runner = web.AppRunner(
            application, access_log=None, keepalive_timeout=KEEP_ALIVE_S, shutdown_timeout=SHUT_DOWN_S
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._port).start()
        except OSError as error:
            await runner.cleanup()
            raise ConfigError(
                f"{self._host}:{self._port} cannot be listened on: {error.strerror}",
                "kernel.listen",
                "choose another port, or 0 for any",
            ) from None
        self._runner = runner
        address: object = runner.addresses[0]
        assert isinstance(address, tuple)
        self._port = int(address[1])

    async def stop(self) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            with contextlib.suppress(OSError):
                await runner.cleanup()

    async def _live(self, _: web.Request) -> web.Response:
        return _json(True, {"live": True})

    async def _startup(self, _: web.Request) -> web.Response:
        started = self._report().started
        return _json(started, {"started": started})

    async def _ready(self, _: web.Request) -> web.Response:
        reasons = self._report().reasons
        return _json(not reasons, {"ready": not reasons, "reasons": reasons})

    async def _health(self, _: web.Request) -> web.Response:
        report = self._report()
        checks = {check.name: {"passed": check.passed, "finding": check.finding} for check in report.checks}
        content = {"healthy": report.healthy, "version": __version__, "checks": checks, **report.facts}
        return _json(report.healthy, content)

    async def _exposition(self, _: web.Request) -> web.Response:
        return web.Response(body=self._metrics.render(), headers={"Content-Type": CONTENT_TYPE})


def _json(good: bool, content: Mapping[str, object]) -> web.Response:
    return web.Response(
        status=200 if good else 503,
        body=orjson.dumps(content, option=orjson.OPT_APPEND_NEWLINE),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
