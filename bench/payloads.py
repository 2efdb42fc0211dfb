"""What is sent when transactions are measured: a transfer, or a swap on the true Uniswap V2 by our executor.

A payload knows the node that it runs on, what keys need there, the plan that a strategy would make, and the
very transaction that a bare loop signs instead.

The swap sells what the executor holds: its token is a position that stays (class KEPT), so that every plan is
one swap, without a loan. All keys are operators of one executor and share one pair, so that each plan's
simulation stands on the one before it, whichever its key.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final, Protocol

from bench.nodes import CHAIN_ID, ETHER, GWEI, Node, running_node
from seawall.chain.addresses import AddressBook
from seawall.native import DynamicFeeTransaction, encode_call
from seawall.primitives.plans import DirectBody, ExecutorBody, Plan, TokenBound
from seawall.primitives.units import NATIVE, Address, Hash
from seawall.protocols.executor.encoding import Execution, encode_operations
from seawall.protocols.executor.operations import SwapV2
from seawall.protocols.executor.policy import (
    Policy,
    Role,
    TokenClass,
    TokenPolicy,
    registry_calls,
    role_call,
)
from seawall.protocols.executor.risk_book import LossLimit, RiskPolicy, TokenLimit, risk_book_calls
from seawall.risk.limits import OurAddresses
from seawall.rollout.devnet.accounts import OWNER
from seawall.rollout.devnet.build import build_state, cache_directory
from seawall.rollout.devnet.rpc import DevnetRpc
from seawall.rollout.devnet.toolchain import Toolchain

__all__ = ["Payload", "Swaps", "Transfers", "swaps"]

RECEIVER: Final = Address(b"\xd0" * 20)
BENEFICIARY: Final = Address(b"\x77" * 20)
DIGEST: Final = Hash(b"\x5a" * 32)
DEADLINE_S: Final = 2**33
MAX_FEE_PER_GAS_WEI: Final = 100 * GWEI
TRANSFER_GAS: Final = 21_000
# Some 0.02 WETH come out of a swap, many times its maximum fee.
USDX_UNIT: Final = 10**6
SWAPPED: Final = 50 * USDX_UNIT
STOCK: Final = 10**9 * USDX_UNIT
SWAP_GAS: Final = 400_000
FEED_AGE_MAX_S: Final = 2**31
SWAP_FEE_WEI: Final = 10**15


class Payload(Protocol):
    """One kind of transaction."""

    @property
    def name(self) -> str: ...

    @property
    def caps(self) -> dict[Address, int]:
        """What a plan may pay out, by token [smallest unit]."""
        ...

    def node(self) -> AbstractContextManager[Node]:
        """An anvil with what the payload needs."""
        ...

    def ours(self, keys: Sequence[Address]) -> OurAddresses: ...

    def prepare(self, node: Node, keys: Sequence[Address]) -> None:
        """Money and rights for keys that never sent."""
        ...

    def plan(self, key: Address, name: str) -> Plan: ...

    def transaction(self, nonce: int, index: int) -> DynamicFeeTransaction:
        """The same without a pipeline; `index` is unique on the node."""
        ...


@dataclass(frozen=True, slots=True)
class Transfers:
    """A transfer of the native token."""

    chain_id: int = CHAIN_ID
    name: str = "transfers"

    @property
    def caps(self) -> dict[Address, int]:
        return {NATIVE: ETHER}

    def node(self) -> AbstractContextManager[Node]:
        return running_node()

    def ours(self, keys: Sequence[Address]) -> OurAddresses:
        return OurAddresses(frozenset(keys), None)

    def prepare(self, node: Node, keys: Sequence[Address]) -> None:
        node.pay(keys)

    def plan(self, key: Address, name: str) -> Plan:
        return Plan("bench", self.chain_id, key, DirectBody(RECEIVER, b"", 1), NATIVE, name, DEADLINE_S)

    def transaction(self, nonce: int, index: int) -> DynamicFeeTransaction:
        return DynamicFeeTransaction(
            self.chain_id, nonce, GWEI, MAX_FEE_PER_GAS_WEI, TRANSFER_GAS, RECEIVER, 1, b""
        )


@dataclass(frozen=True, slots=True)
class Swaps:
    """A swap of USDX into WETH on Uniswap V2, by a plan through the executor."""

    state: str
    book: AddressBook
    name: str = "executor swaps"

    @property
    def caps(self) -> dict[Address, int]:
        return {NATIVE: ETHER, self.book.address("usdx"): SWAPPED}

    @contextlib.contextmanager
    def node(self) -> Iterator[Node]:
        book = self.book
        executor, usdx = book.address("atomic_executor"), book.address("usdx")
        kept = Policy(executor, tokens=(TokenPolicy(usdx, TokenClass.KEPT),))
        with running_node("--load-state", self.state) as node, DevnetRpc(node.url) as rpc:
            rpc.call("evm_setTime", int(time.time()))
            sent = [rpc.send(OWNER, book.address("policy_registry"), call) for call in registry_calls(kept)]
            sent += [
                rpc.send(OWNER, book.address("risk_book"), call) for call in risk_book_calls(self._risk())
            ]
            sent.append(rpc.send(OWNER, executor, encode_call("setBeneficiary(address)", (BENEFICIARY,))))
            sent.append(rpc.send(OWNER, usdx, encode_call("mint(address,uint256)", (executor, STOCK))))
            rpc.settle(sent, mine=False)
            yield node

    def ours(self, keys: Sequence[Address]) -> OurAddresses:
        holders = frozenset({*keys, self.book.address("atomic_executor"), BENEFICIARY})
        return OurAddresses(holders, self.book.address("weth"))

    def prepare(self, node: Node, keys: Sequence[Address]) -> None:
        node.pay(keys)
        executor = self.book.address("atomic_executor")
        with DevnetRpc(node.url) as rpc:
            sent = [rpc.send(OWNER, executor, role_call(key, Role.OPERATOR)) for key in keys]
            rpc.settle(sent, mine=False)

    def plan(self, key: Address, name: str) -> Plan:
        body = ExecutorBody(
            self.book.address("atomic_executor"), BENEFICIARY, self._operations(), self._bounds(), 0
        )
        return Plan("bench", CHAIN_ID, key, body, self.book.address("weth"), name, DEADLINE_S)

    def transaction(self, nonce: int, index: int) -> DynamicFeeTransaction:
        weth = self.book.address("weth")
        execution = Execution(self._operations(), self._bounds(), DEADLINE_S, 0, weth)
        data = execution.calldata(intent_id=index + 1, plan_digest=DIGEST, max_fee_wei=SWAP_FEE_WEI)
        executor = self.book.address("atomic_executor")
        return DynamicFeeTransaction(CHAIN_ID, nonce, GWEI, MAX_FEE_PER_GAS_WEI, SWAP_GAS, executor, 0, data)

    def _risk(self) -> RiskPolicy:
        """Prices of the state's own time do for ever, and more may leave than all plans together trade."""
        book = self.book
        limits = tuple(
            TokenLimit(book.address(token), book.address(feed), FEED_AGE_MAX_S, decimals, STOCK * ETHER, 0)
            for token, feed, decimals in (("weth", "feed_eth_usd", 18), ("usdx", "feed_usdx_usd", 6))
        )
        return RiskPolicy(book.address("atomic_executor"), limits, LossLimit(STOCK * ETHER, STOCK * ETHER, 0))

    def _operations(self) -> bytes:
        book = self.book
        swap = SwapV2(book.address("uniswap_v2_factory"), book.address("usdx"), book.address("weth"), SWAPPED)
        return encode_operations((swap,))

    def _bounds(self) -> tuple[TokenBound, ...]:
        return (TokenBound(self.book.address("usdx"), "outflow", SWAPPED),)


def swaps() -> Swaps:
    """On the devnet's state, built when missing."""
    built = build_state(Toolchain.discover(os.environ), cache_directory(os.environ))
    return Swaps(str(built.state), built.book())
