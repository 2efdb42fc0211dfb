"""Shares of a pair of the V2 family (Uniswap V2, Solidly, Camelot), which all of them mint and burn alike.

Bringing liquidity pays both tokens to the pair and has it mint: a router would need allowances of two tokens
in one call. The pair's `mint` knows no minimum, so `bounds` says what the plan must hold. Taking it back goes
through the router, which does know minimums. Where a router serves pairs of two curves, `curve` is the word
by which it tells them apart: (stable,), and () elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from seawall.markets.errors import AmountError
from seawall.markets.v2_shares import V2Shares
from seawall.native import encode_call
from seawall.primitives.blocks import Read
from seawall.primitives.plans import TokenBound
from seawall.primitives.units import Address, address_text
from seawall.protocols import erc20
from seawall.protocols.adapters.actions import Action, AddLiquidity, RemoveLiquidity
from seawall.protocols.adapters.base import (
    Dependency,
    DependencyKind,
    Exact,
    Position,
    PositionKind,
    Quote,
)
from seawall.protocols.adapters.holdings import Holdings, holding_of
from seawall.protocols.adapters.pools import NamedPool, call_with
from seawall.protocols.adapters.refusals import (
    foreign_token,
    known_amount,
    known_minimum,
    refused,
    unsupported,
)
from seawall.protocols.answers import Answers, integer_answer
from seawall.protocols.executor.operations import Amount, Call, Measured, Operation
from seawall.protocols.executor.policy import (
    Listing,
    TokenClass,
    TokenPolicy,
    anything,
    equal_to,
    ourselves,
)
from seawall.protocols.uniswap_v2 import sorted_tokens

__all__ = ["FOREVER_S", "Pair", "pair_of"]

Curve = tuple[()] | tuple[bool]

# The header of an execution has the deadline that counts; a router's own never ends.
FOREVER_S: Final = 2**40


@dataclass(frozen=True, slots=True)
class Pair:
    """What never changes about a pair and its shares."""

    name: str
    """Of the adapter."""
    address: Address
    token0: Address
    token1: Address

    @property
    def tokens(self) -> tuple[Address, Address]:
        return self.token0, self.token1

    def reads(self) -> tuple[Read, ...]:
        """Balances of the pair, and how many shares there are."""
        return (
            Read(self.label("supply"), self.address, encode_call("totalSupply()", ())),
            *(erc20.balance_read(token, self.address) for token in (*self.tokens, self.address)),
        )

    def balances(self, answers: Answers) -> tuple[int, int]:
        return (
            erc20.balance(self.token0, self.address, answers),
            erc20.balance(self.token1, self.address, answers),
        )

    def supply(self, answers: Answers) -> int:
        return integer_answer(answers, self.label("supply"), "uint256")

    def stray(self, answers: Answers) -> int:
        return erc20.balance(self.address, self.address, answers)

    def quote_liquidity(self, shares: V2Shares, action: Action) -> Quote:
        match action:
            case AddLiquidity():
                return self._quote_add(shares, action)
            case RemoveLiquidity():
                return self._quote_remove(shares, action)
            case _:
                raise unsupported(self.name, action)

    def build_liquidity(
        self, action: Action, account: Address, router: Address, curve: Curve = ()
    ) -> tuple[Operation, ...]:
        match action:
            case AddLiquidity():
                return self.build_add(action, account)
            case RemoveLiquidity():
                minimums = self.minimums(action)
                values = (*self.tokens, *curve, action.amount, *minimums, account, FOREVER_S)
                allowed = (self.address, action.amount)
                return (call_with(router, _removal(curve), values, allowed, action.measure),)
            case _:
                raise unsupported(self.name, action)

    def _quote_add(self, shares: V2Shares, action: AddLiquidity) -> Quote:
        amount0, amount1 = (known_amount(amount, self.name) for amount in self._in_order(action))
        minted = shares.minted_down(amount0, amount1)
        known_minimum(action.min_share, minted, self.name)
        return Quote(
            takes=(Exact(self.token0, amount0), Exact(self.token1, amount1)),
            gives=(Exact(self.address, minted),),
        )

    def _quote_remove(self, shares: V2Shares, action: RemoveLiquidity) -> Quote:
        minimums = self.minimums(action)
        given = known_amount(action.amount, self.name)
        amounts = shares.burned_down(given)
        for minimum, amount in zip(minimums, amounts, strict=True):
            known_minimum(minimum, amount, self.name)
        return Quote(
            takes=(Exact(self.address, given),),
            gives=(Exact(self.token0, amounts[0]), Exact(self.token1, amounts[1])),
        )

    def build_add(self, action: AddLiquidity, account: Address) -> tuple[Operation, ...]:
        if action.min_share == 0 and any(entry.amount != 0 for entry in action.minimums):
            raise refused(
                "a minimum of what is brought holds no price", self.name, "give a minimum of the share"
            )
        pay = tuple(
            call_with(token, "transfer(address,uint256)", (self.address, amount))
            for token, amount in zip(self.tokens, self._in_order(action), strict=True)
        )
        mint = Call(self.address, encode_call("mint(address)", (account,)), measure=action.measure)
        return (*pay, mint)

    def bounds(self, action: Action) -> tuple[TokenBound, ...]:
        if not isinstance(action, AddLiquidity) or action.min_share == 0:
            return ()
        if isinstance(action.min_share, Measured):
            raise refused(
                "a measured minimum of shares cannot be held", self.name, "give the minimum as a number"
            )
        return (TokenBound(self.address, "inflow", action.min_share),)

    def minimums(self, action: RemoveLiquidity) -> tuple[Amount, Amount]:
        """In the order of the tokens."""
        if action.share != self.address:
            raise foreign_token(self.name, action.share)
        wanted = {entry.token: entry.amount for entry in action.minimums}
        if len(wanted) != len(action.minimums) or not set(wanted) <= set(self.tokens):
            raise refused(
                "a minimum names another token, or one twice", self.name, "give at most one for each token"
            )
        return wanted.get(self.token0, 0), wanted.get(self.token1, 0)

    def listings(self, router: Address, curve: Curve = ()) -> tuple[Listing, ...]:
        """Paying the pair alone, minting to ourselves alone, taking back from this pair alone."""
        pay = (equal_to(self.address), anything())
        which = (equal_to(self.token0), equal_to(self.token1), *(equal_to(int(word)) for word in curve))
        remove = (*which, *(anything() for _ in range(3)), ourselves(), anything())
        return (
            *(Listing(token, "transfer(address,uint256)", pay) for token in self.tokens),
            Listing(self.address, "mint(address)", (ourselves(),)),
            Listing(router, _removal(curve), remove, reduce=True),
        )

    def token_policies(self, *, allowance: bool) -> tuple[TokenPolicy, ...]:
        """`allowance` where swaps go through a router."""
        return (
            TokenPolicy(self.token0, allowance=allowance),
            TokenPolicy(self.token1, allowance=allowance),
            TokenPolicy(self.address, TokenClass.KEPT, allowance=True),
        )

    def positions(self, shares: V2Shares, held: Holdings, holder: Address) -> tuple[Position, ...]:
        """One position a token, both with the same receipt: the shares stand for the two together."""
        amount = holding_of(holder, held, self.name)
        if amount == 0:
            return ()
        try:
            amounts = shares.burned_down(amount)
        except AmountError:  # so few that the pair would refuse them: there, and worth nothing
            amounts = (0, 0)
        return tuple(
            Position(holder, PositionKind.SHARE, token, worth, self.address, amount)
            for token, worth in zip(self.tokens, amounts, strict=True)
        )

    def available(self, shares: V2Shares, token: Address) -> int:
        """What a swap could take out at most."""
        self.require(token)
        return max((shares.reserve0 if token == self.token0 else shares.reserve1) - 1, 0)

    def dependencies(self, family: str) -> tuple[Dependency, ...]:
        return (
            Dependency(DependencyKind.PROTOCOL, family),
            *(Dependency(DependencyKind.ASSET, address_text(token).lower()) for token in self.tokens),
        )

    def require(self, *tokens: Address) -> None:
        """The tokens are this pair's, and each is named once."""
        for token in tokens:
            if token not in self.tokens:
                raise foreign_token(self.name, token)
        if len(set(tokens)) != len(tokens):
            raise refused("a swap of a token for itself", self.name, "name the other token")

    def label(self, what: str) -> str:
        return f"{self.name}:{self.address.hex()}:{what}"

    def _in_order(self, action: AddLiquidity) -> tuple[Amount, Amount]:
        if action.share != self.address:
            raise foreign_token(self.name, action.share)
        offered = {entry.token: entry.amount for entry in action.amounts}
        if len(action.amounts) != 2 or set(offered) != set(self.tokens):
            raise refused(
                "liquidity is brought in both tokens", self.name, "give one amount of each of the two"
            )
        for entry in action.minimums:
            # All of what is offered is taken, so a minimum of it says nothing more.
            if entry.amount not in (0, offered.get(entry.token)):
                raise refused(
                    "a minimum of what is brought", self.name, "leave it out: all of the amounts are taken"
                )
        return offered[self.token0], offered[self.token1]


def pair_of(pool: NamedPool, prefix: str) -> Pair:
    token0, token1 = sorted_tokens(*pool.tokens)
    return Pair(f"{prefix}:{pool.pair_name}", pool.address, token0, token1)


def _removal(curve: Curve) -> str:
    word = ",bool" if curve else ""
    return f"removeLiquidity(address,address{word},uint256,uint256,uint256,address,uint256)"
