"""The house rules that no linter knows, held by reading the tracked files."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE_LINES_MAX = 600
TEST_LINES_MAX = 900
FUNCTION_LINES_MAX = 70
FILE_BYTES_MAX = 1024 * 1024

# Written in parts, so that this file is not its own offender.
REGISTRIES = ("pypi." + "org", "pythonhosted." + "org", "npmjs." + "org", "npmjs." + "com", "crates." + "io")
MACHINE_PATHS = re.compile(r"(?<![\w./$}~-])/(?:work|root|home|Users)/[\w.-]")
UNFINISHED = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b")
VAGUE = re.compile(r"(?:^|_)(?:manager|helper|util|misc|common)s?(?:_|$)", re.IGNORECASE)
# Texts of others, or of tools.
NOT_OURS = ("LICENSE", "native/Cargo.lock", "devnet/package-lock.json")


def tracked_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode != 0:
        pytest.skip("this is not a clone")
    names = listed.stdout.decode().split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


def python_files(*folders: str) -> list[Path]:
    return [
        path
        for path in tracked_files()
        if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in folders
    ]


def ours() -> Iterator[tuple[str, str]]:
    """Name and text of every tracked text file that we wrote."""
    for path in tracked_files():
        name = str(path.relative_to(ROOT))
        if name in NOT_OURS:
            continue
        try:
            yield name, path.read_text()
        except UnicodeDecodeError:
            continue


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), name_of(path))


@pytest.fixture(scope="module")
def trees() -> Mapping[Path, ast.Module]:
    """Of the sources, read once."""
    return {path: tree_of(path) for path in python_files("src")}


def test_files_stay_small() -> None:
    limits = {
        "src": SOURCE_LINES_MAX,
        "tests": TEST_LINES_MAX,
        "bench": SOURCE_LINES_MAX,
        "scripts": SOURCE_LINES_MAX,
    }
    offenders = {}
    for path in python_files(*limits):
        lines = len(path.read_text().splitlines())
        if lines > limits[path.relative_to(ROOT).parts[0]]:
            offenders[name_of(path)] = lines
    assert offenders == {}
    large = {
        name_of(path): path.stat().st_size for path in tracked_files() if path.stat().st_size > FILE_BYTES_MAX
    }
    assert large == {}


def test_functions_fit_a_screen(trees: Mapping[Path, ast.Module]) -> None:
    offenders = {}
    for path, tree in trees.items():
        if "migrations" in path.parts:  # one table is one call, however many columns it has
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > FUNCTION_LINES_MAX:
                    offenders[f"{name_of(path)}:{node.name}"] = lines
    assert offenders == {}


def test_every_module_says_what_it_is_for(trees: Mapping[Path, ast.Module]) -> None:
    assert [name_of(path) for path, tree in trees.items() if not ast.get_docstring(tree)] == []


def test_public_modules_name_what_they_offer(trees: Mapping[Path, ast.Module]) -> None:
    offenders = []
    for path, tree in trees.items():
        if path.name.startswith("_") or "migrations" in path.parts:
            continue
        assigned = {
            target.id
            for node in tree.body
            if isinstance(node, ast.Assign | ast.AnnAssign)
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
            if isinstance(target, ast.Name)
        }
        if "__all__" not in assigned:
            offenders.append(name_of(path))
    assert offenders == []


def test_only_the_face_of_the_native_core_imports_it() -> None:
    offenders = []
    for path in python_files("src", "tests", "bench"):
        # The face, and the tests of the face; and what names it nowhere need not be parsed.
        if "native" in path.parts or "_native" not in path.read_text():
            continue
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names] + [str(node.module)]
            else:
                continue
            if any(name == "seawall._native" or name.startswith("seawall._native.") for name in names):
                offenders.append(f"{name_of(path)}:{node.lineno}")
    assert offenders == []


def test_no_file_knows_a_machine_or_a_registry() -> None:
    offenders = []
    for name, text in ours():
        for number, line in enumerate(text.splitlines(), 1):
            if MACHINE_PATHS.search(line) or any(host in line for host in REGISTRIES):
                offenders.append(f"{name}:{number}: {line.strip()[:80]}")
    assert offenders == []


def test_lock_files_record_no_download_address() -> None:
    for name in ("devnet/package-lock.json", "native/Cargo.lock", "constraints.txt"):
        text = (ROOT / name).read_text()
        assert "resolved" not in text, name
        # Cargo names its own registry by a fixed address that is an identity, not a place that is asked.
        sources = set(re.findall(r'source = "(.*?)"', text))
        assert all(source.startswith("registry+") for source in sources), name
        assert len(sources) <= 1, name


def test_nothing_is_left_unfinished() -> None:
    found = [name for name, text in ours() if not name.endswith(".lock") and UNFINISHED.search(text)]
    assert found == []


def test_nothing_has_a_vague_name(trees: Mapping[Path, ast.Module]) -> None:
    offenders = [name_of(path) for path in tracked_files() if VAGUE.search(path.stem)]
    for path, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", node.name)
                if VAGUE.search(words):
                    offenders.append(f"{name_of(path)}:{node.name}")
    assert offenders == []


def test_test_folders_mirror_the_rooms() -> None:
    rooms = {path.name for path in (ROOT / "src" / "seawall").iterdir() if path.is_dir()} | {"__pycache__"}
    folders = {path.name for path in (ROOT / "tests" / "unit").iterdir() if path.is_dir()}
    assert folders <= rooms
