"""A key is surveyed on a true geth, whose pool tells what waits of one sender (KEY-3)."""

from __future__ import annotations

from dataclasses import replace

from seawall.chain.client import ChainClient
from seawall.chain.networks import NETWORKS
from seawall.chain.rpc import HttpTransport, RpcPool
from seawall.primitives.ports import SystemClock
from seawall.primitives.units import Address
from seawall.runtime.keys.surveys import survey_key
from tests.fixtures.geth import Geth, transaction

CHAIN_ID = 1337


async def test_the_pool_shows_what_waits_and_what_is_missing(geth: Geth) -> None:
    (key,) = geth.funded_keys(1)
    waiting = [transaction(nonce, Address(b"\x11" * 20), fee_gwei=20) for nonce in (0, 3)]
    for signed in key.sign_transactions(waiting):
        geth.send(signed)
    geth.wait_blocks(2)
    network = replace(NETWORKS[31337], chain_id=CHAIN_ID)
    pool = RpcPool([HttpTransport(geth.url)], chain_id=CHAIN_ID, clock=SystemClock())
    try:
        survey = await survey_key(ChainClient(pool, network), Address(key.address))
    finally:
        await pool.close()
    assert (survey.next_nonce, survey.last_nonce, survey.missing_nonces) == (1, 3, (1, 2))
