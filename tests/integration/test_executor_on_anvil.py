"""Executor plans from the Python encoder, on the true protocols of the devnet: landing, booking, refusing.

Loans come from Balancer's vault, Aave V3.6, Morpho Blue and a Uniswap V3 pool.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Sequence
from dataclasses import replace

import pytest

from seawall.native import encode_call
from seawall.primitives.blocks import Log
from seawall.primitives.plans import TokenBound
from seawall.primitives.units import NATIVE, ZERO_ADDRESS, Address, Hash, hex_text
from seawall.protocols.executor.artifacts import EXECUTOR, REGISTRY, load_artifact
from seawall.protocols.executor.batches import SegmentCall, batch_calldata, segment_ended
from seawall.protocols.executor.checks import (
    BalanceAtLeast,
    BalanceAtMost,
    BookHealthFloor,
    Check,
    FeedFresh,
    FeedTwapAgree,
    FeedWithin,
    HealthFloor,
    TwapAgrees,
    encode_checks,
)
from seawall.protocols.executor.encoding import Execution, encode_operations
from seawall.protocols.executor.events import Executed, NativeMoved, Revert, decode_event, decode_revert
from seawall.protocols.executor.operations import (
    Call,
    CallWithAllowance,
    Flash,
    Loan,
    Measure,
    Measured,
    Operation,
    RepayDebt,
    Splice,
    SwapV2,
    SwapV3,
)
from seawall.protocols.executor.policy import LenderKind
from seawall.rollout.devnet import GUARDIAN, OWNER, PAUSER, TRADERS, Devnet, Trader
from seawall.rollout.devnet.steering import authorise, mine

pytestmark = pytest.mark.anvil

ETHER = 10**18
OPERATOR = TRADERS[2]
BENEFICIARY = Address(b"\x77" * 20)
DIGEST = Hash(b"\x5a" * 32)
FEE_WEI = 10**15
FAR_FUTURE_S = 2**40
# Of the whole transaction, with a fresh bitmap word and a beneficiary that held no WETH: 359,982 in 2026-11.
FLASH_ARBITRAGE_GAS_MAX = 380_000


# Who lends besides Balancer, and what a loan costs at most [bps].
LENDERS = (
    (LenderKind.AAVE_V3, "aave_pool", 10),
    (LenderKind.AAVE_V3_MULTI, "aave_pool", 10),
    (LenderKind.MORPHO_BLUE, "morpho", 0),
    (LenderKind.UNISWAP_V3, "uniswap_v3_weth_usdx_3000", 30),
)


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
    checks: tuple[Check, ...] = (),
) -> bytes:
    token = accounting_token or devnet.book.address("weth")
    execution = execution_of(operations, token, bounds, min_profit, checks)
    return execution.calldata(intent_id=intent_id, plan_digest=DIGEST, max_fee_wei=fee_wei)


def execution_of(
    operations: Sequence[Operation],
    token: Address,
    bounds: tuple[TokenBound, ...] = (),
    min_profit: int = 0,
    checks: tuple[Check, ...] = (),
) -> Execution:
    packed, demanded = encode_operations(operations), encode_checks(checks)
    return Execution(packed, bounds, FAR_FUTURE_S, min_profit, token, demanded)


def list_lender(devnet: Devnet, lender: Address, kind: LenderKind) -> None:
    names = (devnet.book.address("atomic_executor"), lender, int(kind))
    data = encode_call("setLender(address,address,uint8)", names)
    devnet.rpc.settle([devnet.rpc.send(OWNER, devnet.book.address("policy_registry"), data)], mine=True)


def give(devnet: Devnet, token: str, amount: int) -> None:
    """To the executor, as by mistake."""
    data = encode_call("transfer(address,uint256)", (devnet.book.address("atomic_executor"), amount))
    devnet.rpc.settle([devnet.rpc.send(OWNER, devnet.book.address(token), data)], mine=True)


def land(devnet: Devnet, data: bytes) -> tuple[list[Executed | NativeMoved], int]:
    """Events of ours in the receipt, and the gas used."""
    executor = devnet.book.address("atomic_executor")
    logs, gas = land_logs(devnet, data)
    events = (decode_event(log, executor) for log in logs)
    return [event for event in events if event is not None], gas


def land_logs(devnet: Devnet, data: bytes) -> tuple[list[Log], int]:
    executor = devnet.book.address("atomic_executor")
    (receipt,) = devnet.rpc.settle([devnet.rpc.send(OPERATOR, executor, data)], mine=True)
    entries = receipt["logs"]
    assert isinstance(entries, list)
    logs = []
    for entry in entries:
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
        logs.append(log)
    return logs, int(str(receipt["gasUsed"]), 16)


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


@pytest.mark.parametrize(("kind", "lender", "fee_bps"), LENDERS, ids=[kind.name for kind, _, _ in LENDERS])
def test_each_lender_is_repaid_with_its_fee_and_may_take_no_more(
    devnet: Devnet, kind: LenderKind, lender: str, fee_bps: int
) -> None:
    authorise(devnet, OPERATOR, BENEFICIARY)
    book = devnet.book
    list_lender(devnet, book.address(lender), kind)
    Trader(devnet).open_gap_v2("weth", "usdx", 300)
    amount = 10 * ETHER
    most = amount * fee_bps // 10_000
    loan = replace(
        arbitrage(devnet, amount),
        lender=book.address(lender),
        lender_kind=kind,
        loans=(Loan(book.address("weth"), amount, most),),
    )
    if most:
        mean = replace(loan, loans=(Loan(book.address("weth"), amount, 1),))
        assert "asked back, the plan allows" in refusal(devnet, calldata(devnet, (mean,))).text
    events, _ = land(devnet, calldata(devnet, (loan,)))
    gained = balance(devnet, "weth", BENEFICIARY)
    assert events == [Executed(1, DIGEST, book.address("weth"), gained)]
    assert gained > FEE_WEI
    executor = book.address("atomic_executor")
    left = encode_call("allowance(address,address)", (executor, book.address(lender)))
    assert int.from_bytes(devnet.rpc.view(book.address("weth"), left)) == 0
    assert balance(devnet, "weth", executor) == balance(devnet, "usdx", executor) == 0


def test_a_loan_of_all_assets_at_once_and_loans_within_loans(devnet: Devnet) -> None:
    authorise(devnet, OPERATOR, BENEFICIARY)
    book = devnet.book
    weth, usdx = book.address("weth"), book.address("usdx")
    Trader(devnet).open_gap_v2("weth", "usdx", 300)
    nested: Operation = arbitrage(devnet, 10 * ETHER)
    for kind, lender, fee_bps in LENDERS:
        if kind is LenderKind.AAVE_V3:
            continue
        list_lender(devnet, book.address(lender), kind)
        loans = [Loan(weth, ETHER, ETHER * fee_bps // 10_000)]
        if kind is not LenderKind.MORPHO_BLUE:
            loans.append(Loan(usdx, 10**6, 10**6 * fee_bps // 10_000))
        loans.sort(key=lambda loan: loan.token)
        nested = Flash(book.address(lender), tuple(loans), (nested,), lender_kind=kind)
    bounds = (TokenBound(usdx, "outflow", 10**5),)
    give(devnet, "usdx", 10**5)
    land(devnet, calldata(devnet, (nested,), bounds=bounds))
    assert balance(devnet, "weth", BENEFICIARY) > FEE_WEI


def test_checks_hold_what_the_plan_demands_of_the_world(devnet: Devnet) -> None:
    authorise(devnet, OPERATOR, BENEFICIARY)
    book = devnet.book
    feed, pool, weth = (
        book.address("feed_eth_usd"),
        book.address("uniswap_v3_weth_usdx_500"),
        book.address("weth"),
    )
    mine(devnet)
    met: tuple[Check, ...] = (
        FeedFresh(feed, 10**9),
        FeedWithin(feed, 1, 10**15),
        TwapAgrees(pool, 1, 100),
        FeedTwapAgree(feed, pool, weth, 1, 200),
        HealthFloor(book.address("aave_pool"), 2 * ETHER),
        BookHealthFloor(book.address("risk_book"), 2 * ETHER),
        BalanceAtLeast(weth, 0),
        BalanceAtMost(weth, 0),
    )
    land(devnet, calldata(devnet, (), fee_wei=0, checks=met))
    unmet: tuple[tuple[Check, str], ...] = (
        (FeedFresh(weth, 1), "does not answer"),
        (FeedWithin(feed, 1, 2), "outside 1..2"),
        (FeedTwapAgree(feed, pool, feed, 1, 200), "is not a token of pool"),
        (BalanceAtLeast(weth, 1), "at least 1 were to be"),
        (BalanceAtMost(weth, 0, OWNER), "at most 0 were to be"),
    )
    for check, words in unmet:
        revert = refusal(devnet, calldata(devnet, (), intent_id=2, fee_wei=0, checks=(check,)))
        assert revert.text.startswith("check 0: ")
        assert words in revert.text


def test_a_debt_is_repaid_by_what_is_owed_when_the_plan_runs(devnet: Devnet) -> None:
    authorise(devnet, OPERATOR, BENEFICIARY)
    book = devnet.book
    executor, weth, usdx = book.address("atomic_executor"), book.address("weth"), book.address("usdx")
    desk, debt = book.address("debt_desk"), book.address("debt_usdx")
    put_up, owed = ETHER // 10, 100 * 10**6
    give(devnet, "weth", put_up)
    borrow = (
        CallWithAllowance(desk, encode_call("deposit(uint256)", (put_up,)), weth, put_up),
        Call(desk, encode_call("borrow(uint256)", (owed,))),
    )
    bounds = (TokenBound(weth, "outflow", put_up), TokenBound(debt, "debt_increase", owed + 1))  # rounded up
    land(devnet, calldata(devnet, borrow, fee_wei=0, bounds=bounds))
    assert balance(devnet, "debt_usdx", executor) >= owed

    repay = RepayDebt(desk, encode_call("repay(uint256,address)", (0, executor)), 0, usdx, debt, 10**30)
    assert (
        "nothing is here to repay" in refusal(devnet, calldata(devnet, (repay,), intent_id=2, fee_wei=0)).text
    )
    give(devnet, "usdx", 2 * owed)
    devnet.rpc.settle([devnet.rpc.send(PAUSER, executor, encode_call("reduceOnly()", ()))], mine=True)
    spent = (TokenBound(usdx, "outflow", owed + 10**6),)
    land(devnet, calldata(devnet, (repay,), intent_id=2, fee_wei=0, bounds=spent))
    assert balance(devnet, "debt_usdx", executor) == 0
    assert balance(devnet, "usdx", BENEFICIARY) > owed


def test_segments_of_a_batch_end_each_for_itself(devnet: Devnet) -> None:
    authorise(devnet, OPERATOR, BENEFICIARY)
    executor, weth = devnet.book.address("atomic_executor"), devnet.book.address("weth")
    Trader(devnet).open_gap_v2("weth", "usdx", 300)
    good = execution_of((arbitrage(devnet, ETHER),), weth)
    poor = execution_of((), weth)
    segments = [
        SegmentCall(execution, intent_id, DIGEST, FEE_WEI, 600_000)
        for intent_id, execution in enumerate((good, poor, good))
    ]
    logs, _ = land_logs(devnet, batch_calldata(segments))
    ends = [end for log in logs if (end := segment_ended(log, executor)) is not None]
    assert [(end.intent_id, end.plan_digest, end.landed) for end in ends] == [
        (0, DIGEST, True),
        (1, DIGEST, False),
        (2, DIGEST, True),
    ]
    assert "is below minimum and fee together" in ends[1].reason_text
    assert all(20_000 < end.gas_used < 700_000 for end in ends)
    assert sum(isinstance(decode_event(log, executor), Executed) for log in logs) == 2
    failed = refusal(
        devnet, batch_calldata([replace(one, intent_id=one.intent_id + 5) for one in segments], atomic=True)
    )
    assert failed.text.startswith("segment 1 of an atomic batch failed: profit 0 is below")


def test_position_plans_are_for_accounts(devnet: Devnet) -> None:
    authorise(devnet, OPERATOR, BENEFICIARY)
    data = calldata(devnet, (), accounting_token=ZERO_ADDRESS)
    assert "lets it hold no positions" in refusal(devnet, data).text
