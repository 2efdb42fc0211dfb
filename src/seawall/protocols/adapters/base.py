"""What every protocol looks like from outside: one small interface, no I/O.

Flow: `reads` names the view calls, somebody answers them at one block, `decode` makes a *state* of that
block, and everything else is a pure function of it. `build` needs no state at all: what must hold on chain is
in the action's minimums and in the plan's bounds; where a protocol's own call knows no minimum, the adapter
also fulfils `HoldsByBounds` and says what the plan must list. Where the answers themselves say what else must
be read (the ticks of a pool, the requests of a queue), it also fulfils `ReadsInRounds`; where one state is
quoted for many amounts faster than one by one, `SellsOften`.

Rounding: what we receive rounds down, what we pay and owe rounds up. A quote equals what the contract does,
to the wei, or it is refused with `UnavailableActionError`; nothing is estimated silently.

What never changes about a deployment (addresses, fees fixed in code, decimals) is given to an adapter when it
is made, from the address book.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol, TypeVar, runtime_checkable

from seawall.markets.selling import Selling
from seawall.primitives.blocks import Block, Read
from seawall.primitives.plans import TokenBound
from seawall.primitives.units import Address
from seawall.protocols.adapters.actions import Action
from seawall.protocols.answers import Answers
from seawall.protocols.executor.operations import Operation
from seawall.protocols.executor.policy import FactoryPolicy, LenderPolicy, Listing, MemberSet, TokenPolicy

__all__ = [
    "RAY",
    "READ_ROUNDS_MAX",
    "Adapter",
    "Dependency",
    "DependencyKind",
    "Exact",
    "HoldsByBounds",
    "PolicyPart",
    "Position",
    "PositionKind",
    "Quote",
    "Rates",
    "ReadsInRounds",
    "SellsOften",
]

RAY = 10**27
# Rounds of reads at one block that an adapter may ask for, the first included.
READ_ROUNDS_MAX: Final = 4


@dataclass(frozen=True, slots=True)
class Exact:
    """An amount that is known, unlike that of an action, which may be measured later."""

    token: Address
    amount: int  # [smallest unit of token]


@dataclass(frozen=True, slots=True)
class Quote:
    """What an action would do at the state's block."""

    takes: tuple[Exact, ...]  # leaves us, rounded up
    gives: tuple[Exact, ...]  # reaches us, rounded down
    owes: tuple[Exact, ...] = ()  # what we owe more, rounded up; negative where we owe less
    impact_bps: int = 0  # how much worse than an infinitely small one, rounded up
    held: tuple[Exact, ...] = ()  # what of `gives` minimums can hold, where that is not all of it


class PositionKind(StrEnum):
    SUPPLIED = "supplied"
    COLLATERAL = "collateral"
    DEBT = "debt"
    SHARE = "share"
    LEAVING = "leaving"  # in an exit queue
    REWARD = "reward"  # earned, not collected


@dataclass(frozen=True, slots=True)
class Position:
    """Something of ours in a protocol, in terms of the token that it is about."""

    holder: Address
    kind: PositionKind
    token: Address
    amount: (
        int  # what could be had, rounded down; of a debt what is owed, rounded up [smallest unit of token]
    )
    receipt: Address | None = None  # the token that stands for it, where there is one
    receipt_amount: int = 0
    reference: str = ""  # of one among several: a request's number, a market's id


@dataclass(frozen=True, slots=True)
class Rates:
    """Yearly simple rates [ray]; None where the protocol has none."""

    supply_ray: int | None
    borrow_ray: int | None


class DependencyKind(StrEnum):
    PROTOCOL = "protocol"
    ASSET = "asset"
    ORACLE = "oracle"
    BRIDGE = "bridge"
    CURATOR = "curator"


@dataclass(frozen=True, slots=True)
class Dependency:
    """What a position stands or falls with; equal ones of two positions are one and the same risk."""

    kind: DependencyKind
    name: str  # stable, lower case: `aave-v3`, an address for an asset or an oracle


@dataclass(frozen=True, slots=True)
class PolicyPart:
    """What the policy registry must list for one account, so that the adapter's operations pass."""

    listings: tuple[Listing, ...] = ()
    tokens: tuple[TokenPolicy, ...] = ()
    lenders: tuple[LenderPolicy, ...] = ()
    factories: tuple[FactoryPolicy, ...] = ()
    sets: tuple[MemberSet, ...] = ()


State = TypeVar("State")
State_contra = TypeVar("State_contra", contravariant=True)


class Adapter(Protocol[State]):
    """One deployment of one protocol (of a protocol with separate markets: one market)."""

    @property
    def name(self) -> str:
        """Stable and unique on its chain, `aave_v3`, `morpho_blue:weth-usdx`."""
        ...

    @property
    def chain_id(self) -> int: ...

    @property
    def actions(self) -> frozenset[type[Action]]:
        """What `quote` and `build` understand."""
        ...

    def reads(self, holders: tuple[Address, ...] = ()) -> tuple[Read, ...]:
        """View calls for the state, with what `positions` needs about `holders`."""
        ...

    def decode(self, answers: Answers, block: Block) -> State:
        """The state at `block`, interest accrued to its timestamp. `ProtocolError` for unfit answers."""
        ...

    def quote(self, state: State, action: Action, account: Address) -> Quote:
        """Exactly what `account` would pay and get. `UnavailableActionError` where the protocol would refuse
        (paused, empty, over a cap, not enough liquidity), or where an amount is not known yet."""
        ...

    def build(self, action: Action, account: Address) -> tuple[Operation, ...]:
        """Operations that do it when `account` (an executor of ours) runs them."""
        ...

    def policy(self, account: Address) -> PolicyPart:
        """What `build` may ever use, in the narrowest rules that the registry knows."""
        ...

    def positions(self, state: State, holder: Address) -> tuple[Position, ...]: ...

    def liquidity(self, state: State, token: Address) -> int:
        """What anyone could take out at once at most [smallest unit of token]."""
        ...

    def rates(self, state: State, token: Address, change: int = 0) -> Rates:
        """Rates after our own supply (positive) or withdrawal (negative) of `change` [smallest unit]."""
        ...

    def dependencies(self) -> tuple[Dependency, ...]: ...


@runtime_checkable
class ReadsInRounds(Protocol):
    """An adapter that learns from answers what else it must read at the same block."""

    def more_reads(self, answers: Answers, holders: tuple[Address, ...] = ()) -> tuple[Read, ...]:
        """What `answers` make necessary and do not hold; empty once they suffice, within `READ_ROUNDS_MAX`.

        Somebody who observes head by head may subscribe to these from the next head on: `decode` takes what
        there is, and refuses quotes that need more.
        """
        ...


@runtime_checkable
class SellsOften(Protocol[State_contra]):
    """An adapter that is asked for many amounts at once, by a search for the best one."""

    def selling(self, state: State_contra, token_in: Address, token_out: Address) -> Selling:
        """To the wei what `quote` of a `Swap` says reaches us, for any amount; None where only `quote` can
        tell, as it does whatever is refused."""
        ...


@runtime_checkable
class HoldsByBounds(Protocol):
    """An adapter some of whose calls take no minimum, so that the plan itself must hold it."""

    def bounds(self, action: Action, account: Address) -> tuple[TokenBound, ...]:
        """What a plan with `build(action, account)` must bound beside what it bounds anyway; the inflows of
        several actions in one token add up. Empty where the operations hold the minimum themselves."""
        ...
