"""The deployment file: what it says comes back as a wish, and each wrong key is named before anything is read
from a chain."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from seawall.chain.addresses import AddressBook, AddressEntry, AddressKind, TokenClass
from seawall.native import encode_call
from seawall.native.wire import Password
from seawall.primitives.errors import ConfigError, InputError, RolloutError
from seawall.primitives.units import ZERO_ADDRESS, Address, address_text, hex_text
from seawall.protocols.executor.policy import (
    anything,
    at_most,
    content,
    equal_to,
    in_set,
    ourselves,
    parsed_by,
    up_to,
)
from seawall.protocols.executor.policy_reading import FoundPolicy
from seawall.rollout.deployment.contracts import DEPLOYERS, fleet_of
from seawall.rollout.deployment.files import FILE_BYTES_MAX, DeploymentWish, HealthSource, read_wish
from seawall.rollout.deployment.late import LOOSENING_WINDOW_S, announcement_read, in_time, late_of
from seawall.rollout.deployment.wanted import (
    closing,
    dropped,
    policy_of,
    policy_writes,
    power_reads,
    settings,
)
from seawall.runtime.configuration.loading import load_configuration
from seawall.runtime.configuration.settings import Configuration
from seawall.signers.local import THROWAWAY_COST, create_keystore

CHAIN_ID = 31337
SAFE = Address(b"\x5a" * 20)
MARKET = b"\x33" * 32
INIT_CODE_HASH = hex_text(b"\x22" * 32)
BOOK = {
    "weth": (Address(b"\x01" * 20), AddressKind.TOKEN),
    "market": (Address(b"\x02" * 20), AddressKind.LENDER),
    "desk": (Address(b"\x03" * 20), AddressKind.ROUTER),
    "feed_eth_usd": (Address(b"\x04" * 20), AddressKind.FEED),
}
CONFIGURATION = """\
[[chains]]
chain_id = 31337
rpc = ["http://127.0.0.1:9"]
address_book = "book.json"
[[signers]]
name = "main"
keystore = "main.json"
password_file = "password"
[[signers.policies]]
chain_id = 31337
fee_max = "1"
value_max = "1"
any_target = true
[[signers.policies.spend]]
token = "native"
per_hour = "1"
per_day = "1"
[[signers]]
name = "hand"
keystore = "hand.json"
password_file = "password"
[[safes]]
name = "council"
chain_id = 31337
address = "{safe}"
signer = "main"
threshold_min = 3
any_target = true
"""
FILE = """\
name = "desk"
chain_id = 31337
deployer = "main"
owner = "council"
wrapped_native = "@weth"
beneficiary = "council"
backup = true
operators = ["hand"]
pausers = ["hand"]
guardians = ["0x7777777777777777777777777777777777777777"]
[[tokens]]
token = "@weth"
[[lenders]]
lender = "@market"
kind = "morpho_blue"
[[factories]]
factory = "@desk"
kind = "uniswap_v2"
init_code_hash = "{hash}"
[[sets]]
id = 7
members = ["@weth", "12"]
[[calls]]
target = "@desk"
function = "trade(uint256,address,address,uint256[],bytes)"
rules = ["<= 5", "self", "in 7", "up to 3", "any", "content 0xbeef"]
spender = "@market"
[[calls]]
target = "@desk"
function = "pass(bytes,uint256)"
rules = ["parsed by @market within 64: = @weth, <= 9", "= 4"]
[[caps]]
token = "@weth"
feed = "@feed_eth_usd"
heartbeat_s = 3600
capacity = "1.5"
refill_per_hour = "0.36"
[losses]
per_execution = "500"
capacity = "2000"
refill_per_hour = "100"
[[health]]
kind = "morpho_market"
source = "@market"
market = "{market}"
"""


@dataclass(frozen=True)
class Desk:
    folder: Path
    configuration: Configuration

    def read(self, old: str = "", new: str = "") -> DeploymentWish:
        """The file, different in one place."""
        text = FILE.format(hash=INIT_CODE_HASH, market=hex_text(MARKET))
        assert not old or text.count(old) == 1, old
        path = self.folder / "desk.toml"
        path.write_text(text.replace(old, new) if old else text)
        return read_wish(path, self.configuration)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    folder = tmp_path_factory.mktemp("desk")
    book = AddressBook(CHAIN_ID)
    for name, (address, kind) in BOOK.items():
        is_token = kind is AddressKind.TOKEN
        book.add(
            AddressEntry(
                CHAIN_ID, name, address, kind, "own", None,
                TokenClass.SETTLEMENT if is_token else None, 18 if is_token else None,
                name.upper() if is_token else None,
            )
        )  # fmt: skip
    book.write(folder / "book.json")
    password = Password.generate()
    password.write_file(folder / "password")
    for name in ("main", "hand"):
        create_keystore(folder / f"{name}.json", password, THROWAWAY_COST)
    path = folder / "seawall.toml"
    path.write_text(CONFIGURATION.format(safe=address_text(SAFE)))
    return Desk(folder, load_configuration(path, {}))


def test_file_comes_back_as_what_it_wants(desk: Desk) -> None:
    wish = desk.read()
    keys = {one.name: one.address() for one in desk.configuration.signers}
    assert (wish.deployer, wish.owner, wish.owner_name) == (keys["main"], SAFE, "council")
    assert wish.operators == wish.pausers == (keys["hand"],)
    assert (wish.threshold_min, wish.owners_min) == (3, 5)
    assert wish.beneficiary == SAFE
    assert wish.seal
    (cap,) = wish.caps
    assert (cap.capacity, cap.refill_per_s) == (15 * 10**17, 10**14)
    assert (wish.losses.per_execution, wish.losses.capacity) == (500 * 10**8, 2_000 * 10**8)
    assert wish.health == (HealthSource(2, BOOK["market"][0], MARKET),)
    assert wish.sets[0].members == (int.from_bytes(BOOK["weth"][0]), 12)


def test_rules_are_those_of_the_policy(desk: Desk) -> None:
    plain, parsed = desk.read().listings
    assert plain.rules == (
        at_most(5), ourselves(), in_set(7), up_to(3), anything(), content(b"\xbe\xef"),
    )  # fmt: skip
    assert plain.spender == BOOK["market"][0]
    weth = int.from_bytes(BOOK["weth"][0])
    assert parsed.rules == (*parsed_by(BOOK["market"][0], 64, equal_to(weth), at_most(9)), equal_to(4))
    assert parsed.spender == ZERO_ADDRESS


def test_addresses_are_told_by_their_names(desk: Desk) -> None:
    wish = desk.read()
    stranger = Address(b"\x99" * 20)
    assert [wish.named(one) for one in (BOOK["weth"][0], SAFE, wish.deployer)] == ["@weth", "council", "main"]
    assert wish.named(stranger) == address_text(stranger)
    assert wish.in_names(f"{address_text(SAFE)} holds it") == "council holds it"


@pytest.mark.parametrize(
    ("old", "new", "key", "said"),
    [
        ("chain_id = 31337", "chain_id = 10", "chain_id", "chain 10 is not configured"),
        ('deployer = "main"', 'deployer = "nobody"', "deployer", "there is no signer 'nobody'"),
        ('owner = "council"', 'owner = "others"', "owner", "no Safe of this chain"),
        ('operators = ["hand"]', 'operators = ["main"]', "operators", "the deployer would keep a role"),
        ('operators = ["hand"]', "operators = []", "operators", ""),
        ('wrapped_native = "@weth"', 'wrapped_native = "@wet"', "wrapped_native", "wet"),
        ('"morpho_blue"', '"pawnshop"', "lenders[0].kind", "not one of the choices"),
        ('"uniswap_v2"', '"uniswap_v9"', "factories[0].kind", "not one of the choices"),
        (INIT_CODE_HASH, "0x22", "factories[0].init_code_hash", ""),
        (hex_text(MARKET), "0x33", "health[0].market", ""),
        ('"morpho_market"', '"bank"', "health[0].kind", ""),
        ('"= 4"', '"roughly 4"', "calls[1].rules", "is no rule"),
        ('"= 4"', '"<= four"', "calls[1].rules", "is no rule"),
        ('"= 4"', '"up to ²"', "calls[1].rules", "is no rule"),
        ("heartbeat_s = 3600", "heartbeat_s = 0", "caps[0].heartbeat_s", ""),
        ('capacity = "1.5"', 'capacity = "1.0000000000000000001"', "caps[0].capacity", ""),
        ("backup = true", "back_up = true", "back_up", ""),
        ("backup = true", 'health_floor = "1"', "health_floor", "above 1"),
        ("backup = true", 'health_floor = "18.5"', "health_floor", "above 1"),
        ("backup = true", 'health_floor = "high"', "health_floor", ""),
    ],
)
def test_wrong_key_is_named(desk: Desk, old: str, new: str, key: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        desk.read(old, new)
    assert key in caught.value.where
    assert said in caught.value.what
    assert caught.value.fix


def test_deployer_that_would_own_everything_is_refused(desk: Desk, tmp_path: Path) -> None:
    (main, _) = (one.address() for one in desk.configuration.signers)
    text = CONFIGURATION.format(safe=address_text(main))
    for name in ("book.json", "main.json", "hand.json", "password"):
        (tmp_path / name).write_bytes((desk.folder / name).read_bytes())
    (tmp_path / "password").chmod(0o600)
    (tmp_path / "seawall.toml").write_text(text)
    own = Desk(tmp_path, load_configuration(tmp_path / "seawall.toml", {}))
    with pytest.raises(ConfigError, match="the deployer would own it"):
        own.read()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"name = ", "not TOML"),
        (b"\xff\xfe", "not TOML"),
        (b"#" * (FILE_BYTES_MAX + 1), "larger than"),
        (None, "cannot be read"),
    ],
    ids=["cut short", "no text", "too large", "absent"],
)
def test_file_that_is_none_is_refused(desk: Desk, tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "desk.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=said) as caught:
        read_wish(path, desk.configuration)
    assert str(path) in caught.value.where


def test_every_write_is_done_by_its_own_answer_only(desk: Desk) -> None:
    wish = desk.read()
    writes = settings(wish, fleet_of(wish, DEPLOYERS[0]))
    answers = {
        "operator": (1).to_bytes(32),
        "at most 1.5 leave": b"".join(
            word.to_bytes(32)
            for word in (int.from_bytes(BOOK["feed_eth_usd"][0]), 3_600, 18, 15 * 10**17, 10**14)
        ),
        "health is read of @market": b"".join(
            word.to_bytes(32)
            for word in (32, 2, 1, 5, 6, 2, int.from_bytes(BOOK["market"][0]), int.from_bytes(MARKET))
        ),
    }
    for part, answer in answers.items():
        of_part = [write for write in writes if part in write.text]
        assert of_part, part
        for write in of_part:
            assert write.is_done(answer), part
            assert not write.is_done(answer[:-1] + bytes([answer[-1] ^ 0xFF])), part
            assert not write.is_done(b"")
            assert not write.is_done(None)


def test_sealed_policy_is_loosened_by_its_owners_alone_and_late(desk: Desk) -> None:
    wish = desk.read()
    fleet = fleet_of(wish, DEPLOYERS[0])
    registry = fleet.registry.address
    wanted = policy_of(wish, fleet)
    assert policy_writes(wish, fleet, FoundPolicy(wanted, sealed=True)) == ()
    narrower = desk.read('"<= 5"', '"<= 4"')
    (wider,) = policy_writes(wish, fleet, FoundPolicy(policy_of(narrower, fleet), sealed=True))
    (tighter,) = policy_writes(narrower, fleet, FoundPolicy(wanted, sealed=True))
    assert late_of(wish, (wider, tighter), (), {}, {registry: wish.deployer}) == ()  # nothing is sealed yet
    with pytest.raises(RolloutError, match="the policy is sealed, and 1 changes loosen it"):
        late_of(wish, (wider, tighter), (registry,), {}, {registry: wish.deployer})
    late = late_of(wish, (wider, tighter), (registry,), {}, {registry: wish.owner})
    assert late == (wider,)
    label = announcement_read(wider).label

    def at(now_s: int, ready_s: int) -> tuple[list[str], int]:
        now, waiting = in_time((wider, tighter), late, {label: ready_s.to_bytes(32) + bytes(32)}, now_s)
        return [one.text for one in now], len(waiting)

    announced = f"announced, to be done after its delay: {wider.text}"
    assert at(1_000, 0) == ([tighter.text, announced], 0)
    assert at(1_000, 1_001) == ([tighter.text], 1)
    assert at(1_001, 1_001) == ([tighter.text, wider.text], 0)
    assert at(1_001 + LOOSENING_WINDOW_S, 1_001) == ([tighter.text, wider.text], 0)
    assert at(1_002 + LOOSENING_WINDOW_S, 1_001) == ([tighter.text, announced], 0)


def test_caps_wait_where_they_grow_and_not_where_they_shrink(desk: Desk) -> None:
    wish = desk.read()
    feed = int.from_bytes(BOOK["feed_eth_usd"][0])
    (cap,) = [one for one in settings(wish, fleet_of(wish, DEPLOYERS[0])) if "at most 1.5 leave" in one.text]
    present = (feed, 3_600, 18, 15 * 10**17, 10**14)
    assert cap.loosens(b"")  # none yet
    for place, change, waits in ((0, 1, True), (1, -1, True), (3, -1, True), (4, -1, True), (3, 1, False)):
        words = [one + change * (at == place) for at, one in enumerate(present)]
        assert cap.loosens(b"".join(word.to_bytes(32) for word in words)) is waits, (place, change)


def words(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(32) for number in (32, len(numbers), *numbers))


def test_powers_that_the_file_does_not_name_are_taken_back(desk: Desk) -> None:
    wish = desk.read()
    fleet = fleet_of(wish, DEPLOYERS[0])
    stranger = int.from_bytes(b"\x99" * 20)
    known = [int.from_bytes(group[0]) for group in (wish.operators, wish.pausers, wish.guardians)]
    capless = encode_call("tokenLimits(address,address)", (bytes(20), bytes(20)))[:4]
    answers: dict[str, bytes | None] = {
        read.label: bytes(160) if read.calldata.startswith(capless) else words()
        for read in power_reads(wish, fleet)
    }
    assert dropped(wish, fleet, answers) == ()
    assert dropped(wish, fleet, dict.fromkeys(answers)) == ()  # there is no contract yet

    def said(target: Address, signature: str, *numbers: int) -> list[str]:
        asked = encode_call(signature, ())
        (label,) = [r.label for r in power_reads(wish, fleet) if (r.target, r.calldata) == (target, asked)]
        found = dropped(wish, fleet, {**answers, label: words(*numbers)})
        assert all(not one.is_done(None) for one in found)
        return [one.text for one in found]

    who = address_text(Address(b"\x99" * 20))
    executor, backup = (one.address for one in fleet.executors)
    assert said(executor, "roleHolders()", 1 << 160 | known[0], 2 << 160 | known[1]) == []
    assert said(executor, "roleHolders()", 7 << 160 | stranger) == [
        f"executor: {who} is no longer operator",
        f"executor: {who} is no longer pauser",
        f"executor: {who} is no longer guardian",
    ]
    assert said(backup, "roleHolders()", 4 << 160 | stranger) == [
        f"executor_backup: {who} is no longer guardian"
    ]
    book = fleet.risk_book.address
    assert said(book, "guardians()", known[2], stranger) == [
        f"risk_book: {who} may no longer veto what loosens"
    ]
    assert said(book, "binders()", stranger) == [f"risk_book: {who} may no longer bind"]


def test_a_cap_that_the_file_no_longer_has_is_taken_back(desk: Desk) -> None:
    """By an earlier file so much of a token could leave; without a cap nothing of it may."""
    wish = replace(desk.read(), caps=())
    fleet = fleet_of(wish, DEPLOYERS[0])
    policy, book, weth = fleet.executor.address, fleet.risk_book.address, BOOK["weth"][0]
    asked = encode_call("tokenLimits(address,address)", (policy, weth))
    (label,) = [r.label for r in power_reads(wish, fleet) if (r.target, r.calldata) == (book, asked)]
    (found,) = dropped(wish, fleet, {label: words(4, 3600, 18, 10**19, 10**15)[64:]})
    assert found.text == "risk_book: nothing of @weth may leave any more"
    limit = "(address,uint32,uint8,uint128,uint128)"
    nothing = (policy, weth, (bytes(20), 0, 0, 0, 0))
    assert found.call == encode_call(f"setTokenLimit(address,address,{limit})", nothing)
    assert (found.is_done(bytes(160)), found.loosens(b"")) == (True, False)
    assert dropped(wish, fleet, {label: bytes(160)}) == dropped(wish, fleet, {label: None}) == ()
    kept = desk.read()
    assert {one.token for one in kept.caps} == {weth}
    assert not [r for r in power_reads(kept, fleet) if r.calldata == asked]


@pytest.mark.parametrize(
    ("text", "wad"), [(None, None), ("1.05", 105 * 10**16), ("0", 0), ("18.4", 184 * 10**17)]
)
def test_health_floor_is_set_on_every_executor_where_the_file_names_one(
    desk: Desk, text: str | None, wad: int | None
) -> None:
    added = "backup = true" if text is None else f'backup = true\nhealth_floor = "{text}"'
    wish = desk.read("backup = true", added)
    assert wish.health_floor_wad == wad
    floors = [one for one in settings(wish, fleet_of(wish, DEPLOYERS[0])) if "health factor" in one.text]
    assert len(floors) == (0 if wad is None else 2)
    for one in floors:
        assert one.call == encode_call("setHealthFloor(uint64)", (wad or 0,))
        assert one.is_done((wad or 0).to_bytes(32))
        assert not one.is_done(((wad or 0) + 1).to_bytes(32))


def test_sealing_and_the_backup_are_left_out_where_the_file_does(desk: Desk) -> None:
    wish = desk.read("backup = true", "backup = false\nseal = false")
    assert closing(wish, fleet_of(wish, DEPLOYERS[0])) == ()
    both = desk.read()
    texts = [write.text for write in closing(both, fleet_of(both, DEPLOYERS[0]))]
    assert sum("backup is under" in text for text in texts) == 2
    assert sum("is sealed" in text for text in texts) == 4
