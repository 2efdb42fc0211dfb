"""Rules of Safes: each refuses by itself, with the reason."""

from __future__ import annotations

from dataclasses import replace

import pytest

from seawall.native import encode_call
from seawall.primitives.units import ZERO_ADDRESS, Address, Hash
from seawall.protocols.erc20 import transfer_call
from seawall.protocols.safe.known import FALLBACK_HANDLER, SINGLETON
from seawall.protocols.safe.multisend import InnerCall, batch_of
from seawall.protocols.safe.state import SafeState
from seawall.protocols.safe.transaction import Operation, SafeTransaction
from seawall.risk.limits import SafePolicy, TargetRule
from seawall.risk.safes import SAFE_GUARD_NAMES, SafeFacts, safe_findings

SAFE, TOKEN, STRANGER = (Address(bytes((n,)) * 20) for n in (1, 2, 3))
STATE = SafeState(
    1, SAFE, 9, Hash(b"\x09" * 32), 4, (STRANGER, TOKEN), 2, (), ZERO_ADDRESS, FALLBACK_HANDLER, SINGLETON
)
FACTS = SafeFacts(STATE, None, None)
TRANSFER = transfer_call(STRANGER, 5)
POLICY = SafePolicy(
    "vault",
    1,
    SAFE,
    threshold_min=2,
    targets=(TargetRule(TOKEN, frozenset({TRANSFER[:4]})),),
    recipients=frozenset({STRANGER}),
)
GOOD = SafeTransaction(1, SAFE, 4, TOKEN, data=TRANSFER)
RULE_CHANGE = InnerCall(SAFE, 0, encode_call("changeThreshold(uint256)", (1,)))


def refusals(
    transaction: SafeTransaction = GOOD, facts: SafeFacts = FACTS, policy: SafePolicy = POLICY
) -> dict[str, str]:
    findings = safe_findings(policy, transaction, facts)
    assert tuple(one.guard for one in findings) == SAFE_GUARD_NAMES
    assert all(one.block_hash == STATE.block_hash for one in findings)
    return {one.guard: one.reason for one in findings if not one.passed}


def with_state(**changes: object) -> SafeFacts:
    return replace(FACTS, state=replace(STATE, **changes))  # type: ignore[arg-type]


def test_listed_call_of_a_safe_as_it_should_be_passes() -> None:
    assert refusals() == {}
    assert refusals(batch_of(1, SAFE, 4, [InnerCall(TOKEN, 0, TRANSFER), InnerCall(STRANGER, 1, b"")])) == {}


@pytest.mark.parametrize(
    ("facts", "guard", "reason"),
    [
        (replace(FACTS, code_problem="it is no proxy"), "safe_code", "it is no proxy"),
        (with_state(threshold=1), "safe_rules", "1 owners are enough, and 2 must be"),
        (with_state(modules=(STRANGER,)), "safe_rules", "needs no signatures"),
        (with_state(guard=STRANGER), "safe_rules", "its guard is"),
        (with_state(fallback_handler=STRANGER), "safe_rules", "its fallback handler is"),
        (with_state(nonce=5), "safe_nonce", "nonce 4 is used up: the Safe is at 5"),
        (replace(FACTS, missing_nonce=3), "safe_nonce", "nothing is known for nonce 3"),
    ],
)
def test_safe_that_is_not_as_it_should_be_is_refused(facts: SafeFacts, guard: str, reason: str) -> None:
    found = refusals(facts=facts)
    assert list(found) == [guard]
    assert reason in found[guard]


def test_module_and_guard_that_are_configured_are_no_reason() -> None:
    policy = replace(POLICY, modules=frozenset({STRANGER}), guard=STRANGER)
    assert refusals(facts=with_state(modules=(STRANGER,), guard=STRANGER), policy=policy) == {}
    assert refusals(facts=with_state(fallback_handler=ZERO_ADDRESS)) == {}


@pytest.mark.parametrize(
    "changes",
    [{"base_gas": 1}, {"gas_price_wei": 1}, {"gas_token": STRANGER}, {"refund_receiver": STRANGER}],
)
def test_refund_out_of_the_safe_is_refused(changes: dict[str, int]) -> None:
    refunding = replace(GOOD, **changes)  # type: ignore[arg-type]
    assert "it would pay whoever executes it" in refusals(refunding)["safe_refund"]


def test_nonce_that_a_failing_call_would_use_up_is_refused() -> None:
    assert "used up even where the call fails" in refusals(replace(GOOD, safe_tx_gas=1))["safe_refund"]


def test_delegatecall_is_for_the_two_known_libraries_with_their_code() -> None:
    strange = replace(GOOD, operation=Operation.DELEGATECALL)
    assert set(refusals(strange)) == {"safe_operation", "safe_target"}
    batch = batch_of(1, SAFE, 4, [InnerCall(TOKEN, 0, TRANSFER)] * 2)
    impostor = replace(FACTS, batch_problem="it does not hold MultiSend's code")
    assert refusals(batch, impostor) == {"safe_operation": "it does not hold MultiSend's code"}


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (InnerCall(STRANGER, 0, b"\x01"), "is no target"),
        (InnerCall(TOKEN, 0, b""), "may not call 0x"),
        (InnerCall(TOKEN, 0, b"\xde\xad\xbe\xef"), "may not call 0xdeadbeef"),
        (RULE_CHANGE, "may not change its own rules: changeThreshold(threshold 1)"),
    ],
)
def test_one_call_that_is_not_listed_refuses_the_batch(call: InnerCall, reason: str) -> None:
    batch = batch_of(1, SAFE, 4, [InnerCall(TOKEN, 0, TRANSFER), call])
    assert reason in refusals(batch)["safe_target"]


def test_rules_are_changed_only_where_that_is_configured() -> None:
    change = batch_of(1, SAFE, 4, [RULE_CHANGE])
    assert "safe_target" in refusals(change, policy=replace(POLICY, targets=(), any_target=True))
    assert refusals(change, policy=replace(POLICY, rule_changes=True)) == {}
