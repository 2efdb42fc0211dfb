"""Health and metrics over HTTP, for this machine's probes and scrapers.

    /live      200 while the event loop answers
    /startup   200 once start-up is over
    /ready     200 when plans can be carried, else 503 with every reason in plain words
    /health    200 or 503, with each check and its finding
    /metrics   Prometheus exposition

Where Safes are configured, their owners' signatures come this way too:

    GET  /safes/proposals/DIGEST   the proposal's file, as owners pass it on
    POST /safes/signatures         such a file with signatures; 200 if all were taken, 422 with every reason

The kernel hands in a `HealthReport` function; it is called for each request and must not block. Listens on
loopback only, and there is no authentication here: nothing can be changed but what proves itself. A signature
is an owner's or it is refused, whoever brings it, and by itself it moves nothing: to execute needs the
kernel's socket. A web page cannot bring one, since its content type is asked for.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

import orjson
from aiohttp import web

from seawall import __version__
from seawall.primitives.errors import ConfigError, InputError, SeawallError
from seawall.telemetry.metrics import CONTENT_TYPE, Metrics

__all__ = ["SIGNATURES_BYTES_MAX", "Check", "HealthReport", "HealthServer", "SignatureDoor"]

# Probes send no body and hold no connection for long.
REQUEST_BYTES_MAX: Final = 1_024
KEEP_ALIVE_S: Final = 5.0
SIGNATURES_BYTES_MAX: Final = 512 * 1024
SIGNATURES_AT_ONCE_MAX: Final = 4
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


class SignatureDoor(Protocol):
    """Takes owners' signatures for proposals of Safes."""

    async def take(self, content: bytes) -> tuple[bool, Mapping[str, object]]:
        """Whether everything was taken, and what became of each. `SeawallError` for what is no such file."""
        ...

    async def file_of(self, digest: str) -> Mapping[str, object] | None: ...


_Handler = Callable[[web.Request], Awaitable[web.Response]]


class HealthServer:
    """`start` binds and serves in the running loop; `stop` ends it."""

    def __init__(
        self,
        host: str,
        port: int,
        report: Callable[[], HealthReport],
        metrics: Metrics,
        *,
        takes_signatures: bool = False,
    ) -> None:
        """With `takes_signatures` the `door` is filled in once the kernel is built; until then it waits."""
        self._host = host
        self._port = port
        self._report = report
        self._metrics = metrics
        self._runner: web.AppRunner | None = None
        self._takes_signatures = takes_signatures
        self._taking = 0
        self.door: SignatureDoor | None = None

    @property
    def port(self) -> int:
        """The port that is bound; the configured one before `start`."""
        return self._port

    async def start(self) -> None:
        """`ConfigError` if the address cannot be had."""
        size_max = SIGNATURES_BYTES_MAX if self._takes_signatures else REQUEST_BYTES_MAX
        application = web.Application(client_max_size=size_max)
        routes: dict[str, _Handler] = {
            "/live": self._live,
            "/startup": self._startup,
            "/ready": self._ready,
            "/health": self._health,
            "/metrics": self._exposition,
        }
        for path, handler in routes.items():
            application.router.add_get(path, handler)
        if self._takes_signatures:
            application.router.add_get("/safes/proposals/{digest}", self._proposal)
            application.router.add_post("/safes/signatures", self._signatures)
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

    async def _proposal(self, request: web.Request) -> web.Response:
        door = self.door
        if door is None:
            return _problem(503, "the kernel is starting")
        found = await door.file_of(request.match_info["digest"])
        return _problem(404, "no proposal here has this digest") if found is None else _json(True, found)

    async def _signatures(self, request: web.Request) -> web.Response:
        door = self.door
        if door is None or self._taking >= SIGNATURES_AT_ONCE_MAX:
            return _problem(503, "the kernel is starting, or busy: try again")
        if request.content_type != "application/json":
            return _problem(415, "send application/json")
        self._taking += 1
        try:
            took_all, answer = await door.take(await request.read())
        except InputError as error:
            return _problem(400, str(error))
        except SeawallError as error:
            return _problem(503, str(error))
        finally:
            self._taking -= 1
        return _json(True, answer) if took_all else _answer(422, answer)


def _problem(status: int, what: str) -> web.Response:
    return _answer(status, {"error": what})


def _json(good: bool, content: Mapping[str, object]) -> web.Response:
    return _answer(200 if good else 503, content)


def _answer(status: int, content: Mapping[str, object]) -> web.Response:
    return web.Response(
        status=status,
        body=orjson.dumps(content, option=orjson.OPT_APPEND_NEWLINE),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
