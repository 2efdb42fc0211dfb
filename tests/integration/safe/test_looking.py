"""What only the chain can tell of a Safe: whose code answers, what owners approved, what a contract says."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from seawall.chain.client import ChainClient
from seawall.chain.networks import network_of
from seawall.chain.rpc import HttpTransport, RpcPool
from seawall.native import encode_call, keccak256
from seawall.native.wire import LocalKey
from seawall.primitives.errors import ProtocolError
from seawall.primitives.ports import SystemClock, ThreadOffload
from seawall.primitives.units import Address, Hash, hex_text
from seawall.protocols.safe.multisend import InnerCall, batch_of
from seawall.protocols.safe.signatures import (
    OwnerSignature,
    approved_hash,
    contract_signature,
    pack_signatures,
    signed_by,
)
from seawall.protocols.safe.transaction import (
    SafeTransaction,
    approve_call,
    safe_hash,
    signed_bytes,
)
from seawall.rollout.devnet import TRADERS, Devnet
from seawall.rollout.devnet.steering import create_safe
from seawall.transactions.safes.looking import (
    look_at,
    require_digest_on_chain,
    state_at,
    unproved_on_chain,
)
from seawall.transactions.safes.rehearsal import Rehearsal

pytestmark = pytest.mark.anvil

ETHER = 10**18
NETWORK = network_of(31337, {})
TO = Address(b"\x71" * 20)
KEY = LocalKey.generate()


@pytest.fixture
async def client(shared_devnet: Devnet) -> AsyncIterator[ChainClient]:
    transport = HttpTransport(shared_devnet.info.rpc_url)
    pool = RpcPool([transport], chain_id=31337, clock=SystemClock())
    yield ChainClient(pool, NETWORK)
    await pool.close()


def new_safe(devnet: Devnet, *owners: Address, threshold: int = 1) -> Address:
    return create_safe(devnet, owners or (Address(KEY.address),), threshold, ETHER)


def eip1271(owner: Address, transaction: SafeTransaction) -> OwnerSignature:
    """The word of a Safe that is an owner: its own owner signed its message."""
    domain = keccak256(
        keccak256(b"EIP712Domain(uint256 chainId,address verifyingContract)")
        + (31337).to_bytes(32)
        + owner.rjust(32, b"\0")
    )
    message = keccak256(keccak256(b"SafeMessage(bytes message)") + keccak256(signed_bytes(transaction)))
    digest = Hash(keccak256(b"\x19\x01" + domain + message))
    inside = signed_by(Address(KEY.address), digest, KEY.sign_digest(digest))
    return contract_signature(owner, pack_signatures([inside]))


async def test_contract_owner_is_believed_for_exactly_what_it_signed(
    shared_devnet: Devnet, client: ChainClient
) -> None:
    inner = new_safe(shared_devnet)
    outer = new_safe(shared_devnet, inner)
    transaction = SafeTransaction(31337, outer, 0, TO, 1)
    other = SafeTransaction(31337, outer, 0, TO, 2)
    head = await client.head()
    good, foreign = eip1271(inner, transaction), eip1271(inner, other)
    assert await unproved_on_chain(client, transaction, [good], head) == {}
    found = await unproved_on_chain(client, transaction, [foreign], head)
    assert found == {inner: "the owner's contract does not confirm the signature"}
    no_contract = contract_signature(TO, b"\x01")
    assert list(await unproved_on_chain(client, transaction, [no_contract], head)) == [TO]


async def test_approval_counts_from_the_block_that_has_it(shared_devnet: Devnet, client: ChainClient) -> None:
    safe = new_safe(shared_devnet, TRADERS[0])
    transaction = SafeTransaction(31337, safe, 0, TO, 1)
    before = await client.head()
    sent = shared_devnet.rpc.send(TRADERS[0], safe, approve_call(safe_hash(transaction)))
    shared_devnet.rpc.settle([sent], mine=True)
    approval = [approved_hash(TRADERS[0])]
    assert await unproved_on_chain(client, transaction, approval, await client.head()) == {}
    assert list(await unproved_on_chain(client, transaction, approval, before)) == [TRADERS[0]]


async def test_proxy_over_strange_code_is_found_whatever_it_answers(
    shared_devnet: Devnet, client: ChainClient
) -> None:
    """The singleton is swapped for another contract with the same answers: a copy of it that differs in one
    byte behind its code."""
    safe = new_safe(shared_devnet)
    transaction = SafeTransaction(31337, safe, 0, TO, 1)
    facts = await look_at(client, transaction, await client.head())
    assert facts.code_problem is None
    code = shared_devnet.rpc.codes([facts.state.singleton])[0]
    copy = Address(b"\x72" * 20)
    shared_devnet.rpc.call("anvil_setCode", hex_text(copy), hex_text(code + b"\x00"))
    shared_devnet.rpc.call(
        "anvil_setStorageAt", hex_text(safe), hex_text(bytes(32)), hex_text(copy.rjust(32, b"\0"))
    )
    shared_devnet.rpc.call("evm_mine")
    facts = await look_at(client, transaction, await client.head())
    assert "is not Safe 1.4.1" in str(facts.code_problem)


async def test_batch_library_without_its_code_is_found(shared_devnet: Devnet, client: ChainClient) -> None:
    safe = new_safe(shared_devnet)
    batch = batch_of(31337, safe, 0, [InnerCall(TO, 1, b"")] * 2)
    assert (await look_at(client, batch, await client.head())).batch_problem is None
    code = shared_devnet.rpc.codes([batch.to])[0]
    shared_devnet.rpc.call("anvil_setCode", hex_text(batch.to), hex_text(code + b"\x00"))
    shared_devnet.rpc.call("evm_mine")
    try:
        found = await look_at(client, batch, await client.head())
        assert "does not hold MultiSend's code" in str(found.batch_problem)
    finally:
        shared_devnet.rpc.call("anvil_setCode", hex_text(batch.to), hex_text(code))


async def test_account_that_is_no_safe_is_refused(shared_devnet: Devnet, client: ChainClient) -> None:
    weth, head = shared_devnet.book.address("weth"), await client.head()
    for address in (weth, TO):
        with pytest.raises(ProtocolError):
            await state_at(client, address, head)
        with pytest.raises(ProtocolError, match="another digest"):
            await require_digest_on_chain(client, SafeTransaction(31337, address, 0, TO), head)


async def test_rehearsal_is_the_execution_in_all_but_the_signatures(
    shared_devnet: Devnet, client: ChainClient
) -> None:
    """What moves, what is left approved, and the Safe's balance after; nothing of it stays."""
    owners = sorted([Address(KEY.address), *TRADERS])
    safe, weth = new_safe(shared_devnet, *owners, threshold=3), shared_devnet.book.address("weth")
    calls = [
        InnerCall(weth, ETHER // 2, encode_call("deposit()", ())),
        InnerCall(weth, 0, encode_call("approve(address,uint256)", (TO, 9))),
        InnerCall(TO, ETHER // 4, b""),
    ]
    rehearsal, head = Rehearsal.on(client, NETWORK, ThreadOffload()), await client.head()
    state = await state_at(client, safe, head)
    await rehearsal.stand_on(head)
    found = await rehearsal.run(batch_of(31337, safe, 0, calls), state)
    assert found.success
    assert found.net(frozenset({safe}), weth) == ETHER // 2
    assert found.sender_balance_wei == ETHER // 4
    assert [(one.owner, one.spender, one.amount) for one in found.allowances] == [(safe, TO, 9)]
    ahead = await rehearsal.run(SafeTransaction(31337, safe, 5, TO, 2 * ETHER), state)
    assert not ahead.success  # alone: what is before nonce 5 is not known
    assert await state_at(client, safe, head) == state
