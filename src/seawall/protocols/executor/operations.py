"""What an executor plan is made of: operations, measured amounts, one-sided bounds.

Operations run in order, all or nothing. `Flash`, `SwapV2` and `SwapV3` may nest operations: those run inside
the lender's or pool's callback, before it is repaid. An operation may *measure* how much of a token the
executor gained while it ran; the measurement's name then stands for that amount in any later operation. A
measurement exists once its operation is over: nested ones before the operation that holds them.

Native token: `NATIVE` of `primitives.units`, here as everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from seawall.primitives.units import ZERO_ADDRESS, Address

__all__ = [
    "Amount",
    "Call",
    "CallWithAllowance",
    "Flash",
    "Loan",
    "Measure",
    "Measured",
    "Operation",
    "Splice",
    "SwapV2",
    "SwapV3",
]


@dataclass(frozen=True, slots=True)
class Measure:
    """Remember the executor's gain of `token` over an operation under `name`; a loss reverts."""

    name: str
    token: Address


@dataclass(frozen=True, slots=True)
class Measured:
    """The amount that an earlier operation measured under `name`."""

    name: str


Amount = int | Measured
"""[smallest unit], known now or measured on chain."""


@dataclass(frozen=True, slots=True)
class Splice:
    """Write a measured amount over head word `word` (0 is the first argument) of a call's data."""

    word: int
    source: Measured


@dataclass(frozen=True, slots=True)
class Call:
    """An ordinary call. Its (target, selector) and every argument must be listed in the policy registry."""

    target: Address
    data: bytes
    value_wei: Amount = 0
    splices: tuple[Splice, ...] = ()
    measure: tuple[Measure, ...] = ()


@dataclass(frozen=True, slots=True)
class CallWithAllowance:
    """A call during which `spender` may take exactly `allowance` of `token`; cleared afterwards.

    `spender` is the target itself, for which the zero address stands, unless the policy entry names another.
    """

    target: Address
    data: bytes
    token: Address
    allowance: Amount
    spender: Address = ZERO_ADDRESS
    value_wei: Amount = 0
    splices: tuple[Splice, ...] = ()
    measure: tuple[Measure, ...] = ()


@dataclass(frozen=True, slots=True)
class Loan:
    """Part of a flash loan; more than `amount + max_fee` is never repaid."""

    token: Address
    amount: Amount
    max_fee: Amount = 0  # [smallest unit of token]


@dataclass(frozen=True, slots=True)
class Flash:
    """Borrow from a Balancer V2 vault, run `operations`, repay. `loans` go in order of address."""

    lender: Address
    loans: tuple[Loan, ...]
    operations: tuple[Operation, ...]
    measure: tuple[Measure, ...] = ()


@dataclass(frozen=True, slots=True)
class SwapV2:
    """Exact-input swap in the pair of a listed Uniswap V2 kind of factory.

    Without `operations` the pair is paid first. With them it is a flash swap: the output arrives, they run,
    then the pair is paid.
    """

    factory: Address
    token_in: Address
    token_out: Address
    amount_in: Amount
    min_out: Amount = 0
    operations: tuple[Operation, ...] = ()
    measure: tuple[Measure, ...] = ()


@dataclass(frozen=True, slots=True)
class SwapV3:
    """Exact-input swap in the pool of a listed Uniswap V3 kind of factory, paid in its callback.

    `sqrt_price_limit_x96` of zero means no limit; with one, the swap may take less than `amount_in`.
    """

    factory: Address
    token_in: Address
    token_out: Address
    fee_ppm: int
    amount_in: Amount
    min_out: Amount = 0
    sqrt_price_limit_x96: int = 0
    operations: tuple[Operation, ...] = ()
    measure: tuple[Measure, ...] = ()


Operation = Call | CallWithAllowance | Flash | SwapV2 | SwapV3
