"""The devnet's state, built once for every set of inputs and kept in a cache.

Flow: digest of everything that decides the result -> cached folder, or: compile, start a node with a fixed
genesis time, deploy everything, dump its state and the address book into a fresh folder, and rename that into
place. A crash leaves no half-built folder behind; two builders at once wait for each other on a lock file.
"""

from __future__ import annotations

import fcntl
import gzip
import io
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from seawall.chain.addresses import AddressBook
from seawall.primitives.errors import RolloutError
from seawall.rollout.devnet import (
    aave,
    balancer,
    dexes,
    executor,
    morpho,
    position_views,
    safe,
    standins,
    tokens,
    uniswap,
    v3_forks,
    vaults,
)
from seawall.rollout.devnet.deployer import Deployer
from seawall.rollout.devnet.node import NodeSettings, start_node
from seawall.rollout.devnet.rpc import DevnetRpc, as_bytes
from seawall.rollout.devnet.toolchain import Toolchain

__all__ = ["BuiltState", "build_state", "cache_directory", "dump_state"]

# 2026-01-01 UTC: a fixed genesis makes addresses, code and state the same on every machine.
GENESIS_TIME_S: Final = 1_767_225_600
STATES_KEPT_MAX: Final = 4
VERSION_TIMEOUT_S: Final = 10
STATE_BYTES_MAX: Final = 1 << 30

_STATE_FILE: Final = "state.json"
_BOOK_FILE: Final = "addresses.json"
# The modules that decide what is on the chain; the others only run or use it.
_DEPLOYING: Final = (
    "aave.py",
    "accounts.py",
    "balancer.py",
    "build.py",
    "deployer.py",
    "dexes.py",
    "executor.py",
    "morpho.py",
    "node.py",
    "position_views.py",
    "safe.py",
    "standins.py",
    "tokens.py",
    "uniswap.py",
    "v3_forks.py",
    "vaults.py",
)


@dataclass(frozen=True, slots=True)
class BuiltState:
    digest: str
    state: Path
    """What `anvil --load-state` reads."""
    addresses: Path
    from_cache: bool

    def book(self) -> AddressBook:
        return AddressBook.from_json(self.addresses.read_bytes())


def cache_directory(environment: Mapping[str, str]) -> Path:
    """$SEAWALL_CACHE or ~/.cache/seawall, and `devnet` below it."""
    root = environment.get("SEAWALL_CACHE")
    return (Path(root) if root else Path.home() / ".cache" / "seawall") / "devnet"


def build_state(toolchain: Toolchain, cache: Path) -> BuiltState:
    """The cached state for the present inputs; built when there is none."""
    digest = _digest(toolchain)
    folder = cache / digest
    if (folder / _STATE_FILE).is_file():
        return BuiltState(digest, folder / _STATE_FILE, folder / _BOOK_FILE, from_cache=True)
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with _exclusive(cache / ".lock"):
            from_cache = (folder / _STATE_FILE).is_file()
            if not from_cache:
                _build_into(toolchain, cache, folder)
                _forget_old_states(cache, keep=folder)
    except OSError as error:
        raise RolloutError(
            f"the cache cannot be written: {error.strerror or error}",
            str(cache),
            "set SEAWALL_CACHE to a folder that can be written",
        ) from error
    return BuiltState(digest, folder / _STATE_FILE, folder / _BOOK_FILE, from_cache=from_cache)


def dump_state(rpc: DevnetRpc) -> bytes:
    """The chain as `anvil --load-state` reads it (state of the head, all blocks and transactions)."""
    packed = as_bytes(rpc.call("anvil_dumpState"), "anvil_dumpState")
    with gzip.open(io.BytesIO(packed)) as stream:
        state = stream.read(STATE_BYTES_MAX + 1)
    if len(state) > STATE_BYTES_MAX:
        raise RolloutError(
            f"the state is larger than {STATE_BYTES_MAX} bytes", rpc.url, "start a fresh devnet"
        )
    return state


def _build_into(toolchain: Toolchain, cache: Path, folder: Path) -> None:
    with tempfile.TemporaryDirectory(prefix=".building-", dir=cache) as scratch:
        target = Path(scratch) / "state"
        target.mkdir()
        _deploy_everything(toolchain, cache, target)
        target.rename(folder)


def _deploy_everything(toolchain: Toolchain, cache: Path, target: Path) -> None:
    compiled = toolchain.compile_sources(cache)
    with tempfile.TemporaryDirectory(prefix="seawall-anvil-") as scratch:
        settings = NodeSettings(Path(scratch) / "anvil.log", genesis_time_s=GENESIS_TIME_S)
        node = start_node(toolchain.anvil, settings)
        try:
            with DevnetRpc(node.url) as rpc:
                # Immutables hold deployment times, so blocks must not follow this machine's speed.
                rpc.call("anvil_setBlockTimestampInterval", 1)
                deployer = Deployer(rpc, toolchain, compiled)
                tokens.deploy_tokens(deployer)
                uniswap.deploy_v2(deployer)
                uniswap.deploy_v3(deployer)
                balancer.deploy_balancer(deployer)
                tokens.deploy_lending(deployer)
                aave.fund_borrowers(deployer)
                aave.deploy_aave(deployer)
                morpho.deploy_morpho(deployer)
                vaults.deploy_vaults(deployer)
                tokens.approve_as_traders(deployer)
                executor.deploy_executor(deployer)
                safe.deploy_safe(deployer)
                standins.deploy_stand_ins(deployer)
                dexes.deploy_dexes(deployer)
                dexes.deploy_odd_tokens(deployer)
                v3_forks.deploy_v3_forks(deployer)
                balancer.deploy_stable_pool(deployer)
                position_views.deploy_position_views(deployer)
                (target / _BOOK_FILE).write_text(deployer.book.to_json())
                (target / _STATE_FILE).write_bytes(dump_state(rpc))
        finally:
            node.stop()


def _digest(toolchain: Toolchain) -> str:
    try:
        version = subprocess.run(  # noqa: S603  (the pinned binary, a fixed argument)
            [str(toolchain.anvil), "--version"], capture_output=True, timeout=VERSION_TIMEOUT_S, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise RolloutError(
            f"anvil does not run: {error}", str(toolchain.anvil), "run `make setup`, or correct SEAWALL_ANVIL"
        ) from error
    here = Path(__file__).parent
    ours = {f"deploy/{name}": (here / name).read_bytes() for name in _DEPLOYING}
    return toolchain.digest(ours | executor.contract_files(), version.decode(errors="replace"))


def _forget_old_states(cache: Path, keep: Path) -> None:
    others = [
        path for path in cache.iterdir() if path.is_dir() and path != keep and not path.name.startswith(".")
    ]
    others.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for path in others[STATES_KEPT_MAX - 1 :]:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
