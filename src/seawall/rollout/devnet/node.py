"""One anvil process: started with pinned rules, waited for, stopped by its process id.

`--slots-in-an-epoch 2` makes `safe` = latest - 2 and `finalized` = latest - 4, so that finality can be
watched in seconds. The binary is started directly, with signals unblocked and its output in a file: the
process id is the node's own, and a caller that blocks signals (as the kernel does) does not hand that on.

Does not restart the node and keeps no thread watching it.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from seawall.primitives.errors import RolloutError
from seawall.rollout.devnet.rpc import BLOCK_GAS_LIMIT, CHAIN_ID, DevnetRpc

__all__ = [
    "ForkPoint",
    "NodeSettings",
    "RunningNode",
    "is_alive",
    "is_alive_with",
    "is_node_of",
    "kept_environment",
    "start_node",
    "stop_process",
]

HARDFORK: Final = "prague"
SLOTS_IN_AN_EPOCH: Final = 2
BASE_FEE_WEI: Final = 1_000_000_000

READY_WAIT_S: Final = 30.0
# Ask, then insist. [(signal, seconds to wait)]
STOP_SEQUENCE: Final = ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0))
POLL_S: Final = 0.005
ENDED: Final = b"Z"  # the state of a process that waits to be reaped
LOG_TAIL_BYTES: Final = 2_000
FORK_READ_TIMEOUT_MS: Final = 60_000

# What a process of the devnet needs of ours. The rest may hold secrets, or send loopback through a proxy.
_VARIABLES_KEPT: Final = ("HOME", "LANG", "LD_LIBRARY_PATH", "PATH", "PYTHONPATH", "TMPDIR")

_LISTENING: Final = re.compile(rb"Listening on (?:127\.0\.0\.1|localhost):(\d+)")


@dataclass(frozen=True, slots=True)
class ForkPoint:
    """The block that a chain continues from, read where `url` says: a place that holds no secret."""

    url: str
    block: int


@dataclass(frozen=True, slots=True)
class NodeSettings:
    log_file: Path
    port: int = 0
    """0: any free port."""
    block_time_s: float | None = None
    """Seconds between blocks; None makes a block of every transaction."""
    manual_mining: bool = False
    """Blocks only on command; excludes `block_time_s`."""
    load_state: Path | None = None
    genesis_time_s: int | None = None
    chain_id: int = CHAIN_ID
    fork: ForkPoint | None = None


@dataclass(frozen=True, slots=True)
class RunningNode:
    pid: int
    url: str

    def stop(self) -> None:
        stop_process(self.pid)


def start_node(binary: Path, settings: NodeSettings) -> RunningNode:
    """Start anvil and return once it answers for its chain; on failure nothing is left running."""
    settings.log_file.parent.mkdir(parents=True, exist_ok=True)
    settings.log_file.write_bytes(b"")
    log = str(settings.log_file)
    pid = os.posix_spawn(
        binary,
        _arguments(binary, settings),
        kept_environment(os.environ),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        setsigmask=[],
    )
    try:
        node = RunningNode(pid, f"http://127.0.0.1:{_listening_port(pid, settings.log_file)}")
        with DevnetRpc(node.url) as rpc:
            rpc.require_devnet(settings.chain_id)
    except BaseException:
        stop_process(pid)
        raise
    return node


def kept_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that a process of the devnet is given."""
    return {name: environment[name] for name in _VARIABLES_KEPT if name in environment}


def is_alive(pid: int) -> bool:
    """Whether the process runs; a dead child of ours is reaped on the way.

    One that ended and was not reaped by whoever has to, runs no more: the first process of a container may
    take seconds to get to it.
    """
    with contextlib.suppress(ChildProcessError):
        if os.waitpid(pid, os.WNOHANG)[0] == pid:
            return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        told = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return True
    # `pid (name) state ...`; a name may hold brackets and spaces.
    return told.rpartition(b") ")[2][:1] != ENDED


def is_node_of(pid: int, log_file: Path) -> bool:
    """Whether the process is the node that `start_node` started with this log file."""
    return is_alive_with(pid, str(_states_folder(log_file)))


def is_alive_with(pid: int, argument: str) -> bool:
    """Whether the process runs and was started with this argument.

    Process ids are used again by others, and a node that hangs must still be found: so the process's command
    line decides. Without /proc only being alive can be told.
    """
    if not is_alive(pid):
        return False
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return is_alive(pid)
    return os.fsencode(argument) in command.split(b"\0")


def stop_process(pid: int) -> None:
    """Ask the process to end, insist after a bound, and reap it if it is ours."""
    for signal_number, wait_s in STOP_SEQUENCE:
        if not is_alive(pid):
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal_number)
        deadline_s = time.monotonic() + wait_s
        while time.monotonic() < deadline_s:
            if not is_alive(pid):
                return
            time.sleep(POLL_S)
    raise RolloutError(f"process {pid} does not end", "devnet", "end it by hand")


def _arguments(binary: Path, settings: NodeSettings) -> list[str]:
    assert not (settings.manual_mining and settings.block_time_s is not None), "one way of mining"
    arguments = [
        str(binary),
        "--host",
        "127.0.0.1",
        "--port",
        str(settings.port),
        "--chain-id",
        str(settings.chain_id),
        "--hardfork",
        HARDFORK,
        "--slots-in-an-epoch",
        str(SLOTS_IN_AN_EPOCH),
        "--gas-limit",
        str(BLOCK_GAS_LIMIT),
        "--base-fee",
        str(BASE_FEE_WEI),
        "--cache-path",
        str(_states_folder(settings.log_file)),
    ]
    if settings.block_time_s is not None:
        arguments += ["--block-time", f"{settings.block_time_s:g}"]
    if settings.manual_mining:
        arguments += ["--no-mining"]
    if settings.load_state is not None:
        arguments += ["--load-state", str(settings.load_state)]
    if settings.genesis_time_s is not None:
        arguments += ["--timestamp", str(settings.genesis_time_s)]
    if settings.fork is not None:
        # Without its cache, which goes by chain and block alone: two devnets may have both in common. What
        # failed is asked again by whoever listens at the place.
        arguments += ["--fork-url", settings.fork.url, "--fork-block-number", str(settings.fork.block)]
        arguments += ["--no-storage-caching", "--retries", "0", "--timeout", str(FORK_READ_TIMEOUT_MS)]
    return arguments


def _states_folder(log_file: Path) -> Path:
    return log_file.parent / "states"


def _listening_port(pid: int, log_file: Path) -> int:
    deadline_s = time.monotonic() + READY_WAIT_S
    while time.monotonic() < deadline_s:
        listening = _LISTENING.search(log_file.read_bytes())
        if listening is not None:
            return int(listening.group(1))
        if not is_alive(pid):
            tail = log_file.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace").strip()
            raise RolloutError(
                f"anvil ended at once: {tail or 'no output'}",
                str(log_file),
                "free the port, or correct what it names",
            )
        time.sleep(POLL_S)
    raise RolloutError(
        f"anvil was not ready within {READY_WAIT_S:.0f} s", str(log_file), "look into that file"
    )
