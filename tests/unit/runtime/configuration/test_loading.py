from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from seawall.chain.addresses import AddressBook, AddressEntry, AddressKind, TokenClass
from seawall.chain.client import StateCheck
from seawall.chain.fees import fee_settings_of
from seawall.chain.networks import NETWORKS
from seawall.primitives.errors import ConfigError
from seawall.primitives.units import Address, Hash, address_from_text, address_text
from seawall.runtime.configuration.loading import CONFIGURATION_BYTES_MAX, load_configuration, render_template
from seawall.runtime.configuration.settings import Configuration, Mode
from seawall.signers.kinds import KeystoreKey
from seawall.signers.local import PasswordSource
from seawall.strategies.scripts.settings import SCRIPT_BYTES_MAX, SCRIPT_CLASS

WETH = Address(b"\x11" * 20)
KEY = Address(b"\x22" * 20)
MINIMAL = """
[[chains]]
chain_id = 31337
rpc = ["http://127.0.0.1:8545"]
"""
FULL = """
[kernel]
data = "state"
listen = "127.0.0.1:0"

[[chains]]
chain_id = 31337
rpc = ["https://node.example/v2/${NODE_KEY}", "http://127.0.0.1:8545"]
send = ["http://127.0.0.1:8546"]
websocket = "wss://node.example/${NODE_KEY}"
poll_interval_s = 0.2
address_book = "addresses.json"
executor = "@atomic_executor"
accounts = ["@weth"]
[chains.fees]
priority_fee_ceiling_gwei = "1.5"
emergency_max_fee_per_gas_gwei = "700"

[[signers]]
name = "main"
keystore = "keys/main.json"
password_file = "keys/main.password"
[[signers.policies]]
chain_id = 31337
fee_max = "0.1"
value_max = "0"
recipients = ["@weth"]
[[signers.policies.spend]]
token = "native"
per_hour = "1"
per_day = "5"

[[signers]]
name = "second"
keystore = "keys/second.json"
password_environment = "SECOND_PASSWORD"
[[signers.policies]]
chain_id = 31337
fee_max = "0.1"
value_max = "0"
recipients = ["@weth"]
[[signers.policies.spend]]
token = "native"
per_hour = "1"
per_day = "5"

[limits]
slippage_bps = 30
key_balance_min = "0.25"
[[limits.positions]]
chain_id = 31337
token = "@weth"
cap = "1.5"
[[limits.positions]]
chain_id = 31337
token = "0x3333333333333333333333333333333333333333"
decimals = 6
cap = "2.000001"

[[strategies]]
name = "arbitrage"
class = "seawall.strategies.arbitrage.two_venue:TwoVenueArbitrage"
chain_id = 31337
signer = "main"
mode = "live"
[strategies.settings]
token = "@weth"
beneficiary = "@key"
min_profit_wei = "1000"
nested = { pools = ["@weth"], enabled = true, count = 3 }
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    book = AddressBook(31_337)
    code_hash = Hash(b"\x01" * 32)
    settlement = TokenClass.SETTLEMENT
    book.add(AddressEntry(31_337, "weth", WETH, AddressKind.TOKEN, "test", code_hash, settlement, 18, "WETH"))
    executor = Address(b"\x44" * 20)
    book.add(AddressEntry(31_337, "atomic_executor", executor, AddressKind.EXECUTOR, "test", code_hash))
    (tmp_path / "addresses.json").write_text(book.to_json())
    return tmp_path


def load(folder: Path, text: str, environment: Mapping[str, str] | None = None) -> Configuration:
    path = folder / "seawall.toml"
    path.write_text(text)
    return load_configuration(path, {"NODE_KEY": "n0de-key"} if environment is None else environment)


def refusal(folder: Path, text: str, environment: Mapping[str, str] | None = None) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(folder, text, environment)
    assert caught.value.what
    assert caught.value.where
    assert caught.value.fix
    return caught.value


def changed(old: str, new: str) -> str:
    assert FULL.count(old) >= 1, old
    return FULL.replace(old, new, 1)


def test_minimal_file_takes_every_default(folder: Path) -> None:
    configuration = load(folder, MINIMAL)
    (chain,) = configuration.chains
    assert configuration.kernel.ledger_url == f"sqlite:///{folder / 'data' / 'ledger.db'}"
    assert configuration.kernel.latch_file == folder / "data" / "latch.json"
    assert (configuration.kernel.listen_host, configuration.kernel.listen_port) == ("127.0.0.1", 9464)
    assert chain.send == chain.rpc
    assert chain.fees.max_fee_per_gas_ceiling_wei == 300 * 10**9
    assert configuration.limits[31_337].slippage_bps_max == 50
    assert configuration.limits[31_337].position_caps == {}
    assert (configuration.signers, configuration.strategies) == ((), ())


def test_full_file_is_read_to_the_last_key(folder: Path) -> None:
    configuration = load(folder, FULL)
    (chain,) = configuration.chains
    (strategy,) = configuration.strategies
    limits = configuration.limits[31_337]
    assert [endpoint.url for endpoint in chain.rpc] == [
        "https://node.example/v2/n0de-key",
        "http://127.0.0.1:8545",
    ]
    assert chain.websocket is not None
    assert chain.websocket.scheme == "wss"
    assert chain.poll_interval_s == 0.2
    assert chain.executor == b"\x44" * 20
    assert chain.accounts == (chain.book.address("weth"),)
    assert chain.fees.priority_fee_ceiling_wei == 1_500_000_000
    assert chain.emergency_max_fee_per_gas_wei == 700 * 10**9
    assert [signer.name for signer in configuration.signers] == ["main", "second"]
    key = configuration.signers[0].key
    assert isinstance(key, KeystoreKey)
    assert key.password == PasswordSource(file=folder / "keys" / "main.password")
    other = configuration.signers[1].key
    assert isinstance(other, KeystoreKey)
    assert other.password == PasswordSource(environment="SECOND_PASSWORD")
    assert limits.slippage_bps_max == 30
    assert limits.key_balance_min_wei == 25 * 10**16
    assert limits.position_caps == {WETH: 15 * 10**17, Address(b"\x33" * 20): 2_000_001}
    assert (strategy.mode, strategy.signer, strategy.host) == (Mode.LIVE, "main", "shared")


def test_fees_default_to_the_networks_own(folder: Path) -> None:
    (polygon,) = load(folder, MINIMAL.replace("31337", "137")).chains
    assert polygon.fees == fee_settings_of(NETWORKS[137])
    assert polygon.emergency_max_fee_per_gas_wei > polygon.fees.max_fee_per_gas_ceiling_wei * 11 // 10
    changed_fees = """[chains.fees]
headroom_bps = 20000
percentiles = { critical = 99, low = 5 }
"""
    (devnet,) = load(folder, MINIMAL + changed_fees).chains
    assert devnet.fees.percentiles == (99, 75, 50, 5)
    assert devnet.fees.headroom_bps == 20_000


@pytest.mark.parametrize(
    ("fees", "where"),
    [
        ("headroom_bps = 9999", "chains[0].fees.headroom_bps"),
        ("percentiles = { low = 60 }", "chains[0].fees"),
        ("percentiles = { lowest = 1 }", "chains[0].fees.percentiles.lowest"),
        ('emergency_max_fee_per_gas_gwei = "330"', "chains[0].fees.emergency_max_fee_per_gas_gwei"),
        ('max_fee_per_gas_ceiling_gwei = "1"', "chains[0].fees"),
    ],
)
def test_fees_that_cannot_work_are_refused(folder: Path, fees: str, where: str) -> None:
    assert refusal(folder, f"{MINIMAL}[chains.fees]\n{fees}\n").where == where


@pytest.mark.parametrize(("endpoints", "need"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3)])
def test_most_endpoints_must_agree_where_nobody_says_how_many(
    folder: Path, endpoints: int, need: int
) -> None:
    urls = ", ".join(f'"http://127.0.0.1:{8_545 + number}"' for number in range(endpoints))
    content = MINIMAL.replace('"http://127.0.0.1:8545"', urls)
    (chain,) = load(folder, content).chains
    assert (chain.agreement, chain.verify_state) == (need, StateCheck.AGREEMENT)


def test_agreement_above_the_number_of_endpoints_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match="2 endpoints must agree, and there are 1") as caught:
        load(folder, MINIMAL + "agreement = 2\n")
    assert caught.value.where == "chains[0].agreement"


def test_strategy_is_given_its_chain_its_key_and_the_addresses_behind_names(folder: Path) -> None:
    (strategy,) = load(folder, FULL).strategies
    assert json.loads(strategy.settings_json(KEY)) == {
        "token": address_text(WETH),
        "beneficiary": address_text(KEY),
        "min_profit_wei": "1000",
        "nested": {"pools": [address_text(WETH)], "enabled": True, "count": 3},
        "chain_id": 31_337,
        "key": address_text(KEY),
    }


def test_relative_database_is_in_the_files_folder_and_a_secret_address_comes_from_the_environment(
    folder: Path,
) -> None:
    local = load(folder, '[kernel]\nledger = "sqlite:///x.db"\n' + MINIMAL)
    assert local.kernel.ledger_url == f"sqlite:///{folder / 'x.db'}"
    text = '[kernel]\nledger = "postgresql+psycopg://seawall:${PASSWORD}@db/main"\n' + MINIMAL
    remote = load(folder, text, {"PASSWORD": "pa55word"})
    assert remote.kernel.ledger_url == "postgresql+psycopg://seawall:pa55word@db/main"


def test_lease_in_a_fleet_is_short_and_outlives_the_send_permit(folder: Path) -> None:
    fleet = '[kernel]\nledger = "postgresql+psycopg://db/main"\n'
    assert load(folder, MINIMAL).kernel.lease_ttl_s == 30
    assert load(folder, fleet + MINIMAL).kernel.lease_ttl_s == 3
    with pytest.raises(ConfigError, match="lease of 2 s may end before the send permit"):
        load(folder, fleet + "lease_ttl_s = 2\n" + MINIMAL)


@pytest.mark.parametrize(("text", "found"), [("", 16), ("lane_unlanded_max = 1024\n", 1_024)])
def test_bound_of_a_lane_is_what_common_nodes_keep_or_what_the_operator_knows_of_his(
    folder: Path, text: str, found: int
) -> None:
    (folder / "seawall.toml").write_text(
        '[[chains]]\nchain_id = 31337\nrpc = ["http://127.0.0.1:8545"]\n' + text
    )
    (chain,) = load_configuration(folder / "seawall.toml", {}).chains
    assert chain.lane_unlanded_max == found


def test_unknown_chain_can_be_described(folder: Path) -> None:
    network = """
[[networks]]
chain_id = 424242
name = "my-chain"
native_symbol = "ETH"
block_time_s = 2
safe = 8
hardforks = [{ from_s = 0, name = "prague" }]
"""
    configuration = load(folder, network + MINIMAL.replace("31337", "424242"))
    (chain,) = configuration.chains
    assert (chain.network.name, chain.network.finality.safe, chain.network.finality.final) == (
        "my-chain",
        8,
        "finalized",
    )
    assert chain.network.hardforks == ((0, "prague"),)


def test_configuration_shows_no_secret(folder: Path) -> None:
    text = FULL.replace("[kernel]", '[kernel]\nledger = "postgresql+psycopg://u:${NODE_KEY}@db/main"')
    shown = repr(load(folder, text))
    assert "n0de-key" not in shown
    assert "SECOND_PASSWORD" not in shown


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ("poll_interval_s = 0.2", "poll_intervall_s = 0.2", "chains[0].poll_intervall_s"),
        ("[kernel]", "[kernell]\n[kernel]", "kernell"),
        ('data = "state"', "data = 7", "kernel.data"),
        ("127.0.0.1:0", "0.0.0.0:80", "kernel.listen"),
        ("127.0.0.1:0", "127.0.0.1:99999", "kernel.listen"),
        ("127.0.0.1:0", "node.example:80", "kernel.listen"),
        ("chain_id = 31337\nrpc", "chain_id = 31338\nrpc", "chains[0].chain_id"),
        ("chain_id = 31337\nrpc", "chain_id = -1\nrpc", "chains[0].chain_id"),
        ("chain_id = 31337\nrpc", 'chain_id = "31337"\nrpc', "chains[0].chain_id"),
        ("chain_id = 31337\nrpc", "chain_id = true\nrpc", "chains[0].chain_id"),
        ('"http://127.0.0.1:8545"', '"ftp://node.example"', "chains[0].rpc[1]"),
        ('"http://127.0.0.1:8545"', "8545", "chains[0].rpc[1]"),
        ("wss://node", "https://node", "chains[0].websocket"),
        ("poll_interval_s = 0.2", "poll_interval_s = nan", "chains[0].poll_interval_s"),
        ("poll_interval_s = 0.2", "poll_interval_s = -1", "chains[0].poll_interval_s"),
        ("addresses.json", "absent.json", "chains[0].address_book"),
        ("addresses.json", "seawall.toml", "chains[0].address_book"),
        ("@atomic_executor", "@atomic_exekutor", "chains[0].executor"),
        ('gwei = "1.5"', 'gwei = "1.0000000001"', "chains[0].fees.priority_fee_ceiling_gwei"),
        ('gwei = "1.5"', 'gwei = "-1"', "chains[0].fees.priority_fee_ceiling_gwei"),
        ('gwei = "1.5"', "gwei = 1.5", "chains[0].fees.priority_fee_ceiling_gwei"),
        ('priority_fee_ceiling_gwei = "1.5"', 'priority_fee_ceiling_gwei = "400"', "chains[0].fees"),
        ('name = "second"', 'name = "main"', "signers[1]"),
        ('name = "second"', 'name = "Second Key"', "signers[1].name"),
        ('password_environment = "SECOND_PASSWORD"', "", "signers[1]"),
        ('password_environment = "SECOND_PASSWORD"', 'password = "x"', "signers[1].password"),
        ('keystore = "keys/main.json"', "", "signers[0].keystore"),
        ("slippage_bps = 30", "slippage_bps = 10001", "limits.slippage_bps"),
        ('"0.25"', '"0.2500000000000000001"', "limits.key_balance_min"),
        ('cap = "1.5"', 'cap = "1e18"', "limits.positions[0].cap"),
        ('cap = "1.5"', 'cap = "1.5"\ndecimals = 6', "limits.positions[0].decimals"),
        ("decimals = 6", "", "limits.positions[1].decimals"),
        ("2.000001", "2.0000001", "limits.positions[1].cap"),
        ("0x3333333333333333333333333333333333333333", "0x33", "limits.positions[1].token"),
        ("0x3333333333333333333333333333333333333333", "@weth", "limits.positions[1].token"),
        ("chain_id = 31337\ntoken", "chain_id = 1\ntoken", "limits.positions[0].chain_id"),
        ("two_venue:TwoVenueArbitrage", "two_venue", "strategies[0].class"),
        ("chain_id = 31337\nsigner", "chain_id = 1\nsigner", "strategies[0].chain_id"),
        ('signer = "main"', 'signer = "mane"', "strategies[0].signer"),
        ('mode = "live"', 'mode = "lively"', "strategies[0].mode"),
        ('mode = "live"', "", "strategies[0].mode"),
        ('token = "@weth"\nbene', 'token = "@wethh"\nbene', "strategies[0].settings.token"),
        ('pools = ["@weth"]', 'pools = ["@wethh"]', "strategies[0].settings.nested.pools[0]"),
        ("count = 3", "count = 0.5", "strategies[0].settings.nested.count"),
        ('min_profit_wei = "1000"', 'key = "@weth"', "strategies[0].settings.key"),
        ('min_profit_wei = "1000"', 'secret = "${NODE_KEY}"', "strategies[0].settings.secret"),
    ],
)
def test_bad_value_names_its_exact_key(folder: Path, old: str, new: str, where: str) -> None:
    assert refusal(folder, changed(old, new)).where == where


def test_mistyped_key_comes_with_the_one_that_was_meant(folder: Path) -> None:
    error = refusal(folder, changed("poll_interval_s", "pol_interval_s"))
    assert error.fix == "did you mean 'poll_interval_s'?"


def test_wrong_checksum_is_refused(folder: Path) -> None:
    wrong = "0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc3"
    error = refusal(folder, changed("0x3333333333333333333333333333333333333333", wrong))
    assert error.where == "limits.positions[1].token"
    assert "checksum" in str(error).lower()


def test_unset_variable_is_named_and_a_set_one_is_never_shown(folder: Path) -> None:
    unset = refusal(folder, FULL, {})
    assert unset.where == "chains[0].rpc[0]"
    assert "NODE_KEY" in unset.what
    broken = refusal(folder, changed("https://node.example", "gopher://node.example"))
    assert "n0de-key" not in str(broken)


SUBMITTER = """
[[submitters]]
name = "treasury"
chain_id = 31337
signers = ["main", "second"]
"""


def test_submitters_name_their_chain_and_lanes(folder: Path) -> None:
    (submitter,) = load(folder, FULL + SUBMITTER).submitters
    assert (submitter.name, submitter.chain_id, submitter.signers) == ("treasury", 31_337, ("main", "second"))


def test_strategy_may_be_a_file_whose_settings_are_its_variables(folder: Path) -> None:
    (folder / "file.yaml").write_text("strategy: nothing\n")
    old = 'class = "seawall.strategies.arbitrage.two_venue:TwoVenueArbitrage"'
    text = changed(old, 'file = "file.yaml"').partition("[strategies.settings]")[0]
    (strategy,) = load(folder, text + '[strategies.settings]\nleast = "2 weth"\nmost = 5\n').strategies
    assert strategy.path == SCRIPT_CLASS
    given = json.loads(strategy.settings_json(Address(b"\x55" * 20)))
    assert given["text"] == "strategy: nothing\n"
    assert given["variables"] == {"least": "2 weth", "most": "5"}
    assert given["executor"] == address_text(b"\x44" * 20)
    assert AddressBook.from_json(given["book"]).address("weth") == WETH
    assert "a class or a file" in refusal(folder, changed(old, f'file = "file.yaml"\n{old}')).what
    assert "cannot be read" in refusal(folder, changed(old, 'file = "missing.yaml"')).what
    (folder / "file.yaml").write_bytes(b"\xff")
    assert "not UTF-8" in refusal(folder, changed(old, 'file = "file.yaml"')).what
    (folder / "file.yaml").write_bytes(b"#" * (SCRIPT_BYTES_MAX + 1))
    assert "larger than" in refusal(folder, changed(old, 'file = "file.yaml"')).what


def test_class_may_be_given_the_address_book(folder: Path) -> None:
    (strategy,) = load(
        folder, changed('token = "@weth"\nbeneficiary', 'token = "@book"\nbeneficiary')
    ).strategies
    book = strategy.settings["token"]
    assert isinstance(book, str)
    assert AddressBook.from_json(book).address("weth") == WETH


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ('"treasury"', '"arbitrage"', "submitters[0]"),
        ("31337", "1", "submitters[0].chain_id"),
        ('"second"', '"third"', "submitters[0].signers[1]"),
        ('["main", "second"]', "[]", "submitters[0].signers"),
        ("signers", "signer", "submitters[0].signer"),
    ],
)
def test_submitter_of_nothing_or_with_a_strategys_name_is_refused(
    folder: Path, old: str, new: str, where: str
) -> None:
    assert refusal(folder, FULL + SUBMITTER.replace(old, new)).where == where


def test_same_chain_twice_and_no_chain_are_refused(folder: Path) -> None:
    assert refusal(folder, MINIMAL + MINIMAL).where == "chains[1]"
    assert refusal(folder, "").where == "chains"


@pytest.mark.parametrize("content", [b"[kernel", b"\xff\xfe", b"a = 1\na = 2", b"x = " + b"[" * 5_000])
def test_file_that_is_not_toml_is_refused_with_its_path(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "seawall.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_configuration(path, {})
    assert caught.value.where == str(path)


def test_absent_and_oversized_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="seawall init"):
        load_configuration(tmp_path / "absent.toml", {})
    (tmp_path / "large.toml").write_bytes(b"#" * (CONFIGURATION_BYTES_MAX + 1))
    with pytest.raises(ConfigError, match="larger"):
        load_configuration(tmp_path / "large.toml", {})


def test_template_is_valid_as_it_is_written(tmp_path: Path) -> None:
    configuration = load(tmp_path, render_template(KEY))
    assert [signer.name for signer in configuration.signers] == ["main"]
    assert address_text(KEY) in (tmp_path / "seawall.toml").read_text()


def test_every_commented_key_of_the_template_is_a_true_key(folder: Path) -> None:
    lines = []
    for line in render_template(KEY).splitlines():
        uncommented = re.sub(r"^# (?=\[|[a-z_0-9]+ = )", "", line)
        lines.append(uncommented)
    text = "\n".join(lines).replace(".seawall/devnet/addresses.json", "addresses.json")
    text = text.replace("any_target = true", "")  # it stands for the targets that are commented
    book = AddressBook.from_json((folder / "addresses.json").read_bytes())
    names = {name for name in re.findall(r'"@([a-z0-9_]+)"', text) if name != "key" and name not in book}
    for place, name in enumerate(sorted(names)):
        address = Address(bytes([100 + place]) * 20)
        book.add(AddressEntry(31_337, name, address, AddressKind.FACTORY, "test", Hash(bytes(32))))
    (folder / "addresses.json").write_text(book.to_json())
    (folder / "flash_arbitrage.yaml").write_text("strategy: flash_arbitrage\n")
    configuration = load(folder, text)
    names_of = [strategy.name for strategy in configuration.strategies]
    assert names_of == ["two-venue", "flash-arbitrage", "native-range"]
    assert [budget.name for budget in configuration.budgets] == ["treasury"]
    assert len(configuration.signers[0].policies[31_337].policy.targets) == 1
    weth = book.address("weth")
    assert configuration.limits[31_337].position_caps == {weth: 100 * 10**18}
    shown = json.loads(configuration.strategies[0].settings_json(KEY))
    assert address_from_text(shown["token"]) == weth


def test_reading_the_configuration_brings_in_no_library_that_only_a_kernel_needs() -> None:
    """Every command reads it, most of them to answer at once."""
    code = "import sys, seawall.runtime.configuration.loading; print('aiohttp' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
