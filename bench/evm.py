"""Simulations per second, with logs, token flows, read set and overlay on.

Limit: revm's own handler and database in a bare Rust loop on the same state, with nothing of ours. Peers:
pyrevm, and the node's `eth_call` one by one and in batches of 100. Everything in one run, interleaved.

What a call costs whose state is far away is told by `remote`.

Router swaps run on a bare chain; the executor's call on the devnet, with everything that it will meet in
production.
"""

from __future__ import annotations

import math
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyrevm

from bench.devchain import (
    ETHER,
    DevChain,
    Header,
    Json,
    Venues,
    deploy_venues,
    environment_of,
    load_missing,
    run_devchain,
    simulate,
    unhex,
)
from bench.remote import rows_of_cold_calls
from bench.rows import Row, best_rate
from seawall.native import Bundle, Evm, EvmTransaction, Execution, Missing, encode_call
from seawall.native.limits import bench_bare_loop
from seawall.primitives.units import Address
from seawall.protocols.executor.encoding import Execution as PlanOfExecutor
from seawall.protocols.executor.encoding import encode_operations
from seawall.protocols.executor.operations import Flash, Loan, Measure, Measured, SwapV2, SwapV3
from seawall.rollout.devnet import TRADERS, Devnet, DevnetSettings, Trader, running
from seawall.rollout.devnet.steering import authorise

RUNS = 200  # a slice of some 10 ms: short enough that some slices run undisturbed
THREAD_RUNS = 1_000  # long enough that waking two threads does not count
NODE_RUNS = 100
ROUNDS = 40
DEADLINE = 2**40
GAS_PRICE_WEI = 3 * 10**9
GAS_LIMIT = 500_000
EXECUTOR_GAS_LIMIT = 3_000_000
V2_SWAP = "swapExactTokensForTokens(uint256,uint256,address[],address,uint256)"
V3_SWAP = "exactInputSingle((address,address,uint24,address,uint256,uint256,uint256,uint160))"


@dataclass(frozen=True, slots=True)
class Scenario:
    """One transaction, simulated on the head's state and an overlay of one other."""

    name: str
    order: EvmTransaction
    overlay: EvmTransaction


def measure() -> list[Row]:
    return warm() + rows_of_cold_calls()


def warm() -> list[Row]:
    rows: list[Row] = []
    with run_devchain() as chain:
        for scenario in router_swaps(chain, deploy_venues(chain)):
            rows += measure_scenario(chain, scenario)
    with tempfile.TemporaryDirectory() as folder, running(DevnetSettings(Path(folder))) as devnet:
        scenario = flash_arbitrage(devnet)
        chain = DevChain(int(devnet.info.rpc_url.rpartition(":")[2]))
        rows += measure_scenario(chain, scenario)
        chain.close()
    return rows


def router_swaps(chain: DevChain, venues: Venues) -> list[Scenario]:
    owner = chain.accounts[0]

    def order(to: bytes, data: bytes) -> EvmTransaction:
        return EvmTransaction(owner, to, data, 0, GAS_LIMIT, GAS_PRICE_WEI)

    path = [venues.weth, venues.token]
    single = (venues.weth, venues.token, 3000, owner, DEADLINE, ETHER, 0, 0)
    v2 = order(venues.v2_router, encode_call(V2_SWAP, [ETHER, 0, path, owner, DEADLINE]))
    v3 = order(venues.v3_router, encode_call(V3_SWAP, [single]))
    return [Scenario("V2 router swap", v2, overlay=v2), Scenario("V3 router swap", v3, overlay=v3)]


def flash_arbitrage(devnet: Devnet) -> Scenario:
    """A whole executor call: flash loan, V2 and V3 swaps, repayment and payment, across a 3 % gap."""
    operator, book = TRADERS[2], devnet.book
    authorise(devnet, operator, Address(b"\x77" * 20))
    Trader(devnet).open_gap_v2("weth", "usdx", 300)
    weth, usdx = book.address("weth"), book.address("usdx")
    swaps = (
        SwapV2(
            book.address("uniswap_v2_factory"),
            weth,
            usdx,
            10 * ETHER,
            measure=(Measure("dollars", usdx),),
        ),
        SwapV3(book.address("uniswap_v3_factory"), usdx, weth, 500, Measured("dollars")),
    )
    loan = Flash(book.address("balancer_vault"), (Loan(weth, 10 * ETHER),), swaps)
    plan = PlanOfExecutor(encode_operations((loan,)), (), DEADLINE, 0, weth)
    data = plan.calldata(intent_id=7, plan_digest=b"\x11" * 32, max_fee_wei=10**15)
    executor = book.address("atomic_executor")
    order = EvmTransaction(operator, executor, data, 0, EXECUTOR_GAS_LIMIT, GAS_PRICE_WEI)
    # Not the plan itself: once it has landed, it cannot land again.
    wrap = EvmTransaction(TRADERS[0], weth, encode_call("deposit()", ()), ETHER, GAS_LIMIT, GAS_PRICE_WEI)
    return Scenario("flash arbitrage through the executor", order, overlay=wrap)


def measure_scenario(chain: DevChain, scenario: Scenario) -> list[Row]:
    head, order = chain.head(), scenario.order
    evm = Evm(chain.chain_id)
    evm.pin(environment_of(head), head.hash)
    without_overlay = simulate(chain, evm, head.number, [order])
    while isinstance(pushed := evm.push_overlay(scenario.overlay), Missing):
        load_missing(chain, evm, pushed, head.number)
    execution = simulate(chain, evm, head.number, [order])
    assert execution.success, execution.transactions[0].failure

    def ours() -> int:
        for _ in range(RUNS):
            evm.run([order])
        return RUNS

    def ours_read() -> int:
        for _ in range(RUNS):
            read_everything(evm, order)
        return RUNS

    bundles = [Bundle([order])] * RUNS
    by_pyrevm = pyrevm_runner(chain, head, order, without_overlay)
    contenders: dict[str, Callable[[], int]] = {
        "ours": ours,
        "read": ours_read,
        "many": lambda: len(evm.run_many(bundles)),
        "pyrevm": by_pyrevm,
        "one": lambda: node_calls(chain, order, 1),
        "batch": lambda: node_calls(chain, order, 100),
    }
    best = dict.fromkeys([*contenders, "limit"], 0.0)
    for _ in range(ROUNDS):
        for name, contender in contenders.items():
            best[name] = max(best[name], best_rate(contender, 1))
        best["limit"] = max(best["limit"], RUNS / bench_bare_loop(evm, order, RUNS))
    peers = {
        "pyrevm": best["pyrevm"],
        "anvil eth_call one by one": best["one"],
        "anvil eth_call in batches of 100": best["batch"],
    }
    name, unit = scenario.name, "simulations/s"

    def many() -> None:
        for _ in range(THREAD_RUNS):
            evm.run([order])

    def limit() -> None:
        bench_bare_loop(evm, order, THREAD_RUNS)

    # What this machine gives to two threads that share nothing, beside whatever else it does.
    free = two_threads(limit)
    return [
        Row(f"{name}: run", unit, best["ours"], peers, best["limit"]),
        Row(f"{name}: run, every result read into Python", unit, best["read"], peers, best["limit"]),
        Row(
            f"{name}: run_many on all cores",
            unit,
            best["many"],
            {"anvil eth_call in batches of 100": best["batch"]},
        ),
        Row(f"{name}: two threads against one", "x", two_threads(many), {}, free),
    ]


def read_everything(evm: Evm, order: EvmTransaction) -> None:
    execution = evm.run([order])
    assert isinstance(execution, Execution)
    for result in execution.transactions:
        assert result.success
        assert result.logs
        assert result.flows
    assert execution.read_set.slots
    assert execution.write_set.slots


def two_threads(work: Callable[[], None]) -> float:
    """The best rate of two Python threads together over the best rate of one."""
    gate = threading.Barrier(3)

    def helper() -> None:
        for _ in range(ROUNDS):
            gate.wait()
            work()
            gate.wait()

    threads = [threading.Thread(target=helper) for _ in range(2)]
    for thread in threads:
        thread.start()
    alone_s, together_s = math.inf, math.inf
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        work()
        alone_s = min(alone_s, time.perf_counter() - begin)
        begin = time.perf_counter()
        gate.wait()
        gate.wait()
        together_s = min(together_s, time.perf_counter() - begin)
    for thread in threads:
        thread.join()
    return 2 * alone_s / together_s


def node_calls(chain: DevChain, order: EvmTransaction, batch: int) -> int:
    assert order.to is not None
    fields: dict[str, Json] = {
        "from": "0x" + order.sender.hex(),
        "to": "0x" + order.to.hex(),
        "data": "0x" + order.data.hex(),
        "gas": hex(order.gas_limit),
    }
    for _ in range(NODE_RUNS // batch):
        chain.batch([("eth_call", [fields, "latest"])] * batch)
    return NODE_RUNS


def pyrevm_runner(
    chain: DevChain, head: Header, order: EvmTransaction, execution: Execution
) -> Callable[[], int]:
    """The same call on the same state, by pyrevm as its documentation uses it."""
    assert order.to is not None
    engine = pyrevm.EVM(spec_id="CANCUN")
    tag = hex(head.number)
    for address in {*execution.read_set.accounts, head.coinbase}:
        text = "0x" + address.hex()
        balance, nonce, code = chain.batch(
            [(method, [text, tag]) for method in ("eth_getBalance", "eth_getTransactionCount", "eth_getCode")]
        )
        assert isinstance(balance, str)
        assert isinstance(nonce, str)
        engine.insert_account_info(text, pyrevm.AccountInfo(nonce=int(nonce, 16), code=unhex(code)))
        engine.set_balance(text, int(balance, 16))
    for address, slot in execution.read_set.slots:
        text = "0x" + address.hex()
        value = chain.request("eth_getStorageAt", text, "0x" + slot.hex(), tag)
        engine.insert_account_storage(text, int.from_bytes(slot, "big"), int.from_bytes(unhex(value), "big"))
    engine.set_block_env(
        pyrevm.BlockEnv(
            number=head.number,
            timestamp=head.timestamp_s,
            basefee=head.base_fee_wei,
            gas_limit=head.gas_limit,
            coinbase="0x" + head.coinbase.hex(),
            prevrandao=head.prevrandao,
        )
    )
    sender, to, data = "0x" + order.sender.hex(), "0x" + order.to.hex(), order.data

    def call() -> bytes:
        checkpoint = engine.snapshot()
        answer: bytes = engine.message_call(sender, to, data, gas=order.gas_limit)
        engine.revert(checkpoint)
        return answer

    assert call() == execution.transactions[0].return_data

    def work() -> int:
        for _ in range(RUNS):
            call()
        return RUNS

    return work


PARTS: dict[str, Callable[[], list[Row]]] = {"warm": warm, "cold": rows_of_cold_calls}
