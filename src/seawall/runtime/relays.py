"""Opens a chain's relays: their identities, their ports, and the rule by which attempts go there."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace

from seawall.chain.broadcast import BroadcastPort
from seawall.chain.relays.dialects import DIALECTS
from seawall.chain.relays.form import RelayForm
from seawall.chain.relays.identity import RelayIdentity
from seawall.chain.relays.port import RelayPort, RoutedPort
from seawall.control.latch import Latch
from seawall.control.permit import SendPermit
from seawall.native.wire import LocalKey
from seawall.primitives.errors import ConfigError, NativeError, SignerError
from seawall.primitives.ports import Clock
from seawall.primitives.secrets import Secret
from seawall.primitives.units import Address, address_text
from seawall.runtime.configuration.relays import PrivateSettings, RelayAccess
from seawall.telemetry.logs import get_logger
from seawall.telemetry.metrics import Metrics
from seawall.transactions.routes import RelayRoute, RoutePolicy, Routes

__all__ = ["open_routed", "routes_of"]

_log = get_logger(__name__)


async def open_routed(
    public: BroadcastPort,
    relays: tuple[RelayAccess, ...],
    latch: Latch,
    clock: Clock,
    permit: SendPermit | None,
    stack: AsyncExitStack,
    signers: Collection[Address] = (),
) -> RoutedPort:
    """The port of all routes; it closes with `stack`, and so do the keys. `public` is closed with it. A key
    of `signers` is nobody's identity: it would sign what no verdict has seen."""
    ports = {}
    for access in relays:
        identity = await _identity(access, stack)
        if identity is not None and identity.address in signers:
            raise SignerError(
                f"{address_text(identity.address)} is a signer's key, and would sign without a verdict",
                f"relay {access.relay.name}",
                "give the relay a keystore of its own, without funds",
            )
        form = RelayForm(replace(access.relay, authorization=_authorization(access)), identity)
        ports[access.relay.name] = RelayPort(form, latch, clock=clock, permit=permit)
    routed = RoutedPort(public, ports)
    stack.push_async_callback(routed.close)
    return routed


def routes_of(
    relays: tuple[RelayAccess, ...],
    private: PrivateSettings,
    wrapped_native: Address | None,
    keys: Mapping[str, Address],
    metrics: Metrics,
) -> Routes:
    """By what rule attempts go to these relays; `keys` are the signers' addresses by name."""
    policy = RoutePolicy(
        relays=tuple(RelayRoute(each.relay.name, each.relay.is_bundle) for each in relays),
        thresholds=private.thresholds,
        wrapped_native=wrapped_native,
        private_keys=frozenset(keys[name] for name in private.signers),
        is_mixed=private.is_mixed,
        window_blocks=private.window_blocks,
        success_bps_min=private.success_bps_min,
    )
    return Routes(policy, metrics)


async def _identity(access: RelayAccess, stack: AsyncExitStack) -> RelayIdentity | None:
    if not DIALECTS[access.relay.dialect].is_signed:
        return None
    key = LocalKey.generate() if access.keystore is None else await asyncio.to_thread(_opened, access)
    stack.callback(key.wipe)
    address = Address(key.address)
    _log.info(
        "relay_identity",
        relay=access.relay.name,
        address=address_text(address),
        drawn=access.keystore is None,
    )
    return RelayIdentity(address, key.sign_digest)


def _authorization(access: RelayAccess) -> Secret | None:
    if access.authorization is None:
        return None
    secret = access.authorization.read()
    if not all(" " <= character <= "~" for character in secret.reveal()):
        where = access.authorization.where
        raise ConfigError("this cannot stand in a header (not shown)", where, "store it as one line of ASCII")
    return secret


def _opened(access: RelayAccess) -> LocalKey:
    assert access.keystore is not None
    assert access.password is not None
    where = f"relay {access.relay.name}"
    try:
        content = access.keystore.read_bytes()
    except OSError as error:
        raise SignerError(
            f"the keystore cannot be read: {error.strerror}", where, "give an existing keystore"
        ) from None
    try:
        return LocalKey.from_keystore(content, access.password.open())
    except NativeError as error:
        raise SignerError(error.what, where, error.fix) from None
