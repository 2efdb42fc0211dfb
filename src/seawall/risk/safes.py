"""What a Safe's owners may be asked to sign: rules beside the gate's own, each with its finding.

The gate judges what the transaction does (simulation, positions, slippage, REDUCE_ONLY). Here stands what
only a Safe has: whose code answers, who else may move its money (modules, guard, handler), that nobody is
refunded out of it, that nothing but the known MultiSends runs in its storage, which calls it may make, and
that its nonce can come up at all. Pure; what cannot be told is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from seawall.primitives.errors import ProtocolError
from seawall.primitives.units import ZERO_ADDRESS, address_text, hex_text
from seawall.primitives.verdicts import Measurement
from seawall.protocols.safe.calls import is_rule_change, words_of
from seawall.protocols.safe.multisend import InnerCall, calls_of
from seawall.protocols.safe.state import SafeState
from seawall.protocols.safe.transaction import Operation, SafeTransaction, refund_of
from seawall.risk.limits import SafePolicy

__all__ = ["SAFE_GUARD_NAMES", "SafeFacts", "safe_findings"]

SAFE_GUARD_NAMES: Final = (
    "safe_code", "safe_rules", "safe_nonce", "safe_refund", "safe_operation", "safe_target",
)  # fmt: skip
_SELECTOR_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class SafeFacts:
    """What is known of a Safe and of a transaction of it, all of one block."""

    state: SafeState
    code_problem: str | None  # why its code is not what we know; None: it is
    batch_problem: str | None  # the same of the MultiSend that the transaction names, if it names one
    missing_nonce: int | None = None  # the first before the transaction's for which nothing is known


def safe_findings(
    policy: SafePolicy, transaction: SafeTransaction, facts: SafeFacts
) -> tuple[Measurement, ...]:
    """Every rule with what was found; a refusal says which one failed and why."""
    return (
        _finding(facts, "safe_code", facts.code_problem, "proxy and singleton hold known code"),
        _finding(facts, "safe_rules", _rules_problem(policy, facts.state), "owners alone move its money"),
        _nonce(transaction, facts),
        _finding(facts, "safe_refund", _refund_problem(transaction), "nobody is refunded out of the Safe"),
        _finding(
            facts,
            "safe_operation",
            _operation_problem(transaction, facts),
            "nothing but a known MultiSend runs in the Safe's storage",
        ),
        _finding(facts, "safe_target", _target_problem(policy, transaction), "every call is a listed one"),
    )


def _rules_problem(policy: SafePolicy, state: SafeState) -> str | None:
    if state.threshold < policy.threshold_min:
        return f"{state.threshold} owners are enough, and {policy.threshold_min} must be"
    strange = [module for module in state.modules if module not in policy.modules]
    if strange:
        return f"module {address_text(strange[0])} is enabled and not configured: it needs no signatures"
    if state.guard != policy.guard:
        return f"its guard is {address_text(state.guard)}, and {address_text(policy.guard)} is configured"
    if state.fallback_handler not in (ZERO_ADDRESS, policy.fallback_handler):
        handler = address_text(policy.fallback_handler)
        return f"its fallback handler is {address_text(state.fallback_handler)}, and {handler} is configured"
    return None


def _nonce(transaction: SafeTransaction, facts: SafeFacts) -> Measurement:
    state, problem = facts.state, None
    if transaction.nonce < state.nonce:
        problem = f"nonce {transaction.nonce} is used up: the Safe is at {state.nonce}"
    elif facts.missing_nonce is not None:
        problem = f"nothing is known for nonce {facts.missing_nonce}, which comes before it"
    reason = problem or f"the Safe is at nonce {state.nonce}, this is {transaction.nonce}"
    return Measurement(
        "safe_nonce",
        transaction.nonce,
        state.nonce,
        transaction.nonce - state.nonce,
        "nonce",
        problem is None,
        state.block_hash,
        reason,
    )


def _refund_problem(transaction: SafeTransaction) -> str | None:
    refund = refund_of(transaction)
    if refund:
        return f"it would pay whoever executes it: {refund}"
    if transaction.safe_tx_gas:
        return f"with safeTxGas {transaction.safe_tx_gas} its nonce is used up even where the call fails"
    return None


def _operation_problem(transaction: SafeTransaction, facts: SafeFacts) -> str | None:
    if transaction.operation is Operation.CALL:
        return None
    try:
        calls_of(transaction)
    except ProtocolError as error:
        return error.what
    return facts.batch_problem


def _target_problem(policy: SafePolicy, transaction: SafeTransaction) -> str | None:
    try:
        calls = calls_of(transaction)
    except ProtocolError as error:
        return f"its calls cannot be read: {error.what}"
    problems = (_call_problem(policy, call) for call in calls)
    return next((problem for problem in problems if problem is not None), None)


def _call_problem(policy: SafePolicy, call: InnerCall) -> str | None:
    if is_rule_change(call, policy.safe):
        return None if policy.rule_changes else f"{policy.name} may not change its own rules: {_said(call)}"
    if policy.any_target or (not call.data and call.to in policy.recipients):
        return None
    rules = [rule for rule in policy.targets if rule.target == call.to]
    if not rules:
        return f"{address_text(call.to)} is no target that {policy.name} may call: {_said(call)}"
    if any(rule.selectors is None or call.data[:_SELECTOR_BYTES] in rule.selectors for rule in rules):
        return None
    shown = hex_text(call.data[:_SELECTOR_BYTES])
    return f"{policy.name} may not call {shown} of {address_text(call.to)}"


def _said(call: InnerCall) -> str:
    return words_of(call).text


def _finding(facts: SafeFacts, guard: str, problem: str | None, otherwise: str) -> Measurement:
    passed = problem is None
    return Measurement(
        guard,
        int(passed),
        1,
        int(passed) - 1,
        "match",
        passed,
        facts.state.block_hash,
        problem or otherwise,
    )
