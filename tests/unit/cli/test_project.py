from __future__ import annotations

import stat
from pathlib import Path

import pytest

from seawall.native.wire import LocalKey, Password
from seawall.primitives.units import address_text
from tests.unit.cli.conftest import Seawall


def test_init_makes_a_configuration_and_a_key_that_its_password_opens(
    seawall: Seawall, tmp_path: Path
) -> None:
    answer = seawall("init", "house", "--insecure-fast-keystore", "--json")
    assert answer.code == 0
    house = tmp_path / "house"
    key = LocalKey.from_keystore(
        (house / "keys" / "main.json").read_bytes(), Password.from_file(house / "keys" / "main.password")
    )
    assert answer.document == {
        "address": address_text(key.address),
        "configuration": "house/seawall.toml",
        "keystore": "house/keys/main.json",
        "password": "house/keys/main.password",
        "throwaway": True,
    }
    for name, mode in (("keys", 0o700), ("keys/main.json", 0o600), ("keys/main.password", 0o600)):
        assert stat.S_IMODE((house / name).stat().st_mode) == mode


def test_init_never_prints_the_password_and_says_what_is_next(seawall: Seawall, tmp_path: Path) -> None:
    answer = seawall("init", "--insecure-fast-keystore")
    password = (tmp_path / "keys" / "main.password").read_text().strip()
    assert password not in answer.output + answer.errors
    assert "seawall ledger migrate" in answer.output
    assert "cheap to break" in answer.output


def test_durable_keystore_is_the_default(seawall: Seawall, tmp_path: Path) -> None:
    assert seawall("init", "--json").document["throwaway"] is False
    assert '"n":262144' in (tmp_path / "keys" / "main.json").read_text().replace(" ", "")


@pytest.mark.parametrize("name", ["seawall.toml", "keys/main.json", "keys/main.password"])
def test_init_overwrites_nothing(seawall: Seawall, tmp_path: Path, name: str) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / name).write_text("precious")
    answer = seawall("init", "--insecure-fast-keystore", "--json")
    assert answer.code == 2
    assert answer.refusal["where"] == name
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files == [tmp_path / name]
    assert files[0].read_text() == "precious"


def test_init_in_an_impossible_place_is_bad_input(seawall: Seawall, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    answer = seawall("init", "taken", "--insecure-fast-keystore", "--json")
    assert answer.code == 2
    assert "cannot be made" in answer.refusal["what"]


def test_new_configuration_passes_its_check(seawall: Seawall, project: Path) -> None:
    document = seawall("config", "check", "--json").document
    assert document["chains"] == [
        {"chain_id": 31337, "name": "devnet", "rpc": "http://127.0.0.1:8545", "send": "http://127.0.0.1:8545"}
    ]
    assert "is usable" in seawall("config", "check").output


def test_check_finds_a_strategy_that_cannot_be_loaded(seawall: Seawall, project: Path) -> None:
    with (project / "seawall.toml").open("a") as file:
        file.write(
            '[[strategies]]\nname = "x"\nclass = "no.such.module:Class"\n'
            'chain_id = 31337\nsigner = "main"\nmode = "dry_run"\n'
        )
    answer = seawall("config", "check", "--json")
    assert answer.code == 2
    assert "no.such.module" in answer.refusal["what"] or "'no'" in answer.refusal["what"]


def test_check_finds_an_absent_keystore(seawall: Seawall, project: Path) -> None:
    (project / "keys" / "main.json").unlink()
    answer = seawall("config", "check", "--json")
    assert answer.code == 1
    assert answer.refusal["where"] == "signers.main.keystore"


def test_check_shows_endpoints_without_their_keys(
    seawall: Seawall, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NODE_KEY", "n0de-key")
    path = project / "seawall.toml"
    path.write_text(path.read_text().replace("http://127.0.0.1:8545", "https://node.example/${NODE_KEY}", 1))
    answer = seawall("config", "check", "--json")
    assert answer.code == 0
    assert "n0de-key" not in answer.output
    assert "https://node.example" in answer.output
