"""Our contracts, deployed through a true kernel and handed to a true Safe of three of five."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from seawall.chain.addresses import AddressBook
from seawall.cli.main import main
from seawall.ledger.safes import ProposalNumber, ProposalState
from seawall.native import encode_call
from seawall.native.wire import Password
from seawall.primitives.levels import IntentState
from seawall.primitives.units import Address, address_from_text, address_text, hex_text
from seawall.protocols.executor.artifacts import load_artifact
from seawall.protocols.executor.policy import Role, role_call
from seawall.rollout.deployment.contracts import DEPLOYERS, fleet_of
from seawall.rollout.deployment.files import read_wish
from seawall.rollout.deployment.wanted import policy_writes, settings
from seawall.rollout.devnet import TRADERS, Devnet, DevnetSettings
from seawall.rollout.devnet.accounts import GUARDIAN, PAUSER
from seawall.rollout.devnet.build import BuiltState
from seawall.rollout.devnet.steering import create_safe
from seawall.rollout.devnet.uniswap import V2_INIT_CODE_HASH, V3_INIT_CODE_HASH
from seawall.runtime.configuration.loading import load_configuration
from seawall.runtime.handing_in import HandedCall, Hatch
from seawall.signers.local import THROWAWAY_COST, create_keystore
from tests.fixtures.devnet import running_devnet
from tests.fixtures.kernel import ETHER, KernelFolder

pytestmark = pytest.mark.anvil

OWNERS = ("ann", "bob", "cay", "dan", "eve")
OPERATOR = TRADERS[2]
STRANGER, NEWCOMER = Address(b"\x66" * 20), Address(b"\x77" * 20)
PROJECT = """
[[submitters]]
name = "deployment"
chain_id = 31337
signers = ["main"]

[[safes]]
name = "council"
chain_id = 31337
address = "{safe}"
signer = "main"
threshold_min = 3
any_target = true
"""
SIGNER = """
[[signers]]
name = "{name}"
keystore = "keys/{name}.json"
password_file = "keys/{name}.password"
"""
FILE = """\
name = "desk"
chain_id = 31337
deployer = "main"
owner = "council"
wrapped_native = "@weth"
beneficiary = "council"
backup = true
accounts = true
operators = ["{operator}"]
pausers = ["{pauser}"]
guardians = ["{guardian}"]

[[tokens]]
token = "@weth"
allowance = true
[[tokens]]
token = "@usdx"
allowance = true
[[tokens]]
token = "@debt_usdx"
class = "debt"

[[lenders]]
lender = "@balancer_vault"
kind = "balancer_v2"

[[factories]]
factory = "@uniswap_v2_factory"
kind = "uniswap_v2"
init_code_hash = "{v2}"
fee_ppm = 3000
reduce = true
[[factories]]
factory = "@uniswap_v3_factory"
kind = "uniswap_v3"
init_code_hash = "{v3}"

[[calls]]
target = "@weth"
function = "deposit()"
max_native = "100"
reduce = true
[[calls]]
target = "@debt_desk"
function = "repay(uint256,address)"
rules = ["any", "self"]
reduce = true

[[caps]]
token = "@weth"
feed = "@feed_eth_usd"
heartbeat_s = 86400
capacity = "10"
refill_per_hour = "1"

[losses]
per_execution = "500"
capacity = "2000"
refill_per_hour = "100"
"""


@dataclass(slots=True)
class Desk:
    folder: KernelFolder
    safe: Address
    plan: Path

    def run(self, *arguments: str) -> tuple[int, Any]:
        out, error = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
            code = main([*arguments, "--config", str(self.folder.configuration), "--json"])
        text = out.getvalue() or error.getvalue()
        return code, json.loads(text) if text else None

    def deploy(self, *arguments: str | Path) -> tuple[int, Any]:
        """Of the file given first, or the usual one."""
        file = self.plan
        if arguments and isinstance(arguments[0], Path):
            file, arguments = arguments[0], arguments[1:]
        return self.run("deploy", "executor", "--plan", str(file), *map(str, arguments))

    def variant(self, name: str, old: str, new: str, text: str | None = None) -> Path:
        """Another file, which differs in one place."""
        text = self.plan.read_text() if text is None else text
        assert text.count(old) == 1, old
        path = self.folder.directory / f"{name}.toml"
        path.write_text(text.replace(old, new))
        return path

    def sign_and_execute(self, proposal: int) -> None:
        """Three owners sign it, and whatever other tests have left before it."""
        for number in map(str, range(1, proposal + 1)):
            if self.run("safe", "show", number)[1]["status"] != "open":
                continue
            for name in OWNERS[1:4]:
                code, answer = self.run("safe", "sign", number, "--signer", name)
                assert code == 0, answer
            code, answer = self.run("safe", "execute", number)
            assert code == 0, answer
            executed = partial(self.is_executed, ProposalNumber(int(number)))
            self.folder.pump(executed, f"proposal {number} is executed")

    def is_executed(self, number: ProposalNumber) -> bool:
        return self.folder.books.read(lambda tx: tx.safes.get(number).state) is ProposalState.EXECUTED

    def view(self, target: str, signature: str, *values: Address) -> bytes:
        data = encode_call(signature, values)
        return self.folder.devnet.rpc.view(address_from_text(target), data)


@pytest.fixture(scope="module")
def desk(built_devnet: BuiltState, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    settings = DevnetSettings(tmp_path_factory.mktemp("devnet"), block_time_s=0.2)
    with running_devnet(settings) as devnet:
        yield from _desk(devnet, tmp_path_factory.mktemp("deployment") / "k")


def _desk(devnet: Devnet, directory: Path) -> Iterator[Desk]:
    folder = KernelFolder(directory, devnet)
    keys = directory / "keys"
    owners = []
    for name in OWNERS:
        password = Password.generate()
        password.write_file(keys / f"{name}.password")
        owners.append(create_keystore(keys / f"{name}.json", password, THROWAWAY_COST))
        folder.strategies.append(SIGNER.format(name=name))
    safe = create_safe(devnet, owners, 3, ETHER)
    folder.strategies.append(PROJECT.format(safe=address_text(safe)))
    folder.write()
    plan = directory / "desk.toml"
    plan.write_text(
        FILE.format(
            operator=address_text(OPERATOR),
            pauser=address_text(PAUSER),
            guardian=address_text(GUARDIAN),
            v2=hex_text(V2_INIT_CODE_HASH),
            v3=hex_text(V3_INIT_CODE_HASH),
        )
    )
    with folder.run() as kernel:
        kernel.wait_ready()
        yield Desk(folder, safe, plan)


def test_interrupted_deployment_goes_on_where_the_chain_shows_that_it_is(desk: Desk) -> None:
    """Three of the contracts were created when whoever did it went away."""
    file = desk.variant("halves", 'name = "desk"', 'name = "halves"')
    configuration = load_configuration(desk.folder.configuration, {})
    wish = read_wish(file, configuration)
    hatch = Hatch(configuration.kernel.socket_file, "deployment", "test")
    fleet = fleet_of(wish, DEPLOYERS[0])
    first = [HandedCall(one.role, wish.deployer, DEPLOYERS[0], one.call, one.role) for one in fleet.all[:3]]
    hatch.follow(hatch.hand_in(first))
    shown = desk.deploy(file)[1]
    left = [line.split(":")[0] for line in shown["missing"][0]["steps"]]
    assert left == ["executor", "executor_backup", "account_factory"]
    answer = desk.deploy(file, "--yes")[1]
    assert [one["stage"] for one in answer["missing"]] == ["taking of ownership by council"]
    landed = [one for one in desk.folder.books.intents() if one.state is IntentState.LANDED]
    assert len(landed) == len({(one.plan.target, one.plan.body) for one in landed})  # nothing was made twice


def test_what_the_file_no_longer_has_is_taken_back_until_it_is_handed_over(desk: Desk) -> None:
    """A file is corrected between two runs: the policy on chain follows, the tightened as the dropped."""
    before = desk.variant("open", 'name = "desk"', 'name = "open"')
    configuration = load_configuration(desk.folder.configuration, {})
    wish = read_wish(before, configuration)
    fleet = fleet_of(wish, DEPLOYERS[0])
    hatch = Hatch(configuration.kernel.socket_file, "deployment", "test")

    def hand_in(calls: Sequence[tuple[Address, bytes]]) -> None:
        named = [
            HandedCall(f"open:{to.hex()}:{place}", wish.deployer, to, data, "as before")
            for place, (to, data) in enumerate(calls)
        ]
        hatch.follow(hatch.hand_in(named))

    hand_in([(DEPLOYERS[0], one.call) for one in fleet.all])
    written = (*settings(wish, fleet), *policy_writes(wish, fleet, None))
    hand_in([(write.target, write.call) for write in written])
    # Somebody had a role and a veto by an earlier file.
    backup, book = fleet.executors[1].address, fleet.risk_book.address
    hand_in([(backup, role_call(STRANGER, Role.PAUSER)), (book, guardian_call(STRANGER))])
    text = before.read_text()
    lender = text[text.index("[[lenders]]") : text.index("[[factories]]")]
    after = desk.variant("open-2", lender, "", text)
    changed = after.read_text().replace('max_native = "100"', 'max_native = "50"')
    after.write_text(changed.replace("backup = true", 'backup = true\nhealth_floor = "1.1"'))
    steps = desk.deploy(after)[1]["missing"][0]["steps"]
    assert steps == [
        f"executor_backup: {address_text(STRANGER)} is no longer pauser",
        f"risk_book: {address_text(STRANGER)} may no longer veto what loosens",
        *(f"{one.role}: no plan brings a health factor below 1.1" for one in fleet.executors),
        "registry: lender @balancer_vault is dropped",
        "registry: deposit() of @weth is listed anew",
    ]
    desk.deploy(after, "--yes")
    registry = address_text(fleet.registry.address)
    assert not any(desk.view(registry, "lendersOf(address)", fleet.executor.address)[32:])
    assert not any(desk.view(address_text(backup), "rolesOf(address)", STRANGER))
    assert not any(desk.view(address_text(book), "isGuardian(address)", STRANGER))
    assert int.from_bytes(desk.view(address_text(backup), "healthFloor()")) == 11 * 10**17
    # Sealed now, and offered: what loosens is no longer the deployer's to write.
    code, refused = desk.deploy(before, "--yes")
    assert (code, "the policy is sealed, and 2 changes loosen it" in refused["error"]["what"]) == (1, True)


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ('operators = ["{operator}"]', 'operators = ["main"]', "operators"),
        ('owner = "council"', 'owner = "nobody"', "owner"),
        ('rules = ["any", "self"]', 'rules = ["any", "selves"]', "calls[1].rules[1]"),
        ('class = "debt"', 'class = "dept"', "tokens[2].class"),
        ('kind = "balancer_v2"', 'kind = "balancer"', "lenders[0].kind"),
        ('capacity = "10"', 'capacity = "ten"', "caps[0].capacity"),
        ("backup = true", "backups = true", "backups"),
        ('token = "@usdx"', 'token = "@usdy"', "tokens[1].token"),
    ],
)
def test_file_with_a_mistake_is_refused_with_its_key(desk: Desk, old: str, new: str, where: str) -> None:
    old = old.format(operator=address_text(OPERATOR))
    code, answer = desk.deploy(desk.variant("wrong", old, new))
    assert (code, answer["error"]["where"]) == (2, where), answer


def test_owner_that_is_no_council_of_five_keeps_a_deployment_from_being_done(desk: Desk) -> None:
    file = desk.variant("strict", "backup = true", "backup = true\nthreshold_min = 4\nowners_min = 7")
    _, shown = desk.deploy(file)
    assert shown["problems"] == ["council is 3 of 5, and should be 4 of 7 or more"]


def test_deployment_goes_from_a_file_to_the_hands_of_three_of_five(desk: Desk) -> None:
    sent = len(desk.folder.books.intents())
    code, shown = desk.deploy()
    assert (code, shown["done"]) == (1, False)
    assert len(desk.folder.books.intents()) == sent  # shown, and nothing sent
    assert shown["missing"][0]["stage"] == "contracts"

    code, answer = desk.deploy("--yes")
    assert (code, answer["done"]) == (1, False), answer
    assert answer["contracts"] == shown["contracts"]
    assert [one["stage"] for one in answer["missing"]] == ["taking of ownership by council"]
    proposal = answer["proposal"]
    assert desk.deploy("--yes")[1]["proposal"] == proposal  # the same again, not another

    desk.sign_and_execute(proposal)
    desk.folder.pump(lambda: desk.deploy()[0] == 0, "the deployment is done")
    code, done = desk.deploy("--yes")
    assert (code, done["done"], done["missing"], done["problems"]) == (0, True, [], [])
    assert_recorded(desk, done)
    assert_in_the_owners_hands(desk, done["contracts"])
    before = len(desk.folder.books.intents())
    assert desk.deploy("--yes")[0] == 0
    assert len(desk.folder.books.intents()) == before  # nothing is done twice
    assert_an_account_is_made_for_a_key(desk)


def test_owners_are_asked_for_what_the_file_changes(desk: Desk) -> None:
    """Roles that the file drops, a floor that it names, a guardian that it drops: that one goes late."""
    proposal = desk.deploy("--yes")[1]["proposal"]
    if proposal is not None:
        desk.sign_and_execute(proposal)
        desk.folder.pump(lambda: desk.deploy()[0] == 0, "the deployment is done")
    contracts = desk.deploy()[1]["contracts"]
    pauser, guardian = address_text(PAUSER), address_text(GUARDIAN)
    text = desk.plan.read_text()
    for old in (pauser, guardian):
        text = text.replace(old, address_text(NEWCOMER))
    other = desk.variant("others", "backup = true", 'backup = true\nhealth_floor = "1.2"', text)
    shown = desk.deploy(other)[1]["missing"]
    (stage,) = shown
    late = [
        f"announced, to be done after its delay: {book}: {guardian} may no longer veto what loosens"
        for book in ("registry", "risk_book")
    ]
    assert set(late) < set(stage["steps"])
    assert f"executor: {pauser} is no longer pauser" in stage["steps"]
    assert f"executor_backup: {guardian} is no longer guardian" in stage["steps"]

    code, answer = desk.deploy(other, "--yes")
    assert (code, desk.deploy(other, "--yes")[1]["proposal"]) == (1, answer["proposal"])
    desk.sign_and_execute(answer["proposal"])
    desk.folder.pump(lambda: not desk.deploy(other)[1]["missing"], "what could be written at once stands")
    code, left = desk.deploy(other, "--yes")
    assert (code, left["done"], left["problems"], left["proposal"]) == (1, False, [], None)
    # Until its seven days are over the old guardian may veto still; both books say until when.
    assert [line.split(": not before")[0] for line in left["waiting"]] == [
        f"{book}: {guardian} may no longer veto what loosens" for book in ("registry", "risk_book")
    ]
    for role in ("executor", "executor_backup"):
        target = contracts[role]
        assert not any(desk.view(target, "rolesOf(address)", PAUSER))
        assert int.from_bytes(desk.view(target, "rolesOf(address)", NEWCOMER)) == 6
        assert int.from_bytes(desk.view(target, "healthFloor()")) == 12 * 10**17


def guardian_call(account: Address) -> bytes:
    return encode_call("setGuardian(address,bool)", (account, True))


def assert_an_account_is_made_for_a_key(desk: Desk) -> None:
    """By the factory that was deployed, once its owners approved a template and allotted the key."""
    factory = ("--factory", "@desk_account_factory")
    assert (
        desk.run("accounts", "create", "eve", *factory)[1]["error"]["what"] == "'eve' was allotted no account"
    )
    code, asked = desk.run(
        "accounts", "propose", "eve", "--policy", "@desk_executor", "--safe", "council", *factory
    )
    assert (code, asked["calls"]) == (0, 2), asked
    desk.sign_and_execute(asked["proposal"])
    states = {one["operator"]: one for one in desk.run("accounts", "list", *factory)[1]["accounts"]}
    assert (states["eve"]["state"], states["ann"]["state"]) == ("allotted", "no account")
    made = [desk.run("accounts", "create", "eve", "--sender", "main", *factory) for _ in range(2)]
    assert [code for code, _ in made] == [0, 0], made
    assert made[0][1] == made[1][1] == {"account": states["eve"]["account"], "recorded": "account_eve"}
    assert desk.view(made[0][1]["account"], "owner()")[12:] == desk.safe
    raised = desk.run("accounts", "floor", "eve", "--at", "1.2", "--safe", "council", *factory)[1]
    desk.sign_and_execute(raised["proposal"])
    states = {one["operator"]: one for one in desk.run("accounts", "list", *factory)[1]["accounts"]}
    assert (states["eve"]["health_floor"], states["ann"]["health_floor"]) == ("1.2", None)
    assert desk.run("addresses", "verify")[0] == 0
    assert (
        desk.run("accounts", "propose", "eve", "--policy", "@desk_executor", "--safe", "council", *factory)[0]
        == 2
    )


def assert_recorded(desk: Desk, done: dict[str, Any]) -> None:
    """In the project's book, and as the artifacts say."""
    book = AddressBook.from_json(desk.folder.devnet.info.addresses.read_bytes())
    assert {book[f"desk_{role}"].address for role in done["contracts"]} == {
        address_from_text(text) for text in done["contracts"].values()
    }
    assert done["recorded"] == [f"desk_{role}" for role in done["contracts"]]
    for role in ("executor", "executor_backup"):
        (code,) = desk.folder.devnet.rpc.codes([book.address(f"desk_{role}")])
        assert load_artifact("AtomicExecutor").is_code_of(code)
    left, verified = desk.run("addresses", "verify")
    assert (left, verified["drift"]) == (0, [])


def assert_in_the_owners_hands(desk: Desk, contracts: dict[str, str]) -> None:
    for role, target in contracts.items():
        if role != "plan_checks":
            assert desk.view(target, "owner()")[12:] == desk.safe
            assert not any(desk.view(target, "pendingOwner()"))
    for role in ("executor", "executor_backup"):
        assert not any(desk.view(contracts[role], "rolesOf(address)", desk.folder.key))
        assert int.from_bytes(desk.view(contracts[role], "rolesOf(address)", OPERATOR)) == 1
        for book in ("registry", "risk_book"):
            assert any(desk.view(contracts[book], "isSealed(address)", address_from_text(contracts[role])))
