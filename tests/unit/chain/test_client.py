"""The client over a scripted endpoint: splitting, bisecting, answers about something else than asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from seawall.chain.client import LOGS_RANGE_BLOCKS_MAX, LOGS_RETRIES_MAX, ChainClient
from seawall.chain.networks import NETWORKS
from seawall.chain.rpc import Request, RpcError, RpcPool
from seawall.chain.simulation import Simulator
from seawall.chain.state import StateKeys
from seawall.primitives.blocks import LogFilter, Read
from seawall.primitives.errors import EndpointError, StaleError, UnavailableError, UnknownBlockError
from seawall.primitives.ports import InlineOffload, SystemClock
from seawall.primitives.simulations import Probe
from seawall.primitives.units import Address, Hash, hex_text
from seawall.primitives.verdicts import Payload
from tests.builders.idle_clock import IdleClock
from tests.builders.messages import ETHER, GWEI, KEY, block

TARGET = Address(b"\x11" * 20)
WORD = "0x" + "ab" * 32
OTHER = "0x" + "cd" * 32


@dataclass(slots=True)
class Endpoint:
    """Fulfils `RpcTransport` with the test's own answers."""

    answer: Callable[[str, tuple[object, ...]], object]
    label: str = "scripted"
    connects: int = 1
    asked: list[tuple[str, tuple[object, ...]]] = field(default_factory=list)

    async def send(self, requests: Sequence[Request]) -> list[object | RpcError]:
        answers: list[object | RpcError] = []
        for request in requests:
            IdleClock.stir()
            if request.method == "eth_chainId":
                answers.append("0x7a69")
            else:
                self.asked.append((request.method, request.params))
                answers.append(self.answer(request.method, request.params))
        return answers

    async def close(self) -> None:
        return


def client_of(answer: Callable[[str, tuple[object, ...]], object]) -> tuple[ChainClient, Endpoint]:
    endpoint = Endpoint(answer)
    return ChainClient(RpcPool([endpoint], chain_id=31_337, clock=IdleClock()), NETWORKS[31_337]), endpoint


def log_at(number: int) -> dict[str, object]:
    return {
        "address": hex_text(TARGET), "topics": [], "data": "0x", "blockHash": WORD,
        "blockNumber": hex(number), "transactionHash": WORD, "logIndex": "0x0",
    }  # fmt: skip


LAST = {
    "number": "0x7d0", "hash": WORD, "parentHash": OTHER, "timestamp": "0x1", "gasLimit": "0x1",
}  # fmt: skip


async def test_long_range_of_logs_is_split_and_a_refused_piece_is_halved() -> None:
    def answer(method: str, params: tuple[object, ...]) -> object:
        if method == "eth_getBlockByNumber":
            return LAST
        wanted = params[0]
        assert isinstance(wanted, dict)
        start, end = int(wanted["fromBlock"], 16), int(wanted["toBlock"], 16)
        if end - start >= 600:
            return RpcError(-32000, "query returned more than 10000 results")
        return [log_at(number) for number in range(start, end + 1) if number % 500 == 0]

    client, endpoint = client_of(answer)
    logs = await client.logs(LogFilter(), 0, 2 * LOGS_RANGE_BLOCKS_MAX)
    assert [log.block_number for log in logs] == list(range(0, 2 * LOGS_RANGE_BLOCKS_MAX + 1, 500))
    assert len(endpoint.asked) > 4


async def test_range_of_logs_that_no_endpoint_answers_is_halved_a_bounded_number_of_times() -> None:
    def answer(method: str, params: tuple[object, ...]) -> object:
        if method == "eth_getBlockByNumber":
            return LAST
        wanted = params[0]
        assert isinstance(wanted, dict)
        start, end = int(wanted["fromBlock"], 16), int(wanted["toBlock"], 16)
        return RpcError(429, "busy") if end - start >= limit else [log_at(start)]

    limit = 500
    client, endpoint = client_of(answer)
    logs = await client.logs(LogFilter(), 0, 1_999)
    assert [log.block_number for log in logs] == [0, 500, 1_000, 1_500]
    limit = 0
    endpoint.asked.clear()
    with pytest.raises(UnavailableError):
        await client.logs(LogFilter(), 0, 1_999)
    asked = [method for method, _ in endpoint.asked].count("eth_getLogs")
    assert asked == 2 * (1 + LOGS_RETRIES_MAX)


async def test_logs_from_outside_the_range_are_refused() -> None:
    client, _ = client_of(lambda method, params: [log_at(7)] if method == "eth_getLogs" else LAST)
    with pytest.raises(EndpointError, match="outside the range"):
        await client.logs(LogFilter(), 5, 6)


async def test_endpoint_that_has_no_logs_at_all_is_asked_once() -> None:
    client, endpoint = client_of(
        lambda method, params: (
            RpcError(-32601, "the method does not exist") if method == "eth_getLogs" else LAST
        )
    )
    with pytest.raises(EndpointError, match="does not exist"):
        await client.logs(LogFilter(), 0, 1_999)
    assert [method for method, _ in endpoint.asked].count("eth_getLogs") == 1


async def test_endpoint_that_lags_gives_no_logs_of_a_range_it_does_not_have() -> None:
    client, _ = client_of(lambda method, params: [] if method == "eth_getLogs" else None)
    with pytest.raises(UnknownBlockError):
        await client.logs(LogFilter(), 0, 1_999)


async def test_single_block_of_logs_that_is_refused_is_an_endpoint_error() -> None:
    client, _ = client_of(
        lambda method, params: RpcError(-32000, "too many") if method == "eth_getLogs" else LAST
    )
    with pytest.raises(EndpointError, match="too many"):
        await client.logs(LogFilter(), 5, 6)


async def test_logs_of_another_block_are_refused() -> None:
    client, _ = client_of(lambda method, params: [log_at(5)])
    with pytest.raises(EndpointError, match="another block"):
        await client.logs_of([LogFilter()], Hash(b"\x01" * 32))


async def test_receipt_of_another_transaction_is_refused() -> None:
    receipt = {
        "transactionHash": OTHER, "blockHash": WORD, "blockNumber": "0x1", "transactionIndex": "0x0",
        "status": "0x1", "gasUsed": "0x1", "effectiveGasPrice": "0x1", "logs": [],
    }  # fmt: skip
    client, _ = client_of(lambda method, params: receipt)
    with pytest.raises(EndpointError, match="another transaction"):
        await client.receipts([Hash(b"\xab" * 32)])


async def test_data_fee_of_a_roll_up_counts_as_fee() -> None:
    receipt = {
        "transactionHash": WORD, "blockHash": WORD, "blockNumber": "0x1", "transactionIndex": "0x0",
        "status": "0x0", "gasUsed": "0xa", "effectiveGasPrice": "0x2", "l1Fee": "0x5", "logs": [],
    }  # fmt: skip
    client, _ = client_of(lambda method, params: receipt)
    (found,) = await client.receipts([Hash(b"\xab" * 32)])
    assert found is not None
    assert (found.fee_wei, found.status) == (25, False)


async def test_every_state_read_names_the_block_by_hash() -> None:
    client, endpoint = client_of(
        lambda method, params: "0x" + "00" * 32 if method == "eth_getStorageAt" else "0x1234"
    )
    base = block(100)
    await client.fetch_state(StateKeys((TARGET,), ((TARGET, bytes(32)),), (TARGET,)), base)
    await client.call_at([Read("a", TARGET, b"")], base)
    await client.balance_at(TARGET, base.hash)
    assert {method for method, _ in endpoint.asked} == {
        "eth_getBalance", "eth_getTransactionCount", "eth_getCode", "eth_getStorageAt", "eth_call",
    }  # fmt: skip
    assert all(
        params[-1] == {"blockHash": hex_text(base.hash), "requireCanonical": True}
        for _, params in endpoint.asked
    )


async def test_read_that_fails_for_another_reason_than_a_revert_is_no_none() -> None:
    client, _ = client_of(lambda method, params: RpcError(-32603, "internal error"))
    with pytest.raises((EndpointError, UnavailableError), match="internal error"):
        await client.call_at([Read("a", TARGET, b"")], block(100))


async def test_ancestors_that_do_not_link_are_an_unknown_block() -> None:
    header = {
        "number": "0x63", "hash": OTHER, "parentHash": WORD, "timestamp": "0x1", "gasLimit": "0x1",
        "miner": hex_text(TARGET), "mixHash": WORD,
    }  # fmt: skip
    client, _ = client_of(lambda method, params: header)
    with pytest.raises(UnknownBlockError, match="ancestors"):
        await client.block_hashes([99], block(100))


async def test_simulation_over_an_endpoint_without_state_is_unavailable() -> None:
    client, _ = client_of(lambda method, params: RpcError(-32603, "internal error"))
    simulator = Simulator(client, NETWORKS[31_337], InlineOffload())
    await simulator.pin(block(100))
    with pytest.raises(UnavailableError, match="internal error"):
        await simulator.view([Probe("a", TARGET, b"")])


async def test_overlay_that_could_not_be_completed_is_not_run_on() -> None:
    dead = False

    def answer(method: str, params: tuple[object, ...]) -> object:
        if dead:
            return RpcError(-32603, "internal error")
        return {"eth_getBalance": hex(ETHER), "eth_getTransactionCount": "0x0"}.get(method, "0x")

    client, _ = client_of(answer)
    simulator = Simulator(client, NETWORKS[31_337], InlineOffload())
    payload = Payload(31_337, KEY, TARGET, b"", 1, 21_000)
    await simulator.pin(block(100))
    dead = True
    with pytest.raises(UnavailableError):
        await simulator.rebuild([(payload, 0, 10 * GWEI)])
    dead = False
    for attempt in (simulator.run(payload, 1, 10 * GWEI), simulator.push(payload, 1, 10 * GWEI)):
        with pytest.raises(StaleError, match="overlay"):
            await attempt
    with pytest.raises(StaleError, match="overlay"):
        await simulator.view([Probe("a", TARGET, b"")])
    await simulator.rebuild([(payload, 0, 10 * GWEI)])
    assert (await simulator.run(payload, 1, 10 * GWEI)).success


@pytest.mark.parametrize("chain_id", [10, 137, 138, 8_453, 42_161, 651_940])
def test_simulator_of_a_chain_that_is_not_modelled_is_refused(chain_id: int) -> None:
    network = NETWORKS[chain_id]
    client = ChainClient(
        RpcPool([Endpoint(lambda m, p: None)], chain_id=chain_id, clock=SystemClock()), network
    )
    with pytest.raises(UnavailableError):
        Simulator(client, network, InlineOffload())
