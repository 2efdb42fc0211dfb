"""Proposals of Safes as plain answers: the form in which they leave the kernel and the ledger.

Amounts are texts, bytes are hex, addresses have their checksum; calls are said in words beside their bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from seawall.ledger.safes import ProposalRow, SafeSignatureRow
from seawall.primitives.codec import unpack
from seawall.primitives.errors import ProtocolError
from seawall.primitives.simulations import Simulation
from seawall.primitives.units import NATIVE, ZERO_ADDRESS, Address, address_text, hex_text
from seawall.primitives.verdicts import Verdict
from seawall.protocols.safe.calls import words_of
from seawall.protocols.safe.files import document_of
from seawall.protocols.safe.multisend import calls_of
from seawall.protocols.safe.signatures import OwnerSignature, SignatureKind
from seawall.protocols.safe.state import SafeState
from seawall.protocols.safe.transaction import SafeTransaction
from seawall.transactions.safes.collecting import Collected

__all__ = [
    "View",
    "calls_view",
    "collected_view",
    "document_view",
    "effect_view",
    "proposal_view",
    "state_view",
    "verdict_view",
]

View: TypeAlias = "str | int | bool | Sequence[View] | Mapping[str, View] | None"


def proposal_view(row: ProposalRow, signatures: Sequence[SafeSignatureRow]) -> dict[str, View]:
    """A stored proposal: where it stands, who has signed, what it does."""
    rules = unpack(SafeState, row.rules)
    transaction = unpack(SafeTransaction, row.body)
    return {
        "number": row.number,
        "chain_id": row.chain_id,
        "safe": address_text(row.safe),
        "nonce": row.nonce,
        "digest": hex_text(row.hash),
        "status": row.state.value,
        "reason": row.reason,
        "is_settled": row.is_settled,
        "plan": row.intent,
        "note": row.note,
        "who": row.who,
        "at_s": row.at_s,
        "threshold": rules.threshold,
        "signatures": [
            {"owner": address_text(one.owner), "kind": one.kind, "origin": one.origin, "at_s": one.at_s}
            for one in signatures
        ],
        "missing": [
            address_text(owner) for owner in rules.owners if owner not in {one.owner for one in signatures}
        ],
        "calls": list(calls_view(transaction)),
    }


def calls_view(transaction: SafeTransaction) -> list[View]:
    """Every call that the Safe would make, in words."""
    try:
        calls = calls_of(transaction)
    except ProtocolError as error:
        return [f"cannot be read: {error.what}"]
    return [words_of(call).text for call in calls]


def document_view(row: ProposalRow, signatures: Sequence[SafeSignatureRow]) -> dict[str, View]:
    """The file that goes to the other owners."""
    found = [OwnerSignature(one.owner, SignatureKind(one.kind), one.data) for one in signatures]
    return {**document_of(unpack(SafeTransaction, row.body), found, row.note)}


def state_view(state: SafeState) -> dict[str, View]:
    """A Safe as it stands at one block."""
    return {
        "safe": address_text(state.safe),
        "chain_id": state.chain_id,
        "block_number": state.block_number,
        "block_hash": hex_text(state.block_hash),
        "nonce": state.nonce,
        "threshold": state.threshold,
        "owners": [address_text(owner) for owner in state.owners],
        "modules": [address_text(module) for module in state.modules],
        "guard": _none_or(state.guard),
        "fallback_handler": _none_or(state.fallback_handler),
        "singleton": address_text(state.singleton),
    }


def effect_view(simulation: Simulation, safe: Address) -> dict[str, View]:
    """What a rehearsal moved, and what it left approved."""
    return {
        "succeeds": simulation.success,
        "why_not": simulation.reason,
        "block_hash": hex_text(simulation.base_hash),
        "flows": [
            {
                "token": _token(flow.token),
                "from": address_text(flow.sender),
                "to": address_text(flow.receiver),
                "amount": str(flow.amount),
            }
            for flow in simulation.flows
            if simulation.success
        ],
        "net": {
            _token(token): str(simulation.net(frozenset({safe}), token))
            for token in sorted({flow.token for flow in simulation.flows})
        },
        "allowances": [
            {
                "token": _token(one.token),
                "owner": address_text(one.owner),
                "spender": address_text(one.spender),
                "amount": str(one.amount),
            }
            for one in simulation.allowances
        ],
        "given_away": [f"{address_text(one.holder)} {one.what}" for one in simulation.handovers],
    }


def verdict_view(verdict: Verdict) -> dict[str, View]:
    return {
        "admitted": verdict.admitted,
        "explanation": verdict.explanation,
        "base_number": verdict.base_number,
        "base_hash": hex_text(verdict.base_hash),
        "measurements": [
            {"guard": one.guard, "passed": one.passed, "reason": one.reason} for one in verdict.measurements
        ],
    }


def collected_view(collected: Sequence[Collected]) -> list[View]:
    return [
        {"owner": address_text(one.owner), "taken": not one.refused, "refused": one.refused}
        for one in collected
    ]


def _token(token: Address) -> str:
    return "native" if token == NATIVE else address_text(token)


def _none_or(address: Address) -> str | None:
    return None if address == ZERO_ADDRESS else address_text(address)
