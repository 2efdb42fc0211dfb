"""A strategy file tried by hand on the chain as it is: what it sees, which plan it makes, how that is judged.

Flow: the head's reads, in as many rounds as the protocols want -> `running.attempt` -> a candidate at the
signer's next nonce, at true fees -> the EVM with a trace, and the gate with the operator's limits. Nothing is
stored, signed or sent, and no key is opened; what other plans of ours are under way is not known here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from seawall.chain.client import ChainClient
from seawall.chain.fees import FeeEstimator, FeeQuote
from seawall.chain.simulation import Machine, Simulator
from seawall.ledger.rows import IntentRow
from seawall.native.evm import CallResult, Missing
from seawall.primitives.blocks import Block
from seawall.primitives.codec import plan_digest
from seawall.primitives.identifiers import IntentNumber, Lane
from seawall.primitives.levels import Authority, IntentState
from seawall.primitives.observations import Cause, Observation
from seawall.primitives.plans import Plan
from seawall.primitives.ports import Clock, Offload
from seawall.primitives.units import Address
from seawall.primitives.verdicts import Candidate, Verdict
from seawall.protocols.snapshots import snapshot
from seawall.risk.gate import Gate
from seawall.runtime.configuration.settings import ChainSettings
from seawall.strategies.scripts.running import Attempt, attempt
from seawall.strategies.scripts.strategy import ScriptStrategy
from seawall.transactions.candidates import NO_FEES, build_candidate, gas_limit_for, gas_limit_room
from seawall.transactions.judging import judge_now, measure_gas_now

__all__ = ["Judged", "Seen", "Stage", "judge", "look"]

# Rounds of reads at one block until a strategy sees all that it wants.
ROUNDS_MAX: Final = 6
# No intent of a ledger has it: rehearsals execute nothing.
_INTENT_ID: Final = (2**128 - 1) << 128
_NUMBER: Final = IntentNumber(1)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Stage:
    """The chain that is looked at."""

    client: ChainClient
    settings: ChainSettings
    gate: Gate
    clock: Clock
    offload: Offload


@dataclass(frozen=True, slots=True)
class Seen:
    """One block, and what the file makes of it."""

    observation: Observation
    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Judged:
    """A plan at the gate, and how it ran."""

    candidate: Candidate
    verdict: Verdict
    result: CallResult  # with its trace
    gas_measured: int | None  # None: the plan says its gas limit


async def look(stage: Stage, strategy: ScriptStrategy) -> Seen:
    """At the head, all reads answered."""
    block = await stage.client.head()
    answers: dict[str, bytes | None] = {}
    needs, multicall = strategy.script.scope.needs, _multicall_of(stage.settings)
    for _ in range(ROUNDS_MAX):
        missing = [read for read in needs.reads(answers) if read.label not in answers]
        if not missing:
            break
        # Reads that depend on who asks are none of a strategy's.
        answers |= (await snapshot(stage.client, missing, block, multicall)).values
    observation = Observation(
        strategy.name, 1, Cause.HEAD, max(stage.clock.now_s(), block.timestamp_s), block, dict(answers)
    )
    return Seen(observation, attempt(strategy.script, observation, strategy.world(observation)))


async def judge(stage: Stage, block: Block, plan: Plan) -> Judged:
    """Exactly what would be signed, on the block, by the gate that would judge it."""
    network = stage.settings.network
    simulator = Simulator(stage.client, network, stage.offload)
    await simulator.pin(block)
    fees = await FeeEstimator(stage.client, stage.settings.fees).quote(block, plan.priority)
    nonce = await stage.client.nonce_at(plan.key, block.hash)
    row = _row_of(plan, stage.clock.now_s())
    gas_limit, measured = plan.gas_limit, None
    if gas_limit is None:
        measured = await _measure(simulator, row, nonce, fees, block)
        gas_limit = gas_limit_for(measured, block)
    candidate = build_candidate(row, row.lane, nonce, 1, fees, block, gas_limit)
    now_s = stage.clock.now_s()
    machine = simulator.machine

    def judged() -> Verdict | Missing:
        return judge_now(machine, stage.gate, candidate, Authority.RUN, now_s)

    verdict = await simulator.drive(_Work(judged), [candidate.payload])
    execution = await simulator.run(candidate.payload, nonce, candidate.max_fee_per_gas_wei, trace=True)
    return Judged(candidate, verdict, execution.transactions[0], measured)


async def _measure(simulator: Simulator, row: IntentRow, nonce: int, fees: FeeQuote, block: Block) -> int:
    roomy = build_candidate(row, row.lane, nonce, 1, NO_FEES, block, gas_limit_room(block))
    machine: Machine = simulator.machine
    work = _Work(lambda: measure_gas_now(machine, roomy, fees.max_fee_per_gas_wei))
    return await simulator.drive(work, [roomy.payload])


class _Work(Generic[T]):
    """One piece of work for `Simulator.drive`."""

    progress = 0

    def __init__(self, work: Callable[[], T | Missing]) -> None:
        self.go = work


def _row_of(plan: Plan, now_s: int) -> IntentRow:
    """As the ledger would hold it."""
    return IntentRow(
        number=_NUMBER,
        strategy=plan.strategy,
        lane=Lane(plan.chain_id, plan.key),
        plan=plan,
        plan_digest=plan_digest(plan),
        intent_id=_INTENT_ID,
        state=IntentState.QUEUED,
        reason="",
        finality=None,
        correlation_id="rehearsal",
        accepted_at_s=now_s,
        ended_at_s=None,
        candidates=0,
        predicted_wei=None,
        realised_wei=None,
    )


def _multicall_of(settings: ChainSettings) -> Address | None:
    return settings.book.address("multicall3") if "multicall3" in settings.book else None
