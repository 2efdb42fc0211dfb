"""What a policy must list for a file: what its steps use, and nothing that it only looks at."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from typing_extensions import override

from seawall.primitives.errors import InputError
from seawall.primitives.units import Address
from seawall.protocols.adapters.base import PolicyPart
from seawall.protocols.adapters.erased import erased
from seawall.protocols.executor.policy import LenderKind, LenderPolicy, Listing, TokenClass, TokenPolicy
from seawall.strategies.scripts.loading import Standing, load_script
from seawall.strategies.scripts.permits import policy_of_scripts
from seawall.strategies.scripts.script import Script
from tests.builders.strategy_files import (
    CHAIN_ID,
    EXECUTOR,
    KEY,
    POOL,
    USDX,
    VAULT,
    WETH,
    Stall,
    surroundings,
)

DEBT = Address(b"\x33" * 20)
EXECUTOR_FILE = """\
strategy: tried
chain: 31337
accounting: weth
min_profit: 1 weth
when: quote(stall_two, weth -> usdx, 1 weth) > 0 usdx
steps:
  - flash:
      from: vault
      kind: morpho_blue
      borrow: {usdx: 10 usdx}
      steps:
        - swap: {on: stall, give: weth, get: usdx, amount: 1 weth}
"""
ACCOUNT_FILE = EXECUTOR_FILE.replace(
    "min_profit: 1 weth\n", "account: pool\nexpect: [{token: weth, change: 1 weth}]\n"
)


@dataclass(frozen=True)
class Listed(Stall):
    """With a policy: one call, one token that is paid out, one debt."""

    @override
    def policy(self, account: Address) -> PolicyPart:
        return PolicyPart(
            listings=(Listing(POOL, f"{self.name}()"),),
            tokens=(TokenPolicy(WETH, allowance=True), TokenPolicy(DEBT, TokenClass.DEBT)),
        )


def script_of(text: str) -> Script:
    adapters = {name: erased(Listed(name)) for name in ("stall", "stall_two")}
    around = replace(surroundings(), adapters=adapters)
    return load_script(text.encode(), "s.yaml", around, Standing(CHAIN_ID, KEY, EXECUTOR))


def test_executor_pays_out_and_lists_what_its_steps_use_alone() -> None:
    policy = policy_of_scripts(script_of(EXECUTOR_FILE))
    assert policy.executor == EXECUTOR
    assert [one.signature for one in policy.listings] == ["stall()"]
    assert policy.lenders == (LenderPolicy(VAULT, LenderKind.MORPHO_BLUE),)
    assert {one.token: one.token_class for one in policy.tokens} == {
        WETH: TokenClass.PAID_OUT,
        DEBT: TokenClass.DEBT,
        USDX: TokenClass.PAID_OUT,
    }


def test_account_keeps_what_is_no_debt_and_may_run_several_files() -> None:
    other = ACCOUNT_FILE.replace("on: stall,", "on: stall_two,")
    policy = policy_of_scripts(script_of(ACCOUNT_FILE), script_of(other))
    assert [one.signature for one in policy.listings] == ["stall()", "stall_two()"]
    assert {one.token: one.token_class for one in policy.tokens} == {
        WETH: TokenClass.KEPT,
        DEBT: TokenClass.DEBT,
        USDX: TokenClass.KEPT,
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (EXECUTOR_FILE.replace("min_profit: 1 weth", "account: key"), "under no policy"),
        (
            EXECUTOR_FILE.replace(
                "- swap: {on: stall, give: weth, get: usdx, amount: 1 weth}",
                '- call: {to: pool, function: "poke()", arguments: []}',
            ),
            "known to nobody but you",
        ),
    ],
)
def test_what_no_policy_can_say_is_refused(text: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        policy_of_scripts(script_of(text))


def test_files_of_two_places_have_no_policy_together() -> None:
    with pytest.raises(InputError, match="runs elsewhere"):
        policy_of_scripts(script_of(EXECUTOR_FILE), script_of(ACCOUNT_FILE))
