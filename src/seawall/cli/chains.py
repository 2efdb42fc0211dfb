"""A chain that a command is told of: its settings by id or name, and a client that reads it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Final

import typer

from seawall.primitives.errors import InputError

if TYPE_CHECKING:
    from seawall.chain.client import ChainClient
    from seawall.runtime.configuration.settings import ChainSettings, Configuration

__all__ = ["ChainOption", "chain_named", "reading"]

CHAIN_WAIT_S: Final = 600.0

ChainOption = Annotated[
    str | None, typer.Option("--chain", help="Its id or name; the only configured one if left out.")
]


def chain_named(configuration: Configuration, text: str | None) -> ChainSettings:
    """The configured chain of this id or name."""
    if text is None and len(configuration.chains) == 1:
        return configuration.chains[0]
    for chain in configuration.chains:
        if text in (str(chain.network.chain_id), chain.network.name):
            return chain
    known = ", ".join(f"{one.network.chain_id} ({one.network.name})" for one in configuration.chains)
    what = f"chain {text[:40]!r} is not configured" if text else "several chains are configured"
    raise InputError(what, "--chain", f"name one of: {known}; or add it under [[chains]]")


@asynccontextmanager
async def reading(chain: ChainSettings) -> AsyncIterator[ChainClient]:
    """A client over the chain's read endpoints, bounded in time as a whole."""
    from seawall.chain.client import ChainClient
    from seawall.chain.rpc import HttpTransport, RpcPool
    from seawall.primitives.ports import SystemClock

    pool = RpcPool(
        [HttpTransport(endpoint.url) for endpoint in chain.rpc],
        chain_id=chain.network.chain_id,
        clock=SystemClock(),
        agreement=chain.agreement,
        settings=chain.readers,
    )
    try:
        async with asyncio.timeout(CHAIN_WAIT_S):
            yield ChainClient(pool, chain.network, verify_state=chain.verify_state)
    finally:
        await pool.close()
