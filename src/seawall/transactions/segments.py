"""Several plans in one call of the executor (SPEC TX-8). The tolerant unit is a whole plan, its *segment*.

Flow: plans of one lane that are ready together, for one executor, of one priority and with deadlines near
each other, are a *group*. Each is judged by itself upon those before it, exactly as if it went alone. Then
the one payload of all is run: every segment must land in it, and all together must move what they moved one
by one. Guards about a transaction (its gas, caps, the key's balance and policy) judge that payload as a
whole. Every intent gets a verdict of its own, which binds the payload of all.

Where any of that does not hold there is no batch: the plans go one by one.

A segment's header promises the fee that its plan was judged at alone, and the payload is given the gas of all
of them together, so that what it may cost is the sum of what was judged. Pure, but for the machine.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from seawall.chain.simulation import Entry, Machine
from seawall.ledger.rows import AttemptRow, IntentRow
from seawall.native.evm import Execution, Missing
from seawall.primitives.blocks import Log
from seawall.primitives.bounds import PAYLOAD_BYTES_MAX
from seawall.primitives.errors import ProtocolError
from seawall.primitives.levels import Authority
from seawall.primitives.plans import ExecutorBody
from seawall.primitives.simulations import Simulation
from seawall.primitives.units import Address, Hash
from seawall.primitives.verdicts import Candidate, Measurement, Payload, Verdict
from seawall.protocols.executor.batches import (
    SegmentCall,
    batch_calldata,
    batch_fees,
    segment_ended,
)
from seawall.protocols.executor.encoding import execution_of
from seawall.risk.evidence import Evidence
from seawall.risk.gate import Gate
from seawall.risk.numbered import takes_out
from seawall.transactions.judging import evidence_from

__all__ = [
    "DEADLINES_APART_MAX_S",
    "SEGMENT_GAS",
    "Apart",
    "Piece",
    "Together",
    "adjacent",
    "fitting_in",
    "gas_in_turn",
    "group_at",
    "judge_together",
    "payload_of",
    "pieces_of",
    "shares_of",
]

# How much sooner the first of a group has to be there than the last.
DEADLINES_APART_MAX_S: Final = 60
# What a plan is given more in a batch than alone, for what the executor does around each.
SEGMENT_GAS: Final = 45_000
# The gas of a segment is what its plan has alone, less what a transaction costs by itself, which a batch pays
# once, and less what the executor keeps back around it; a call passes on all but a 64th.
_OWN_GAS: Final = 21_000
_BYTE_GAS_MAX: Final = 16
_AROUND_GAS: Final = 40_000
_COPY_BYTE_GAS: Final = 2
# What the encoding of a batch needs, by itself and around the calldata of each segment.
_FRAME_BYTES: Final = 4 + 3 * 32
_SEGMENT_FRAME_BYTES: Final = 5 * 32
_NO_HASH: Final = Hash(bytes(32))


@dataclass(frozen=True, slots=True)
class Together:
    """A group that goes as one transaction."""

    payload: Payload
    verdicts: tuple[Verdict, ...]  # one a segment, in order; each binds `payload`
    spends: dict[Address, int]  # the most that all together may take, by token
    simulations: tuple[Simulation, ...]  # of each plan by itself

    @property
    def admitted(self) -> bool:
        return all(verdict.admitted for verdict in self.verdicts)

    @property
    def explanation(self) -> str:
        return next((verdict.explanation for verdict in self.verdicts if not verdict.admitted), "")


@dataclass(frozen=True, slots=True)
class Apart:
    """They cannot go together: for the sake of one, or for no single one's."""

    place: int | None = None


_ALL_APART: Final = Apart()


def adjacent(rows: Sequence[IntentRow]) -> list[IntentRow]:
    """The same rows, those that may form a group brought together at the place of its first. Within a lane
    nothing passes anything else."""
    runs: list[list[IntentRow]] = []
    last: dict[object, list[IntentRow]] = {}
    for row in rows:
        run = last.get(row.lane)
        if run is not None and _fits(run, row):
            run.append(row)
            continue
        run = [row]
        runs.append(run)
        last[row.lane] = run
    return [row for run in runs for row in run]


def group_at(rows: Sequence[IntentRow], start: int, limit: int) -> Sequence[IntentRow]:
    """The longest group that begins at `start`, of at most `limit`; of one where there is none."""
    end = start + 1
    while end < len(rows) and end - start < limit and _fits(rows[start:end], rows[end]):
        end += 1
    return rows[start:end]


def _fits(group: Sequence[IntentRow], other: IntentRow) -> bool:
    """Whether it may go with these. They share one fate until they are in a block: so they are of one
    priority, which says when a transaction is given up, and none must be there much sooner than another."""
    one = group[0]
    first, second = one.plan, other.plan
    deadlines_s = [row.plan.deadline_s for row in (*group, other)]
    if max(deadlines_s) - min(deadlines_s) > DEADLINES_APART_MAX_S:
        return False
    if not isinstance(first.body, ExecutorBody) or not isinstance(second.body, ExecutorBody):
        return False
    # Judged together, what comes out of a position would pay for what others lose.
    if first.body.position and (takes_out(first) or takes_out(second)):
        return False
    return (
        one.lane == other.lane
        and first.body.executor == second.body.executor
        and first.body.beneficiary == second.body.beneficiary
        and first.body.position == second.body.position
        and first.priority == second.priority
        and first.routing is None
        and second.routing is None
    )


def payload_of(candidates: Sequence[Candidate]) -> Payload:
    """One call that carries what these candidates would do alone."""
    first = candidates[0].payload
    calls = []
    for one in candidates:
        body = one.plan.body
        assert isinstance(body, ExecutorBody), "a group holds executor plans"
        around_gas = _OWN_GAS + _AROUND_GAS + (_BYTE_GAS_MAX + _COPY_BYTE_GAS) * len(one.payload.data)
        min_gas = max(0, one.payload.gas_limit - around_gas) * 63 // 64
        calls.append(
            SegmentCall(
                execution_of(one.plan, body), one.intent_id, one.plan_digest, one.max_total_fee_wei, min_gas
            )
        )
    gas_limit = sum(one.payload.gas_limit for one in candidates)
    return Payload(first.chain_id, first.sender, first.to, batch_calldata(calls), 0, gas_limit)


def fitting_in(candidates: Sequence[Candidate], room_gas: int) -> int:
    """How many of them fit together into one transaction: by their gas, and by what nodes take of bytes."""
    used_gas, used_bytes = 0, _FRAME_BYTES
    for count, one in enumerate(candidates):
        used_gas += one.payload.gas_limit
        used_bytes += _SEGMENT_FRAME_BYTES + len(one.payload.data)
        if used_gas > room_gas or used_bytes > PAYLOAD_BYTES_MAX:
            return count
    return len(candidates)


def gas_in_turn(machine: Machine, roomy: Sequence[Candidate]) -> list[int] | Missing:
    """The gas that each of these uses behind those before it, given all the room there is: as they will stand
    in their batch, where only the first one pays for first writes. As far as they succeed."""
    used: list[int] = []
    for answer in machine.series([(_entry_of(one), ()) for one in roomy]):
        if isinstance(answer, Missing):
            return answer
        if answer.success:
            used.append(answer.transactions[0].gas_used)
    return used


def judge_together(
    machine: Machine, gate: Gate, candidates: Sequence[Candidate], now_s: int
) -> Together | Missing | Apart:
    """Verdicts about the one payload of these candidates, which stand at consecutive nonces, under RUN.

    What was put before them stays as it is; the payload of all is the last series of the machine, so that it
    can be kept."""
    payload = payload_of(candidates)
    singles = _judged_alone(machine, gate, candidates, now_s)
    if isinstance(singles, Missing | Apart):
        return singles
    evidences, verdicts = singles
    whole = _whole_of(candidates, payload)
    probes = gate.probes(whole, Authority.RUN)
    (answer,) = machine.series([(_entry_of(whole), probes)])
    if isinstance(answer, Missing):
        return answer
    evidence = evidence_from(answer, gate, whole, probes, {}, now_s)
    if not _all_land(answer, candidates) or not _moves_alike(evidence, evidences):
        return _ALL_APART
    verdict = gate.judge(evidence, Authority.RUN)
    until_s = min(verdict.valid_until_s, *(one.valid_until_s for one in verdicts))
    about = tuple([_of_the_batch(one) for one in verdict.measurements if one.guard != "executor"])
    bound = [
        replace(
            one,
            payload_digest=verdict.payload_digest,
            overlay_digest=verdict.overlay_digest,
            valid_until_s=until_s,
            max_total_fee_wei=verdict.max_total_fee_wei,
            admitted=one.admitted and verdict.admitted,
            measurements=one.measurements + about,
        )
        for one in verdicts
    ]
    alone = tuple(one.simulation for one in evidences)
    return Together(payload, tuple(bound), dict(evidence.spends()), alone)


def shares_of(attempt: AttemptRow) -> tuple[list[int], int]:
    """The gas limit that each plan of a committed batch was judged with alone, and the fee ceiling per gas
    [wei] under which all of them were: what its bytes promise says both.

    Raises `ProtocolError` if they are no batch that was made here."""
    fees, gas_limit = batch_fees(attempt.payload.data), attempt.payload.gas_limit
    ceiling_wei = sum(fees) // gas_limit
    if not ceiling_wei or sum(fees) % gas_limit or any(fee % ceiling_wei for fee in fees):
        raise ProtocolError(
            "the fees of its segments do not add up", str(attempt.lane), "none needed: its nonce is filled"
        )
    return [fee // ceiling_wei for fee in fees], ceiling_wei


@dataclass(frozen=True, slots=True)
class Piece:
    """What a landed batch says of one of its segments."""

    landed: bool
    reason: str  # of a failure
    gas_used: int
    logs: tuple[Log, ...]  # of this segment


def pieces_of(logs: Sequence[Log], executor: Address) -> dict[int, Piece]:
    """A batch's logs by intent id: those of a segment come before the executor's word about its end."""
    pieces: dict[int, Piece] = {}
    gathered: list[Log] = []
    for log in logs:
        end = segment_ended(log, executor)
        if end is None:
            gathered.append(log)
            continue
        pieces[end.intent_id] = Piece(end.landed, end.reason_text, max(1, end.gas_used), tuple(gathered))
        gathered = []
    return pieces


def _judged_alone(
    machine: Machine, gate: Gate, candidates: Sequence[Candidate], now_s: int
) -> tuple[list[Evidence], list[Verdict]] | Missing | Apart:
    steps = [(_entry_of(one), gate.probes(one, Authority.RUN)) for one in candidates]
    answers = machine.series(steps)
    evidences: list[Evidence] = []
    verdicts: list[Verdict] = []
    for one, (_, probes), answer in zip(candidates, steps, answers, strict=False):
        if isinstance(answer, Missing):
            return answer
        evidence = evidence_from(answer, gate, one, probes, {}, now_s)
        verdict = gate.judge(evidence, Authority.RUN)
        if not verdict.admitted:
            return Apart(len(verdicts))
        evidences.append(evidence)
        verdicts.append(verdict)
    return (evidences, verdicts) if len(verdicts) == len(candidates) else _ALL_APART


def _whole_of(candidates: Sequence[Candidate], payload: Payload) -> Candidate:
    """All as one: under the limits that hold for any plan of this executor, asking for what they all ask."""
    first = candidates[0]
    bodies = [one.plan.body for one in candidates if isinstance(one.plan.body, ExecutorBody)]
    plan = replace(
        first.plan,
        body=replace(bodies[0], min_profit_wei=sum(body.min_profit_wei for body in bodies)),
        guards=(),
        expected=(),
        deadline_s=min(one.plan.deadline_s for one in candidates),
    )
    return replace(first, plan=plan, payload=payload)


def _all_land(answer: Execution, candidates: Sequence[Candidate]) -> bool:
    result = answer.transactions[0]
    if not result.success:
        return False
    logs = [
        Log(Address(one.address), tuple(map(Hash, one.topics)), one.data, _NO_HASH, 0, _NO_HASH, place)
        for place, one in enumerate(result.logs)
    ]
    pieces = pieces_of(logs, candidates[0].payload.to)
    return all(one.intent_id in pieces and pieces[one.intent_id].landed for one in candidates)


def _moves_alike(whole: Evidence, alone: Sequence[Evidence]) -> bool:
    """Whether all together moved of ours what they moved one by one."""
    return _net(whole.simulation, whole.holders) == _net_of_all(alone)


def _net_of_all(alone: Sequence[Evidence]) -> dict[tuple[Address, Address], int]:
    sums: dict[tuple[Address, Address], int] = defaultdict(int)
    for one in alone:
        for pair, amount in _net(one.simulation, one.holders).items():
            sums[pair] += amount
    return {pair: amount for pair, amount in sums.items() if amount}


def _net(simulation: Simulation, holders: frozenset[Address]) -> dict[tuple[Address, Address], int]:
    net: dict[tuple[Address, Address], int] = defaultdict(int)
    for flow in simulation.flows:
        if flow.receiver in holders:
            net[flow.receiver, flow.token] += flow.amount
        if flow.sender in holders:
            net[flow.sender, flow.token] -= flow.amount
    return {pair: amount for pair, amount in net.items() if amount}


def _of_the_batch(one: Measurement) -> Measurement:
    return replace(one, guard=f"batch.{one.guard}")


def _entry_of(candidate: Candidate) -> Entry:
    return candidate.payload, candidate.nonce, candidate.max_fee_per_gas_wei
