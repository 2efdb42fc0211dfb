"""The set-up script, without installing anything."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.fixtures import clef as clefs
from tests.fixtures import geth as geths
from tests.fixtures import softhsm as softhsms

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "setup.py"


@pytest.fixture
def setup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module, whose clone is an empty folder."""
    spec = importlib.util.spec_from_file_location("seawall_setup", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "STAMPS", tmp_path / "stamps")
    return module


def test_missing_tools_are_all_named_with_the_way_to_get_them(tmp_path: Path) -> None:
    environment = {**os.environ, "PATH": str(tmp_path)}
    command = [sys.executable, str(SCRIPT)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    for tool, way in (("Node.js", "apt install nodejs"), ("npm", "apt install npm"), ("Rust", "rustup")):
        (line,) = [line for line in done.stderr.splitlines() if line.startswith(f"  - {tool}")]
        assert way in line


def test_old_python_is_named(setup: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup, "PYTHON_MIN", (4, 0))
    assert any(line.startswith("Python 3.11 or newer (this is ") for line in setup.missing_tools())


def test_step_is_fresh_until_its_inputs_change(setup: ModuleType, tmp_path: Path) -> None:
    file = tmp_path / "inputs.txt"
    file.write_text("one")
    first = setup.digest("compiler 1", file)
    assert not setup.is_fresh("step", first)
    setup.mark("step", first)
    assert setup.is_fresh("step", first)
    file.write_text("two")
    assert not setup.is_fresh("step", setup.digest("compiler 1", file))
    file.write_text("one")
    assert setup.is_fresh("step", setup.digest("compiler 1", file))
    assert not setup.is_fresh("step", setup.digest("compiler 2", file))


def test_moved_bytes_between_files_change_the_digest(setup: ModuleType, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("ab")
    two.write_text("c")
    before = setup.digest(one, two)
    one.write_text("a")
    two.write_text("bc")
    assert setup.digest(one, two) != before


def test_replaced_file_stays_whole_for_whoever_has_it_open(setup: ModuleType, tmp_path: Path) -> None:
    old, new = tmp_path / "core.so", tmp_path / "new.so"
    old.write_bytes(b"old")
    new.write_bytes(b"new")
    with old.open("rb") as held:
        setup.replace(new, old)
        assert held.read() == b"old"
    assert old.read_bytes() == b"new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["core.so", "new.so"]


def test_failing_command_ends_set_up_with_its_name(setup: ModuleType) -> None:
    with pytest.raises(SystemExit, match="failed with 3"):
        setup.run(sys.executable, "-c", "raise SystemExit(3)")


def go_that(script: str, folder: Path) -> Path:
    """A folder with a `go` that does as the shell script says."""
    tool = folder / "bin" / "go"
    tool.parent.mkdir()
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)
    return tool.parent


@pytest.fixture
def geth(setup: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "cache" / "geth" / "v1" / "geth"
    monkeypatch.setattr(setup, "GETH", place)
    return place


def test_geth_is_built_once_for_all_clones_of_a_machine(
    setup: ModuleType, geth: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = tmp_path / "calls"
    script = f'[ "$1" = version ] || {{ echo "$@" >> {calls}; echo built > "$GOBIN/geth"; }}'
    monkeypatch.setenv("PATH", f"{go_that(script, tmp_path)}{os.pathsep}{os.environ['PATH']}")
    setup.install_geth()
    setup.install_geth()
    assert geth.read_text() == "built\n"
    assert calls.read_text() == f"install {setup.GETH_PACKAGE}@{setup.GETH_VERSION}\n"
    assert [path.name for path in geth.parent.iterdir()] == ["geth"]


def test_geth_that_cannot_be_built_ends_nothing(
    setup: ModuleType,
    geth: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    script = '[ "$1" = version ] || { echo "no such host" >&2; exit 1; }'
    monkeypatch.setenv("PATH", f"{go_that(script, tmp_path)}{os.pathsep}{os.environ['PATH']}")
    setup.install_geth()
    assert not geth.exists()
    assert "no such host" in capsys.readouterr().out


def test_machine_without_go_gets_no_geth(
    setup: ModuleType, geth: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    setup.install_geth()
    assert not geth.parent.exists()


@pytest.mark.parametrize(
    ("go_is_there", "in_ci", "outcome"),
    [
        (True, True, pytest.fail.Exception),
        (True, False, pytest.skip.Exception),
        (False, True, pytest.skip.Exception),
    ],
    ids=["with Go, in CI", "with Go, elsewhere", "without Go, in CI"],
)
def test_missing_geth_skips_its_tests_save_where_it_should_have_been_built(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    go_is_there: bool,
    in_ci: bool,
    outcome: type[BaseException],
) -> None:
    monkeypatch.setattr(geths, "GETH", tmp_path / "geth")
    monkeypatch.setenv("PATH", str(go_that("", tmp_path) if go_is_there else tmp_path))
    if in_ci:
        monkeypatch.setenv("CI", "true")
    else:
        monkeypatch.delenv("CI", raising=False)
    with pytest.raises(outcome, match="geth is not installed"), geths.running_geth(tmp_path / "node"):
        pass


@pytest.fixture
def softhsm(setup: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without SoftHSM whose `apt-get` and `dpkg-deb` are scripts."""
    place = tmp_path / "cache" / "softhsm"
    monkeypatch.setattr(setup, "SOFTHSM", place)
    monkeypatch.setattr(setup, "SOFTHSM_INSTALLED", ("/nowhere/softhsm",))
    return place


def tools_that(folder: Path, **scripts: str) -> Path:
    """A folder with tools that do as the shell scripts say."""
    tools = folder / "bin"
    tools.mkdir()
    for name, script in scripts.items():
        tool = tools / name.replace("_", "-")
        tool.write_text(f"#!/bin/sh\n{script}\n")
        tool.chmod(0o755)
    return tools


UNPACK = """[ "$1" = --version ] && exit
mkdir -p "$3/usr/lib/softhsm" "$3/usr/bin"
case "$2" in *libsofthsm2*) echo library > "$3/usr/lib/softhsm/libsofthsm2.so" ;; esac
case "$2" in */softhsm2*) echo tool > "$3/usr/bin/softhsm2-util" ;; esac"""


def test_softhsm_is_unpacked_once_from_the_systems_packages(
    setup: ModuleType, softhsm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = tmp_path / "calls"
    fetch = f"""[ "$1" = --version ] && exit
echo "$@" >> {calls}
[ "$1" = update ] && exit
[ -f {tmp_path}/updated ] || {{ touch {tmp_path}/updated; echo "no such package" >&2; exit 100; }}
shift 2
for name in "$@"; do touch "$name.deb"; done"""
    tools = tools_that(tmp_path, apt_get=fetch, dpkg_deb=UNPACK)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    setup.install_softhsm()
    setup.install_softhsm()
    found = {path.name: path.read_text() for path in softhsm.iterdir()}
    assert found == {"libsofthsm2.so": "library\n", "softhsm2-util": "tool\n"}
    # The lists of packages were old: they were fetched, and the packages asked for once more.
    asked = [line.split()[0] for line in calls.read_text().splitlines()]
    assert asked == ["download", "update", "download"]


def test_softhsm_that_cannot_be_fetched_ends_nothing(
    setup: ModuleType,
    softhsm: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fetch = '[ "$1" = --version ] || { echo "no such host" >&2; exit 100; }'
    tools = tools_that(tmp_path, apt_get=fetch, dpkg_deb=UNPACK)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    setup.install_softhsm()
    assert list(softhsm.iterdir()) == []
    assert "no such host" in capsys.readouterr().out


def test_installed_softhsm_is_left_alone(
    setup: ModuleType, softhsm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "lib" / "softhsm"
    installed.mkdir(parents=True)
    (installed / "libsofthsm2.so").touch()
    monkeypatch.setattr(setup, "SOFTHSM_INSTALLED", (f"{tmp_path}/*/softhsm",))
    setup.install_softhsm()
    assert not softhsm.exists()


def test_clef_is_built_beside_geth(
    setup: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "cache" / "clef" / "v1" / "clef"
    monkeypatch.setattr(setup, "CLEF", place)
    script = '[ "$1" = version ] || echo "$2" > "$GOBIN/clef"'
    monkeypatch.setenv("PATH", f"{go_that(script, tmp_path)}{os.pathsep}{os.environ['PATH']}")
    setup.install_clef()
    assert place.read_text() == f"{setup.CLEF_PACKAGE}@{setup.GETH_VERSION}\n"


@pytest.mark.parametrize(
    ("tool", "is_there", "in_ci", "outcome"),
    [
        ("go", True, True, pytest.fail.Exception),
        ("go", True, False, pytest.skip.Exception),
        ("go", False, True, pytest.skip.Exception),
        ("apt-get", True, True, pytest.fail.Exception),
        ("apt-get", False, True, pytest.skip.Exception),
    ],
)
def test_missing_signer_skips_its_tests_save_where_it_should_have_been_set_up(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tool: str,
    is_there: bool,
    in_ci: bool,
    outcome: type[BaseException],
) -> None:
    monkeypatch.setattr(clefs, "CLEF", tmp_path / "clef")
    monkeypatch.setattr(softhsms, "_FOLDERS", (tmp_path,))
    tools = tools_that(tmp_path, **({tool: ""} if is_there else {}))
    monkeypatch.setenv("PATH", str(tools))
    if in_ci:
        monkeypatch.setenv("CI", "true")
    else:
        monkeypatch.delenv("CI", raising=False)
    required = clefs.require_clef if tool == "go" else softhsms.require_softhsm
    with pytest.raises(outcome, match="is not installed"):
        required()
