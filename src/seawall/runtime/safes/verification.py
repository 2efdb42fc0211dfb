"""Checking a proposal's file, apart from whoever made it: by the file alone, and if wanted by the chain.

Offline, the digest is computed anew by the rules of EIP-712 from the fields of the file, by other code than
the one that signs; every signature is recovered. On chain, the Safe itself is asked for the digest, its state
is read at one block, and the transaction is rehearsed there.

Whoever is asked to sign compares the digest here with the one that the wallet shows: a page or a file can
lie, three computations of one digest that know nothing of each other hardly.
"""

from __future__ import annotations

from dataclasses import dataclass

from seawall.chain.client import ChainClient
from seawall.chain.networks import Network
from seawall.primitives.errors import ProtocolError
from seawall.primitives.ports import Offload
from seawall.primitives.simulations import Simulation
from seawall.primitives.units import Hash, address_text
from seawall.protocols.safe.files import FileProposal, FileSignature, proved_signatures
from seawall.protocols.safe.multisend import calls_of
from seawall.protocols.safe.signatures import OwnerSignature
from seawall.protocols.safe.state import SafeState
from seawall.protocols.safe.transaction import refund_of
from seawall.protocols.safe.typed_data import typed_data, typed_data_hash, typed_data_parts
from seawall.risk.safes import SafeFacts
from seawall.transactions.safes.looking import look_at, require_digest_on_chain, unproved_on_chain
from seawall.transactions.safes.rehearsal import Rehearsal

__all__ = ["OnChain", "Verified", "verify_file", "verify_on_chain"]


@dataclass(frozen=True, slots=True)
class Verified:
    """What the file alone shows. Whoever signs should see no problem."""

    proposal: FileProposal
    digest: Hash
    domain_hash: Hash
    message_hash: Hash
    signatures: tuple[OwnerSignature, ...]
    refused: tuple[tuple[FileSignature, str], ...]
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OnChain:
    """What the chain says beside it."""

    state: SafeState
    simulation: Simulation
    problems: tuple[str, ...]


def verify_file(proposal: FileProposal) -> Verified:
    """By the file alone; needs neither chain nor configuration."""
    document = typed_data(proposal.transaction)
    digest = typed_data_hash(document)
    domain, message = typed_data_parts(document)
    signatures, refused = proved_signatures(proposal)
    problems = []
    if digest != proposal.hash:
        problems.append("two ways to compute the digest disagree: sign nothing")
    if proposal.said_hash not in (None, digest):
        problems.append("the digest in the file is not that of its fields")
    refund = refund_of(proposal.transaction)
    if refund:
        problems.append(f"it pays whoever executes it: {refund}")
    try:
        calls_of(proposal.transaction)
    except ProtocolError as error:
        problems.append(error.what)
    problems += [f"signature of {address_text(one.owner)}: {why}" for one, why in refused]
    return Verified(proposal, digest, Hash(domain), Hash(message), signatures, refused, tuple(problems))


async def verify_on_chain(
    client: ChainClient, network: Network, offload: Offload, verified: Verified
) -> OnChain:
    """At the head: digest, rules, signatures that only the chain can prove, and what it would do."""
    transaction = verified.proposal.transaction
    block = await client.head()
    facts = await look_at(client, transaction, block)
    problems = _problems_of(verified, facts)
    try:
        await require_digest_on_chain(client, transaction, block)
    except ProtocolError as error:
        problems.append(error.what)
    unproved = await unproved_on_chain(client, transaction, verified.signatures, block)
    problems += [f"signature of {address_text(owner)}: {why}" for owner, why in unproved.items()]
    rehearsal = Rehearsal.on(client, network, offload)
    await rehearsal.stand_on(block)
    simulation = await rehearsal.run(transaction, facts.state)
    if not simulation.success:
        problems.append(f"it would revert: {simulation.reason}")
    return OnChain(facts.state, simulation, tuple(problems))


def _problems_of(verified: Verified, facts: SafeFacts) -> list[str]:
    transaction, state = verified.proposal.transaction, facts.state
    problems = [problem for problem in (facts.code_problem, facts.batch_problem) if problem is not None]
    if transaction.nonce < state.nonce:
        problems.append(f"nonce {transaction.nonce} is used up: the Safe is at {state.nonce}")
    problems += [
        f"signature of {address_text(one.owner)}: it is of nobody who owns this Safe"
        for one in verified.signatures
        if one.owner not in state.owners
    ]
    return problems
