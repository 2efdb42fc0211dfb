"""What a call will read is found by looking: several levels at once, bounded, and without any effect."""

from __future__ import annotations

from typing import Final

import pytest

from seawall.chain.exploring import KEYS_MAX, look
from seawall.native.evm import AccountState, Evm, Execution, Missing
from tests.unit.native.programs import BASE_HASH, CHAIN_ID, COINBASE, CONTRACT, ETHER, SENDER, block, call

ONE: Final = (1).to_bytes(32, "big")
ZERO: Final = bytes(32)
NAMES: Final = (b"\xa1" * 20, b"\xa2" * 20, b"\xa3" * 20)


def required(code: bytes) -> bytes:
    """Goes on if what is on the stack is not zero, else reverts."""
    return bytes((0x60, len(code) + 6, 0x57)) + bytes.fromhex("5f5ffd5b")


def entry(callees: tuple[bytes, ...]) -> bytes:
    """Requires its first slot, then each callee's answer."""
    code = bytes.fromhex("5f54")
    code += required(code)
    for callee in callees:
        code += bytes.fromhex("60205f5f5f5f73") + callee + bytes.fromhex("5af15f5102")
        code += required(code)
    return code + b"\x00"


def answering() -> bytes:
    """Answers its first slot, which must not be zero."""
    code = bytes.fromhex("5f5480")
    return code + required(code) + bytes.fromhex("5f5260205ff3")


# Reads one slot after the other, without an end.
READER: Final = bytes.fromhex("5f5b80545060010160015600")


class World:
    """What there is, and what of it was asked for."""

    def __init__(self, codes: dict[bytes, bytes]) -> None:
        self.codes = codes
        self.known: dict[bytes, bytes] = {}
        self.evm = Evm(CHAIN_ID)
        self.evm.pin(block(), BASE_HASH)
        self.load((SENDER, CONTRACT, COINBASE), ())

    def load(self, accounts: tuple[bytes, ...], slots: tuple[tuple[bytes, bytes], ...]) -> None:
        codes = {account: self.codes.get(account, b"") for account in accounts}
        self.known |= codes
        self.evm.load(
            [AccountState(account, ETHER, 0) for account in accounts],
            [(account, slot, ONE if slot == ZERO else ZERO) for account, slot in slots],
            list(codes.items()),
        )

    def looks(self, most: int = 20) -> int:
        """Until a look finds nothing."""
        for count in range(most):
            found = look(self.evm, call(), self.known)
            if not len(found):
                return count
            self.load(tuple(found.accounts), tuple(found.slots))
        return most


def test_several_levels_and_several_callees_are_found_at_once() -> None:
    """One after the other these are seven: a slot, and three times an account and its slot."""
    world = World({CONTRACT: entry(NAMES), **dict.fromkeys(NAMES, answering())})
    assert world.looks() == 2
    execution = world.evm.run([call()], [], [], False)
    assert isinstance(execution, Execution)
    assert execution.success


def test_what_is_assumed_is_never_a_result() -> None:
    world = World({CONTRACT: entry(NAMES), **dict.fromkeys(NAMES, answering())})
    before, digest = world.evm.run([call()], [], [], False), world.evm.overlay_digest()
    look(world.evm, call(), world.known)
    after = world.evm.run([call()], [], [], False)
    assert isinstance(before, Missing)
    assert isinstance(after, Missing)
    assert (after.accounts, after.slots) == (before.accounts, before.slots)
    assert world.evm.overlay_digest() == digest


def test_call_that_fails_in_truth_is_found_to_fail() -> None:
    world = World({CONTRACT: entry(NAMES), NAMES[0]: answering(), NAMES[1]: bytes.fromhex("5f5ffd")})
    assert world.looks() < 20
    execution = world.evm.run([call()], [], [], False)
    assert isinstance(execution, Execution)
    assert not execution.success


def test_creation_that_fails_has_no_address_to_answer_by() -> None:
    """Its code reverts at once: nothing can be assumed that would bring the call further."""
    create = bytes.fromhex("625f5ffd5f526003601d5ff0")
    world = World({CONTRACT: create + required(create) + b"\x00"})
    assert world.looks() < 20
    execution = world.evm.run([call()], [], [], False)
    assert isinstance(execution, Execution)
    assert not execution.success


def test_call_that_runs_on_what_is_there_asks_for_nothing() -> None:
    world = World({CONTRACT: b"\x00"})
    assert not len(look(world.evm, call(), world.known))


@pytest.mark.parametrize("gas_limit", [100_000, 10_000_000])
def test_call_that_reads_without_an_end_asks_for_no_more_than_the_bound(gas_limit: int) -> None:
    world = World({CONTRACT: READER})
    found = look(world.evm, call(gas_limit=gas_limit), world.known)
    assert 0 < len(found.slots) <= KEYS_MAX
