"""`seawall devnet up|down|save|load|status|safe`: a local chain with the true contracts."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from seawall.cli.output import Json, JsonOption, print_facts, print_json, print_line, progress
from seawall.primitives.errors import InputError, RolloutError

if TYPE_CHECKING:
    from seawall.rollout.devnet import DevnetInfo, DevnetSettings, ForkSettings

__all__ = ["application"]

FUNDED_WEI: Final = 100 * 10**18

application = typer.Typer(
    help="A local chain with the true contracts of the protocols.",
    rich_markup_mode=None,
)

DirectoryOption = Annotated[Path, typer.Option("--directory", "-d", help="Where its files are kept.")]
PortOption = Annotated[int, typer.Option("--port", "-p", min=0, max=65_535, help="0: any free port.")]
BlockTimeOption = Annotated[
    float | None,
    typer.Option("--block-time", min=0.05, max=3_600, help="Seconds; else a block a transaction."),
]
DEFAULT_DIRECTORY = Path(".seawall/devnet")
DEFAULT_PORT: Final = 8_545


@application.command()
def up(
    directory: DirectoryOption = DEFAULT_DIRECTORY,
    port: PortOption = DEFAULT_PORT,
    block_time: BlockTimeOption = None,
    fork: Annotated[
        str | None,
        typer.Option(
            help="Continue another chain: where its endpoint's address is (environment:NAME, file:PATH), "
            "or the address."
        ),
    ] = None,
    block: Annotated[int | None, typer.Option(min=0, help="Of the fork; else the endpoint's head.")] = None,
    chain: Annotated[int | None, typer.Option(min=1, help="The chain that must be there to fork.")] = None,
    book: Annotated[
        Path | None, typer.Option(help="An address book of the forked chain, instead of the published one.")
    ] = None,
    keep_chain_id: Annotated[
        bool,
        typer.Option(help="Let the fork have the true chain's id: what is signed for it is valid there too."),
    ] = False,
    operator: Annotated[
        str | None, typer.Option(help="Give this address funds and the right to run plans on the executor.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Start it and leave it running; the first time builds it, for up to a minute."""
    from seawall.primitives.units import address_from_text
    from seawall.rollout import devnet
    from seawall.rollout.devnet import steering

    address = address_from_text(operator) if operator is not None else None
    settings = _settings(directory, port, block_time)
    doing = "starting the devnet (the first time builds it)"
    if fork is not None:
        settings = replace(settings, fork=_fork(fork, block, chain, book, keep_chain_id=keep_chain_id))
        doing = "forking"
    elif keep_chain_id or any(one is not None for one in (block, chain, book)):
        raise InputError(
            "--block, --chain, --book and --keep-chain-id say what to fork", "--fork", "give --fork too"
        )
    with progress(doing, quiet=json):
        info = devnet.up(settings)
        if address is not None:
            running = devnet.Devnet.attach(info)
            try:
                steering.fund(running, address, FUNDED_WEI)
                steering.authorise(running, address, address)
            finally:
                running.close()
    _print_info(info, as_json=json)


@application.command()
def down(directory: DirectoryOption = DEFAULT_DIRECTORY, json: JsonOption = False) -> None:
    """Stop it; its state is gone unless it was saved."""
    from seawall.rollout import devnet

    stopped = devnet.down(directory)
    if json:
        print_json({"stopped": stopped})
    else:
        print_line("stopped" if stopped else "no devnet runs here")


@application.command()
def save(
    file: Annotated[Path, typer.Argument(help="A new file for its state.")],
    directory: DirectoryOption = DEFAULT_DIRECTORY,
    json: JsonOption = False,
) -> None:
    """Write the running devnet's state to a file."""
    from seawall.rollout import devnet

    with progress("saving", quiet=json):
        devnet.save(directory, file)
    if json:
        print_json({"saved": str(file)})
    else:
        print_line(f"saved to {file}")


@application.command()
def load(
    file: Annotated[Path, typer.Argument(help="A file that `save` wrote.")],
    directory: DirectoryOption = DEFAULT_DIRECTORY,
    port: PortOption = DEFAULT_PORT,
    block_time: BlockTimeOption = None,
    json: JsonOption = False,
) -> None:
    """Start a devnet from a saved state."""
    from seawall.rollout import devnet

    with progress("loading", quiet=json):
        info = devnet.load(file, _settings(directory, port, block_time))
    _print_info(info, as_json=json)


@application.command()
def status(directory: DirectoryOption = DEFAULT_DIRECTORY, json: JsonOption = False) -> None:
    """Where it stands: heights, endpoints, process."""
    from seawall.rollout import devnet

    standing = devnet.status(directory)
    if standing is None:
        if not json:
            raise RolloutError("no devnet runs here", str(directory), "start one with `seawall devnet up`")
        print_json({"running": False})
        return
    facts: dict[str, Json] = {
        "running": True,
        **_info(standing.info),
        "latest": standing.latest,
        "safe": standing.safe,
        "final": standing.final,
        "base_fee_wei": str(standing.base_fee_wei),
        "timestamp_s": standing.timestamp_s,
    }
    if json:
        print_json(facts)
    else:
        print_facts(facts)


@application.command()
def safe(
    owner: Annotated[list[str], typer.Option("--owner", help="An owner's address; once for each.")],
    threshold: Annotated[int, typer.Option("--threshold", "-t", min=1, help="How many must sign.")],
    directory: DirectoryOption = DEFAULT_DIRECTORY,
    json: JsonOption = False,
) -> None:
    """Make a funded Safe of these owners on the running devnet."""
    from seawall.primitives.units import address_from_text, address_text
    from seawall.rollout import devnet
    from seawall.rollout.devnet import steering

    standing = devnet.status(directory)
    if standing is None:
        raise RolloutError("no devnet runs here", str(directory), "start one with `seawall devnet up`")
    running = devnet.Devnet.attach(standing.info)
    try:
        made = steering.create_safe(running, [address_from_text(one) for one in owner], threshold, FUNDED_WEI)
    finally:
        running.close()
    if json:
        print_json({"safe": address_text(made)})
    else:
        print_line(address_text(made))


def _settings(directory: Path, port: int, block_time: float | None) -> DevnetSettings:
    from seawall.rollout.devnet import DevnetSettings

    return DevnetSettings(directory=directory, port=port, block_time_s=block_time)


def _fork(
    text: str, block: int | None, chain_id: int | None, book: Path | None, *, keep_chain_id: bool
) -> ForkSettings:
    """`text` is a place as the configuration has them, or an address, in which `${PLACE}` may stand."""
    from seawall.primitives.secrets import Secret
    from seawall.rollout.devnet import ForkSettings
    from seawall.runtime.configuration.secrets import SecretReader

    reader = SecretReader(Path(), os.environ)
    if "://" in text:
        endpoint = Secret(reader.expanded(text, "--fork"))
    else:
        endpoint = reader.place(text, "--fork").read()
    return ForkSettings(endpoint, block, chain_id, keep_chain_id, book)


def _info(info: DevnetInfo) -> dict[str, Json]:
    fork = info.fork
    forked: dict[str, Json] = {}
    if fork is not None:
        forked = {"forked_chain": fork.chain_id, "forked_block": fork.block, "forked_from": fork.endpoint}
    return {
        **forked,
        "chain_id": info.chain_id,
        "rpc": info.rpc_url,
        "websocket": info.ws_url,
        "addresses": str(info.addresses),
        "log": str(info.log),
        "pid": info.pid,
    }


def _print_info(info: DevnetInfo, *, as_json: bool) -> None:
    if as_json:
        print_json(_info(info))
    else:
        print_facts(_info(info))
