"""ERC-4626 vaults, one honest about its maxima and one that is not."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from seawall.primitives.units import Address
from seawall.protocols.adapters.actions import Action, Deposit, Redeem, Withdraw
from seawall.protocols.adapters.erased import AnyAdapter, erased
from seawall.protocols.adapters.erc4626 import VaultAdapter, from_book
from seawall.rollout.devnet.accounts import OWNER
from tests.conformance.scenario import Absent, Scenario
from tests.conformance.stage import Account, Stage

UNITS = {"usdx": 2_500 * 10**6, "weth": 10**18}


def vault(stage: Stage, name: str) -> VaultAdapter:
    return next(adapter for adapter in from_book(stage.devnet.book) if adapter.name == f"erc4626:{name}")


def stop(name: str, stage: Stage) -> None:
    stage.send(OWNER, stage.address(name), "setStopped(bool)", True)


def scenario(name: str, asset: str) -> Scenario:
    unit = UNITS[asset]

    def pair(account: Account) -> tuple[Address, Address]:
        return account.stage.address(asset), account.stage.address(name)

    def deposit(account: Account) -> Action:
        token, share = pair(account)
        return Deposit(token, share, 3 * unit + 1)

    def withdraw(account: Account) -> Action:
        token, _ = pair(account)
        return Withdraw(token, unit)

    def redeem(account: Account) -> Action:
        token, share = pair(account)
        return Redeem(share, token, account.holds(share))

    def too_much(account: Account) -> Action:
        return Withdraw(pair(account)[0], 10**30)

    return Scenario(
        adapter=f"erc4626:{name}",
        fund=lambda account: account.stage.give(pair(account)[0], account.address, 10 * unit),
        steps=(deposit, withdraw, redeem),
        base=asset,
        too_much=too_much,
        pause=partial(stop, name) if name == "vault_usdx" else Absent("it says nothing true about that"),
        empty=lambda stage: unopened(stage, name),
        odd=Absent("it credits what was sent, whatever arrives: the harm is its other holders', not ours"),
    )


def unopened(stage: Stage, name: str) -> tuple[AnyAdapter, Action]:
    """The same code at a fresh address, with nothing in it: a vault's storage is where its shares are."""
    model = vault(stage, name)
    fresh = Address(b"\x5e" * 20)
    code = stage.devnet.rpc.call("eth_getCode", "0x" + model.vault.hex(), "latest")
    stage.devnet.rpc.call("anvil_setCode", "0x" + fresh.hex(), code)
    return erased(replace(model, name=f"{model.name}_new", vault=fresh)), Withdraw(model.asset, 1)


SCENARIOS = (scenario("vault_usdx", "usdx"), scenario("opaque_vault_weth", "weth"))
