"""Pairs of other curves than Uniswap's: Solidly, Velodrome and Camelot, volatile and stable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from seawall.primitives.units import Address
from seawall.protocols.adapters import camelot, solidly
from seawall.protocols.adapters.actions import Action, AddLiquidity, RemoveLiquidity, Swap, TokenAmount
from seawall.protocols.adapters.camelot import CamelotAdapter
from seawall.protocols.adapters.erased import AnyAdapter, erased
from seawall.protocols.adapters.pair_shares import Pair
from seawall.protocols.adapters.solidly import SolidlyAdapter
from seawall.protocols.uniswap_v2 import sorted_tokens
from seawall.rollout.devnet.accounts import OWNER
from tests.conformance.scenario import Absent, Scenario
from tests.conformance.stage import Account, Stage

ETHER = 10**18
DOLLARS = 2_500 * 10**6

PairAdapter = SolidlyAdapter | CamelotAdapter


@dataclass(frozen=True)
class Traded:
    """A pair of WETH and another token, and how such pairs are opened."""

    adapter: str
    other: str
    one_weth: int
    """[units of the other token] that are worth as much."""
    open_pair: Callable[[Stage, str, Address, Address], tuple[AnyAdapter, Address]]
    pause: Callable[[Stage], None] | Absent

    def scenario(self) -> Scenario:
        return Scenario(
            adapter=self.adapter,
            fund=self.fund,
            steps=(self.buy, self.sell_back, self.bring, self.take_back),
            base="weth",
            too_much=self.drain,
            pause=self.pause,
            empty=self.unopened,
            odd=self.odd_pair,
        )

    def fund(self, account: Account) -> None:
        account.stage.give(account.stage.address("weth"), account.address, 30 * ETHER)
        account.stage.give(account.stage.address(self.other), account.address, 30 * self.one_weth)

    def buy(self, account: Account) -> Action:
        stage = account.stage
        return Swap(stage.address("weth"), stage.address(self.other), 7 * ETHER + 1)

    def sell_back(self, account: Account) -> Action:
        stage = account.stage
        bought = account.holds(stage.address(self.other)) - 30 * self.one_weth
        return Swap(stage.address(self.other), stage.address("weth"), bought)

    def bring(self, account: Account) -> Action:
        weth, other = (account.stage.address(token) for token in ("weth", self.other))
        amounts = (TokenAmount(weth, 2 * ETHER), TokenAmount(other, 2 * self.one_weth))
        return AddLiquidity(amounts, adapter_named(account.stage, self.adapter).pair.address)

    def take_back(self, account: Account) -> Action:
        pair = adapter_named(account.stage, self.adapter).pair.address
        return RemoveLiquidity(pair, account.holds(pair))

    def drain(self, account: Account) -> Action:
        pair = adapter_named(account.stage, self.adapter).pair.address
        return RemoveLiquidity(pair, account.stage.integer(pair, "totalSupply()") + 1)

    def unopened(self, stage: Stage) -> tuple[AnyAdapter, Action]:
        usdx, ethx = stage.address("usdx"), stage.address("ethx")
        adapter, _ = self.open_pair(stage, self.adapter, usdx, ethx)
        return adapter, Swap(usdx, ethx, DOLLARS)

    def odd_pair(self, stage: Stage, odd: Address) -> tuple[AnyAdapter, Action]:
        weth = stage.address("weth")
        adapter, pair = self.open_pair(stage, self.adapter, odd, weth)
        for token in (odd, weth):
            stage.give(token, pair, 1_000 * ETHER)
        stage.send(OWNER, pair, "mint(address)", OWNER)
        return adapter, Swap(odd, weth, ETHER)


def adapter_named(stage: Stage, name: str) -> PairAdapter:
    found: tuple[PairAdapter, ...] = (
        *solidly.from_book(stage.devnet.book),
        *camelot.from_book(stage.devnet.book),
    )
    return next(adapter for adapter in found if adapter.name == name)


def open_solidly(stage: Stage, name: str, token: Address, other: Address) -> tuple[AnyAdapter, Address]:
    model = adapter_named(stage, name)
    assert isinstance(model, SolidlyAdapter)
    tokens = sorted_tokens(token, other)
    kind = "Pair" if model.init_code_hash is None else "Pool"
    stage.send(OWNER, model.factory, f"create{kind}(address,address,bool)", *tokens, model.stable)
    pair = stage.word_address(model.factory, f"get{kind}(address,address,bool)", *tokens, model.stable)
    opened = replace(model, pair=Pair(f"{name}-new", pair, *tokens), units=units(stage, *tokens))
    return erased(opened), pair


def open_camelot(stage: Stage, name: str, token: Address, other: Address) -> tuple[AnyAdapter, Address]:
    model = adapter_named(stage, name)
    assert isinstance(model, CamelotAdapter)
    tokens = sorted_tokens(token, other)
    stage.send(OWNER, model.factory, "createPair(address,address)", *tokens)
    pair = stage.word_address(model.factory, "getPair(address,address)", *tokens)
    opened = replace(model, pair=Pair(f"{name}-new", pair, *tokens), units=units(stage, *tokens))
    return erased(opened), pair


def units(stage: Stage, token0: Address, token1: Address) -> tuple[int, int]:
    return 10 ** stage.integer(token0, "decimals()"), 10 ** stage.integer(token1, "decimals()")


def pause_solidly(stage: Stage) -> None:
    stage.send(OWNER, stage.address("solidly_factory"), "setPause(bool)", True)


def pause_velodrome(stage: Stage) -> None:
    stage.send(OWNER, stage.address("velodrome_factory"), "setPauseState(bool)", True)


SCENARIOS = tuple(
    traded.scenario()
    for traded in (
        Traded("solidly:weth-usdx-volatile", "usdx", DOLLARS, open_solidly, pause_solidly),
        Traded("solidly:weth-ethx-stable", "ethx", ETHER, open_solidly, pause_solidly),
        Traded("velodrome:weth-usdx-volatile", "usdx", DOLLARS, open_solidly, pause_velodrome),
        Traded("velodrome:weth-ethx-stable", "ethx", ETHER, open_solidly, pause_velodrome),
        Traded("camelot:weth-usdx", "usdx", DOLLARS, open_camelot, Absent("pairs cannot be stopped")),
        Traded("camelot:weth-ethx", "ethx", ETHER, open_camelot, Absent("pairs cannot be stopped")),
    )
)
