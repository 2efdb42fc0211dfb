"""`seawall accounts list|propose|create`: an account for each deal, with a key of its own.

    list      the keys of the configuration, and where the account of each is or will be
    propose   lay before the factory's owners: a template, and keys that may have an account of it
    create    make the account of a key, and write it into the address book

An account is made from a template that the factory's owner approved: policy, owner, beneficiary and stops are
fixed by it. The policy must be sealed.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from seawall.cli.chains import ChainOption, chain_named, reading
from seawall.cli.options import DEFAULT_CONFIG, ConfigOption, load, operator
from seawall.cli.output import Json, JsonOption, print_json, print_line, print_table, progress
from seawall.primitives.errors import InputError, RolloutError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from seawall.primitives.units import Address
    from seawall.rollout.deployment.accounts import FactoryView, PlacedAccount
    from seawall.runtime.configuration.settings import ChainSettings, Configuration

__all__ = ["application"]

application = typer.Typer(help="Accounts of deals, each with a key of its own.", rich_markup_mode=None)

FactoryOption = Annotated[str, typer.Option("--factory", help="The account factory: 0x... or @name.")]
DEFAULT_FACTORY = "@account_factory"
_FLOOR_DECIMALS = 18


@application.command("list")
def list_accounts(
    factory: FactoryOption = DEFAULT_FACTORY,
    chain: ChainOption = None,
    path: ConfigOption = DEFAULT_CONFIG,
    json: JsonOption = False,
) -> None:
    """The accounts of the configuration's keys."""
    place = _Place.of(path, chain, factory)
    names = {one.address(): one.name for one in place.configuration.signers}
    found = place.look(list(names))
    rows = [_view(place.settings, names, one) for one in found.accounts]
    if json:
        print_json({"block": found.block.number, "accounts": rows})
        return
    print_table(
        ("operator", "account", "state", "policy", "health floor"),
        [tuple(row.values()) for row in rows],
        "No key is configured.",
    )


@application.command("propose")
def propose(
    operators: Annotated[list[str], typer.Argument(metavar="SIGNER...", help="Keys that get an account.")],
    policy: Annotated[str, typer.Option("--policy", help="A sealed policy: 0x... or @name.")],
    safe: Annotated[str, typer.Option("--safe", help="The Safe that owns the factory, by name.")],
    owner: Annotated[str | None, typer.Option("--owner", help="Of the accounts; default: the Safe.")] = None,
    beneficiary: Annotated[str | None, typer.Option("--beneficiary", help="Default: the Safe.")] = None,
    guardian: Annotated[str | None, typer.Option("--guardian", help="Default: none.")] = None,
    pauser: Annotated[str | None, typer.Option("--pauser", help="Default: none.")] = None,
    factory: FactoryOption = DEFAULT_FACTORY,
    chain: ChainOption = None,
    path: ConfigOption = DEFAULT_CONFIG,
    json: JsonOption = False,
) -> None:
    """Lay a template and its keys before the owners of the factory."""
    from seawall.primitives.units import ZERO_ADDRESS, hex_text
    from seawall.protocols.executor.accounts import account_template, allot_call, approve_call, template_id

    place = _Place.of(path, chain, factory)
    council = place.safe(safe)

    def named(text: str | None, where: str, default: Address) -> Address:
        return default if text is None else place.address(text, where)

    template = account_template(
        place.address(policy, "--policy"),
        named(owner, "--owner", council),
        named(beneficiary, "--beneficiary", council),
        named(guardian, "--guardian", ZERO_ADDRESS),
        named(pauser, "--pauser", ZERO_ADDRESS),
    )
    found = place.look([place.key(name) for name in operators], [template_id(template)])
    calls = [] if template_id(template) in found.approved else [approve_call(template)]
    calls += [allot_call(template, one.operator) for one in found.accounts if one.template is None]
    if not calls:
        raise InputError("all of that was decided already", "accounts", "see `seawall accounts list`")
    number = place.propose(safe, place.factory, calls, f"accounts of {', '.join(operators)}")
    if json:
        print_json({"proposal": number, "template": hex_text(template_id(template)), "calls": len(calls)})
        return
    print_line(f"proposal #{number} to {safe}: template {hex_text(template_id(template))}")
    print_line(f"  its owners sign: `seawall safe show {number}`")


@application.command("floor")
def floor(
    signer: Annotated[str, typer.Argument(help="Whose account: one of [[signers]].")],
    at: Annotated[str, typer.Option("--at", help="Like 1.05; 0 takes it away.")],
    safe: Annotated[str, typer.Option("--safe", help="The Safe that owns the account, by name.")],
    factory: FactoryOption = DEFAULT_FACTORY,
    chain: ChainOption = None,
    path: ConfigOption = DEFAULT_CONFIG,
    json: JsonOption = False,
) -> None:
    """Ask an account's owners for another floor under its health factors."""
    from seawall.primitives.units import token_amount
    from seawall.protocols.executor.policy import health_floor_call

    place = _Place.of(path, chain, factory)
    place.safe(safe)
    (one,) = place.look([place.key(signer)]).accounts
    if not one.is_made or one.address is None:
        raise InputError(f"{signer!r} has no account yet", "accounts", "see `seawall accounts create`")
    call = health_floor_call(token_amount(at, _FLOOR_DECIMALS))
    number = place.propose(safe, one.address, [call], f"health floor {at} of {signer}")
    if json:
        print_json({"proposal": number})
    else:
        print_line(f"proposal #{number} to {safe}: its owners sign: `seawall safe show {number}`")


@application.command("create")
def create(
    signer: Annotated[str, typer.Argument(help="Whose account: one of [[signers]].")],
    factory: FactoryOption = DEFAULT_FACTORY,
    chain: ChainOption = None,
    sender: Annotated[
        str | None, typer.Option("--sender", help="Whose lane sends it; any key may. Default: the signer's.")
    ] = None,
    submitter: Annotated[
        str | None, typer.Option("--submitter", "-s", help="Which of [[submitters]] hands the plan in.")
    ] = None,
    path: ConfigOption = DEFAULT_CONFIG,
    json: JsonOption = False,
) -> None:
    """Make the account of a key that was allotted, and record it."""
    from seawall.primitives.units import address_text
    from seawall.protocols.executor.accounts import make_call
    from seawall.runtime.handing_in import HandedCall, Hatch, submitter_for

    place = _Place.of(path, chain, factory)
    configuration, settings, key = place.configuration, place.settings, place.key(signer)
    (one,) = place.look([key]).accounts
    if one.template is None and not one.is_made:
        raise InputError(f"{signer!r} was allotted no account", "accounts", "see `seawall accounts propose`")
    if not one.is_made:
        hand = place.key(sender or signer)
        name = submitter_for(configuration, settings.network.chain_id, {hand}, submitter)
        hatch = Hatch(configuration.kernel.socket_file, name, operator())
        call = HandedCall(
            f"account:{key.hex()}", hand, place.factory, make_call(key), f"make the account of {signer}"
        )
        with progress("waiting for the plan to land", quiet=json):
            hatch.follow(hatch.hand_in([call]))
        (one,) = place.look([key]).accounts
    if not one.is_made or one.address is None:
        raise RolloutError("the plan landed, and the account is not there", signer, "run the same again")
    recorded = _record(settings, f"account_{signer.replace('-', '_')}", one.address)
    if json:
        print_json({"account": address_text(one.address), "recorded": recorded})
    else:
        print_line(f"{address_text(one.address)} is the account of {signer}; recorded as {recorded}")


@dataclass(frozen=True, slots=True)
class _Place:
    """The account factory of a configured chain, and what the configuration knows about it."""

    configuration: Configuration
    settings: ChainSettings
    factory: Address

    @classmethod
    def of(cls, path: Path, chain: str | None, factory: str) -> _Place:
        configuration = load(path)
        settings = chain_named(configuration, chain)
        return cls(configuration, settings, _address(settings, factory, "--factory"))

    def address(self, text: str, where: str) -> Address:
        return _address(self.settings, text, where)

    def safe(self, name: str) -> Address:
        for one in self.configuration.safes:
            if one.policy.name == name and one.policy.chain_id == self.settings.network.chain_id:
                return one.policy.safe
        raise InputError(f"no Safe of this chain is named {name[:60]!r}", "--safe", "add it under [[safes]]")

    def key(self, name: str) -> Address:
        for one in self.configuration.signers:
            if one.name == name:
                return one.address()
        known = ", ".join(one.name for one in self.configuration.signers)
        raise InputError(f"there is no signer {name[:60]!r}", "accounts", f"use one of {known}")

    def look(self, keys: Sequence[Address], templates: Sequence[bytes] = ()) -> FactoryView:
        async def look() -> FactoryView:
            from seawall.rollout.deployment.accounts import look_at_accounts

            async with reading(self.settings) as client:
                return await look_at_accounts(client, self.factory, keys, templates)

        return asyncio.run(look())

    def propose(self, safe: str, target: Address, calls: Sequence[bytes], note: str) -> int:
        from seawall.primitives.units import address_text, hex_text
        from seawall.runtime.commands import Command, ask

        said = [{"to": address_text(target), "value_wei": "0", "data": hex_text(call)} for call in calls]
        socket, body = self.configuration.kernel.socket_file, {"safe": safe, "calls": said, "note": note}
        answer = ask(socket, Command("safe_propose", who=operator(), body=body))
        if answer is None:
            raise UnavailableError("no kernel listens here", str(socket), "start it with `seawall run`")
        number = answer["number"]
        assert isinstance(number, int), "a proposal has a number"
        return number


def _record(settings: ChainSettings, name: str, account: Address) -> str | None:
    """In the project's address book, with its code; None where it has none."""
    if settings.book_file is None:
        return None

    async def code() -> bytes:
        async with reading(settings) as client:
            return await client.code_at(account, (await client.head()).hash)

    from seawall.chain.addresses import AddressEntry, AddressKind
    from seawall.native import keccak256

    source = "contracts/src/PositionAccount.sol:PositionAccount"
    chain_id, code_hash = settings.network.chain_id, keccak256(asyncio.run(code()))
    settings.book.put(AddressEntry(chain_id, name, account, AddressKind.EXECUTOR, source, code_hash))
    settings.book.write(settings.book_file)
    return name


def _view(settings: ChainSettings, names: dict[Address, str], one: PlacedAccount) -> dict[str, Json]:
    from seawall.primitives.units import address_text

    state = "made" if one.is_made else "allotted" if one.template is not None else "no account"
    policy = None
    if one.template is not None:
        entry = settings.book.find(one.template.policy)
        policy = address_text(one.template.policy) if entry is None else f"@{entry.name}"
    return {
        "operator": names[one.operator],
        "account": None if one.address is None else address_text(one.address),
        "state": state,
        "policy": policy,
        "health_floor": None if one.health_floor_wad is None else _floor(one.health_floor_wad),
    }


def _floor(wad: int) -> str:
    """Of 18 decimals; zero is none."""
    whole, part = divmod(wad, 10**_FLOOR_DECIMALS)
    return f"{whole}.{part:0{_FLOOR_DECIMALS}}".rstrip("0").rstrip(".") if wad else "none"


def _address(settings: ChainSettings, text: str, where: str) -> Address:
    from seawall.runtime.configuration.names import address_of

    return address_of(text, where, settings.book)
