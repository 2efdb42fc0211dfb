"""From candidate to verdict: simulate exactly what would be signed, then let the gate judge.

The one place where a native `Execution` becomes the plain `Simulation` that guards see. What ends in `_now`
runs inside `Simulator.drive`, without awaiting, and answers `Missing` where state has to be fetched first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias, cast

from seawall.chain.data_fees import unlanded_most_wei
from seawall.chain.simulation import Entry, Machine
from seawall.native.evm import CallResult, Execution, Missing, StateOverride
from seawall.primitives.errors import StaleError, UnavailableError
from seawall.primitives.levels import Authority
from seawall.primitives.simulations import AllowanceChange, Flow, Probe, Simulation
from seawall.primitives.units import NATIVE, Address, Hash, hex_text
from seawall.primitives.verdicts import Candidate, Verdict
from seawall.protocols.executor.events import decode_revert
from seawall.risk.evidence import Evidence
from seawall.risk.gate import Gate
from seawall.risk.limits import RiskLimits
from seawall.transactions.desk import Desk
from seawall.transactions.handovers import handovers_of

__all__ = ["before_now", "evidence_from", "judge", "judge_now", "measure_gas_now", "unlanded_of"]

# As the machine answers them: addresses of 20 bytes, `None` for the native token.
_Flows: TypeAlias = tuple[tuple[Address | None, Address, Address, int], ...]
_Allowances: TypeAlias = tuple[tuple[Address, Address, Address, int], ...]

# What a sender is given while gas is measured, so that room for gas is not mistaken for money that it must
# have.
_MEASURING_BALANCE_WEI: Final = 2**128
# How the EVM begins when a nonce is not the account's next one.
_NONCE_REJECTED: Final = "rejected: nonce"
# ... and when it offers less than the base fee of the next block.
_FEE_REJECTED: Final = "rejected: gas price is less than basefee"


async def judge(desk: Desk, candidate: Candidate, authority: Authority) -> Verdict:
    """The gate's verdict on the candidate's exact payload.

    Raises `UnavailableError` or `StaleError`, which are not refusals: the candidate may be built again.
    """
    simulator, now_s = desk.parts.simulator, desk.parts.clock.now_s()
    before = unlanded_of(desk, candidate.lane.key)
    await desk.parts.data_fees.read([payload for payload, _, _ in before], candidate.base)
    owed_wei = unlanded_most_wei(desk.parts.data_fees, before, candidate.base)
    work = _Judgement(simulator.machine, desk.parts.gate, candidate, authority, now_s, owed_wei)
    return await simulator.drive(work, [candidate.payload])


@dataclass(frozen=True, slots=True)
class _Judgement:
    machine: Machine
    gate: Gate
    candidate: Candidate
    authority: Authority
    now_s: int
    owed_wei: int
    progress: int = 0

    def go(self) -> Verdict | Missing:
        return judge_now(self.machine, self.gate, self.candidate, self.authority, self.now_s, self.owed_wei)


def unlanded_of(desk: Desk, key: Address) -> list[Entry]:
    """What is on the overlay of this key: what it pays beside gas is not taken there."""
    if not desk.parts.data_fees.is_charged:
        return []
    return [entry for entry in desk.parts.simulator.held if entry[0].sender == key]


def judge_now(
    machine: Machine, gate: Gate, candidate: Candidate, authority: Authority, now_s: int, owed_wei: int = 0
) -> Verdict | Missing:
    """The verdict, or what has to be fetched for it. Raises as `judge` does."""
    probes = gate.probes(candidate, authority)
    before = before_now(machine, gate.probes_before(candidate, authority))
    if isinstance(before, Missing):
        return before
    execution = machine.run(candidate.payload, candidate.nonce, candidate.max_fee_per_gas_wei, probes)
    if isinstance(execution, Missing):
        return execution
    return gate.judge(evidence_from(execution, gate, candidate, probes, before, now_s, owed_wei), authority)


def before_now(machine: Machine, probes: tuple[Probe, ...]) -> dict[str, bytes | None] | Missing:
    """The probes on the state before the candidate, where something compares."""
    return machine.view(probes) if probes else {}


def evidence_from(
    execution: Execution,
    gate: Gate,
    candidate: Candidate,
    probes: tuple[Probe, ...],
    before: dict[str, bytes | None],
    now_s: int,
    owed_wei: int = 0,
    limits: RiskLimits | None = None,
) -> Evidence:
    """What the gate judges by: the simulation of exactly the payload, and what its lane has spent. `limits`,
    where they are at hand, are those of its plan."""
    base = candidate.base
    if execution.base_hash != base.hash:
        raise StaleError(
            f"simulated on {hex_text(Hash(execution.base_hash))}, not on the candidate's base",
            f"block {base.number}",
            "pin the head, then build the candidate again",
        )
    simulation = _simulation_of(execution, candidate, probes, before)
    spent = gate.book.measure(candidate.lane, now_s, candidate.nonce)
    return Evidence(candidate, simulation, gate.ours, limits or gate.limits, now_s, spent, owed_wei)


def measure_gas_now(machine: Machine, candidate: Candidate, fee_per_gas_wei: int) -> int | Missing:
    """Gas that the candidate uses with all the room that its gas limit gives, at most.

    A block may put it before plans of other lanes that it is simulated upon. It pays then for first writes
    that they paid for (a pair's sums, a bucket, a word of intents), so it is run in that place too. Where it
    cannot run there, it stands on what is before it in its lane, and no block can put it first."""
    payload = candidate.payload
    rich = StateOverride(payload.sender, balance_wei=_MEASURING_BALANCE_WEI)
    execution = machine.run(payload, candidate.nonce, fee_per_gas_wei, (), (rich,))
    if isinstance(execution, Missing):
        return execution
    _require_its_turn(execution, candidate)
    gas_used = execution.transactions[0].gas_used
    first = machine.run_first(payload, fee_per_gas_wei, (rich,))
    if isinstance(first, Missing):
        return first
    if first is None or not first.transactions[0].success:
        return gas_used
    return max(gas_used, first.transactions[0].gas_used)


def _require_its_turn(execution: Execution, candidate: Candidate) -> None:
    """A nonce that does not follow says nothing about the plan: what is before it in the lane cannot run now,
    or the chain moved."""
    result = execution.transactions[0]
    if result.status == "rejected" and result.failure.startswith(_NONCE_REJECTED):
        raise StaleError(result.failure, str(candidate.lane), "build the candidate again at the next head")
    if result.status == "rejected" and result.failure.startswith(_FEE_REJECTED):
        # The market is above what may be bid: that passes, and is no fault of the plan.
        what = f"the next base fee may be above the {candidate.max_fee_per_gas_wei} wei that are bid"
        raise UnavailableError(what, str(candidate.lane), "wait, or raise max_fee_per_gas_ceiling_gwei")


def _require_payable(candidate: Candidate) -> None:
    if candidate.max_fee_per_gas_wei < candidate.base.base_fee_wei:
        # The operator's ceiling is under the market: that passes, and is no fault of the plan.
        what = f"the base fee of {candidate.base.base_fee_wei} wei is above the fee ceiling"
        raise UnavailableError(what, str(candidate.lane), "wait, or raise max_fee_per_gas_ceiling_gwei")


def _simulation_of(
    execution: Execution,
    candidate: Candidate,
    probes: tuple[Probe, ...],
    before: dict[str, bytes | None],
) -> Simulation:
    """What the run on the pinned block plus overlay found, paying what is signed first."""
    brief = execution.brief()
    if brief is None:
        _require_its_turn(execution, candidate)
        _require_payable(candidate)
        return _failed(execution, candidate, before)
    _require_payable(candidate)
    gas_used, balance_wei, flows, allowances, answers, has_logs = brief
    return Simulation(
        True,
        gas_used,
        "",
        tuple([Flow(NATIVE if t is None else t, a, b, n) for t, a, b, n in cast(_Flows, flows)]),
        tuple([AllowanceChange(*one) for one in cast(_Allowances, allowances)]) if allowances else (),
        _labelled(probes, answers) if probes else {},
        candidate.base.hash,
        Hash(execution.overlay_digest),
        balance_wei,
        before,
        handovers_of(execution.transactions[0].logs) if has_logs else (),
    )


def _labelled(probes: tuple[Probe, ...], answers: tuple[bytes | None, ...]) -> dict[str, bytes | None]:
    return {probe.label: answer for probe, answer in zip(probes, answers, strict=True)}


def _failed(execution: Execution, candidate: Candidate, before: dict[str, bytes | None]) -> Simulation:
    result = execution.transactions[0]
    return Simulation(
        success=False,
        gas_used=result.gas_used,
        reason=_reason_of(result),
        flows=(),
        allowances=(),
        probes={},
        base_hash=candidate.base.hash,
        overlay_digest=Hash(execution.overlay_digest),
        sender_balance_wei=result.sender_balance_wei,
        probes_before=before,
    )


def _reason_of(result: CallResult) -> str:
    """Why it failed, in the best words there are: our contracts' own errors first."""
    revert = decode_revert(result.return_data) if result.status == "reverted" else None
    return revert.text if revert is not None else result.failure
