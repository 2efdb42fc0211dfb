"""Policies and budgets in the configuration: what they become, and what could overspend is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from seawall.chain.addresses import AddressBook, AddressEntry, AddressKind, TokenClass
from seawall.native import selector
from seawall.primitives.errors import ConfigError
from seawall.primitives.identifiers import Lane
from seawall.primitives.units import NATIVE, Address, Hash
from seawall.risk.limits import TargetRule
from seawall.risk.spending import SpendCap
from seawall.runtime.configuration.loading import load_configuration
from seawall.runtime.configuration.policies import book_of, policies_of
from seawall.runtime.configuration.settings import Configuration

ETHER = 10**18
NOW_S = 1_800_000_000
WETH, USDX = Address(b"\x11" * 20), Address(b"\x12" * 20)
KEYS = {"main": Address(b"\x21" * 20), "second": Address(b"\x22" * 20)}
POLICY = """
[[signers.policies]]
chain_id = 31337
fee_max = "0.1"
value_max = "2"
gas_limit_max = 800000
balance_min = "0.5"
recipients = ["@usdx"]
[[signers.policies.targets]]
target = "@weth"
calls = ["deposit()", "0x2e1a7d4d"]
[[signers.policies.spend]]
token = "native"
per_hour = "3"
per_day = "10"
[[signers.policies.spend]]
token = "@usdx"
per_hour = "100"
per_day = "1000"
"""
BUDGET = """
[[budgets]]
name = "treasury"
chain_id = 31337
signers = ["main", "second"]
[[budgets.spend]]
token = "native"
per_hour = "4"
per_day = "12"
"""
LIVE = """
[[strategies]]
name = "keeper"
class = "my.module:Keeper"
chain_id = 31337
signer = "main"
mode = "live"
"""


def text(policy: str = POLICY, *, more: str = LIVE) -> str:
    signers = "".join(
        f"""
[[signers]]
name = "{name}"
keystore = "keys/{name}.json"
password_environment = "PASSWORD"
{policy}"""
        for name in KEYS
    )
    chain = '[[chains]]\nchain_id = 31337\nrpc = ["http://127.0.0.1:8545"]\naddress_book = "addresses.json"\n'
    return chain + signers + more


def load(folder: Path, content: str) -> Configuration:
    book = AddressBook(31_337)
    for name, address, decimals in (("weth", WETH, 18), ("usdx", USDX, 6)):
        entry = AddressEntry(
            31_337, name, address, AddressKind.TOKEN, "test", Hash(bytes(32)), TokenClass.SETTLEMENT, decimals
        )
        book.add(entry)
    (folder / "addresses.json").write_text(book.to_json())
    (folder / "seawall.toml").write_text(content)
    return load_configuration(folder / "seawall.toml", {})


def refusal(folder: Path, content: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(folder, content)
    assert caught.value.what
    assert caught.value.fix
    return caught.value


def test_policy_is_read_to_the_last_key(tmp_path: Path) -> None:
    configuration = load(tmp_path, text())
    settings = configuration.signers[0].policies[31_337]
    policy = settings.policy
    assert (policy.signer, policy.any_target) == ("main", False)
    assert (policy.fee_max_wei, policy.value_max_wei) == (ETHER // 10, 2 * ETHER)
    assert (policy.gas_limit_max, policy.balance_min_wei) == (800_000, ETHER // 2)
    assert policy.recipients == {USDX}
    assert policy.targets == (
        TargetRule(WETH, frozenset({selector("deposit()"), selector("withdraw(uint256)")})),
    )
    assert settings.caps == (
        SpendCap(NATIVE, 3 * ETHER, 10 * ETHER),
        SpendCap(USDX, 100 * 10**6, 1_000 * 10**6),
    )


def test_gate_is_given_policies_by_key_and_a_book_with_shared_budgets(tmp_path: Path) -> None:
    configuration = load(tmp_path, text(more=LIVE + BUDGET))
    policies = policies_of(configuration, 31_337, KEYS)
    assert {policies[key].signer for key in KEYS.values()} == set(KEYS)
    assert policies_of(configuration, 1, KEYS) == {}
    book = book_of(configuration, 31_337, KEYS)
    main, second = (Lane(31_337, key) for key in KEYS.values())
    assert book.reserve(main, 0, {NATIVE: 3 * ETHER}, NOW_S)
    assert not book.reserve(second, 0, {NATIVE: 2 * ETHER}, NOW_S)  # the treasury has 1 left this hour
    assert book.reserve(second, 0, {NATIVE: ETHER}, NOW_S)
    assert {one.budget for one in book.measure(second, NOW_S)} == {"signer second", "treasury"}


def test_one_key_under_two_names_is_refused(tmp_path: Path) -> None:
    same = dict.fromkeys(KEYS, Address(b"\x21" * 20))
    with pytest.raises(ConfigError, match="same key") as caught:
        policies_of(load(tmp_path, text()), 31_337, same)
    assert caught.value.where == "signers[1].keystore"


def test_live_signer_without_limits_is_refused_with_file_key_and_fix(tmp_path: Path) -> None:
    error = refusal(tmp_path, text(""))
    assert error.where == "signers[0].policies"
    assert "'main'" in error.what
    assert "strategy 'keeper'" in error.what
    assert "in seawall.toml" in error.fix
    assert "chain_id = 31337" in error.fix


def test_submitter_signs_live_too(tmp_path: Path) -> None:
    submitter = '[[submitters]]\nname = "desk"\nchain_id = 31337\nsigners = ["second"]\n'
    error = refusal(tmp_path, text("", more=submitter))
    assert error.where == "signers[1].policies"
    assert "submitter 'desk'" in error.what


def test_dry_run_needs_no_limits(tmp_path: Path) -> None:
    configuration = load(tmp_path, text("", more=LIVE.replace('"live"', '"dry_run"')))
    assert configuration.signers[0].policies == {}


@pytest.mark.parametrize(
    ("old", "new", "where", "says"),
    [
        ('fee_max = "0.1"', "", "fee_max", "required"),
        ('value_max = "2"', "", "value_max", "required"),
        ('fee_max = "0.1"', 'fee_max = "0"', "fee_max", "not mean unlimited"),
        ('fee_max = "0.1"', "fee_max = 0", "fee_max", "not mean unlimited"),
        ('fee_max = "0.1"', 'fee_max = "-1"', "fee_max", "not a decimal amount"),
        ('value_max = "2"', 'value_max = "-2"', "value_max", "not a decimal amount"),
        ("gas_limit_max = 800000", "gas_limit_max = 0", "gas_limit_max", "out of range"),
        ("gas_limit_max = 800000", "gas_limit_max = 99999999", "gas_limit_max", "out of range"),
        ('per_hour = "3"', 'per_hour = "0"', "spend[0].per_hour", "not mean unlimited"),
        ('per_day = "10"', 'per_day = "0"', "spend[0].per_day", "not mean unlimited"),
        ('per_hour = "3"', "", "spend[0].per_hour", "required"),
        ('per_day = "10"', "", "spend[0].per_day", "required"),
        ('per_hour = "3"', 'per_hour = "11"', "spend[0].per_hour", "above that of a day"),
        ('token = "native"', 'token = "@weth"', "spend", "no spend limit for the native token"),
        ('token = "@usdx"', 'token = "native"', "spend[1].token", "already"),
        ('token = "@usdx"', 'token = "@nowhere"', "spend[1].token", "no contract is named"),
        ('target = "@weth"', 'target = "@nowhere"', "targets[0].target", "no contract is named"),
        ('recipients = ["@usdx"]', 'recipients = ["@nowhere"]', "recipients[0]", "no contract is named"),
        ('"deposit()"', '"deposit("', "targets[0].calls[0]", "no function"),
        ('"0x2e1a7d4d"', '"0x2e1a7d"', "targets[0].calls[1]", "no function"),
        ('"deposit()"', '"any"', "targets[0].calls", "any call"),
        ('["deposit()", "0x2e1a7d4d"]', "[]", "targets[0].calls", "not a list"),
        ('value_max = "2"', 'value_max = "2"\nany_target = true', "any_target", "opens what"),
        ('value_max = "2"', 'value_max = "2"\nany_target = "yes"', "any_target", "neither true nor false"),
        ("chain_id = 31337\nfee_max", "chain_id = 1\nfee_max", "chain_id", "not configured"),
        ("value_max", "value_cap", "value_cap", "not known"),
    ],
)
def test_policy_that_could_overspend_is_refused_at_its_key(
    tmp_path: Path, old: str, new: str, where: str, says: str
) -> None:
    assert old in POLICY
    error = refusal(tmp_path, text(POLICY.replace(old, new, 1)))
    assert error.where == f"signers[0].policies[0].{where}"
    assert says in error.what


def test_policy_that_lists_nothing_is_refused(tmp_path: Path) -> None:
    start, end = POLICY.index("[[signers.policies.targets]]"), POLICY.index("[[signers.policies.spend]]")
    bare = (POLICY[:start] + POLICY[end:]).replace('recipients = ["@usdx"]\n', "")
    assert refusal(tmp_path, text(bare)).where == "signers[0].policies[0].targets"
    opened = bare.replace('value_max = "2"', 'value_max = "2"\nany_target = true')
    assert load(tmp_path, text(opened)).signers[0].policies[31_337].policy.any_target


def test_policy_without_any_spend_limit_is_refused(tmp_path: Path) -> None:
    bare = POLICY[: POLICY.index("[[signers.policies.spend]]")]
    error = refusal(tmp_path, text(bare))
    assert error.where == "signers[0].policies[0].spend"
    assert "nothing limits" in error.what


def test_second_policy_on_one_chain_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path, text(POLICY + POLICY)).where == "signers[0].policies[1].chain_id"


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ('["main", "second"]', '["main", "third"]', "budgets[0].signers[1]"),
        ('["main", "second"]', "[]", "budgets[0].signers"),
        ("31337", "1", "budgets[0].chain_id"),
        ('per_hour = "4"', 'per_hour = "13"', "budgets[0].spend[0].per_hour"),
        ('per_hour = "4"', 'per_hour = "0"', "budgets[0].spend[0].per_hour"),
        ('token = "native"', 'token = "@nowhere"', "budgets[0].spend[0].token"),
    ],
)
def test_budget_that_could_overspend_is_refused_at_its_key(
    tmp_path: Path, old: str, new: str, where: str
) -> None:
    assert old in BUDGET
    assert refusal(tmp_path, text(more=BUDGET.replace(old, new, 1))).where == where


def test_budget_named_twice_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path, text(more=BUDGET + BUDGET)).where == "budgets[1]"
