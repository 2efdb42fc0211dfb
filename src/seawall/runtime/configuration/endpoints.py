"""The endpoints of a chain in the configuration: plain lists, or a table for each with its use and budgets.

`rpc = [...]` and `send = [...]` are the short form; `[[chains.endpoints]]` says more, and one excludes the
other. No message repeats an address, because it may hold a key.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from seawall.chain.endpoints import Endpoint
from seawall.chain.pool.settings import EndpointSettings, Use
from seawall.chain.rpc import ENDPOINTS_MAX
from seawall.primitives.errors import ConfigError
from seawall.runtime.configuration.tables import Table

__all__ = ["read_endpoints"]

_ENDPOINT_KEYS: Final = ("url", "use", "requests_per_s", "units_per_s", "weight", "units")
_REQUESTS_PER_S_MAX: Final = 1_000_000
_UNITS_PER_S_MAX: Final = 1_000_000_000
_UNITS_MAX: Final = 1_000_000
_WEIGHT_MAX: Final = 1_000
_METHOD: Final = re.compile(r"[a-z][a-z0-9]*_[A-Za-z0-9]+")

Parse = Callable[[str, str], Endpoint]
"""From an address as it is written, and its key, to the endpoint; `ConfigError` names the key."""


def read_endpoints(table: Table, parse: Parse) -> tuple[EndpointSettings, ...]:
    """The endpoints of one chain's table, at least one to read and one to send with."""
    if "endpoints" not in table:
        return _unique(_listed(table, parse), table.key("rpc"))
    for name in ("rpc", "send"):
        if name in table:
            raise ConfigError(
                f"endpoints are written both here and in [[{table.key('endpoints')}]]",
                table.key(name),
                f"write each once: leave {name} out and give its endpoints there a use",
            )
    endpoints = [_endpoint(each, parse) for each in table.tables("endpoints", _ENDPOINT_KEYS)]
    for purpose, serves in (("read", _reads), ("send", _sends)):
        if not any(map(serves, endpoints)):
            raise ConfigError(
                f"no endpoint is used to {purpose}",
                table.key("endpoints"),
                f'give one use = "{purpose}" or "both"',
            )
    return _unique(endpoints, table.key("endpoints"))


def _listed(table: Table, parse: Parse) -> list[EndpointSettings]:
    """The short form. Without `send` the endpoints of `rpc` serve both."""
    rpc = [parse(text, where) for text, where in table.texts("rpc", at_least=1)]
    send = [parse(text, where) for text, where in table.texts("send")]
    senders = {endpoint.url for endpoint in send} if send else {endpoint.url for endpoint in rpc}
    readers = {endpoint.url for endpoint in rpc}
    both = [EndpointSettings(e, Use.BOTH if e.url in senders else Use.READ) for e in rpc]
    return both + [EndpointSettings(e, Use.SEND) for e in send if e.url not in readers]


def _endpoint(table: Table, parse: Parse) -> EndpointSettings:
    return EndpointSettings(
        endpoint=parse(table.text("url"), table.key("url")),
        use=table.choice("use", Use, Use.BOTH),
        requests_per_s=table.integer("requests_per_s", 0, minimum=0, maximum=_REQUESTS_PER_S_MAX),
        units_per_s=table.integer("units_per_s", 0, minimum=0, maximum=_UNITS_PER_S_MAX),
        weight=table.integer("weight", 1, minimum=1, maximum=_WEIGHT_MAX),
        units=_units(table),
    )


def _units(table: Table) -> Mapping[str, int]:
    methods = tuple(table.mapping("units"))
    prices = table.table("units", methods)
    for method in methods:
        if not _METHOD.fullmatch(method):
            raise ConfigError(
                f"{method[:60]!r} is not a method of JSON-RPC",
                prices.key(method),
                "write for example eth_call = 26",
            )
    return {method: prices.integer(method, minimum=0, maximum=_UNITS_MAX) for method in methods}


def _unique(endpoints: list[EndpointSettings], where: str) -> tuple[EndpointSettings, ...]:
    """Each once: an endpoint that is there twice would agree with itself."""
    seen: set[str] = set()
    for place, settings in enumerate(endpoints):
        if settings.endpoint.url in seen:
            raise ConfigError(
                f"an address is there twice ({settings.endpoint.label})",
                f"{where}[{place}]",
                "give each once",
            )
        seen.add(settings.endpoint.url)
    if len(endpoints) > ENDPOINTS_MAX:
        raise ConfigError(f"{len(endpoints)} endpoints", where, f"give up to {ENDPOINTS_MAX}")
    return tuple(endpoints)


def _reads(settings: EndpointSettings) -> bool:
    return settings.use.reads


def _sends(settings: EndpointSettings) -> bool:
    return settings.use.sends
