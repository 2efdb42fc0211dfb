"""A signer of each kind, from what the configuration says. Libraries are loaded here, and only those needed.

Each key kept elsewhere has a session, threads or a process of its own: what hangs one of them leaves the
others alone.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from seawall.primitives.errors import SignerError
from seawall.primitives.units import Address
from seawall.signers.base import KernelSigner
from seawall.signers.checked import CheckedSigner, Remote
from seawall.signers.kinds import (
    AwsKmsKey,
    ClefKey,
    GcpKmsKey,
    HttpAccess,
    KeyKind,
    KeystoreKey,
    RemoteKey,
    TokenKey,
    VaultKey,
)
from seawall.signers.local import LocalSigner

if TYPE_CHECKING:
    from seawall.signers.http import HttpPlace

__all__ = ["key_address", "open_signer"]


def key_address(name: str, key: KeyKind) -> Address:
    """Known without opening the key. `SignerError` for a keystore that cannot be read."""
    if isinstance(key, RemoteKey):
        return key.address
    return _local(name, key).address


def open_signer(name: str, key: KeyKind) -> KernelSigner:
    """A signer that is still locked, on the running loop."""
    if isinstance(key, KeystoreKey):
        return _local(name, key)
    return CheckedSigner(name, key.address, _remote(name, key), key.timeout_s)


def _local(name: str, key: KeystoreKey) -> LocalSigner:
    if isinstance(key.keystore, Path):
        return LocalSigner.open(name, key.keystore, key.password)
    assert key.address is not None
    return LocalSigner.stored(name, key.address, key.keystore, key.password)


def _remote(name: str, key: RemoteKey) -> Remote:
    reached = key.reached
    if isinstance(reached, TokenKey):
        from seawall.signers.pkcs11 import Pkcs11

        return Pkcs11(reached)
    if isinstance(reached, AwsKmsKey):
        from seawall.signers.aws_kms import AwsKms

        return AwsKms(reached, key.timeout_s)
    http = _http(name, reached.access, key.timeout_s)
    if isinstance(reached, GcpKmsKey):
        from seawall.signers.gcp_kms import GcpKms

        return GcpKms(http, reached.key_version, reached.credentials_file)
    if isinstance(reached, VaultKey):
        from seawall.signers.vault import Vault

        return Vault(http, reached.mount, reached.key_id, reached.login, reached.namespace)
    if isinstance(reached, ClefKey):
        from seawall.signers.clef import Clef
        from seawall.signers.json_rpc import JsonRpc

        return Clef(JsonRpc(http), key.address)
    from seawall.signers.web3signer import Web3Signer

    return Web3Signer(http, key.address, reached.method, reached.token)


def _http(name: str, access: HttpAccess, timeout_s: float) -> HttpPlace:
    import aiohttp

    from seawall.signers.http import CONNECTIONS_MAX, HttpPlace

    parts = urlsplit(access.url)
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX, ssl=_tls(name, access)),
        timeout=aiohttp.ClientTimeout(total=timeout_s),
        cookie_jar=aiohttp.DummyCookieJar(),
    )
    return HttpPlace(session, access.url, f"{parts.scheme}://{parts.netloc}")


def _tls(name: str, access: HttpAccess) -> ssl.SSLContext | bool:
    if access.ca_file is None and access.certificate_file is None:
        return True
    try:
        context = ssl.create_default_context(cafile=access.ca_file)
        if access.certificate_file is not None:
            context.load_cert_chain(access.certificate_file, access.key_file)
    except (OSError, ssl.SSLError) as error:
        raise SignerError(
            f"the files for TLS cannot be used ({type(error).__name__})",
            f"signers.{name}",
            "correct ca_file, certificate_file and key_file",
        ) from None
    return context
