"""The devnet: a local chain with the true contracts of the protocols, ready in a moment.

    toolchain ─▶ build ─(tokens, uniswap, balancer, executor)─▶ cached state + address book
                                                                     │
    forking (a chain that exists, read through forwarding) ────────┐  │
    lifecycle: up, down, status, save, load, running ◀───────────────┘
        └─▶ Devnet ─▶ trader (scripted swaps), steering (feeds, blocks, reorgs)

It is the one place besides `transactions` that sends to a chain, and only to chain 31337 on this machine,
from the node's unlocked accounts. It imports no signer and knows nothing of ledgers or strategies.
"""

from __future__ import annotations

from seawall.rollout.devnet.accounts import GUARDIAN, OWNER, PAUSER, TRADERS
from seawall.rollout.devnet.forking import ForkInfo, ForkSettings
from seawall.rollout.devnet.lifecycle import (
    Devnet,
    DevnetInfo,
    DevnetSettings,
    DevnetStatus,
    down,
    load,
    running,
    save,
    status,
    up,
)
from seawall.rollout.devnet.rpc import CHAIN_ID, DevnetRpc
from seawall.rollout.devnet.trader import Trader

__all__ = [
    "CHAIN_ID",
    "GUARDIAN",
    "OWNER",
    "PAUSER",
    "TRADERS",
    "Devnet",
    "DevnetInfo",
    "DevnetRpc",
    "DevnetSettings",
    "DevnetStatus",
    "ForkInfo",
    "ForkSettings",
    "Trader",
    "down",
    "load",
    "running",
    "save",
    "status",
    "up",
]
