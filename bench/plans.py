"""From an observation to a verdict: what a plan of ten calls in a flash loan costs, warm, and where it goes.

Each round decides anew on the same observation, from the YAML form and from the Python form in turn, encodes,
builds the candidate, runs it once with the guards' probes on local state, and lets the gate judge. Gas is
known, as it is for every plan but the first of its kind. The stages of one round are timed one after the
other, so that whatever else the machine does hits all of them alike; shares are of CPU time.

    decide     what the strategy computes, its reads decoded and its size searched
    encode     operations into the stream of bytes, the plan's digest
    candidate  intent into exact payload
    EVM        the run in Rust: transaction, probes, flows, read set
    guards     evidence from the run, every guard, the verdict
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeVar
from unittest import mock

from bench.latency import percentile
from bench.rows import Row
from bench.stage import (
    CHAIN_ID,
    OPERATOR,
    Form,
    Work,
    client_of,
    fees_on,
    forms,
    gate_on,
    observe,
    row_of,
    ten_calls_stage,
)
from seawall.chain.fees import FeeQuote
from seawall.chain.networks import network_of
from seawall.chain.simulation import Machine, Simulator
from seawall.native.evm import Evm, EvmTransaction, Execution, Missing, Probe, StateOverride
from seawall.primitives.levels import Authority
from seawall.primitives.observations import Observation
from seawall.primitives.plans import Plan
from seawall.primitives.ports import ThreadOffload
from seawall.primitives.verdicts import Verdict
from seawall.protocols.executor.encoding import encode_operations
from seawall.protocols.executor.operations import Operation
from seawall.risk.gate import Gate
from seawall.strategies import plans as plan_building
from seawall.transactions.candidates import NO_FEES, build_candidate, gas_limit_for, gas_limit_room
from seawall.transactions.judging import judge_now, measure_gas_now

__all__ = ["STAGES", "Rehearsal", "measure"]

WARM_UP: Final = 50
ROUNDS: Final = 600
NUMBERS: Final = 200  # of intents: their bits lie in one slot, which is warm
LIMIT_MS: Final = 4.0
EVM_SHARE_MIN: Final = 0.25
STAGES: Final = ("decide", "encode", "candidate", "EVM", "guards")

T = TypeVar("T")


@dataclass(slots=True)
class Clockwork:
    """Wall and CPU time of the stages of one round [s]."""

    wall_s: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))
    cpu_s: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))

    def timed(self, stage: str, work: Callable[[], T], *, within: str | None = None) -> T:
        """Charge `stage`; what runs inside another stage is taken off it."""
        wall_s, cpu_s = time.perf_counter(), time.thread_time()
        try:
            return work()
        finally:
            cpu_s, wall_s = time.thread_time() - cpu_s, time.perf_counter() - wall_s
            self.wall_s[stage] += wall_s
            self.cpu_s[stage] += cpu_s
            if within is not None:
                self.wall_s[within] -= wall_s
                self.cpu_s[within] -= cpu_s


@dataclass(slots=True)
class TimedEvm:
    """The EVM, whose runs are charged to a round's clock."""

    evm: Evm
    clock: Clockwork = field(default_factory=Clockwork)

    def run(
        self,
        transactions: Sequence[EvmTransaction],
        probes: Sequence[Probe] = (),
        overrides: Sequence[StateOverride] = (),
        trace: bool = False,
    ) -> Execution | Missing:
        work = partial(self.evm.run, transactions, probes, overrides, trace)
        return self.clock.timed("EVM", work, within="guards")

    def encode(self, operations: Sequence[Operation]) -> bytes:
        return self.clock.timed("encode", partial(encode_operations, operations), within="decide")


@dataclass(slots=True)
class Rehearsal:
    """Warm: the state is in the EVM, the gas of this kind of plan is known."""

    machine: Machine
    timed: TimedEvm
    gate: Gate
    observation: Observation
    fees: FeeQuote
    nonce: int
    gas_limit: int = 0

    def round(self, form: Form, number: int) -> tuple[Clockwork, Verdict]:
        clock = self.timed.clock = Clockwork()
        block, now_s = self.observation.block, self.observation.now_s
        plan = clock.timed("decide", lambda: form.decide(self.observation, b"").plans[0])
        row = clock.timed("encode", lambda: row_of(plan, number, now_s))
        candidate = clock.timed(
            "candidate",
            lambda: build_candidate(row, row.lane, self.nonce, 1, self.fees, block, self.gas_limit),
        )
        verdict = clock.timed(
            "guards", lambda: judge_now(self.machine, self.gate, candidate, Authority.RUN, now_s)
        )
        assert not isinstance(verdict, Missing)
        return clock, verdict


def measure() -> list[Row]:
    return asyncio.run(_measure())


async def _measure() -> list[Row]:
    with ten_calls_stage() as devnet:
        async with client_of(devnet.info.rpc_url) as client:
            observation = await observe(client, devnet)
            block = observation.block
            simulator = Simulator(client, network_of(CHAIN_ID), ThreadOffload())
            await simulator.pin(block)
            both = forms(devnet)
            plans = [form.decide(observation, b"").plans for form in both.values()]
            assert plans[0], "the gap is wide enough"
            assert plans[0] == plans[1], "both forms make the same plan"
            rehearsal = Rehearsal(
                simulator.machine,
                TimedEvm(simulator._evm),
                gate_on(devnet),
                observation,
                fees_on(block),
                await client.nonce_at(OPERATOR, block.hash),
            )
            await _warm(simulator, rehearsal, plans[0][0])
        return _rows(_rounds(rehearsal, both), rehearsal.gas_limit)


async def _warm(simulator: Simulator, rehearsal: Rehearsal, plan: Plan) -> None:
    """As for a first plan of its kind: gas measured with all the room there is, then a verdict."""
    block, now_s = rehearsal.observation.block, rehearsal.observation.now_s
    machine, fees, row = simulator.machine, rehearsal.fees, row_of(plan, 1, now_s)
    roomy = build_candidate(row, row.lane, rehearsal.nonce, 1, NO_FEES, block, gas_limit_room(block))
    measuring = Work(lambda: measure_gas_now(machine, roomy, fees.max_fee_per_gas_wei))
    rehearsal.gas_limit = gas_limit_for(await simulator.drive(measuring, [roomy.payload]), block)
    candidate = build_candidate(row, row.lane, rehearsal.nonce, 1, fees, block, rehearsal.gas_limit)
    judging = Work(lambda: judge_now(machine, rehearsal.gate, candidate, Authority.RUN, now_s))
    verdict = await simulator.drive(judging, [candidate.payload])
    assert verdict.admitted, verdict.explanation


def _rounds(rehearsal: Rehearsal, both: dict[str, Form]) -> dict[str, list[Clockwork]]:
    """Both forms in turn. Collections of garbage are left on: they belong to what a plan costs."""
    found: dict[str, list[Clockwork]] = {name: [] for name in both}
    timed = rehearsal.timed
    with (
        mock.patch.object(plan_building, "encode_operations", timed.encode),
        mock.patch.object(rehearsal.machine, "_evm", timed),
    ):
        gc.collect()
        gc.freeze()
        for number in range(WARM_UP + ROUNDS):
            for name, form in both.items():
                clock, verdict = rehearsal.round(form, 2 + number % NUMBERS)
                assert verdict.admitted, verdict.explanation
                if number >= WARM_UP:
                    found[name].append(clock)
        gc.unfreeze()
    return found


def _rows(found: dict[str, list[Clockwork]], gas_limit: int) -> list[Row]:
    rows = [Row("gas limit of the plan", "gas", gas_limit)]
    for name, clocks in found.items():
        wall_ms = [1e3 * sum(clock.wall_s.values()) for clock in clocks]
        cpu_ms = [1e3 * sum(clock.cpu_s.values()) for clock in clocks]
        rows += [
            Row(f"{name}: compile, simulate and judge, p50", "ms", statistics.median(wall_ms)),
            Row(f"{name}: compile, simulate and judge, p95", "ms", percentile(wall_ms, 95), {}, LIMIT_MS),
            Row(f"{name}: the same in CPU time, p50", "ms", statistics.median(cpu_ms)),
            Row(f"{name}: the same in CPU time, p95", "ms", percentile(cpu_ms, 95), {}, LIMIT_MS),
        ]
        rows += [_share(name, stage, clocks) for stage in STAGES]
    return rows


def _share(name: str, stage: str, clocks: Sequence[Clockwork]) -> Row:
    """Of the CPU time of all rounds; in brackets what the EVM must have."""
    whole_s = sum(sum(clock.cpu_s.values()) for clock in clocks)
    part_s = sum(clock.cpu_s[stage] for clock in clocks)
    limit = EVM_SHARE_MIN if stage == "EVM" else None
    median_us = 1e6 * statistics.median(clock.cpu_s[stage] for clock in clocks)
    return Row(f"{name}: share of {stage}", "of CPU", part_s / whole_s, {"median [us]": median_us}, limit)
