"""Signatures that come from outside: each taken, or refused by name.

A signature is no secret and proves itself, so it does not matter who brings it: it must be an owner's, for
exactly this digest, and hold on chain where only the chain can tell. Nothing that came is kept if it was
refused.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Final

from seawall.chain.client import ChainClient
from seawall.primitives.blocks import Block
from seawall.primitives.errors import InputError
from seawall.primitives.units import Address, Hash, address_text
from seawall.protocols.safe.files import FileProposal, FileSignature, proved_signatures
from seawall.protocols.safe.signatures import OwnerSignature, read_signature
from seawall.protocols.safe.state import SafeState
from seawall.protocols.safe.transaction import SafeTransaction, safe_hash
from seawall.transactions.safes.looking import unproved_on_chain

__all__ = ["Collected", "collect_from", "require_honest"]

# Chains for which owners of the same Safe may have signed by mistake: named in the refusal.
_OTHER_CHAINS: Final = (1, 10, 56, 100, 137, 138, 8453, 31337, 42161, 43114, 651940, 11155111)


@dataclass(frozen=True, slots=True)
class Collected:
    """What became of one signature that came. `refused` is empty where it was taken."""

    owner: Address
    signature: OwnerSignature | None
    refused: str = ""


def require_honest(proposal: FileProposal) -> None:
    """`InputError` for a file that names another digest than its fields have."""
    if not proposal.is_honest:
        raise InputError(
            "the digest in the file is not that of its fields: what was signed is something else",
            f"nonce {proposal.transaction.nonce} of Safe {address_text(proposal.transaction.safe)}",
            "sign and execute nothing of it; ask where the file came from",
        )


async def collect_from(
    client: ChainClient,
    proposal: FileProposal,
    state: SafeState,
    block: Block,
    signed_already: Collection[Address],
) -> list[Collected]:
    """Every signature of the file with what became of it, in the order of owners."""
    proved, refused = proved_signatures(proposal)
    found = [
        Collected(one.owner, None, _named(one, reason, proposal.transaction, state))
        for one, reason in refused
    ]
    owned = [one for one in proved if one.owner in state.owners]
    strangers = [one for one in proved if one.owner not in state.owners]
    found += [Collected(one.owner, None, "it is of nobody who owns this Safe") for one in strangers]
    problems = await unproved_on_chain(client, proposal.transaction, owned, block)
    for one in owned:
        if one.owner in signed_already:
            found.append(Collected(one.owner, None, "this owner has signed already"))
        elif one.owner in problems:
            found.append(Collected(one.owner, None, problems[one.owner]))
        else:
            found.append(Collected(one.owner, one))
    return sorted(found, key=lambda collected: collected.owner)


def _named(one: FileSignature, reason: str, transaction: SafeTransaction, state: SafeState) -> str:
    """The likely mistake where it can be told: another chain, or another nonce of the same Safe."""
    for chain_id in _OTHER_CHAINS:
        if chain_id != transaction.chain_id and _signs(one, replace(transaction, chain_id=chain_id), state):
            return f"it is for chain {chain_id}, not {transaction.chain_id}"
    for nonce in (transaction.nonce - 1, transaction.nonce + 1):
        if nonce >= 0 and _signs(one, replace(transaction, nonce=nonce), state):
            return f"it is for nonce {nonce}, not {transaction.nonce}"
    return reason


def _signs(one: FileSignature, transaction: SafeTransaction, state: SafeState) -> bool:
    try:
        found = read_signature(one.raw, Hash(safe_hash(transaction)))
    except InputError:
        return False
    return not found.needs_chain and found.owner == one.owner and found.owner in state.owners
