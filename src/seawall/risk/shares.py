"""Tokens that no feed prices, and that are worth what they stand for.

A *rate share* (a vault's share, wstETH, rETH, a Curve LP token by its virtual price) is an amount of another
token, by a view call of its contract. A *pair share* (a Uniswap V2 LP token) is a part of both reserves; they
are valued as if the pool stood at the feeds' price (`2 * sqrt(value0 * value1)`), so that nobody moves the
value by moving the pool.

Both are read on the state after. What a plan gains and loses of a share is valued at the same rate, so that a
rate that the plan itself moved is no gain. What does not have the promised shape is a `ProtocolError`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isqrt
from typing import Protocol

from seawall.native import encode_call
from seawall.primitives.blocks import Read
from seawall.primitives.errors import ProtocolError
from seawall.primitives.units import Address, address_text, ceil_div
from seawall.protocols.answers import Answers, integer_answer, integer_answers

__all__ = ["PairShare", "RateShare", "ShareOf", "Valuer"]

Valuer = Callable[[Address, int, bool], int | None]
"""The value of an amount of a token that has a feed, rounded up or down; None where it has no price."""


class ShareOf(Protocol):
    """How one token's worth follows from others'."""

    @property
    def token(self) -> Address: ...

    def reads(self) -> tuple[Read, ...]: ...

    def value(self, answers: Answers, amount: int, value: Valuer, *, up: bool) -> int | None:
        """Of `amount`; None where what it stands for has no price."""
        ...


@dataclass(frozen=True, slots=True)
class RateShare:
    token: Address
    of: Address
    target: Address  # answers the rate
    calldata: bytes
    unit: int  # of the token, for which the call answers an amount of the other [smallest unit]

    def reads(self) -> tuple[Read, ...]:
        return (Read(self._label, self.target, self.calldata),)

    def value(self, answers: Answers, amount: int, value: Valuer, *, up: bool) -> int | None:
        rate = integer_answer(answers, self._label, "uint256")
        if rate == 0:
            raise ProtocolError("its rate is 0", address_text(self.token), "check the call that answers it")
        stands_for = ceil_div(amount * rate, self.unit) if up else amount * rate // self.unit
        return value(self.of, stands_for, up)

    @property
    def _label(self) -> str:
        return f"share:{self.target.hex()}:{self.calldata.hex()}"


@dataclass(frozen=True, slots=True)
class PairShare:
    token: Address  # the pair
    token0: Address
    token1: Address

    def reads(self) -> tuple[Read, ...]:
        return (
            Read(self._label("reserves"), self.token, encode_call("getReserves()", ())),
            Read(self._label("supply"), self.token, encode_call("totalSupply()", ())),
        )

    def value(self, answers: Answers, amount: int, value: Valuer, *, up: bool) -> int | None:
        supply = integer_answer(answers, self._label("supply"), "uint256")
        reserves = integer_answers(answers, self._label("reserves"), ("uint112", "uint112"))
        if supply == 0 or 0 in reserves:
            raise ProtocolError("the pair is empty", address_text(self.token), "use one with liquidity")
        one, other = value(self.token0, reserves[0], up), value(self.token1, reserves[1], up)
        if one is None or other is None:
            return None
        whole = 2 * (isqrt(one * other) + up)
        return ceil_div(amount * whole, supply) if up else amount * whole // supply

    def _label(self, what: str) -> str:
        return f"share:{self.token.hex()}:{what}"
