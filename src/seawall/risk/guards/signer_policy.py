"""Guards of a signer's policy: what its key may call, send, pay and spend, whatever a plan asks for.

Always on for a key that has a policy; a plan can neither ask for them nor loosen them. The balance that the
key keeps is judged by the standing `balance` guard, at the tighter of both limits.

What an hour or a day has seen comes with the evidence (`Evidence.spent`): guards count nothing themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from seawall.primitives.simulations import Probe
from seawall.primitives.units import NATIVE, address_text, hex_text
from seawall.primitives.verdicts import Measurement
from seawall.risk.evidence import Evidence, below, cannot_measure
from seawall.risk.guards.base import Guard
from seawall.risk.limits import SignerPolicy
from seawall.risk.spending import DAY_S, HOUR_S

__all__ = [
    "POLICY_GUARD_NAMES",
    "SignerFee",
    "SignerGas",
    "SignerSpend",
    "SignerTarget",
    "SignerValue",
    "policy_guards",
]

POLICY_GUARD_NAMES: Final = ("signer_target", "signer_gas", "signer_value", "signer_fee", "signer_spend")
_SELECTOR_BYTES: Final = 4
_WINDOWS: Final = {HOUR_S: "hour", DAY_S: "day"}


@dataclass(frozen=True, slots=True)
class SignerTarget:
    """The call is one that the policy lists: a target with this selector, or a plain transfer to a
    recipient."""

    policy: SignerPolicy
    name: str = "signer_target"

    def probes(self) -> tuple[Probe, ...]:
        return ()

    def measure(self, evidence: Evidence) -> Measurement:
        payload, policy = evidence.candidate.payload, self.policy
        who = address_text(payload.to)
        if policy.any_target:
            return self._finding(evidence, f"{policy.signer} may call any target", passed=True)
        if not payload.data and payload.to in policy.recipients:
            return self._finding(evidence, f"{who} is a recipient of {policy.signer}", passed=True)
        rules = [rule for rule in policy.targets if rule.target == payload.to]
        if not rules:
            listed = "" if payload.data else ", nor a recipient of plain transfers"
            return self._finding(evidence, f"{who} is no target that {policy.signer} may call{listed}")
        selector = payload.data[:_SELECTOR_BYTES]
        for rule in rules:
            if rule.selectors is None or selector in rule.selectors:
                return self._finding(evidence, f"{policy.signer} may call {who} so", passed=True)
        called = f"function {hex_text(selector)}" if selector else "a plain transfer"
        return self._finding(evidence, f"{policy.signer} may call {who}, but not {called} of it")

    def _finding(self, evidence: Evidence, reason: str, *, passed: bool = False) -> Measurement:
        listed, base_hash = int(passed), evidence.simulation.base_hash
        return Measurement(self.name, listed, 1, listed - 1, "listed", passed, base_hash, reason)


@dataclass(frozen=True, slots=True)
class SignerGas:
    policy: SignerPolicy
    name: str = "signer_gas"

    def probes(self) -> tuple[Probe, ...]:
        return ()

    def measure(self, evidence: Evidence) -> Measurement:
        gas_limit, limit = evidence.candidate.payload.gas_limit, self.policy.gas_limit_max
        return below(
            self.name, evidence, gas_limit, limit, "gas", f"the gas limit, for {self.policy.signer}, of"
        )


@dataclass(frozen=True, slots=True)
class SignerValue:
    policy: SignerPolicy
    name: str = "signer_value"

    def probes(self) -> tuple[Probe, ...]:
        return ()

    def measure(self, evidence: Evidence) -> Measurement:
        value_wei, limit = evidence.candidate.payload.value_wei, self.policy.value_max_wei
        return below(
            self.name, evidence, value_wei, limit, "wei", f"the value that {self.policy.signer} sends,"
        )


@dataclass(frozen=True, slots=True)
class SignerFee:
    """The most that the transaction may cost in fees, whatever replaces it."""

    policy: SignerPolicy
    name: str = "signer_fee"

    def probes(self) -> tuple[Probe, ...]:
        return ()

    def measure(self, evidence: Evidence) -> Measurement:
        fee_wei, limit = evidence.candidate.max_total_fee_wei, self.policy.fee_max_wei
        return below(
            self.name, evidence, fee_wei, limit, "wei", f"the maximum fee, for {self.policy.signer}, of"
        )


@dataclass(frozen=True, slots=True)
class SignerSpend:
    """What every budget of the key would have spent with this candidate at its most, an hour and a day.

    Answers the finding that is nearest to its limit. A token without a budget is refused: it has no limit."""

    policy: SignerPolicy
    name: str = "signer_spend"

    def probes(self) -> tuple[Probe, ...]:
        return ()

    def measure(self, evidence: Evidence) -> Measurement:
        spent, amounts = evidence.spent, evidence.spends()
        if spent is None:
            return cannot_measure(self.name, evidence, 0, "units", "nobody counts what this key has spent")
        budgeted = {one.token for one in spent}
        for token, amount in sorted(amounts.items()):
            if token not in budgeted and amount > 0:
                why = (
                    f"{self.policy.signer} has no spend limit for {_text(token)}, of which {amount} may leave"
                )
                return cannot_measure(self.name, evidence, 0, "units", why)
        worst: tuple[int, int, Measurement] | None = None
        for one in spent:
            total = one.amount + amounts.get(one.token, 0)
            window = _WINDOWS[one.window_s]
            what = f"spent of {_text(one.token)} in one {window}, with this, from budget {one.budget!r}:"
            found = below(self.name, evidence, total, one.cap, "units", what)
            # Compared as the share used, without dividing.
            if worst is None or total * worst[1] > worst[0] * one.cap:
                worst = (total, one.cap, found)
        assert worst is not None, "native fees are always a spend"
        return worst[2]


def policy_guards(policy: SignerPolicy) -> tuple[Guard, ...]:
    """Every guard that judges the plans of this key."""
    return (
        SignerTarget(policy),
        SignerGas(policy),
        SignerValue(policy),
        SignerFee(policy),
        SignerSpend(policy),
    )


def _text(token: bytes) -> str:
    return "the native token" if token == NATIVE else address_text(token)
