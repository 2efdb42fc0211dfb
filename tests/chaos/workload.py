"""What is wanted in one run: decided by the seed alone, before anything starts. No code of Seawall.

Most wishes record their id by the Recorder; the rest are what makes a sender's life hard: value transfers,
calls that only some blocks let pass, calls that cannot go well, more value than there is, short deadlines,
dependencies, cancellations, another plan under a key in use, two plans racing for one key.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["SELECTORS", "Kind", "Scene", "Wish", "wishes"]

SELECTORS = ("record(bytes32)", "recordUnless(bytes32,uint256)", "doom(bytes32)", "executions(bytes32)")
ETHER = 10**18
TTL_S = 1_800
SHORT_TTL_S = (1, 6)
CANCEL_AFTER_S = (0.0, 4.0)
MODULUS = 4  # one block in so many does not let an unlucky call pass
PRIORITIES = ("critical", "high", "normal", "low")
FINALITIES = ("included", "safe", "final")


class Kind(StrEnum):
    RECORD = "record"
    TRANSFER = "transfer"
    UNLUCKY = "unlucky"
    DOOMED = "doomed"
    UNPAYABLE = "unpayable"
    HURRIED = "hurried"
    DEPENDENT = "dependent"
    CANCELLED = "cancelled"
    CONFLICT = "conflict"  # after the wish whose key it takes was accepted
    RACE = "race"  # at the same time as the wish whose key it takes


WEIGHTS: Mapping[Kind, int] = {
    Kind.RECORD: 55,
    Kind.TRANSFER: 12,
    Kind.UNLUCKY: 7,
    Kind.DOOMED: 3,
    Kind.UNPAYABLE: 2,
    Kind.HURRIED: 5,
    Kind.DEPENDENT: 6,
    Kind.CANCELLED: 5,
    Kind.CONFLICT: 3,
    Kind.RACE: 2,
}


@dataclass(frozen=True, slots=True)
class Scene:
    """Where the wishes play. Addresses are lower case."""

    recorder: str
    sink: str  # an account without code
    senders: tuple[str, ...]
    selectors: Mapping[str, str]  # by signature, 0x and 8 digits


@dataclass(frozen=True, slots=True)
class Wish:
    kind: Kind
    key: str
    id: str
    sender: str
    target: str
    data: str
    value_wei: int
    priority: str
    ttl_s: int
    depends_on: tuple[str, ...] = ()
    depends_finality: str = "safe"
    cancel_after_s: float | None = None
    rival: Wish | None = None  # wants the same key for something else


def wishes(scene: Scene, count: int, seed: int) -> list[Wish]:
    rng = random.Random(f"wishes of {seed}")
    kinds = list(WEIGHTS)
    chosen = rng.choices(kinds, [WEIGHTS[kind] for kind in kinds], k=count)
    made: list[Wish] = []
    for number, kind in enumerate(chosen):
        made.append(_wish(scene, rng, f"{seed}:{number}", kind, made))
    return made


def _wish(scene: Scene, rng: random.Random, name: str, kind: Kind, earlier: Sequence[Wish]) -> Wish:
    one = "0x" + hashlib.sha256(name.encode()).hexdigest()
    target, data, value_wei = _payload(scene, rng, kind, one)
    needed = rng.choice(earlier[-200:]) if kind is Kind.DEPENDENT and earlier else None
    rival = None
    if kind in (Kind.CONFLICT, Kind.RACE):
        other = _wish(scene, rng, f"{name}:rival", Kind.RECORD, ())
        rival = _under(other, name, kind)
    return Wish(
        kind=kind,
        key=name,
        id=one,
        sender=rng.choice(scene.senders),
        target=target,
        data=data,
        value_wei=value_wei,
        priority=rng.choices(PRIORITIES, (1, 2, 6, 2))[0],
        ttl_s=rng.randint(*SHORT_TTL_S) if kind is Kind.HURRIED else TTL_S,
        depends_on=(needed.key,) if needed is not None else (),
        depends_finality=rng.choice(FINALITIES),
        cancel_after_s=rng.uniform(*CANCEL_AFTER_S) if kind is Kind.CANCELLED else None,
        rival=rival,
    )


def _payload(scene: Scene, rng: random.Random, kind: Kind, one: str) -> tuple[str, str, int]:
    digits = one[2:]
    match kind:
        case Kind.TRANSFER:
            return scene.sink, one, rng.randint(1, 1_000)
        case Kind.UNPAYABLE:
            return scene.sink, one, 1_000_000 * ETHER
        case Kind.UNLUCKY:
            data = scene.selectors["recordUnless(bytes32,uint256)"] + digits + f"{MODULUS:064x}"
            return scene.recorder, data, 0
        case Kind.DOOMED:
            return scene.recorder, scene.selectors["doom(bytes32)"] + digits, 0
        case _:
            return scene.recorder, scene.selectors["record(bytes32)"] + digits, 0


def _under(wish: Wish, key: str, kind: Kind) -> Wish:
    return Wish(kind, key, wish.id, wish.sender, wish.target, wish.data, 0, wish.priority, wish.ttl_s)
