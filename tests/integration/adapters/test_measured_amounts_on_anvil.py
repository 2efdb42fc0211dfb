"""What one action brings in, the next one spends: measured amounts reach every call, lists of amounts too."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from seawall.primitives.units import NATIVE, Address
from seawall.protocols.adapters.actions import (
    Action,
    AddLiquidity,
    Deposit,
    Redeem,
    RemoveLiquidity,
    RequestExit,
    Supply,
    Swap,
    TokenAmount,
    Withdraw,
)
from seawall.protocols.adapters.catalogue import adapters_of
from seawall.protocols.executor.operations import Measure, Measured
from seawall.rollout.devnet import Devnet
from seawall.rollout.devnet.steering import revert, snapshot
from tests.conformance.stage import Account, Stage

pytestmark = pytest.mark.anvil

ETHER = 10**18
DOLLAR = 10**6
STABLE = "curve_stable_usdx_redeemable_usd"
CRYPTO = "curve_crypto_usdx_weth"
Book = Callable[[str], Address]
SOME = Measured("some")


@pytest.fixture
def stage(shared_devnet: Devnet) -> Iterator[Stage]:
    before = snapshot(shared_devnet)
    yield Stage(shared_devnet)
    revert(shared_devnet, before)


def gain(token: Address) -> tuple[Measure, ...]:
    return (Measure("some", token),)


def lido(of: Book) -> tuple[Action, ...]:
    steth = of("lido_steth")
    return Deposit(NATIVE, steth, 3 * ETHER, measure=gain(steth)), RequestExit(steth, SOME)


def lido_wrapped(of: Book) -> tuple[Action, ...]:
    steth, wsteth = of("lido_steth"), of("lido_wsteth")
    return Deposit(NATIVE, steth, 3 * ETHER, measure=gain(steth)), Deposit(steth, wsteth, SOME)


def rocket_pool(of: Book) -> tuple[Action, ...]:
    reth = of("rocket_reth")
    return Deposit(NATIVE, reth, 3 * ETHER, measure=gain(reth)), Redeem(reth, NATIVE, SOME)


def redeemable(of: Book) -> tuple[Action, ...]:
    token, usdx = of("redeemable_usd"), of("usdx")
    return Deposit(usdx, token, 100 * DOLLAR, measure=gain(token)), Redeem(token, usdx, SOME)


def comet(of: Book) -> tuple[Action, ...]:
    weth = of("weth")
    return Supply(weth, 2 * ETHER), Withdraw(weth, ETHER, measure=gain(weth)), Supply(weth, SOME)


def stable_in(of: Book) -> tuple[Action, ...]:
    usdx, token, pool = of("usdx"), of("redeemable_usd"), of(STABLE)
    amounts = (TokenAmount(token, SOME),)
    return Swap(usdx, token, 100 * DOLLAR, measure=gain(token)), AddLiquidity(amounts, pool)


def stable_out(of: Book) -> tuple[Action, ...]:
    usdx, pool = of("usdx"), of(STABLE)
    amounts = (TokenAmount(usdx, 100 * DOLLAR),)
    return AddLiquidity(amounts, pool, measure=gain(pool)), RemoveLiquidity(pool, SOME)


def stable_one(of: Book) -> tuple[Action, ...]:
    usdx, pool = of("usdx"), of(STABLE)
    amounts = (TokenAmount(usdx, 100 * DOLLAR),)
    return AddLiquidity(amounts, pool, measure=gain(pool)), Redeem(pool, usdx, SOME)


def crypto_in(of: Book) -> tuple[Action, ...]:
    usdx, weth, pool = of("usdx"), of("weth"), of(CRYPTO)
    return Swap(usdx, weth, 100 * DOLLAR, measure=gain(weth)), AddLiquidity((TokenAmount(weth, SOME),), pool)


def crypto_out(of: Book) -> tuple[Action, ...]:
    usdx, pool = of("usdx"), of(CRYPTO)
    amounts = (TokenAmount(usdx, 100 * DOLLAR),)
    return AddLiquidity(amounts, pool, measure=gain(pool)), RemoveLiquidity(pool, SOME)


def convex(of: Book) -> tuple[Action, ...]:
    lp_token, rewards = of(STABLE), of(f"convex_{STABLE}_0")
    first = Deposit(lp_token, rewards, 10 * ETHER)
    return first, Redeem(rewards, lp_token, ETHER, measure=gain(lp_token)), Deposit(lp_token, rewards, SOME)


# What is left in the account afterwards of what was measured, at most: a rounding of stETH's shares.
CHAINS = {
    "lido": (lido, "lido_steth", 2),
    "lido wrapped": (lido_wrapped, "lido_steth", 2),
    "rocket_pool": (rocket_pool, "rocket_reth", 0),
    "redeemable_usd": (redeemable, "redeemable_usd", 0),
    "compound_v3:usdx": (comet, "weth", 8 * ETHER),
    "curve_stable:usdx-redeemable_usd in": (stable_in, "redeemable_usd", 0),
    "curve_stable:usdx-redeemable_usd out": (stable_out, STABLE, 0),
    "curve_stable:usdx-redeemable_usd one": (stable_one, STABLE, 0),
    "curve_crypto:usdx-weth in": (crypto_in, "weth", 10 * ETHER),
    "curve_crypto:usdx-weth out": (crypto_out, CRYPTO, 0),
    "convex:curve_stable_usdx_redeemable_usd": (convex, STABLE, 10 * ETHER),
}


def funded(stage: Stage, name: str) -> Account:
    account = stage.open_account(adapters_of(stage.devnet.book)[name])
    for token, amount in (("weth", 10 * ETHER), ("usdx", 1_000 * DOLLAR), (STABLE, 20 * ETHER)):
        if name.startswith("convex") == (token == STABLE):
            stage.give(stage.address(token), account.address, amount)
    stage.give(NATIVE, account.address, 10 * ETHER)
    return account


@pytest.mark.parametrize("chain", CHAINS)
def test_what_one_action_brings_the_next_one_spends(stage: Stage, chain: str) -> None:
    actions_of, token, left_max = CHAINS[chain]
    account = funded(stage, chain.split(" ", maxsplit=1)[0])
    actions = actions_of(stage.address)
    operations = [operation for action in actions for operation in account.operations(action)]
    account.execute(operations, account.bounds(actions[-1]))
    assert 0 <= account.holds(stage.address(token)) <= left_max
