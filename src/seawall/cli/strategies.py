"""`seawall strategies validate|plan|simulate|explain|policy`: a strategy file, tried before it runs.

`validate` reads the file and the configuration alone and tells every problem at once. The others look at the
head of the configured chain and sign nothing: `plan` shows what would be wanted, `simulate` runs it in the
local EVM and asks the gate, `explain` adds the flow of tokens and the calls. `policy` prints what the
contracts must allow.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from seawall.cli.options import DEFAULT_CONFIG, ConfigOption, load
from seawall.cli.output import EXIT_FAILED, EXIT_INPUT, Json, JsonOption, print_json, print_line
from seawall.primitives.errors import ConfigError, InputError

if TYPE_CHECKING:
    from seawall.primitives.units import Address
    from seawall.runtime.configuration.settings import ChainSettings, Configuration, StrategySettings
    from seawall.runtime.rehearsing import Judged, Seen
    from seawall.strategies.scripts.problems import Place, Problem
    from seawall.strategies.scripts.strategy import ScriptStrategy

__all__ = ["register"]

CHAIN_WAIT_S: Final = 120.0

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="A strategy file.")]
SignerOption = Annotated[
    str | None, typer.Option("--signer", help="Whose plan; the configured one, or the only one.")
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Set a variable of the file.")
]


def register(strategies: typer.Typer) -> None:
    for name, told, work in _COMMANDS:
        strategies.command(name, help=told)(_command(work))


def _command(work: Callable[[_Subject, bool], int]) -> Callable[..., int]:
    """What all of them are told, and what they do with it."""

    def command(
        file: FileArgument,
        path: ConfigOption = DEFAULT_CONFIG,
        signer: SignerOption = None,
        variables: SetOption = None,
        json: JsonOption = False,
    ) -> int:
        return work(_subject(file, path, signer, variables), json)

    return command


def _validate(subject: _Subject, json: bool) -> int:
    from seawall.strategies.scripts.problems import ScriptError

    file = subject.file
    try:
        strategy = subject.strategy()
    except ScriptError as error:
        problems = error.problems
        if json:
            print_json({"file": file, "problems": [_problem(one) for one in problems]})
        for one in () if json else problems:
            print_line(f"{one.place}\n   {one.what}\n   fix: {one.fix}")
        return EXIT_INPUT
    script = strategy.script
    facts: dict[str, Json] = {
        "file": file,
        "strategy": script.name,
        "about": script.about,
        "runs_at": script.account.form.value,
        "variables": script.variables,
        "triggers": len(script.triggers),
        "steps": len(script.steps),
        "reads": len(script.scope.needs.reads({})),
        "problems": [],
    }
    if json:
        print_json(facts)
    else:
        print_line(f"{file} is usable: {script.about or script.name}")
        for name, told in script.variables.items():
            print_line(f"  variable {name}: {told}")
    return 0


def _policy(subject: _Subject, json: bool) -> int:
    from seawall.rollout.deployment.rendering import policy_text
    from seawall.strategies.scripts.permits import policy_of_scripts

    text = policy_text(policy_of_scripts(subject.strategy().script), subject.chain.book)
    if json:
        print_json({"file": subject.file, "policy": text})
    else:
        print_line(text)
    return 0


@dataclass(frozen=True, slots=True)
class _Subject:
    """A file, and what the configuration says about it."""

    configuration: Configuration
    chain: ChainSettings
    named: dict[str, Address]
    name: str
    content: bytes
    settings: dict[str, object]

    @property
    def file(self) -> str:
        return str(self.settings["file"])

    def strategy(self) -> ScriptStrategy:
        from seawall.strategies.scripts.documents import read_document
        from seawall.strategies.scripts.strategy import ScriptStrategy

        read_document(self.content, self.file)  # the bytes themselves, before they are text
        return ScriptStrategy.configured(self.name, self.settings)


def _subject(file: Path, config: Path, signer: str | None, sets: list[str] | None) -> _Subject:
    from seawall.primitives.units import address_text
    from seawall.strategies.scripts.settings import SCRIPT_BYTES_MAX, script_settings

    configuration = load(config)
    try:
        with file.open("rb") as stream:
            content = stream.read(SCRIPT_BYTES_MAX + 1)
    except OSError as error:
        raise InputError(
            f"the file cannot be read: {error.strerror}", str(file), "name a strategy file"
        ) from None
    known = _configured(configuration, file)
    chain = _chain(configuration, content, known)
    named = {one.name: one.address() for one in configuration.signers}
    chosen = signer or (known.signer if known is not None else next(iter(named), ""))
    if chosen not in named:
        raise ConfigError(f"there is no signer {chosen!r}", "--signer", "name one under [[signers]]")
    variables: dict[str, object] = {}
    if known is not None and isinstance(of_file := known.settings.get("variables"), dict):
        variables |= of_file
    for one in sets or []:
        name, equals, value = one.partition("=")
        if not equals:
            raise InputError(f"{one[:60]!r} sets nothing", "--set", "write --set name=value")
        variables[name.strip()] = value.strip()
    executor = None if chain.executor is None else address_text(chain.executor)
    settings = {
        **script_settings(
            str(file), content.decode("utf-8", "replace"), chain.book.to_json(), executor, variables
        ),
        "chain_id": chain.network.chain_id,
        "key": address_text(named[chosen]),
    }
    name = file.stem if known is None else known.name
    return _Subject(configuration, chain, named, name, content, settings)


def _configured(configuration: Configuration, file: Path) -> StrategySettings | None:
    """The section that names this file."""
    from seawall.strategies.scripts.settings import SCRIPT_CLASS

    folder, wanted = configuration.file.parent, file.resolve()
    for one in configuration.strategies:
        own = one.settings.get("file") if one.path == SCRIPT_CLASS else None
        if isinstance(own, str) and (folder / own).resolve() == wanted:
            return one
    return None


def _chain(configuration: Configuration, content: bytes, known: StrategySettings | None) -> ChainSettings:
    """Of the section, or what the file says; a file without one is checked against the first chain."""
    said = re.search(rb"^chain: *([0-9]{1,18}) *(?:#.*)?$", content, re.MULTILINE)
    chain_id = int(said.group(1)) if known is None and said is not None else None
    chain_id = known.chain_id if known is not None else chain_id
    found = [one for one in configuration.chains if one.network.chain_id == chain_id]
    return (found or list(configuration.chains))[0]


def _run(subject: _Subject, json: bool, *, depth: int) -> int:
    from seawall.cli.explaining import Names, document_of, print_document

    strategy = subject.strategy()
    seen, judged = asyncio.run(_asked(subject, strategy, wants_verdict=depth > 1))
    names = Names(subject.chain.book, subject.named, strategy.script)
    document = document_of(names, seen, judged, depth)
    place = seen.attempt.place
    if place is not None:
        document["line"] = _line_of(subject, place)
    if json:
        print_json(document)
    else:
        print_document(document)
    is_refused = judged is not None and not judged.verdict.admitted
    return EXIT_FAILED if is_refused else 0


def _line_of(subject: _Subject, place: Place) -> str:
    """The file's own words there, for a person who has it before his eyes or not."""
    lines = subject.content.decode("utf-8", "replace").splitlines()
    is_there = place.file == subject.file and 0 < place.line <= len(lines)
    return lines[place.line - 1].strip() if is_there else ""


async def _asked(
    subject: _Subject, strategy: ScriptStrategy, *, wants_verdict: bool
) -> tuple[Seen, Judged | None]:
    from seawall.chain.client import ChainClient
    from seawall.chain.rpc import HttpTransport, RpcPool
    from seawall.primitives.ports import SystemClock, ThreadOffload
    from seawall.runtime.books import gate_of
    from seawall.runtime.rehearsing import Stage, judge, look

    chain = subject.chain
    pool = RpcPool(
        [HttpTransport(one.url) for one in chain.rpc], chain_id=chain.network.chain_id, clock=SystemClock()
    )
    gate = gate_of(subject.configuration, chain, subject.named)
    stage = Stage(ChainClient(pool, chain.network), chain, gate, SystemClock(), ThreadOffload())
    try:
        async with asyncio.timeout(CHAIN_WAIT_S):
            seen = await look(stage, strategy)
            plan = seen.attempt.plan
            if plan is None or not wants_verdict:
                return seen, None
            return seen, await judge(stage, seen.observation.block, plan)
    finally:
        await pool.close()


def _problem(problem: Problem) -> dict[str, Json]:
    place = problem.place
    return {
        "file": place.file,
        "line": place.line,
        "column": place.column,
        "key": place.key,
        "what": problem.what,
        "fix": problem.fix,
    }


# `plan`, `simulate` and `explain` each go one step further than the one before.
_COMMANDS: Final[tuple[tuple[str, str, Callable[[_Subject, bool], int]], ...]] = (
    (
        "validate",
        "Check a file against the configured chain: every problem at once, with line, key and fix.",
        _validate,
    ),
    (
        "plan",
        "Show the plan that the file makes of the chain's head, or why it makes none. Nothing is sent.",
        partial(_run, depth=1),
    ),
    (
        "simulate",
        "Run that plan in the local EVM on the head, and let the gate judge it. Nothing is sent.",
        partial(_run, depth=2),
    ),
    (
        "explain",
        "As simulate, and show where tokens flow, every call, and every guard with its margin.",
        partial(_run, depth=3),
    ),
    (
        "policy",
        "Print what a policy must list so that the file may run, and no more: for a deployment file.",
        _policy,
    ),
)
