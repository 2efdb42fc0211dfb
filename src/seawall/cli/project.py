"""`seawall init`, `config check`, `run`, `demo`: from an empty folder to a running kernel."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seawall.cli.options import DEFAULT_CONFIG, ConfigOption, load
from seawall.cli.output import Json, JsonOption, print_facts, print_json, print_line, progress
from seawall.primitives.errors import InputError
from seawall.runtime.places import CONFIGURATION_NAME

if TYPE_CHECKING:
    from seawall.runtime.configuration.settings import Configuration

__all__ = ["config", "register"]

config = typer.Typer(help="The configuration.", rich_markup_mode=None)


def register(application: typer.Typer) -> None:
    application.command()(init)
    application.command()(run)
    application.command()(demo)


def init(
    directory: Annotated[Path, typer.Argument(help="Where; made if it is not there.")] = Path(),
    insecure_fast_keystore: Annotated[
        bool, typer.Option("--insecure-fast-keystore", help="For throw-away keys of local test chains only.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Make a configuration, a new key in an encrypted keystore, and its password. Overwrites nothing."""
    from seawall.native.wire import Password
    from seawall.primitives.units import address_text
    from seawall.runtime.configuration.loading import render_template
    from seawall.signers.local import DURABLE_COST, THROWAWAY_COST, create_keystore

    keys = directory / "keys"
    keystore, password_file, target = (
        keys / "main.json",
        keys / "main.password",
        directory / CONFIGURATION_NAME,
    )
    for path in (target, keystore, password_file):
        if path.exists() or path.is_symlink():
            raise InputError(
                "there is a file already, and nothing is overwritten", str(path), "choose another directory"
            )
    try:
        keys.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"the directory cannot be made: {error.strerror}", str(keys), "choose another"
        ) from None
    password = Password.generate()
    password.write_file(password_file)
    with progress("encrypting the key", quiet=json):
        address = create_keystore(
            keystore, password, THROWAWAY_COST if insecure_fast_keystore else DURABLE_COST
        )
    _write_new(target, render_template(address))
    files = {"configuration": str(target), "keystore": str(keystore), "password": str(password_file)}
    if json:
        print_json({"address": address_text(address), **files, "throwaway": insecure_fast_keystore})
        return
    print_facts({"address": address_text(address), **files})
    if insecure_fast_keystore:
        print_line("\nThis keystore is cheap to break: never send anything of value to its address.")
    print_line(
        "\nBack up the keystore and its password in two different places, then:\n"
        f"  1. edit {target}, and check it:  seawall config check -c {target}\n"
        f"  2. make the ledger:  seawall ledger migrate -c {target}\n"
        f"  3. start:  seawall run -c {target}"
    )


@config.command()
def check(path: ConfigOption = DEFAULT_CONFIG, json: JsonOption = False) -> None:
    """Read the configuration, its keystores' addresses and its strategies' classes; connect to nothing."""
    summary = _checked(load(path))
    if json:
        print_json(summary)
        return
    print_line(f"{path} is usable.")
    for section in ("chains", "signers", "strategies"):
        entries = summary[section]
        assert isinstance(entries, list)
        for entry in entries:
            print_line(f"  {section}: " + ", ".join(f"{name} {value}" for name, value in entry.items()))


def run(path: ConfigOption = DEFAULT_CONFIG) -> int:
    """Run the kernel until it is told to stop (Ctrl-C or SIGTERM)."""
    from seawall.runtime import kernel

    return kernel.main(path)


def demo(
    keep: Annotated[
        Path | None,
        typer.Option("--keep", help="A new folder: all files stay there, and the local chain goes on."),
    ] = None,
    json: JsonOption = False,
) -> int:
    """Show the main job on a local chain, and account for every plan."""
    from seawall.rollout import demo as rollout_demo

    return rollout_demo.main(json, keep=keep)


def _checked(configuration: Configuration) -> dict[str, Json]:
    from seawall.primitives.frames import StrategySpec
    from seawall.primitives.units import address_text
    from seawall.strategies.loading import load_strategy

    addresses = {signer.name: signer.address() for signer in configuration.signers}
    for strategy in configuration.strategies:
        settings = strategy.settings_json(addresses[strategy.signer])
        load_strategy(StrategySpec(strategy.name, strategy.path, settings))
    return {
        "configuration": str(configuration.file),
        "chains": [
            {
                "chain_id": chain.network.chain_id,
                "name": chain.network.name,
                "rpc": ", ".join(endpoint.label for endpoint in chain.rpc),
                "send": ", ".join(endpoint.label for endpoint in chain.send),
            }
            for chain in configuration.chains
        ],
        "signers": [{"name": name, "address": address_text(address)} for name, address in addresses.items()],
        "strategies": [
            {
                "name": s.name,
                "class": s.path,
                "chain_id": s.chain_id,
                "signer": s.signer,
                "mode": s.mode.value,
            }
            for s in configuration.strategies
        ],
    }


def _write_new(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
