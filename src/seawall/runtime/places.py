"""Where a kernel keeps what other processes look for: its configuration, data directory, latch, process id,
socket.

Kept apart and lean, because a stop must neither wait for imports nor fail on a key that has nothing to do
with it.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Final

from seawall.primitives.errors import ConfigError

__all__ = [
    "CONFIGURATION_NAME",
    "DATA_NAME",
    "LATCH_NAME",
    "PID_NAME",
    "SOCKET_NAME",
    "data_directory",
]

CONFIGURATION_NAME: Final = "seawall.toml"
DATA_NAME: Final = "data"
LATCH_NAME: Final = "latch.json"
PID_NAME: Final = "kernel.pid"
SOCKET_NAME: Final = "kernel.sock"


def data_directory(path: Path) -> Path:
    """The data directory that the configuration at `path` names, even if its other keys are unusable."""
    try:
        content: object = tomllib.loads(path.read_text()).get("kernel", {})
    except OSError as error:
        raise ConfigError(
            f"the configuration cannot be read: {error.strerror}",
            str(path),
            "name it with --config, or the data directory with --data",
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(
            f"the data directory is not known: {error}", str(path), "name it with --data, or correct the file"
        ) from None
    named: object = content.get("data", DATA_NAME) if isinstance(content, dict) else DATA_NAME
    return path.resolve().parent / (named if isinstance(named, str) else DATA_NAME)
