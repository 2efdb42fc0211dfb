"""What the class behind strategy files is given: made by whoever reads a file, configuration or command.

Imports nothing of the rest: reading a configuration needs no parser.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from seawall.primitives.errors import ConfigError

__all__ = ["SCRIPT_BYTES_MAX", "SCRIPT_CLASS", "SETTINGS", "script_settings"]

SCRIPT_CLASS: Final = "seawall.strategies.scripts.strategy:ScriptStrategy"
SCRIPT_BYTES_MAX: Final = 256 * 1024
SETTINGS: Final = ("file", "text", "book", "executor", "variables", "chain_id", "key")


def script_settings(
    file: str, text: str, book_json: str, executor: str | None, variables: Mapping[str, object]
) -> dict[str, object]:
    """For a file, besides chain and key; `variables` are as an operator set them."""
    return {
        "file": file,
        "text": text,
        "book": book_json,
        "executor": executor or "",
        "variables": {name: _as_expression(value, name) for name, value in variables.items()},
    }


def _as_expression(value: object, name: str) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | str):
        return str(value)
    raise ConfigError("a variable is set by a text", f"settings.{name}", 'write for example "10 weth"')
