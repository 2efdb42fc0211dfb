from __future__ import annotations

import subprocess
import sys

import pytest

from seawall import __version__
from seawall.cli import project as project_commands
from tests.unit.cli.conftest import Seawall

COMMANDS = (
    "init",
    "run",
    "demo",
    "halt",
    "reduce",
    "resume",
    "status",
    "config check",
    "plans list",
    "plans show",
    "tx list",
    "tx show",
    "strategies list",
    "devnet up",
    "devnet down",
    "devnet save",
    "devnet load",
    "devnet status",
    "ledger migrate",
    "ledger downgrade",
    "keys new",
    "keys master",
    "keys derive",
    "keys list",
    "keys rotate",
    "keys keep",
    "keys adopt",
)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_json(seawall: Seawall, command: str) -> None:
    answer = seawall(*command.split(), "--help")
    assert answer.code == 0
    assert ("--json" in answer.output) or command == "run"


def test_no_arguments_show_the_help(seawall: Seawall) -> None:
    answer = seawall()
    assert answer.code == 0
    assert "Commands:" in answer.output


def test_version_is_printed(seawall: Seawall) -> None:
    assert seawall("--version").output == f"seawall {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [("sell",), ("plans",), ("plans", "show"), ("plans", "show", "x"), ("plans", "list", "--limit", "0")],
)
def test_wrong_usage_is_bad_input_with_a_way_on(seawall: Seawall, arguments: tuple[str, ...]) -> None:
    answer = seawall(*arguments, "--json")
    assert answer.code == 2
    assert answer.refusal["fix"].startswith("see `seawall")


def test_error_is_what_where_and_fix(seawall: Seawall) -> None:
    answer = seawall("config", "check")
    assert answer.code == 2
    assert answer.output == ""
    assert answer.errors.splitlines() == [
        "error: the configuration cannot be read: No such file or directory",
        "   at: seawall.toml",
        "  fix: make one with `seawall init`",
    ]


def test_bug_is_one_line_without_a_traceback(seawall: Seawall, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(project_commands, "load", broken)
    answer = seawall("config", "check", "--json")
    assert answer.code == 1
    assert answer.refusal["what"] == "a bug of Seawall: ZeroDivisionError: oh"
    monkeypatch.setenv("SEAWALL_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        seawall("config", "check")


def test_interrupt_ends_quietly(seawall: Seawall, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(project_commands, "load", interrupted)
    answer = seawall("config", "check")
    assert (answer.code, answer.output, answer.errors) == (130, "", "")


def test_help_imports_nothing_heavy() -> None:
    heavy = ("sqlalchemy", "alembic", "aiohttp", "structlog", "prometheus_client", "orjson", "psycopg")
    program = (
        "import sys; from seawall.cli.main import main; main(['--help']);"
        f"print([m for m in {heavy!r} if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
