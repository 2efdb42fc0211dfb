"""Documents are run: console blocks by bash, against a true devnet; python blocks as they stand; a yaml block
begins with the name of the file that a reader saves it as, and is there for the console blocks after it.

The blocks of one document are one session, in a folder of its own. `make` lines are not run; targets are
checked to exist. Only ports differ from what is written, because others may use them here.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from seawall.rollout.devnet import down
from seawall.rollout.devnet.build import BuiltState
from tests.fixtures.clef import require_clef
from tests.fixtures.kernel import free_port
from tests.fixtures.softhsm import require_softhsm

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(
    [
        ROOT / name
        for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
    ]
    + list((ROOT / "docs").rglob("*.md"))
    + [ROOT / "examples" / "README.md"]
)
SESSION_S = 150
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:)([^)#]+)\)")
MAKE = re.compile(r"(?:^|`|\s{4})make ([a-z][\w-]*)", re.MULTILINE)
SOURCE = re.compile(r"`((?:[\w.-]+/)+[\w.-]*)`")
# Where a document leaves off the first folders of a path.
PREFIXES = ("", "src/seawall/")

# The program, with ports that are free here.
PROGRAM = """\
#!/bin/sh
case "$*" in
  "devnet up "*"--port 0") exec {python} -m seawall.cli "$@" ;;
esac
case "$1 $2" in
  "devnet up"|"devnet load") exec {python} -m seawall.cli "$@" --port {port} ;;
  init*)
    {python} -m seawall.cli "$@" || exit $?
    for made in seawall.toml */seawall.toml; do
      [ ! -f "$made" ] || sed -i 's/8545/{port}/; s/^# listen = .*/listen = "127.0.0.1:0"/' "$made"
    done ;;
  *) exec {python} -m seawall.cli "$@" ;;
esac
"""
PROLOGUE = """\
set -euo pipefail
trap 'kill $(jobs -p) 2>/dev/null || true; wait || true' EXIT
"""
# What a reader's pace gives by itself: between two blocks, a running kernel lands its first plan. What was
# seen once is not asked for again.
READING = """
if [ -z "${landed:-}" ] && [ -f data/ledger.db ] && [ -n "$(jobs -rp)" ]; then
  for _ in $(seq 60); do
    landed=$(seawall plans list | grep landed || true)
    [ -z "$landed" ] || break
    sleep 1
  done
  [ -n "$landed" ]
fi
"""


@dataclass(frozen=True)
class Session:
    """Runs the console blocks of a document."""

    folder: Path
    programs: Path

    def run(self, blocks: list[str]) -> subprocess.CompletedProcess[str]:
        script = PROLOGUE + READING.join(blocks)
        environment = {
            **os.environ,
            "EXAMPLES": str(ROOT / "examples"),
            "PATH": f"{self.programs}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join(
                filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
            ),
        }
        return subprocess.run(
            ["bash", "-c", script],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SESSION_S,
            check=False,
        )


@pytest.fixture
def session(built_devnet: BuiltState, tmp_path: Path) -> Iterator[Session]:
    programs, folder = tmp_path / "programs", tmp_path / "session"
    programs.mkdir()
    folder.mkdir()
    (programs / "seawall").write_text(PROGRAM.format(python=sys.executable, port=free_port()))
    (programs / "seawall").chmod(0o755)
    yield Session(folder, programs)
    for running in folder.rglob("devnet.json"):
        down(running.parent)


def name_of(document: Path) -> str:
    return str(document.relative_to(ROOT))


def blocks_of(document: Path, language: str) -> list[str]:
    return [text for kind, text in BLOCK.findall(document.read_text()) if kind == language]


def scripts_of(document: Path) -> list[str]:
    """What a reader does at the console, in order, saving files included."""
    found = []
    for kind, text in BLOCK.findall(document.read_text()):
        if kind == "console":
            found.append(runnable(text))
        elif kind == "yaml":
            name = text.splitlines()[0].removeprefix("# ")
            assert re.fullmatch(r"[\w-]+\.yaml", name), f"{name!r} names no file"
            found.append(f"cat > {name} <<'END OF FILE'\n{text}END OF FILE\n")
    return found


def runnable(block: str) -> str:
    return "".join(line for line in block.splitlines(keepends=True) if not line.startswith("make "))


WITH_CONSOLE = [d for d in DOCUMENTS if any(runnable(block).strip() for block in blocks_of(d, "console"))]
WITH_PYTHON = [d for d in DOCUMENTS if blocks_of(d, "python")]


@pytest.mark.anvil
@pytest.mark.parametrize("document", WITH_CONSOLE, ids=name_of)
def test_console_blocks_run(document: Path, session: Session) -> None:
    if document.name == "signers.md":
        require_clef()
        require_softhsm()
    done = session.run(scripts_of(document))
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    left = list(session.folder.rglob("devnet.json"))
    assert left == [], "the document leaves a devnet running"


@pytest.mark.parametrize("document", WITH_PYTHON, ids=name_of)
def test_python_blocks_run(document: Path) -> None:
    names: dict[str, Any] = {"__name__": "document"}
    for block in blocks_of(document, "python"):
        exec(compile(block, name_of(document), "exec", dont_inherit=True), names)


def test_readme_and_strategies_have_blocks_to_run() -> None:
    assert ROOT / "README.md" in WITH_CONSOLE
    assert ROOT / "docs" / "strategies.md" in WITH_PYTHON


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_blocks_are_of_kinds_that_are_run(document: Path) -> None:
    fences = re.findall(r"^```(\w*)$", document.read_text(), re.MULTILINE)
    # An opening fence without a language is a picture; whatever is in it is not meant to be run.
    assert set(fences) <= {"", "console", "python", "yaml"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_targets_links_and_paths_exist(document: Path) -> None:
    text = document.read_text()
    phony = set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(MAKE.findall(text)) <= phony
    dead = [link for link in LINK.findall(text) if not (document.parent / link).exists()]
    assert dead == []
    missing = [path for path in SOURCE.findall(text) if not any((ROOT / p / path).exists() for p in PREFIXES)]
    assert [path for path in missing if is_in_this_repository(path)] == []


def is_in_this_repository(path: str) -> bool:
    """A path whose first folder is ours. Others are of a user's project, or no paths at all."""
    first = path.split("/")[0]
    return any((ROOT / prefix / first).is_dir() for prefix in PREFIXES)
