"""What goes wrong under one seed. Every figure is a chance per occasion, unless its unit says otherwise."""

from __future__ import annotations

import random
from dataclasses import dataclass, fields

__all__ = ["Faults"]


@dataclass(slots=True)
class Faults:
    """`Faults()` is a world in which everything does its work."""

    # The network between kernel and node.
    latency_s_max: float = 0.05
    answer_lost: float = 0.0  # of a request; half of the writes concerned never arrive
    delayed: float = 0.0  # a write arrives up to `delay_s_max` after the port gave up
    duplicated: float = 0.0  # a write arrives a second time, up to `delay_s_max` later
    delay_s_max: float = 0.0
    impostor: bool = False  # a second endpoint serves another chain from time to time
    # The chain.
    drop: float = 0.0  # of a waiting transaction, per block
    gossip: float = 0.0  # of a transaction that left the pool, per block: somebody still had it
    reorg: float = 0.0
    reorg_forgets: float = 0.0
    empty_block: float = 0.0
    foreign: float = 0.0  # per block: somebody else uses one of our keys
    # The machine, people, and the strategy.
    crash: float = 0.0  # at each failpoint met, and at each await of network or signer
    kill: float = 0.0  # per block, at any moment of it
    freeze: float = 0.0  # per block: the kernel stops, another takes its lanes, then it goes on
    clock: float = 0.0  # per block: the wall clock stands still or steps
    halt: float = 0.0  # per block
    strategy_fails: float = 0.0  # of a decision

    def calm_down(self) -> None:
        """In place: everybody who holds these faults is in a calm world from now on."""
        calm = Faults()
        for each in fields(self):
            setattr(self, each.name, getattr(calm, each.name))

    @staticmethod
    def drawn(rng: random.Random) -> Faults:
        """The faults of a seed: each absent, rare or common, so that seeds differ in what they are about."""
        return Faults(
            latency_s_max=rng.choice((0.01, 0.2, 1.0)),
            answer_lost=rng.choice((0.0, 0.02, 0.1)),
            delayed=rng.choice((0.0, 0.05, 0.2)),
            duplicated=rng.choice((0.0, 0.05)),
            delay_s_max=rng.choice((1.0, 5.0, 30.0)),
            impostor=rng.random() < 0.2,
            drop=rng.choice((0.0, 0.02, 0.1)),
            gossip=rng.choice((0.0, 0.02, 0.2)),
            reorg=rng.choice((0.0, 0.05, 0.15)),
            reorg_forgets=rng.random(),
            empty_block=rng.choice((0.0, 0.1, 0.3)),
            foreign=rng.choice((0.0, 0.0, 0.0, 0.03)),
            crash=rng.choice((0.0, 0.003, 0.01)),
            kill=rng.choice((0.0, 0.0, 0.05)),
            freeze=rng.choice((0.0, 0.0, 0.0, 0.06)),
            clock=rng.choice((0.0, 0.0, 0.05)),
            halt=rng.choice((0.0, 0.03, 0.1)),
            strategy_fails=rng.choice((0.0, 0.0, 0.03)),
        )
