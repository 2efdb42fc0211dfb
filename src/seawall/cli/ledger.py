"""`seawall ledger migrate|downgrade|restored`: the database's schema, both ways, and what a restore asks
for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from seawall.cli.options import DEFAULT_CONFIG, ConfigOption, ReasonOption, load, operator
from seawall.cli.output import JsonOption, print_json, print_line, progress

__all__ = ["application"]

_SQLITE: Final = "sqlite:///"

application = typer.Typer(help="The ledger's database.", rich_markup_mode=None)


@application.command()
def migrate(
    path: ConfigOption = DEFAULT_CONFIG,
    revision: Annotated[str, typer.Option(help="Up to this revision.")] = "head",
    json: JsonOption = False,
) -> None:
    """Bring the schema up to date; makes the database of SQLite if there is none. No kernel may run."""
    from seawall.ledger import migrate as migration

    url = load(path).kernel.ledger_url
    file = Path(url.removeprefix(_SQLITE)) if url.startswith(_SQLITE) else None
    created = file is not None and not file.exists()
    with progress("migrating the ledger", quiet=json):
        if created:
            assert file is not None
            file.parent.mkdir(parents=True, exist_ok=True)
            migration.create(url)
        if not created or revision != "head":
            migration.migrate(url, revision)
    _done(revision, "the ledger was made" if created else "the ledger is", created=created, as_json=json)


@application.command()
def downgrade(
    revision: Annotated[str, typer.Argument(help="Down to this revision; `base` leaves nothing.")],
    path: ConfigOption = DEFAULT_CONFIG,
    json: JsonOption = False,
) -> None:
    """Take the schema down, for an older version of seawall. No kernel may run; make a backup first."""
    from seawall.ledger import migrate as migration

    with progress("migrating the ledger", quiet=json):
        migration.downgrade(load(path).kernel.ledger_url, revision)
    _done(revision, "the ledger is", created=False, as_json=json)


@application.command()
def restored(reason: ReasonOption, path: ConfigOption = DEFAULT_CONFIG, json: JsonOption = False) -> None:
    """Say that the database was restored from a backup: before any kernel is started on it. Every lane is
    quarantined until its nonces and plans were compared with the chain (`seawall lanes release`)."""
    from seawall.ledger.restored import mark_restored
    from seawall.primitives.identifiers import Lane
    from seawall.primitives.ports import SystemClock, SystemEntropy

    configuration = load(path)
    addresses = [signer.address() for signer in configuration.signers]
    own = {Lane(chain.network.chain_id, one) for chain in configuration.chains for one in addresses}
    url = configuration.kernel.ledger_url
    lanes = mark_restored(url, own, reason, operator(), clock=SystemClock(), entropy=SystemEntropy())
    if json:
        print_json({"quarantined": [str(lane) for lane in lanes]})
    else:
        print_line(f"a new epoch was drawn, and {len(lanes)} lanes are quarantined: `seawall lanes list`")


def _done(revision: str, text: str, *, created: bool, as_json: bool) -> None:
    if as_json:
        print_json({"revision": revision, "created": created})
    else:
        print_line(f"{text} at revision {revision}")
