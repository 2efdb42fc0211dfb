"""`seawall lanes list|release`: who holds which lane, how far it is, and what keeps it from working."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Final

import typer

from seawall.cli.options import DEFAULT_CONFIG, ConfigOption, ReasonOption, load, operator
from seawall.cli.output import Json, JsonOption, print_json, print_line, print_table
from seawall.cli.records import read_ledger
from seawall.primitives.errors import ChainError, UnavailableError

if TYPE_CHECKING:
    from seawall.ledger import Transaction
    from seawall.ledger.rows import LaneRow
    from seawall.primitives.identifiers import Lane
    from seawall.runtime.configuration.settings import ChainSettings, Configuration

__all__ = ["application"]

CHAIN_WAIT_S: Final = 5.0

application = typer.Typer(help="Lanes: one key on one chain each.", rich_markup_mode=None)


@application.command("list")
def list_lanes(path: ConfigOption = DEFAULT_CONFIG, json: JsonOption = False) -> None:
    """Every lane with its holder, fence, highest nonce of ours, the chain's nonce, and its quarantine."""

    def read(tx: Transaction) -> list[tuple[LaneRow, int | None]]:
        return [(row, tx.slots.highest(row.lane)) for row in tx.lanes.all()]

    configuration = load(path)
    found = read_ledger(configuration, read)
    on_chain = asyncio.run(_nonces(configuration, [row.lane for row, _ in found]))
    rows: list[dict[str, Json]] = [
        {
            "lane": str(row.lane),
            "holder": row.holder,
            "fence": row.fence,
            "highest_nonce": highest,
            "chain_nonce": on_chain.get(row.lane),
            "quarantine": row.quarantine,
        }
        for row, highest in found
    ]
    if json:
        print_json({"lanes": list(rows)})
        return
    columns = ("lane", "holder", "fence", "highest nonce", "chain's nonce", "quarantine")
    print_table(columns, [tuple(row.values()) for row in rows], "No kernel has taken a lane yet.")


@application.command("release")
def release(
    lane: Annotated[str, typer.Argument(help="CHAIN:ADDRESS, as the list shows it.")],
    reason: ReasonOption,
    path: ConfigOption = DEFAULT_CONFIG,
    json: JsonOption = False,
) -> None:
    """Lift a quarantine, after what the chain knows and the ledger did not was reconciled."""
    from seawall.runtime.commands import Command, ask
    from seawall.runtime.places import SOCKET_NAME

    folder = load(path).kernel.data
    answer = ask(folder / SOCKET_NAME, Command("release_lane", lane, reason, operator()))
    if answer is None:
        raise UnavailableError("no kernel runs here", str(folder), "start it: it looks at the chain for this")
    if json:
        print_json({name: str(value) for name, value in answer.items()})
    else:
        print_line(f"{answer['lane']} works again; {answer['foreign_nonces']} nonces are recorded as foreign")


async def _nonces(configuration: Configuration, lanes: list[Lane]) -> dict[Lane, int]:
    """What each chain says now; nothing of a chain that does not answer."""
    found: dict[Lane, int] = {}
    for settings in configuration.chains:
        own = [lane for lane in lanes if lane.chain_id == settings.network.chain_id]
        try:
            async with asyncio.timeout(CHAIN_WAIT_S):
                found |= dict(zip(own, await _nonces_on(settings, own), strict=True))
        except (ChainError, TimeoutError):
            continue
    return found


async def _nonces_on(settings: ChainSettings, lanes: list[Lane]) -> list[int]:
    from seawall.chain.client import ChainClient
    from seawall.chain.rpc import HttpTransport, RpcPool
    from seawall.primitives.ports import SystemClock

    transports = [HttpTransport(endpoint.url) for endpoint in settings.rpc]
    pool = RpcPool(transports, chain_id=settings.network.chain_id, clock=SystemClock())
    try:
        client = ChainClient(pool, settings.network)
        (head,) = await client.blocks(["latest"])
        return [] if head is None else await client.nonces_at([lane.key for lane in lanes], head.hash)
    finally:
        await pool.close()
