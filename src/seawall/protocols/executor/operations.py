"""What an executor plan is made of: operations, measured amounts, one-sided bounds.

Operations run in order, all or nothing. `Flash` and the swaps may nest operations: those run inside the
lender's or pool's callback, before it is repaid. An operation may *measure* how much of a token the
executor gained while it ran; the measurement's name then stands for that amount in any later operation. A
measurement exists once its operation is over: nested ones before the operation that holds them.

Native token: `NATIVE` of `primitives.units`, here as everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from seawall.primitives.units import ZERO_ADDRESS, Address
from seawall.protocols.executor.policy import FactoryKind, LenderKind

__all__ = [
    "Amount",
    "Call",
    "CallWithAllowance",
    "DebtKind",
    "Flash",
    "Loan",
    "Measure",
    "Measured",
    "Operation",
    "RepayDebt",
    "Splice",
    "SwapQuoted",
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
    """Borrow, run `operations`, repay. `loans` go in order of address.

    Balancer's vault and Aave's `flashLoan` lend several tokens, a Uniswap V3 pool its own two, the others
    one.
    """

    lender: Address
    loans: tuple[Loan, ...]
    operations: tuple[Operation, ...]
    measure: tuple[Measure, ...] = ()
    lender_kind: LenderKind = LenderKind.BALANCER_V2


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

    `fee_ppm` of zero stands for the only pool of the pair, which sets its own fee (Algebra).
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


@dataclass(frozen=True, slots=True)
class SwapQuoted:
    """Exact-input swap in a pair that is asked what it gives: Solidly (`stable` or not), Camelot.

    Nested operations make it a flash swap, as in `SwapV2`.
    """

    factory: Address
    token_in: Address
    token_out: Address
    amount_in: Amount
    min_out: Amount = 0
    kind: FactoryKind = FactoryKind.SOLIDLY
    stable: bool = False
    operations: tuple[Operation, ...] = ()
    measure: tuple[Measure, ...] = ()


class DebtKind(IntEnum):
    """Who tells what the executor owes, and in which unit."""

    TOKEN = 1  # a debt token's balance (Aave) [smallest unit of the borrowed token]
    COMET = 2  # Compound III `borrowBalanceOf` [smallest unit of the base token]
    MORPHO_SHARES = 3  # Morpho Blue `position` [borrow shares]


@dataclass(frozen=True, slots=True)
class RepayDebt:
    """Repay the least of `maximum`, what is owed and what is here; the debt must shrink.

    The amount is written over head word `word` of `data`. `spender` may take at most `allowance` of `token`
    meanwhile; None stands for as much as `maximum`. Of shares (`MORPHO_SHARES`, with its `market`) nobody
    knows the price before: there `allowance` alone bounds the tokens, and must be given.
    """

    target: Address
    data: bytes
    word: int
    token: Address
    debt: Address  # debt token, Comet or Morpho
    maximum: Amount
    allowance: Amount | None = None
    kind: DebtKind = DebtKind.TOKEN
    market: bytes = b""  # Morpho's id of it
    spender: Address = ZERO_ADDRESS
    measure: tuple[Measure, ...] = ()


Operation = Call | CallWithAllowance | Flash | SwapV2 | SwapV3 | SwapQuoted | RepayDebt
