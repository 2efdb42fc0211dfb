"""Data fees read from a true node: stand-ins of the roll-ups' contracts, with their own formulas in their
storage."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from seawall.chain.client import ChainClient
from seawall.chain.data_fees import (
    ENVELOPE_BYTES_MAX,
    GAS_PRICE_ORACLE,
    MARGIN_BPS,
    NO_DATA_FEE,
    NODE_INTERFACE,
    ArbitrumDataFees,
    DataFee,
    NoDataFees,
    OptimismDataFees,
    data_fees_of,
    most_total_fee_wei,
)
from seawall.chain.networks import NETWORKS
from seawall.chain.rpc import HttpTransport, RpcPool
from seawall.native import selector
from seawall.primitives.blocks import Block
from seawall.primitives.errors import UnavailableError
from seawall.primitives.ports import SystemClock
from seawall.primitives.units import BPS, Address, mul_div_up
from seawall.primitives.verdicts import Payload
from tests.fixtures.anvil import CHAIN_ID, GWEI, Anvil, running_anvil

pytestmark = pytest.mark.anvil

OPCODES = {
    "ADD": 0x01, "MUL": 0x02, "SUB": 0x03, "DIV": 0x04, "GT": 0x11, "EQ": 0x14, "SHR": 0x1C, "CALLDATALOAD":
    0x35, "CALLDATASIZE": 0x36, "POP": 0x50, "MSTORE": 0x52, "SLOAD": 0x54, "JUMP": 0x56, "JUMPI": 0x57,
    "JUMPDEST": 0x5B, "DUP1": 0x80, "SWAP1": 0x90, "RETURN": 0xF3, "REVERT": 0xFD,
}  # fmt: skip
ANSWER = "0 MSTORE 32 0 RETURN"
FJORD = f"""
    0 CALLDATALOAD 224 SHR DUP1 {{upper}} EQ :upper JUMPI DUP1 {{operator}} EQ :operator JUMPI 0 0 REVERT
    upper: 4 CALLDATALOAD 68 ADD DUP1 255 SWAP1 DIV ADD 16 ADD 836500 MUL 42585600 SWAP1 SUB
    DUP1 100000000 GT :least JUMPI
    price: 0 SLOAD 1 SLOAD MUL 16 MUL 2 SLOAD 3 SLOAD MUL ADD MUL 1000000000000 SWAP1 DIV {ANSWER}
    least: POP 100000000 :price JUMP
    operator: 4 CALLDATALOAD 4 SLOAD MUL 100 MUL 5 SLOAD ADD {ANSWER}
"""
# The size of the call stands for the size of the transaction: 16 gas a byte at L1's base fee, in L2's gas.
NITRO = f"0 SLOAD CALLDATASIZE MUL 16 MUL 1 SLOAD SWAP1 DIV {ANSWER}"
BASE_FEE_SCALAR, L1_BASE_FEE, BLOB_SCALAR, BLOB_BASE_FEE = 1_368, 20 * GWEI, 810_949, 3 * GWEI
OPERATOR_SCALAR, OPERATOR_CONSTANT = 7, 11


def assembled(text: str) -> str:
    """Bytes of words that are opcodes, numbers, `:label` (its place) or `label:` (a JUMPDEST there)."""
    code, places, gaps = bytearray(), dict[str, int](), dict[int, str]()
    for word in text.split():
        if word.endswith(":"):
            places[word[:-1]] = len(code)
            code.append(OPCODES["JUMPDEST"])
        elif word.startswith(":"):
            code += b"\x61\x00\x00"
            gaps[len(code) - 2] = word[1:]
        elif word in OPCODES:
            code.append(OPCODES[word])
        else:
            size = max(1, (int(word).bit_length() + 7) // 8)
            code += bytes([0x5F + size]) + int(word).to_bytes(size, "big")
    for place, label in gaps.items():
        code[place : place + 2] = places[label].to_bytes(2, "big")
    return code.hex()


def number_of(signature: str) -> int:
    return int.from_bytes(selector(signature), "big")


@pytest.fixture(scope="module")
def node() -> Iterator[Anvil]:
    with running_anvil() as anvil:
        anvil.set_code(
            GAS_PRICE_ORACLE,
            assembled(
                FJORD.format(
                    upper=number_of("getL1FeeUpperBound(uint256)"),
                    operator=number_of("getOperatorFee(uint256)"),
                )
            ),
        )
        values = (
            BASE_FEE_SCALAR,
            L1_BASE_FEE,
            BLOB_SCALAR,
            BLOB_BASE_FEE,
            OPERATOR_SCALAR,
            OPERATOR_CONSTANT,
        )
        for slot, value in enumerate(values):
            anvil.set_slot(GAS_PRICE_ORACLE, slot, value)
        anvil.set_code(NODE_INTERFACE, assembled(NITRO))
        anvil.set_slot(NODE_INTERFACE, 0, 20 * GWEI)
        anvil.set_slot(NODE_INTERFACE, 1, GWEI // 100)
        anvil.mine()
        yield anvil


@pytest.fixture
async def client(node: Anvil) -> AsyncIterator[ChainClient]:
    transport = HttpTransport(node.url)
    yield ChainClient(RpcPool([transport], chain_id=CHAIN_ID, clock=SystemClock()), NETWORKS[CHAIN_ID])
    await transport.close()


@pytest.fixture
async def head(client: ChainClient) -> Block:
    return await client.head()


def payload(data: bytes, gas_limit: int = 200_000) -> Payload:
    return Payload(CHAIN_ID, Address(b"\x11" * 20), Address(b"\x22" * 20), data, 0, gas_limit)


def fjord_upper_bound_wei(unsigned_bytes: int) -> int:
    """The formula of the Fjord specification, in integers."""
    size = unsigned_bytes + 68
    estimated = max(100_000_000, 836_500 * (size + size // 255 + 16) - 42_585_600)
    return estimated * (BASE_FEE_SCALAR * L1_BASE_FEE * 16 + BLOB_SCALAR * BLOB_BASE_FEE) // 10**12


@pytest.mark.parametrize("size", [0, 1, 68, 500, 10_000, 120_000])
async def test_op_stack_fee_is_the_upper_bound_of_the_specification_with_margin(
    client: ChainClient, head: Block, size: int
) -> None:
    found = await OptimismDataFees(client).most_for(payload(bytes(size)), head)
    l1_fee_wei = mul_div_up(fjord_upper_bound_wei(size + ENVELOPE_BYTES_MAX), MARGIN_BPS, BPS)
    operator_fee_wei = 200_000 * OPERATOR_SCALAR * 100 + OPERATOR_CONSTANT
    assert found == DataFee(fee_wei=l1_fee_wei + operator_fee_wei)


async def test_op_stack_without_an_operator_fee_charges_none(node: Anvil, client: ChainClient) -> None:
    before_isthmus = FJORD.format(upper=number_of("getL1FeeUpperBound(uint256)"), operator=0)
    code = node.rpc("eth_getCode", "0x" + GAS_PRICE_ORACLE.hex(), "latest")
    assert isinstance(code, str)
    node.set_code(GAS_PRICE_ORACLE, assembled(before_isthmus))
    node.mine()
    try:
        found = await OptimismDataFees(client).most_for(payload(b""), await client.head())
    finally:
        node.set_code(GAS_PRICE_ORACLE, code[2:])
        node.mine()
    assert found.fee_wei == mul_div_up(fjord_upper_bound_wei(ENVELOPE_BYTES_MAX), MARGIN_BPS, BPS)


async def test_fee_is_of_the_pinned_block_not_of_the_newest(
    node: Anvil, client: ChainClient, head: Block
) -> None:
    at_head = await OptimismDataFees(client).most_for(payload(b""), head)
    node.mine()  # what is set changes the newest block's state
    node.set_slot(GAS_PRICE_ORACLE, 1, 2 * L1_BASE_FEE)
    node.mine()
    try:
        later = await OptimismDataFees(client).most_for(payload(b""), await client.head())
        again = await OptimismDataFees(client).most_for(payload(b""), head)
    finally:
        node.set_slot(GAS_PRICE_ORACLE, 1, L1_BASE_FEE)
        node.mine()
    assert again == at_head
    assert later.fee_wei > at_head.fee_wei


@pytest.mark.parametrize("size", [0, 100, 5_000])
async def test_arbitrum_charges_data_as_gas(client: ChainClient, head: Block, size: int) -> None:
    found = await ArbitrumDataFees(client).most_for(payload(bytes(size)), head)
    call_bytes = 4 + 4 * 32 + -(-size // 32) * 32
    gas = call_bytes * 16 * 20 * GWEI // (GWEI // 100)
    assert found == DataFee(extra_gas=mul_div_up(gas, MARGIN_BPS, BPS))


async def test_chain_without_the_contract_is_unavailable(node: Anvil, client: ChainClient) -> None:
    node.set_code(NODE_INTERFACE, "")
    node.mine()
    try:
        with pytest.raises(UnavailableError, match="data fee is not known"):
            await ArbitrumDataFees(client).most_for(payload(b""), await client.head())
    finally:
        node.set_code(NODE_INTERFACE, assembled(NITRO))
        node.mine()


async def test_plain_chain_charges_nothing_for_data(client: ChainClient, head: Block) -> None:
    fees = data_fees_of(client)
    assert isinstance(fees, NoDataFees)
    assert await fees.most_for(payload(bytes(10_000)), head) == NO_DATA_FEE


@pytest.mark.parametrize(
    ("chain_id", "kind"),
    [(8_453, OptimismDataFees), (10, OptimismDataFees), (42_161, ArbitrumDataFees), (137, NoDataFees)],
)
def test_network_decides_how_data_is_charged(chain_id: int, kind: type[object]) -> None:
    pool = RpcPool([HttpTransport("http://127.0.0.1:1")], chain_id=chain_id, clock=SystemClock())
    assert isinstance(data_fees_of(ChainClient(pool, NETWORKS[chain_id])), kind)


def test_most_total_fee_holds_gas_and_data() -> None:
    assert most_total_fee_wei(100_000, 3 * GWEI, DataFee(fee_wei=17)) == 100_000 * 3 * GWEI + 17
    # Arbitrum's part is in the gas limit that is signed.
    assert most_total_fee_wei(140_000, GWEI, DataFee(extra_gas=40_000)) == 140_000 * GWEI
