"""`seawall devnet trade`: let the devnet's scripted trader move a price, so that there is something to do."""

from __future__ import annotations

from typing import Annotated

import typer

from seawall.cli.devnet import DEFAULT_DIRECTORY, DirectoryOption
from seawall.cli.output import JsonOption, print_facts, print_json
from seawall.primitives.errors import RolloutError

__all__ = ["register"]


def register(devnet: typer.Typer) -> None:
    devnet.command("trade")(trade)


def trade(
    token: Annotated[str, typer.Argument(help="Whose price moves, as the address book names it.")],
    against: Annotated[str, typer.Argument(help="The other token of the pair.")],
    gap_bps: Annotated[int, typer.Argument(help="By how much; negative is down.")],
    directory: DirectoryOption = DEFAULT_DIRECTORY,
    json: JsonOption = False,
) -> None:
    """Move the Uniswap V2 price of a token, as a large trade of somebody else would."""
    from seawall.primitives.units import hex_text
    from seawall.rollout import devnet

    found = devnet.status(directory)
    if found is None:
        raise RolloutError("no devnet runs here", str(directory), "start it with `seawall devnet up`")
    running = devnet.Devnet.attach(found.info)
    try:
        sent = devnet.Trader(running).open_gap_v2(token, against, gap_bps, mine=False)
        running.rpc.settle([sent], mine=False)
    finally:
        running.close()
    facts = {"transaction": hex_text(sent)}
    if json:
        print_json(facts)
    else:
        print_facts(facts)
