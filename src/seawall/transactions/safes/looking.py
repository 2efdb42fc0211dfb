"""A Safe as it stands at one block: its state, and whether the code behind it is what we know.

Everything is read by the block's hash. What the endpoints cannot say of that block is not made up from
another one: `UnknownBlockError`, `UnavailableError` and `ProtocolError` go to whoever asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from seawall.chain.client import ChainClient
from seawall.native import abi_decode, encode_call, keccak256
from seawall.primitives.blocks import Block, Read
from seawall.primitives.errors import EncodingError, ProtocolError
from seawall.primitives.units import Address, Hash, address_text
from seawall.protocols.safe.known import MULTI_SEND_CODE_HASHES
from seawall.protocols.safe.signatures import OwnerSignature, SignatureKind
from seawall.protocols.safe.state import SafeState, code_problem_of, state_from, state_reads
from seawall.protocols.safe.transaction import Operation, SafeTransaction, hash_call, safe_hash, signed_bytes
from seawall.risk.safes import SafeFacts

__all__ = ["block_of", "look_at", "require_digest_on_chain", "state_at", "unproved_on_chain"]

# What a contract answers that says yes: bytes4(keccak256("isValidSignature(bytes,bytes)")).
_MAGIC = keccak256(b"isValidSignature(bytes,bytes)")[:4]


async def state_at(client: ChainClient, safe: Address, block: Block) -> SafeState:
    """One consistent snapshot. `ProtocolError` where no Safe stands there."""
    answers = await client.call_at(state_reads(safe), block)
    return state_from(client.network.chain_id, safe, block.number, block.hash, answers)


async def look_at(client: ChainClient, transaction: SafeTransaction, block: Block) -> SafeFacts:
    """What the rules are measured by."""
    state = await state_at(client, transaction.safe, block)
    proxy, singleton = await asyncio.gather(
        client.code_at(state.safe, block.hash), client.code_at(state.singleton, block.hash)
    )
    batch_problem = None
    if transaction.operation is Operation.DELEGATECALL:
        code = await client.code_at(transaction.to, block.hash)
        if keccak256(code) != MULTI_SEND_CODE_HASHES.get(transaction.to):
            batch_problem = f"{address_text(transaction.to)} does not hold MultiSend's code"
    return SafeFacts(state, code_problem_of(state, proxy, singleton), batch_problem)


async def require_digest_on_chain(client: ChainClient, transaction: SafeTransaction, block: Block) -> None:
    """`ProtocolError` unless the Safe itself gives the digest that we sign."""
    read = Read("safe:hash", transaction.safe, hash_call(transaction))
    answer = (await client.call_at([read], block))[read.label]
    if answer != safe_hash(transaction):
        raise ProtocolError(
            "the Safe names another digest than we compute",
            address_text(transaction.safe),
            "sign nothing: this is no Safe of the version that we know",
        )


async def unproved_on_chain(
    client: ChainClient, transaction: SafeTransaction, signatures: Sequence[OwnerSignature], block: Block
) -> dict[Address, str]:
    """Of signatures that only the chain can prove, those that do not hold at `block`, and why."""
    asked = {one.owner: one for one in signatures if one.needs_chain}
    reads = [_proof_read(transaction, one) for one in asked.values()]
    answers = await client.call_at(reads, block) if reads else {}
    problems = {}
    for read, (owner, one) in zip(reads, asked.items(), strict=True):
        said = answers[read.label]
        if one.kind is SignatureKind.APPROVED_HASH:
            if said is None or not any(said):
                problems[owner] = "the owner has not approved this digest on chain"
        elif not _says_yes(said):
            problems[owner] = "the owner's contract does not confirm the signature"
    return problems


def _proof_read(transaction: SafeTransaction, one: OwnerSignature) -> Read:
    label = f"safe:proof:{one.owner.hex()}"
    if one.kind is SignatureKind.APPROVED_HASH:
        call = encode_call("approvedHashes(address,bytes32)", (one.owner, safe_hash(transaction)))
        return Read(label, transaction.safe, call)
    call = encode_call("isValidSignature(bytes,bytes)", (signed_bytes(transaction), one.data))
    return Read(label, one.owner, call)


def _says_yes(answer: bytes | None) -> bool:
    if answer is None:
        return False
    try:
        (value,) = abi_decode(["bytes4"], answer)
    except EncodingError:
        return False
    return value == _MAGIC


def block_of(state: SafeState) -> tuple[int, Hash]:
    """Where a state was seen."""
    return state.block_number, state.block_hash
