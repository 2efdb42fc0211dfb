"""Layers, reads and writes, and what is missing."""

from __future__ import annotations

import pytest

from seawall.native import (
    AccountState,
    Bundle,
    Evm,
    EvmInputError,
    EvmTransaction,
    Execution,
    Missing,
    Probe,
    StateOverride,
    keccak256,
    payload_digest,
)
from tests.unit.native.programs import (
    BASE_HASH,
    BLOCK_HASH,
    CHAIN_ID,
    COINBASE,
    COINBASE_BALANCE,
    CONTRACT,
    ETHER,
    GAS_PRICE_WEI,
    LOAD,
    OTHER,
    SENDER,
    STORE,
    TRANSIENT,
    block,
    call,
    evm,
    executed,
    missed,
    word,
)

EMPTY_CODE_HASH = keccak256(b"")


def test_nothing_runs_before_a_block_is_pinned() -> None:
    with pytest.raises(EvmInputError, match="no block is pinned"):
        Evm(CHAIN_ID).run([call()])


def test_unknown_accounts_are_missing_and_the_run_goes_on_to_find_more() -> None:
    machine = Evm(CHAIN_ID)
    machine.pin(block(), BASE_HASH)
    answer = missed(machine.run([call(value_wei=1, nonce=7)], [Probe(OTHER, b"")]))
    assert set(answer.accounts) == {SENDER, CONTRACT, COINBASE, OTHER}


def test_account_without_code_or_its_hash_misses_its_code() -> None:
    machine = Evm(CHAIN_ID)
    machine.pin(block(), BASE_HASH)
    machine.load([AccountState(a, ETHER, 0) for a in (SENDER, CONTRACT, COINBASE)])
    answer = missed(machine.run([call()]))
    assert not answer.accounts
    assert set(answer.codes) == {SENDER, CONTRACT, COINBASE}


def test_known_code_hash_needs_no_code_again_after_a_new_pin() -> None:
    machine = evm(LOAD)
    machine.pin(block(), bytes(32))
    assert machine.has_code(keccak256(LOAD))
    machine.load(
        [AccountState(a, ETHER, 0, EMPTY_CODE_HASH) for a in (SENDER, COINBASE)]
        + [AccountState(CONTRACT, 0, 1, keccak256(LOAD))],
        [(CONTRACT, word(5), word(6))],
    )
    assert executed(machine.run([call(word(5))])).transactions[0].return_data == word(6)


def test_code_that_is_not_of_its_hash_is_refused() -> None:
    machine = evm()
    with pytest.raises(EvmInputError, match="hashes to"):
        machine.load([AccountState(OTHER, 0, 1, keccak256(b"\x01"))], codes=[(OTHER, b"\x02")])


def test_code_without_its_account_is_refused() -> None:
    with pytest.raises(EvmInputError, match="not loaded"):
        evm().load(codes=[(b"\x77" * 20, b"\x00")])


def test_slot_is_missing_until_it_is_loaded() -> None:
    machine = evm(LOAD)
    assert missed(machine.run([call(word(5))])).slots == ((CONTRACT, word(5)),)
    machine.load(slots=[(CONTRACT, word(5), word(2**255))])
    answer = executed(machine.run([call(word(5))]))
    assert answer.transactions[0].return_data == word(2**255)
    assert answer.read_set.slots == ((CONTRACT, word(5)),)
    assert answer.write_set.slots == ()


def test_block_hash_is_missing_until_it_is_loaded_and_is_part_of_the_read_set() -> None:
    machine = evm(BLOCK_HASH)
    assert missed(machine.run([call(word(99))])).block_hashes == (99,)
    machine.load(block_hashes=[(99, b"\x99" * 32)])
    answer = executed(machine.run([call(word(99))]))
    assert answer.transactions[0].return_data == b"\x99" * 32
    assert answer.read_set.block_numbers == (99,)


def test_missing_is_never_an_execution_even_if_the_transaction_succeeds_on_zeros() -> None:
    machine = evm(LOAD)
    for _ in range(3):
        assert isinstance(machine.run([call(word(1)), call(word(1))], [Probe(CONTRACT, word(1))]), Missing)


def test_missing_in_a_probe_alone_is_missing() -> None:
    machine = evm(LOAD)
    machine.load(slots=[(CONTRACT, word(1), word(1))])
    assert missed(machine.run([call(word(1))], [Probe(CONTRACT, word(2))])).slots == ((CONTRACT, word(2)),)


def test_run_leaves_the_state_alone() -> None:
    machine = evm(STORE)
    machine.load(slots=[(CONTRACT, word(1), word(0))])
    first = executed(machine.run([call(word(1) + word(9))]))
    second = executed(machine.run([call(word(1) + word(9))]))
    assert first.gas_used == second.gas_used
    assert first.write_set.slots == second.write_set.slots == ((CONTRACT, word(1)),)


def test_value_written_by_the_bundle_itself_is_read_once_from_the_base() -> None:
    machine = evm(STORE)
    machine.load(slots=[(CONTRACT, word(1), word(0))])
    answer = executed(machine.run([call(word(1) + word(9)), call(word(1) + word(8))]))
    assert answer.read_set.slots == ((CONTRACT, word(1)),)
    assert answer.write_set.slots == ((CONTRACT, word(1)),)


def test_write_that_is_undone_within_the_bundle_is_no_write() -> None:
    machine = evm(STORE)
    machine.load(slots=[(CONTRACT, word(1), word(3))])
    answer = executed(machine.run([call(word(1) + word(9)), call(word(1) + word(3))]))
    assert answer.write_set.slots == ()


def test_fee_to_the_beneficiary_is_no_fact_unless_the_bundle_looks_at_it() -> None:
    plain = executed(evm(b"\x00").run([call()]))
    assert COINBASE not in plain.read_set.accounts
    assert COINBASE not in plain.write_set.accounts
    looking = executed(evm(COINBASE_BALANCE).run([call(), call()]))
    assert COINBASE in looking.read_set.accounts
    tips = [int.from_bytes(result.return_data, "big") for result in looking.transactions]
    assert tips == [0, looking.transactions[0].gas_used * (GAS_PRICE_WEI - 10**9)]


def test_beneficiary_is_not_even_asked_for_when_nothing_is_tipped() -> None:
    machine = Evm(CHAIN_ID)
    machine.pin(block(), BASE_HASH)
    machine.load(
        [AccountState(SENDER, ETHER, 0, EMPTY_CODE_HASH), AccountState(OTHER, 0, 0, EMPTY_CODE_HASH)]
    )
    assert executed(machine.run([call(to=OTHER, gas_price_wei=10**9)])).success


def test_execution_names_block_base_and_overlay() -> None:
    machine = evm(b"\x00")
    machine.push_overlay(call())
    answer = executed(machine.run([call()]))
    assert (answer.block_number, answer.base_hash) == (100, BASE_HASH)
    assert answer.overlay_digest == machine.overlay_digest() != bytes(32)


def test_overlay_is_seen_by_runs_and_by_later_pushes() -> None:
    machine = evm(STORE)
    machine.load(slots=[(CONTRACT, word(1), word(0))])
    cold = executed(machine.push_overlay(call(word(1) + word(9), nonce=0)))
    again = executed(machine.push_overlay(call(word(1) + word(9), nonce=1)))
    assert again.gas_used < cold.gas_used  # the slot holds 9 already
    stale = executed(machine.run([call(nonce=0)])).transactions[0]
    assert (stale.status, stale.failure) == ("rejected", "rejected: nonce 0 too low, expected 2")
    machine.reset_overlay()
    assert machine.overlay_digest() == bytes(32)
    assert executed(machine.run([call(word(1) + word(9), nonce=0)])).gas_used == cold.gas_used


def test_push_that_misses_state_pushes_nothing() -> None:
    machine = evm(STORE)
    push = call(word(1) + word(9), nonce=0)
    assert missed(machine.push_overlay(push)).slots == ((CONTRACT, word(1)),)
    assert machine.overlay_digest() == bytes(32)
    machine.load(slots=[(CONTRACT, word(1), word(0))])
    assert executed(machine.push_overlay(push)).success


def test_adopted_series_leaves_what_pushes_would_leave() -> None:
    pushed, adopted = evm(STORE), evm(STORE)
    first, second = call(word(1) + word(9), nonce=0), call(word(1) + word(9), nonce=1)
    looks = [Probe(CONTRACT, word(1) + word(7))]  # writes the slot again, and is undone
    for machine in (pushed, adopted):
        machine.load(slots=[(CONTRACT, word(1), word(0))])
    expected = [executed(pushed.push_overlay(order)) for order in (first, second)]
    found = [executed(each) for each in adopted.run_series([(first, looks), (second, looks)])]
    assert adopted.overlay_digest() == bytes(32)  # a series changes nothing
    assert [each.gas_used for each in found] == [each.gas_used for each in expected]
    assert [each.overlay_digest for each in found] == [each.overlay_digest for each in expected]
    assert adopted.adopt(2)
    assert adopted.overlay_digest() == pushed.overlay_digest()
    third = call(word(1) + word(9), nonce=2)
    expected_third, found_third = executed(pushed.run([third])), executed(adopted.run([third]))
    assert found_third.gas_used == expected_third.gas_used
    assert found_third.write_set.accounts == expected_third.write_set.accounts
    assert found_third.write_set.slots == expected_third.write_set.slots == ()  # it holds 9 already


def test_first_of_a_series_are_adopted_without_those_behind_them() -> None:
    pushed, adopted = evm(STORE), evm(STORE)
    orders = [call(word(1) + word(value), nonce=nonce) for nonce, value in enumerate((7, 8, 9))]
    for machine in (pushed, adopted):
        machine.load(slots=[(CONTRACT, word(1), word(0))])
    for order in orders[:2]:
        executed(pushed.push_overlay(order))
    assert len(adopted.run_series([(order, []) for order in orders])) == 3
    assert adopted.adopt(2)
    assert adopted.overlay_digest() == pushed.overlay_digest()
    again = call(word(1) + word(8), nonce=2)
    assert executed(adopted.run([again])).write_set.slots == ()
    assert executed(adopted.run([again])).gas_used == executed(pushed.run([again])).gas_used


def test_series_ends_with_what_fails_or_misses_state() -> None:
    machine = evm(STORE)
    machine.load(slots=[(CONTRACT, word(1), word(0)), (CONTRACT, word(3), word(0))])
    good, early = call(word(1) + word(9), nonce=0), call(word(3) + word(9), nonce=5)
    answers = machine.run_series([(good, []), (early, []), (good, [])])
    assert [executed(each).transactions[0].status for each in answers] == ["success", "rejected"]
    unknown = call(word(2) + word(9), nonce=1)
    first, second = machine.run_series([(good, []), (unknown, [])])
    assert executed(first).success
    assert missed(second).slots == ((CONTRACT, word(2)),)
    assert not machine.adopt(2)  # it did not succeed, so there is nothing of it to keep
    assert machine.overlay_digest() == bytes(32)
    machine.run_series([(good, []), (unknown, [])])
    assert machine.adopt(1)


def test_series_is_adopted_once_and_only_on_the_state_that_it_stood_on() -> None:
    machine = evm(STORE)
    machine.load(slots=[(CONTRACT, word(1), word(0))])
    order = call(word(1) + word(9), nonce=0)
    assert not machine.adopt(1)  # nothing was run
    machine.run_series([(order, [])])
    machine.load(slots=[(CONTRACT, word(1), word(5))])
    assert not machine.adopt(1)
    assert machine.overlay_digest() == bytes(32)
    machine.run_series([(order, [])])
    executed(machine.run([order]))  # changes nothing
    assert machine.adopt(1)
    assert not machine.adopt(1)


def test_brief_of_a_run_is_what_its_parts_say() -> None:
    machine = evm(STORE)
    machine.load([AccountState(OTHER, 0, 0, EMPTY_CODE_HASH)], [(CONTRACT, word(1), word(0))])
    good = executed(machine.run([call(value_wei=5, to=OTHER, nonce=0)], [Probe(OTHER, b"")]))
    result = good.transactions[0]
    (flow,) = result.flows
    flows = ((None, SENDER, OTHER, 5),)
    assert (flow.token, flow.sender, flow.recipient, flow.amount) == flows[0]
    assert good.brief() == (result.gas_used, result.sender_balance_wei, flows, (), (b"",), False)
    early = executed(machine.run([call(word(1) + word(9), nonce=5)]))
    assert early.brief() is None
    assert early.transactions[0].failure.startswith("rejected: nonce")


def test_balance_that_a_run_leaves_its_sender_is_after_fee_and_value() -> None:
    machine = evm(b"\x00")
    reader = StateOverride(OTHER, code=bytes.fromhex("5f35315f5260205ff3"))  # BALANCE of the first word
    order = call(value_wei=3, nonce=0, gas_price_wei=2 * 10**9)
    machine.load([AccountState(OTHER, 0, 0, EMPTY_CODE_HASH)])
    answer = executed(machine.run([order], [Probe(OTHER, SENDER.rjust(32, b"\0"))], [reader]))
    expected = int.from_bytes(answer.probes[0].return_data, "big")
    assert answer.transactions[0].sender_balance_wei == expected
    assert answer.probes[0].sender_balance_wei is None


def test_contract_made_in_the_overlay_runs_and_its_other_slots_are_zero() -> None:
    machine = evm()
    # PUSHn program, MSTORE at 0, RETURN its bytes from the end of that word
    push, size = bytes([0x5F + len(LOAD)]), bytes([0x60, len(LOAD), 0x60, 32 - len(LOAD), 0xF3])
    initcode = push + LOAD + bytes.fromhex("5f52") + size
    pushed = missed(machine.push_overlay(call(initcode, to=None)))
    machine.load([AccountState(address, 0, 0, EMPTY_CODE_HASH) for address in pushed.accounts])
    created = executed(machine.push_overlay(call(initcode, to=None))).transactions[0].created_address
    assert created is not None
    answer = executed(machine.run([call(word(77), to=created)]))
    assert answer.transactions[0].return_data == word(0)


def test_new_pin_drops_state_and_overlay() -> None:
    machine = evm(b"\x00")
    machine.push_overlay(call())
    machine.pin(block(), b"\x02" * 32)
    assert machine.overlay_digest() == bytes(32)
    assert SENDER in missed(machine.run([call()])).accounts


def test_overlay_digest_ignores_fees_and_nothing_else() -> None:
    def digest(push: EvmTransaction) -> bytes:
        machine = evm(b"\x00")
        executed(machine.push_overlay(push))
        return machine.overlay_digest()

    same = digest(call(nonce=0))
    assert digest(call(nonce=0, gas_price_wei=3 * 10**9)) == same
    others = [
        call(b"\x01", nonce=0),
        call(nonce=0, to=OTHER),
        call(nonce=0, value_wei=1),
        call(nonce=0, gas_limit=200_001),
        call(nonce=None),
    ]
    assert len({same, *map(digest, others)}) == 6


def test_overlay_digest_is_the_documented_chain() -> None:
    machine = evm(b"\x00")
    executed(machine.push_overlay(call(b"\x01\x02", value_wei=3, nonce=0)))
    payload = payload_digest(CHAIN_ID, SENDER, CONTRACT, b"\x01\x02", 3, 200_000)
    assert machine.overlay_digest() == keccak256(bytes(32) + payload + b"\x01" + (0).to_bytes(8, "big"))


def test_override_replaces_what_it_names_for_one_run() -> None:
    machine = evm(b"\x00")
    machine.load(slots=[(CONTRACT, word(1), word(4))])
    change = StateOverride(CONTRACT, code=LOAD, slots=[(word(2), word(6))])
    answer = executed(machine.run([call(word(1)), call(word(2))], overrides=[change]))
    assert [result.return_data for result in answer.transactions] == [word(4), word(6)]
    assert executed(machine.run([call(word(1))])).transactions[0].return_data == b""


def test_what_an_override_assumes_is_no_read_of_the_chain() -> None:
    machine = evm(b"\x00")
    machine.load(slots=[(CONTRACT, word(1), word(4))])
    partial = StateOverride(CONTRACT, code=LOAD, slots=[(word(2), word(6))])
    reads = executed(machine.run([call(word(1)), call(word(2))], overrides=[partial])).read_set
    assert reads.slots == ((CONTRACT, word(1)),)
    assert CONTRACT in reads.accounts
    complete = StateOverride(CONTRACT, balance_wei=0, nonce=1, code=STORE, slots=[(word(2), word(6))])
    answer = executed(machine.run([call(word(2) + word(7))], overrides=[complete]))
    assert (answer.read_set.slots, CONTRACT in answer.read_set.accounts) == ((), False)
    assert answer.write_set.slots == ((CONTRACT, word(2)),)


def test_override_of_funds_lets_a_poor_sender_pay() -> None:
    machine = evm(b"\x00")
    assert not executed(machine.run([call(value_wei=11 * ETHER)])).success
    rich = StateOverride(SENDER, balance_wei=12 * ETHER)
    assert executed(machine.run([call(value_wei=11 * ETHER)], overrides=[rich])).success


def test_complete_override_of_an_unknown_account_asks_for_nothing() -> None:
    unknown = b"\x99" * 20
    change = StateOverride(unknown, balance_wei=0, nonce=0, code=LOAD, slots=[(word(1), word(8))])
    answer = executed(evm().run([call(word(1), to=unknown)], overrides=[change]))
    assert answer.transactions[0].return_data == word(8)


def test_partial_override_of_an_unknown_account_still_misses_it() -> None:
    change = StateOverride(b"\x99" * 20, balance_wei=1)
    assert missed(evm().run([call(to=b"\x99" * 20)], overrides=[change])).accounts == (b"\x99" * 20,)


def test_transient_storage_does_not_leak_between_transactions_or_into_probes() -> None:
    answer = executed(evm(TRANSIENT).run([call(), call()], [Probe(CONTRACT, b""), Probe(CONTRACT, b"")]))
    results = [*answer.transactions, *answer.probes]
    assert [result.return_data for result in results] == [word(0)] * 4


def test_probes_see_the_state_after_the_transactions_and_change_nothing() -> None:
    machine = evm(bytes.fromhex("5f545f52") + bytes.fromhex("60015f540160005560205ff3"))
    machine.load(slots=[(CONTRACT, word(0), word(10))])
    probe = Probe(CONTRACT, b"")
    answer = executed(machine.run([call(), call()], [probe, probe]))
    assert [result.return_data for result in answer.transactions] == [word(10), word(11)]
    assert [result.return_data for result in answer.probes] == [word(12), word(12)]


def test_probe_fails_alone() -> None:
    answer = executed(evm(bytes.fromhex("5f355f54")).run([], [Probe(OTHER, b"")]))
    assert answer.probes[0].success
    reverting = executed(
        evm(bytes.fromhex("5f5ffd")).run([call(to=OTHER)], [Probe(CONTRACT, b""), Probe(OTHER, b"")])
    )
    assert reverting.success
    assert [probe.status for probe in reverting.probes] == ["reverted", "success"]


def test_bundles_of_run_many_are_independent_and_in_order() -> None:
    machine = evm(STORE)
    machine.load(slots=[(CONTRACT, word(1), word(0)), (CONTRACT, word(2), word(0))])
    bundles = [Bundle([call(word(1 + index % 2) + word(index))]) for index in range(20)]
    answers = machine.run_many([*bundles, Bundle([call(word(3) + word(1))])])
    assert [isinstance(answer, Execution) for answer in answers] == [True] * 20 + [False]
    assert executed(answers[5]).write_set.slots == ((CONTRACT, word(2)),)


def test_bundle_beyond_its_bound_is_refused() -> None:
    with pytest.raises(EvmInputError, match="1025 parts"):
        evm().run([call()] * 1025)
