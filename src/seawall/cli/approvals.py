"""`seawall approvals list|revoke`: what others may do with what is ours, and taking it back.

    list     every right that stands at the head: allowances, delegations, authorisations, modules, roles
    revoke   an ordinary plan for what a key of ours gave, a proposal to the owners for what a Safe gave

Revoking calls the contract that keeps the right. A contract outside the address book may be a trap that was
made to be called: it is called only if the right is named.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from seawall.cli.chains import ChainOption, chain_named, reading
from seawall.cli.options import DEFAULT_CONFIG, ConfigOption, load, operator
from seawall.cli.output import Json, JsonOption, print_json, print_line, print_table, progress
from seawall.primitives.errors import InputError, UnavailableError

if TYPE_CHECKING:
    from seawall.primitives.units import Address
    from seawall.protocols.approvals import Grant
    from seawall.runtime.approvals import Holdings, Inventory
    from seawall.runtime.configuration.settings import ChainSettings, Configuration
    from seawall.runtime.handing_in import HandedCall

__all__ = ["application"]

application = typer.Typer(help="What others may do with what is ours.", rich_markup_mode=None)

FromOption = Annotated[
    int, typer.Option("--from-block", min=0, help="Where logs begin: not after the first of our keys.")
]
_NO_KEY: Final = "no key or Safe of ours can take it back"


@application.command("list")
def list_grants(
    chain: ChainOption = None,
    from_block: FromOption = 0,
    path: ConfigOption = DEFAULT_CONFIG,
    json: JsonOption = False,
) -> None:
    """Everything outstanding, verified at one block."""
    scene = _look(load(path), chain, from_block, quiet=json)
    rows = [_view(scene, grant) for grant in scene.found.grants]
    delegates = {scene.name(key): scene.name(code) for key, code in scene.found.delegates.items()}
    if json:
        block = scene.found.block
        print_json({"block": block.number, "grants": rows, "code_delegations": delegates})
        return
    print_table(
        ("id", "kind", "of", "to", "on", "how much"),
        [
            (
                row["id"],
                row["kind"],
                row["holder"],
                row["grantee"],
                row["contract"] if row["known"] else f"{row['contract']} (not in the address book)",
                row["limit"],
            )
            for row in rows
        ],
        f"Nobody else may do anything with what is ours, at block {scene.found.block.number}.",
    )
    for key, code in delegates.items():
        print_line(f"{key} runs the code of {code} (EIP-7702): delegate to nobody with the key's own tool")


@application.command("revoke")
def revoke(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="As `list` shows them.")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Everything on contracts of the address book.")
    ] = False,
    chain: ChainOption = None,
    submitter: Annotated[
        str | None, typer.Option("--submitter", "-s", help="Which of [[submitters]] hands the plans in.")
    ] = None,
    from_block: FromOption = 0,
    wait: Annotated[bool, typer.Option(help="Wait until the plans have landed.")] = True,
    path: ConfigOption = DEFAULT_CONFIG,
    json: JsonOption = False,
) -> None:
    """Take rights back: plans of our keys through the running kernel, proposals to our Safes."""
    configuration = load(path)
    scene = _look(configuration, chain, from_block, quiet=json)
    chosen = _chosen(scene, ids or [], everything=everything)
    from seawall.protocols.approvals import revocations

    work = _Work([], {}, [])
    for grant, target, data in revocations(chosen, scene.found.grants):
        _assign(work, scene, grant, target, data)
    plans = _hand_in(configuration, scene, work.calls, submitter, wait=wait, quiet=json)
    proposals = [_propose(configuration, name, calls) for name, calls in work.safes.items()]
    document: dict[str, Json] = {
        "plans": plans,
        "proposals": proposals,
        "left": [{"id": one, "why": why} for one, why in work.left],
    }
    if json:
        print_json(document)
    else:
        _print_revoked(plans, proposals, work.left)


@dataclass(frozen=True, slots=True)
class _Scene:
    """One look, and the names for what it shows."""

    chain: ChainSettings
    ours: Holdings
    found: Inventory

    def name(self, address: bytes) -> str:
        from seawall.primitives.units import address_text

        for group in (self.ours.keys, self.ours.safes, self.ours.executors):
            for name, own in group.items():
                if own == address:
                    return name
        entry = self.chain.book.find(address)
        return address_text(address) if entry is None else f"@{entry.name}"

    def is_known(self, grant: Grant) -> bool:
        contract = grant.candidate.contract
        return self.chain.book.find(contract) is not None or contract in self.ours.all


@dataclass(slots=True)
class _Work:
    """What is to be done, by whose hand."""

    calls: list[HandedCall]
    safes: dict[str, list[dict[str, str]]]
    left: list[tuple[str, str]]  # id, and why nothing is done


def _look(configuration: Configuration, chain: str | None, from_block: int, *, quiet: bool) -> _Scene:
    from seawall.runtime.approvals import holdings_of

    settings = chain_named(configuration, chain)
    ours = holdings_of(configuration, settings)
    with progress("gathering logs", quiet=quiet):
        found = asyncio.run(_take(configuration, settings, ours, from_block))
    return _Scene(settings, ours, found)


async def _take(
    configuration: Configuration, chain: ChainSettings, ours: Holdings, from_block: int
) -> Inventory:
    from seawall.chain.addresses import AddressKind
    from seawall.ledger import Ledger, LedgerSettings
    from seawall.primitives.ports import SystemClock, SystemEntropy
    from seawall.runtime.approvals import take_inventory

    clock = SystemClock()
    url = _store(configuration.kernel.data, chain.network.chain_id)
    store = Ledger.open(LedgerSettings(url), clock=clock, entropy=SystemEntropy())
    multicall = next(iter(chain.book.of_kind(AddressKind.MULTICALL)), None)
    try:
        async with reading(chain) as client:
            where = None if multicall is None else multicall.address
            return await take_inventory(client, store, clock, ours, where, from_block)
    finally:
        await store.close()


def _store(data: Path, chain_id: int) -> str:
    """Where gathered logs are kept; named after the form of its tables, so that a newer form starts anew."""
    from seawall.ledger.migrate import create
    from seawall.ledger.schema import HEAD

    path = data / f"approvals-{chain_id}-{HEAD}.db"
    url = f"sqlite:///{path}"
    if not path.exists():
        data.mkdir(parents=True, exist_ok=True)
        create(url)
    return url


def _chosen(scene: _Scene, ids: Sequence[str], *, everything: bool) -> list[Grant]:
    from seawall.runtime.approvals import grant_id

    if bool(ids) == everything:
        raise InputError("what shall be revoked is said once", "revoke", "give ids of `list`, or --all")
    by_id = {grant_id(grant): grant for grant in scene.found.grants}
    unknown = [one for one in ids if one not in by_id]
    if unknown:
        raise InputError(
            f"no right has the id {unknown[0][:20]!r} at block {scene.found.block.number}",
            "revoke",
            "see `seawall approvals list`; it may be gone already",
        )
    if everything:
        return [grant for grant in scene.found.grants if scene.is_known(grant)]
    chosen = [grant for grant in scene.found.grants if grant_id(grant) in ids]
    if len(chosen) != len(set(ids)):
        raise InputError("several rights have the same id", "revoke", "take them back by a tool of the key")
    return chosen


def _assign(work: _Work, scene: _Scene, grant: Grant, target: Address, data: bytes) -> None:
    from seawall.primitives.units import address_text, hex_text
    from seawall.runtime.approvals import grant_id
    from seawall.runtime.handing_in import HandedCall

    one, mark = grant.candidate, grant_id(grant)
    hand = scene.found.hand_of(grant)
    safes = {address: name for name, address in scene.ours.safes.items()}
    note = f"revoke {one.kind.value} of {scene.name(one.holder)} to {scene.name(one.grantee)}"
    if hand is not None and hand in scene.ours.keys.values():
        work.calls.append(HandedCall(f"revoke:{mark}", hand, target, data, note))
    elif hand is not None and hand in safes:
        call = {"to": address_text(target), "value_wei": "0", "data": hex_text(data)}
        work.safes.setdefault(safes[hand], []).append(call)
    else:
        why = "an executor gives it up only by a rescue of its owner" if hand is None else _NO_KEY
        work.left.append((mark, why))


def _hand_in(
    configuration: Configuration,
    scene: _Scene,
    calls: Sequence[HandedCall],
    submitter: str | None,
    *,
    wait: bool,
    quiet: bool,
) -> list[dict[str, Json]]:
    if not calls:
        return []
    from seawall.runtime.handing_in import Hatch, submitter_for

    chain_id = scene.chain.network.chain_id
    name = submitter_for(configuration, chain_id, {call.sender for call in calls}, submitter)
    hatch = Hatch(configuration.kernel.socket_file, name, operator())
    handed = hatch.hand_in(calls)
    if wait:
        with progress("waiting for the plans to land", quiet=quiet):
            handed = hatch.follow(handed)
    return [{"plan": one.intent, "does": one.call.note, "status": one.status} for one in handed]


def _propose(configuration: Configuration, safe: str, calls: Sequence[dict[str, str]]) -> dict[str, Json]:
    from seawall.runtime.commands import Command, ask

    body = {"safe": safe, "calls": list(calls), "note": "revoke"}
    socket = configuration.kernel.socket_file
    answer = ask(socket, Command("safe_propose", who=operator(), body=body))
    if answer is None:
        raise UnavailableError("no kernel listens here", str(socket), "start it with `seawall run`")
    number = answer["number"]
    assert isinstance(number, int), "a proposal has a number"
    return {"proposal": number, "safe": safe, "calls": len(calls)}


def _view(scene: _Scene, grant: Grant) -> dict[str, Json]:
    from seawall.primitives.units import address_text
    from seawall.runtime.approvals import grant_id

    one = grant.candidate
    return {
        "id": grant_id(grant),
        "kind": one.kind.value,
        "holder": scene.name(one.holder),
        "grantee": scene.name(one.grantee),
        "contract": scene.name(one.contract),
        "holder_address": address_text(one.holder),
        "grantee_address": address_text(one.grantee),
        "contract_address": address_text(one.contract),
        "known": scene.is_known(grant),
        "item": str(one.item),
        "amount": None if grant.amount is None else str(grant.amount),
        "expires_s": grant.expires_s,
        "limit": _limit(scene, grant),
    }


def _limit(scene: _Scene, grant: Grant) -> str:
    """How far it reaches, for a person."""
    from seawall.primitives.units import Address
    from seawall.protocols.approvals import GrantKind
    from seawall.protocols.executor.policy import Role

    one = grant.candidate
    if one.kind is GrantKind.ROLE:
        return Role(one.item).name or str(one.item)
    if one.kind is GrantKind.NFT:
        return f"number {one.item}"
    if grant.amount is None:
        return "everything"
    token = Address(one.item.to_bytes(20)) if one.kind is GrantKind.PERMIT2 else one.contract
    entry = scene.chain.book.find(token)
    if grant.is_unlimited:
        shown = "unlimited"
    elif entry is None or entry.decimals is None:
        shown = f"{grant.amount} units"
    else:
        whole, fraction = divmod(grant.amount, 10**entry.decimals)
        tail = f"{fraction:0{entry.decimals}d}".rstrip("0") if entry.decimals else ""
        shown = f"{whole}{'.' if tail else ''}{tail} {entry.symbol or ''}".strip()
    return f"{shown} of {scene.name(token)}" if one.kind is GrantKind.PERMIT2 else shown


def _print_revoked(
    plans: Sequence[dict[str, Json]],
    proposals: Sequence[dict[str, Json]],
    left: Sequence[tuple[str, str]],
) -> None:
    for plan in plans:
        print_line(f"plan #{plan['plan']}: {plan['does']}: {plan['status']}")
    for one in proposals:
        print_line(
            f"proposal #{one['proposal']} to {one['safe']}: {one['calls']} calls; "
            f"its owners sign: `seawall safe show {one['proposal']}`"
        )
    for mark, why in left:
        print_line(f"{mark} is left: {why}")
    if not (plans or proposals or left):
        print_line("There is nothing to revoke.")
