"""A devnet that continues a chain which exists: what it stands on, and what of ours is put upon it.

    connect: forwarder (a process, `forwarding`) ─▶ the chain it serves, the block, its state ─▶ Origin
    settle_in: address book of that chain, as far as its contracts are there at that block
               ─▶ our accounts funded ─▶ registry, risk book, checks, executors, factory ─▶ the fork's book

The fork has the devnet's chain id, unless the chain's own is wanted: what is signed for a fork with the true
id could be sent to the true chain by whoever sees it. Its clock goes on from the block's own time, because
feeds would be stale by any other. The executor may trade on the exchanges of the book and borrow from its
lenders; for anything else there are accounts (`positions`). Saving is not offered: what was not read yet is
at the endpoint alone.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from seawall.chain.addresses import AddressBook
from seawall.chain.books import published_book
from seawall.chain.endpoints import Endpoint
from seawall.chain.networks import NETWORKS
from seawall.chain.node_errors import NodeError, classify
from seawall.native import encode_call
from seawall.primitives.errors import (
    ChainIdMismatchError,
    InputError,
    RolloutError,
    UnknownBlockError,
)
from seawall.primitives.secrets import Secret
from seawall.primitives.units import NATIVE, Address, hex_text
from seawall.protocols.adapters.actions import Swap
from seawall.protocols.adapters.base import PolicyPart
from seawall.protocols.adapters.catalogue import adapters_of
from seawall.protocols.executor.policy import TRACKED_TOKENS_MAX, LenderKind, LenderPolicy, Policy
from seawall.protocols.executor.policy_parts import policy_of
from seawall.protocols.executor.risk_book import LossLimit, RiskPolicy, TokenLimit, per_day_down
from seawall.rollout.devnet import executor
from seawall.rollout.devnet.accounts import BORROWERS, GUARDIAN, OWNER, PAUSER, TRADERS
from seawall.rollout.devnet.deployer import ETHER, Deployer
from seawall.rollout.devnet.forwarding import FAILURE_FILE
from seawall.rollout.devnet.node import BASE_FEE_WEI, is_alive_with, kept_environment, stop_process
from seawall.rollout.devnet.rpc import CHAIN_ID, DevnetRpc, ForkLostError, NodeRefusedError, as_int
from seawall.rollout.devnet.toolchain import Toolchain

__all__ = ["ForkInfo", "ForkSettings", "Origin", "connect", "forwarder_runs", "settle_in", "stop_forwarder"]

BLOCK_MAX: Final = 2**53
FORWARDER_WAIT_S: Final = 30.0
BALANCE_WEI: Final = 10_000 * ETHER
WRAPPED_WEI: Final = 1_000 * ETHER

_PROGRAM: Final = "from seawall.rollout.devnet.forwarding import main; main()"
_LOG_FILE: Final = "fork.log"
_ACCOUNTS: Final = (OWNER, *TRADERS, GUARDIAN, PAUSER, *BORROWERS)
_OURS: Final = frozenset(
    {
        "account_factory",
        "atomic_executor",
        "atomic_executor_backup",
        "plan_checks",
        "policy_registry",
        "risk_book",
        "uniswap_v3_path",
    }
)
_LENDERS: Final = (
    ("balancer_vault", LenderKind.BALANCER_V2),
    ("aave_pool", LenderKind.AAVE_V3),
    ("morpho", LenderKind.MORPHO_BLUE),
)
# Token, feed, and how many whole ones may leave the executor in a day. The native coin is as the first.
_LIMITS: Final = (
    ("wpol", "feed_pol_usd", 100_000),
    ("weth", "feed_eth_usd", 50),
    ("wbtc", "feed_btc_usd", 2),
    ("usdc", "feed_usdc_usd", 100_000),
    ("usdt", "feed_usdt_usd", 100_000),
    ("dai", "feed_dai_usd", 100_000),
    ("usdx", "feed_usdx_usd", 100_000),
)


@dataclass(frozen=True, slots=True)
class ForkSettings:
    """What to fork. The endpoint's address is a secret; errors and logs name scheme, host and port."""

    endpoint: Secret
    block: int | None = None
    """None: the endpoint's head."""
    chain_id: int | None = None
    """What the endpoint must serve; None: any chain."""
    keep_chain_id: bool = False
    book: Path | None = None
    """An address book of that chain; None: the published one."""

    def __post_init__(self) -> None:
        if self.block is not None and not 0 <= self.block <= BLOCK_MAX:
            raise InputError(f"block {self.block} does not exist", "--block", f"give 0 to {BLOCK_MAX}")


@dataclass(frozen=True, slots=True)
class ForkInfo:
    """What a running fork stands on."""

    endpoint: str
    """Scheme, host and port."""
    chain_id: int
    """The endpoint's own."""
    block: int
    block_hash: str
    forwarder_pid: int


@dataclass(slots=True)
class Origin:
    """The block to fork, and the process through which it is read."""

    info: ForkInfo
    url: str
    settings: ForkSettings
    _input: int | None = field(repr=False)

    @property
    def chain_id(self) -> int:
        """Of the fork."""
        return self.info.chain_id if self.settings.keep_chain_id else CHAIN_ID

    def hand_over(self, node_pid: int, log: Path) -> None:
        """From now on the forwarder lives as long as the node, and shows nothing above the fork's block."""
        assert self._input is not None, "handed over once"
        _write(self._input, {"pid": node_pid, "block": self.info.block, "log": str(log)})
        self._close()

    def stop(self) -> None:
        self._close()
        stop_process(self.info.forwarder_pid)

    def _close(self) -> None:
        if self._input is not None:
            os.close(self._input)
            self._input = None


def connect(settings: ForkSettings, directory: Path) -> Origin:
    """Start the forwarder and look at the block; on failure nothing is left running.

    `ChainIdMismatchError` for another chain than expected, `UnknownBlockError` for a block that the endpoint
    does not have or no longer knows the state of, `ForkLostError` where it gives no answer.
    """
    endpoint = Endpoint.parse(settings.endpoint.reveal())
    (directory / FAILURE_FILE).unlink(missing_ok=True)
    pid, to_it, from_it = _spawn(directory)
    try:
        _write(to_it, {"url": settings.endpoint.reveal()})
        url = f"http://127.0.0.1:{_port(from_it, directory / _LOG_FILE)}"
        with DevnetRpc(url, directory / FAILURE_FILE) as rpc:
            info = _look(rpc, settings, endpoint.label, pid)
    except BaseException as error:
        os.close(to_it)
        stop_process(pid)
        if isinstance(error, ForkLostError):
            raise ForkLostError(
                error.what, endpoint.label, "check the endpoint's address, and that it runs"
            ) from None
        raise
    finally:
        os.close(from_it)
    return Origin(info, url, settings, to_it)


def settle_in(rpc: DevnetRpc, toolchain: Toolchain, origin: Origin) -> AddressBook:
    """Fund our accounts on a fresh fork, put our contracts there, and return the fork's address book."""
    head = rpc.record("eth_getBlockByNumber", hex(origin.info.block), False)
    if head["hash"] != origin.info.block_hash:
        raise UnknownBlockError(
            f"block {origin.info.block} was replaced while it was forked",
            origin.info.endpoint,
            "fork again, a few blocks behind the head",
        )
    book = _present(rpc, _book(origin))
    wrapped = _wrapped_native(book, origin)
    for account in _ACCOUNTS:
        rpc.call("anvil_setBalance", hex_text(account), hex(BALANCE_WEI))
        # Their keys are public: on true chains others have made some of them send on what they are sent.
        rpc.call("anvil_setCode", hex_text(account), "0x")
    # Else each of the set-up's blocks would be a second later than the one before.
    rpc.call("anvil_setBlockTimestampInterval", 0)
    try:
        executor.deploy_contracts(Deployer(rpc, toolchain, {}, book), wrapped, _policy, _risk_policy)
        wrap = encode_call("deposit()", ())
        sent = [rpc.send(one, wrapped, wrap, value_wei=WRAPPED_WEI) for one in TRADERS]
        rpc.settle(sent, mine=True)
        # The set-up's blocks were nearly empty; fees are to go on where the chain's own were.
        rpc.call("anvil_setNextBlockBaseFeePerGas", head.get("baseFeePerGas") or hex(BASE_FEE_WEI))
        rpc.call("evm_mine")
    finally:
        rpc.call("anvil_removeBlockTimestampInterval")
    for account in _ACCOUNTS:
        rpc.call("anvil_setBalance", hex_text(account), hex(BALANCE_WEI))
    return book


def forwarder_runs(info: ForkInfo, directory: Path) -> bool:
    """Whether the fork in this directory can still read its endpoint."""
    return is_alive_with(info.forwarder_pid, str(directory.absolute()))


def stop_forwarder(info: ForkInfo, directory: Path) -> bool:
    """Stop the forwarder of a fork in this directory, if it runs still."""
    runs = forwarder_runs(info, directory)
    if runs:
        stop_process(info.forwarder_pid)
    return runs


def _spawn(directory: Path) -> tuple[int, int, int]:
    """Process id of a forwarder, what it reads from, what it writes to."""
    its_input, to_it = os.pipe()
    from_it, its_output = os.pipe()
    flags = os.O_WRONLY | os.O_TRUNC | os.O_CREAT
    try:
        pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-P", "-c", _PROGRAM, str(directory)],
            kept_environment(os.environ),
            file_actions=[
                (os.POSIX_SPAWN_DUP2, its_input, 0),
                (os.POSIX_SPAWN_DUP2, its_output, 1),
                (os.POSIX_SPAWN_OPEN, 2, str(directory / _LOG_FILE), flags, 0o600),
            ],
            setsid=True,
            setsigmask=[],
        )
    finally:
        os.close(its_input)
        os.close(its_output)
    return pid, to_it, from_it


def _port(from_it: int, log: Path) -> int:
    said = b""
    until_s = time.monotonic() + FORWARDER_WAIT_S
    while not said.endswith(b"\n"):
        ready, _, _ = select.select([from_it], [], [], max(until_s - time.monotonic(), 0))
        part = os.read(from_it, 64) if ready else b""
        if not part:
            raise RolloutError("the fork's forwarder did not start", str(log), "look into that file")
        said += part
    return int(said)


def _write(to_it: int, line: dict[str, str | int]) -> None:
    try:
        os.write(to_it, json.dumps(line).encode() + b"\n")
    except OSError as error:
        raise RolloutError(
            f"the fork's forwarder ended: {error.strerror}", "devnet", f"look into {_LOG_FILE} of its folder"
        ) from None


def _look(rpc: DevnetRpc, settings: ForkSettings, label: str, forwarder_pid: int) -> ForkInfo:
    chain_id = rpc.integer("eth_chainId")
    if settings.chain_id not in (None, chain_id):
        raise ChainIdMismatchError(
            f"the endpoint serves chain {chain_id}, not {settings.chain_id}",
            label,
            "name an endpoint of that chain",
        )
    wanted = "latest" if settings.block is None else hex(settings.block)
    try:
        found = rpc.call("eth_getBlockByNumber", wanted, False)
    except NodeRefusedError as error:
        raise _unknown(error, settings.block, label) from None
    if not isinstance(found, dict):
        head = rpc.integer("eth_blockNumber")
        raise UnknownBlockError(
            f"the endpoint has no block {settings.block}: its head is {head}",
            label,
            "name one that it has, or leave --block out",
        )
    block = as_int(found["number"], "block")
    try:
        rpc.batch([(method, (hex_text(OWNER), hex(block))) for method in ("eth_getBalance", "eth_getCode")])
    except NodeRefusedError as error:
        raise _unknown(error, block, label) from None
    return ForkInfo(label, chain_id, block, str(found["hash"]), forwarder_pid)


def _unknown(error: NodeRefusedError, block: int | None, label: str) -> Exception:
    if classify(0, error.what) is not NodeError.BLOCK_UNKNOWN:
        return error
    return UnknownBlockError(
        f"the endpoint no longer has the state of block {block}: {error.what}",
        label,
        "name an endpoint with an archive, or a block near its head",
    )


def _book(origin: Origin) -> AddressBook:
    """The chain's book under the fork's chain id, without what of ours is put there anew."""
    chain_id, file = origin.info.chain_id, origin.settings.book
    if file is None:
        found = published_book(chain_id)
    else:
        try:
            found = AddressBook.from_json(file.read_bytes())
        except OSError as error:
            raise InputError(
                f"the address book cannot be read: {error.strerror}", str(file), "name another file"
            ) from None
    if found.chain_id != chain_id:
        raise ChainIdMismatchError(
            f"the address book is of chain {found.chain_id}, the endpoint serves {chain_id}",
            str(file),
            "name the book of the endpoint's chain",
        )
    kept = (replace(entry, chain_id=origin.chain_id) for entry in found if entry.name not in _OURS)
    return AddressBook(origin.chain_id, kept)


def _present(rpc: DevnetRpc, book: AddressBook) -> AddressBook:
    """What of the book is there at the block; what is there must have the code that the book says."""
    entries = tuple(book)
    codes = rpc.codes([entry.address for entry in entries])
    present = AddressBook(book.chain_id, (one for one, code in zip(entries, codes, strict=True) if code))
    present.verify(rpc)
    return present


def _wrapped_native(book: AddressBook, origin: Origin) -> Address:
    network = NETWORKS.get(origin.info.chain_id)
    wrapped = None if network is None else network.wrapped_native
    if wrapped is None and "weth" in book:
        wrapped = book.address("weth")
    if wrapped is None:
        raise RolloutError(
            f"no wrapped native token of chain {origin.info.chain_id} is known, which our contracts need",
            "the chain's address book",
            "give a book that names it `weth` with --book, and a block at which it is there",
        )
    return wrapped


def _policy(book: AddressBook, executor_address: Address) -> Policy:
    """Exchanges and lenders of the book. What contradicts those before it, or is too much, is left out."""
    lenders = tuple(LenderPolicy(book.address(name), kind) for name, kind in _LENDERS if name in book)
    parts: list[PolicyPart] = [PolicyPart(lenders=lenders)]
    found = policy_of(parts, executor_address)
    for name, adapter in adapters_of(book).items():
        if Swap not in adapter.actions and name != "weth":
            continue
        try:
            wider = policy_of([*parts, adapter.policy(executor_address)], executor_address, mixed=True)
        except InputError:
            continue
        if len(wider.tokens) <= TRACKED_TOKENS_MAX:
            parts.append(adapter.policy(executor_address))
            found = wider
    return found


def _risk_policy(book: AddressBook, executor_address: Address) -> RiskPolicy:
    limits: list[TokenLimit] = []
    for name, feed, whole in _LIMITS:
        if name not in book or feed not in book:
            continue
        token, decimals = book.address(name), book[name].decimals or 18
        limits.append(_limit(token, book.address(feed), decimals, whole * 10**decimals))
        if not any(one.token == NATIVE for one in limits):
            limits.append(_limit(NATIVE, book.address(feed), decimals, whole * 10**decimals))
    losses = LossLimit(
        executor.LOSS_PER_EXECUTION, executor.LOSS_PER_DAY, per_day_down(executor.LOSS_PER_DAY)
    )
    return RiskPolicy(executor_address, tuple(limits), losses)


def _limit(token: Address, feed: Address, decimals: int, capacity: int) -> TokenLimit:
    return TokenLimit(token, feed, executor.FEED_HEARTBEAT_S, decimals, capacity, per_day_down(capacity))
