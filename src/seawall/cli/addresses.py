"""`seawall addresses list|verify|record`: the address book, held against the chain.

    list     what the book says, with each entry's source
    verify   code, implementations and known calls at one block; exit code 1 where something differs
    record   adopt what the chain has: hashes not recorded yet, or of the entries that are named

The book is the chain's `address_book` of the configuration; without one it is the book that ships with
Seawall. `record` writes the project's own book, and adds what the shipped one has beside it.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seawall.cli.chains import ChainOption, chain_named, reading
from seawall.cli.options import DEFAULT_CONFIG, ConfigOption, load
from seawall.cli.output import EXIT_FAILED, Json, JsonOption, print_json, print_line, print_table
from seawall.primitives.errors import InputError

if TYPE_CHECKING:
    from seawall.chain.addresses import AddressBook, AddressEntry
    from seawall.runtime.configuration.settings import ChainSettings
    from seawall.runtime.drift import Survey

__all__ = ["application"]

application = typer.Typer(help="The address book, held against the chain.", rich_markup_mode=None)


@application.command("list")
def list_entries(
    chain: ChainOption = None,
    kind: Annotated[str | None, typer.Option("--kind", "-k", help="Only entries of this kind.")] = None,
    path: ConfigOption = DEFAULT_CONFIG,
    json: JsonOption = False,
) -> None:
    """Every contract by name, with where its address comes from."""
    book = chain_named(load(path), chain).book
    entries = [entry for entry in book if kind in (None, entry.kind.value)]
    if json:
        print_json({"chain_id": book.chain_id, "contracts": [_view(entry) for entry in entries]})
        return
    print_table(
        ("name", "address", "kind", "code", "source"),
        [
            (
                row["name"],
                row["address"],
                f"{row['kind']}, {row['token_class']}" if row["token_class"] else row["kind"],
                "recorded" if row["code_hash"] else "unknown yet",
                row["source"],
            )
            for row in map(_view, entries)
        ],
        "The address book is empty.",
    )


@application.command("verify")
def verify(chain: ChainOption = None, path: ConfigOption = DEFAULT_CONFIG, json: JsonOption = False) -> int:
    """Compare every entry with the chain, at one block; exit code 1 where something differs."""
    settings = chain_named(load(path), chain)
    found = asyncio.run(_survey(settings, settings.book))
    if json:
        print_json(
            {
                "chain_id": settings.network.chain_id,
                "block": found.block.number,
                "block_hash": "0x" + found.block.hash.hex(),
                "contracts": len(settings.book),
                "drift": [_drift_view(found, place) for place in range(len(found.drifts))],
                "unrecorded": list(found.unrecorded),
            }
        )
    else:
        _print_survey(settings, found)
    return 0 if found.is_clean else EXIT_FAILED


@application.command("record")
def record(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="Entries whose change is right; else what is unknown yet."),
    ] = None,
    chain: ChainOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The project's book; default: `address_book`.")
    ] = None,
    path: ConfigOption = DEFAULT_CONFIG,
    json: JsonOption = False,
) -> None:
    """Adopt what the chain has now, after you have looked at it."""
    from seawall.chain.books import published_book
    from seawall.runtime.drift import recorded

    settings = chain_named(load(path), chain)
    target = out or settings.book_file
    if target is None:
        raise InputError(
            "this chain has no address book of its own yet",
            "record",
            "give --out addresses.json, and name that file as address_book of the chain",
        )
    book = _joined(settings.book, published_book(settings.network.chain_id))
    for name in names or ():
        book[name]  # an unknown name is refused, with those that are known
    found = asyncio.run(_survey(settings, book))
    adopted = recorded(book, found, tuple(names or ()))
    before = {entry.name: entry for entry in settings.book}
    changed = [entry.name for entry in adopted if entry != before.get(entry.name)]
    adopted.write(target)
    if json:
        print_json({"book": str(target), "block": found.block.number, "recorded": changed})
        return
    print_line(f"{target}: {len(changed)} of {len(adopted)} entries recorded at block {found.block.number}")
    for name in changed:
        print_line(f"  {name}")


async def _survey(settings: ChainSettings, book: AddressBook) -> Survey:
    from seawall.runtime.drift import survey

    async with reading(settings) as client:
        return await survey(client, book, await client.head())


def _joined(book: AddressBook, published: AddressBook) -> AddressBook:
    """The project's own entries, and those of the shipped book that it does not have."""
    from seawall.chain.addresses import AddressBook

    own = {entry.address for entry in book}
    more = [entry for entry in published if entry.name not in book and entry.address not in own]
    return AddressBook(book.chain_id, [*book, *more])


def _view(entry: AddressEntry) -> dict[str, Json]:
    from seawall.primitives.units import address_text, hex_text

    return {
        "name": entry.name,
        "address": address_text(entry.address),
        "kind": entry.kind.value,
        "token_class": None if entry.token_class is None else entry.token_class.value,
        "symbol": entry.symbol,
        "decimals": entry.decimals,
        "source": entry.source,
        "code_hash": None if entry.code_hash is None else hex_text(entry.code_hash),
        "implementation": None if entry.implementation is None else address_text(entry.implementation),
    }


def _drift_view(found: Survey, place: int) -> dict[str, Json]:
    from seawall.primitives.units import address_text

    drift = found.drifts[place]
    return {
        "name": drift.name,
        "address": address_text(drift.address),
        "kind": drift.kind.value,
        "finding": drift.text,
    }


def _print_survey(settings: ChainSettings, found: Survey) -> None:
    where = f"block {found.block.number} of {settings.network.name}"
    if found.unrecorded:
        print_line(f"{len(found.unrecorded)} not recorded yet: {', '.join(found.unrecorded)}")
        print_line("  look at them, then `seawall addresses record`\n")
    print_table(
        ("name", "drift", "finding"),
        [(drift.name, drift.kind.value, drift.text) for drift in found.drifts],
        f"{len(settings.book)} contracts are what the book says, at {where}.",
    )
    if found.drifts:
        print_line(
            f"{len(found.drifts)} findings at {where}. Where one is right: `seawall addresses record NAME`"
        )
