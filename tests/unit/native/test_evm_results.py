"""How transactions end, what they move, and under which rules they run."""

from __future__ import annotations

import threading

import pytest

from seawall.native import (
    HARDFORKS,
    AddressError,
    BlockEnvironment,
    EncodingError,
    EvmInputError,
    EvmTransaction,
    Execution,
    abi_encode,
    selector,
)
from tests.unit.native.programs import (
    CHAIN_ID,
    COINBASE,
    CONTRACT,
    DESTROY,
    ECHO_REVERT,
    ETHER,
    FORWARD,
    GAS_PRICE_WEI,
    LOOP,
    OTHER,
    SENDER,
    call,
    evm,
    executed,
    word,
)

PUSH0, TLOAD, BASEFEE, CHAINID, SHL, CLZ = (
    "5f5000",
    "5f5c5000",
    "485000",
    "465000",
    "600060001b5000",
    "60001e5000",
)


@pytest.mark.parametrize(
    ("program", "since"),
    [
        (SHL, "petersburg"),
        (CHAINID, "istanbul"),
        (BASEFEE, "london"),
        (PUSH0, "shanghai"),
        (TLOAD, "cancun"),
        (CLZ, "osaka"),
    ],
)
def test_every_hardfork_knows_its_own_opcodes_only(program: str, since: str) -> None:
    for index, hardfork in enumerate(HARDFORKS):
        machine = evm(bytes.fromhex(program), hardfork, base_fee_wei=0)
        result = executed(machine.run([call(gas_price_wei=1)])).transactions[0]
        assert result.success == (index >= HARDFORKS.index(since)), (hardfork, result.failure)


@pytest.mark.parametrize("name", ["", "latest", "Cancun", "merge", "amsterdam", "next"])
def test_unknown_hardfork_is_refused_and_the_known_are_named(name: str) -> None:
    with pytest.raises(EvmInputError, match="cancun"):
        BlockEnvironment(1, 1, 1, 1, COINBASE, bytes(32), name)


def test_environment_is_what_was_pinned() -> None:
    ops = [0x43, 0x42, 0x48, 0x41, 0x44, 0x45, 0x46, 0x4A]
    program = b"".join(bytes([op, 0x60, 32 * index, 0x52]) for index, op in enumerate(ops))
    program += bytes.fromhex("6101005ff3")
    answer = executed(evm(program).run([call()])).transactions[0].return_data
    expected = [
        100,
        1_700_000_000,
        10**9,
        int.from_bytes(COINBASE, "big"),
        int.from_bytes(b"\xaa" * 32, "big"),
    ]
    assert answer == b"".join(map(word, [*expected, 30_000_000, CHAIN_ID, 7]))


def test_out_of_gas_halts_and_costs_the_whole_limit() -> None:
    result = executed(evm(LOOP).run([call(gas_limit=100_000)])).transactions[0]
    assert (result.status, result.gas_used) == ("halted", 100_000)
    assert "OutOfGas" in result.failure


@pytest.mark.parametrize(
    ("transaction", "reason"),
    [
        (call(value_wei=10 * ETHER), "lack of funds"),
        (call(gas_price_wei=10**15), "lack of funds"),
        (call(nonce=1), "nonce 1 too high"),
        (call(gas_price_wei=10**9 - 1), "less than basefee"),
        (call(gas_limit=20_999), "exceeds the gas limit"),
        (call(gas_limit=30_000_001), "block gas limit"),
    ],
)
def test_transaction_that_no_block_would_take_is_rejected(transaction: EvmTransaction, reason: str) -> None:
    answer = executed(evm(b"\x00").run([transaction, call(nonce=0)]))
    rejected, next_one = answer.transactions
    assert (rejected.status, rejected.gas_used) == ("rejected", 0)
    assert reason in rejected.failure
    assert next_one.success
    assert not answer.success


def test_fee_is_reserved_at_the_price_given() -> None:
    exact = 10 * ETHER - 200_000 * GAS_PRICE_WEI
    assert executed(evm(b"\x00").run([call(value_wei=exact)])).success
    assert not executed(evm(b"\x00").run([call(value_wei=exact + 1)])).success


def test_price_of_zero_means_that_fees_do_not_matter() -> None:
    answer = executed(evm(b"\x00").run([call(value_wei=10 * ETHER, gas_price_wei=0)]))
    assert answer.success


@pytest.mark.parametrize(
    ("data", "kind", "text"),
    [
        (selector("Error(string)") + abi_encode(["string"], ["K"]), "error", "K"),
        (selector("Panic(uint256)") + word(0x11), "panic", "arithmetic overflow or underflow (0x11)"),
        (selector("Panic(uint256)") + word(0xEE), "panic", "unknown panic (0xee)"),
        (selector("Late(uint256)") + word(5), "custom", "0x" + selector("Late(uint256)").hex()),
        (selector("Error(string)") + word(2**200), "custom", "0x08c379a0"),
        (selector("Panic(uint256)"), "custom", "0x4e487b71"),
        (b"\x01\x02", "custom", "0x0102"),
        (b"", "empty", ""),
    ],
)
def test_revert_reason_is_decoded_as_far_as_the_bytes_tell(data: bytes, kind: str, text: str) -> None:
    result = executed(evm(ECHO_REVERT).run([call(data)])).transactions[0]
    assert result.status == "reverted"
    assert result.return_data == data
    reason = result.revert_reason
    assert reason is not None
    assert (reason.kind, reason.message, reason.data) == (kind, text, data)
    assert reason.selector == (data[:4] if len(data) >= 4 else None)


def test_native_moves_count_internal_calls_and_not_the_fee() -> None:
    answer = executed(evm(FORWARD).run([call(bytes(12) + OTHER, value_wei=5)]))
    flows = answer.transactions[0].flows
    assert [(flow.token, flow.sender, flow.recipient, flow.amount) for flow in flows] == [
        (None, SENDER, CONTRACT, 5),
        (None, CONTRACT, OTHER, 5),
    ]
    assert set(answer.write_set.accounts) == {SENDER, OTHER}


def test_reverted_transaction_moves_nothing() -> None:
    result = executed(evm(ECHO_REVERT).run([call(value_wei=5)])).transactions[0]
    assert result.flows == ()
    assert result.logs == ()


def test_self_destruction_moves_the_whole_balance() -> None:
    flows = executed(evm(DESTROY).run([call(bytes(12) + OTHER)])).transactions[0].flows
    assert [(flow.sender, flow.recipient, flow.amount) for flow in flows] == [(CONTRACT, OTHER, 10 * ETHER)]


def test_trace_is_a_tree_and_only_on_demand() -> None:
    machine = evm(FORWARD)
    push = call(bytes(12) + OTHER, value_wei=5)
    assert executed(machine.run([push])).transactions[0].trace is None
    traced = executed(machine.run([push], trace=True))
    assert traced.gas_used == executed(machine.run([push])).gas_used
    frames = traced.transactions[0].trace
    assert frames is not None
    assert [(frame.depth, frame.kind, frame.sender, frame.to, frame.value_wei) for frame in frames] == [
        (0, "call", SENDER, CONTRACT, 5),
        (1, "call", CONTRACT, OTHER, 5),
    ]
    assert frames[0].input == bytes(12) + OTHER
    assert all(frame.success for frame in frames)


def test_access_list_warms_what_it_names() -> None:
    machine = evm(bytes.fromhex("5f5450" + "00"))
    machine.load(slots=[(CONTRACT, word(0), word(1))])
    listed = EvmTransaction(SENDER, CONTRACT, b"", 0, 200_000, GAS_PRICE_WEI, None, ((CONTRACT, (word(0),)),))
    plain, warmed = executed(machine.run([call()])).gas_used, executed(machine.run([listed])).gas_used
    assert warmed - plain == 2400 + 1900 - 2000


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: EvmTransaction(b"\x01", None, b"", 0, 1, 1),
        lambda: EvmTransaction(SENDER, None, b"", -1, 1, 1),
        lambda: EvmTransaction(SENDER, None, b"", 0, 2**64, 1),
        lambda: EvmTransaction(SENDER, None, b"", 0, 1, 2**128),
        lambda: EvmTransaction(SENDER, None, "0x", 0, 1, 1),  # type: ignore[arg-type]
        lambda: EvmTransaction(SENDER, None, b"", 0, True, 1),
    ],
)
def test_input_of_the_wrong_shape_is_refused(wrong: object) -> None:
    assert callable(wrong)
    with pytest.raises((AddressError, EncodingError)):
        wrong()


def test_threads_share_one_evm_while_state_is_loaded() -> None:
    machine = evm(LOOP)
    answers: list[Execution] = []

    def work() -> None:
        answers.extend(executed(machine.run([call(gas_limit=50_000)])) for _ in range(50))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for index in range(50):
        machine.load(slots=[(OTHER, word(index), word(index))])
    for thread in threads:
        thread.join()
    assert {answer.gas_used for answer in answers} == {50_000}
    assert len(answers) == 150
