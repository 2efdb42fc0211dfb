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
    most_now,
    most_total_fee_wei,
)
from seawall.chain.networks import NETWORKS
from seawall.chain.rpc import HttpTransport, RpcPool
from seawall.primitives.blocks import Block
from seawall.primitives.errors import UnavailableError
from seawall.primitives.ports import SystemClock
from seawall.primitives.units import BPS, Address, mul_div_up
from seawall.primitives.verdicts import Payload
from tests.fixtures.anvil import CHAIN_ID, GWEI, Anvil, running_anvil
from tests.fixtures.predeploys import (
    FJORD,
    L1_BASE_FEE,
    NITRO,
    OPERATOR_CONSTANT,
    OPERATOR_SCALAR,
    assembled,
    fjord_upper_bound_wei,
    number_of,
    set_gas_price_oracle,
    set_node_interface,
)

pytestmark = pytest.mark.anvil


@pytest.fixture(scope="module")
def node() -> Iterator[Anvil]:
    with running_anvil() as anvil:
        set_gas_price_oracle(anvil)
        set_node_interface(anvil)
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


@pytest.mark.parametrize("size", [0, 1, 68, 500, 10_000, 120_000])
async def test_op_stack_fee_is_the_upper_bound_of_the_specification_with_margin(
    client: ChainClient, head: Block, size: int
) -> None:
    found = await most_now(OptimismDataFees(client), payload(bytes(size)), head)
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
        found = await most_now(OptimismDataFees(client), payload(b""), await client.head())
    finally:
        node.set_code(GAS_PRICE_ORACLE, code[2:])
        node.mine()
    assert found.fee_wei == mul_div_up(fjord_upper_bound_wei(ENVELOPE_BYTES_MAX), MARGIN_BPS, BPS)


async def test_fee_is_of_the_pinned_block_not_of_the_newest(
    node: Anvil, client: ChainClient, head: Block
) -> None:
    at_head = await most_now(OptimismDataFees(client), payload(b""), head)
    node.mine()  # what is set changes the newest block's state
    node.set_slot(GAS_PRICE_ORACLE, 1, 2 * L1_BASE_FEE)
    node.mine()
    try:
        later = await most_now(OptimismDataFees(client), payload(b""), await client.head())
        again = await most_now(OptimismDataFees(client), payload(b""), head)
    finally:
        node.set_slot(GAS_PRICE_ORACLE, 1, L1_BASE_FEE)
        node.mine()
    assert again == at_head
    assert later.fee_wei > at_head.fee_wei


@pytest.mark.parametrize("size", [0, 100, 5_000])
async def test_arbitrum_charges_data_as_gas(client: ChainClient, head: Block, size: int) -> None:
    found = await most_now(ArbitrumDataFees(client), payload(bytes(size)), head)
    call_bytes = 4 + 4 * 32 + -(-size // 32) * 32
    gas = call_bytes * 16 * 20 * GWEI // (GWEI // 100)
    assert found == DataFee(extra_gas=mul_div_up(gas, MARGIN_BPS, BPS))


async def test_chain_without_the_contract_is_unavailable(node: Anvil, client: ChainClient) -> None:
    node.set_code(NODE_INTERFACE, "")
    node.mine()
    try:
        with pytest.raises(UnavailableError, match="data fee is not known"):
            await most_now(ArbitrumDataFees(client), payload(b""), await client.head())
    finally:
        node.set_code(NODE_INTERFACE, assembled(NITRO))
        node.mine()


async def test_plain_chain_charges_nothing_for_data(client: ChainClient, head: Block) -> None:
    fees = data_fees_of(client)
    assert isinstance(fees, NoDataFees)
    assert await most_now(fees, payload(bytes(10_000)), head) == NO_DATA_FEE


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
