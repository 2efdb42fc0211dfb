"""The simulation says what anvil does: gas, logs, return data and reverts of the true Uniswap contracts."""

from __future__ import annotations

import pytest

from bench.devchain import (
    ETHER,
    DevChain,
    Json,
    Venues,
    environment_of,
    load_missing,
    run_devchain,
    simulate,
    unhex,
)
from seawall.native import (
    CallResult,
    DynamicFeeTransaction,
    Evm,
    EvmTransaction,
    Execution,
    LocalKey,
    Missing,
    Probe,
    TokenFlow,
    abi_decode,
    encode_call,
)

pytestmark = pytest.mark.anvil

DEADLINE = 2**40
GAS_PRICE_WEI = 3 * 10**9
SWAP = "swapExactTokensForTokens(uint256,uint256,address[],address,uint256)"
V3_SWAP = "exactInputSingle((address,address,uint24,address,uint256,uint256,uint256,uint160))"


def compare(
    chain: DevChain,
    to: bytes | None,
    data: bytes,
    *,
    value_wei: int = 0,
    gas_limit: int = 500_000,
    sender: bytes | None = None,
    hardfork: str = "cancun",
) -> CallResult:
    """Sends it, then simulates it on the parent's state in the environment of the block it landed in."""
    sender = sender or chain.accounts[0]
    nonce = chain.integer("eth_getTransactionCount", "0x" + sender.hex(), "latest")
    receipt = chain.send(sender, to, data, value_wei, gas_limit, GAS_PRICE_WEI)
    number = receipt["blockNumber"]
    assert isinstance(number, str)
    header = chain.head(number)
    evm = Evm(chain.chain_id)
    evm.pin(environment_of(header, hardfork), header.hash)
    order = EvmTransaction(sender, to, data, value_wei, gas_limit, GAS_PRICE_WEI, nonce)
    result = simulate(chain, evm, header.number - 1, [order]).transactions[0]
    gas_used = receipt["gasUsed"]
    assert isinstance(gas_used, str)
    assert result.gas_used == int(gas_used, 16)
    assert result.success == (receipt["status"] == "0x1")
    assert [(log.address, log.topics, log.data) for log in result.logs] == logs_of(receipt)
    if result.status != "halted":
        assert result.return_data == answer_of(
            chain, sender, to, data, value_wei, gas_limit, header.number - 1
        )
    return result


def logs_of(receipt: dict[str, Json]) -> list[tuple[bytes, tuple[bytes, ...], bytes]]:
    logs, found = receipt["logs"], []
    assert isinstance(logs, list)
    for log in logs:
        assert isinstance(log, dict)
        topics = log["topics"]
        assert isinstance(topics, list)
        found.append((unhex(log["address"]), tuple(map(unhex, topics)), unhex(log["data"])))
    return found


def answer_of(
    chain: DevChain, sender: bytes, to: bytes | None, data: bytes, value_wei: int, gas_limit: int, number: int
) -> bytes:
    fields: dict[str, Json] = {
        "from": "0x" + sender.hex(),
        "data": "0x" + data.hex(),
        "value": hex(value_wei),
        "gas": hex(gas_limit),
    }
    if to is not None:
        fields["to"] = "0x" + to.hex()
    answer = chain.answer("eth_call", fields, hex(number))
    if "result" in answer:
        return unhex(answer["result"])
    error = answer["error"]
    assert isinstance(error, dict)
    return unhex(error.get("data", "0x"))


def swap(venues: Venues, owner: bytes, amount: int, minimum: int = 0, deadline: int = DEADLINE) -> bytes:
    return encode_call(SWAP, [amount, minimum, [venues.weth, venues.token], owner, deadline])


def test_v2_swap_equals_the_receipt_and_its_flows_are_both_legs(chain: DevChain, venues: Venues) -> None:
    owner = chain.accounts[0]
    result = compare(chain, venues.v2_router, swap(venues, owner, ETHER))
    amounts = abi_decode(["uint256[]"], result.return_data)[0]
    assert isinstance(amounts, tuple)
    assert [(f.token, f.sender, f.recipient, f.amount) for f in result.flows] == [
        (venues.weth, owner, venues.v2_pair, amounts[0]),
        (venues.token, venues.v2_pair, owner, amounts[1]),
    ]


def test_v3_swap_equals_the_receipt(chain: DevChain, venues: Venues) -> None:
    owner = chain.accounts[0]
    order = (venues.weth, venues.token, 3000, owner, DEADLINE, ETHER, 0, 0)
    result = compare(chain, venues.v3_router, encode_call(V3_SWAP, [order]))
    assert result.success
    assert {flow.token for flow in result.flows} == {venues.weth, venues.token}


@pytest.mark.parametrize(
    ("amount", "minimum", "deadline", "reason"),
    [
        (ETHER, 10**30, DEADLINE, "UniswapV2Router: INSUFFICIENT_OUTPUT_AMOUNT"),
        (ETHER, 0, 1, "UniswapV2Router: EXPIRED"),
        (10**9 * ETHER, 0, DEADLINE, "TransferHelper: TRANSFER_FROM_FAILED"),
    ],
)
def test_refused_swap_reverts_for_the_same_reason(
    chain: DevChain, venues: Venues, amount: int, minimum: int, deadline: int, reason: str
) -> None:
    result = compare(chain, venues.v2_router, swap(venues, chain.accounts[0], amount, minimum, deadline))
    assert result.revert_reason is not None
    assert result.revert_reason.message == reason


def test_swap_that_runs_out_of_gas_halts_there_too(chain: DevChain, venues: Venues) -> None:
    result = compare(chain, venues.v2_router, swap(venues, chain.accounts[0], ETHER), gas_limit=60_000)
    assert not result.success


def test_weth_deposit_and_withdrawal_are_flows_of_weth_and_of_native_currency(
    chain: DevChain, venues: Venues
) -> None:
    owner, zero = chain.accounts[0], bytes(20)
    deposit = compare(chain, venues.weth, encode_call("deposit()", []), value_wei=7)
    assert legs(deposit.flows) == [(None, owner, venues.weth, 7), (venues.weth, zero, owner, 7)]
    withdrawal = compare(chain, venues.weth, encode_call("withdraw(uint256)", [7]))
    assert legs(withdrawal.flows) == [(None, venues.weth, owner, 7), (venues.weth, owner, zero, 7)]


def legs(flows: tuple[TokenFlow, ...]) -> list[tuple[bytes | None, bytes, bytes, int]]:
    return [(flow.token, flow.sender, flow.recipient, flow.amount) for flow in flows]


def test_approval_is_an_allowance_change(chain: DevChain, venues: Venues) -> None:
    spender = b"\x55" * 20
    result = compare(chain, venues.token, encode_call("approve(address,uint256)", [spender, 9]))
    (change,) = result.allowances
    assert (change.token, change.owner, change.spender, change.amount) == (
        venues.token,
        chain.accounts[0],
        spender,
        9,
    )
    assert result.flows == ()


def test_creation_equals_the_receipt(chain: DevChain) -> None:
    result = compare(chain, None, bytes.fromhex("600c600c5f39600c5ff3") + bytes(2) + bytes(12))
    assert result.created_address is not None


def test_bundle_on_the_overlay_equals_what_lands(chain: DevChain, venues: Venues) -> None:
    """A pushed swap, then a bundle of two: the probe's balance is the one the chain has afterwards."""
    owner, base = chain.accounts[0], chain.head()
    environment = environment_of(base)
    evm = Evm(chain.chain_id)
    evm.pin(environment, base.hash)
    orders = [
        EvmTransaction(
            owner, venues.v2_router, swap(venues, owner, amount * ETHER), 0, 300_000, GAS_PRICE_WEI
        )
        for amount in (1, 2, 3)
    ]
    while isinstance(pushed := evm.push_overlay(orders[0]), Missing):
        load_missing(chain, evm, pushed, base.number)
    balance = encode_call("balanceOf(address)", [owner])
    probes = [Probe(venues.token, balance), Probe(venues.weth, encode_call("nothing()", []))]
    answer = simulate(chain, evm, base.number, orders[1:], probes)
    for order in orders:
        receipt = chain.send(owner, order.to, order.data, 0, 300_000, GAS_PRICE_WEI)
        assert receipt["status"] == "0x1"
    assert answer.probes[0].return_data == chain.read(venues.token, balance)
    assert answer.overlay_digest == evm.overlay_digest()
    assert isinstance(pushed, Execution)
    assert set(pushed.write_set.slots) & set(answer.read_set.slots)


def test_natively_signed_bytes_are_taken_by_a_node_under_the_hash_we_say(chain: DevChain) -> None:
    key = LocalKey.generate()
    chain.request("anvil_setBalance", "0x" + key.address.hex(), hex(ETHER))
    fields = DynamicFeeTransaction(
        chain_id=chain.chain_id,
        nonce=0,
        max_priority_fee_per_gas_wei=10**9,
        max_fee_per_gas_wei=10**10,
        gas_limit=50_000,
        to=b"\x42" * 20,
        value_wei=123,
        data=b"\x01\x02",
        access_list=((b"\x42" * 20, (bytes(32),)),),
    )
    (signed,) = key.sign_transactions([fields])
    assert unhex(chain.request("eth_sendRawTransaction", "0x" + signed.raw.hex())) == signed.hash
    assert chain.receipt("0x" + signed.hash.hex())["status"] == "0x1"


@pytest.mark.parametrize("hardfork", ["london", "paris", "shanghai", "prague", "osaka"])
def test_other_hardforks_charge_the_same_gas(hardfork: str) -> None:
    with run_devchain(hardfork=hardfork) as chain:
        # PUSH7 (slot 0 takes calldata[0]), MSTORE, RETURN the last 7 bytes of the word
        initcode = bytes.fromhex("66" + "60003560005500" + "600052" + "60076019f3")
        created = compare(chain, None, initcode, hardfork=hardfork).created_address
        assert created is not None
        compare(chain, created, b"\x07" * 32, hardfork=hardfork)
        compare(chain, created, bytes(32) + b"\xff" * 2_000, hardfork=hardfork)
