"""Options that several commands share, and the configuration behind one of them."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seawall.runtime.places import CONFIGURATION_NAME, data_directory

if TYPE_CHECKING:
    from seawall.runtime.configuration.settings import Configuration

__all__ = ["ConfigOption", "DataOption", "ReasonOption", "load", "location", "operator"]

ConfigOption = Annotated[
    Path, typer.Option("--config", "-c", envvar="SEAWALL_CONFIG", help="The configuration file.")
]
DataOption = Annotated[
    Path | None, typer.Option("--data", help="The data directory, if the configuration cannot be read.")
]
ReasonOption = Annotated[str, typer.Option("--reason", "-r", help="Why; kept with the change.")]
DEFAULT_CONFIG = Path(CONFIGURATION_NAME)


def load(path: Path) -> Configuration:
    """The checked configuration."""
    from seawall.runtime.configuration.loading import load_configuration

    return load_configuration(path, os.environ)


def location(config: Path, data: Path | None) -> Path:
    """The kernel's data directory."""
    return data if data is not None else data_directory(config)


def operator() -> str:
    """Who gives a command, as the operating system knows it."""
    try:
        account = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        account = f"uid {os.getuid()}"
    return f"{os.environ.get('SUDO_USER') or account}@{os.uname().nodename}"
