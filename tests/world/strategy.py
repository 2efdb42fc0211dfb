"""A strategy that asks for what the checker can recognise on chain: transfers whose calldata is their idempotency key."""

from __future__ import annotations

import random
from dataclasses import dataclass

from seawall.primitives.levels import Finality, Priority
from seawall.primitives.observations import Cause, Decision, Observation
from seawall.primitives.plans import DirectBody, GuardSpec, Plan
from seawall.primitives.units import NATIVE, Address
from tests.world.node import CHAIN_ID, COIN

__all__ = ["Asker"]

_VALUE_WEI = 10**15
_HUGE_WEI = 10**21


@dataclass(slots=True)
class Asker:
    """Fulfils `StrategyPort`. Pure but for `asking`, which the world turns off when chaos ends."""

    name: str
    seed: int
    keys: tuple[Address, ...]
    asking: bool = True

    async def decide(self, observation: Observation, state: bytes, state_version: int) -> Decision:
        rng = random.Random(f"{self.seed}:{self.name}:{observation.seq}:{observation.block.hash.hex()}")
        if not self.asking or observation.cause is not Cause.HEAD or rng.random() < 0.4:
            return Decision(self.name, observation.seq, state_version)
        count = int.from_bytes(state, "big")
        plans = tuple(
            self._plan(rng, observation, f"{self.name}-{observation.seq}-{index}", count) for index in range(rng.randint(1, 3))
        )
        return Decision(self.name, observation.seq, state_version, plans, (count + len(plans)).to_bytes(8, "big"))

    def _plan(self, rng: random.Random, observation: Observation, key: str, count: int) -> Plan:
        kind = rng.random()
        value_wei = _HUGE_WEI if kind < 0.08 else _VALUE_WEI * rng.randint(1, 50)
        target = Address(COIN) if 0.08 <= kind < 0.25 else Address(bytes([0xA0 + rng.randint(0, 7)]) * 20)
        guards = (GuardSpec("balance", (("min_wei", 10**30),)),) if 0.25 <= kind < 0.3 else ()
        previous = f"{self.name}-{observation.seq - 1}-0"
        return Plan(
            strategy=self.name,
            chain_id=CHAIN_ID,
            key=rng.choice(self.keys),
            body=DirectBody(target, key.encode(), value_wei),
            accounting_token=NATIVE,
            idempotency_key=key,
            deadline_s=observation.now_s + rng.choice((4, 20, 60, 120)),
            guards=guards,
            priority=rng.choice(list(Priority)),
            depends_on=(previous,) if kind > 0.92 and count else (),
            depends_finality=rng.choice(list(Finality)),
        )
