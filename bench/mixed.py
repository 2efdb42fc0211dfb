"""Plans of many calls of several kinds: swaps on the true Uniswap V2 and V3, supplies to the true Aave, all
in one flash loan of Balancer's vault.

What a plan does is told by a pattern, a letter a call, repeated as often as needed; the loan is a call too.
A supply is a call with an allowance: the first one writes what was never written, and clearing the allowance
is refunded, so that gas used, gas paid and gas needed all differ.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import cycle, islice
from typing import Final

from typing_extensions import override

from bench.nodes import ETHER, Node
from bench.payloads import SWAPPED, Swaps
from seawall.primitives.plans import Plan, TokenBound
from seawall.primitives.units import NATIVE, Address
from seawall.protocols.adapters.actions import Supply
from seawall.protocols.adapters.catalogue import adapters_of
from seawall.protocols.executor.encoding import encode_operations
from seawall.protocols.executor.operations import Flash, Loan, Operation, SwapV2, SwapV3
from seawall.protocols.executor.policy import TokenClass, registry_calls
from seawall.protocols.executor.policy_parts import policy_of
from seawall.rollout.devnet.accounts import OWNER
from seawall.rollout.devnet.rpc import DevnetRpc
from seawall.strategies.plans import gas_use_guard

__all__ = ["SUPPLY", "SWAP_V2", "SWAP_V3", "MixedCalls"]

SWAP_V2: Final = "2"
SWAP_V3: Final = "3"
SUPPLY: Final = "s"
V3_FEE_PPM: Final = 500
# More than any plan here may take.
CAP: Final = 1_000 * SWAPPED


@dataclass(frozen=True, slots=True)
class MixedCalls(Swaps):
    """As `Swaps`, with `calls` of the kinds of `pattern` in one plan."""

    calls: int = 1
    pattern: str = SWAP_V2

    @property
    @override
    def caps(self) -> dict[Address, int]:
        return {NATIVE: 1_000 * ETHER, self.book.address("usdx"): CAP}

    @override
    @contextlib.contextmanager
    def node(self) -> Iterator[Node]:
        book = self.book
        executor, usdx = book.address("atomic_executor"), book.address("usdx")
        lending = adapters_of(book)["aave_v3"].policy(executor)
        policy = policy_of([lending], executor, {usdx: TokenClass.KEPT})
        with Swaps.node(self) as node:
            if SUPPLY in self.pattern:
                with DevnetRpc(node.url) as rpc:
                    registry = book.address("policy_registry")
                    sent = [rpc.send(OWNER, registry, call) for call in registry_calls(policy)]
                    rpc.settle(sent, mine=False)
            yield node

    @override
    def plan(self, key: Address, name: str) -> Plan:
        return replace(Swaps.plan(self, key, name), guards=(gas_use_guard(),))

    @override
    def _operations(self) -> bytes:
        book = self.book
        loan = (Loan(book.address("weth"), ETHER),)
        inside = tuple(
            call for kind in islice(cycle(self.pattern), self.calls - 1) for call in self._call(kind)
        )
        return encode_operations((Flash(book.address("balancer_vault"), loan, inside),))

    def _call(self, kind: str) -> tuple[Operation, ...]:
        book = self.book
        usdx, weth = book.address("usdx"), book.address("weth")
        if kind == SUPPLY:
            lending = adapters_of(book)["aave_v3"]
            return tuple(lending.build(Supply(usdx, SWAPPED), book.address("atomic_executor")))
        if kind == SWAP_V3:
            return (SwapV3(book.address("uniswap_v3_factory"), usdx, weth, V3_FEE_PPM, SWAPPED),)
        return (SwapV2(book.address("uniswap_v2_factory"), usdx, weth, SWAPPED),)

    @override
    def _bounds(self) -> tuple[TokenBound, ...]:
        return (TokenBound(self.book.address("usdx"), "outflow", self.calls * SWAPPED),)
