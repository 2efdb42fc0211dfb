"""What the configuration says of a key, by kind: where it is and how it is reached. Frozen, checked, light.

`opening` makes a signer of each. Nothing here imports what reaches a key: a kernel that signs from a keystore
loads no library of tokens or clouds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final, TypeAlias

from seawall.primitives.secrets import SecretPlace
from seawall.primitives.units import Address
from seawall.signers.local import PasswordSource

__all__ = [
    "GOOGLE_KMS_URL",
    "AwsKmsKey",
    "ClefKey",
    "GcpKmsKey",
    "HttpAccess",
    "KeyKind",
    "KeystoreKey",
    "RemoteKey",
    "SignerKind",
    "TokenKey",
    "VaultKey",
    "VaultLogin",
    "Web3SignerKey",
    "Web3SignerMethod",
]

GOOGLE_KMS_URL: Final = "https://cloudkms.googleapis.com"


class SignerKind(StrEnum):
    KEYSTORE = "keystore"
    PKCS11 = "pkcs11"
    AWS_KMS = "aws-kms"
    GCP_KMS = "gcp-kms"
    VAULT = "vault"
    WEB3SIGNER = "web3signer"
    CLEF = "clef"


@dataclass(frozen=True, slots=True)
class KeystoreKey:
    """A file, or a place of a secret; then `address` is set, because it cannot be read beforehand."""

    keystore: Path | SecretPlace
    password: PasswordSource | SecretPlace = field(repr=False)
    address: Address | None = None


@dataclass(frozen=True, slots=True)
class HttpAccess:
    """An address without user, query or slash at its end, and files for TLS."""

    url: str
    ca_file: Path | None = None
    certificate_file: Path | None = None  # ours, where the other side asks who we are
    key_file: Path | None = None


@dataclass(frozen=True, slots=True)
class TokenKey:
    """Which key of which token: that by its label or slot, the key by its label, its id (hex) or both."""

    module: Path
    token_label: str | None
    slot: int | None
    key_label: str | None
    key_id: str | None
    pin: SecretPlace = field(repr=False)


@dataclass(frozen=True, slots=True)
class AwsKmsKey:
    key_id: str
    region: str | None = None
    endpoint: str | None = None


@dataclass(frozen=True, slots=True)
class GcpKmsKey:
    key_version: str
    access: HttpAccess = HttpAccess(GOOGLE_KMS_URL)
    credentials_file: Path | None = None


@dataclass(frozen=True, slots=True)
class VaultLogin:
    """A token, or a role and its secret."""

    token: SecretPlace | None = field(repr=False, default=None)
    role_id: SecretPlace | None = field(repr=False, default=None)
    secret_id: SecretPlace | None = field(repr=False, default=None)


@dataclass(frozen=True, slots=True)
class VaultKey:
    access: HttpAccess
    mount: str
    key_id: str
    login: VaultLogin = field(repr=False)
    namespace: str = ""


class Web3SignerMethod(StrEnum):
    SIGN = "sign"
    SIGN_TRANSACTION = "eth_signTransaction"


@dataclass(frozen=True, slots=True)
class Web3SignerKey:
    access: HttpAccess
    method: Web3SignerMethod = Web3SignerMethod.SIGN
    token: SecretPlace | None = field(repr=False, default=None)


@dataclass(frozen=True, slots=True)
class ClefKey:
    access: HttpAccess


@dataclass(frozen=True, slots=True)
class RemoteKey:
    """A key kept elsewhere: its address, how long a call may take, and how it is reached."""

    address: Address
    timeout_s: float
    reached: TokenKey | AwsKmsKey | GcpKmsKey | VaultKey | Web3SignerKey | ClefKey


KeyKind: TypeAlias = KeystoreKey | RemoteKey
