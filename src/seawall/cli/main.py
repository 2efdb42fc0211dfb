"""`seawall`: the program. Commands import what they need when they run, so that `seawall --help` is quick."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated, Final

import typer

from seawall import __version__
from seawall.cli import (
    accounts,
    addresses,
    approvals,
    authority,
    deploy,
    devnet,
    devnet_account,
    devnet_trade,
    keys,
    lanes,
    ledger,
    limits,
    project,
    records,
    safe,
    strategies,
    submission,
)
from seawall.cli.output import EXIT_FAILED, EXIT_INPUT, exit_code_of, print_error
from seawall.native.errors import SeawallError
from seawall.runtime.dumps import forbid_core_dumps

__all__ = ["application", "main", "run"]

_INTERRUPTED: Final = 130
# For whoever looks into a bug of ours: show where it happened.
_TRACEBACK: Final = "SEAWALL_TRACEBACK"

application = typer.Typer(
    help="Seawall, a production runtime for automated on-chain strategies.",
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
project.register(application)
authority.register(application)
application.add_typer(project.config, name="config")
submission.register(records.plans)
strategies.register(records.strategies)
devnet_account.register(devnet.application)
devnet_trade.register(devnet.application)
application.add_typer(records.plans, name="plans")
application.add_typer(records.transactions, name="tx")
application.add_typer(records.strategies, name="strategies")
application.add_typer(devnet.application, name="devnet")
application.add_typer(ledger.application, name="ledger")
application.add_typer(lanes.application, name="lanes")
application.add_typer(keys.application, name="keys")
application.add_typer(limits.application, name="limits")
application.add_typer(safe.application, name="safe")
application.add_typer(addresses.application, name="addresses")
application.add_typer(approvals.application, name="approvals")
application.add_typer(deploy.application, name="deploy")
application.add_typer(accounts.application, name="accounts")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"seawall {__version__}")
        raise typer.Exit


@application.callback()
def _options(
    _: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version),
    ] = False,
) -> None:
    """Seawall, a production runtime for automated on-chain strategies."""


def main(arguments: Sequence[str]) -> int:
    """Run one command; answers the exit code. Nothing but an interrupt of a bug's traceback gets past it."""
    as_json = "--json" in arguments
    try:
        result: object = application(
            args=list(arguments) or ["--help"], prog_name="seawall", standalone_mode=False
        )
    except SeawallError as error:
        print_error(error, as_json=as_json)
        return exit_code_of(error)
    except typer.TyperException as error:
        print_error(_usage_error(error), as_json=as_json)
        return EXIT_INPUT
    except (typer.Abort, KeyboardInterrupt):
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader of our output is gone; keep the interpreter from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except Exception as error:
        if os.environ.get(_TRACEBACK):
            raise
        print_error(_bug(error), as_json=as_json)
        return EXIT_FAILED
    return result if isinstance(result, int) else 0


def run() -> None:
    """The console script."""
    forbid_core_dumps()
    sys.exit(main(sys.argv[1:]))


def _usage_error(error: typer.TyperException) -> SeawallError:
    context: object = getattr(error, "ctx", None)
    where = str(getattr(context, "command_path", "seawall"))
    return SeawallError(error.format_message(), where, f"see `{where} --help`")


def _bug(error: Exception) -> SeawallError:
    text = str(error).splitlines()[0] if str(error) else ""
    return SeawallError(
        f"a bug of Seawall: {type(error).__name__}: {text[:200]}",
        "",
        f"report it; {_TRACEBACK}=1 shows where it happened",
    )
