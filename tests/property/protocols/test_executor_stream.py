"""Any operations, packed and read back by a reader that knows only the documented layout."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.primitives.units import NATIVE, ZERO_ADDRESS, Address
from seawall.protocols.executor.encoding import encode_operations
from seawall.protocols.executor.operations import (
    Amount,
    Call,
    CallWithAllowance,
    Flash,
    Loan,
    Measure,
    Measured,
    Operation,
    Splice,
    SwapV2,
    SwapV3,
)


class Reader:
    """Names every measurement by its number, in the order in which operations end."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.measured = 0

    def take(self, length: int) -> bytes:
        assert length <= len(self.data), "read past the end"
        head, self.data = self.data[:length], self.data[length:]
        return head

    def number(self, length: int) -> int:
        return int.from_bytes(self.take(length), "big")

    def address(self) -> Address:
        return Address(self.take(20))

    def amount(self) -> Amount:
        tag = self.number(1)
        if tag >= 0x80:
            assert tag - 0x80 < self.measured, "measurement from the future"
            return Measured(str(tag - 0x80))
        return self.number(tag)

    def sequence(self, length: int) -> tuple[Operation, ...]:
        rest, self.data = self.data[length:], self.data[:length]
        operations = []
        while self.data:
            operations.append(self.operation())
        self.data = rest
        return tuple(operations)

    def operation(self) -> Operation:
        kind = self.number(1)
        tokens = [self.address() for _ in range(self.number(1))]
        operation = (self.call, self.call_with_allowance, self.flash, self.swap_v2, self.swap_v3)[kind - 1]()
        first, self.measured = self.measured, self.measured + len(tokens)
        return replace(operation, measure=tuple(Measure(str(first + i), t) for i, t in enumerate(tokens)))

    def call(self) -> Operation:
        target, value = self.address(), self.amount()
        data, splices = self.calldata()
        return Call(target, data, value, splices)

    def call_with_allowance(self) -> Operation:
        target, value, token, spender = self.address(), self.amount(), self.address(), self.address()
        allowance = self.amount()
        data, splices = self.calldata()
        return CallWithAllowance(target, data, token, allowance, spender, value, splices)

    def calldata(self) -> tuple[bytes, tuple[Splice, ...]]:
        data = self.take(self.number(2))
        splices = tuple(Splice(self.number(1), Measured(str(self.number(1)))) for _ in range(self.number(1)))
        return data, splices

    def flash(self) -> Operation:
        assert self.number(1) == 1
        lender = self.address()
        loans = tuple(Loan(self.address(), self.amount(), self.amount()) for _ in range(self.number(1)))
        return Flash(lender, loans, self.sequence(self.number(3)))

    def swap_v2(self) -> Operation:
        factory, token_in, token_out = self.address(), self.address(), self.address()
        amount_in, min_out = self.amount(), self.amount()
        return SwapV2(factory, token_in, token_out, amount_in, min_out, self.sequence(self.number(3)))

    def swap_v3(self) -> Operation:
        fee, factory, token_in, token_out = self.number(3), self.address(), self.address(), self.address()
        amount_in, min_out, limit = self.amount(), self.amount(), self.amount()
        nested = self.sequence(self.number(3))
        return SwapV3(factory, token_in, token_out, fee, amount_in, min_out, cast(int, limit), nested)


class Numbering:
    """Gives drawn operations the measurement names that `Reader` will give, and amounts that use them."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.count = 0

    def amount(self) -> Amount:
        if self.count and self.draw(st.booleans()):
            return Measured(str(self.draw(st.integers(0, self.count - 1))))
        return self.draw(st.integers(0, 2**256 - 1))

    def operation(self, depth: int) -> Operation:
        operation = self.body(depth)
        tokens = self.draw(st.lists(addresses, max_size=2)) if self.count < 40 else []
        first, self.count = self.count, self.count + len(tokens)
        return replace(operation, measure=tuple(Measure(str(first + i), t) for i, t in enumerate(tokens)))

    def nested(self, depth: int) -> tuple[Operation, ...]:
        return tuple(
            self.operation(depth + 1) for _ in range(self.draw(st.integers(0, 2)) if depth < 2 else 0)
        )

    def body(self, depth: int) -> Operation:
        kind = self.draw(st.integers(0, 4))
        one, two = self.draw(st.lists(addresses, min_size=2, max_size=2, unique=True))
        if kind <= 1:
            data = self.draw(st.binary(min_size=4, max_size=100))
            value, allowance, words = self.amount(), self.amount(), (len(data) - 4) // 32
            splices: tuple[Splice, ...] = ()
            if words and self.count:
                splices = (Splice(words - 1, Measured(str(self.draw(st.integers(0, self.count - 1))))),)
            if kind == 0:
                return Call(one, data, value, splices)
            return CallWithAllowance(one, data, two, allowance, one, value, splices)
        if kind == 2:
            loans = tuple(Loan(token, self.amount(), self.amount()) for token in sorted((one, two)))
            return Flash(one, loans, self.nested(depth))
        amount_in, min_out = self.amount(), self.amount()
        if kind == 3:
            return SwapV2(one, one, two, amount_in, min_out, self.nested(depth))
        fee, limit = self.draw(st.integers(0, 2**24 - 1)), self.draw(st.integers(0, 2**160 - 1))
        return SwapV3(two, one, two, fee, amount_in, min_out, limit, self.nested(depth))


addresses = st.binary(min_size=20, max_size=20).map(Address).filter(lambda a: a not in (ZERO_ADDRESS, NATIVE))


@st.composite
def streams(draw: st.DrawFn) -> tuple[Operation, ...]:
    numbering = Numbering(draw)
    return tuple(numbering.operation(0) for _ in range(draw(st.integers(0, 4))))


@settings(max_examples=150, deadline=None)
@given(streams())
def test_what_was_packed_is_what_is_read(operations: tuple[Operation, ...]) -> None:
    packed = encode_operations(operations)
    assert packed[0] == 1
    reader = Reader(packed[1:])
    assert reader.sequence(len(reader.data)) == operations
