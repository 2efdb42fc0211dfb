"""Names in the configuration that stand for something on a chain: addresses, tokens, decimals."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from seawall.chain.addresses import AddressBook
from seawall.primitives.errors import ConfigError, InputError, NativeError
from seawall.primitives.units import NATIVE, Address, address_from_text
from seawall.runtime.configuration.tables import Table

__all__ = [
    "CHAIN_ID_MAX",
    "DAY_S",
    "DECIMALS_MAX",
    "GWEI_DECIMALS",
    "NATIVE_DECIMALS",
    "RETIREMENT",
    "address_of",
    "decimals_of",
    "is_loopback",
    "listed",
    "refuse_variable",
    "secure_address",
    "token_of",
]

CHAIN_ID_MAX: Final = 2**63 - 1
DAY_S: Final = 86_400
GWEI_DECIMALS: Final = 9
NATIVE_DECIMALS: Final = 18
DECIMALS_MAX: Final = 77
_PLACE: Final = re.compile(r"\$\{[^{}]*\}")
# The name under which the kernel's own plans of a key's rotation stand; no strategy may have it.
RETIREMENT: Final = "retirement"
# How a token's place names the chain's own token.
_NATIVE_NAME: Final = "native"


def address_of(text: str, where: str, book: AddressBook) -> Address:
    """An address, or `@name` of the chain's address book."""
    refuse_variable(text, where)
    try:
        return book.address(text[1:]) if text.startswith("@") else address_from_text(text)
    except (InputError, NativeError) as error:
        raise ConfigError(error.what, where, error.fix) from None


def refuse_variable(text: str, where: str) -> None:
    if _PLACE.search(text):
        raise ConfigError(
            "secrets and variables are only for addresses of endpoints and of the database",
            where,
            "write the value itself",
        )


def token_of(text: str, where: str, book: AddressBook) -> Address:
    """A token's address, its name in the book, or `native`."""
    return NATIVE if text == _NATIVE_NAME else address_of(text, where, book)


def decimals_of(position: Table, token: Address, book: AddressBook) -> int:
    entry = book.find(token)
    known = NATIVE_DECIMALS if token == NATIVE else entry.decimals if entry is not None else None
    if "decimals" not in position and known is None:
        raise ConfigError(
            "the token's decimals are not known",
            position.key("decimals"),
            "add them, or the token to the address book",
        )
    decimals = position.integer("decimals", known, minimum=0, maximum=DECIMALS_MAX)
    if known is not None and decimals != known:
        raise ConfigError(
            f"the address book says {known} decimals",
            position.key("decimals"),
            "correct one, or leave this key out",
        )
    return decimals


def listed(names: Iterable[object]) -> str:
    return ", ".join(str(name) for name in sorted(names, key=str)) or "none"


def secure_address(table: Table, name: str, what: str) -> str:
    """Where a secret or a digest is sent: https, or http to this machine, and nothing in it that may be a
    secret itself. `what` is there, as the refusal says.
    """
    text = table.text(name)
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
        is_text = text.isascii() and text.isprintable() and " " not in text
        is_plain = is_text and parts.username is None and parts.port != 0 and not {"?", "#"} & set(text)
        is_safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
    except ValueError:
        host, is_plain, is_safe = "", False, False
    if not (host and is_plain and is_safe):
        raise ConfigError(
            f"this is not the address of {what} (not shown: it may hold a secret)",
            table.key(name),
            "write https://host[:port] without user, query or fragment; http only to this machine",
        )
    return text


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
