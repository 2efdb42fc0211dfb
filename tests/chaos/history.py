"""What the driver wrote down, line by line, while it happened: the checker's first witness.

Append-only JSON lines, one record each. A record says what was asked before it was asked, and what was
answered after; an invocation without an answer stays open. No code of Seawall.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

__all__ = [
    "Accept",
    "Answered",
    "Asked",
    "Broke",
    "Foreign",
    "History",
    "Record",
    "Standing",
    "Stood",
    "Told",
]


@dataclass(frozen=True, slots=True)
class Told:
    """A plan as it was submitted, with the payload that it must become."""

    key: str  # idempotency key
    id: str  # 0x and 64 digits: what the chain will show
    sender: str  # addresses are lower case
    target: str
    data: str
    value_wei: int
    deadline_s: int
    depends_on: tuple[str, ...] = ()
    depends_finality: str = "safe"


@dataclass(frozen=True, slots=True)
class Asked:
    number: int
    at_s: float
    kernel: int
    plans: tuple[Told, ...]


@dataclass(frozen=True, slots=True)
class Accept:
    key: str
    intent: int
    created: bool
    digest: str


@dataclass(frozen=True, slots=True)
class Answered:
    """`error` is the kind of a refusal; `lost` says that no answer came, so nothing is known."""

    to: int  # Asked.number
    at_s: float
    accepted: tuple[Accept, ...] = ()
    error: str = ""
    what: str = ""
    lost: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """An intent by the intake's word."""

    key: str
    intent: int
    digest: str
    status: str
    settled: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Stood:
    """One round of asking about all keys, near the end; a key that is not known has no standing."""

    round: int
    at_s: float
    standings: tuple[Standing, ...]


@dataclass(frozen=True, slots=True)
class Foreign:
    """A transaction that somebody else made with one of the keys."""

    hash: str
    sender: str


@dataclass(frozen=True, slots=True)
class Broke:
    """What the nemesis did; the checker does not need it, whoever reads the history does."""

    at_s: float
    what: str
    detail: str


Record = Asked | Answered | Stood | Foreign | Broke
_KINDS: dict[str, type[Record]] = {kind.__name__: kind for kind in (Asked, Answered, Stood, Foreign, Broke)}
_NESTED: dict[str, type[Told] | type[Accept] | type[Standing]] = {
    "plans": Told,
    "accepted": Accept,
    "standings": Standing,
}


@dataclass(slots=True)
class History:
    """All records in their order; written through to a file where there is one."""

    records: list[Record] = field(default_factory=list)
    stream: TextIO | None = None

    def add(self, record: Record) -> None:
        self.records.append(record)
        if self.stream is not None:
            document = {"record": type(record).__name__, **dataclasses.asdict(record)}
            self.stream.write(json.dumps(document) + "\n")
            self.stream.flush()

    @classmethod
    def read(cls, path: Path) -> History:
        with path.open() as stream:
            return cls([_record_of(line) for line in stream])

    @property
    def asked(self) -> dict[int, Asked]:
        return {one.number: one for one in self.records if isinstance(one, Asked)}

    @property
    def answered(self) -> list[Answered]:
        return [one for one in self.records if isinstance(one, Answered)]

    @property
    def stood(self) -> list[Stood]:
        return [one for one in self.records if isinstance(one, Stood)]

    @property
    def foreign(self) -> list[Foreign]:
        return [one for one in self.records if isinstance(one, Foreign)]


def _record_of(line: str) -> Record:
    document = json.loads(line)
    kind = _KINDS[document.pop("record")]
    for name, nested in _NESTED.items():
        if name in document:
            document[name] = tuple(nested(**_tuples(item)) for item in document[name])
    return kind(**document)


def _tuples(item: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in item.items()}
