"""What an executor may lose, as data: the calls that write it into the risk book, and the room it has left.

    RiskPolicy(policy, tokens, losses, health, holds_positions) -> risk_book_calls -> calldata
    room_reads(book, executor, tokens) -> (answered at one block) -> rooms_of -> Rooms

Amounts per token are in its smallest unit, values in 1e-8 US dollars, as the feeds give them. Buckets leak:
what was used up comes back second by second. Calls that loosen a sealed policy must be proposed first, see
`policy.proposal_call`; the book decides what loosens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from seawall.native import encode_call
from seawall.primitives.blocks import Read
from seawall.primitives.errors import InputError
from seawall.primitives.units import Address, address_text
from seawall.protocols.answers import Answers, integer_answer

__all__ = [
    "HEALTH_SOURCES_MAX",
    "VALUE_UNIT",
    "HealthKind",
    "HealthSource",
    "LossLimit",
    "PositionKind",
    "RiskPolicy",
    "Rooms",
    "TokenLimit",
    "per_day_down",
    "risk_book_calls",
    "room_reads",
    "rooms_of",
]

VALUE_UNIT: Final = 10**8
"""One US dollar."""
HEALTH_SOURCES_MAX: Final = 8
_DAY_S: Final = 86_400
_DECIMALS_MAX: Final = 36
_SET_CAP: Final = "setTokenLimit(address,address,(address,uint32,uint8,uint128,uint128))"
_SET_LOSS: Final = "setLossLimit(address,(uint128,uint128,uint128))"
_SET_HEALTH: Final = "setHealthSource(address,(uint8,address,bytes32),bool)"


class HealthKind(IntEnum):
    AAVE_POOL = 1
    MORPHO_MARKET = 2
    COMET = 3


class PositionKind(IntEnum):
    """Positions without a token of their own; `PositionToken` shows them as one, tracked and capped."""

    MORPHO_COLLATERAL = 1
    MORPHO_DEBT = 2
    MORPHO_SUPPLY = 3
    COMET_COLLATERAL = 4
    COMET_DEBT = 5


@dataclass(frozen=True, slots=True)
class TokenLimit:
    """How much of a token may leave (a debt: grow). No feed, no cap: a token without one may not fall."""

    token: Address
    feed: Address  # AggregatorV3 shape, in US dollars
    heartbeat_s: int  # an older answer is none
    decimals: int  # of the token; the book compares
    capacity: int  # at once [smallest unit]
    refill_per_s: int  # [smallest unit per second]


@dataclass(frozen=True, slots=True)
class LossLimit:
    """How much value may be lost, by oracle and net of gains [1e-8 USD]."""

    per_execution: int = 0
    capacity: int = 0  # with no time in between
    refill_per_s: int = 0


@dataclass(frozen=True, slots=True)
class HealthSource:
    """Where an account's health factor is read; in REDUCE_ONLY it may not fall."""

    kind: HealthKind
    source: Address  # pool, Morpho or Comet
    market: bytes = bytes(32)  # Morpho's market id


@dataclass(frozen=True, slots=True)
class RiskPolicy:
    """Everything that bounds the losses of the executors under `policy`."""

    policy: Address
    tokens: tuple[TokenLimit, ...] = ()
    losses: LossLimit = LossLimit()
    health: tuple[HealthSource, ...] = ()
    holds_positions: bool = False


@dataclass(frozen=True, slots=True)
class Rooms:
    """What one executor may still lose at one block."""

    tokens: Mapping[Address, int]  # [smallest unit]; zero without a live feed
    loss: int  # by the next execution [1e-8 USD]


def per_day_down(amount: int) -> int:
    """The refill per second that gives back at most `amount` a day."""
    return amount // _DAY_S


def risk_book_calls(policy: RiskPolicy) -> tuple[bytes, ...]:
    """Calldata for the risk book's owner: health sources first, since adding them tightens."""
    if len(policy.health) > HEALTH_SOURCES_MAX:
        raise _refused(f"{len(policy.health)} health sources are more than {HEALTH_SOURCES_MAX}", "health")
    if len({entry.token for entry in policy.tokens}) != len(policy.tokens):
        raise _refused("a token has two limits", "tokens")
    losses = (policy.losses.per_execution, policy.losses.capacity, policy.losses.refill_per_s)
    _check_amounts(losses, "losses")
    return (
        *(_health_call(policy.policy, source) for source in policy.health),
        *(_token_call(policy.policy, limit) for limit in policy.tokens),
        encode_call(_SET_LOSS, (policy.policy, losses)),
        encode_call("setHoldsPositions(address,bool)", (policy.policy, policy.holds_positions)),
    )


def room_reads(book: Address, executor: Address, tokens: Sequence[Address]) -> tuple[Read, ...]:
    """View calls for `rooms_of`, to be answered at one block."""
    return (
        *(
            Read(
                _token_label(book, executor, token),
                book,
                encode_call("tokenRoom(address,address)", (executor, token)),
            )
            for token in tokens
        ),
        Read(_loss_label(book, executor), book, encode_call("lossRoom(address)", (executor,))),
    )


def rooms_of(answers: Answers, book: Address, executor: Address, tokens: Sequence[Address]) -> Rooms:
    """`ProtocolError` where an answer is absent or has another shape."""
    return Rooms(
        {token: integer_answer(answers, _token_label(book, executor, token), "uint256") for token in tokens},
        integer_answer(answers, _loss_label(book, executor), "uint256"),
    )


def _token_call(policy: Address, limit: TokenLimit) -> bytes:
    where = f"limit of {address_text(limit.token)}"
    _check_amounts((limit.capacity, limit.refill_per_s), where)
    if not 0 < limit.heartbeat_s < 2**32:
        raise _refused(f"a heartbeat of {limit.heartbeat_s} s", where)
    if not 0 <= limit.decimals <= _DECIMALS_MAX:
        raise _refused(f"{limit.decimals} decimals", where)
    values = (limit.feed, limit.heartbeat_s, limit.decimals, limit.capacity, limit.refill_per_s)
    return encode_call(_SET_CAP, (policy, limit.token, values))


def _health_call(policy: Address, source: HealthSource) -> bytes:
    where = f"health source {address_text(source.source)}"
    if len(source.market) != 32:
        raise _refused(f"a market id of {len(source.market)} bytes", where)
    if (source.kind is HealthKind.MORPHO_MARKET) != any(source.market):
        raise _refused("a Morpho market needs its id, and nothing else has one", where)
    return encode_call(_SET_HEALTH, (policy, (int(source.kind), source.source, source.market), True))


def _check_amounts(amounts: Sequence[int], where: str) -> None:
    for amount in amounts:
        if not 0 <= amount < 2**128:
            raise _refused(f"{amount} is outside 0..2^128-1", where)


def _token_label(book: Address, executor: Address, token: Address) -> str:
    return f"room:{book.hex()}:{executor.hex()}:{token.hex()}"


def _loss_label(book: Address, executor: Address) -> str:
    return f"room:{book.hex()}:{executor.hex()}:loss"


def _refused(what: str, where: str) -> InputError:
    return InputError(what, f"risk book, {where}", "correct the limits before they are written")
