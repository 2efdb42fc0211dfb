"""Finding the tools and reading bytecode: what is missing or broken is named, with the way to get it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from seawall.primitives.errors import RolloutError
from seawall.primitives.units import Address
from seawall.rollout.devnet.toolchain import (
    COMPILED_FOLDER,
    COMPILED_KEPT_MAX,
    Artifact,
    Link,
    Toolchain,
)


@pytest.fixture
def tools(tmp_path: Path) -> Toolchain:
    anvil = tmp_path / "anvil"
    anvil.touch()
    (tmp_path / "package-lock.json").write_text("{}")
    (tmp_path / "compile.mjs").write_text("")
    (tmp_path / "contracts").mkdir()
    (tmp_path / "contracts" / "A.sol").write_text("contract A {}")
    package = tmp_path / "node_modules" / "pkg"
    package.mkdir(parents=True)
    (package / "package.json").write_text(json.dumps({"version": "1.2.3"}))
    return Toolchain(tmp_path, anvil)


def write(tools: Toolchain, content: str) -> None:
    (tools.root / "node_modules" / "pkg" / "a.json").write_text(content)


def test_missing_packages_name_the_command(tmp_path: Path) -> None:
    with pytest.raises(RolloutError, match="make setup"):
        Toolchain.discover({"SEAWALL_DEVNET": str(tmp_path)})


def test_a_wrong_anvil_variable_is_named(tmp_path: Path) -> None:
    with pytest.raises(RolloutError, match="SEAWALL_ANVIL"):
        Toolchain.discover({"SEAWALL_ANVIL": str(tmp_path / "nowhere")})


def test_the_anvil_variable_wins(tools: Toolchain) -> None:
    found = Toolchain.discover({"SEAWALL_ANVIL": str(tools.anvil), "SEAWALL_DEVNET": str(tools.root)})
    assert found == tools


@pytest.mark.parametrize("bytecode", ["6001", "0x6001", {"object": "6001"}])
def test_every_publishers_form_of_bytecode_is_read(tools: Toolchain, bytecode: object) -> None:
    write(tools, json.dumps({"bytecode": bytecode, "deployedBytecode": "0x60"}))
    artifact = tools.package_artifact("pkg", "a.json")
    assert artifact.creation_code == b"\x60\x01"
    assert artifact.runtime_code == b"\x60"
    assert artifact.source == "pkg@1.2.3 a.json"


@pytest.mark.parametrize(
    "content",
    ["nonsense", "[]", "{}", '{"bytecode": 7}', '{"bytecode": "0x60__$lib$__"}', '{"bytecode": {}}'],
)
def test_an_unusable_artifact_is_refused(tools: Toolchain, content: str) -> None:
    write(tools, content)
    with pytest.raises(RolloutError, match="make setup"):
        tools.package_artifact("pkg", "a.json")


def test_a_missing_artifact_is_refused(tools: Toolchain) -> None:
    with pytest.raises(RolloutError, match=r"cannot read b\.json"):
        tools.package_artifact("pkg", "b.json")


# Stands in for the compiler: says what it was asked, in `log`, and gives one contract named after the group.
_COMPILES = """
import {appendFileSync, writeFileSync} from "node:fs";
const [, , group, output] = process.argv;
appendFileSync(new URL("log", import.meta.url), group + "\\n");
const contract = {source: "contracts/A.sol", bytecode: "0x60000000", deployedBytecode: "0x", links: {L: [1]}};
writeFileSync(output, JSON.stringify({contracts: {[group]: contract}}));
"""


def test_sources_are_compiled_once(tools: Toolchain, tmp_path: Path) -> None:
    (tools.root / "compile.mjs").write_text(_COMPILES)
    first = tools.compile_sources(tmp_path)
    assert tools.compile_sources(tmp_path) == first
    assert set(first) == {"own", "published"}
    assert (tools.root / "log").read_text().split() == ["published", "own"]


def test_other_packages_are_compiled_anew_and_other_contracts_alone(tools: Toolchain, tmp_path: Path) -> None:
    (tools.root / "compile.mjs").write_text(_COMPILES)
    tools.compile_sources(tmp_path)
    (tools.root / "contracts" / "A.sol").write_text("contract A { }")
    tools.compile_sources(tmp_path)
    assert (tools.root / "log").read_text().split() == ["published", "own", "own"]
    (tools.root / "package-lock.json").write_text('{"changed": true}')
    tools.compile_sources(tmp_path)
    assert (tools.root / "log").read_text().split() == ["published", "own", "own", "published", "own"]


def test_few_compilations_are_kept(tools: Toolchain, tmp_path: Path) -> None:
    (tools.root / "compile.mjs").write_text(_COMPILES)
    for turn in range(COMPILED_KEPT_MAX + 2):
        (tools.root / "contracts" / "A.sol").write_text(f"contract A {{}} // {turn}")
        tools.compile_sources(tmp_path)
    assert len(list((tmp_path / COMPILED_FOLDER).glob("own-*.json"))) == COMPILED_KEPT_MAX
    assert len(list((tmp_path / COMPILED_FOLDER).glob("published-*.json"))) == 1


def test_libraries_are_written_where_they_belong() -> None:
    artifact = Artifact("a", bytes(24), b"", (Link("L", (1,)),))
    linked = artifact.linked({"L": Address(b"\x11" * 20)})
    assert linked.creation_code == b"\0" + b"\x11" * 20 + b"\0" * 3
    assert linked.links == ()


def test_a_broken_source_is_told_in_the_compilers_words(tools: Toolchain) -> None:
    (tools.root / "compile.mjs").write_text('console.error("ParserError: A.sol:1"); process.exit(1)')
    with pytest.raises(RolloutError, match=r"ParserError: A\.sol:1"):
        tools.compile_sources(tools.root)


def test_no_node_is_told(tools: Toolchain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RolloutError, match=r"Node\.js"):
        tools.compile_sources(tools.root)


def test_the_digest_follows_every_input(tools: Toolchain) -> None:
    base = tools.digest({"deploy.py": b"1"}, "anvil 1")
    assert base == tools.digest({"deploy.py": b"1"}, "anvil 1")
    assert base != tools.digest({"deploy.py": b"2"}, "anvil 1")
    assert base != tools.digest({"deploy.py": b"1"}, "anvil 2")
    (tools.root / "contracts" / "A.sol").write_text("contract A { }")
    assert base != tools.digest({"deploy.py": b"1"}, "anvil 1")
