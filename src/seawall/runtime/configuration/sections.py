"""The sections of the configuration (chains: `chain_sections`), one function each: a checked table becomes
the settings of one room.

Relative paths are relative to the configuration's folder. Secrets are never inline: passwords are named by
place, and only addresses of endpoints and of the database may hold `${PLACE}` (see `secrets`). An address may
be written as `@name`, which the chain's address book knows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Final

from seawall.chain.addresses import AddressBook
from seawall.control.permit import PERMIT_S
from seawall.primitives.errors import ConfigError
from seawall.primitives.units import Address, address_text
from seawall.runtime.configuration.names import (
    CHAIN_ID_MAX,
    DAY_S,
    address_of,
    is_loopback,
    listed,
    refuse_variable,
)
from seawall.runtime.configuration.secrets import SecretReader
from seawall.runtime.configuration.settings import (
    OWN_BOOK,
    OWN_KEY,
    KernelSettings,
    Mode,
    StrategySettings,
    SubmitterSettings,
)
from seawall.runtime.configuration.tables import Table
from seawall.runtime.hosts.settings import SHARED_HOST, HostSettings
from seawall.runtime.places import DATA_NAME
from seawall.strategies.scripts.settings import SCRIPT_BYTES_MAX, SCRIPT_CLASS, script_settings
from seawall.telemetry.logs import LEVELS, LogSettings

__all__ = [
    "HOST_KEYS",
    "KERNEL_KEYS",
    "LOG_KEYS",
    "STRATEGY_KEYS",
    "SUBMITTER_KEYS",
    "read_hosts",
    "read_kernel",
    "read_logs",
    "read_strategy",
    "read_submitter",
]

_SQLITE: Final = "sqlite:///"
# How long lanes stay a dead kernel's: on PostgreSQL others wait for them, on SQLite nobody does.
_FLEET_LEASE_S: Final = 3
_LONE_LEASE_S: Final = 30
_LEASE_MARGIN_S: Final = 0.5
_CLASS_PATH: Final = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")

KERNEL_KEYS: Final = ("data", "ledger", "listen", "lease_ttl_s")


def read_kernel(table: Table, folder: Path, secrets: SecretReader) -> KernelSettings:
    data = folder / table.text("data", DATA_NAME)
    ledger = secrets.expanded(table.text("ledger", f"{_SQLITE}{data / 'ledger.db'}"), table.key("ledger"))
    if not ledger.startswith((_SQLITE, "postgresql+psycopg://")):
        raise ConfigError(
            "the address of a database that is not supported (not shown: it may hold a password)",
            table.key("ledger"),
            "write sqlite:///path or postgresql+psycopg://user@host/database",
        )
    if ledger.startswith(_SQLITE):
        ledger = f"{_SQLITE}{folder / ledger.removeprefix(_SQLITE)}"
    listen = table.text("listen", "127.0.0.1:9464")
    host, _, port = listen.rpartition(":")
    if not (port.isascii() and port.isdigit() and int(port) < 65_536 and is_loopback(host.strip("[]"))):
        raise ConfigError(
            f"{listen[:60]!r} is not a port of this machine",
            table.key("listen"),
            "write 127.0.0.1:port; for other machines put a proxy with authentication in front",
        )
    return KernelSettings(
        data=data,
        ledger_url=ledger,
        listen_host=host.strip("[]"),
        listen_port=int(port),
        lease_ttl_s=_lease_ttl_s(table, is_shared=not ledger.startswith(_SQLITE)),
    )


def _lease_ttl_s(table: Table, *, is_shared: bool) -> int:
    """Whoever takes a lane over must find the last holder's send permit at its end."""
    ttl_s = table.integer(
        "lease_ttl_s", _FLEET_LEASE_S if is_shared else _LONE_LEASE_S, minimum=1, maximum=3_600
    )
    if is_shared and ttl_s < PERMIT_S + _LEASE_MARGIN_S:
        raise ConfigError(
            f"a lease of {ttl_s} s may end before the send permit of {PERMIT_S:g} s of a kernel that died",
            table.key("lease_ttl_s"),
            f"write {_FLEET_LEASE_S} or more",
        )
    return ttl_s


LOG_KEYS: Final = ("level", "file", "file_bytes_max", "files_kept")


def read_logs(table: Table, folder: Path) -> LogSettings:
    standard = LogSettings()
    level = table.text("level", standard.level)
    if level not in LEVELS:
        raise ConfigError(
            f"{level[:40]!r} is not a log level", table.key("level"), f"use one of {', '.join(LEVELS)}"
        )
    return LogSettings(
        level=level,
        file=folder / table.text("file") if "file" in table else None,
        file_bytes_max=table.integer("file_bytes_max", standard.file_bytes_max, minimum=4_096, maximum=2**40),
        files_kept=table.integer("files_kept", standard.files_kept, minimum=0, maximum=100),
    )


_HOST_TIMES: Final = tuple(f.name for f in fields(HostSettings) if f.name.endswith("_s"))
HOST_KEYS: Final = (*_HOST_TIMES, "memory_bytes_max", "python_path")


def read_hosts(table: Table, folder: Path) -> HostSettings:
    standard = HostSettings()
    times = {
        name: table.seconds(name, getattr(standard, name), minimum=0.01, maximum=DAY_S)
        for name in _HOST_TIMES
    }
    memory = table.integer("memory_bytes_max", standard.memory_bytes_max, minimum=0, maximum=2**50)
    paths = tuple(str(folder / text) for text, _ in table.texts("python_path"))
    return HostSettings(**times, memory_bytes_max=memory, python_path=paths)


STRATEGY_KEYS: Final = ("name", "class", "file", "chain_id", "signer", "mode", "host", "settings")


def read_strategy(
    table: Table,
    books: Mapping[int, AddressBook],
    signers: frozenset[str],
    folder: Path,
    executors: Mapping[int, Address | None],
) -> StrategySettings:
    """A class, or a file (`strategies.scripts`), whose settings are its variables."""
    if "file" in table and "class" in table:
        raise ConfigError("a strategy is a class or a file", table.key("file"), "leave one of them out")
    path = SCRIPT_CLASS if "file" in table else table.text("class")
    if not _CLASS_PATH.fullmatch(path):
        raise ConfigError(
            f"{path[:60]!r} is not package.module:Class",
            table.key("class"),
            "write for example my.module:MyStrategy",
        )
    chain_id = _known_chain(table, books)
    signer = _known_signer(table.text("signer"), table.key("signer"), signers)
    settings = table.mapping("settings")
    for own in ("chain_id", "key"):
        if own in settings:
            raise ConfigError(
                "the strategy is given this from its chain and signer",
                table.key(f"settings.{own}"),
                "leave it out",
            )
    resolved = {
        key: _resolved(value, table.key(f"settings.{key}"), books[chain_id])
        for key, value in settings.items()
    }
    if "file" in table:
        resolved = _of_file(table, folder, books[chain_id], executors[chain_id], resolved)
    return StrategySettings(
        name=table.name("name"),
        path=path,
        chain_id=chain_id,
        signer=signer,
        mode=table.choice("mode", Mode),
        host=table.text("host", SHARED_HOST),
        settings=resolved,
    )


def _of_file(
    table: Table, folder: Path, book: AddressBook, executor: Address | None, variables: Mapping[str, object]
) -> dict[str, object]:
    """What a strategy file's class is given: a host reads no files, so text and address book go along."""
    file = table.text("file")
    try:
        with (folder / file).open("rb") as stream:
            content = stream.read(SCRIPT_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(
            f"the strategy file cannot be read: {error.strerror}", table.key("file"), "correct the path"
        ) from None
    if len(content) > SCRIPT_BYTES_MAX:
        raise ConfigError(f"larger than {SCRIPT_BYTES_MAX} bytes", table.key("file"), "split the strategy")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise ConfigError("the file is not UTF-8 text", table.key("file"), "save it as UTF-8") from None
    address = None if executor is None else address_text(executor)
    return script_settings(file, text, book.to_json(), address, variables)


def _known_chain(table: Table, books: Mapping[int, AddressBook]) -> int:
    chain_id = table.integer("chain_id", minimum=1, maximum=CHAIN_ID_MAX)
    if chain_id not in books:
        raise ConfigError(
            f"chain {chain_id} is not configured",
            table.key("chain_id"),
            f"add it under [[chains]]; there: {listed(books)}",
        )
    return chain_id


def _known_signer(name: str, where: str, signers: frozenset[str]) -> str:
    if name not in signers:
        raise ConfigError(
            f"there is no signer {name[:60]!r}", where, f"add it under [[signers]]; there: {listed(signers)}"
        )
    return name


SUBMITTER_KEYS: Final = ("name", "chain_id", "signers")


def read_submitter(
    table: Table, books: Mapping[int, AddressBook], signers: frozenset[str]
) -> SubmitterSettings:
    named = table.texts("signers", at_least=1)
    return SubmitterSettings(
        name=table.name("name"),
        chain_id=_known_chain(table, books),
        signers=tuple(_known_signer(name, where, signers) for name, where in named),
    )


def _resolved(value: object, where: str, book: AddressBook) -> object:
    """Plain data for JSON, with `@name` replaced by the address of that name, and `@book` by all of them."""
    if value == OWN_BOOK:
        return book.to_json()
    if isinstance(value, str):
        refuse_variable(value, where)
        named = value.startswith("@") and value != OWN_KEY
        return address_text(address_of(value, where, book)) if named else value
    if isinstance(value, list):
        return [_resolved(item, f"{where}[{place}]", book) for place, item in enumerate(value)]
    if isinstance(value, dict):
        return {key: _resolved(item, f"{where}.{key}", book) for key, item in value.items()}
    if isinstance(value, bool | int):
        return value
    raise ConfigError(
        f"a {type(value).__name__} cannot be a setting",
        where,
        "use texts, whole numbers, true, false, lists, tables",
    )
