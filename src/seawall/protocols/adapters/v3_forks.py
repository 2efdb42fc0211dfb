"""Forks of Uniswap V3 that are swapped with: PancakeSwap V3, and Slipstream of Velodrome and Aerodrome.

One adapter a pool. Pancake's pools are created by a deployer beside the factory, and have the fee in their
salt. Slipstream's have the tick spacing in theirs, and a fee that the factory may set anew at any time: it
is read with the state, and a quote holds for that block. What stakers or the protocol are due is taken out of
the fee, and changes no amount.

A book names pools `pancake_v3_<token>_<token>_<fee>` beside `pancake_v3_deployer`, and
`slipstream_<token>_<token>_<tick spacing>` beside `slipstream_factory`. The `reference` of deployer or
factory is the hash of the creation code of its pools, by which each of them must be where the book says.

Not done: bringing liquidity (their position managers differ from Uniswap's), gauges. Algebra's pools are not
quoted at all: their fee is set anew by the first swap of a block, from volatility that the pool measures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from seawall.chain.addresses import AddressBook
from seawall.markets.selling import Selling
from seawall.native import encode_call
from seawall.primitives.blocks import Block, Read
from seawall.primitives.errors import ProtocolError
from seawall.primitives.units import Address, address_text, hash_from_text
from seawall.protocols import uniswap_v3 as protocol
from seawall.protocols.adapters.actions import Action, Swap
from seawall.protocols.adapters.base import Dependency, PolicyPart, Position, Quote, Rates
from seawall.protocols.adapters.pools import NamedPool, pools_named
from seawall.protocols.adapters.refusals import market_refusals, unsupported
from seawall.protocols.adapters.v3_swaps import V3Deployment, V3State
from seawall.protocols.answers import Answers, integer_answer
from seawall.protocols.executor.operations import Operation
from seawall.protocols.executor.policy import TokenPolicy
from seawall.protocols.uniswap_v2 import sorted_tokens

__all__ = ["V3ForkAdapter", "from_book"]


@dataclass(frozen=True, slots=True)
class _Fork:
    prefix: str
    creator: str
    """What the book calls the contract that creates the pools."""
    spacings: Mapping[int, int] | None
    """Of each fee; None where pools are told apart by their spacing and the fee may change."""


_FORKS: Final = (
    _Fork("pancake_v3", "pancake_v3_deployer", {100: 1, 500: 10, 2_500: 50, 10_000: 200}),
    _Fork("slipstream", "slipstream_factory", None),
)


@dataclass(frozen=True, slots=True)
class V3ForkAdapter:
    chain_id: int
    deployment: V3Deployment
    fee_changes: bool

    @property
    def name(self) -> str:
        return self.deployment.name

    @property
    def actions(self) -> frozenset[type[Action]]:
        return frozenset({Swap})

    def reads(self, holders: tuple[Address, ...] = ()) -> tuple[Read, ...]:
        del holders
        reads = self.deployment.reads()
        if not self.fee_changes:
            return reads
        return (*reads, Read(self._fee_label(), self.deployment.market.address, encode_call("fee()", ())))

    def more_reads(self, answers: Answers, holders: tuple[Address, ...] = ()) -> tuple[Read, ...]:
        del holders
        with market_refusals(self.name):
            wanted = self.deployment.more_reads(answers)
        return tuple(read for read in wanted if read.label not in answers)

    def decode(self, answers: Answers, block: Block) -> V3State:
        del block
        deployment = self.deployment
        with market_refusals(self.name):
            if self.fee_changes:
                fee_pips = integer_answer(answers, self._fee_label(), "uint24")
                deployment = replace(deployment, market=replace(deployment.market, fee_pips=fee_pips))
            return deployment.decode(answers)

    def quote(self, state: V3State, action: Action, account: Address) -> Quote:
        del account
        if not isinstance(action, Swap):
            raise unsupported(self.name, action)
        with market_refusals(self.name):
            return self.deployment.quote(state, action)

    def selling(self, state: V3State, token_in: Address, token_out: Address) -> Selling:
        return self.deployment.selling(state, token_in, token_out)

    def build(self, action: Action, account: Address) -> tuple[Operation, ...]:
        del account
        if not isinstance(action, Swap):
            raise unsupported(self.name, action)
        return (self.deployment.build(action),)

    def policy(self, account: Address) -> PolicyPart:
        del account
        return PolicyPart(
            tokens=tuple(TokenPolicy(token) for token in self.deployment.tokens),
            factories=(self.deployment.factory_policy(),),
        )

    def positions(self, state: V3State, holder: Address) -> tuple[Position, ...]:
        """Not read: none of ours can be there, since nothing here brings liquidity."""
        del state, holder
        return ()

    def liquidity(self, state: V3State, token: Address) -> int:
        return self.deployment.liquidity(state, token)

    def rates(self, state: V3State, token: Address, change: int = 0) -> Rates:
        del state, token, change
        return Rates(supply_ray=None, borrow_ray=None)

    def dependencies(self) -> tuple[Dependency, ...]:
        return self.deployment.dependencies()

    def _fee_label(self) -> str:
        return f"{self.name}:{self.deployment.market.address.hex()}:fee"


def from_book(book: AddressBook) -> tuple[V3ForkAdapter, ...]:
    return tuple(
        _adapter(book, fork, pool)
        for fork in _FORKS
        if fork.creator in book
        for pool in pools_named(book, fork.prefix)
    )


def _adapter(book: AddressBook, fork: _Fork, pool: NamedPool) -> V3ForkAdapter:
    creator = book[fork.creator]
    number = int(pool.suffix) if pool.suffix.isdecimal() else 0
    spacing = number if fork.spacings is None else fork.spacings.get(number, 0)
    hashed = hash_from_text(creator.reference) if creator.reference else bytes(32)
    token0, token1 = sorted_tokens(*pool.tokens[:2])
    derived = protocol.pool_address(creator.address, token0, token1, number, hashed)
    if spacing == 0 or derived != pool.address:
        raise ProtocolError(
            what=f"{address_text(pool.address)} is not where {fork.creator} puts such a pool",
            where=f"{pool.name}, address book of chain {book.chain_id}",
            fix="name it by its tokens and its fee or tick spacing, and give the hash of the pools' creation "
            f"code as the reference of {fork.creator}",
        )
    fee_pips = 0 if fork.spacings is None else number
    return V3ForkAdapter(
        book.chain_id,
        V3Deployment(
            f"{fork.prefix}:{pool.pair_name}",
            fork.prefix.replace("_", "-"),
            creator.address,
            hashed,
            protocol.V3Market(pool.address, token0, token1, fee_pips, spacing),
            number,
        ),
        fee_changes=fork.spacings is None,
    )
