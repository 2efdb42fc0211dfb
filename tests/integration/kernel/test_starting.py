"""Starting a true kernel: what it needs, what it says when that is not there, and what it does without."""

from __future__ import annotations

import json
import signal
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest
from typing_extensions import override

from seawall.primitives.units import address_text
from seawall.rollout.devnet import Devnet, DevnetSettings
from seawall.rollout.devnet.steering import fund, mine
from tests.fixtures.devnet import running_devnet
from tests.fixtures.kernel import ETHER, KernelFolder, deposit, free_port, wait_until

KERNEL_BYTES_MAX = 120 * 1024**2
HOST_BYTES_MAX = 80 * 1024**2
HEAVY = {
    "alembic",
    "boto3",
    "dbos",
    "duckdb",
    "eth_abi",
    "eth_account",
    "google.auth",
    "numpy",
    "opentelemetry.sdk",
    "pkcs11",
    "polars",
    "psycopg",
    "pyarrow",
    "requests",
    "scipy",
    "web3",
}


@pytest.fixture
def folder(manual_devnet: Devnet, tmp_path: Path) -> KernelFolder:
    return KernelFolder(tmp_path / "k", manual_devnet).scripted(deposit(ETHER))


def test_kernel_that_landed_a_plan_has_imported_nothing_heavy(folder: KernelFolder) -> None:
    listed = folder.directory / "modules"
    with folder.run(listed=listed) as kernel:
        kernel.wait_ready()
        folder.settle(1)
        kernel.signal(signal.SIGTERM)
        assert kernel.wait_end() == 0, folder.told()
    assert HEAVY.isdisjoint(listed.read_text().splitlines())


def test_idle_kernel_and_host_are_small(folder: KernelFolder) -> None:
    with folder.run() as kernel:
        kernel.wait_ready()
        process = psutil.Process(kernel.pid)
        (host,) = process.children(recursive=True)
        assert process.memory_info().rss < KERNEL_BYTES_MAX
        assert host.memory_info().rss < HOST_BYTES_MAX


def test_second_kernel_is_turned_away_and_the_first_unharmed(folder: KernelFolder) -> None:
    with folder.run() as first:
        first.wait_ready()
        text = folder.configuration.read_text()
        folder.configuration.write_text(text.replace(f":{folder.port}", ":0"))
        with folder.run() as second:
            assert second.wait_end() == 1
        folder.configuration.write_text(text)
        assert f"a kernel (process {first.pid}) runs in this data directory" in folder.told()
        folder.settle(1)
        # Its socket and its process id are still its own: commands reach it.
        status = json.loads(folder.seawall("status", "--json").stdout)
        assert (status["pid"], status["ready"]) == (first.pid, True)


def test_second_kernel_with_another_data_directory_does_not_get_the_same_ledger(folder: KernelFolder) -> None:
    with folder.run() as first:
        first.wait_ready()
        text = folder.configuration.read_text()
        elsewhere = f'[kernel]\ndata = "elsewhere"\nledger = "{folder.ledger_url}"'
        folder.configuration.write_text(
            text.replace("[kernel]", elsewhere, 1).replace(f":{folder.port}", ":0")
        )
        with folder.run() as second:
            assert second.wait_end() == 1
        folder.configuration.write_text(text)
        assert "the ledger is held by" in folder.told()
        folder.settle(1)


def test_ledger_of_a_newer_schema_is_refused(folder: KernelFolder) -> None:
    with sqlite3.connect(folder.data / "ledger.db") as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    with folder.run() as kernel:
        assert kernel.wait_end() == 1
    assert "schema" in folder.told()
    assert "Traceback" not in folder.told()


def test_missing_ledger_is_not_made_by_running(folder: KernelFolder) -> None:
    (folder.data / "ledger.db").unlink()
    with folder.run() as kernel:
        assert kernel.wait_end() == 1
    assert "there is no ledger here" in folder.told()
    assert not (folder.data / "ledger.db").exists()


def test_ledger_that_is_locked_at_start_is_told(folder: KernelFolder) -> None:
    lock = sqlite3.connect(folder.data / "ledger.db", isolation_level=None)
    try:
        lock.execute("BEGIN IMMEDIATE")
        with folder.run() as kernel:
            assert kernel.wait_end() == 1
    finally:
        lock.close()
    assert "the database is locked by another process" in folder.told()


def test_wrong_keystore_password_leaves_the_kernel_up_and_its_lanes_waiting(folder: KernelFolder) -> None:
    (folder.directory / "keys" / "main.password").write_text("not the password, and not to be seen")
    with folder.run() as kernel:
        wait_until(lambda: "signer:main" in kernel.reasons(), "/ready tells of the signer")
        wait_until(lambda: "being unlocked" not in kernel.reasons(), "unlocking has failed")
        folder.pump(lambda: len(folder.books.intents()) == 1, "a plan was accepted")
        mine(folder.devnet, 2)
        assert kernel.health()[0] == 503
        assert kernel.health("/live")[0] == 200
        (row,) = folder.books.intents()
        assert row.state.value == "queued"
    assert "not the password" not in folder.log.read_text()
    assert folder.on_chain() == []


def test_dead_endpoint_at_start_is_waited_for(
    manual_devnet: Devnet, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    port = free_port()
    folder = KernelFolder(tmp_path / "k", manual_devnet, rpc_url=f"http://127.0.0.1:{port}")
    folder.scripted(deposit(ETHER))
    with folder.run() as kernel:
        wait_until(lambda: kernel.health("/startup")[0] == 200, "the kernel has started")
        wait_until(lambda: "rpc:devnet: " in kernel.reasons(), "/ready tells of the endpoint")
        # Without money the plan would be refused, and the kernel may be there before the money is.
        assert folder.seawall("halt", "--reason", "the chain is being made").returncode == 0
        late = DevnetSettings(tmp_path_factory.mktemp("late"), port=port, manual_mining=True)
        with running_devnet(late) as devnet:
            folder.devnet = devnet
            folder.start_number = folder.number()  # the kernel may be in the very next block
            fund(devnet, folder.key, folder.balance_wei)
            mine(devnet)
            assert folder.seawall("resume", "--reason", "the chain is there").returncode == 0
            kernel.wait_ready()
            folder.settle(1)
            assert [one.value_wei for one in folder.on_chain()] == [ETHER]


def test_endpoint_of_another_chain_is_named_and_not_used(manual_devnet: Devnet, tmp_path: Path) -> None:
    with foreign_node() as url:
        folder = KernelFolder(tmp_path / "k", manual_devnet, rpc_url=url).scripted(deposit(ETHER))
        with folder.run() as kernel:
            wait_until(
                lambda: "serves chain 1 instead of 31337" in kernel.reasons(), "/ready tells of the chain"
            )
    assert folder.books.intents() == []


def test_executor_without_code_is_a_reason_not_to_be_ready(manual_devnet: Devnet, tmp_path: Path) -> None:
    folder = KernelFolder(tmp_path / "k", manual_devnet, executor="0x" + "12" * 20).scripted(deposit(ETHER))
    with folder.run() as kernel:
        wait_until(lambda: "has no code at block" in kernel.reasons(), "/ready tells of the executor")
        assert address_text(bytes.fromhex("12" * 20)) in kernel.reasons()


@contextmanager
def foreign_node() -> Iterator[str]:
    """An endpoint that says it is of chain 1, and knows nothing else."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            many = asked if isinstance(asked, list) else [asked]
            answers = [
                {
                    "jsonrpc": "2.0",
                    "id": one["id"],
                    "result": "0x1" if one["method"] == "eth_chainId" else None,
                }
                for one in many
            ]
            body = json.dumps(answers if isinstance(asked, list) else answers[0]).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        @override
        def log_message(self, format: str, *args: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
