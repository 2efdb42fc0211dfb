"""`seawall safe verify`: a file checked by itself, apart from whoever made it, and if wanted by a chain.

Reads the file and nothing else: no configuration, no ledger, no kernel. With `--rpc` the chain is asked too.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from seawall.cli.output import EXIT_FAILED, Json, JsonOption, print_facts, print_json, print_line
from seawall.primitives.errors import InputError

if TYPE_CHECKING:
    from seawall.chain.networks import Network
    from seawall.primitives.units import Address
    from seawall.protocols.safe.state import SafeState
    from seawall.runtime.safes.verification import OnChain, Verified

__all__ = ["read_file", "state_of", "verify"]

CHAIN_WAIT_S: Final = 60.0
_STANDARD_INPUT: Final = "-"


def verify(
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="A file of proposals.")],
    rpc: Annotated[
        str | None, typer.Option("--rpc", help="Ask the chain too: digest, rules, and what it would do.")
    ] = None,
    chain_id: Annotated[
        int | None, typer.Option("--chain-id", min=1, help="Of a file that names no chain.")
    ] = None,
    json: JsonOption = False,
) -> int:
    """Compute the digest anew and show every field; exit code 1 if anything is wrong.

    Compare the digest with the one that the wallet shows before signing there.
    """
    from seawall.protocols.safe.files import read_proposals
    from seawall.runtime.safes.verification import verify_file

    verified = [verify_file(proposal) for proposal in read_proposals(read_file(file), file, chain_id)]
    asked: list[OnChain | None] = [None] * len(verified)
    if rpc is not None:
        asked = list(asyncio.run(_ask(rpc, verified)))
    found = [_view(one, chain) for one, chain in zip(verified, asked, strict=True)]
    if json:
        print_json({"proposals": found})
    else:
        for one in found:
            _print(one)
    return EXIT_FAILED if any(one["problems"] for one in found) else 0


async def state_of(urls: Sequence[str], network: Network, safe: Address) -> SafeState:
    """How a Safe stands at the head."""
    from seawall.chain.client import ChainClient
    from seawall.chain.rpc import HttpTransport, RpcPool
    from seawall.primitives.ports import SystemClock
    from seawall.transactions.safes.looking import state_at

    pool = RpcPool([HttpTransport(url) for url in urls], chain_id=network.chain_id, clock=SystemClock())
    try:
        async with asyncio.timeout(CHAIN_WAIT_S):
            client = ChainClient(pool, network)
            return await state_at(client, safe, await client.head())
    finally:
        await pool.close()


async def _ask(url: str, verified: Sequence[Verified]) -> list[OnChain]:
    from seawall.chain.client import ChainClient
    from seawall.chain.networks import network_of
    from seawall.chain.rpc import HttpTransport, RpcPool
    from seawall.primitives.ports import SystemClock, ThreadOffload
    from seawall.runtime.safes.verification import verify_on_chain

    chains = {one.proposal.transaction.chain_id for one in verified}
    if len(chains) > 1:
        raise InputError("proposals of several chains", "--rpc", "verify the files of one chain at a time")
    network = network_of(chains.pop(), {})
    pool = RpcPool([HttpTransport(url)], chain_id=network.chain_id, clock=SystemClock())
    try:
        async with asyncio.timeout(CHAIN_WAIT_S):
            client = ChainClient(pool, network)
            return [await verify_on_chain(client, network, ThreadOffload(), one) for one in verified]
    finally:
        await pool.close()


def _view(verified: Verified, on_chain: OnChain | None) -> dict[str, Json]:
    from seawall.primitives.units import address_text, hex_text
    from seawall.protocols.safe.files import document_of
    from seawall.runtime.safes.views import calls_view, effect_view, state_view

    proposal = verified.proposal
    said = proposal.said_hash
    fields = document_of(proposal.transaction, ())
    view: dict[str, Json] = {
        "digest": hex_text(verified.digest),
        "digest_in_file": None if said is None else hex_text(said),
        "domain_hash": hex_text(verified.domain_hash),
        "message_hash": hex_text(verified.message_hash),
        "fields": {n: v for n, v in fields.items() if n not in ("safeTxHash", "confirmations", "note")},
        "note": proposal.note,
        "calls": calls_view(proposal.transaction),
        "signatures": [
            {"owner": address_text(one.owner), "kind": one.kind.value, "needs_chain": one.needs_chain}
            for one in verified.signatures
        ],
        "problems": [*verified.problems, *(on_chain.problems if on_chain is not None else ())],
    }
    if on_chain is not None:
        view["state"] = state_view(on_chain.state)
        view["effect"] = effect_view(on_chain.simulation, proposal.transaction.safe)
    return view


def _print(view: dict[str, Json]) -> None:
    facts: dict[str, object] = {"digest": view["digest"]}
    facts |= {"domain hash": view["domain_hash"], "message hash": view["message_hash"]}
    fields, effect, state = view["fields"], view.get("effect"), view.get("state")
    assert isinstance(fields, dict)
    facts |= {f"  {name}": value for name, value in fields.items()}
    facts |= {f"call {place}": text for place, text in enumerate(_listed(view["calls"]), 1)}
    facts |= {
        f"signature {place}": f"{one['owner']} ({one['kind']})"
        for place, one in enumerate(_listed(view["signatures"]), 1)
        if isinstance(one, dict)
    }
    if isinstance(state, dict):
        owners = len(_listed(state["owners"]))
        facts["on chain"] = (
            f"nonce {state['nonce']}, {state['threshold']} of {owners}, block {state['block_number']}"
        )
    if isinstance(effect, dict):
        flows = [one for one in _listed(effect["flows"]) if isinstance(one, dict)]
        facts |= {
            f"flow {place}": f"{one['amount']} of {one['token']} from {one['from']} to {one['to']}"
            for place, one in enumerate(flows, 1)
        }
    print_facts(facts)
    for problem in _listed(view["problems"]):
        print_line(f"PROBLEM: {problem}")
    if not view["problems"]:
        print_line("No problem was found. Compare the digest with the one that your wallet shows.")


def _listed(value: Json) -> Sequence[Json]:
    assert isinstance(value, list | tuple)
    return value


def read_file(file: str) -> bytes:
    """A file of proposals, or standard input; never more than is read anyway."""
    from seawall.protocols.safe.files import FILE_BYTES_MAX

    try:
        if file == _STANDARD_INPUT:
            return sys.stdin.buffer.read(FILE_BYTES_MAX + 1)
        with Path(file).open("rb") as stream:
            return stream.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise InputError(
            f"the file cannot be read: {error.strerror}", file, "name a file, or - for standard input"
        ) from None
