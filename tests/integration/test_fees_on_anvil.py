"""Fee quotes and replacements on a true node."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from seawall.chain.client import ChainClient
from seawall.chain.fees import FeeEstimator, FeeSettings
from seawall.chain.networks import NETWORKS
from seawall.chain.replacement import RULES, Client, Fees, replacement_fees
from seawall.chain.rpc import HttpTransport, RpcPool
from seawall.native import DynamicFeeTransaction, LocalKey
from seawall.primitives.levels import Priority
from seawall.primitives.ports import SystemClock
from seawall.primitives.units import Address
from tests.fixtures.anvil import CHAIN_ID, ETHER, GWEI, Anvil, anvil

__all__ = ["anvil"]

pytestmark = pytest.mark.anvil

BURNER = Address(b"\xb0" * 20)
BURN_ALL = "fe"  # an invalid opcode takes all gas that it is given
GAS_LIMIT = 30_000_000


@pytest.fixture
async def client(anvil: Anvil) -> AsyncIterator[ChainClient]:
    transport = HttpTransport(anvil.url)
    yield ChainClient(RpcPool([transport], chain_id=CHAIN_ID, clock=SystemClock()), NETWORKS[CHAIN_ID])
    await transport.close()


def burn(anvil: Anvil, key: LocalKey, nonce: int, gas: int, fees: Fees | None = None) -> None:
    fees = fees or Fees(100 * GWEI, GWEI)
    anvil.send(
        key.sign_transactions(
            [
                DynamicFeeTransaction(
                    CHAIN_ID,
                    nonce,
                    fees.max_priority_fee_per_gas_wei,
                    fees.max_fee_per_gas_wei,
                    gas,
                    BURNER,
                    0,
                    b"",
                )
            ]
        )[0]
    )


async def test_next_base_fee_is_exact_whatever_the_block_used(anvil: Anvil, client: ChainClient) -> None:
    anvil.set_code(BURNER, BURN_ALL)
    key = anvil.funded_key(10_000 * ETHER)
    estimator = FeeEstimator(client, FeeSettings())
    anvil.mine()
    seen = set()
    for nonce, share in enumerate((1, 2, 3, 7, 50, 1, 1, 100)):
        burn(anvil, key, nonce, GAS_LIMIT // share)
        anvil.mine()
        head = await client.head()
        quote = await estimator.quote(head)
        anvil.mine()
        following = await client.head()
        assert following.number == head.number + 1
        assert quote.base_fee_next_wei == following.base_fee_wei
        seen.add(following.base_fee_wei > head.base_fee_wei)
    assert seen == {True, False}


async def test_paid_priority_fees_are_quoted_by_percentile(anvil: Anvil, client: ChainClient) -> None:
    anvil.set_code(BURNER, BURN_ALL)
    keys = [anvil.funded_key() for _ in range(4)]
    for block in range(12):
        for place, key in enumerate(keys, start=1):
            burn(anvil, key, block, 100_000, Fees(100 * GWEI, place * GWEI // 2))
        anvil.mine()
    quotes = await FeeEstimator(client, FeeSettings()).quotes(await client.head())
    paid = [quotes[priority].max_priority_fee_per_gas_wei for priority in Priority]
    assert paid == sorted(paid, reverse=True)
    assert paid[0] == 2 * GWEI
    assert paid[-1] == GWEI // 2


async def test_node_takes_the_replacement_that_is_answered(anvil: Anvil, client: ChainClient) -> None:
    key = anvil.funded_key()
    anvil.mine()
    quote = await FeeEstimator(client, FeeSettings()).quote(await client.head())
    fees = Fees(quote.max_fee_per_gas_wei, quote.max_priority_fee_per_gas_wei)
    burn(anvil, key, 0, 50_000, fees)
    history = [fees]
    for _ in range(5):
        found = replacement_fees(history, quote, RULES[Client.ANVIL], 10 * quote.ceiling_fee_per_gas_wei)
        assert found is not None
        burn(anvil, key, 0, 50_000, found)
        history.append(found)
    anvil.mine()
    assert anvil.number("eth_getTransactionCount", "0x" + key.address.hex(), "latest") == 1
    block = anvil.rpc("eth_getBlockByNumber", "latest", True)
    assert isinstance(block, dict)
    (mined,) = block["transactions"]
    assert int(mined["maxFeePerGas"], 16) == history[-1].max_fee_per_gas_wei
