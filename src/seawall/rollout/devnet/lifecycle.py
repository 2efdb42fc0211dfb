"""The devnet as a person meets it: up, down, status, save, load; and `running` for tests and the demo.

Flow of `up`: cached state (built when missing) -> anvil with that state -> fresh feeds, a sane base fee and a
few blocks whose state can be read by hash -> `devnet.json` and `addresses.json` in the run directory.

A run directory holds one devnet at most. `save` writes chain and address book into one file; `load` starts
from it and runs the set-up of `up` again, so that blocks are added to what was saved.
`up` with a fork: `forking` connects and looks -> anvil continues the chain at that block -> our contracts.
A fork cannot be saved: what it has not read yet is at its endpoint alone.
State older than the loaded head cannot be read afterwards: anvil keeps the state of the head alone in a dump.
Nothing here touches Seawall's ledger: one that followed another devnet must not follow this one.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from seawall.chain.addresses import AddressBook
from seawall.native import abi_decode, encode_call
from seawall.primitives.errors import InputError, RolloutError
from seawall.primitives.ports import SystemClock
from seawall.rollout.devnet.accounts import OWNER
from seawall.rollout.devnet.build import build_state, cache_directory, dump_state
from seawall.rollout.devnet.forking import (
    ForkInfo,
    ForkSettings,
    connect,
    forwarder_runs,
    settle_in,
    stop_forwarder,
)
from seawall.rollout.devnet.forwarding import FAILURE_FILE
from seawall.rollout.devnet.node import (
    BASE_FEE_WEI,
    ForkPoint,
    NodeSettings,
    is_node_of,
    start_node,
    stop_process,
)
from seawall.rollout.devnet.rpc import CHAIN_ID, LOST, DevnetRpc, as_int, known_failure, lost_fork
from seawall.rollout.devnet.toolchain import Toolchain

__all__ = [
    "Devnet",
    "DevnetInfo",
    "DevnetSettings",
    "DevnetStatus",
    "down",
    "load",
    "refresh",
    "running",
    "save",
    "status",
    "up",
]

# `finalized` is latest - 4; one more block so that its parent's state can be read as well.
WARM_UP_BLOCKS: Final = 6
PORT_MAX: Final = 65_535
BLOCK_TIME_MAX_S: Final = 3_600
SAVE_FORMAT: Final = 1
SAVED_BYTES_MAX: Final = 1 << 30

_INFO_FILE: Final = "devnet.json"
_BOOK_FILE: Final = "addresses.json"
_STATE_FILE: Final = "loaded-state.json"
_LOG_FILE: Final = "anvil.log"


@dataclass(frozen=True, slots=True)
class DevnetSettings:
    directory: Path = Path(".seawall/devnet")
    """Where the process id, the log and the address book are kept."""
    port: int = 0
    """0: any free port."""
    block_time_s: float | None = None
    """Seconds between blocks; None makes a block of every transaction."""
    manual_mining: bool = False
    """Blocks only on command; excludes `block_time_s`."""
    fork: ForkSettings | None = None
    """Continue a chain that exists instead of the devnet's own."""

    def __post_init__(self) -> None:
        if not 0 <= self.port <= PORT_MAX:
            raise InputError(
                f"port {self.port} does not exist", "devnet", f"give 0 (any free one) to {PORT_MAX}"
            )
        if self.block_time_s is not None and not 0 < self.block_time_s <= BLOCK_TIME_MAX_S:
            raise InputError(
                f"a block time of {self.block_time_s} s",
                "devnet",
                f"give more than 0, at most {BLOCK_TIME_MAX_S}",
            )
        if self.block_time_s is not None and self.manual_mining:
            raise InputError(
                "a block time and manual mining exclude each other", "devnet", "give one of them"
            )


@dataclass(frozen=True, slots=True)
class DevnetInfo:
    rpc_url: str
    ws_url: str
    pid: int
    chain_id: int
    addresses: Path
    log: Path
    digest: str
    """Of the state that was loaded; empty when it came from a saved file, or for a fork."""
    fork: ForkInfo | None = None

    @property
    def failure_file(self) -> Path | None:
        """Where a fork's forwarder says that its endpoint is gone."""
        return None if self.fork is None else self.addresses.parent / FAILURE_FILE


@dataclass(frozen=True, slots=True)
class DevnetStatus:
    info: DevnetInfo
    latest: int
    safe: int
    final: int
    base_fee_wei: int
    timestamp_s: int


@dataclass(slots=True)
class Devnet:
    """A running devnet with its address book and a connection for set-up and scripted traders."""

    info: DevnetInfo
    book: AddressBook
    rpc: DevnetRpc = field(repr=False)

    @classmethod
    def attach(cls, info: DevnetInfo) -> Devnet:
        return cls(info, AddressBook.from_json(info.addresses.read_bytes()), _rpc(info))

    def close(self) -> None:
        self.rpc.close()


def up(settings: DevnetSettings, environment: Mapping[str, str] = os.environ) -> DevnetInfo:
    """Start the devnet and leave it running; RolloutError when this directory runs one already."""
    _require_nothing_running(settings.directory)
    toolchain = Toolchain.discover(environment)
    if settings.fork is not None:
        return _start_fork(toolchain, settings, settings.fork)
    built = build_state(toolchain, cache_directory(environment))
    return _start(toolchain, settings, built.state, built.addresses.read_text(), built.digest)


def down(directory: Path) -> bool:
    """Stop the devnet of this directory; False when none ran."""
    info = _read_info(directory)
    if info is None:
        return False
    stopped = is_node_of(info.pid, info.log)
    if stopped:
        stop_process(info.pid)
    if info.fork is not None:
        stop_forwarder(info.fork, directory)
    (directory / _INFO_FILE).unlink(missing_ok=True)
    return stopped


def status(directory: Path) -> DevnetStatus | None:
    """Where the devnet of this directory stands; None when none runs. `ForkLostError` for a fork whose node
    ended because its endpoint did not answer, or that cannot read it any more."""
    info = _read_info(directory)
    if info is None:
        return None
    if not is_node_of(info.pid, info.log):
        failure = known_failure(info.failure_file)
        if failure is not None:
            raise lost_fork(f"the node ended, since {LOST}: {failure}", str(directory))
        return None
    if info.fork is not None and not forwarder_runs(info.fork, directory):
        raise lost_fork(f"process {info.fork.forwarder_pid}, which read the endpoint, ended", str(directory))
    with _rpc(info) as rpc:
        latest, safe, final = (
            rpc.record("eth_getBlockByNumber", tag, False) for tag in ("latest", "safe", "finalized")
        )
    return DevnetStatus(
        info,
        latest=as_int(latest["number"], "block"),
        safe=as_int(safe["number"], "block"),
        final=as_int(final["number"], "block"),
        base_fee_wei=as_int(latest["baseFeePerGas"], "block"),
        timestamp_s=as_int(latest["timestamp"], "block"),
    )


def save(directory: Path, path: Path) -> None:
    """Write the running devnet's chain and address book into one file, whole or not at all."""
    info = _require_running(directory)
    if info.fork is not None:
        raise RolloutError(
            f"a fork cannot be saved: what it has not read yet is at {info.fork.endpoint} alone",
            str(directory),
            f"note its block, and fork it again: `seawall devnet up --fork ... --block {info.fork.block}`",
        )
    with DevnetRpc(info.rpc_url) as rpc:
        state = dump_state(rpc)
    document = {
        "format": SAVE_FORMAT,
        "addresses": info.addresses.read_text(),
        "state": state.decode(),
    }
    packed = gzip.compress(json.dumps(document).encode(), compresslevel=1)
    partial = path.with_name(path.name + ".partial")
    with _writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(packed)
        partial.replace(path)


def load(path: Path, settings: DevnetSettings, environment: Mapping[str, str] = os.environ) -> DevnetInfo:
    """Start a devnet from a saved file; RolloutError when the file is unusable or one runs already."""
    assert settings.fork is None, "a saved chain stands by itself"
    _require_nothing_running(settings.directory)
    state, book = _read_saved(path)
    loaded = settings.directory / _STATE_FILE
    with _writing(loaded):
        settings.directory.mkdir(parents=True, exist_ok=True)
        loaded.write_text(state)
    return _start(Toolchain.discover(environment), settings, loaded, book, "")


@contextmanager
def running(settings: DevnetSettings, environment: Mapping[str, str] = os.environ) -> Iterator[Devnet]:
    """A devnet for the length of a block."""
    devnet = Devnet.attach(up(settings, environment))
    try:
        yield devnet
    finally:
        devnet.close()
        down(settings.directory)


def refresh(rpc: DevnetRpc, book: AddressBook, now_s: int) -> None:
    """Bring the clock to now, the feeds' rounds with it, and mine a few blocks at a sane base fee.

    Blocks of a burst are a second apart, so the clock first goes back by their number, never behind the head.
    """
    automine = rpc.call("anvil_getAutomine") is True
    head_s = as_int(rpc.record("eth_getBlockByNumber", "latest", False)["timestamp"], "block")
    start_s = max(now_s - WARM_UP_BLOCKS, head_s + 1)
    # One by one: the node may run the members of a batch in any order.
    rpc.call("evm_setAutomine", False)
    rpc.call("evm_setTime", start_s)
    hashes = []
    for feed in ("feed_eth_usd", "feed_usdx_usd"):
        (answer,) = abi_decode(["int256"], rpc.view(book.address(feed), encode_call("latestAnswer()", ())))
        hashes.append(rpc.send(OWNER, book.address(feed), encode_call("updateAnswer(int256)", (answer,))))
    rpc.call("anvil_mine", hex(WARM_UP_BLOCKS - 1), "0x1")
    rpc.call("anvil_setNextBlockBaseFeePerGas", hex(BASE_FEE_WEI))
    rpc.call("evm_mine")
    rpc.call("evm_setTime", max(now_s, start_s + WARM_UP_BLOCKS))
    rpc.call("evm_setAutomine", automine)
    rpc.settle(hashes, mine=False)


def _start(
    toolchain: Toolchain, settings: DevnetSettings, state: Path, book_text: str, digest: str
) -> DevnetInfo:
    directory = settings.directory.absolute()
    book = AddressBook.from_json(book_text)
    with _writing(directory):
        directory.mkdir(parents=True, exist_ok=True)
        (directory / _BOOK_FILE).write_text(book_text)
    node = start_node(
        toolchain.anvil,
        NodeSettings(
            log_file=directory / _LOG_FILE,
            port=settings.port,
            block_time_s=settings.block_time_s,
            manual_mining=settings.manual_mining,
            load_state=state,
        ),
    )
    try:
        with DevnetRpc(node.url) as rpc:
            book.verify(rpc)
            refresh(rpc, book, SystemClock().now_s())
        info = DevnetInfo(
            rpc_url=node.url,
            ws_url="ws" + node.url.removeprefix("http"),
            pid=node.pid,
            chain_id=CHAIN_ID,
            addresses=directory / _BOOK_FILE,
            log=directory / _LOG_FILE,
            digest=digest,
        )
        (directory / _INFO_FILE).write_text(json.dumps(asdict(info), default=str, indent=1))
    except BaseException:
        node.stop()
        raise
    return info


def _start_fork(toolchain: Toolchain, settings: DevnetSettings, fork: ForkSettings) -> DevnetInfo:
    directory = settings.directory.absolute()
    log = directory / _LOG_FILE
    with _writing(directory):
        directory.mkdir(parents=True, exist_ok=True)
    origin = connect(fork, directory)
    with ExitStack() as undoing:
        undoing.callback(origin.stop)
        node = start_node(
            toolchain.anvil,
            NodeSettings(
                log_file=log,
                port=settings.port,
                block_time_s=settings.block_time_s,
                manual_mining=settings.manual_mining,
                chain_id=origin.chain_id,
                fork=ForkPoint(origin.url, origin.info.block),
            ),
        )
        undoing.callback(node.stop)
        origin.hand_over(node.pid, log)
        info = DevnetInfo(
            rpc_url=node.url,
            ws_url="ws" + node.url.removeprefix("http"),
            pid=node.pid,
            chain_id=origin.chain_id,
            addresses=directory / _BOOK_FILE,
            log=log,
            digest="",
            fork=origin.info,
        )
        with _rpc(info) as rpc:
            book = settle_in(rpc, toolchain, origin)
        with _writing(directory):
            (directory / _BOOK_FILE).write_text(book.to_json())
            (directory / _INFO_FILE).write_text(json.dumps(asdict(info), default=str, indent=1))
        undoing.pop_all()
    return info


def _rpc(info: DevnetInfo) -> DevnetRpc:
    return DevnetRpc(info.rpc_url, info.failure_file)


def _read_info(directory: Path) -> DevnetInfo | None:
    path = directory / _INFO_FILE
    try:
        document = json.loads(path.read_bytes())
        rpc_url = str(document["rpc_url"])
        fork = document.get("fork")
        return DevnetInfo(
            rpc_url=rpc_url,
            ws_url=str(document["ws_url"]),
            pid=int(document["pid"]),
            chain_id=int(document["chain_id"]),
            addresses=Path(document["addresses"]),
            log=Path(document["log"]),
            digest=str(document["digest"]),
            fork=ForkInfo(**fork) if isinstance(fork, dict) else None,
        )
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RolloutError(
            f"unreadable: {error!r:.200}", str(path), "delete the file, and end its anvil by hand"
        ) from error


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RolloutError(
            f"cannot be written: {error.strerror or error}", str(path), "choose a folder that can be written"
        ) from error


def _require_nothing_running(directory: Path) -> None:
    info = _read_info(directory)
    if info is not None and is_node_of(info.pid, info.log):
        raise RolloutError(
            f"a devnet runs already: process {info.pid}, {info.rpc_url}",
            str(directory),
            "use it, or `seawall devnet down`",
        )


def _require_running(directory: Path) -> DevnetInfo:
    info = _read_info(directory)
    if info is None or not is_node_of(info.pid, info.log):
        raise RolloutError("no devnet runs here", str(directory), "start one with `seawall devnet up`")
    return info


def _read_saved(path: Path) -> tuple[str, str]:
    fix = "give a file written by `seawall devnet save`"
    try:
        with gzip.open(path) as stream:
            content = stream.read(SAVED_BYTES_MAX + 1)
        if len(content) > SAVED_BYTES_MAX:
            raise RolloutError(f"larger than {SAVED_BYTES_MAX} bytes unpacked", str(path), fix)
        document: object = json.loads(content)
    except (OSError, EOFError, ValueError) as error:
        raise RolloutError(f"cannot be read as a saved devnet: {error!s:.200}", str(path), fix) from error
    if not isinstance(document, dict) or document.get("format") != SAVE_FORMAT:
        raise RolloutError(f"not a saved devnet of format {SAVE_FORMAT}", str(path), fix)
    state, book = document.get("state"), document.get("addresses")
    if not isinstance(state, str) or not isinstance(book, str):
        raise RolloutError("state or address book is missing", str(path), fix)
    return state, book
