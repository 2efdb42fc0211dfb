"""Limits and their layers as written in a configuration: what they become, and the key that every error
names."""

from __future__ import annotations

import importlib
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from seawall.chain.addresses import AddressBook, AddressEntry, AddressKind, TokenClass
from seawall.native import encode_call
from seawall.primitives.errors import ConfigError
from seawall.primitives.units import NATIVE, Address, address_text
from seawall.protocols.sequencer import UptimeTerms
from seawall.risk.layers import Layer, LayerKind, LimitSet, Scalar
from seawall.risk.lending import AavePool, Collateral, Comet, MorphoMarket
from seawall.risk.limits import ExposureLimit, RiskLimits
from seawall.risk.shares import PairShare, RateShare
from seawall.risk.volatility import VolatilityRule
from seawall.runtime.configuration.loading import load_configuration
from seawall.runtime.configuration.settings import Configuration, OwnGuardSettings
from seawall.runtime.limiting import limited_by, own_guards_of, require_countable

NAMES = (
    "weth", "usdx", "a_weth", "debt_usdx", "pool", "aave_pool", "morpho", "irm", "oracle", "comet", "feed",
    "multicall3",
)  # fmt: skip
OTHER_CAP = 'token = "@usdx"\ncap = "2.5"'
OTHER_CHAIN = "[[limits.deals]]\nchain_id = 5"
TWICE = '\n[[limits.volatility]]\nchain_id = 31337\npool = "@pool"\ncalm_bps = 1\n'
ADDRESSES = {name: Address(bytes([place + 1]) * 20) for place, name in enumerate(NAMES)}
CLASSES = {
    "weth": TokenClass.SETTLEMENT, "usdx": TokenClass.ASSET, "a_weth": TokenClass.RECEIPT,
    "debt_usdx": TokenClass.DEBT,
}  # fmt: skip
TEXT = """
[[chains]]
chain_id = 31337
rpc = ["http://127.0.0.1:8545"]
address_book = "addresses.json"
[[chains.prices]]
token = "@weth"
feed = "@feed"
[[chains.lending]]
kind = "aave"
pool = "@aave_pool"
[[chains.lending]]
kind = "morpho"
morpho = "@morpho"
loan = "@usdx"
collateral = "@weth"
oracle = "@oracle"
irm = "@irm"
lltv = "0.86"
[[chains.lending]]
kind = "comet"
comet = "@comet"
base = "@usdx"
base_feed = "@feed"
collaterals = [{ token = "@weth", feed = "@feed" }]
[[chains.shares]]
token = "@a_weth"
of = "@weth"
call = "convertToAssets(uint256)"
[[chains.shares]]
token = "@a_weth"
of = "native"
call = "stEthPerToken()"
target = "@oracle"
[[chains.shares]]
token = "@pool"
pair_of = ["@usdx", "@weth"]
[chains.sequencer]
feed = "@feed"
grace_s = 60

[[chains]]
chain_id = 1
rpc = ["http://127.0.0.1:8546"]

[[signers]]
name = "main"
keystore = "main.json"
password_file = "main.password"

[[strategies]]
name = "loops"
class = "a:B"
chain_id = 31337
signer = "main"
mode = "dry_run"

[limits]
slippage_bps = 80
ltv_bps = 7000
health_factor_min = "1.25"
mev_value = "40"
position_loss = "100.5"
[[limits.positions]]
chain_id = 31337
token = "@weth"
cap = "10"
[[limits.exposures]]
chain_id = 31337
name = "aave"
members = ["@a_weth", "@aave_pool"]
share_bps = 2500
[[limits.volatility]]
chain_id = 31337
pool = "@pool"
calm_bps = 50
samples = 6
[[limits.guards]]
chain_id = 31337
name = "mine"
class = "my.guards:Mine"
[limits.guards.settings]
token = "@weth"
most = 5
names = ["a", "@usdx"]
is_strict = true

[[limits.chains]]
chain_id = 31337
price_impact_bps = 30
tokens_allowed = ["@weth", "native"]
tokens_denied = ["@usdx"]
[[limits.protocols]]
chain_id = 31337
name = "morpho"
addresses = ["@morpho"]
oracle_age_s = 600
[[limits.strategies]]
name = "loops"
slippage_bps = 20
[[limits.strategies.positions]]
token = "@weth"
cap = "2.5"
[[limits.signers]]
chain_id = 31337
name = "main"
max_fee_per_gas_gwei = "12.5"
[[limits.deals]]
chain_id = 31337
name = "deal-1"
accounts = ["0x7777777777777777777777777777777777777777"]
[[limits.deals.exposures]]
name = "ether"
members = ["@weth"]
share_bps = 100
"""

OWN_GUARD = """
class Mine:
    name = "mine"

    @classmethod
    def configured(cls, settings):
        return cls()

    def probes(self):
        return ()

    def measure(self, evidence):
        raise NotImplementedError
"""


def load(folder: Path, text: str = TEXT) -> Configuration:
    book = AddressBook(31_337)
    for name, address in ADDRESSES.items():
        kind = CLASSES.get(name)
        decimals = None if kind is None else 18
        book.add(
            AddressEntry(31_337, name, address, AddressKind.TOKEN, "test", b"\x01" * 32, kind, decimals, name)
        )
    (folder / "addresses.json").write_text(book.to_json())
    path = folder / "seawall.toml"
    path.write_text(text)
    return load_configuration(path, {})


def test_the_base_says_what_stands_in_place_of_the_defaults(tmp_path: Path) -> None:
    limits = load(tmp_path).limits
    assert limits[31_337] == RiskLimits(
        slippage_bps_max=80,
        ltv_bps_max=7_000,
        health_factor_min_wad=125 * 10**16,
        mev_value_max=40 * 10**18,
        position_loss_max=1_005 * 10**17,
        position_caps={ADDRESSES["weth"]: 10 * 10**18},
        exposures=(ExposureLimit("aave", frozenset({ADDRESSES["a_weth"], ADDRESSES["aave_pool"]}), 2_500),),
        volatility=VolatilityRule(ADDRESSES["pool"], 50, samples=6),
    )
    assert (limits[1].position_caps, limits[1].exposures, limits[1].volatility) == ({}, (), None)


def test_layers_come_with_the_wider_first_and_only_on_their_chain(tmp_path: Path) -> None:
    layers = load(tmp_path).layers
    ether = ExposureLimit("ether", frozenset({ADDRESSES["weth"]}), 100)
    allowed = frozenset({ADDRESSES["weth"], NATIVE})
    assert layers[31_337] == (
        Layer(
            LayerKind.CHAIN,
            "31337",
            LimitSet({Scalar.PRICE_IMPACT_BPS: 30}, {}, allowed, frozenset({ADDRESSES["usdx"]})),
        ),
        Layer(
            LayerKind.PROTOCOL,
            "morpho",
            LimitSet({Scalar.ORACLE_AGE_S: 600}),
            frozenset({ADDRESSES["morpho"]}),
        ),
        Layer(
            LayerKind.STRATEGY,
            "loops",
            LimitSet({Scalar.SLIPPAGE_BPS: 20}, {ADDRESSES["weth"]: 25 * 10**17}),
        ),
        Layer(LayerKind.SIGNER, "main", LimitSet({Scalar.MAX_FEE_PER_GAS: 125 * 10**8})),
        Layer(LayerKind.DEAL, "deal-1", LimitSet(exposures=(ether,)), frozenset({Address(b"\x77" * 20)})),
    )
    assert layers[1] == ()


def test_facts_of_the_chain_reach_the_gate_and_a_signer_s_layer_its_key(tmp_path: Path) -> None:
    configuration = load(tmp_path)
    (settings, _) = configuration.chains
    key = Address(b"\x55" * 20)
    limited = limited_by(configuration, settings, {"main": key})
    facts = limited.base.facts
    weth, usdx, feed = (ADDRESSES[name] for name in ("weth", "usdx", "feed"))
    assert facts.lending == (
        AavePool(ADDRESSES["aave_pool"]),
        MorphoMarket(
            ADDRESSES["morpho"], usdx, weth, ADDRESSES["oracle"], ADDRESSES["irm"], 86 * 10**16,
            ADDRESSES["multicall3"],
        ),
        Comet(ADDRESSES["comet"], usdx, feed, (Collateral(weth, feed),)),
    )  # fmt: skip
    receipt = ADDRESSES["a_weth"]
    assert facts.shares == (
        RateShare(receipt, weth, receipt, encode_call("convertToAssets(uint256)", (10**18,)), 10**18),
        RateShare(receipt, NATIVE, ADDRESSES["oracle"], encode_call("stEthPerToken()", ()), 10**18),
        PairShare(ADDRESSES["pool"], weth, usdx),
    )
    assert facts.sequencer == UptimeTerms(feed, 60)
    assert (facts.receipts, facts.debts) == ((ADDRESSES["a_weth"],), (ADDRESSES["debt_usdx"],))
    assert (facts.multicall, facts.wrapped_native) == (ADDRESSES["multicall3"], weth)
    assert facts.feed_of(NATIVE) == facts.feed_of(weth) == settings.prices[0]
    (signer,) = [layer for layer in limited.layers if layer.kind is LayerKind.SIGNER]
    assert signer.addresses == frozenset({key})
    assert limited.base.slippage_bps_max == 80


def test_own_guards_are_named_with_their_settings(tmp_path: Path) -> None:
    settings = {
        "token": address_text(ADDRESSES["weth"]),
        "most": 5,
        "names": ["a", address_text(ADDRESSES["usdx"])],
        "is_strict": True,
    }
    configuration = load(tmp_path)
    assert configuration.own_guards == (OwnGuardSettings("mine", "my.guards:Mine", 31_337, settings),)
    assert own_guards_of(configuration, 1) == ()


def test_own_guards_are_imported_from_where_strategies_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    text = TEXT.replace("my.guards:Mine", "own_guard_of_a_folder:Mine").replace(
        "[[signers]]", '[hosts]\npython_path = ["code"]\n\n[[signers]]', 1
    )
    with pytest.raises(ConfigError, match="there is no module"):
        own_guards_of(load(tmp_path, text), 31_337)
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "own_guard_of_a_folder.py").write_text(OWN_GUARD)
    importlib.invalidate_caches()
    (own,) = own_guards_of(load(tmp_path, text), 31_337)
    assert (own.name, own.probes()) == ("mine", ())


@pytest.mark.parametrize(
    ("old", "new", "where", "told"),
    [
        ("slippage_bps = 80", "slipage_bps = 80", "limits.slipage_bps", "slippage_bps"),
        ("ltv_bps = 7000", "ltv_bps = 10001", "limits.ltv_bps", "out of range"),
        ('"1.25"', "1.25", "limits.health_factor_min", "not an amount"),
        ('"40"', '"-40"', "limits.mev_value", ""),
        ("share_bps = 2500", "share_bps = 10001", "limits.exposures[0].share_bps", "out of range"),
        ('members = ["@a_weth", "@aave_pool"]', "members = []", "limits.exposures[0].members", "1 or more"),
        ("ltv_bps = 7000", "chain_checks = 1", "limits.chain_checks", "true or false"),
        ("calm_bps = 50", "calm_bps = 0", "limits.volatility[0].calm_bps", "out of range"),
        ("samples = 6", "samples = 65", "limits.volatility[0].samples", "out of range"),
        ('pool = "@pool"', 'pool = "@lake"', "limits.volatility[0].pool", "lake"),
        ('name = "mine"', 'name = "ltv"', "limits.guards[0].name", "already"),
        ("most = 5", "most = 5.5", "limits.guards[0].settings.most", "float"),
        ('token = "@weth"\nmost', 'token = "@what"\nmost', "limits.guards[0].settings.token", "what"),
        ('class = "my.guards:Mine"', "", "limits.guards[0].class", "missing"),
        ("price_impact_bps = 30", "impact = 30", "limits.chains[0].impact", "not known"),
        ('tokens_denied = ["@usdx"]', 'tokens_denied = ["usdx"]', "limits.chains[0].tokens_denied[0]", ""),
        ('addresses = ["@morpho"]', "", "limits.protocols[0].addresses", "missing"),
        ('name = "loops"\nslippage', 'name = "lops"\nslippage', "limits.strategies[0].name", "loops"),
        ('name = "main"\nmax_fee', 'name = "man"\nmax_fee', "limits.signers[0].name", "main"),
        ('token = "@weth"\ncap = "2.5"', OTHER_CAP, "limits.strategies[0].positions[0].token", "open it"),
        ('name = "deal-1"', 'name = "deal 1"', "limits.deals[0].name", "not a name"),
        ("[[limits.deals]]\nchain_id = 31337", OTHER_CHAIN, "limits.deals[0].chain_id", "31337"),
        ('kind = "comet"', 'kind = "comett"', "chains[0].lending[2].kind", "comet"),
        ("stEthPerToken()", "stEthPerToken", "chains[0].shares[1].call", "stEthPerToken()"),
        ('of = "native"', "", "chains[0].shares[1].of", "missing"),
        ('pair_of = ["@usdx", "@weth"]', 'pair_of = ["@usdx"]', "chains[0].shares[2].pair_of", "two tokens"),
        ('lltv = "0.86"', "", "chains[0].lending[1].lltv", "missing"),
        ('pool = "@aave_pool"', "", "chains[0].lending[0].pool", "missing"),
        ("grace_s = 60", "grace_s = -1", "chains[0].sequencer.grace_s", "out of range"),
    ],
)  # fmt: skip
def test_every_error_names_its_key(tmp_path: Path, old: str, new: str, where: str, told: str) -> None:
    assert old in TEXT
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, TEXT.replace(old, new, 1))
    assert caught.value.where == where
    assert told in f"{caught.value.what} {caught.value.fix}"


@pytest.mark.parametrize(
    ("more", "where"),
    [
        ("\n[[limits.chains]]\nchain_id = 31337\n", "limits.chains[1]"),
        ('\n[[limits.strategies]]\nname = "loops"\n', "limits.strategies[1]"),
        (TWICE, "limits.volatility[1].chain_id"),
    ],
)  # fmt: skip
def test_nothing_is_limited_twice_in_one_place(tmp_path: Path, more: str, where: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, TEXT + more)
    assert caught.value.where == where


def test_two_chains_may_have_layers_of_one_name(tmp_path: Path) -> None:
    more = '\n[[limits.signers]]\nchain_id = 1\nname = "main"\nslippage_bps = 3\n'
    layers = load(tmp_path, TEXT + more).layers
    assert layers[1] == (Layer(LayerKind.SIGNER, "main", LimitSet({Scalar.SLIPPAGE_BPS: 3})),)


def test_exposures_that_take_too_many_calls_are_refused_at_the_start(tmp_path: Path) -> None:
    configuration = load(tmp_path)
    (settings, _) = configuration.chains
    limited = limited_by(configuration, settings, {})
    few = frozenset(Address(bytes([n]) * 20) for n in range(10))
    require_countable(limited, few)
    many = frozenset(Address(bytes([n]) * 20) for n in range(100))
    with pytest.raises(ConfigError, match="calls a plan") as caught:
        require_countable(limited, many)
    assert caught.value.where == "limits.exposures"
    require_countable(replace(limited, base=replace(limited.base, exposures=()), layers=()), many)
