"""A key of this machine: an encrypted keystore, opened into native memory.

Flow: the file is read at once (its address is in the clear), `unlock` derives and decrypts on a thread of its
own while the rest of the program starts, and from then on the key is a native handle that signs. Python never
holds the key, and the password only where a store of secrets had to be asked for it. The keystore may be kept
in such a store too; then it is fetched at `unlock`, and its address is known from the configuration.

Assumes that whoever can read this user's files and memory has won already. One derivation takes the memory
that its keystore demands (256 MiB at n = 2^18), so only `UNLOCKS_AT_ONCE_MAX` run at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from seawall.native.wire import DynamicFeeTransaction, LocalKey, Password, SignedTransaction
from seawall.primitives.errors import (
    ConfigError,
    InputError,
    NativeError,
    SignerAnswerError,
    SignerError,
    SignerUnavailableError,
)
from seawall.primitives.ports import Offload, ThreadOffload
from seawall.primitives.secrets import SecretPlace
from seawall.primitives.units import Address, Hash, address_from_text, address_text

__all__ = [
    "DURABLE_COST",
    "KEYSTORE_BYTES_MAX",
    "SIGNED_INLINE_MAX",
    "THROWAWAY_COST",
    "UNLOCKS_AT_ONCE_MAX",
    "LocalSigner",
    "PasswordSource",
    "ScryptCost",
    "create_keystore",
    "write_keystore",
]

KEYSTORE_BYTES_MAX: Final = 16 * 1024
UNLOCKS_AT_ONCE_MAX: Final = 2
# A signature takes some 30 us: a batch this small is not worth a change of thread.
SIGNED_INLINE_MAX: Final = 16


@dataclass(frozen=True, slots=True)
class ScryptCost:
    """Cost of guessing a password: n (a power of two) and r give memory, p repeats."""

    n: int
    r: int
    p: int


DURABLE_COST: Final = ScryptCost(n=2**18, r=8, p=1)
"""About a second and 256 MiB for each guess."""
THROWAWAY_COST: Final = ScryptCost(n=4_096, r=8, p=6)
"""For keys of local test chains only: opens in milliseconds, and so does an attack."""

_turns = threading.BoundedSemaphore(UNLOCKS_AT_ONCE_MAX)


@dataclass(frozen=True, slots=True)
class PasswordSource:
    """Where a password is, never the password: exactly one of a file and a variable of the environment."""

    file: Path | None = None
    environment: str | None = None

    def __post_init__(self) -> None:
        if (self.file is None) == (self.environment is None):
            raise InputError(
                "a password has exactly one source",
                "password",
                "name either a file or an environment variable",
            )

    def open(self) -> Password:
        """A native handle on the password; `KeystoreError` where there is none."""
        if self.file is not None:
            return Password.from_file(self.file)
        assert self.environment is not None
        return Password.from_env(self.environment)


@dataclass(slots=True)
class LocalSigner:
    """`open` reads the keystore, `unlock` opens it. A signer belongs to one event loop."""

    name: str
    address: Address
    _keystore: bytes | SecretPlace = field(repr=False)
    _password: PasswordSource | SecretPlace | None = field(repr=False)
    _offload: Offload = field(repr=False, default_factory=ThreadOffload)
    _key: LocalKey | None = field(repr=False, default=None)
    trouble: str = ""

    @classmethod
    def open(cls, name: str, keystore: Path, password: PasswordSource | SecretPlace) -> LocalSigner:
        """A locked signer; `SignerError` if the file is not a keystore that names its address."""
        content = _read(name, keystore)
        return cls(name, _address_in(name, keystore, content), content, password)

    @classmethod
    def stored(
        cls, name: str, address: Address, keystore: SecretPlace, password: PasswordSource | SecretPlace
    ) -> LocalSigner:
        """A locked signer whose keystore is fetched when it is unlocked."""
        return cls(name, address, keystore, password)

    @classmethod
    def holding(cls, name: str, key: LocalKey, offload: Offload | None = None) -> LocalSigner:
        """A signer over a key that is open already."""
        return cls(name, Address(key.address), b"", None, offload or ThreadOffload(), key)

    @property
    def ready(self) -> bool:
        return self._key is not None

    @property
    def is_local(self) -> bool:
        return True

    async def unlock(self) -> None:
        """Open the keystore on a thread of its own; `SignerError` if it or its password is wrong."""
        if self._key is not None:
            return
        loop = asyncio.get_running_loop()
        opened: asyncio.Future[LocalKey] = loop.create_future()
        thread = threading.Thread(
            target=self._unlock_into, args=(loop, opened), name=f"unlock-{self.name}", daemon=True
        )
        thread.start()
        try:
            key = await opened
        except NativeError as error:
            raise self._told(SignerError(error.what, f"signers.{self.name}", error.fix)) from None
        except ConfigError as error:
            raise self._told(SignerUnavailableError(error.what, error.where, error.fix)) from None
        if key.address != self.address:
            key.wipe()
            what = (
                f"the keystore holds {address_text(Address(key.address))}, not {address_text(self.address)}"
            )
            fix = "correct address, or name the other keystore"
            raise self._told(SignerAnswerError(what, f"signers.{self.name}", fix))
        self._key = key
        self._keystore, self.trouble = b"", ""

    async def sign_transactions(
        self, transactions: Sequence[DynamicFeeTransaction]
    ) -> list[SignedTransaction]:
        key, batch = self.open_key(), list(transactions)
        if len(batch) <= SIGNED_INLINE_MAX:
            return key.sign_transactions(batch)
        return await self._offload(lambda: key.sign_transactions(batch))

    async def sign_digest(self, digest: Hash) -> bytes:
        return self.open_key().sign_digest(digest)

    async def close(self) -> None:
        """Wipe the key. Closing twice changes nothing."""
        if self._key is not None:
            self._key.wipe()
            self._key = None

    def open_key(self) -> LocalKey:
        """The native handle; `SignerError` while it is locked."""
        if self._key is None:
            raise SignerError(
                f"the key {address_text(self.address)} is locked",
                f"signers.{self.name}",
                "wait until it is unlocked",
            )
        return self._key

    def _told(self, error: SignerError) -> SignerError:
        self.trouble = str(error)
        return error

    def _unlock_into(self, loop: asyncio.AbstractEventLoop, opened: asyncio.Future[LocalKey]) -> None:
        assert self._password is not None
        failure: Exception | None = None
        key: LocalKey | None = None
        try:
            keystore = self._keystore
            content = keystore if isinstance(keystore, bytes) else keystore.read().reveal().encode()
            password = _password_of(self._password)
            with _turns:
                key = LocalKey.from_keystore(content, password)
        except Exception as error:  # noqa: BLE001  (whatever it is, the waiting side raises it)
            failure = error

        def deliver() -> None:
            if opened.done():
                if key is not None:
                    key.wipe()
            elif key is not None:
                opened.set_result(key)
            else:
                assert failure is not None
                opened.set_exception(failure)

        # A loop that is gone waits for nothing; the handle wipes itself.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(deliver)


def create_keystore(path: Path, password: Password, cost: ScryptCost) -> Address:
    """A fresh key, encrypted in a new file that only its owner can read; an existing file is never
    touched.
    """
    key = LocalKey.generate()
    try:
        write_keystore(path, key.to_keystore(password, n=cost.n, r=cost.r, p=cost.p))
        return Address(key.address)
    finally:
        key.wipe()


def write_keystore(path: Path, text: str) -> None:
    """An encrypted key in a new file that only its owner can read, on the disk when this returns."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SignerError(
            f"the keystore cannot be created: {error.strerror}",
            str(path),
            "choose a new file in an existing folder",
        ) from None
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _password_of(source: PasswordSource | SecretPlace) -> Password:
    return source.open() if isinstance(source, PasswordSource) else Password.from_text(source.read().reveal())


def _read(name: str, path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(KEYSTORE_BYTES_MAX + 1)
    except OSError as error:
        raise SignerError(
            f"the keystore {path} cannot be read: {error.strerror}",
            f"signers.{name}.keystore",
            "give an existing file of this user, or make one with `seawall init`",
        ) from None
    if len(content) > KEYSTORE_BYTES_MAX:
        raise SignerError(
            f"{path} is larger than {KEYSTORE_BYTES_MAX} bytes",
            f"signers.{name}.keystore",
            "give a keystore file",
        )
    return content


def _address_in(name: str, path: Path, content: bytes) -> Address:
    """The address that the keystore names; decryption checks that it is the key's."""
    try:
        document: object = json.loads(content)
        named: object = document.get("address") if isinstance(document, dict) else None
        if isinstance(named, str):
            # Keystores leave out 0x and the checksum.
            return address_from_text("0x" + named.removeprefix("0x").lower())
    except (ValueError, RecursionError, NativeError):
        pass
    raise SignerError(
        f"{path} is not a version 3 keystore with an address",
        f"signers.{name}.keystore",
        "give a keystore file as `seawall init` or geth makes it",
    )
