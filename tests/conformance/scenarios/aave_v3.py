"""Aave V3.6 and Spark: lend, borrow, pay back, take back."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from seawall.native import abi_encode
from seawall.primitives.units import Address, hex_text
from seawall.protocols.adapters.aave_v3 import AaveReserve, from_book
from seawall.protocols.adapters.actions import Action, Borrow, Repay, Supply, Withdraw
from seawall.protocols.adapters.erased import AnyAdapter, erased
from seawall.rollout.devnet.accounts import OWNER
from seawall.rollout.devnet.rpc import as_bytes
from tests.conformance.scenario import Absent, Scenario
from tests.conformance.stage import Account, Stage

ETHER = 10**18
DOLLAR = 10**6
# Where proxies keep what they stand for (ERC-1967).
IMPLEMENTATION_SLOT = "0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc"
INIT_RESERVES = "initReserves((address,address,address,string,string,string,string,bytes,bytes)[])"


def fund(account: Account) -> None:
    account.stage.give(account.stage.address("weth"), account.address, 10 * ETHER)
    account.stage.give(account.stage.address("usdx"), account.address, 100 * DOLLAR)


def lend(account: Account) -> Action:
    return Supply(account.stage.address("weth"), 5 * ETHER + 1)


def borrow(account: Account) -> Action:
    return Borrow(account.stage.address("usdx"), 3_000 * DOLLAR + 1)


def pay_back(account: Account) -> Action:
    return Repay(account.stage.address("usdx"), 3_050 * DOLLAR)


def take_back(account: Account) -> Action:
    return Withdraw(account.stage.address("weth"), 5 * ETHER - 7)


def drain(account: Account) -> Action:
    return Borrow(account.stage.address("usdx"), 10**15)


def pause(prefix: str, stage: Stage) -> None:
    stage.send(OWNER, stage.address(f"{prefix}_configurator"), "setPoolPause(bool)", True)


def unopened(prefix: str, stage: Stage) -> tuple[AnyAdapter, Action]:
    """A reserve of a token that nobody has supplied yet."""
    token = stage.address("odd_silent")
    model = next(one for one in from_book(stage.devnet.book) if one.pool == stage.address(f"{prefix}_pool"))
    receipt, debt = (behind(stage, one) for one in (model.reserves[0].receipt, model.reserves[0].debt_token))
    rates = abi_encode(["uint16", "uint32", "uint32", "uint32"], (8_000, 0, 400, 6_000))
    listed = ((receipt, debt, token, "Odd", "ODD", "Odd debt", "dODD", b"", rates),)
    stage.send(OWNER, stage.address(f"{prefix}_configurator"), INIT_RESERVES, listed)
    feed = stage.address("feed_eth_usd")
    stage.send(OWNER, model.oracle, "setAssetSources(address[],address[])", (token,), (feed,))
    receipt, debt = (
        stage.word_address(model.pool, f"getReserve{what}(address)", token)
        for what in ("AToken", "VariableDebtToken")
    )
    odd = replace(model, name=f"{model.name}_odd", reserves=(AaveReserve(token, receipt, debt),))
    return erased(odd), Borrow(token, 1)


def behind(stage: Stage, proxy: Address) -> Address:
    word = stage.devnet.rpc.call("eth_getStorageAt", hex_text(proxy), IMPLEMENTATION_SLOT, "latest")
    return Address(as_bytes(word, "eth_getStorageAt")[12:])


def scenario(adapter: str, prefix: str) -> Scenario:
    return Scenario(
        adapter=adapter,
        fund=fund,
        steps=(lend, borrow, pay_back, take_back),
        base="weth",
        too_much=drain,
        pause=partial(pause, prefix),
        empty=partial(unopened, prefix),
        odd=Absent("its admins list no token that takes fees, and it would credit what never came"),
    )


SCENARIOS = (scenario("aave_v3", "aave"), scenario("spark", "spark"))
