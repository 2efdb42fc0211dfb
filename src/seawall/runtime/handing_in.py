"""Calls handed to a running kernel as ordinary plans of a submitter, and followed to their end.

Each call has a key that names its effect, not its attempt. A plan that ended is never said again: where the
effect is wanted still, or again, the next attempt gets a key of its own. Whoever was interrupted says the
same calls again: what waits or is on its way is found, and followed, not doubled.

The kernel accepts, simulates, judges, signs and sends; nothing here reaches a chain by itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from seawall.primitives.errors import InputError, RefusedError, UnavailableError
from seawall.primitives.levels import IntentState
from seawall.primitives.units import Address, address_text, hex_text
from seawall.runtime.commands import Answer, Command, ask
from seawall.runtime.configuration.settings import Configuration

__all__ = ["HandedCall", "Hatch", "Landed", "submitter_for"]

ATTEMPTS_MAX: Final = 64
PLAN_TTL_S: Final = 1_800
WAIT_S_MAX: Final = 600.0
POLL_S: Final = 0.2
# What goes over the socket at once: calldata of creations is large.
PORTION_BYTES_MAX: Final = 256 * 1024

_Body: TypeAlias = dict[str, object]


@dataclass(frozen=True, slots=True)
class HandedCall:
    """One call from `sender`, one of the submitter's keys. `key` names the effect."""

    key: str
    sender: Address
    target: Address
    data: bytes
    note: str


@dataclass(frozen=True, slots=True)
class Landed:
    """How one call stands."""

    call: HandedCall
    intent: int
    status: str
    reason: str


@dataclass(slots=True)
class Hatch:
    """The kernel's socket, as one submitter."""

    socket: Path
    submitter: str
    who: str
    now_s: Callable[[], int] = lambda: int(time.time())
    wait_s: Callable[[float], None] = time.sleep

    def hand_in(self, calls: Sequence[HandedCall]) -> tuple[Landed, ...]:
        """Accepted, or found waiting; after the durable commit. Answers in the order of `calls`."""
        places = [self._attempt(call) for call in calls]
        fresh = [(call, key) for call, (key, row) in zip(calls, places, strict=True) if row is None]
        numbers: dict[str, Landed] = {}
        for portion in _portions(fresh):
            plans = [self._plan(call, key) for call, key in portion]
            answer = self._ask("submit", {"submitter": self.submitter, "plans": plans})
            rows = _rows(answer, "plans")
            for (call, key), row in zip(portion, rows, strict=True):
                numbers[key] = Landed(call, _integer(row["id"]), str(row["status"]), "")
        return tuple(
            numbers[key] if row is None else _landed(call, row)
            for call, (key, row) in zip(calls, places, strict=True)
        )

    def follow(self, handed: Sequence[Landed]) -> tuple[Landed, ...]:
        """Wait until all have ended. Raises `RefusedError` for the first that did not land."""
        waited_s = 0.0
        while True:
            handed = self.look(handed)
            lost = [one for one in handed if _has_ended(one) and one.status != IntentState.LANDED.value]
            if lost:
                raise RefusedError(
                    f"plan #{lost[0].intent} ({lost[0].call.note}) ended {lost[0].status}: {lost[0].reason}",
                    f"submitter {self.submitter}",
                    f"see `seawall plans show {lost[0].intent}`, mend the cause, and run the same again",
                )
            open_ = [one for one in handed if not _has_ended(one)]
            if not open_:
                return tuple(handed)
            if waited_s >= WAIT_S_MAX:
                first = f"the first is #{open_[0].intent}"
                raise UnavailableError(
                    f"{len(open_)} plans have not landed within {WAIT_S_MAX:.0f} s, {first}",
                    f"submitter {self.submitter}",
                    "run the same again: what is on its way is followed on",
                )
            self.wait_s(POLL_S)
            waited_s += POLL_S

    def look(self, handed: Sequence[Landed]) -> tuple[Landed, ...]:
        if not handed:
            return ()
        rows = _rows(self._ask("intent", {"ids": [one.intent for one in handed]}), "intents")
        return tuple(_landed(one.call, row) for one, row in zip(handed, rows, strict=True))

    def _attempt(self, call: HandedCall) -> tuple[str, Mapping[str, object] | None]:
        """The key to use: of the attempt that is under way, with it, or the first that was never used."""
        keys = [f"{call.key}#{number}" for number in range(1, ATTEMPTS_MAX + 1)]
        answer = self._ask("intent", {"strategy": self.submitter, "idempotency_keys": keys})
        found = answer["intents"]
        assert isinstance(found, list), "the kernel answers with intents"
        for key, row in zip(keys, found, strict=True):
            if row is None:
                return key, None
            assert isinstance(row, dict), "an intent is an object"
            if not IntentState(str(row["status"])).is_outcome:
                return key, row
        raise RefusedError(
            f"{ATTEMPTS_MAX} attempts have ended already: {call.note}",
            f"submitter {self.submitter}",
            "see `seawall plans list` for their reasons",
        )

    def _plan(self, call: HandedCall, key: str) -> _Body:
        return {
            "idempotency_key": key,
            "signer": address_text(call.sender),
            "deadline_s": self.now_s() + PLAN_TTL_S,
            "target": address_text(call.target),
            "body": {"kind": "direct", "data": hex_text(call.data)},
            "note": call.note,
        }

    def _ask(self, name: str, body: _Body) -> Answer:
        answer = ask(self.socket, Command(name, who=self.who, body=body))
        if answer is None:
            raise UnavailableError("no kernel listens here", str(self.socket), "start it with `seawall run`")
        return answer


def submitter_for(
    configuration: Configuration, chain_id: int, senders: Collection[Address], named: str | None
) -> str:
    """The submitter that may use all of these keys on the chain; the one that is named, if it may."""
    addresses = {signer.name: signer.address() for signer in configuration.signers}
    fitting = [
        one.name
        for one in configuration.submitters
        if one.chain_id == chain_id and set(senders) <= {addresses[name] for name in one.signers}
    ]
    if named is None and len(fitting) == 1:
        return fitting[0]
    if named is not None and named in fitting:
        return named
    names = ", ".join(sorted(name for name, address in addresses.items() if address in senders))
    what = f"no one submitter of chain {chain_id} may use {names or 'these keys'}"
    if named is not None:
        what = f"submitter {named[:64]!r} may not use {names or 'these keys'} on chain {chain_id}"
    elif fitting:
        what = f"several submitters may use {names}"
    raise InputError(
        what, "--submitter", f"name one of: {', '.join(fitting) or 'none'}; or add it under [[submitters]]"
    )


def _portions(fresh: Sequence[tuple[HandedCall, str]]) -> list[list[tuple[HandedCall, str]]]:
    """As many as one submission takes, in order."""
    portions: list[list[tuple[HandedCall, str]]] = []
    room = 0
    for one in fresh:
        size = 2 * len(one[0].data)
        if not portions or size > room or len(portions[-1]) >= ATTEMPTS_MAX:
            portions.append([])
            room = PORTION_BYTES_MAX
        portions[-1].append(one)
        room -= size
    return portions


def _rows(answer: Answer, name: str) -> list[Mapping[str, object]]:
    rows = answer[name]
    assert isinstance(rows, list), f"the kernel answers with {name}"
    return [row for row in rows if isinstance(row, dict)]


def _landed(call: HandedCall, row: Mapping[str, object]) -> Landed:
    return Landed(call, _integer(row["id"]), str(row["status"]), str(row["reason"] or ""))


def _has_ended(one: Landed) -> bool:
    return IntentState(one.status).is_outcome


def _integer(value: object) -> int:
    assert isinstance(value, int), "an intent has a number"
    return value
