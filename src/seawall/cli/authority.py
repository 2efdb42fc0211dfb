"""`seawall halt`, `reduce`, `resume`, `status`: one hand lowers, and raising asks for a reason.

Going down writes the latch file first and then signals the kernel, if one runs; it needs neither database nor
network nor a usable configuration. Only then are the other kernels of a fleet told, through the database,
and the answer says of each how it stopped, or that they are not known. Going up asks the running kernel, or
changes the file where none runs; it takes a hand on each machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seawall.cli.options import (
    DEFAULT_CONFIG,
    ConfigOption,
    DataOption,
    ReasonOption,
    load,
    location,
    operator,
)
from seawall.cli.output import Json, JsonOption, print_facts, print_json, print_line
from seawall.control.latch import Latch
from seawall.primitives.errors import AuthorityError, SeawallError
from seawall.primitives.levels import Authority
from seawall.runtime.places import LATCH_NAME, PID_NAME, SOCKET_NAME

if TYPE_CHECKING:
    from seawall.runtime.fleet import FleetStop

__all__ = ["register", "running_kernel"]


def register(application: typer.Typer) -> None:
    application.command()(halt)
    application.command()(reduce)
    application.command()(resume)
    application.command()(status)


def halt(
    reason: ReasonOption = "halted by hand",
    path: ConfigOption = DEFAULT_CONFIG,
    data: DataOption = None,
    json: JsonOption = False,
) -> None:
    """Stop: from now on not one signed byte leaves this machine, and in a fleet no other one either."""
    _lower(Authority.HALT, signal.SIGUSR1, reason, path, data, as_json=json)


def reduce(
    reason: ReasonOption = "reduced by hand",
    path: ConfigOption = DEFAULT_CONFIG,
    data: DataOption = None,
    json: JsonOption = False,
) -> None:
    """Admit only plans that lower debt or exposure."""
    _lower(Authority.REDUCE_ONLY, signal.SIGUSR2, reason, path, data, as_json=json)


def resume(
    reason: ReasonOption,
    path: ConfigOption = DEFAULT_CONFIG,
    data: DataOption = None,
    to_reduce_only: Annotated[bool, typer.Option("--to-reduce-only", help="Only up to REDUCE_ONLY.")] = False,
    json: JsonOption = False,
) -> None:
    """Raise authority again, after the cause of a stop is understood."""
    from seawall.runtime.commands import Command, ask

    folder = location(path, data)
    to = Authority.REDUCE_ONLY if to_reduce_only else Authority.RUN
    answer = ask(folder / SOCKET_NAME, Command("resume", to.name, reason, operator()))
    if answer is None:
        pid = running_kernel(folder)
        if pid is not None:
            raise AuthorityError(
                f"the kernel (process {pid}) runs, but does not listen",
                str(folder / SOCKET_NAME),
                "wait until it has started",
            )
        _existing_latch(folder).raise_to(to, reason, operator())
    _print_standing(to, reason, running_kernel(folder), as_json=json)


def status(
    path: ConfigOption = DEFAULT_CONFIG,
    data: DataOption = None,
    kernel_only: Annotated[bool, typer.Option("--kernel-only", help="Do not ask the chains.")] = False,
    json: JsonOption = False,
) -> None:
    """Whether a kernel runs, what it may do, why it is not ready, and what is ours on every chain."""
    from seawall.cli.overview import overview, print_overview
    from seawall.runtime.commands import Command, ask

    folder = location(path, data)
    pid = running_kernel(folder)
    answer = ask(folder / SOCKET_NAME, Command("status")) if pid is not None else None
    latch = Latch(folder / LATCH_NAME)
    standing: dict[str, Json] = {"running": pid is not None, "pid": pid, "authority": latch.authority.name}
    if latch.authority is not Authority.RUN:
        standing |= {"reason": latch.reason, "who": latch.who}
    if answer is not None:
        reasons = answer.get("reasons")
        listed = [str(one) for one in reasons] if isinstance(reasons, list) else []
        standing |= {"authority": str(answer.get("authority")), "ready": not listed, "not_ready": listed}
        facts = answer.get("facts")
        if isinstance(facts, dict):
            standing |= {str(name): value for name, value in facts.items()}
    if json:
        print_json(standing if kernel_only else standing | overview(path))
        return
    print_facts({name: _text(value) for name, value in standing.items()})
    if not kernel_only:
        print_overview(overview(path))


def running_kernel(folder: Path) -> int | None:
    """The process id of the kernel of this data directory, if it is alive and one of ours."""
    try:
        pid = int((folder / PID_NAME).read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    # The number may have gone to a stranger meanwhile, whom a signal would kill.
    return pid if b"seawall" in command and pid > 1 else None


def _lower(
    to: Authority, number: signal.Signals, reason: str, path: Path, data: Path | None, *, as_json: bool
) -> None:
    folder = location(path, data)
    latch = _existing_latch(folder)
    latch.lower(to, reason, operator())
    pid = running_kernel(folder)
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
    fleet = _lower_fleet(path, to, reason)
    _print_standing(latch.authority, latch.reason, pid, as_json=as_json, fleet=fleet)


def _lower_fleet(path: Path, to: Authority, reason: str) -> FleetStop | None:
    """Tell the other kernels, if there can be any. This machine is lowered already: what fails here only
    leaves something unknown."""
    from seawall.primitives.ports import SystemClock
    from seawall.runtime.fleet import FleetStop, lower_fleet

    try:
        url = load(path).kernel.ledger_url
    except SeawallError as trouble:
        return FleetStop(0, (), f"the configuration cannot be used ({trouble.what})")
    if url.startswith("sqlite"):
        return None
    return asyncio.run(lower_fleet(url, to, reason, operator(), SystemClock()))


def _existing_latch(folder: Path) -> Latch:
    """A stop in a folder that no kernel reads would stop nothing, and say that it had."""
    if not folder.is_dir():
        raise AuthorityError(
            "no kernel was ever run here: there is no data directory",
            str(folder),
            "name the right one by --config or --data",
        )
    return Latch(folder / LATCH_NAME)


def _print_standing(
    authority: Authority, reason: str, pid: int | None, *, as_json: bool, fleet: FleetStop | None = None
) -> None:
    if as_json:
        standing: dict[str, Json] = {"authority": authority.name, "reason": reason, "pid": pid}
        print_json(standing if fleet is None else standing | {"fleet": _fleet_shape(fleet)})
        return
    kernel = f"process {pid} was told" if pid is not None else "no kernel runs; the next one starts like this"
    print_line(f"{authority.name}: {reason} ({kernel})")
    if fleet is None:
        return
    if fleet.trouble:
        print_line(
            f"other kernels, if there are any, are not known: {fleet.trouble}; halt on their machines too"
        )
    for one in fleet.kernels:
        print_line(f"{one.holder}: {one.how}, {one.after_s:.1f} s after it was written")


def _fleet_shape(fleet: FleetStop) -> Json:
    kernels: list[Json] = [
        {"kernel": one.holder, "how": one.how, "after_ms": round(one.after_s * 1000)} for one in fleet.kernels
    ]
    return {"epoch": fleet.epoch, "kernels": kernels, "unknown": fleet.trouble}


def _text(value: object) -> str:
    return "; ".join(map(str, value)) if isinstance(value, list) else str(value)
