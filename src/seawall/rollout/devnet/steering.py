"""What only a devnet's owner can do: roles, feeds, blocks, time, reorgs, going back, giving money away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from seawall.native import encode_call
from seawall.primitives.errors import InputError, RolloutError
from seawall.primitives.units import Address, hex_text
from seawall.protocols.executor.policy import Role, role_call
from seawall.protocols.safe import known
from seawall.rollout.devnet.accounts import OWNER
from seawall.rollout.devnet.lifecycle import Devnet
from seawall.rollout.devnet.rpc import as_int
from seawall.rollout.devnet.safe import creation_call
from seawall.rollout.devnet.unwinding import reorg_fork

__all__ = [
    "authorise",
    "create_safe",
    "fund",
    "give",
    "mine",
    "pass_time",
    "reorg",
    "revert",
    "set_feed",
    "snapshot",
]

MINE_BLOCKS_MAX: Final = 10_000
REORG_DEPTH_MAX: Final = 64
PASS_TIME_S_MAX: Final = 10 * 365 * 86_400


def authorise(devnet: Devnet, operator: Address, beneficiary: Address) -> None:
    """Let `operator` run plans on the devnet's executor and pay what they earn to `beneficiary`."""
    executor = devnet.book.address("atomic_executor")
    calls = (
        role_call(operator, Role.OPERATOR),
        encode_call("setBeneficiary(address)", (beneficiary,)),
    )
    devnet.rpc.settle([devnet.rpc.send(OWNER, executor, call) for call in calls], mine=True)


def set_feed(devnet: Devnet, feed: str, answer: int) -> None:
    """Publish a new round of a feed, dated by its block. [units of the feed, 8 decimals]"""
    rpc = devnet.rpc
    sent = rpc.send(OWNER, devnet.book.address(feed), encode_call("updateAnswer(int256)", (answer,)))
    rpc.settle([sent], mine=True)


def mine(devnet: Devnet, blocks: int = 1) -> None:
    """Mine at once, with whatever the pool holds in the first block."""
    if not 1 <= blocks <= MINE_BLOCKS_MAX:
        raise InputError(f"cannot mine {blocks} blocks", "devnet", f"give 1 to {MINE_BLOCKS_MAX}")
    devnet.rpc.call("anvil_mine", hex(blocks))


def reorg(devnet: Devnet, depth: int) -> None:
    """Replace the last `depth` blocks by empty ones of other hashes.

    The removed transactions are forgotten, not put back into the pool: whoever wants them sends them again.
    """
    if not 1 <= depth <= REORG_DEPTH_MAX:
        raise InputError(f"cannot reorganise {depth} blocks", "devnet", f"give 1 to {REORG_DEPTH_MAX}")
    if devnet.info.fork is not None:
        reorg_fork(devnet.rpc, depth, devnet.info.fork.block)
    else:
        devnet.rpc.call("anvil_reorg", depth, [])


def snapshot(devnet: Devnet) -> str:
    """An id that `revert` takes, once."""
    identifier = devnet.rpc.call("evm_snapshot")
    assert isinstance(identifier, str)
    return identifier


def revert(devnet: Devnet, identifier: str) -> None:
    """Return to a snapshot; the chain shrinks without a reorg being announced."""
    if devnet.rpc.call("evm_revert", identifier) is not True:
        raise RolloutError(
            f"snapshot {identifier[:20]} is gone", devnet.info.rpc_url, "each can be returned to once"
        )


def fund(devnet: Devnet, account: Address, balance_wei: int) -> None:
    """Set an account's native balance."""
    devnet.rpc.call("anvil_setBalance", hex_text(account), hex(balance_wei))


def give(devnet: Devnet, token: Address, account: Address, amount: int) -> None:
    """Make an account hold this much of a token, out of nothing: its balance is found in the token's storage.

    For tokens of a fork, which nobody here can mint. NodeRefusedError for those whose balances are computed.
    """
    devnet.rpc.call("anvil_dealERC20", hex_text(account), hex_text(token), hex(amount))


def pass_time(devnet: Devnet, seconds: int) -> None:
    """Mine a block that is later than the head by this much."""
    if not 1 <= seconds <= PASS_TIME_S_MAX:
        raise InputError(f"{seconds} s cannot pass", "devnet", f"give 1 to {PASS_TIME_S_MAX}")
    head = devnet.rpc.record("eth_getBlockByNumber", "latest", False)
    devnet.rpc.call("evm_setNextBlockTimestamp", as_int(head["timestamp"], "block") + seconds)
    devnet.rpc.call("evm_mine")


def create_safe(devnet: Devnet, owners: Sequence[Address], threshold: int, balance_wei: int) -> Address:
    """A new Safe of these owners, with coins."""
    rpc = devnet.rpc
    call = creation_call(owners, threshold, salt=rpc.integer("eth_blockNumber"))
    created = Address(rpc.view(known.PROXY_FACTORY, call)[12:32])
    rpc.settle([rpc.send(OWNER, known.PROXY_FACTORY, call)], mine=True)
    fund(devnet, created, balance_wei)
    return created
