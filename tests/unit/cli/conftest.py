"""The program, run inside the test's process, in a folder of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from seawall.cli.main import main


@dataclass(frozen=True)
class Answer:
    code: int
    output: str
    errors: str

    @property
    def document(self) -> dict[str, object]:
        """What `--json` printed: one object and nothing else."""
        content: object = json.loads(self.output)
        assert isinstance(content, dict)
        return content

    @property
    def refusal(self) -> dict[str, str]:
        """The error that `--json` printed."""
        assert self.output == ""
        content: dict[str, dict[str, str]] = json.loads(self.errors)
        return content["error"]


Seawall = Callable[..., Answer]


@pytest.fixture
def seawall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Seawall:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEAWALL_CONFIG", raising=False)

    def run(*arguments: str) -> Answer:
        capsys.readouterr()
        code = main(arguments)
        captured = capsys.readouterr()
        return Answer(code, captured.out, captured.err)

    return run


@pytest.fixture
def project(seawall: Seawall, tmp_path: Path) -> Path:
    """A folder as `seawall init` makes it."""
    assert seawall("init", "--insecure-fast-keystore").code == 0
    return tmp_path
