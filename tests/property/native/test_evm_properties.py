"""Random swaps, transfers and refusals: one simulation stands for what anvil then does."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.devchain import ETHER, DevChain, Venues, environment_of, simulate
from seawall.native import Evm, EvmTransaction, encode_call

pytestmark = pytest.mark.anvil

GAS_PRICE_WEI = 3 * 10**9
SWAP = "swapExactTokensForTokens(uint256,uint256,address[],address,uint256)"
V3_SWAP = "exactInputSingle((address,address,uint24,address,uint256,uint256,uint256,uint160))"


@dataclass(frozen=True, slots=True)
class Act:
    kind: str
    forward: bool
    amount: int
    minimum: int
    gas_limit: int


acts = st.builds(
    Act,
    kind=st.sampled_from(["v2", "v3", "transfer", "deposit", "withdraw"]),
    forward=st.booleans(),
    amount=st.integers(0, 30 * ETHER) | st.just(10**40),
    minimum=st.sampled_from([0, 0, 0, 10**40]),
    gas_limit=st.sampled_from([500_000, 500_000, 500_000, 70_000, 30_000]),
)


def order_of(act: Act, chain: DevChain, venues: Venues) -> EvmTransaction:
    owner = chain.accounts[0]
    path = (venues.weth, venues.token) if act.forward else (venues.token, venues.weth)
    value = 0
    if act.kind == "v2":
        target, data = venues.v2_router, encode_call(SWAP, [act.amount, act.minimum, path, owner, 2**40])
    elif act.kind == "v3":
        target = venues.v3_router
        data = encode_call(V3_SWAP, [(*path, 3000, owner, 2**40, act.amount, act.minimum, 0)])
    elif act.kind == "transfer":
        target = path[0]
        data = encode_call("transfer(address,uint256)", [b"\x42" * 20, act.amount])
    elif act.kind == "deposit":
        target, data, value = venues.weth, encode_call("deposit()", []), min(act.amount, ETHER)
    else:
        target, data = venues.weth, encode_call("withdraw(uint256)", [act.amount])
    return EvmTransaction(owner, target, data, value, act.gas_limit, GAS_PRICE_WEI)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(act=acts)
def test_simulation_equals_the_receipt(chain: DevChain, venues: Venues, act: Act) -> None:
    order = order_of(act, chain, venues)
    receipt = chain.send(
        order.sender, order.to, order.data, order.value_wei, order.gas_limit, order.gas_price_wei
    )
    number, gas_used, logs = receipt["blockNumber"], receipt["gasUsed"], receipt["logs"]
    assert isinstance(number, str)
    assert isinstance(gas_used, str)
    assert isinstance(logs, list)
    header = chain.head(number)
    evm = Evm(chain.chain_id)
    evm.pin(environment_of(header), header.hash)
    answer = simulate(chain, evm, header.number - 1, [order], trace=act.forward)
    result = answer.transactions[0]
    assert result.success == (receipt["status"] == "0x1"), result.failure
    assert result.gas_used == int(gas_used, 16)
    assert ["0x" + log.data.hex() for log in result.logs] == [
        log["data"] for log in logs if isinstance(log, dict)
    ]
    # Every slot that was written had been read, and a failed call writes none.
    assert set(answer.write_set.slots) <= set(answer.read_set.slots)
    assert result.success or not answer.write_set.slots
