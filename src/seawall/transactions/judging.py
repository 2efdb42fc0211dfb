"""From candidate to verdict: simulate exactly what would be signed, then let the gate judge.

The one place where a native `Execution` becomes the plain `Simulation` that guards see. What ends in `_now`
runs inside `Simulator.drive`, without awaiting, and answers `Missing` where state has to be fetched first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from seawall.chain.simulation import Machine
from seawall.native.evm import CallResult, Execution, Missing, StateOverride
from seawall.primitives.errors import StaleError, UnavailableError
from seawall.primitives.levels import Authority
from seawall.primitives.simulations import AllowanceChange, Flow, Probe, Simulation
from seawall.primitives.units import NATIVE, Address, Hash, hex_text
from seawall.primitives.verdicts import Candidate, Verdict
from seawall.protocols.executor.events import decode_revert
from seawall.risk.evidence import Evidence
from seawall.risk.gate import Gate
from seawall.transactions.desk import Desk
from seawall.transactions.handovers import handovers_of

__all__ = ["evidence_now", "judge", "judge_now", "measure_gas_now"]

_BALANCE_LABEL: Final = "sender_balance"
# No view call answers what an account's native balance is, so the simulation is given one: code that returns
# BALANCE(calldata word 0), at an address that no key and no contract can have had.
_BALANCE_READER: Final = Address(b"seawall balance read")
_BALANCE_CODE: Final = bytes.fromhex("5f35315f5260205ff3")
_READER: Final = StateOverride(_BALANCE_READER, code=_BALANCE_CODE)
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
    simulator = desk.parts.simulator
    work = _Judgement(simulator.machine, desk.parts.gate, candidate, authority, desk.parts.clock.now_s())
    return await simulator.drive(work, [candidate.payload])


@dataclass(frozen=True, slots=True)
class _Judgement:
    machine: Machine
    gate: Gate
    candidate: Candidate
    authority: Authority
    now_s: int
    progress: int = 0

    def go(self) -> Verdict | Missing:
        return judge_now(self.machine, self.gate, self.candidate, self.authority, self.now_s)


def judge_now(
    machine: Machine, gate: Gate, candidate: Candidate, authority: Authority, now_s: int
) -> Verdict | Missing:
    """The verdict, or what has to be fetched for it. Raises as `judge` does."""
    evidence = evidence_now(machine, gate, candidate, authority, now_s)
    return evidence if isinstance(evidence, Missing) else gate.judge(evidence, authority)


def evidence_now(
    machine: Machine, gate: Gate, candidate: Candidate, authority: Authority, now_s: int
) -> Evidence | Missing:
    """What the gate judges by: the simulation of exactly the payload, and what its lane has spent."""
    probes = gate.probes(candidate, authority)
    before: dict[str, bytes | None] = {}
    if probes and authority is Authority.REDUCE_ONLY:
        viewed = machine.view(probes)
        if isinstance(viewed, Missing):
            return viewed
        before = viewed
    simulation = _simulate_now(machine, candidate, probes, before)
    if isinstance(simulation, Missing):
        return simulation
    if simulation.base_hash != candidate.base.hash:
        raise StaleError(
            f"simulated on {hex_text(simulation.base_hash)}, not on the candidate's base",
            f"block {candidate.base.number}",
            "pin the head, then build the candidate again",
        )
    spent = gate.book.measure(candidate.lane, now_s, candidate.nonce)
    return Evidence(candidate, simulation, gate.ours, gate.limits, now_s, spent)


def measure_gas_now(machine: Machine, candidate: Candidate, fee_per_gas_wei: int) -> int | Missing:
    """Gas that the candidate uses with all the room that its gas limit gives."""
    payload = candidate.payload
    rich = StateOverride(payload.sender, balance_wei=_MEASURING_BALANCE_WEI)
    execution = machine.run(payload, candidate.nonce, fee_per_gas_wei, (), (rich,))
    if isinstance(execution, Missing):
        return execution
    _require_its_turn(execution, candidate)
    return execution.transactions[0].gas_used


def _simulate_now(
    machine: Machine, candidate: Candidate, probes: tuple[Probe, ...], before: dict[str, bytes | None]
) -> Simulation | Missing:
    """Run the candidate on the pinned block plus overlay, paying what is signed first."""
    sender = candidate.payload.sender
    asked = (*probes, Probe(_BALANCE_LABEL, _BALANCE_READER, sender.rjust(32, b"\0")))
    execution = machine.run(
        candidate.payload, candidate.nonce, candidate.max_fee_per_gas_wei, asked, (_READER,)
    )
    if isinstance(execution, Missing):
        return execution
    _require_its_turn(execution, candidate)
    _require_payable(candidate)
    return _plain(execution, asked, before)


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


def _plain(execution: Execution, probes: tuple[Probe, ...], before: dict[str, bytes | None]) -> Simulation:
    result = execution.transactions[0]
    answers = _answers(execution, probes)
    balance = answers.pop(_BALANCE_LABEL)
    return Simulation(
        success=result.success,
        gas_used=result.gas_used,
        reason="" if result.success else _reason_of(result),
        flows=tuple(_flows_of(result)),
        allowances=tuple(
            AllowanceChange(Address(a.token), Address(a.owner), Address(a.spender), a.amount)
            for a in result.allowances
        ),
        probes=answers,
        base_hash=Hash(execution.base_hash),
        overlay_digest=Hash(execution.overlay_digest),
        sender_balance_wei=None if balance is None else int.from_bytes(balance, "big"),
        probes_before=before,
        handovers=handovers_of(result.logs),
    )


def _flows_of(result: CallResult) -> list[Flow]:
    return [
        Flow(
            NATIVE if f.token is None else Address(f.token), Address(f.sender), Address(f.recipient), f.amount
        )
        for f in result.flows
    ]


def _answers(execution: Execution, probes: Sequence[Probe]) -> dict[str, bytes | None]:
    pairs = zip(probes, execution.probes, strict=True)
    return {probe.label: (result.return_data if result.success else None) for probe, result in pairs}


def _reason_of(result: CallResult) -> str:
    """Why it failed, in the best words there are: our contracts' own errors first."""
    revert = decode_revert(result.return_data) if result.status == "reverted" else None
    return revert.text if revert is not None else result.failure
