"""The configuration of private routes: the relays of a chain, and what goes to them.

`[[chains.relays]]` says who the relays are, the preferred one first; `[chains.private]` says whose lanes they
serve, above which amounts a plan goes there, and for how many blocks it is tried. Without relays everything
is public."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

from seawall.chain.addresses import AddressBook
from seawall.chain.broadcast import URLS_MAX
from seawall.chain.endpoints import Endpoint
from seawall.chain.relays.dialects import DIALECTS, require_spoken
from seawall.chain.relays.settings import ANSWER_TIMEOUT_S, Dialect, RelaySettings
from seawall.primitives.errors import ConfigError
from seawall.primitives.routes import WINDOW_BLOCKS_MAX
from seawall.primitives.secrets import SecretPlace
from seawall.primitives.units import BPS, NATIVE, Address
from seawall.runtime.configuration.names import NATIVE_DECIMALS, decimals_of, listed, token_of
from seawall.runtime.configuration.secrets import SecretReader
from seawall.runtime.configuration.tables import Table
from seawall.signers.local import PasswordSource
from seawall.transactions.routes import PUBLIC, RoutePolicy

__all__ = ["PRIVATE_KEYS", "PrivateSettings", "RelayAccess", "read_private", "read_relays", "require_signers"]

RELAYS_MAX: Final = 8
BUILDERS_MAX: Final = 32
ANSWER_TIMEOUT_S_MAX: Final = 30.0
_STANDARD: Final = RoutePolicy()
_THRESHOLD: Final = 10 * 10**NATIVE_DECIMALS
_RELAY_KEYS: Final = (
    "name",
    "dialect",
    "urls",
    "send",
    "keystore",
    "password_file",
    "password_environment",
    "authorization",
    "builders",
    "answer_timeout_s",
)
PRIVATE_KEYS: Final = ("signers", "lanes", "window_blocks", "success_bps_min", "above")
_ABOVE_KEYS: Final = ("token", "amount", "decimals")

Parse = Callable[[str, str], Endpoint]


class _Send(StrEnum):
    BUNDLE = "bundle"
    TRANSACTION = "transaction"


class _Lanes(StrEnum):
    SEPARATE = "separate"
    MIXED = "mixed"


@dataclass(frozen=True, slots=True)
class RelayAccess:
    """A relay, and the key that signs what it is sent. Without a keystore a key is drawn at each start."""

    relay: RelaySettings
    keystore: Path | None = None
    password: PasswordSource | None = field(default=None, repr=False)
    authorization: SecretPlace | None = None  # value of the header of that name


@dataclass(frozen=True, slots=True)
class PrivateSettings:
    """What goes to relays."""

    signers: tuple[str, ...] = ()
    is_mixed: bool = False
    window_blocks: int = _STANDARD.window_blocks
    success_bps_min: int = _STANDARD.success_bps_min
    thresholds: Mapping[Address, int] = field(default_factory=dict)


def read_relays(table: Table, folder: Path, secrets: SecretReader, parse: Parse) -> tuple[RelayAccess, ...]:
    tables = table.tables("relays", _RELAY_KEYS)
    if len(tables) > RELAYS_MAX:
        raise ConfigError(f"{len(tables)} relays", table.key("relays"), f"give up to {RELAYS_MAX}")
    relays = tuple(_relay(each, folder, secrets, parse) for each in tables)
    names = [each.relay.name for each in relays]
    for place, name in enumerate(names):
        if name in names[:place] or name == PUBLIC:
            raise ConfigError(
                f"{name!r} is taken", f"{table.key('relays')}[{place}].name", "give each relay its own name"
            )
    return relays


def _relay(table: Table, folder: Path, secrets: SecretReader, parse: Parse) -> RelayAccess:
    dialect = table.choice("dialect", Dialect)
    standard = _Send.TRANSACTION if DIALECTS[dialect].bundle is None else _Send.BUNDLE
    is_bundle = table.choice("send", _Send, standard) is _Send.BUNDLE
    require_spoken(dialect, is_bundle=is_bundle, where=table.key("send"))
    urls = table.texts("urls", at_least=1)
    builders = tuple(text for text, _ in table.texts("builders"))
    if len(urls) > URLS_MAX or len(builders) > BUILDERS_MAX:
        raise ConfigError(
            f"{len(urls)} addresses and {len(builders)} builders",
            table.where,
            f"give up to {URLS_MAX} addresses and {BUILDERS_MAX} builders",
        )
    authorization = None
    if "authorization" in table:
        authorization = secrets.place(table.text("authorization"), table.key("authorization"))
    relay = RelaySettings(
        name=table.name("name"),
        dialect=dialect,
        endpoints=tuple(parse(text, where) for text, where in urls),
        is_bundle=is_bundle,
        builders=builders,
        answer_timeout_s=table.seconds(
            "answer_timeout_s", ANSWER_TIMEOUT_S, minimum=0.1, maximum=ANSWER_TIMEOUT_S_MAX
        ),
    )
    return RelayAccess(relay, *_identity(table, folder, dialect), authorization)


def _identity(table: Table, folder: Path, dialect: Dialect) -> tuple[Path | None, PasswordSource | None]:
    given = [name for name in ("password_file", "password_environment") if name in table]
    if "keystore" not in table:
        if given:
            raise ConfigError("a password without its keystore", table.key(given[0]), "name the keystore too")
        return None, None
    if not DIALECTS[dialect].is_signed:
        raise ConfigError(f"{dialect} wants no signature", table.key("keystore"), "leave it out")
    if len(given) != 1:
        raise ConfigError(
            "a password has exactly one source",
            table.where,
            "name either password_file or password_environment",
        )
    if given == ["password_file"]:
        password = PasswordSource(file=folder / table.text("password_file"))
    else:
        password = PasswordSource(environment=table.text("password_environment"))
    return folder / table.text("keystore"), password


def read_private(table: Table, relays: Collection[RelayAccess], book: AddressBook) -> PrivateSettings:
    """What is said under `[chains.private]`; with relays, what is native and worth over 10 goes privately
    unless it says otherwise."""
    private = table.table("private", PRIVATE_KEYS)
    if not relays:
        if "private" in table:
            raise ConfigError("there are no relays", table.key("private"), "add [[chains.relays]]")
        return PrivateSettings()
    signers = tuple(text for text, _ in private.texts("signers"))
    is_mixed = private.choice("lanes", _Lanes, _Lanes.SEPARATE) is _Lanes.MIXED
    if not signers and not is_mixed:
        raise ConfigError(
            "no lane is kept for private traffic",
            private.key("signers"),
            'name the signers whose lanes are, or write lanes = "mixed"',
        )
    thresholds: dict[Address, int] = {} if "above" in private else {NATIVE: _THRESHOLD}
    for above in private.tables("above", _ABOVE_KEYS):
        token = token_of(above.text("token"), above.key("token"), book)
        if token in thresholds:
            raise ConfigError("this token is there twice", above.key("token"), "give one amount a token")
        thresholds[token] = above.amount("amount", decimals_of(above, token, book))
    return PrivateSettings(
        signers=signers,
        is_mixed=is_mixed,
        window_blocks=private.integer(
            "window_blocks", _STANDARD.window_blocks, minimum=1, maximum=WINDOW_BLOCKS_MAX
        ),
        success_bps_min=private.integer("success_bps_min", _STANDARD.success_bps_min, minimum=0, maximum=BPS),
        thresholds=thresholds,
    )


def require_signers(private: PrivateSettings, where: str, known: Collection[str]) -> None:
    """`ConfigError` for a signer that is not configured."""
    for place, name in enumerate(private.signers):
        if name not in known:
            raise ConfigError(
                f"there is no signer {name[:60]!r}",
                f"{where}.private.signers[{place}]",
                f"add it under [[signers]]; there: {listed(known)}",
            )
