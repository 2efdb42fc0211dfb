"""`seawall limits`: what is in force for whom, and what another file would loosen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from seawall.cli.main import main

TEXT = """
[[chains]]
chain_id = 31337
rpc = ["http://127.0.0.1:8545"]
[[signers]]
name = "main"
keystore = "main.json"
password_file = "main.password"
[limits]
slippage_bps = 80
position_loss = "100.5"
[[limits.positions]]
chain_id = 31337
token = "native"
cap = "2"
[[limits.exposures]]
chain_id = 31337
name = "ether"
members = ["native"]
share_bps = 2500
[[limits.signers]]
chain_id = 31337
name = "main"
slippage_bps = 20
tokens_denied = ["0x7777777777777777777777777777777777777777"]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "seawall.toml"
    path.write_text(TEXT)
    return path


def shown(file: Path, capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, tuple[str, str]]:
    assert main(["limits", "show", "-c", str(file), "--json", *more]) == 0
    (chain,) = json.loads(capsys.readouterr().out)["chains"]
    return {one["limit"]: (one["value"], one["bound_by"]) for one in chain["limits"]}


def test_limits_are_shown_with_the_layer_that_binds(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain = shown(file, capsys)
    assert plain["slippage_bps"] == ("80", "global")
    assert plain["position_loss"] == ("100.5", "global")
    assert plain["mev_value"] == ("not judged", "default")
    assert plain["health_factor_min"] == ("1.05", "default")
    assert plain["position native"] == ("2000000000000000000 units", "global")
    assert plain["exposure ether"] == ("2500 bps", "global")
    assert "tokens_denied" not in plain
    of_signer = shown(file, capsys, "--signer", "main", "--chain", "31337")
    assert of_signer["slippage_bps"] == ("20", "signer main")
    assert of_signer["tokens_denied"][0] == "0x7777777777777777777777777777777777777777"


def test_limits_are_shown_to_people_too(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["limits", "show", "-c", str(file), "--signer", "main"]) == 0
    text = capsys.readouterr().out
    assert "chain 31337: signer main" in text
    assert "slippage_bps" in text


@pytest.mark.parametrize(
    ("option", "told"),
    [
        (("--signer", "nobody"), "there: main"),
        (("--strategy", "x"), "there: none"),
        (("--protocol", "x"), "--protocol"),
        (("--deal", "x"), "--deal"),
        (("--chain", "5"), "chain 5 is not configured"),
    ],
)
def test_what_does_not_exist_is_not_left_out_silently(
    file: Path, capsys: pytest.CaptureFixture[str], option: tuple[str, str], told: str
) -> None:
    assert main(["limits", "show", "-c", str(file), *option]) == 2
    assert told in capsys.readouterr().err


def test_a_file_that_only_tightens_may_come_into_force(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tighter = tmp_path / "new.toml"
    tighter.write_text(TEXT.replace("slippage_bps = 80", "slippage_bps = 40"))
    assert main(["limits", "compare", str(tighter), "-c", str(file)]) == 0
    assert "Nothing would be looser" in capsys.readouterr().out


def test_a_file_that_loosens_is_told_limit_by_limit(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    looser = tmp_path / "new.toml"
    looser.write_text(
        TEXT.replace("slippage_bps = 20", "slippage_bps = 21").replace('cap = "2"', 'cap = "3"')
    )
    assert main(["limits", "compare", str(looser), "-c", str(file)]) == 1
    text = capsys.readouterr().out
    assert "chain 31337: signer main: slippage_bps from 20 to 21" in text
    assert "cap of native from 2000000000000000000 to 3000000000000000000" in text
    assert main(["limits", "compare", str(looser), "-c", str(file), "--json"]) == 1
    assert len(json.loads(capsys.readouterr().out)["loosened"]) == 2
    looser.write_text(TEXT + '\n[[chains]]\nchain_id = 1\nrpc = ["http://127.0.0.1:8546"]\n')
    assert main(["limits", "compare", str(looser), "-c", str(file)]) == 1
    assert "chain 1: it is new" in capsys.readouterr().out
