"""What expressions see: one block, snapshots of the protocols at it, balances, prices, and own reads.

Flow: while expressions are compiled, `Needs` gathers what they will ask; `Needs.reads` is what must be read
of a block; the answers make a `World`, from which every value follows. All of it is of one block hash.

Rounding: what a price makes of an amount rounds down.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from seawall.native import abi_decode, encode_call
from seawall.primitives.blocks import Block, Read
from seawall.primitives.errors import EncodingError, ProtocolError, UnavailableActionError
from seawall.primitives.units import NATIVE, Address, address_text
from seawall.protocols import chainlink, erc20
from seawall.protocols.adapters.actions import Action, ClaimExit
from seawall.protocols.adapters.base import READ_ROUNDS_MAX, PositionKind, Quote, Rates
from seawall.protocols.adapters.erased import AnyAdapter, Snapshot
from seawall.protocols.answers import Answers, integer_answer
from seawall.protocols.executor.policy import LenderKind
from seawall.protocols.oracles import AHEAD_S_MAX

__all__ = ["USD_DECIMALS", "Feed", "Needs", "OwnRead", "World"]

USD_DECIMALS: Final = 8
_NATIVE_LABEL: Final = "native:"


@dataclass(frozen=True, slots=True)
class Feed:
    """A Chainlink-style feed that prices one token in dollars."""

    feed: Address
    max_age_s: int


@dataclass(frozen=True, slots=True)
class OwnRead:
    """A view call that the file itself names; `word` of what it returns is the value."""

    read: Read
    returns: tuple[str, ...]
    word: int


@dataclass(slots=True)
class Needs:
    """What must be read of each block, and what the steps use, gathered while compiling."""

    account: Address  # whose positions count
    multicall: Address | None = None  # answers for native balances
    adapters: dict[str, AnyAdapter] = field(default_factory=dict)
    balances: set[tuple[Address, Address]] = field(default_factory=set)  # (token, holder)
    feeds: set[Address] = field(default_factory=set)
    own: dict[str, OwnRead] = field(default_factory=dict)
    # What the steps do, which a policy must allow.
    acts_on: dict[str, AnyAdapter] = field(default_factory=dict)
    lenders: dict[Address, LenderKind] = field(default_factory=dict)
    borrowed: set[Address] = field(default_factory=set)  # tokens of loans for one transaction
    raw_calls: set[tuple[Address, str]] = field(default_factory=set)  # (target, signature)

    def reads(self, answers: Answers) -> tuple[Read, ...]:
        """All reads, in a stable order; `answers` of the head before tell adapters what else to look at."""
        wanted: dict[str, Read] = {}
        for name in sorted(self.adapters):
            wanted |= _reads_of(self.adapters[name], answers, self.account)
        for token, holder in sorted(self.balances):
            read = self._balance_read(token, holder)
            wanted[read.label] = read
        for feed in sorted(self.feeds):
            for read in (chainlink.latest_round_read(feed), chainlink.decimals_read(feed)):
                wanted[read.label] = read
        wanted.update({one.read.label: one.read for one in self.own.values()})
        return tuple(wanted.values())

    def _balance_read(self, token: Address, holder: Address) -> Read:
        if token != NATIVE:
            return erc20.balance_read(token, holder)
        assert self.multicall is not None, "compiling refuses native balances without it"
        return Read(
            _NATIVE_LABEL + holder.hex(), self.multicall, encode_call("getEthBalance(address)", (holder,))
        )


@dataclass
class World:
    """One block."""

    block: Block
    now_s: int
    answers: Answers
    needs: Needs
    feeds: Mapping[str, Feed]  # by the token's name

    @cached_property
    def _snapshots(self) -> dict[str, Snapshot]:
        return {}

    @cached_property
    def _sellings(self) -> dict[tuple[str, Address, Address], Callable[[int], int]]:
        return {}

    @property
    def account(self) -> Address:
        return self.needs.account

    def snapshot(self, name: str) -> Snapshot:
        if name not in self._snapshots:
            self._snapshots[name] = self.needs.adapters[name].at(self.answers, self.block)
        return self._snapshots[name]

    def quote(self, name: str, action: Action) -> Quote:
        return self.snapshot(name).quote(action, self.account)

    def sold(self, name: str, token_in: Address, token_out: Address, amount: int) -> int:
        """What reaches us of a swap: `quote`, for whoever asks about many amounts."""
        way = (name, token_in, token_out)
        selling = self._sellings.get(way)
        if selling is None:
            selling = self._sellings[way] = self.snapshot(name).selling(token_in, token_out, self.account)
        return selling(amount)

    def liquidity(self, name: str, token: Address) -> int:
        return self.snapshot(name).liquidity(token)

    def rates(self, name: str, token: Address, change: int) -> Rates:
        return self.snapshot(name).rates(token, change)

    def position(self, name: str, kind: PositionKind, token: Address) -> int:
        found = self.snapshot(name).positions(self.account)
        return sum(one.amount for one in found if one.kind is kind and one.token == token)

    def claimable(self, name: str, token: Address) -> tuple[int, int] | None:
        """Number and amount of our first request for `token` that is paid out now; None where none is."""
        for one in self.snapshot(name).positions(self.account):
            if one.kind is PositionKind.LEAVING and one.token == token and one.reference.isdecimal():
                number = int(one.reference)
                try:
                    quote = self.quote(name, ClaimExit(number, token))
                except UnavailableActionError:  # it is not due, or not funded
                    continue
                return number, sum(gained.amount for gained in quote.gives if gained.token == token)
        return None

    def balance(self, token: Address, holder: Address) -> int:
        if token == NATIVE:
            return integer_answer(self.answers, _NATIVE_LABEL + holder.hex(), "uint256")
        return erc20.balance(token, holder, self.answers)

    def price(self, token_name: str) -> int:
        """Dollars with `USD_DECIMALS` for one whole token, rounded down; too old an answer is refused."""
        feed = self.feeds[token_name]
        latest = chainlink.latest_round(feed.feed, self.answers)
        age_s = max(self.block.timestamp_s, self.now_s) - latest.updated_at_s
        if not -AHEAD_S_MAX <= age_s <= feed.max_age_s or not latest.is_complete:
            raise ProtocolError(
                f"the price of {token_name} is {age_s} s old, and {feed.max_age_s} s are allowed",
                f"feed {address_text(feed.feed)}",
                "wait for its next round, or allow more",
            )
        decimals = chainlink.decimals(feed.feed, self.answers)
        scale: int = 10**decimals
        return latest.answer * 10**USD_DECIMALS // scale

    def own(self, name: str) -> int:
        read = self.needs.own[name]
        raw = self.answers.get(read.read.label)
        where = f"reads.{name}"
        if raw is None:
            raise ProtocolError("the call reverted", where, "check target, call and arguments")
        try:
            value: object = abi_decode(read.returns, raw)[read.word]
        except EncodingError as error:
            raise ProtocolError(
                f"the answer does not decode as ({', '.join(read.returns)}): {error.what}",
                where,
                "correct `returns`",
            ) from None
        if not isinstance(value, int):
            raise ProtocolError("the answer is not a number", where, "choose another `word`")
        return value


def _reads_of(adapter: AnyAdapter, answers: Answers, account: Address) -> dict[str, Read]:
    """By label, as far as `answers` tell: the first reads, what those make necessary, and so on."""
    wanted = {read.label: read for read in adapter.reads((account,))}
    for _ in range(READ_ROUNDS_MAX):
        if any(label not in answers for label in wanted):
            return wanted
        try:
            further = adapter.more_reads({label: answers[label] for label in wanted}, (account,))
        except ProtocolError:
            return wanted  # what was answered is unfit: whoever quotes tells so
        if not further:
            return wanted
        wanted |= {read.label: read for read in further}
    return wanted
