"""What goes wrong under one seed. Every figure is a chance per occasion, unless its unit says otherwise."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

__all__ = ["KINDS_OF_LIES", "Faults"]

KINDS_OF_LIES = (
    "balance",
    "finality",
    "head",
    "nonce",
    "receipt forged",
    "receipt missing",
    "receipt turned",
)
_POOL_UNBOUNDED = 10_000


@dataclass(slots=True)
class Faults:
    """`Faults()` is a world in which everything does its work."""

    # The endpoints that are read. Their number is fixed for a seed.
    endpoints: int = 1
    agreement: int = 0  # how many of them must say the same; 0 for the usual number
    latency_s_max: float = 0.05
    answer_lost: float = 0.0  # of a request; half of the writes concerned never arrive
    lag: float = 0.0  # per block and endpoint: it serves an older head for a while
    stall: float = 0.0  # per block and endpoint: it answers nothing for a while
    reset: float = 0.0  # of a request: the connection is made anew
    impostor: bool = False  # the first endpoint serves another chain from time to time
    lie: float = 0.0  # per block: one endpoint tells one kind of lie for a while; the others are current
    # The endpoints that are sent to.
    send_endpoints: int = 1
    swallowed: float = 0.0  # of a write: the endpoint says accepted, and forgets it
    refused_falsely: float = 0.0  # of a write: the endpoint says that it cannot be, and it could
    delayed: float = 0.0  # a write arrives up to `delay_s_max` after the port gave up
    duplicated: float = 0.0  # a write arrives a second time, up to `delay_s_max` later
    delay_s_max: float = 0.0
    # The chain.
    drop: float = 0.0  # of a waiting transaction, per block
    pool_forgets: float = 0.0  # per block: all of it
    pool_max: int = _POOL_UNBOUNDED  # transactions; beyond it the cheapest is evicted
    gossip: float = 0.0  # of a transaction that left the pool, per block: somebody still had it
    reorg: float = 0.0
    reorg_forgets: float = 0.0
    empty_block: float = 0.0
    base_fee_jump: float = 0.0  # per block: half as much again, times eight, or by eight
    foreign: float = 0.0  # per block: somebody else uses one of our keys
    # The ledger.
    commit_s_max: float = 0.0  # a read or a commit takes up to this
    disk_full: float = 0.0  # per block: no commit succeeds for a while
    ledger_locked: float = 0.0  # of a commit: somebody else holds the database's lock
    commit_lost: float = 0.0  # of a commit: the connection ends, and nobody says whether it took place
    # The machines, people, and the strategy.
    kernels: int = 1  # alive at once, sharing the lanes
    skew_s_max: int = 0  # between the clocks on their walls
    crash: float = 0.0  # at each failpoint met, and at each await of network or signer
    kill: float = 0.0  # per block, at any moment of it
    freeze: float = 0.0  # per block: a kernel stops, another takes its lanes, then it goes on
    freeze_confirming: float = (
        0.0  # if any: that kernel was about to store what a head changed, not a verdict
    )
    clock: float = 0.0  # per block: the wall clock stands still or steps
    halt: float = 0.0  # per block
    cancel: float = 0.0  # per block: somebody asks to cancel an intent that has not ended
    strategy_fails: float = 0.0  # of a decision

    def but(self, others: Mapping[str, float]) -> Faults:
        """With these figures instead."""
        return replace(self, **{name: type(getattr(self, name))(value) for name, value in others.items()})

    def calm_down(self) -> None:
        """In place: everybody who holds these faults is in a calm world from now on."""
        calm = Faults()
        for each in fields(self):
            setattr(self, each.name, getattr(calm, each.name))

    @staticmethod
    def drawn(rng: random.Random) -> Faults:
        """The faults of a seed: each absent, rare or common, so that seeds differ in what they are about."""
        return Faults(
            endpoints=rng.choice((1, 1, 2, 3, 3)),
            latency_s_max=rng.choice((0.01, 0.2, 1.0)),
            answer_lost=rng.choice((0.0, 0.02, 0.1)),
            lag=rng.choice((0.0, 0.0, 0.03, 0.1)),
            stall=rng.choice((0.0, 0.0, 0.03)),
            reset=rng.choice((0.0, 0.02)),
            impostor=rng.random() < 0.2,
            lie=rng.choice((0.0, 0.0, 0.1)),
            send_endpoints=rng.choice((1, 1, 2, 3)),
            swallowed=rng.choice((0.0, 0.0, 0.1)),
            refused_falsely=rng.choice((0.0, 0.0, 0.1)),
            delayed=rng.choice((0.0, 0.05, 0.2)),
            duplicated=rng.choice((0.0, 0.05)),
            delay_s_max=rng.choice((1.0, 5.0, 30.0)),
            drop=rng.choice((0.0, 0.02, 0.1)),
            pool_forgets=rng.choice((0.0, 0.0, 0.03)),
            pool_max=rng.choice((_POOL_UNBOUNDED, _POOL_UNBOUNDED, 3)),
            gossip=rng.choice((0.0, 0.02, 0.2)),
            reorg=rng.choice((0.0, 0.05, 0.15)),
            reorg_forgets=rng.random(),
            empty_block=rng.choice((0.0, 0.1, 0.3)),
            base_fee_jump=rng.choice((0.0, 0.0, 0.1)),
            foreign=rng.choice((0.0, 0.0, 0.0, 0.03)),
            commit_s_max=rng.choice((0.0, 0.0, 0.02, 0.5)),
            disk_full=rng.choice((0.0, 0.0, 0.03)),
            ledger_locked=rng.choice((0.0, 0.0, 0.02)),
            commit_lost=rng.choice((0.0, 0.0, 0.01)),
            kernels=rng.choice((1, 1, 1, 2, 3)),
            skew_s_max=rng.choice((0, 0, 3)),
            crash=rng.choice((0.0, 0.003, 0.01)),
            kill=rng.choice((0.0, 0.0, 0.05)),
            freeze=rng.choice((0.0, 0.0, 0.0, 0.06)),
            clock=rng.choice((0.0, 0.0, 0.05)),
            halt=rng.choice((0.0, 0.03, 0.1)),
            cancel=rng.choice((0.0, 0.0, 0.1)),
            strategy_fails=rng.choice((0.0, 0.0, 0.03)),
        )
