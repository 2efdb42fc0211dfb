"""What is believed about the chain, and the overlay."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar
from unittest.mock import patch

from seawall.chain.pool.asking import Asker
from seawall.chain.rpc import RpcPool
from seawall.chain.simulation import Machine, Simulator
from seawall.chain.transport import Request, RpcError
from seawall.ledger.rows import IntentRow
from seawall.ledger.transaction import Transaction
from seawall.native import Execution, Missing
from seawall.primitives.verdicts import Payload
from seawall.transactions import waiting
from tests.world.bugs.planting import Planted

__all__ = ["BUGS"]

T = TypeVar("T")


@contextlib.contextmanager
def overlay_forgotten() -> Iterator[None]:
    """Candidates are judged on the pinned block alone, so that together they spend what is there once."""

    async def nothing(_self: Simulator, *_: object) -> list[Execution]:
        return []

    def run(self: Machine, payload: Payload, nonce: int, fee_per_gas_wei: int) -> Execution | Missing:
        return self.run(payload, nonce, fee_per_gas_wei)

    with patch.object(Simulator, "rebuild", nothing), patch.object(Machine, "push", run):
        yield


@contextlib.contextmanager
def overlay_without_values() -> Iterator[None]:
    """The overlay knows of nonces and fees, and forgets what was spent."""
    true_push = Machine.push

    def push(self: Machine, payload: Payload, nonce: int, fee_per_gas_wei: int) -> Execution | Missing:
        return true_push(self, replace(payload, value_wei=0), nonce, fee_per_gas_wei)

    with patch.object(Machine, "push", push):
        yield


def dependency_not_awaited() -> Planted:
    """A plan goes ahead of what it depends on."""

    def standing(_tx: Transaction, _row: IntentRow) -> tuple[bool, str]:
        return True, ""

    return patch.object(waiting, "_standing_of", standing)


def endpoint_not_checked() -> Planted:
    """Nobody asks an endpoint which chain it serves."""

    async def check(_self: Asker, _member: object) -> None:
        return

    return patch.object(Asker, "check_chain", check)


@contextlib.contextmanager
def one_endpoint_is_believed() -> Iterator[None]:
    """Heads, nonces and receipts are what whoever answers first says."""

    async def agreed(
        self: RpcPool,
        requests: Sequence[Request],
        decode: Callable[[Sequence[object | RpcError]], T],
        *,
        silent: Callable[[T], bool] | None = None,
    ) -> T:
        del silent
        return await self.read(requests, decode)

    true_init = RpcPool.__init__

    def init(self: RpcPool, transports: Sequence[Any], **others: Any) -> None:
        true_init(self, transports, **{**others, "agreement": 1})

    with patch.object(RpcPool, "agreed", agreed), patch.object(RpcPool, "__init__", init):
        yield


BUGS: tuple[Callable[[], Planted], ...] = (
    overlay_forgotten,
    overlay_without_values,
    dependency_not_awaited,
    endpoint_not_checked,
    one_endpoint_is_believed,
)
