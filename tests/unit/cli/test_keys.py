"""`seawall keys new|master|derive|list`: files of keys, and their ages (KEY-1, KEY-2)."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from seawall.cli.key_trial import _unlandable
from seawall.ledger.migrate import create
from seawall.native.wire import LocalKey, Password
from seawall.primitives.units import Address, address_from_text
from tests.unit.cli.conftest import Answer, Seawall

FAST = "--insecure-fast-keystore"


def facts(answer: Answer) -> Any:
    return answer.document


def opened(keystore: str, password: str) -> LocalKey:
    return LocalKey.from_keystore(Path(keystore).read_bytes(), Password.from_file(password))


def test_a_new_key_opens_with_its_password_and_only_its_owner_reads_both(
    seawall: Seawall, tmp_path: Path
) -> None:
    answer = seawall("keys", "new", "trader", "--directory", str(tmp_path / "keys"), FAST, "--json")
    made = facts(answer)
    assert opened(made["keystore"], made["password"]).address == address_from_text(made["address"])
    assert {stat.S_IMODE(Path(made[one]).stat().st_mode) for one in ("keystore", "password")} == {0o600}
    assert Path(made["password"]).read_text().strip() not in answer.output


def test_nothing_is_overwritten(seawall: Seawall, tmp_path: Path) -> None:
    arguments = ("keys", "new", "trader", "--directory", str(tmp_path), FAST, "--json")
    made = facts(seawall(*arguments))
    before = Path(made["keystore"]).read_bytes()
    answer = seawall(*arguments)
    assert (answer.code, "nothing is overwritten" in answer.refusal["what"]) == (2, True)
    assert Path(made["keystore"]).read_bytes() == before


@pytest.mark.parametrize("name", ["", "../evil", "A", "a b", "x" * 65])
def test_what_is_no_name_makes_no_file(seawall: Seawall, tmp_path: Path, name: str) -> None:
    answer = seawall("keys", "new", name, "--directory", str(tmp_path / "keys"), FAST, "--json")
    assert answer.code == 2
    assert not (tmp_path / "keys").exists()


def test_a_deal_has_the_same_key_again_and_no_other_deal_has_it(seawall: Seawall, tmp_path: Path) -> None:
    folder = str(tmp_path / "offline")
    master = facts(seawall("keys", "master", "--directory", folder, FAST, "--json"))

    def derived(name: str, deal: int, index: int = 0) -> str:
        answer = seawall(
            *("keys", "derive", name, "--deal", str(deal), "--index", str(index)),
            *("--master", master["master"], "--master-password", master["password"]),
            *("--directory", str(tmp_path), FAST, "--json"),
        )
        made = facts(answer)
        assert opened(made["keystore"], made["password"]).address == address_from_text(made["address"])
        return str(made["address"])

    addresses = [derived("a", 7), derived("b", 7), derived("c", 8), derived("d", 7, index=1)]
    assert addresses[0] == addresses[1]
    assert len(set(addresses)) == 3


def test_a_master_does_not_open_with_another_password(seawall: Seawall, tmp_path: Path) -> None:
    master = facts(seawall("keys", "master", "--directory", str(tmp_path), FAST, "--json"))
    other = tmp_path / "other"
    other.write_text("wrong-password\n")
    answer = seawall(
        *("keys", "derive", "a", "--deal", "1", "--master", master["master"]),
        *("--master-password", str(other), "--directory", str(tmp_path), FAST, "--json"),
    )
    assert answer.code == 2
    assert "wrong-password" not in answer.output
    assert not (tmp_path / "a.json").exists()


@pytest.mark.parametrize(
    ("age_days", "due"),
    [(0, "later"), (75, "later"), (76, "soon"), (89, "soon"), (90, "due"), (None, "unknown")],
)
def test_the_list_says_how_old_a_key_is_and_when_it_is_to_be_rotated(
    seawall: Seawall, project: Path, age_days: int | None, due: str
) -> None:
    (project / "data").mkdir()
    create(f"sqlite:///{project / 'data/ledger.db'}")
    text = (project / "seawall.toml").read_text()
    if age_days is not None:
        since = (datetime.now(UTC) - timedelta(days=age_days)).date().isoformat()
        text = text.replace("[[signers.policies]]", f'since = "{since}"\n[[signers.policies]]', 1)
    (project / "seawall.toml").write_text(text)
    (key,) = facts(seawall("keys", "list", "--json"))["keys"]
    assert (key["name"], key["age_days"], key["due"], key["changes"]) == ("main", age_days, due, [])
    assert key["address"] in seawall("keys", "list").output


def test_a_key_is_not_rotated_to_nobody_or_to_itself(seawall: Seawall, project: Path) -> None:
    (project / "data").mkdir()
    create(f"sqlite:///{project / 'data/ledger.db'}")
    unknown = seawall("keys", "rotate", "main", "nobody", "--reason", "x", "--json")
    assert (unknown.code, "no signer is named" in unknown.refusal["what"]) == (2, True)
    itself = seawall("keys", "rotate", "main", "main", "--reason", "x", "--json")
    assert (itself.code, "cannot succeed itself" in itself.refusal["what"]) == (2, True)
    blank = seawall("keys", "keep", "main", "--reason", " ", "--json")
    assert (blank.code, "needs a reason" in blank.refusal["what"]) == (2, True)


CHAIN = '[[chains]]\nchain_id = 31337\nrpc = ["http://127.0.0.1:8545"]\n'


def test_a_key_is_tried_without_a_node_or_a_ledger(seawall: Seawall, tmp_path: Path) -> None:
    made = facts(seawall("keys", "new", "trader", "--directory", str(tmp_path / "keys"), FAST, "--json"))
    path = tmp_path / "seawall.toml"
    key = 'keystore = "keys/trader.json"\npassword_file = "keys/trader.password"\n'
    path.write_text(f'{CHAIN}[[signers]]\nname = "trader"\n{key}')
    tried = facts(seawall("keys", "try", "trader", "--config", str(path), "--json"))
    assert (tried["name"], tried["address"], tried["local"]) == ("trader", made["address"], True)
    assert set(tried) == {"name", "address", "local", "opened_ms", "signed_ms"}
    answer = seawall("keys", "try", "other", "--config", str(path), "--json")
    assert (answer.code, answer.refusal["fix"]) == (2, "name one of: trader")
    (tmp_path / "keys" / "trader.password").write_text("not the password, and not to be seen")
    answer = seawall("keys", "try", "trader", "--config", str(path), "--json")
    assert (answer.code, "does not open this keystore" in answer.refusal["what"]) == (1, True)
    assert "not to be seen" not in answer.output


def test_what_is_tried_can_never_land() -> None:
    tried = _unlandable(31_337, Address(b"\x22" * 20))
    assert (tried.value_wei, tried.data, tried.to) == (0, b"", b"\x22" * 20)
    assert (tried.max_fee_per_gas_wei, tried.max_priority_fee_per_gas_wei) == (0, 0)
    # EIP-2681: the last nonce, which an account reaches after as many transactions.
    assert tried.nonce == 2**64 - 2
