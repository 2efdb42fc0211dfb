"""Composable stable pools of Balancer V2, traded through its Vault; one adapter a pool.

Tokens whose worth grows have rates, which the pool keeps for a while and asks again by itself, in a swap,
once they are too old: it would then trade by another rate than it shows. So a pool with a rate past its time
is refused, until somebody has had it updated.

A book names pools `balstable_<token>_<token>...`, with what `balancer_vault` asks for; the pool's own shares,
which the Vault counts among its tokens, are not named.

Not done: bringing and taking back liquidity, and swaps with the shares, before which the protocol takes its
part; the first stable pools, without shares among their tokens (`markets.balancer_stable` quotes them).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from seawall.chain.addresses import AddressBook
from seawall.markets.balancer_stable import AMP_PRECISION, StablePool
from seawall.native import encode_call
from seawall.primitives.blocks import Block, Read
from seawall.primitives.units import Address
from seawall.protocols.adapters.actions import Action, Swap
from seawall.protocols.adapters.answer_lists import integer_list
from seawall.protocols.adapters.balancer_vault import VaultPool, vault_pool
from seawall.protocols.adapters.base import Dependency, PolicyPart, Position, PositionKind, Quote, Rates
from seawall.protocols.adapters.holdings import Holdings, holding_of, holding_reads, holdings
from seawall.protocols.adapters.pools import pools_named
from seawall.protocols.adapters.refusals import market_refusals
from seawall.protocols.adapters.wholeness import require_whole
from seawall.protocols.answers import Answers, integer_answer, integer_answers
from seawall.protocols.executor.operations import Operation

__all__ = ["BalancerStableAdapter", "BalancerStableState", "from_book"]

_PREFIX: Final = "balstable"


@dataclass(frozen=True, slots=True)
class BalancerStableState:
    pool: StablePool
    refusal: str
    """Why nothing is swapped now; empty where nothing is in the way."""
    held: Holdings
    """Pool shares of the holders that were asked about."""


@dataclass(frozen=True, slots=True)
class BalancerStableAdapter:
    chain_id: int
    at: VaultPool

    @property
    def name(self) -> str:
        return self.at.name

    @property
    def actions(self) -> frozenset[type[Action]]:
        return frozenset({Swap})

    def reads(self, holders: tuple[Address, ...] = ()) -> tuple[Read, ...]:
        at = self.at
        return (
            *at.reads(),
            at.view("factors", "getScalingFactors()"),
            at.view("amp", "getAmplificationParameter()"),
            at.view("providers", "getRateProviders()"),
            at.view("own-place", "getBptIndex()"),
            *holding_reads(self.name, at.pool, holders),
        )

    def more_reads(self, answers: Answers, holders: tuple[Address, ...] = ()) -> tuple[Read, ...]:
        """How old the rates are, of the tokens that have one."""
        del holders
        rated = (token for token, provider in self._providers(answers) if provider)
        wanted = (
            Read(self._rate_label(token), self.at.pool, encode_call("getTokenRateCache(address)", (token,)))
            for token in rated
        )
        return tuple(read for read in wanted if read.label not in answers)

    def decode(self, answers: Answers, block: Block) -> BalancerStableState:
        at, own = self.at, self._own_place(answers)
        amp, ramping, precision = integer_answers(answers, at.label("amp"), ("uint256", "uint256", "uint256"))
        require_whole(precision == AMP_PRECISION, "its amplification has another precision", self.name)
        factors = integer_list(answers, at.label("factors"))
        require_whole(len(factors) == len(at.tokens) + 1, "its lists differ in length", self.name)
        with market_refusals(self.name):
            pool = StablePool(
                at.pool,
                at.balances(answers),
                (*factors[:own], *factors[own + 1 :]),
                amp,
                at.number(answers, "fee"),
            )
        refusal = ""
        if at.paused(answers):
            refusal = "pool or Vault are paused"
        elif ramping:
            refusal = "the amplification is ramping"
        elif self._is_dated(answers, block.timestamp_s):
            refusal = "a token's rate is past its time: the next swap takes another"
        return BalancerStableState(pool, refusal, holdings(self.name, at.pool, answers))

    def quote(self, state: BalancerStableState, action: Action, account: Address) -> Quote:
        del account
        refusal = state.refusal
        return self.at.quote(action, refusal, state.pool.amount_out_down)

    def build(self, action: Action, account: Address) -> tuple[Operation, ...]:
        return (self.at.build(action, account),)

    def policy(self, account: Address) -> PolicyPart:
        del account
        return self.at.swap_policy()

    def positions(self, state: BalancerStableState, holder: Address) -> tuple[Position, ...]:
        """The shares themselves: what they would pay in tokens is not quoted."""
        shares = holding_of(holder, state.held, self.name)
        position = Position(holder, PositionKind.SHARE, self.at.pool, shares, self.at.pool, shares)
        return (position,) if shares else ()

    def liquidity(self, state: BalancerStableState, token: Address) -> int:
        self.at.require(token)
        return state.pool.balances[self.at.tokens.index(token)]

    def rates(self, state: BalancerStableState, token: Address, change: int = 0) -> Rates:
        del state, token, change
        return Rates(supply_ray=None, borrow_ray=None)

    def dependencies(self) -> tuple[Dependency, ...]:
        return self.at.dependencies()

    def _is_dated(self, answers: Answers, now_s: int) -> bool:
        lives = [
            integer_answers(answers, self._rate_label(token), ("uint256",) * 4)
            for token, provider in self._providers(answers)
            if provider
        ]
        return any(expires_s <= now_s for *_, expires_s in lives)

    def _providers(self, answers: Answers) -> tuple[tuple[Address, int], ...]:
        """Who says the rate of each token; zero where nobody does."""
        own, providers = self._own_place(answers), integer_list(answers, self.at.label("providers"))
        require_whole(len(providers) == len(self.at.tokens) + 1, "its lists differ in length", self.name)
        return tuple(zip(self.at.tokens, (*providers[:own], *providers[own + 1 :]), strict=True))

    def _own_place(self, answers: Answers) -> int:
        """Of the pool's shares among its tokens."""
        own = integer_answer(answers, self.at.label("own-place"), "uint256")
        require_whole(own <= len(self.at.tokens), "its shares are none of its tokens", self.name)
        return own

    def _rate_label(self, token: Address) -> str:
        return self.at.label(f"rate:{token.hex()}")


def from_book(book: AddressBook) -> tuple[BalancerStableAdapter, ...]:
    if "balancer_vault" not in book:
        return ()
    return tuple(
        BalancerStableAdapter(book.chain_id, vault_pool(book, pool, "balancer_stable", ("",)))
        for pool in pools_named(book, _PREFIX)
    )
