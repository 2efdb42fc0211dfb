"""Endpoint addresses: parsed strictly, and shown without the secrets that providers put in them.

A provider's key sits in the path, the query, or before the host. So only scheme, host and port of an
address are ever shown, and `scrub` takes the rest out of texts that came from elsewhere (an endpoint may
echo what it was asked).
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit

from seawall.primitives.errors import ConfigError

__all__ = ["MESSAGE_CHARS_MAX", "Endpoint"]

# Texts of an endpoint are cut to this before they enter an error or a row.
MESSAGE_CHARS_MAX: Final = 300
_SECRET_CHARS_MIN: Final = 6
_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address. `url` is secret; `label` may be shown."""

    url: str = field(repr=False)
    scheme: str
    host: str
    port: int
    target: str = field(repr=False)  # path and query, as they go into a request line
    credentials: str = field(repr=False)  # value of the Authorization header, or empty

    @staticmethod
    def parse(url: str, *, schemes: tuple[str, ...] = ("http", "https")) -> Endpoint:
        """Parse `url`, or raise `ConfigError`, which never repeats it."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        host = parts.hostname
        printable = all(" " < character <= "~" for character in url)
        if parts.scheme not in schemes or not host or not printable or parts.fragment:
            raise ConfigError(
                "an endpoint's address cannot be used (not shown: it may hold a key)",
                "rpc",
                f"write {' or '.join(schemes)}://host[:port][/path]",
            )
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        credentials = ""
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            credentials = "Basic " + base64.b64encode(pair.encode()).decode()
        return Endpoint(url, parts.scheme, host, port or _PORTS[parts.scheme], target, credentials)

    @property
    def label(self) -> str:
        """Scheme, host and port: all that may be shown."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    def scrub(self, text: str) -> str:
        """`text` without this endpoint's secrets, on one line, cut to `MESSAGE_CHARS_MAX`."""
        parts = urlsplit(self.url)
        secrets = {
            self.url,
            self.target,
            self.target.lstrip("/"),
            parts.query,
            parts.username,
            parts.password,
        }
        secrets |= set(parts.path.split("/")) | {value.partition("=")[2] for value in parts.query.split("&")}
        for secret in sorted(
            (s for s in secrets if s and len(s) >= _SECRET_CHARS_MIN), key=len, reverse=True
        ):
            text = text.replace(secret, "***")
        line = "".join(character if character.isprintable() else " " for character in text)
        return line if len(line) <= MESSAGE_CHARS_MAX else line[: MESSAGE_CHARS_MAX - 3] + "..."
