"""A batch of intents on its way to the commit: judged one after the other, each on top of those before it.

`BatchJudging` is the synchronous part, driven by the simulator: build candidates, run exactly their payloads
one upon the other in one native call (a *series*), let the gate judge each, and put what was admitted onto
the overlay, tentatively. A series assumes that each of it will be admitted: behind one that is not, what was
run is thrown away and run again, in a shorter series.

Gas is learned: what a call (sender, target, selector, length) needed last time is tried first, so that a
known call is run once. What is learned is what the exact payload used, with its fees in its calldata, and a
little more for the bytes that differ from one call to the next. Where the guess does not fit, gas is measured
with all the room there is and the exact payload is run again, because only what will be signed may be judged.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from seawall.chain.data_fees import unlanded_most_wei
from seawall.chain.fees import FeeQuote
from seawall.chain.simulation import Entry, Machine, StateKey
from seawall.ledger.rows import IntentRow
from seawall.native.evm import Execution, Missing
from seawall.primitives.blocks import Block
from seawall.primitives.bounds import GAS_USE_BPS_MAX
from seawall.primitives.errors import (
    ChainError,
    NativeError,
    PlanError,
    SeawallError,
    StaleError,
    UnavailableError,
)
from seawall.primitives.frozen import made_quickly
from seawall.primitives.identifiers import IntentNumber, Lane
from seawall.primitives.levels import Authority, Priority
from seawall.primitives.plans import DirectBody, Plan
from seawall.primitives.simulations import Probe
from seawall.primitives.units import BPS, Address, Hash, ceil_div
from seawall.primitives.verdicts import Candidate, Payload, Verdict
from seawall.risk.evidence import Evidence
from seawall.risk.gate import Gate, Rules
from seawall.telemetry.logs import get_logger
from seawall.transactions.candidates import NO_FEES, build_candidate, gas_limit_for, gas_limit_room
from seawall.transactions.desk import Desk
from seawall.transactions.judging import before_now, evidence_from, measure_gas_now, unlanded_of
from seawall.transactions.routes import PUBLIC
from seawall.transactions.segments import (
    SEGMENT_GAS,
    Apart,
    Together,
    fitting_in,
    gas_in_turn,
    group_at,
    judge_together,
)

__all__ = ["BatchJudging", "GasBook", "Judged", "call_of", "is_fitting", "read_data_fees"]

_CALLS_MAX: Final = 1024
_SELECTOR_BYTES: Final = 4
# A guess that gives more than this many times the gas needed makes the judged fee too pessimistic.
_GUESS_EXCESS_NUMERATOR: Final = 5
_GUESS_EXCESS_DENOMINATOR: Final = 4
# Calls of one kind differ by what their zero bytes save. A guess that lacks no more than this of a margin
# many times as wide is enough, and what is learned is rounded up to a multiple of it.
_GUESS_GRAIN_GAS: Final = 1_024

# Candidates that are run one upon the other before the first of them is judged.
SERIES_MAX: Final = 64
_TO_BE_MEASURED: Final = 0
# What is judged on the loop itself: so few, and so little gas together.
SHORT_ROWS_MAX: Final = 4
SHORT_GAS_MAX: Final = 1_000_000
_log = get_logger(__name__)

Passing = UnavailableError | StaleError
Call = tuple[Address, Address, bytes, int]


def call_of(plan: Plan) -> Call:
    """What is likely to need the same gas and to read the same state."""
    body = plan.body
    if isinstance(body, DirectBody):
        return plan.key, body.target, body.calldata[:_SELECTOR_BYTES], len(body.calldata)
    return plan.key, body.executor, b"", len(body.operations)


class _Learned(NamedTuple):
    """What is tried first for a call, what its last measured one used, and on which block."""

    gas_limit: int
    gas_used: int | None  # None: it failed
    base_hash: Hash


class GasBook:
    """Gas limits that fitted, by call; bounded, the oldest forgotten."""

    def __init__(self) -> None:
        self._learned: OrderedDict[Call, _Learned] = OrderedDict()

    def guess(self, call: Call) -> int | None:
        learned = self._learned.get(call)
        return None if learned is None else learned.gas_limit

    def covers(self, call: Call, gas_limit: int, gas_used: int | None, base: Block) -> bool:
        """Whether a guess that seems far too much is right nevertheless: one that used as much was measured
        on this very block. What is measured has room for the first place in a block, which may be far more
        than it needs behind others; measuring anew would find the same."""
        learned = self._learned.get(call)
        if gas_used is None or learned is None or learned.gas_used is None:
            return False
        is_alike = abs(learned.gas_used - gas_used) <= _GUESS_GRAIN_GAS and learned.gas_limit == gas_limit
        enough = gas_limit + _GUESS_GRAIN_GAS >= gas_limit_for(gas_used, base)
        return is_alike and enough and learned.base_hash == base.hash

    def learn(self, call: Call, measured: int, gas_used: int | None, base: Block) -> None:
        """Of a call that was given `measured` gas and used so much of it (None: it failed): what to try first
        for the next of its kind."""
        if gas_used is None or gas_used == measured:
            gas_limit = measured  # a transfer needs what it needs
        else:
            needed = max(measured, gas_limit_for(gas_used, base))
            gas_limit = min(gas_limit_room(base), ceil_div(needed, _GUESS_GRAIN_GAS) * _GUESS_GRAIN_GAS)
        self._learned[call] = _Learned(gas_limit, gas_used, base.hash)
        self._learned.move_to_end(call)
        if len(self._learned) > _CALLS_MAX:
            self._learned.popitem(last=False)


async def read_data_fees(desk: Desk, rows: Sequence[IntentRow]) -> None:
    """Where a roll-up charges for data, what that may cost these intents at the desk's base, and what their
    keys have on the overlay. What cannot be read stays unknown, and whoever needs it is put off."""
    data_fees, base = desk.parts.data_fees, desk.base()
    if not data_fees.is_charged:
        return
    keys, room = {row.lane.key for row in rows}, gas_limit_room(base)
    payloads = [payload for key in sorted(keys) for payload, _, _ in unlanded_of(desk, key)]
    for row in rows:
        with suppress(PlanError, NativeError):  # what cannot be built is refused when it is its turn
            payloads.append(build_candidate(row, row.lane, 0, 1, NO_FEES, base, room).payload)
    try:
        await data_fees.read(payloads, base)
    except ChainError as trouble:
        _log.warning("data_fee_unknown", block=base.number, cause=str(trouble))


def is_fitting(gas_limit: int, gas_used: int | None, base: Block) -> bool:
    """Whether a guessed gas limit was right: enough with its margin, and not far too much."""
    if gas_used is None:
        return False  # it failed: perhaps for want of gas
    needed = gas_limit_for(gas_used, base)
    enough = gas_limit + _GUESS_GRAIN_GAS >= needed
    return enough and gas_limit <= needed * _GUESS_EXCESS_NUMERATOR // _GUESS_EXCESS_DENOMINATOR


@made_quickly
@dataclass(frozen=True, slots=True)
class Judged:
    """An intent of the batch with its verdict. A refused one has no nonce that counts.

    Of plans that go in one transaction the first holds the others `beside` it: same payload and nonce, and
    what all together may take stands with the first."""

    row: IntentRow
    candidate: Candidate
    verdict: Verdict
    spends: Mapping[Address, int]  # the most that it may take, by token
    route: str = PUBLIC
    beside: tuple[Judged, ...] = ()

    @property
    def segments(self) -> tuple[Judged, ...]:
        return (self, *self.beside)


class _Step(NamedTuple):
    """A candidate in a series, and by what it will be judged."""

    candidate: Candidate
    entry: Entry
    rules: Rules
    probes: tuple[Probe, ...]
    before: tuple[Probe, ...]


@dataclass(slots=True)
class BatchJudging:
    """Fulfils `SimulationWork`: judges `rows` in order until one cannot be judged now."""

    desk: Desk
    rows: list[IntentRow]
    nonces: dict[Lane, int]  # the next of each lane; advanced by each admitted candidate
    dry: frozenset[Lane]  # lanes without a signer: nothing of theirs goes onto the overlay
    fees: Mapping[Priority, FeeQuote]
    fee_cap_wei: int  # per gas, of the limits: no ceiling passes it
    authority: Authority
    gas: GasBook
    now_s: int
    reads: set[StateKey] | None = None  # what the judged ones read; kept in a fleet
    signed: Mapping[IntentNumber, Candidate] = field(default_factory=dict)  # these very bytes, or none
    segments_max: int = 1  # plans that may go in one transaction
    progress: int = 0
    judged: list[Judged] = field(default_factory=list)
    _stale: set[Lane] = field(default_factory=set)
    _capped: dict[Priority, FeeQuote] = field(default_factory=dict)  # `fees` under `fee_cap_wei`
    _measured: dict[IntentNumber, int] = field(default_factory=dict)  # gas limits that are no guess
    _apart: set[IntentNumber] = field(default_factory=set)  # what does not go together with those beside it
    _length: int = SERIES_MAX  # of the next series: shorter where assumptions fail
    unjudgeable: list[tuple[IntentRow, str]] = field(default_factory=list)
    put_off: list[tuple[IntentRow, Passing]] = field(default_factory=list)  # they cannot be judged now
    held_up: list[IntentRow] = field(default_factory=list)  # behind one of their lane that is stale

    @property
    def untouched(self) -> list[IntentRow]:
        """What nothing was done with: the rest, and those that wait for another of their lane."""
        return self.held_up + self.rows[self.progress :]

    @property
    def is_short(self) -> bool:
        """Whether all of it is known to take a millisecond or two: not worth a change of thread."""
        if len(self.rows) > SHORT_ROWS_MAX:
            return False
        limits = [self._gas_limit_of(row) for row in self.rows]
        return all(limits) and sum(limit or 0 for limit in limits) <= SHORT_GAS_MAX

    def stop(self, cause: Passing) -> None:
        """State could not be fetched: whoever was at it is put off, and all behind are left."""
        self.put_off.append((self.rows[self.progress], cause))
        self.progress += 1

    def go(self) -> Missing | None:
        machine, gate = self.desk.parts.simulator.machine, self.desk.parts.gate
        machine.reads = self.reads
        try:
            return self._go(machine, gate)
        finally:
            machine.reads = None

    def _go(self, machine: Machine, gate: Gate) -> Missing | None:
        while self.progress < len(self.rows):
            row = self.rows[self.progress]
            try:
                if row.lane in self._stale:
                    self.held_up.append(row)
                else:
                    missing = self._some(machine, gate)
                    if missing is not None:
                        return missing
                    continue
            except UnavailableError as cause:
                self.put_off.append((self.rows[self.progress], cause))
            except StaleError as cause:
                # What is before it in its lane cannot run now; other lanes go on.
                self.put_off.append((self.rows[self.progress], cause))
                self._stale.add(self.rows[self.progress].lane)
            except (PlanError, NativeError) as cause:
                # No later head can mend it, and it must not stop those behind it.
                self.unjudgeable.append((self.rows[self.progress], f"it cannot be judged: {cause}"))
            self.progress += 1
        return None

    def payloads_ahead(self) -> list[Payload]:
        """One payload of each kind of call in the batch: near enough to know what it reads."""
        kinds = {call_of(row.plan): row for row in self.rows}
        base = self.desk.base()
        room = gas_limit_room(base)
        payloads = []
        for row in kinds.values():
            with suppress(PlanError, NativeError):  # what cannot be built is refused when it is its turn
                payloads.append(build_candidate(row, row.lane, 0, 1, NO_FEES, base, room).payload)
        return payloads

    def _some(self, machine: Machine, gate: Gate) -> Missing | None:
        """Judge as many of the next rows as stand upon each other. What is raised is about the next one."""
        group = self._group(self.progress)
        if len(group) > 1:
            return self._together(group, machine, gate)
        series = self._series(machine, gate)
        if not series:
            row = self.rows[self.progress]
            measured = self._measure(row, machine)
            if isinstance(measured, Missing):
                return measured
            self._measured[row.number] = measured
            return None
        before = before_now(machine, series[0].before)
        if isinstance(before, Missing):
            return before
        answers = machine.series([(one.entry, one.probes) for one in series])
        found, behind = self._found(series, answers, before, gate)
        kept = [
            step.entry
            for step, one in zip(series, found, strict=False)
            if one.verdict.admitted and not self._is_dry(one)
        ]
        missing = machine.keep(kept) if kept else None
        if missing is not None:
            return missing
        for one in found:
            self._record(one)
        if isinstance(behind, Missing):
            return behind
        self._length = min(2 * self._length, SERIES_MAX) if len(found) == len(series) else max(1, len(found))
        if behind is not None:
            raise behind
        return None

    def _series(self, machine: Machine, gate: Gate) -> list[_Step]:
        """Candidates of the next rows whose gas is known, each with the nonce that it has if those before it
        are admitted. Nothing where the gas of the next one is to be measured."""
        series: list[_Step] = []
        nonces, is_alone = dict(self.nonces), self.authority is not Authority.RUN
        base = self.desk.base()
        for place in range(self.progress, min(self.progress + self._length, len(self.rows))):
            row = self.rows[place]
            gas_limit = self._gas_limit_of(row)
            if row.lane in self._stale or not gas_limit or (series and len(self._group(place)) > 1):
                break
            try:
                candidate = self._candidate(row, nonces[row.lane], gas_limit, base)
                step = self._step(candidate, gate)
            except (UnavailableError, StaleError, PlanError, NativeError):
                if not series:
                    raise
                break  # that is told when it is the next one
            # What is compared with the state before it has that state for itself.
            single = is_alone or step.before or row.lane in self.dry or not machine.is_paid(step.entry)
            if single and series:
                break
            series.append(step)
            if single:
                break
            nonces[row.lane] += 1
        return series

    def _step(self, candidate: Candidate, gate: Gate) -> _Step:
        rules = gate.rules_of(candidate.plan)
        if self.authority is Authority.RUN:
            return _Step(candidate, _entry_of(candidate), rules, rules.probes, rules.before)
        probes = gate.probes(candidate, self.authority)
        before = gate.probes_before(candidate, self.authority)
        return _Step(candidate, _entry_of(candidate), rules, probes, before)

    def _group(self, start: int) -> Sequence[IntentRow]:
        """The rows from `start` on that are to go in one transaction; one where nothing goes with it."""
        # What a batch pays for data has no shares that its segments could promise.
        is_single = self.segments_max < 2 or self.desk.parts.data_fees.is_charged
        if is_single or self.authority is not Authority.RUN or self.rows[start].lane in self.dry:
            return self.rows[start : start + 1]
        group = group_at(self.rows, start, self.segments_max)
        alone = (
            place for place, row in enumerate(group) if row.number in self._apart or row.number in self.signed
        )
        return group[: max(1, next(alone, len(group)))]

    def _together(self, group: Sequence[IntentRow], machine: Machine, gate: Gate) -> Missing | None:
        """Judge these as one transaction; if they cannot go together, they are left to go one by one."""
        row = group[0]
        base, nonce = self.desk.base(), self.nonces[row.lane]
        missing = self._measure_group(group, machine)
        if missing is not None:
            return missing
        candidates = []
        for place, one in enumerate(group):
            gas_limit = (self._gas_limit_of(one) or 0) + SEGMENT_GAS
            candidates.append(self._candidate(one, nonce + place, gas_limit, base))
        fitting = fitting_in(candidates, gas_limit_room(base) * GAS_USE_BPS_MAX // BPS)
        if fitting < 2:
            self._apart.add(row.number)
            return None
        group, candidates = group[:fitting], candidates[:fitting]
        together = judge_together(machine, gate, candidates, self.now_s)
        if isinstance(together, Missing):
            return together
        if isinstance(together, Apart) and together.place is not None:
            self._apart.add(group[together.place].number)
            return None
        if isinstance(together, Together) and self._is_guessed_wrong(group, candidates, together):
            return None
        judged = self._as_judged(group, candidates, together) if isinstance(together, Together) else None
        if judged is None:
            self._apart.update(one.number for one in group)
            return None
        if not gate.book.reserve(row.lane, nonce, judged.spends, self.now_s):
            raise StaleError("another lane spent what was left", str(row.lane), "none needed")
        missing = machine.keep([_entry_of(judged.candidate)])
        if missing is not None:
            return missing
        for segment in judged.segments:
            self._learn(segment)
        self.nonces[row.lane] += 1
        self.judged.append(judged)
        self.progress += len(group)
        return None

    def _is_guessed_wrong(
        self, group: Sequence[IntentRow], candidates: Sequence[Candidate], together: Together
    ) -> bool:
        """Whether the gas of any was a guess that did not fit: it is measured then."""
        wrong = [
            row.number
            for row, one, verdict in zip(group, candidates, together.verdicts, strict=True)
            if row.plan.gas_limit is None
            and row.number not in self._measured
            and not is_fitting(one.payload.gas_limit - SEGMENT_GAS, verdict.gas_used, one.base)
        ]
        self._measured.update(dict.fromkeys(wrong, _TO_BE_MEASURED))
        return bool(wrong)

    def _as_judged(
        self, group: Sequence[IntentRow], candidates: Sequence[Candidate], together: Together
    ) -> Judged | None:
        """None where one was refused, was given the wrong gas, or is to be sent another way."""
        routes = self.desk.parts.routes
        ways = [
            routes.route_of(one, simulation.flows)
            for one, simulation in zip(candidates, together.simulations, strict=True)
        ]
        if not together.admitted or any(way != PUBLIC for way in ways):
            return None
        nonce = candidates[0].nonce
        several = [
            Judged(row, replace(one, payload=together.payload, nonce=nonce), verdict, {})
            for row, one, verdict in zip(group, candidates, together.verdicts, strict=True)
        ]
        return replace(several[0], spends=together.spends, beside=tuple(several[1:]))

    def _found(
        self,
        series: Sequence[_Step],
        answers: Sequence[Execution | Missing],
        before: dict[str, bytes | None],
        gate: Gate,
    ) -> tuple[list[Judged], Missing | SeawallError | None]:
        """Verdicts as far as each stands on admitted ones, and what prevents the next one."""
        found: list[Judged] = []
        for step, answer in zip(series, answers, strict=False):
            candidate, rules = step.candidate, step.rules
            row = self.rows[self.progress + len(found)]
            if isinstance(answer, Missing):
                return found, answer
            try:
                owed_wei = self._owed_wei(candidate, found)
                evidence = evidence_from(
                    answer, gate, candidate, step.probes, before, self.now_s, owed_wei, rules.limits
                )
                one = self._judge(row, evidence, gate, rules)
            except (UnavailableError, StaleError, PlanError, NativeError) as cause:
                return found, cause
            if one is None:
                self._measured[row.number] = _TO_BE_MEASURED
                break
            found.append(one)
            if not one.verdict.admitted:
                break
        return found, None

    def _owed_wei(self, candidate: Candidate, found: Sequence[Judged]) -> int:
        """What its key owes for the data of those before it: on the overlay, and in its series."""
        data_fees, key = self.desk.parts.data_fees, candidate.lane.key
        if not data_fees.is_charged:
            return 0
        series = [_entry_of(one.candidate) for one in found if one.row.lane.key == key]
        return unlanded_most_wei(data_fees, unlanded_of(self.desk, key) + series, candidate.base)

    def _judge(self, row: IntentRow, evidence: Evidence, gate: Gate, rules: Rules) -> Judged | None:
        """The verdict, and what it may spend reserved. None where its gas was guessed wrong."""
        candidate = evidence.candidate
        verdict = gate.judge(evidence, self.authority, rules)
        routes, flows = self.desk.parts.routes, evidence.simulation.flows
        route = routes.route_of(candidate, flows) if verdict.admitted else PUBLIC
        one = Judged(row, candidate, verdict, evidence.spends(), route)
        if row.number in self.signed:
            if not verdict.admitted:
                what = f"what was signed would be refused now: {verdict.explanation}"
                raise StaleError(what, str(row.lane), "none needed: it is judged and signed anew")
        elif row.plan.gas_limit is None and row.number not in self._measured and not self._fits(one):
            return None
        if not one.verdict.admitted or self._is_dry(one):
            return one
        if not gate.book.reserve(row.lane, candidate.nonce, one.spends, self.now_s):
            # It was judged by what was left a moment ago: look again.
            raise StaleError("another lane spent what was left", str(row.lane), "none needed")
        return one

    def _fits(self, one: Judged) -> bool:
        candidate, gas_used = one.candidate, one.verdict.gas_used
        gas_limit, base = candidate.payload.gas_limit - candidate.data_gas, candidate.base
        return is_fitting(gas_limit, gas_used, base) or self.gas.covers(
            call_of(candidate.plan), gas_limit, gas_used, base
        )

    def _learn(self, one: Judged) -> None:
        measured = self._measured.get(one.row.number)
        if measured is not None:
            self.gas.learn(call_of(one.row.plan), measured, one.verdict.gas_used, one.candidate.base)

    def _record(self, one: Judged) -> None:
        self._learn(one)
        if one.verdict.admitted and not self._is_dry(one):
            self.nonces[one.row.lane] += 1
        self.judged.append(one)
        self.progress += 1

    def _is_dry(self, one: Judged) -> bool:
        return one.row.lane in self.dry

    def _gas_limit_of(self, row: IntentRow) -> int | None:
        if row.number in self.signed:
            return self.signed[row.number].payload.gas_limit
        if row.plan.gas_limit is not None:
            return row.plan.gas_limit
        measured = self._measured.get(row.number)
        return self.gas.guess(call_of(row.plan)) if measured is None else measured

    def _candidate(self, row: IntentRow, nonce: int, gas_limit: int, base: Block) -> Candidate:
        fees, signed = self._fees_of(row), self.signed.get(row.number)
        if signed is None:
            return self._priced(row, nonce, fees, base, gas_limit)
        if signed.nonce != nonce:
            what = f"it was signed for nonce {signed.nonce}, and {nonce} is the next one"
            raise StaleError(what, str(row.lane), "none needed: it is judged and signed anew")
        if self.desk.parts.data_fees.most_for(signed.payload, base).fee_wei > signed.data_fee_wei:
            what = "the data fee rose above what it was signed for"
            raise StaleError(what, str(row.lane), "none needed: it is judged and signed anew")
        expected_wei = min(fees.expected_fee_per_gas_wei, signed.max_fee_per_gas_wei)
        return replace(signed, base=base, expected_fee_per_gas_wei=expected_wei)

    def _priced(self, row: IntentRow, nonce: int, fees: FeeQuote, base: Block, gas_limit: int) -> Candidate:
        """With the most that its data may cost, by its size and gas limit."""
        plain = build_candidate(row, row.lane, nonce, row.candidates + 1, fees, base, gas_limit)
        data_fees = self.desk.parts.data_fees
        if not data_fees.is_charged:
            return plain
        data_fee = data_fees.most_for(plain.payload, base)
        return build_candidate(row, row.lane, nonce, row.candidates + 1, fees, base, gas_limit, data_fee)

    def _fees_of(self, row: IntentRow) -> FeeQuote:
        priority = row.plan.priority
        capped = self._capped.get(priority)
        if capped is None:
            fees = self.fees[priority]
            ceiling_wei = max(fees.max_fee_per_gas_wei, min(fees.ceiling_fee_per_gas_wei, self.fee_cap_wei))
            capped = self._capped[priority] = replace(fees, ceiling_fee_per_gas_wei=ceiling_wei)
        return capped

    def _measure_group(self, group: Sequence[IntentRow], machine: Machine) -> Missing | None:
        """Gas limits of those that have none: of the first as of anything that goes alone, of the rest
        behind those before them, unless plans of other keys may come to stand behind them."""
        first, *others = group
        if not all(map(self._gas_limit_of, others)) and not machine.is_behind_others(first.lane.key):
            used = gas_in_turn(machine, [self._roomy(one, place) for place, one in enumerate(group)])
            if isinstance(used, Missing):
                return used
            for one, gas_used in list(zip(group, used, strict=False))[1:]:
                if not self._gas_limit_of(one):
                    self._measured[one.number] = gas_limit_for(gas_used, self.desk.base())
        for one in group:
            if not self._gas_limit_of(one):
                measured = self._measure(one, machine)
                if isinstance(measured, Missing):
                    return measured
                self._measured[one.number] = measured
        return None

    def _measure(self, row: IntentRow, machine: Machine) -> int | Missing:
        fee_per_gas_wei = self._fees_of(row).max_fee_per_gas_wei
        gas_used = measure_gas_now(machine, self._roomy(row), fee_per_gas_wei)
        return gas_used if isinstance(gas_used, Missing) else gas_limit_for(gas_used, self.desk.base())

    def _roomy(self, row: IntentRow, place: int = 0) -> Candidate:
        """With all the gas there is, and without a fee that this would raise."""
        base, nonce = self.desk.base(), self.nonces[row.lane] + place
        return build_candidate(row, row.lane, nonce, row.candidates + 1, NO_FEES, base, gas_limit_room(base))


def _entry_of(candidate: Candidate) -> Entry:
    return candidate.payload, candidate.nonce, candidate.max_fee_per_gas_wei
