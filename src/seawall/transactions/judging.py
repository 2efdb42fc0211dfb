"""From candidate to verdict: simulate exactly what would be signed, then let the gate judge.

The one place where a native `Execution` becomes the plain `Simulation` that guards see.
"""

from __future__ import annotations

from dataclasses import dataclass

from seawall.native.evm import Execution
from seawall.primitives.levels import Authority
from seawall.primitives.simulations import AllowanceChange, Flow, Probe, Simulation
from seawall.primitives.units import NATIVE, Address, Hash
from seawall.primitives.verdicts import Candidate, Verdict
from seawall.risk.evidence import Evidence
from seawall.transactions.desk import Desk

__all__ = ["judge", "simulate"]


async def judge(desk: Desk, candidate: Candidate, authority: Authority) -> Verdict:
    """The gate's verdict on the candidate's exact payload.

    Raises `UnavailableError` or `StaleError`, which are not refusals: the candidate may be built again.
    """
    gate = desk.parts.gate
    probes = gate.probes(candidate, authority)
    before = await desk.parts.simulator.view(probes) if authority is Authority.REDUCE_ONLY else {}
    simulation = await simulate(desk, candidate, probes, before)
    evidence = Evidence(candidate, simulation, gate.ours, gate.limits, desk.parts.clock.now_s())
    return gate.judge(evidence, authority)


async def simulate(
    desk: Desk, candidate: Candidate, probes: tuple[Probe, ...] = (), before: dict[str, bytes | None] | None = None
) -> Simulation:
    """Run the candidate on the pinned block plus overlay, paying the ceiling fee."""
    simulator = desk.parts.simulator
    execution = await simulator.run(candidate.payload, candidate.nonce, candidate.max_fee_per_gas_wei, probes)
    return _plain(execution, candidate, probes, before or {})


def _plain(
    execution: Execution, candidate: Candidate, probes: tuple[Probe, ...], before: dict[str, bytes | None]
) -> Simulation:
    result = execution.transactions[0]
    return Simulation(
        success=result.success,
        gas_used=result.gas_used,
        reason="" if result.success else (result.revert_reason or result.halt_reason or "no reason given"),
        flows=tuple(
            Flow(NATIVE if flow.token is None else Address(flow.token), Address(flow.sender), Address(flow.receiver), flow.amount)
            for flow in result.flows
        ),
        allowances=tuple(
            AllowanceChange(Address(a.token), Address(a.owner), Address(a.spender), a.amount) for a in result.allowances
        ),
        probes={p.label: (r.return_data if r.success else None) for p, r in zip(probes, execution.probes, strict=True)},
        base_hash=Hash(execution.base_hash),
        overlay_digest=Hash(execution.overlay_digest),
        sender_balance_wei=execution.balance_after(candidate.payload.sender),
        probes_before=before,
    )
