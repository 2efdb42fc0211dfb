"""What can be done with a protocol, in words that all protocols share.

An *action* says what is wanted; the adapter of a protocol quotes it exactly and turns it into operations of
the executor. Amounts may be known now or measured by an earlier operation, so that actions chain. `measure`
names what the action itself brings in, for those that follow.

Words: *supply* and *withdraw* move lent money or collateral; *deposit* and *redeem* trade an asset for a
share (a vault, a staking token, an LP receipt, wrapped ether) and back; *request exit* and *claim exit* are
for those that pay out through a queue.
"""

from __future__ import annotations

from dataclasses import dataclass

from seawall.primitives.units import Address
from seawall.protocols.executor.operations import Amount, Measure

__all__ = [
    "Action",
    "AddLiquidity",
    "Borrow",
    "ClaimExit",
    "ClaimRewards",
    "Deposit",
    "Redeem",
    "RemoveLiquidity",
    "Repay",
    "RequestExit",
    "Supply",
    "Swap",
    "TokenAmount",
    "Withdraw",
]


@dataclass(frozen=True, slots=True)
class TokenAmount:
    token: Address
    amount: Amount  # [smallest unit of token]


@dataclass(frozen=True, slots=True)
class Swap:
    """Exactly `amount_in`, for no less than `min_out`."""

    token_in: Address
    token_out: Address
    amount_in: Amount
    min_out: Amount = 0
    measure: tuple[Measure, ...] = ()


@dataclass(frozen=True, slots=True)
class Supply:
    """Lend, or put up as collateral: what it counts as is the market's rule for this token."""

    token: Address
    amount: Amount
    measure: tuple[Measure, ...] = ()


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Take back what was supplied; `UINT256_MAX` takes all where the protocol knows that word."""

    token: Address
    amount: Amount
    measure: tuple[Measure, ...] = ()


@dataclass(frozen=True, slots=True)
class Borrow:
    token: Address
    amount: Amount
    measure: tuple[Measure, ...] = ()


@dataclass(frozen=True, slots=True)
class Repay:
    """Pay back at most `maximum`; what is not owed is not taken."""

    token: Address
    maximum: Amount
    measure: tuple[Measure, ...] = ()


@dataclass(frozen=True, slots=True)
class Deposit:
    """Asset in, share out, no less than `min_out` of it. `NATIVE` in where the protocol takes ether."""

    token_in: Address
    share: Address
    amount_in: Amount
    min_out: Amount = 0
    measure: tuple[Measure, ...] = ()


@dataclass(frozen=True, slots=True)
class Redeem:
    """Share in, asset out at once, no less than `min_out` of it."""

    share: Address
    token_out: Address
    amount_in: Amount
    min_out: Amount = 0
    measure: tuple[Measure, ...] = ()


@dataclass(frozen=True, slots=True)
class RequestExit:
    """Share in, a claim out that is paid later."""

    share: Address
    amount_in: Amount
    measure: tuple[Measure, ...] = ()


@dataclass(frozen=True, slots=True)
class ClaimExit:
    """Collect what a request of ours is due."""

    request: int  # the protocol's own number of it
    token_out: Address
    measure: tuple[Measure, ...] = ()


@dataclass(frozen=True, slots=True)
class AddLiquidity:
    """At most `amounts` in and a share out, no less than `min_share` of it.

    Where not all of the amounts may be taken, `minimums` says how much of each must be: that holds the price.
    """

    amounts: tuple[TokenAmount, ...]
    share: Address
    min_share: Amount = 0
    measure: tuple[Measure, ...] = ()
    minimums: tuple[TokenAmount, ...] = ()
    position: int = 0  # the number of one that is added to, where shares are numbered; 0 opens another


@dataclass(frozen=True, slots=True)
class RemoveLiquidity:
    """A share in, several tokens out, no less than `minimums` of each."""

    share: Address
    amount: Amount
    minimums: tuple[TokenAmount, ...] = ()
    measure: tuple[Measure, ...] = ()
    position: int = 0  # the number of one among several, where shares are numbered


@dataclass(frozen=True, slots=True)
class ClaimRewards:
    """Collect rewards that the position has earned, in `tokens`."""

    tokens: tuple[Address, ...]
    measure: tuple[Measure, ...] = ()
    position: int = 0  # the number of one among several, where shares are numbered


Action = (
    Swap
    | Supply
    | Withdraw
    | Borrow
    | Repay
    | Deposit
    | Redeem
    | RequestExit
    | ClaimExit
    | AddLiquidity
    | RemoveLiquidity
    | ClaimRewards
)
