"""Executor plans from the Python encoder, on the true protocols of the devnet: landing, booking, refusing."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Sequence

import pytest

from seawall.native import encode_call
from seawall.primitives.blocks import Log
from seawall.primitives.plans import TokenBound
from seawall.primitives.units import NATIVE, Address, Hash, hex_text
from seawall.protocols.executor.artifacts import EXECUTOR, REGISTRY, load_artifact
from seawall.protocols.executor.encoding import Execution, encode_operations
from seawall.protocols.executor.events import Executed, NativeMoved, Revert, decode_event, decode_revert
from seawall.protocols.executor.operations import (
    Call,
    Flash,
    Loan,
    Measure,
    Measured,
    Operation,
    Splice,
    SwapV2,
    SwapV3,
)
from seawall.rollout.devnet import GUARDIAN, PAUSER, TRADERS, Devnet, Trader
from seawall.rollout.devnet.steering import authorise

pytestmark = pytest.mark.anvil

ETHER = 10**18
OPERATOR = TRADERS[2]
BENEFICIARY = Address(b"\x77" * 20)
DIGEST = Hash(b"\x5a" * 32)
FEE_WEI = 10**15
FAR_FUTURE_S = 2**40
# Of the whole transaction, with a fresh bitmap word and a beneficiary that held no WETH: 359,982 in 2026-11.
FLASH_ARBITRAGE_GAS_MAX = 380_000


def arbitrage(devnet: Devnet, amount: int) -> Flash:
    book = devnet.book
    weth, usdx = book.address("weth"), book.address("usdx")
    there = SwapV2(
        book.address("uniswap_v2_factory"), weth, usdx, amount, measure=(Measure("dollars", usdx),)
    )
    back = SwapV3(book.address("uniswap_v3_factory"), usdx, weth, 500, Measured("dollars"))
    return Flash(book.address("balancer_vault"), (Loan(weth, amount),), (there, back))


def calldata(
    devnet: Devnet,
    operations: Sequence[Operation],
    *,
    intent_id: int = 1,
    min_profit: int = 0,
    fee_wei: int = FEE_WEI,
    bounds: tuple[TokenBound, ...] = (),
    accounting_token: Address | None = None,
) -> bytes:
    token = accounting_token or devnet.book.address("weth")
    execution = Execution(encode_operations(operations), bounds, FAR_FUTURE_S, min_profit, token)
    return execution.calldata(intent_id=intent_id, plan_digest=DIGEST, max_fee_wei=fee_wei)


def land(devnet: Devnet, data: bytes) -> tuple[list[Executed | NativeMoved], int]:
    """Events of ours in the receipt, and the gas used."""
    executor = devnet.book.address("atomic_executor")
    (receipt,) = devnet.rpc.settle([devnet.rpc.send(OPERATOR, executor, data)], mine=True)
    logs = receipt["logs"]
    assert isinstance(logs, list)
    events = []
    for entry in logs:
        assert isinstance(entry, dict)
        topics = entry["topics"]
        assert isinstance(topics, list)
        log = Log(
            address=Address(raw(entry["address"])),
            topics=tuple(Hash(raw(topic)) for topic in topics),
            data=raw(entry["data"]),
            block_hash=Hash(raw(receipt["blockHash"])),
            block_number=int(str(receipt["blockNumber"]), 16),
            transaction_hash=Hash(raw(receipt["transactionHash"])),
            log_index=int(str(entry["logIndex"]), 16),
        )
        event = decode_event(log, executor)
        if event is not None:
            events.append(event)
    return events, int(str(receipt["gasUsed"]), 16)


def refusal(devnet: Devnet, data: bytes) -> Revert:
    """How the executor refuses `data`, from the bytes that the node reports."""
    call = {
        "from": hex_text(OPERATOR),
        "to": hex_text(devnet.book.address("atomic_executor")),
        "data": hex_text(data),
    }
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_call", "params": [call, "latest"]}).encode()
    request = urllib.request.Request(devnet.info.rpc_url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as response:
        error = json.load(response)["error"]
    decoded = decode_revert(raw(error["data"]))
    assert decoded is not None
    return decoded


def raw(text: object) -> bytes:
    return bytes.fromhex(str(text).removeprefix("0x"))


def balance(devnet: Devnet, token: str, holder: Address) -> int:
    return int.from_bytes(
        devnet.rpc.view(devnet.book.address(token), encode_call("balanceOf(address)", (holder,)))
    )


def test_deployed_code_is_that_of_the_committed_artifacts(shared_devnet: Devnet) -> None:
    book = shared_devnet.book
    executor, registry = shared_devnet.rpc.codes(
        [book.address("atomic_executor"), book.address("policy_registry")]
    )
    assert load_artifact(EXECUTOR).is_code_of(executor)
    assert load_artifact(REGISTRY).is_code_of(registry)
    assert not load_artifact(EXECUTOR).is_code_of(registry)
    assert not load_artifact(REGISTRY).is_code_of(registry[:-1] + b"\x00\x01")


def test_flash_arbitrage_lands_and_says_what_the_beneficiary_gained(devnet: Devnet) -> None:
    authorise(devnet, OPERATOR, BENEFICIARY)
    Trader(devnet).open_gap_v2("weth", "usdx", 300)
    intent_id = (0xABC << 128) | 5
    events, gas = land(devnet, calldata(devnet, (arbitrage(devnet, 10 * ETHER),), intent_id=intent_id))
    gained = balance(devnet, "weth", BENEFICIARY)
    assert gained > FEE_WEI
    assert events == [Executed(intent_id, DIGEST, devnet.book.address("weth"), gained)]
    assert balance(devnet, "weth", devnet.book.address("atomic_executor")) == 0
    assert balance(devnet, "usdx", devnet.book.address("atomic_executor")) == 0
    assert gas <= FLASH_ARBITRAGE_GAS_MAX


def test_native_legs_are_booked_and_measured_native_token_is_wrapped_again(devnet: Devnet) -> None:
    authorise(devnet, OPERATOR, BENEFICIARY)
    weth = devnet.book.address("weth")
    unwrap = Call(weth, encode_call("withdraw(uint256)", (ETHER,)), measure=(Measure("native", NATIVE),))
    wrap = Call(weth, encode_call("deposit()", ()), value_wei=Measured("native"))
    loan = Flash(devnet.book.address("balancer_vault"), (Loan(weth, ETHER),), (unwrap, wrap))
    events, _ = land(devnet, calldata(devnet, (loan,), fee_wei=0))
    assert events[:2] == [NativeMoved(weth, ETHER), NativeMoved(weth, -ETHER)]
    assert isinstance(events[2], Executed)


def test_measured_amount_is_spliced_into_an_argument(devnet: Devnet) -> None:
    authorise(devnet, OPERATOR, BENEFICIARY)
    weth = devnet.book.address("weth")
    wrap = Call(weth, encode_call("deposit()", ()), value_wei=ETHER // 2, measure=(Measure("wrapped", weth),))
    unwrap = Call(weth, encode_call("withdraw(uint256)", (0,)), splices=(Splice(0, Measured("wrapped")),))
    first = Call(weth, encode_call("withdraw(uint256)", (ETHER,)))
    again = Call(weth, encode_call("deposit()", ()), value_wei=ETHER)
    loan = Flash(devnet.book.address("balancer_vault"), (Loan(weth, ETHER),), (first, wrap, unwrap, again))
    events, _ = land(devnet, calldata(devnet, (loan,), fee_wei=0))
    assert [event.amount_wei for event in events if isinstance(event, NativeMoved)] == [
        ETHER,
        -ETHER // 2,
        ETHER // 2,
        -ETHER,
    ]


def test_refusals_say_why_in_plain_words(devnet: Devnet) -> None:
    authorise(devnet, OPERATOR, BENEFICIARY)
    book = devnet.book
    weth, usdx = book.address("weth"), book.address("usdx")
    plan = (arbitrage(devnet, ETHER),)
    executor = book.address("atomic_executor")

    # Without a gap the loan cannot be repaid: the token itself refuses.
    assert refusal(devnet, calldata(devnet, plan)).name == "TokenCallFailed"

    transfer = Call(weth, encode_call("transfer(address,uint256)", (OPERATOR, 1)))
    assert "not on the allow-list" in refusal(devnet, calldata(devnet, (transfer,))).text
    unwrap = Call(weth, encode_call("withdraw(uint256)", (1,)))
    failed = refusal(devnet, calldata(devnet, (unwrap,)))
    assert failed.name == "OperationFailed"
    assert "the call of 0x2e1a7d4d" in failed.text
    assert "is below minimum and fee together" in refusal(devnet, calldata(devnet, ())).text
    lender = Flash(executor, (Loan(weth, 1),), ())
    assert refusal(devnet, calldata(devnet, (lender,))).name == "LenderRefused"
    greedy = SwapV2(book.address("uniswap_v2_factory"), weth, usdx, ETHER, min_out=2**200)
    assert "the plan demands" in refusal(devnet, calldata(devnet, (greedy,))).text
    unmet = calldata(devnet, (), fee_wei=0, bounds=(TokenBound(usdx, "inflow", 5),))
    assert "0 of" in refusal(devnet, unmet).text
    dear = calldata(devnet, (), fee_wei=0, accounting_token=usdx)
    assert refusal(devnet, dear).name == "AccountingTokenUnpriced"


def test_an_intent_lands_once_and_a_halt_holds(devnet: Devnet) -> None:
    authorise(devnet, OPERATOR, BENEFICIARY)
    executor = devnet.book.address("atomic_executor")
    empty = calldata(devnet, (), fee_wei=0)
    land(devnet, empty)
    assert refusal(devnet, empty).text == "intent 1 has landed before"

    plan = calldata(devnet, (arbitrage(devnet, ETHER),), intent_id=2)
    halt = devnet.rpc.send(GUARDIAN, executor, encode_call("halt()", ()))
    devnet.rpc.settle([halt], mine=True)
    assert refusal(devnet, plan).name == "Halted"


def test_a_pauser_reaches_reduce_only_and_no_further(devnet: Devnet) -> None:
    authorise(devnet, OPERATOR, BENEFICIARY)
    executor = devnet.book.address("atomic_executor")
    devnet.rpc.settle([devnet.rpc.send(PAUSER, executor, encode_call("reduceOnly()", ()))], mine=True)
    assert int.from_bytes(devnet.rpc.view(executor, encode_call("level()", ()))) == 1
    borrow = Call(devnet.book.address("debt_desk"), encode_call("borrow(uint256)", (1,)))
    assert "not allowed in REDUCE_ONLY" in refusal(devnet, calldata(devnet, (borrow,))).text
