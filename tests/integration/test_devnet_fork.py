"""A devnet that continues another chain: here the devnet's own, at a block that it has left behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from seawall.chain.addresses import AddressBook
from seawall.native import encode_call
from seawall.primitives.errors import ChainIdMismatchError, InputError, RolloutError, UnknownBlockError
from seawall.primitives.secrets import Secret
from seawall.primitives.units import Address, hex_text
from seawall.rollout.devnet import (
    OWNER,
    TRADERS,
    Devnet,
    DevnetSettings,
    ForkSettings,
    Trader,
    down,
    running,
    save,
    status,
    up,
)
from seawall.rollout.devnet.node import is_alive
from seawall.rollout.devnet.rpc import DevnetRpc, ForkLostError, Json, NodeRefusedError, as_int
from seawall.rollout.devnet.steering import authorise, fund, give, mine, pass_time, reorg, revert, snapshot
from seawall.rollout.devnet.unwinding import reorg_fork
from tests.fixtures.kernel import KernelFolder

pytestmark = pytest.mark.anvil

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "flash_arbitrage.yaml"
KEY = "a-key-of-a-provider"
# Leaves one byte of code: STOP.
RETURNS_A_BYTE = bytes.fromhex("60015ff3")
STRANGER = Address(b"\x5a" * 20)


@dataclass(frozen=True)
class Past:
    """A block that the origin has left behind, and what came after it."""

    origin: Devnet
    block: int
    reserves: bytes
    later_hash: str
    later_transaction: str

    def settings(self, directory: Path, **changes: Any) -> DevnetSettings:
        url = f"{self.origin.info.rpc_url}/?key={KEY}"
        fork = ForkSettings(Secret(url), self.block, book=self.origin.info.addresses)
        return DevnetSettings(directory, fork=replace(fork, **changes))


@pytest.fixture(scope="module")
def past(shared_devnet: Devnet) -> Past:
    block, before = head(shared_devnet), reserves(shared_devnet)
    sent = Trader(shared_devnet).swap_v2("weth", "usdx", 10**19)
    later = shared_devnet.rpc.record("eth_getBlockByNumber", hex(block + 1), False)
    mine(shared_devnet, 3)
    return Past(shared_devnet, block, before, str(later["hash"]), hex_text(sent))


@pytest.fixture(scope="module")
def fork(past: Past, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devnet]:
    with running(past.settings(tmp_path_factory.mktemp("fork"))) as started:
        yield started


def head(devnet: Devnet) -> int:
    return devnet.rpc.integer("eth_blockNumber")


def timestamp_s(devnet: Devnet, tag: str = "latest") -> int:
    return as_int(devnet.rpc.record("eth_getBlockByNumber", tag, False)["timestamp"], tag)


def block_hash(devnet: Devnet, number: int) -> str:
    return str(devnet.rpc.record("eth_getBlockByNumber", hex(number), False)["hash"])


def reserves(devnet: Devnet, block: str = "latest") -> bytes:
    pair = devnet.book.address("uniswap_v2_weth_usdx")
    return devnet.rpc.view(pair, encode_call("getReserves()", ()), block)


def balance(devnet: Devnet, token: str, holder: Address) -> int:
    call = encode_call("balanceOf(address)", (holder,))
    return int.from_bytes(devnet.rpc.view(devnet.book.address(token), call))


def test_fork_shows_its_block_and_nothing_later(fork: Devnet, past: Past) -> None:
    assert reserves(fork) == past.reserves != reserves(past.origin)
    assert fork.info.fork is not None
    assert fork.info.fork.block_hash == str(
        past.origin.rpc.record("eth_getBlockByNumber", hex(past.block), False)["hash"]
    )
    assert timestamp_s(fork) == timestamp_s(past.origin, hex(past.block)), "the block's own time goes on"
    assert past.origin.rpc.call("eth_getBlockByHash", past.later_hash, False) is not None
    assert fork.rpc.call("eth_getBlockByHash", past.later_hash, False) is None
    for method in ("eth_getTransactionByHash", "eth_getTransactionReceipt"):
        assert past.origin.rpc.call(method, past.later_transaction) is not None
        assert fork.rpc.call(method, past.later_transaction) is None
    assert reserves(fork, hex(past.block - 1)) == past.reserves, "what came before it is at the endpoint"


def test_everything_that_steers_a_devnet_steers_a_fork_and_not_its_origin(fork: Devnet, past: Past) -> None:
    started, origin_head = head(fork), head(past.origin)
    with pytest.raises(InputError, match="cannot pass"):
        pass_time(fork, 0)
    identifier = snapshot(fork)
    mine(fork, 7)
    assert head(fork) == started + 7
    before = balance(fork, "usdx", TRADERS[0])
    Trader(fork).swap_v2("weth", "usdx", 10**18)
    assert balance(fork, "usdx", TRADERS[0]) > before
    created = fork.rpc.settle([fork.rpc.send(OWNER, None, RETURNS_A_BYTE)], mine=True)[0]
    assert fork.rpc.call("eth_getCode", created["contractAddress"], "latest") == "0x00"
    hashes = [block_hash(fork, head(fork) - back) for back in range(3)]
    reorg(fork, 2)
    assert balance(fork, "usdx", TRADERS[0]) == before
    assert fork.rpc.call("eth_getCode", created["contractAddress"], "latest") == "0x"
    assert [block_hash(fork, head(fork) - back) == hashes[back] for back in range(3)] == [False, False, True]
    with pytest.raises(InputError, match="below the fork's block"):
        reorg_fork(fork.rpc, head(fork) - past.block + 1, past.block)
    then_s = timestamp_s(fork)
    pass_time(fork, 86_400)
    assert timestamp_s(fork) == then_s + 86_400
    fund(fork, STRANGER, 7)
    give(fork, fork.book.address("usdx"), STRANGER, 5)
    assert fork.rpc.integer("eth_getBalance", hex_text(STRANGER), "latest") == 7
    assert balance(fork, "usdx", STRANGER) == 5
    revert(fork, identifier)
    assert (head(fork), balance(fork, "usdx", STRANGER)) == (started, 0)
    assert (head(past.origin), balance(past.origin, "usdx", STRANGER)) == (origin_head, 0)


def test_our_contracts_are_put_there_anew_and_the_rest_of_the_book_is_the_chains(
    fork: Devnet, past: Past
) -> None:
    fork.book.verify(fork.rpc)
    origin = past.origin.book
    ours = {"policy_registry", "risk_book", "plan_checks", "atomic_executor", "account_factory"}
    assert {entry.name for entry in fork.book} == {entry.name for entry in origin}
    assert all(fork.book.address(name) != origin.address(name) for name in ours)
    assert fork.book.address("uniswap_v2_router") == origin.address("uniswap_v2_router")
    owner = fork.rpc.view(fork.book.address("atomic_executor"), encode_call("owner()", ()))
    assert owner[12:] == OWNER
    assert all(balance(fork, "weth", trader) >= 10**21 for trader in TRADERS)


def test_strategy_is_simulated_with_the_state_of_the_fork(fork: Devnet, tmp_path: Path) -> None:
    identifier = snapshot(fork)
    folder = KernelFolder(tmp_path / "k", fork)
    folder.write()
    (folder.directory / "arbitrage.yaml").write_text(EXAMPLE.read_text())
    authorise(fork, folder.key, folder.key)
    Trader(fork).open_gap_v2("weth", "usdx", 300)
    done = folder.seawall("strategies", "simulate", str(folder.directory / "arbitrage.yaml"), "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["admitted"]) == (0, True), told["explanation"]
    assert fork.info.fork is not None
    revert(fork, identifier)


def test_address_of_the_endpoint_is_in_no_process_file_or_error(fork: Devnet) -> None:
    assert fork.info.fork is not None
    assert KEY not in repr(fork.info)
    for pid in (fork.info.pid, fork.info.fork.forwarder_pid):
        for part in ("cmdline", "environ"):
            assert KEY.encode() not in Path(f"/proc/{pid}/{part}").read_bytes()
    files = [path for path in fork.info.log.parent.rglob("*") if path.is_file()]
    assert len(files) >= 4
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []
    assert fork.info.fork.endpoint.count("/") == 2


def test_nothing_is_sent_to_the_endpoint(fork: Devnet, past: Past) -> None:
    forwarder = next(
        one for one in Path(f"/proc/{fork.info.pid}/cmdline").read_text().split("\0") if "http://" in one
    )
    with DevnetRpc(forwarder) as rpc:
        for method in ("evm_mine", "eth_sendTransaction", "eth_sendRawTransaction"):
            with pytest.raises(NodeRefusedError, match="does not leave a fork"):
                rpc.call(method)
        assert rpc.integer("eth_blockNumber") == head(past.origin)


def test_fork_cannot_be_saved_and_says_how_to_have_it_again(fork: Devnet, tmp_path: Path) -> None:
    assert fork.info.fork is not None
    with pytest.raises(RolloutError, match="cannot be saved") as caught:
        save(fork.info.log.parent, tmp_path / "saved.gz")
    assert f"--block {fork.info.fork.block}" in caught.value.fix
    assert not (tmp_path / "saved.gz").exists()


def test_true_chain_id_is_kept_when_asked_for_and_down_ends_both_processes(
    past: Past, tmp_path: Path
) -> None:
    info = up(past.settings(tmp_path, block=None, keep_chain_id=True))
    try:
        assert info.fork is not None
        assert info.chain_id == info.fork.chain_id == past.origin.info.chain_id
        assert info.fork.block == head(past.origin), "without a block it is the head"
        standing = status(tmp_path)
        assert standing is not None
        assert standing.info.fork == info.fork
        os.kill(info.fork.forwarder_pid, signal.SIGKILL)
        os.waitpid(info.fork.forwarder_pid, 0)
        with pytest.raises(ForkLostError, match="which read the endpoint, ended"):
            status(tmp_path)
    finally:
        assert down(tmp_path)
    assert not is_alive(info.pid)
    assert not is_alive(info.fork.forwarder_pid)
    assert status(tmp_path) is None


@contextmanager
def pruning_endpoint(past: Past) -> Iterator[str]:
    """Serves blocks of the origin, and no state of any."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answers = [self.answer(one) for one in (asked if isinstance(asked, list) else [asked])]
            body = json.dumps(answers if isinstance(asked, list) else answers[0]).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def answer(self, one: dict[str, Json]) -> dict[str, Json]:
            told: dict[str, Json] = {"jsonrpc": "2.0", "id": one["id"]}
            if one["method"] in ("eth_chainId", "eth_getBlockByNumber"):
                with DevnetRpc(past.origin.info.rpc_url) as rpc:
                    return {**told, "result": rpc.call(str(one["method"]), *one["params"])}  # type: ignore[misc]
            return {
                **told,
                "error": {"code": -32000, "message": "missing trie node 0xabc (path ) state 0xdef"},
            }

        @override
        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class TestRefusals:
    def test_block_that_is_not_there_yet(self, past: Past, tmp_path: Path) -> None:
        with pytest.raises(UnknownBlockError, match="its head is"):
            up(past.settings(tmp_path, block=10**6))
        assert not (tmp_path / "devnet.json").exists()

    def test_another_chain_than_expected(self, past: Past, tmp_path: Path) -> None:
        with pytest.raises(ChainIdMismatchError, match="chain 31337, not 1"):
            up(past.settings(tmp_path, chain_id=1))

    def test_book_of_another_chain(self, past: Past, tmp_path: Path) -> None:
        other = tmp_path / "other.json"
        AddressBook(1).write(other)
        with pytest.raises(ChainIdMismatchError, match="book is of chain 1"):
            up(past.settings(tmp_path, book=other))
        with pytest.raises(InputError, match="cannot be read"):
            up(past.settings(tmp_path, book=tmp_path / "none.json"))

    def test_chain_without_a_book_needs_one(self, past: Past, tmp_path: Path) -> None:
        with pytest.raises(RolloutError, match="wrapped native token of chain 31337"):
            up(past.settings(tmp_path, book=None))

    def test_block_whose_state_is_pruned(self, past: Past, tmp_path: Path) -> None:
        with (
            pruning_endpoint(past) as url,
            pytest.raises(UnknownBlockError, match="no longer has the state") as caught,
        ):
            up(past.settings(tmp_path, endpoint=Secret(f"{url}/{KEY}")))
        assert caught.value.where == url
        assert "archive" in caught.value.fix

    def test_impossible_block(self) -> None:
        with pytest.raises(InputError, match="block -1 does not exist"):
            ForkSettings(Secret("http://127.0.0.1:1"), -1)

    def test_endpoint_that_is_not_there(self, past: Past, tmp_path: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            place = f"http://127.0.0.1:{probe.getsockname()[1]}"
        with pytest.raises(ForkLostError, match="ConnectionRefused") as caught:
            up(past.settings(tmp_path, endpoint=Secret(f"{place}/{KEY}")))
        assert caught.value.where == place
        assert KEY not in str(caught.value)


def send_and_read(devnet: Devnet, call: Json) -> None:
    devnet.rpc.call("eth_sendTransaction", call)
    devnet.rpc.call("evm_mine")
    head(devnet)


def test_endpoint_that_dies_is_named_by_whoever_reads_on(past: Past, tmp_path: Path) -> None:
    with running(DevnetSettings(tmp_path / "origin")) as origin:
        info = up(replace(past, origin=origin, block=head(origin)).settings(tmp_path / "fork"))
        os.kill(origin.info.pid, signal.SIGKILL)
    devnet = Devnet.attach(info)
    try:
        assert head(devnet) > 0, "what it has read it knows"
        with pytest.raises(ForkLostError, match="does not answer"):
            devnet.rpc.integer("eth_getBalance", hex_text(STRANGER), "latest")
        # anvil ends when a block needs what cannot be read.
        call: Json = {"from": hex_text(OWNER), "to": hex_text(STRANGER), "gas": hex(21_000)}
        with pytest.raises(ForkLostError, match="the node ended"):
            send_and_read(devnet, call)
        with pytest.raises(ForkLostError, match="the node ended"):
            status(tmp_path / "fork")
    finally:
        devnet.close()
        down(tmp_path / "fork")
    assert info.fork is not None
    assert not is_alive(info.fork.forwarder_pid)
