"""Adapters of different states held alike: the state's type is hidden behind a snapshot.

Flow: `erased(adapter)` -> `AnyAdapter`; `at(answers, block)` -> `Snapshot`, which holds the adapter and its
state together, so that nobody can quote one protocol with the state of another. `gather` asks the reads, in
rounds where the adapter wants them, through whatever answers reads at one block.

Not done here: I/O (`ask` is given), choosing, caching of answers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, Protocol, TypeVar

from seawall.primitives.blocks import Block, Read
from seawall.primitives.plans import TokenBound
from seawall.primitives.units import Address
from seawall.protocols.adapters.actions import Action, Swap
from seawall.protocols.adapters.base import (
    READ_ROUNDS_MAX,
    Adapter,
    Dependency,
    HoldsByBounds,
    PolicyPart,
    Position,
    Quote,
    Rates,
    ReadsInRounds,
    SellsOften,
)
from seawall.protocols.adapters.refusals import refused
from seawall.protocols.answers import Answers
from seawall.protocols.executor.operations import Operation

__all__ = ["AnyAdapter", "Ask", "Snapshot", "erased", "gather"]

State = TypeVar("State")

# Sets of holders whose first reads are kept, by adapter.
_HOLDERS_MAX: Final = 16

Ask = Callable[[Sequence[Read]], Answers]
"""Answers reads, all of them at one and the same block."""


class Snapshot(Protocol):
    """One deployment at one block; the methods are those of `base.Adapter`, without the state."""

    @property
    def adapter(self) -> AnyAdapter: ...

    @property
    def block(self) -> Block: ...

    def quote(self, action: Action, account: Address) -> Quote: ...

    def selling(self, token_in: Address, token_out: Address, account: Address) -> Callable[[int], int]:
        """What of `quote` of a `Swap` reaches us in `token_out`, for whoever asks about many amounts."""
        ...

    def positions(self, holder: Address) -> tuple[Position, ...]: ...

    def liquidity(self, token: Address) -> int: ...

    def rates(self, token: Address, change: int = 0) -> Rates: ...


class AnyAdapter(Protocol):
    """What needs no state of `base.Adapter`, and the way to a snapshot."""

    @property
    def name(self) -> str: ...

    @property
    def chain_id(self) -> int: ...

    @property
    def actions(self) -> frozenset[type[Action]]: ...

    def reads(self, holders: tuple[Address, ...] = ()) -> tuple[Read, ...]: ...

    def more_reads(self, answers: Answers, holders: tuple[Address, ...] = ()) -> tuple[Read, ...]:
        """As in `base.ReadsInRounds`; nothing for adapters whose first reads say all."""
        ...

    def at(self, answers: Answers, block: Block) -> Snapshot:
        """The deployment at `block`; raises `ProtocolError` for unfit answers."""
        ...

    def build(self, action: Action, account: Address) -> tuple[Operation, ...]: ...

    def bounds(self, action: Action, account: Address) -> tuple[TokenBound, ...]:
        """As in `base.HoldsByBounds`; nothing for adapters whose operations hold every minimum."""
        ...

    def policy(self, account: Address) -> PolicyPart: ...

    def dependencies(self) -> tuple[Dependency, ...]: ...


def erased(adapter: Adapter[State]) -> AnyAdapter:
    # Asked once: what a protocol class with members is costs ten times a call.
    rounds = adapter if isinstance(adapter, ReadsInRounds) else None
    bounded = adapter if isinstance(adapter, HoldsByBounds) else None
    often = adapter if isinstance(adapter, SellsOften) else None
    return _Erased(adapter.name, adapter, rounds, bounded, often)


def gather(adapter: AnyAdapter, ask: Ask, holders: tuple[Address, ...] = ()) -> Answers:
    """All answers that a snapshot needs; `ask` must answer each round at the same block."""
    answers: dict[str, bytes | None] = {}
    wanted = adapter.reads(holders)
    for _ in range(READ_ROUNDS_MAX):
        if wanted:
            answers |= ask(wanted)
        wanted = adapter.more_reads(answers, holders)
        if not wanted:
            return answers
    raise refused(
        f"the state is not whole after {READ_ROUNDS_MAX} rounds of reads",
        adapter.name,
        "report the adapter: its `more_reads` must end",
    )


@dataclass(frozen=True, slots=True)
class _Snapshot(Generic[State]):
    held: Adapter[State]
    state: State
    block: Block
    often: SellsOften[State] | None

    @property
    def adapter(self) -> AnyAdapter:
        return erased(self.held)

    def quote(self, action: Action, account: Address) -> Quote:
        return self.held.quote(self.state, action, account)

    def selling(self, token_in: Address, token_out: Address, account: Address) -> Callable[[int], int]:
        sold = None if self.often is None else self.often.selling(self.state, token_in, token_out)

        def reaches_us(amount_in: int) -> int:
            amount_out = None if sold is None else sold(amount_in)
            if amount_out is not None:
                return amount_out
            gives = self.quote(Swap(token_in, token_out, amount_in), account).gives
            return sum(one.amount for one in gives if one.token == token_out)

        return reaches_us

    def positions(self, holder: Address) -> tuple[Position, ...]:
        return self.held.positions(self.state, holder)

    def liquidity(self, token: Address) -> int:
        return self.held.liquidity(self.state, token)

    def rates(self, token: Address, change: int = 0) -> Rates:
        return self.held.rates(self.state, token, change)


@dataclass(frozen=True, slots=True)
class _Erased(Generic[State]):
    name: str
    held: Adapter[State]
    rounds: ReadsInRounds | None
    bounded: HoldsByBounds | None
    often: SellsOften[State] | None
    # The first reads depend on the holders alone, and are asked for at every head.
    firsts: dict[tuple[Address, ...], tuple[Read, ...]] = field(
        default_factory=dict, compare=False, repr=False
    )

    @property
    def chain_id(self) -> int:
        return self.held.chain_id

    @property
    def actions(self) -> frozenset[type[Action]]:
        return self.held.actions

    def reads(self, holders: tuple[Address, ...] = ()) -> tuple[Read, ...]:
        known = self.firsts.get(holders)
        if known is None:
            if len(self.firsts) >= _HOLDERS_MAX:
                self.firsts.clear()
            known = self.firsts[holders] = self.held.reads(holders)
        return known

    def more_reads(self, answers: Answers, holders: tuple[Address, ...] = ()) -> tuple[Read, ...]:
        return () if self.rounds is None else self.rounds.more_reads(answers, holders)

    def at(self, answers: Answers, block: Block) -> Snapshot:
        return _Snapshot(self.held, self.held.decode(answers, block), block, self.often)

    def build(self, action: Action, account: Address) -> tuple[Operation, ...]:
        return self.held.build(action, account)

    def bounds(self, action: Action, account: Address) -> tuple[TokenBound, ...]:
        return () if self.bounded is None else self.bounded.bounds(action, account)

    def policy(self, account: Address) -> PolicyPart:
        return self.held.policy(account)

    def dependencies(self) -> tuple[Dependency, ...]:
        return self.held.dependencies()
