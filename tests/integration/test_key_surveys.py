"""What true nodes tell of a key before it is taken over (KEY-3)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from typing_extensions import override

from seawall.chain.client import ChainClient
from seawall.chain.networks import NETWORKS
from seawall.chain.rpc import HttpTransport, RpcPool
from seawall.native.wire import LocalKey
from seawall.primitives.errors import EndpointError
from seawall.primitives.ports import SystemClock
from seawall.primitives.units import Address
from seawall.runtime.keys.surveys import survey_key
from tests.fixtures.anvil import Anvil, anvil, transaction

__all__ = ["anvil"]
pytestmark = pytest.mark.anvil

SOMEBODY = Address(b"\x66" * 20)


@pytest.fixture
async def client(anvil: Anvil) -> AsyncIterator[ChainClient]:
    pool = RpcPool([HttpTransport(anvil.url)], chain_id=31337, clock=SystemClock())
    yield ChainClient(pool, NETWORKS[31337])
    await pool.close()


def send(anvil: Anvil, key: LocalKey, *nonces: int) -> None:
    for signed in key.sign_transactions([transaction(nonce, SOMEBODY) for nonce in nonces]):
        anvil.send(signed)


async def test_a_key_that_sent_nothing_has_nothing_under_way(client: ChainClient, anvil: Anvil) -> None:
    survey = await survey_key(client, Address(anvil.funded_key().address))
    assert (survey.next_nonce, survey.last_nonce, survey.missing_nonces) == (0, None, ())
    assert (survey.delegate, survey.has_other_code, survey.is_told) == (None, False, True)


async def test_what_waits_in_the_pool_is_seen_up_to_its_last_nonce(client: ChainClient, anvil: Anvil) -> None:
    key = anvil.funded_key()
    send(anvil, key, 0)
    anvil.mine()
    send(anvil, key, 1, 2)
    survey = await survey_key(client, Address(key.address))
    assert (survey.next_nonce, survey.last_nonce, survey.missing_nonces) == (1, 2, ())
    anvil.mine()
    survey = await survey_key(client, Address(key.address))
    assert (survey.next_nonce, survey.last_nonce) == (3, 2), "in a block, which may still go"
    anvil.mine(100)
    assert (await survey_key(client, Address(key.address))).last_nonce is None


async def test_a_missing_nonce_is_named(client: ChainClient, anvil: Anvil) -> None:
    key = anvil.funded_key()
    send(anvil, key, 0, 3)
    survey = await survey_key(client, Address(key.address))
    assert (survey.last_nonce, survey.missing_nonces) == (3, (1, 2))


async def test_code_behind_a_key_is_told_apart(client: ChainClient, anvil: Anvil) -> None:
    delegated, contract = anvil.funded_key(), anvil.funded_key()
    anvil.set_code(Address(delegated.address), "ef0100" + "77" * 20)
    anvil.set_code(Address(contract.address), "6001")
    survey = await survey_key(client, Address(delegated.address))
    assert (survey.delegate, survey.has_other_code) == (Address(b"\x77" * 20), False)
    survey = await survey_key(client, Address(contract.address))
    assert (survey.delegate, survey.has_other_code) == (None, True)


class Silent(RpcPool):
    """Refuses what some providers refuse."""

    @override
    async def call(self, method: str, *params: object) -> object:
        if method.startswith("txpool") or "pending" in params:
            raise EndpointError("the method is not available", "endpoint", "ask another")
        return await super().call(method, *params)


async def test_a_node_that_tells_nothing_of_its_pool_is_not_taken_for_an_empty_one(anvil: Anvil) -> None:
    key = anvil.funded_key()
    send(anvil, key, 0)
    pool = Silent([HttpTransport(anvil.url)], chain_id=31337, clock=SystemClock())
    try:
        survey = await survey_key(ChainClient(pool, NETWORKS[31337]), Address(key.address))
    finally:
        await pool.close()
    assert not survey.is_told
    assert (survey.pending_count, survey.pool_nonces) == (None, None)
