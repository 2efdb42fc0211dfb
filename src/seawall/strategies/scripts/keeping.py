"""Keeper jobs: a budget per job, and an eye on competitors.

A run is charged with the most that it may cost when its plan is made: gas limit times the gas price that the
plan's own guard admits. What ended without a transaction is given back. When somebody else did the job
several times in a row, the job rests for some blocks: losing races costs fees and earns nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from seawall.primitives.levels import IntentState
from seawall.primitives.observations import Observation
from seawall.primitives.units import Address, Hash
from seawall.strategies.scripts.memory import Memory, Run

__all__ = ["DAY_S", "RUNS_KEPT_MAX", "Keeper", "Rivals"]

DAY_S: Final = 86_400
RUNS_KEPT_MAX: Final = 500
# Outcomes after which nothing of the plan was ever written.
_UNSENT: Final = (IntentState.REFUSED, IntentState.EXPIRED)


@dataclass(frozen=True, slots=True)
class Rivals:
    """An event that shows that the job was done."""

    source: Address
    topic: Hash
    after: int  # so many times by others in a row
    rest_blocks: int


@dataclass(frozen=True, slots=True)
class Keeper:
    gas_limit: int
    fee_per_run_wei: int
    fee_per_day_wei: int
    runs_per_day: int
    rivals: Rivals | None

    @property
    def max_fee_per_gas_wei(self) -> int:
        """With which a run of `gas_limit` stays within its budget."""
        return self.fee_per_run_wei // self.gas_limit

    def after(self, memory: Memory, observation: Observation) -> Memory:
        """What intents and logs of this observation change."""
        unsent = {one.idempotency_key for one in observation.intents if one.state in _UNSENT}
        runs = tuple(
            run for run in memory.runs if run.key not in unsent and run.at_s > observation.now_s - DAY_S
        )
        memory = replace(memory, runs=runs) if runs != memory.runs else memory
        return memory if self.rivals is None else self._after_rivals(memory, observation, self.rivals)

    def refuses(self, memory: Memory, observation: Observation) -> str:
        """Why no run may be made now; empty where one may."""
        if observation.block.number <= memory.rests_until_block:
            return f"competitors did the job {memory.rivals} times in a row: it rests"
        spent_wei = sum(run.fee_max_wei for run in memory.runs)
        if spent_wei + self.fee_per_run_wei > self.fee_per_day_wei:
            return f"the day's budget is used: {spent_wei} of {self.fee_per_day_wei} wei"
        if len(memory.runs) >= min(self.runs_per_day, RUNS_KEPT_MAX):
            return f"the day's {self.runs_per_day} runs are used"
        return ""

    def charged(self, memory: Memory, key: str, now_s: int) -> Memory:
        return replace(memory, runs=(*memory.runs, Run(key, now_s, self.fee_per_run_wei)))

    def _after_rivals(self, memory: Memory, observation: Observation, rivals: Rivals) -> Memory:
        landed = {one.block_hash for one in observation.intents if one.block_hash is not None}
        count, rests_until = memory.rivals, memory.rests_until_block
        for log in observation.logs:
            if log.address != rivals.source or log.topics[:1] != (rivals.topic,):
                continue
            if log.block_hash in landed:
                count = 0
                continue
            count += 1
            if count >= rivals.after:
                rests_until = max(rests_until, log.block_number + rivals.rest_blocks)
        if landed:
            count = 0
        return replace(memory, rivals=count, rests_until_block=rests_until)
