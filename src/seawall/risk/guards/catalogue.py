"""The guards of this release and the names by which plans ask for them.

Always on, asked for or not: gas price, gas use, slippage against the plan's expected changes, position size,
the key's native balance; of a key with a policy what `signer_policy` lists; `multisig` where configured;
of executor plans the executor itself and minimum profit. Asked for: oracle staleness, and tighter values of
the others."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from seawall.native import abi_decode, encode_call
from seawall.primitives.bounds import GAS_LIMIT_TRANSACTION_MAX, GAS_USE_BPS_MAX
from seawall.primitives.errors import EncodingError, PlanError
from seawall.primitives.plans import ExecutorBody, GuardSpec, Plan
from seawall.primitives.simulations import Probe
from seawall.primitives.units import BPS, Address, address_text, ceil_div
from seawall.primitives.verdicts import Measurement
from seawall.risk.evidence import Evidence, above, below, cannot_measure
from seawall.risk.guards.base import Guard, argument
from seawall.risk.guards.multisig import Multisig
from seawall.risk.guards.signer_policy import policy_guards
from seawall.risk.limits import RiskLimits

__all__ = [
    "GUARD_NAMES",
    "Balance",
    "Executor",
    "GasPrice",
    "GasUse",
    "MinProfit",
    "OracleStaleness",
    "PositionSize",
    "Slippage",
    "guards_of",
]


@dataclass(frozen=True, slots=True)
class GasPrice:
    """The most we would pay per gas, against the cap."""

    limit_wei: int
    name: str = "gas_price"

    def probes(self) -> tuple[Probe, ...]:
        return ()

    def measure(self, evidence: Evidence) -> Measurement:
        return below(
            self.name,
            evidence,
            evidence.candidate.ceiling_fee_per_gas_wei,
            self.limit_wei,
            "wei per gas",
            "the fee ceiling",
        )


@dataclass(frozen=True, slots=True)
class GasUse:
    """The payload's gas limit, against 80 % of the lower of block and transaction limit (EIP-7825)."""

    name: str = "gas_use"

    def probes(self) -> tuple[Probe, ...]:
        return ()

    def measure(self, evidence: Evidence) -> Measurement:
        room = min(evidence.candidate.base.gas_limit, GAS_LIMIT_TRANSACTION_MAX)
        limit = room * GAS_USE_BPS_MAX // BPS
        return below(self.name, evidence, evidence.candidate.payload.gas_limit, limit, "gas", "the gas limit")


@dataclass(frozen=True, slots=True)
class Slippage:
    """How far the simulated change of each expected token falls short of what the plan expected, worst
    one."""

    limit_bps: int
    name: str = "slippage"

    def probes(self) -> tuple[Probe, ...]:
        return ()

    def measure(self, evidence: Evidence) -> Measurement:
        worst: Measurement | None = None
        for delta in evidence.candidate.plan.expected:
            limit = min(self.limit_bps, delta.tolerance_bps)
            actual = evidence.simulation.net(frozenset({delta.holder}), delta.token)
            short = max(0, delta.change - actual)
            bps = ceil_div(short * BPS, max(1, abs(delta.change)))
            found = below(self.name, evidence, bps, limit, "bps", f"shortfall of {address_text(delta.token)}")
            if worst is None or (found.margin or 0) < (worst.margin or 0):
                worst = found
        return worst or below(
            self.name, evidence, 0, self.limit_bps, "bps", "no change was promised, shortfall"
        )


@dataclass(frozen=True, slots=True)
class MinProfit:
    """Profit at the maximum fee, in the accounting token. Judged at the ceiling, so that no replacement can
    lose."""

    min_wei: int
    name: str = "min_profit"

    def probes(self) -> tuple[Probe, ...]:
        return ()

    def measure(self, evidence: Evidence) -> Measurement:
        inflow = evidence.inflow()
        if inflow is None:
            token = address_text(evidence.candidate.plan.accounting_token)
            return cannot_measure(
                self.name, evidence, self.min_wei, "wei", f"no pinned feed compares {token} with the fee"
            )
        floor = inflow - evidence.candidate.max_total_fee_wei
        return above(self.name, evidence, floor, self.min_wei, "wei", "profit, after the maximum fee, of")


@dataclass(frozen=True, slots=True)
class Executor:
    """An executor plan runs on our executor and pays its true beneficiary.

    Both count as ours when flows are judged, so a plan's word for them must not be enough: whatever left for
    an address that a plan calls its own would be no outflow, and whatever arrived there would be profit."""

    executor: Address
    beneficiary: Address
    name: str = "executor"

    @property
    def _label(self) -> str:
        return f"{self.name}:{self.executor.hex()}"

    def probes(self) -> tuple[Probe, ...]:
        return (Probe(self._label, self.executor, encode_call("beneficiary()", ())),)

    def measure(self, evidence: Evidence) -> Measurement:
        executor = address_text(self.executor)
        if self.executor not in evidence.ours.holders:
            return self._finding(evidence, f"{executor} is no executor that the configuration names")
        answer = evidence.simulation.probes.get(self._label)
        if answer is None or len(answer) != 32:
            why = f"{executor} did not say who its beneficiary is"
            return cannot_measure(self.name, evidence, 1, "match", why)
        if answer[12:] != self.beneficiary:
            true = address_text(Address(answer[12:]))
            return self._finding(evidence, f"{executor} pays {true}, not {address_text(self.beneficiary)}")
        return self._finding(evidence, "our executor, and its own beneficiary", passed=True)

    def _finding(self, evidence: Evidence, reason: str, *, passed: bool = False) -> Measurement:
        matches, base_hash = int(passed), evidence.simulation.base_hash
        return Measurement(self.name, matches, 1, matches - 1, "match", passed, base_hash, reason)


@dataclass(frozen=True, slots=True)
class OracleStaleness:
    """Age of a Chainlink-style feed's answer, read on the state after."""

    feed: Address
    max_age_s: int
    name: str = "oracle_staleness"

    @property
    def _label(self) -> str:
        return f"{self.name}:{self.feed.hex()}"

    def probes(self) -> tuple[Probe, ...]:
        return (Probe(self._label, self.feed, encode_call("latestRoundData()", ())),)

    def measure(self, evidence: Evidence) -> Measurement:
        raw = evidence.simulation.probes.get(self._label)
        limit = min(self.max_age_s, evidence.limits.oracle_age_s_max)
        feed = address_text(self.feed)
        if raw is None:
            return cannot_measure(self.name, evidence, limit, "s", f"feed {feed} did not answer")
        try:
            round_id, answer, _, updated_at, answered_in = abi_decode(
                ("uint80", "int256", "uint256", "uint256", "uint80"), raw
            )
        except EncodingError:
            return cannot_measure(
                self.name, evidence, limit, "s", f"feed {feed} answered {len(raw)} malformed bytes"
            )
        assert isinstance(answer, int)
        assert isinstance(updated_at, int)
        if answer <= 0 or updated_at == 0 or round_id != answered_in:
            return cannot_measure(
                self.name, evidence, limit, "s", f"feed {feed} holds no complete positive answer"
            )
        age_s = max(0, max(evidence.candidate.base.timestamp_s, evidence.now_s) - updated_at)
        return below(self.name, evidence, age_s, limit, "s", f"age of feed {feed}")


@dataclass(frozen=True, slots=True)
class PositionSize:
    """What the plan pays out per token, against the cap in that token.

    A token without a cap is refused, and so is giving away what no cap can bound: an NFT, or authority over
    our tokens or credit.
    """

    caps: tuple[tuple[Address, int], ...]
    name: str = "position_size"

    def probes(self) -> tuple[Probe, ...]:
        return ()

    def measure(self, evidence: Evidence) -> Measurement:
        caps = dict(self.caps)
        for handover in evidence.simulation.handovers:
            if handover.holder in evidence.holders:
                why = f"{address_text(handover.holder)} {handover.what}"
                return cannot_measure(self.name, evidence, 0, "units", why)
        worst: Measurement | None = None
        for token, amount in sorted(evidence.outflows().items()):
            if token not in caps:
                return cannot_measure(
                    self.name,
                    evidence,
                    0,
                    "units",
                    f"no cap is configured for {address_text(token)}, of which {amount} would leave",
                )
            found = below(self.name, evidence, amount, caps[token], "units", _outflow_of(token))
            if worst is None or (found.margin or 0) < (worst.margin or 0):
                worst = found
        return worst or below(self.name, evidence, 0, 0, "units", "nothing leaves: outflow")


@dataclass(frozen=True, slots=True)
class Balance:
    """The key's native balance after the transaction and its maximum fee."""

    min_wei: int
    name: str = "balance"

    def probes(self) -> tuple[Probe, ...]:
        return ()

    def measure(self, evidence: Evidence) -> Measurement:
        balance = evidence.simulation.sender_balance_wei
        if balance is None:
            return cannot_measure(
                self.name, evidence, self.min_wei, "wei", "the simulation did not report the key's balance"
            )
        # The simulation paid the first fee for the gas used; replacements may pay the ceiling for all of it.
        candidate = evidence.candidate
        paid_wei = evidence.simulation.gas_used * candidate.max_fee_per_gas_wei
        least = balance - max(0, candidate.max_total_fee_wei - paid_wei)
        return above(
            self.name, evidence, least, self.min_wei, "wei", "the key's balance, after the maximum fee, of"
        )


GUARD_NAMES = (
    "gas_price",
    "gas_use",
    "slippage",
    "min_profit",
    "oracle_staleness",
    "position_size",
    "balance",
    "executor",
)


# Tokens whose names stay written out.
_TOKENS_MAX: Final = 256
# Asked for once per feed or token.
_MANY = ("oracle_staleness", "position_size")


def guards_of(plan: Plan, limits: RiskLimits) -> tuple[Guard, ...]:
    """Every guard that judges this plan: the standing ones at the tighter of limit and request, then those
    asked for."""
    asked = {spec.name: spec for spec in plan.guards if spec.name not in _MANY}
    if len(asked) < sum(spec.name not in _MANY for spec in plan.guards):
        where = f"plan {plan.idempotency_key!r}"
        raise PlanError("a guard is asked for twice", where, "ask once, with the tightest value")
    for name in asked:
        if name not in GUARD_NAMES:
            raise PlanError(
                f"unknown guard {name!r}",
                f"plan {plan.idempotency_key!r}",
                f"use one of {', '.join(GUARD_NAMES)}",
            )
    guards: list[Guard] = [
        GasPrice(_tighter(asked.get("gas_price"), "max_fee_per_gas_wei", limits.max_fee_per_gas_wei)),
        GasUse(),
        Slippage(_tighter(asked.get("slippage"), "limit_bps", limits.slippage_bps_max)),
        PositionSize(_caps(plan, limits)),
        Balance(max(_balance_min(plan, limits), _asked(asked.get("balance"), "min_wei"))),
    ]
    policy = limits.policies.get(plan.key)
    if policy is not None:
        guards += policy_guards(policy)
    if limits.multisig is not None:
        guards.append(Multisig(limits.multisig))
    floor = _asked(asked.get("min_profit"), "min_wei")
    if isinstance(plan.body, ExecutorBody):
        guards.append(Executor(plan.body.executor, plan.body.beneficiary))
        guards.append(MinProfit(max(floor, plan.body.min_profit_wei)))
    elif "min_profit" in asked:
        guards.append(MinProfit(floor))
    guards += [
        OracleStaleness(_address(spec, "feed"), argument(spec, "max_age_s", int))
        for spec in plan.guards
        if spec.name == "oracle_staleness"
    ]
    return tuple(guards)


@lru_cache(_TOKENS_MAX)
def _outflow_of(token: Address) -> str:
    return f"outflow of {address_text(token)}"


def _balance_min(plan: Plan, limits: RiskLimits) -> int:
    policy = limits.policies.get(plan.key)
    return max(limits.key_balance_min_wei, 0 if policy is None else policy.balance_min_wei)


def _asked(spec: GuardSpec | None, name: str) -> int:
    return 0 if spec is None else argument(spec, name, int)


def _tighter(spec: GuardSpec | None, name: str, limit: int) -> int:
    return limit if spec is None else min(limit, argument(spec, name, int))


def _caps(plan: Plan, limits: RiskLimits) -> tuple[tuple[Address, int], ...]:
    caps = dict(limits.position_caps)
    for spec in plan.guards:
        if spec.name == "position_size":
            token, cap = _address(spec, "token"), argument(spec, "cap", int)
            if token in caps:
                caps[token] = min(caps[token], cap)
    return tuple(sorted(caps.items()))


def _address(spec: GuardSpec, name: str) -> Address:
    value = argument(spec, name, bytes)
    if len(value) != 20:
        raise PlanError(
            f"guard {spec.name!r} has {len(value)} bytes for {name!r} instead of 20",
            "plan guards",
            "give an address",
        )
    return Address(value)
