"""How long the kernel waits for a host, and what a host may take."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

from seawall.primitives.errors import ConfigError

__all__ = ["SHARED_HOST", "HostSettings", "HostedStrategy"]

SHARED_HOST: Final = "shared"


@dataclass(frozen=True, slots=True)
class HostSettings:
    """Deadlines and limits of every host. Times are kernel time, so they include what the socket takes."""

    decide_deadline_s: float = 5.0
    load_deadline_s: float = 15.0  # importing a strategy's module and building its instance
    heartbeat_interval_s: float = 0.5
    heartbeat_deadline_s: float = 5.0
    stop_grace_s: float = 2.0
    backoff_first_s: float = 0.5
    backoff_max_s: float = 60.0
    memory_bytes_max: int = 2 * 1024**3  # address space of one host [bytes]; 0 is no limit
    python_path: tuple[str, ...] = ()  # directories with strategies that are not installed

    def __post_init__(self) -> None:
        for setting in fields(self):
            value: object = getattr(self, setting.name)
            if isinstance(value, float | int) and (value < 0 or (value == 0 and setting.name.endswith("_s"))):
                raise ConfigError(
                    f"{value} is not positive", f"hosts.{setting.name}", "give a positive number"
                )


@dataclass(frozen=True, slots=True)
class HostedStrategy:
    """A strategy to run; those of the same `host` share a process until one of them misbehaves."""

    name: str
    path: str  # "package.module:Class"
    settings_json: str = "{}"
    host: str = SHARED_HOST
