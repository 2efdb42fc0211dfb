"""`seawall deploy executor`: our contracts on a chain, from a file, to the owners' hands.

Without `--yes` nothing is sent: the file is compared with the chain, and what would be done is shown, with
the addresses that follow from it. With it the running kernel carries each step as an ordinary plan; run the
same again at any time, also after an interruption, until it says done. Once the owners have it, what a
changed file asks becomes a proposal to their Safe.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seawall.cli.chains import chain_named, reading
from seawall.cli.options import DEFAULT_CONFIG, ConfigOption, load, operator
from seawall.cli.output import EXIT_FAILED, Json, JsonOption, print_json, print_line, progress
from seawall.primitives.errors import InputError, UnavailableError

if TYPE_CHECKING:
    from seawall.rollout.deployment.files import DeploymentWish
    from seawall.rollout.deployment.running import Outcome, Parts
    from seawall.rollout.deployment.surveying import Survey
    from seawall.runtime.commands import Answer
    from seawall.runtime.configuration.settings import ChainSettings, Configuration

__all__ = ["application"]

application = typer.Typer(help="Deployment of our own contracts.", rich_markup_mode=None)


@application.callback()
def _commands() -> None:
    """Deployment of our own contracts."""


@application.command("executor")
def executor(
    plan: Annotated[Path, typer.Option("--plan", help="The deployment file, TOML.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do it; else it is only shown.")] = False,
    submitter: Annotated[
        str | None, typer.Option("--submitter", "-s", help="Which of [[submitters]] hands the plans in.")
    ] = None,
    path: ConfigOption = DEFAULT_CONFIG,
    json: JsonOption = False,
) -> int:
    """Registry, risk book, checks, executor and its backup: created, set up, and handed to the owner's Safe.

    Exit code 1 until everything is done and nothing is left to the deployer.
    """
    from seawall.rollout.deployment.files import read_wish
    from seawall.rollout.deployment.running import deploy, record

    configuration = load(path)
    wish = read_wish(plan, configuration)
    chain = chain_named(configuration, str(wish.chain_id))
    if chain.book_file is None:
        raise InputError(
            "the chain has no address book of its own, in which the contracts would be recorded",
            "chains.address_book",
            "make one with `seawall addresses record --out FILE`, and name it there",
        )
    first = _look(chain, wish)
    if not yes and not first.is_done:
        _show(first, as_json=json)
        return EXIT_FAILED
    with progress("deploying", quiet=json):
        outcome = deploy(_parts(configuration, chain, wish, submitter, quiet=json))
    found = outcome.survey
    names = record(found, chain.book, chain.book_file) if found.is_done else ()
    _tell(outcome, names, chain.book_file, as_json=json)
    return 0 if found.is_done else EXIT_FAILED


def _look(chain: ChainSettings, wish: DeploymentWish) -> Survey:
    async def look() -> Survey:
        from seawall.chain.addresses import AddressKind
        from seawall.rollout.deployment.surveying import survey

        multicall = next(iter(chain.book.of_kind(AddressKind.MULTICALL)), None)
        async with reading(chain) as client:
            return await survey(client, wish, None if multicall is None else multicall.address)

    return asyncio.run(look())


def _parts(
    configuration: Configuration,
    chain: ChainSettings,
    wish: DeploymentWish,
    submitter: str | None,
    *,
    quiet: bool,
) -> Parts:
    from seawall.cli.records import read_ledger
    from seawall.rollout.deployment.running import Parts, open_proposal
    from seawall.runtime.commands import Command, ask
    from seawall.runtime.handing_in import Hatch, submitter_for

    socket = configuration.kernel.socket_file

    def command(name: str, body: dict[str, object]) -> Answer:
        answer = ask(socket, Command(name, who=operator(), body=body))
        if answer is None:
            raise UnavailableError("no kernel listens here", str(socket), "start it with `seawall run`")
        return answer

    name = submitter_for(configuration, wish.chain_id, {wish.deployer}, submitter)
    return Parts(
        look=lambda: _look(chain, wish),
        hatch=Hatch(socket, name, operator()),
        ask=command,
        proposals=lambda found: read_ledger(configuration, lambda tx: open_proposal(tx, found)),
        tell=lambda text: None if quiet else print_line(text),
    )


def _show(found: Survey, *, as_json: bool) -> None:
    """What would be done."""
    if as_json:
        print_json(_view(found))
        return
    _print_places(found)
    print_line(f"\nAt block {found.block.number}, {len(found.done)} steps stand already. Missing:")
    for stage in found.missing:
        print_line(f"\n{stage.name}")
        for line in stage.lines:
            print_line(f"  + {line}")
    _print_open(found)
    print_line("\nNothing was sent. With --yes the running kernel does it.")


def _print_places(found: Survey) -> None:
    from seawall.primitives.units import address_text

    wish = found.wish
    print_line(f"Deployment {wish.name} on chain {wish.chain_id}, by {address_text(wish.deployer)}")
    print_line(f"owner {wish.owner_name} {address_text(wish.owner)}")
    print_line(f"through the CREATE2 deployer {address_text(found.fleet.deployer)}")
    width = max(len(one.role) for one in found.fleet.all)
    for one in found.fleet.all:
        print_line(f"  {one.role:<{width}}  {address_text(one.address)}")


def _tell(outcome: Outcome, names: tuple[str, ...], book: Path, *, as_json: bool) -> None:
    found = outcome.survey
    if as_json:
        print_json({**_view(found), "proposal": outcome.proposal, "recorded": list(names)})
        return
    _print_places(found)
    if outcome.proposal is not None:
        print_line(
            f"\nIt is the owners' turn: proposal #{outcome.proposal}, {found.missing[0].name}:\n  "
            + "\n  ".join(found.missing[0].lines)
            + f"\n  seawall safe sign {outcome.proposal} --signer NAME      (each owner)"
            f"\n  seawall safe execute {outcome.proposal}"
            "\nThen run the same again."
        )
    _print_open(found)
    if found.is_done:
        print_line(f"\nDone at block {found.block.number}: {len(found.done)} steps stand.")
        print_line(f"{found.wish.owner_name} owns everything, and the deployer has no power left.")
        print_line(f"Recorded in {book}: {', '.join(names)}")
    elif outcome.proposal is None:
        print_line("\nNot done.")


def _print_open(found: Survey) -> None:
    for line in found.waiting:
        print_line(f"WAITS: {line}")
    for problem in found.problems:
        print_line(f"PROBLEM: {problem}")


def _view(found: Survey) -> dict[str, Json]:
    from seawall.primitives.units import address_text

    return {
        "deployment": found.wish.name,
        "chain_id": found.wish.chain_id,
        "block": found.block.number,
        "done": found.is_done,
        "owner": address_text(found.wish.owner),
        "create2_deployer": address_text(found.fleet.deployer),
        "contracts": {one.role: address_text(one.address) for one in found.fleet.all},
        "standing": list(found.done),
        "missing": [{"stage": stage.name, "steps": list(stage.lines)} for stage in found.missing],
        "waiting": list(found.waiting),
        "problems": list(found.problems),
    }
