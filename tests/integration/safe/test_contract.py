"""What we encode against what the true Safe says: digests, signatures, batches, and its state."""

from __future__ import annotations

import random

import pytest

from seawall.native import abi_decode, encode_call, keccak256
from seawall.native.wire import LocalKey
from seawall.primitives.units import ZERO_ADDRESS, Address, Hash, hex_text
from seawall.protocols.erc20 import transfer_call
from seawall.protocols.safe import known
from seawall.protocols.safe.multisend import InnerCall, batch_of
from seawall.protocols.safe.signatures import (
    OwnerSignature,
    SignatureKind,
    approved_hash,
    contract_signature,
    pack_signatures,
    read_signature,
    signed_by,
)
from seawall.protocols.safe.state import SafeState, changes_between, code_problem_of, state_from, state_reads
from seawall.protocols.safe.transaction import (
    Operation,
    SafeTransaction,
    approve_call,
    execution_call,
    hash_call,
    safe_hash,
    signed_bytes,
)
from seawall.protocols.safe.typed_data import typed_data, typed_data_hash
from seawall.rollout.devnet import OWNER, TRADERS, Devnet
from seawall.rollout.devnet.rpc import NodeRefusedError
from seawall.rollout.devnet.steering import create_safe, fund

pytestmark = pytest.mark.anvil

ETHER = 10**18
SOMEBODY = Address(bytes.fromhex("00000000000000000000000000000000005eA001"))
CASES = 40


def state_of(devnet: Devnet, safe: Address) -> SafeState:
    block = devnet.rpc.record("eth_getBlockByNumber", "latest", False)
    answers: dict[str, bytes | None] = {
        read.label: devnet.rpc.view(read.target, read.calldata) for read in state_reads(safe)
    }
    number, block_hash = int(str(block["number"]), 16), Hash(bytes.fromhex(str(block["hash"])[2:]))
    return state_from(31337, safe, number, block_hash, answers)


def execute(devnet: Devnet, transaction: SafeTransaction, signatures: bytes, sender: Address = OWNER) -> None:
    sent = devnet.rpc.send(sender, transaction.safe, execution_call(transaction, signatures))
    devnet.rpc.settle([sent], mine=True)


def balance(devnet: Devnet, holder: Address) -> int:
    return devnet.rpc.integer("eth_getBalance", hex_text(holder), "latest")


def signed(key: LocalKey, transaction: SafeTransaction) -> OwnerSignature:
    digest = safe_hash(transaction)
    return signed_by(Address(key.address), digest, key.sign_digest(digest))


def as_message(key: LocalKey, transaction: SafeTransaction) -> OwnerSignature:
    """How a wallet signs that knows no typed data."""
    digest = safe_hash(transaction)
    raw = key.sign_digest(keccak256(b"\x19Ethereum Signed Message:\n32" + digest))
    return read_signature(raw[:64] + bytes((31 + raw[64],)), digest)


@pytest.fixture(scope="module")
def keys() -> list[LocalKey]:
    return sorted((LocalKey.generate() for _ in range(3)), key=lambda key: key.address)


@pytest.fixture
def safe(shared_devnet: Devnet, keys: list[LocalKey]) -> Address:
    return create_safe(shared_devnet, [Address(key.address) for key in keys], 2, 10 * ETHER)


def test_digest_is_the_contracts_for_any_fields(shared_devnet: Devnet) -> None:
    chance = random.Random(1)
    safe = shared_devnet.book.address("safe_treasury")

    def drawn(bits: int) -> int:
        return chance.getrandbits(chance.randrange(bits + 1))

    for _ in range(CASES):
        transaction = SafeTransaction(
            31337,
            safe,
            drawn(63),
            Address(chance.randbytes(20)),
            drawn(256),
            chance.randbytes(chance.randrange(200)),
            chance.choice(list(Operation)),
            drawn(256),
            drawn(256),
            drawn(256),
            Address(chance.randbytes(20)),
            Address(chance.randbytes(20)),
        )
        theirs = shared_devnet.rpc.view(safe, hash_call(transaction))
        assert safe_hash(transaction) == theirs == typed_data_hash(typed_data(transaction))


def test_nodes_sign_the_typed_data_that_we_hash(shared_devnet: Devnet) -> None:
    transaction = SafeTransaction(31337, shared_devnet.book.address("safe_treasury"), 3, SOMEBODY, 5, b"\x01")
    answer = shared_devnet.rpc.call(
        "eth_signTypedData_v4",
        hex_text(TRADERS[0]),
        typed_data(transaction),  # type: ignore[arg-type]
    )
    found = read_signature(bytes.fromhex(str(answer)[2:]), safe_hash(transaction))
    assert (found.owner, found.kind) == (TRADERS[0], SignatureKind.ECDSA)


def test_snapshot_is_what_the_devnet_made(shared_devnet: Devnet) -> None:
    safe = shared_devnet.book.address("safe_treasury")
    state = state_of(shared_devnet, safe)
    assert state.owners == tuple(sorted(TRADERS))
    assert (state.threshold, state.modules, state.guard) == (2, (), ZERO_ADDRESS)
    assert state.fallback_handler == known.FALLBACK_HANDLER
    proxy, singleton = shared_devnet.rpc.codes([safe, state.singleton])
    assert code_problem_of(state, proxy, singleton) is None
    assert "is no proxy" in str(code_problem_of(state, singleton, singleton))
    assert "is not Safe 1.4.1" in str(code_problem_of(state, proxy, proxy))


def test_known_code_is_what_the_packages_deploy(shared_devnet: Devnet) -> None:
    where = [known.FALLBACK_HANDLER, *known.MULTI_SEND_CODE_HASHES]
    hashes = [keccak256(code) for code in shared_devnet.rpc.codes(where)]
    assert hashes == [known.FALLBACK_HANDLER_CODE_HASH, *known.MULTI_SEND_CODE_HASHES.values()]
    singletons = shared_devnet.rpc.codes([known.SINGLETON, known.SINGLETON_L2])
    assert [keccak256(code) for code in singletons] == list(known.SINGLETON_CODE_HASHES)


def test_two_of_three_owners_move_coins(shared_devnet: Devnet, safe: Address, keys: list[LocalKey]) -> None:
    before = balance(shared_devnet, SOMEBODY)
    transaction = SafeTransaction(31337, safe, 0, SOMEBODY, ETHER)
    packed = pack_signatures([as_message(keys[2], transaction), signed(keys[0], transaction)])
    execute(shared_devnet, transaction, packed)
    assert balance(shared_devnet, SOMEBODY) == before + ETHER
    assert state_of(shared_devnet, safe).nonce == 1


def test_unsorted_signatures_are_what_the_contract_refuses(
    shared_devnet: Devnet, safe: Address, keys: list[LocalKey]
) -> None:
    transaction = SafeTransaction(31337, safe, 0, SOMEBODY, 1)
    first, second = signed(keys[0], transaction), signed(keys[1], transaction)
    with pytest.raises(NodeRefusedError, match="GS026"):
        execute(shared_devnet, transaction, second.data + first.data)
    execute(shared_devnet, transaction, pack_signatures([second, first]))


def test_approval_on_chain_counts_as_a_signature(shared_devnet: Devnet, keys: list[LocalKey]) -> None:
    approver = TRADERS[1]
    safe = create_safe(shared_devnet, [Address(keys[0].address), approver], 2, ETHER)
    transaction = SafeTransaction(31337, safe, 0, SOMEBODY, 7)
    packed = pack_signatures([signed(keys[0], transaction), approved_hash(approver)])
    with pytest.raises(NodeRefusedError, match="GS025"):
        execute(shared_devnet, transaction, packed)
    approval = shared_devnet.rpc.send(approver, safe, approve_call(safe_hash(transaction)))
    shared_devnet.rpc.settle([approval], mine=True)
    execute(shared_devnet, transaction, packed)
    assert state_of(shared_devnet, safe).nonce == 1


def test_contract_that_owns_a_safe_signs_by_its_own_owners(
    shared_devnet: Devnet, keys: list[LocalKey]
) -> None:
    """The owner is a Safe itself; its fallback handler answers EIP-1271 for its owners' signatures."""
    inner = create_safe(shared_devnet, [Address(keys[1].address)], 1, 0)
    outer = create_safe(shared_devnet, [inner, Address(keys[0].address)], 2, ETHER)
    transaction = SafeTransaction(31337, outer, 0, SOMEBODY, 9)
    asked = keccak256(signed_bytes(transaction))
    message = keccak256(keccak256(b"SafeMessage(bytes message)") + keccak256(signed_bytes(transaction)))
    assert asked == safe_hash(transaction)
    domain = keccak256(
        keccak256(b"EIP712Domain(uint256 chainId,address verifyingContract)")
        + (31337).to_bytes(32)
        + inner.rjust(32, b"\0")
    )
    digest = Hash(keccak256(b"\x19\x01" + domain + message))
    inside = signed_by(Address(keys[1].address), digest, keys[1].sign_digest(digest))
    by_contract = contract_signature(inner, pack_signatures([inside]))
    packed = pack_signatures([by_contract, signed(keys[0], transaction)])
    execute(shared_devnet, transaction, packed)
    assert state_of(shared_devnet, outer).nonce == 1


def test_batch_makes_all_calls_as_the_safe(
    shared_devnet: Devnet, safe: Address, keys: list[LocalKey]
) -> None:
    weth, before = shared_devnet.book.address("weth"), balance(shared_devnet, SOMEBODY)
    calls = [
        InnerCall(weth, 2 * ETHER, encode_call("deposit()", ())),
        InnerCall(weth, 0, transfer_call(SOMEBODY, ETHER)),
        InnerCall(SOMEBODY, 3, b""),
    ]
    transaction = batch_of(31337, safe, 0, calls)
    execute(shared_devnet, transaction, pack_signatures([signed(key, transaction) for key in keys[:2]]))
    held = shared_devnet.rpc.view(weth, encode_call("balanceOf(address)", (safe,)))
    assert int.from_bytes(held) == ETHER
    assert balance(shared_devnet, SOMEBODY) == before + 3


def test_changed_rules_are_told_in_words(shared_devnet: Devnet, safe: Address, keys: list[LocalKey]) -> None:
    before = state_of(shared_devnet, safe)
    calls = [
        InnerCall(safe, 0, encode_call("addOwnerWithThreshold(address,uint256)", (SOMEBODY, 3))),
        InnerCall(safe, 0, encode_call("enableModule(address)", (TRADERS[2],))),
    ]
    transaction = batch_of(31337, safe, 0, calls)
    execute(shared_devnet, transaction, pack_signatures([signed(key, transaction) for key in keys[1:]]))
    told = changes_between(before, state_of(shared_devnet, safe))
    assert [text.split(" 0x")[0] for text in told] == ["owner", "the threshold rose from 2 to 3", "module"]


def test_funded_treasury_stands_in_the_book(shared_devnet: Devnet) -> None:
    treasury = shared_devnet.book.address("safe_treasury")
    fund(shared_devnet, treasury, 5)
    assert balance(shared_devnet, treasury) == 5
    (usdx,) = abi_decode(
        ["uint256"],
        shared_devnet.rpc.view(
            shared_devnet.book.address("usdx"), encode_call("balanceOf(address)", (treasury,))
        ),
    )
    assert usdx == 3_000_000 * 10**6
