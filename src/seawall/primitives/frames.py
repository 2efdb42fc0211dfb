"""Frames between kernel and host: a 4-byte big-endian length, then the msgpack pair [kind, message].

Flow: the kernel opens with `Start`; the host answers with one `Hello` (or `Failure`) per strategy, in order.
Then each `Turn` (an observation with the state it is decided on) is answered by one `Decision` or `Failure`,
in the order sent. `Heartbeat` comes unasked, `Stop` ends. A turn larger than a frame travels in parts. Sizes
are checked before anything is decoded, and what each side may send is a closed list; everything else is a
`WireError`.

Nothing here touches a socket: `FrameDecoder` is fed bytes, `encode` returns them.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterator
from enum import IntEnum, StrEnum
from typing import Final

from seawall.primitives.bounds import (
    DECISION_FRAME_BYTES_MAX,
    FRAME_BYTES_MAX,
    NOTE_CHARS_MAX,
    OBSERVATION_BYTES_MAX,
    PLANS_PER_DECISION_MAX,
    STATE_BYTES_MAX,
    SUBSCRIPTION_READS_MAX,
    TIMERS_PER_STRATEGY_MAX,
)
from seawall.primitives.codec import pack, unpack
from seawall.primitives.errors import WireError
from seawall.primitives.observations import Decision, Observation, Subscription

__all__ = [
    "FAILURE_TEXT_MAX",
    "PROTOCOL_VERSION",
    "Failure",
    "FailureKind",
    "Frame",
    "FrameDecoder",
    "Heartbeat",
    "Hello",
    "Start",
    "Stop",
    "StrategySpec",
    "Turn",
    "check_decision",
    "check_subscriptions",
    "encode",
]

# Counts up whenever a message changes shape. Kernel and host come from one installation: it must be equal.
PROTOCOL_VERSION: Final = 2
FAILURE_TEXT_MAX: Final = 2_000
_SUBSCRIPTIONS_MAX: Final = 64
_HEADER: Final = struct.Struct(">I")
_PAIR: Final = 0x92  # msgpack: an array of two
_PREFIX_BYTES: Final = 3  # the pair, the kind, and at least one byte of message
# What surrounds the data of a part: pair, kind, an array of three, two integers, the length of the bytes.
_PART_OVERHEAD_BYTES: Final = 64
_PART_DATA_BYTES: Final = FRAME_BYTES_MAX - _PART_OVERHEAD_BYTES
_PARTS_MAX: Final = -(-OBSERVATION_BYTES_MAX // _PART_DATA_BYTES)


class FailureKind(StrEnum):
    """Why a strategy did not answer."""

    LOAD = "load"  # it cannot be imported or refuses its settings
    RAISED = "raised"  # `decide` raised
    BOUND = "bound"  # its decision breaks a bound of the socket
    MEMORY = "memory"  # its host ran out of memory while it was deciding


@dataclasses.dataclass(frozen=True, slots=True)
class StrategySpec:
    """Which class to load, under which name, with which settings."""

    name: str
    path: str  # "package.module:Class"
    settings_json: str = "{}"


@dataclasses.dataclass(frozen=True, slots=True)
class Start:
    """Kernel to host, first of all."""

    version: int
    heartbeat_interval_ms: int
    memory_bytes_max: int  # of the whole address space; 0 is no limit
    python_path: tuple[str, ...]  # directories searched for strategies, before the installation
    strategies: tuple[StrategySpec, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Hello:
    """Host to kernel: this strategy is loaded."""

    version: int
    strategy: str
    subscriptions: tuple[Subscription, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Turn:
    """Kernel to host: decide on this."""

    observation: Observation
    state_version: int
    state: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class Heartbeat:
    """Host to kernel, unasked: the process runs."""

    resident_bytes: int  # memory that it holds


@dataclasses.dataclass(frozen=True, slots=True)
class Failure:
    """Host to kernel, in place of a `Hello` or a `Decision`."""

    strategy: str
    seq: int  # of the observation; 0 while loading
    kind: FailureKind
    what: str


@dataclasses.dataclass(frozen=True, slots=True)
class Stop:
    """Kernel to host: end now."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Part:
    """A piece of a turn that does not fit one frame."""

    index: int
    count: int
    data: bytes


Frame = Start | Hello | Turn | Decision | Heartbeat | Failure | Stop


class _Kind(IntEnum):
    START = 0
    HELLO = 1
    TURN = 2
    PART = 3
    DECISION = 4
    HEARTBEAT = 5
    FAILURE = 6
    STOP = 7


_KIND_OF: Final[dict[type, _Kind]] = {
    Start: _Kind.START,
    Hello: _Kind.HELLO,
    Turn: _Kind.TURN,
    _Part: _Kind.PART,
    Decision: _Kind.DECISION,
    Heartbeat: _Kind.HEARTBEAT,
    Failure: _Kind.FAILURE,
    Stop: _Kind.STOP,
}
_TYPE_OF: Final[dict[int, type[Frame]]] = {int(k): m for m, k in _KIND_OF.items() if m is not _Part}
_FROM_HOST: Final = frozenset((_Kind.HELLO, _Kind.DECISION, _Kind.HEARTBEAT, _Kind.FAILURE))
_FROM_KERNEL: Final = frozenset((_Kind.START, _Kind.TURN, _Kind.PART, _Kind.STOP))


def encode(message: Frame) -> list[bytes]:
    """Frames, each with its header, in the order to send: one, or the parts of a large turn."""
    body = _body(message)
    limit = DECISION_FRAME_BYTES_MAX if _KIND_OF[type(message)] in _FROM_HOST else FRAME_BYTES_MAX
    if len(body) <= limit:
        return [_HEADER.pack(len(body)) + body]
    name = type(message).__name__
    if not isinstance(message, Turn):
        raise WireError(f"{name} of {len(body)} bytes exceeds {limit}", "frame", "send less at once")
    if len(body) > OBSERVATION_BYTES_MAX:
        raise WireError(
            f"observation of {len(body)} bytes exceeds {OBSERVATION_BYTES_MAX}",
            f"strategy {message.observation.strategy!r}",
            "subscribe to fewer reads and logs",
        )
    pieces = [body[start : start + _PART_DATA_BYTES] for start in range(0, len(body), _PART_DATA_BYTES)]
    parts = [_body(_Part(index, len(pieces), piece)) for index, piece in enumerate(pieces)]
    return [_HEADER.pack(len(part)) + part for part in parts]


class FrameDecoder:
    """Bytes in, frames out; the parts of a turn come out joined.

    After a `WireError` the stream is out of step: drop the connection.
    """

    def __init__(self, *, from_host: bool) -> None:
        self._admitted = _FROM_HOST if from_host else _FROM_KERNEL
        self._frame_bytes_max = DECISION_FRAME_BYTES_MAX if from_host else FRAME_BYTES_MAX
        self._buffer = bytearray()
        self._pieces: list[bytes] = []

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Frames that are complete with `data`; what is left of it waits for the next call."""
        self._buffer += data
        while len(self._buffer) >= _HEADER.size:
            (size,) = _HEADER.unpack_from(self._buffer)
            if size > self._frame_bytes_max:
                raise WireError(
                    f"frame of {size} bytes exceeds {self._frame_bytes_max}", "frame", "send less at once"
                )
            end = _HEADER.size + size
            if len(self._buffer) < end:
                return
            body = bytes(memoryview(self._buffer)[_HEADER.size : end])
            del self._buffer[:end]
            frame = self._decode(body)
            if frame is not None:
                yield frame

    def _decode(self, body: bytes) -> Frame | None:
        kind = _kind_of(body, self._admitted)
        if kind != _Kind.PART:
            if self._pieces:
                raise _malformed("another frame between the parts of a turn")
            return unpack(_TYPE_OF[kind], memoryview(body)[2:])
        part = unpack(_Part, memoryview(body)[2:])
        if not (part.index == len(self._pieces) < part.count <= _PARTS_MAX):
            raise _malformed(f"part {part.index} of {part.count} after {len(self._pieces)} parts")
        self._pieces.append(part.data)
        if len(self._pieces) < part.count:
            return None
        whole = b"".join(self._pieces)
        self._pieces.clear()
        _kind_of(whole, frozenset((_Kind.TURN,)))
        return unpack(Turn, memoryview(whole)[2:])


def check_decision(decision: Decision, strategy: str, seq: int) -> None:
    """Refuse a decision that answers something else or breaks a bound, with `WireError`."""
    found = [
        (decision.strategy != strategy, f"it names strategy {decision.strategy!r}"),
        (decision.seq != seq, f"it answers observation {decision.seq} instead of {seq}"),
        (
            len(decision.plans) > PLANS_PER_DECISION_MAX,
            f"{len(decision.plans)} plans exceed {PLANS_PER_DECISION_MAX}",
        ),
        (
            any(plan.strategy != strategy for plan in decision.plans),
            "one of its plans names another strategy",
        ),
        (
            decision.state is not None and len(decision.state) > STATE_BYTES_MAX,
            f"the state exceeds {STATE_BYTES_MAX} bytes",
        ),
        (
            len(decision.timers or ()) > TIMERS_PER_STRATEGY_MAX,
            f"{len(decision.timers or ())} timers exceed {TIMERS_PER_STRATEGY_MAX}",
        ),
        (
            len(decision.note or "") > NOTE_CHARS_MAX,
            f"its note is longer than {NOTE_CHARS_MAX} characters",
        ),
    ]
    for broken, what in found:
        if broken:
            raise WireError(what, f"decision {seq} of {strategy!r}", "correct the strategy")
    check_subscriptions(decision.subscriptions or (), strategy)


def check_subscriptions(subscriptions: tuple[Subscription, ...], strategy: str) -> None:
    """Refuse subscriptions that break a bound or name a label twice, with `WireError`."""
    where = f"subscriptions of {strategy!r}"
    if len(subscriptions) > _SUBSCRIPTIONS_MAX:
        raise WireError(
            f"more than {_SUBSCRIPTIONS_MAX} subscriptions", where, "subscribe once for each chain"
        )
    reads = [read for subscription in subscriptions for read in subscription.reads]
    if len(reads) > SUBSCRIPTION_READS_MAX:
        raise WireError(
            f"{len(reads)} reads exceed {SUBSCRIPTION_READS_MAX}", where, "read less at each head"
        )
    for subscription in subscriptions:
        if subscription.every_heads < 1:
            raise WireError(f"every {subscription.every_heads} heads", where, "the least is every head: 1")
        labels = [read.label for read in subscription.reads]
        if len(set(labels)) < len(labels):
            raise WireError("two reads have the same label", where, "name each read differently")


def _body(message: Frame | _Part) -> bytes:
    return bytes((_PAIR, _KIND_OF[type(message)])) + pack(message)


def _kind_of(body: bytes, admitted: frozenset[_Kind]) -> int:
    if len(body) < _PREFIX_BYTES or body[0] != _PAIR:
        raise _malformed("not a pair of kind and message")
    if body[1] not in admitted:
        raise _malformed(f"kind {body[1]} may not come from this side")
    return body[1]


def _malformed(what: str) -> WireError:
    return WireError(what, "frame", "only canonical frames cross the socket")
