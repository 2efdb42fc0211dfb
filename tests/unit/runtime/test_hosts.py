"""What the supervisor refuses before any process exists."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from seawall.primitives.errors import ConfigError, StrategyError
from seawall.primitives.observations import Cause, Observation
from seawall.primitives.ports import SystemClock
from seawall.runtime.hosts.errors import StrategyNotRunningError
from seawall.runtime.hosts.settings import HostedStrategy, HostSettings
from seawall.runtime.hosts.supervisor import HostSupervisor
from tests.builders import messages


def supervisor(*names: str) -> HostSupervisor:
    strategies = [HostedStrategy(name, "module:Class") for name in names]
    return HostSupervisor(strategies, HostSettings(), SystemClock())


def observe(strategy: str) -> Observation:
    return Observation(strategy, 1, Cause.HEAD, messages.NOW_S, messages.block())


def test_two_strategies_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="two strategies are named 'a'"):
        supervisor("a", "b", "a")


async def test_unknown_strategy_is_refused() -> None:
    with pytest.raises(StrategyError, match="no strategy 'c'"):
        await supervisor("a").decide(observe("c"))


async def test_strategy_that_was_not_started_is_not_asked() -> None:
    with pytest.raises(StrategyNotRunningError, match="starting"):
        await supervisor("a").decide(observe("a"))


@pytest.mark.parametrize(
    "settings",
    [{"decide_deadline_s": 0.0}, {"heartbeat_interval_s": -1.0}, {"memory_bytes_max": -1}],
)
def test_settings_without_a_meaning_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="not positive") as refused:
        HostSettings(**settings)
    assert refused.value.where == f"hosts.{next(iter(settings))}"


def test_host_program_imports_nothing_of_the_kernels() -> None:
    program = "import sys, seawall.runtime.hosts.entry; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True)
    loaded = set(found.stdout.split())
    rooms = {name.split(".")[1] for name in loaded if name.startswith("seawall.")}
    assert rooms <= {
        "_native",
        "native",
        "primitives",
        "telemetry",
        "strategies",
        "protocols",
        "markets",
        "runtime",
    }
    runtime = {name for name in loaded if name.startswith("seawall.runtime.")}
    assert runtime == {"seawall.runtime.hosts", "seawall.runtime.hosts.entry"}
    assert not loaded & {"asyncio", "aiohttp", "sqlalchemy", "sqlite3", "pydantic", "structlog"}
