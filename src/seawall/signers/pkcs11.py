"""A key in a hardware token, by PKCS#11: CKM_ECDSA over our digest, r and s back.

Flow: the vendor's library is loaded in a process of its own (`pkcs11_process`), which is given the PIN
through a pipe and asked through it. A call that takes too long ends that process; the next call starts
another and opens the token again. So a library that hangs or crashes harms its own lane and nothing else.

A refused PIN is never tried a second time, whoever asks: tokens lock themselves after a few.
"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from seawall.primitives.errors import (
    SignerAnswerError,
    SignerError,
    SignerRefusedError,
    SignerUnavailableError,
)
from seawall.primitives.units import Address
from seawall.signers.checked import Answer, PlainSignature, SigningRequest, read_secret
from seawall.signers.der import address_of_point
from seawall.signers.kinds import TokenKey

__all__ = ["SIGNED_AT_ONCE_MAX", "Pkcs11"]

# Small tokens sign five a second: so many are done well within the time of one call.
SIGNED_AT_ONCE_MAX: Final = 16
_LINE_BYTES_MAX: Final = 1024 * 1024
_PROGRAM: Final = Path(__file__).with_name("pkcs11_process.py")


@dataclass(frozen=True, slots=True)
class _Running:
    """The process that holds the library, and the socket by which it is asked."""

    process: subprocess.Popen[bytes]
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def start(cls) -> _Running:
        process, ours = _spawned()
        reader, writer = await asyncio.open_connection(sock=ours, limit=_LINE_BYTES_MAX)
        return cls(process, reader, writer)

    def end(self) -> None:
        """At once, whatever it does; it is not waited for here, because even so it may take a while."""
        self.writer.close()
        self.process.kill()
        threading.Thread(target=self.process.wait, name="token-process", daemon=True).start()


@dataclass(slots=True)
class Pkcs11:
    """Fulfils `Remote`."""

    key: TokenKey
    _running: _Running | None = field(repr=False, default=None)
    _turn: asyncio.Lock = field(repr=False, default_factory=asyncio.Lock)
    _refusal: SignerRefusedError | None = field(repr=False, default=None)

    @property
    def place(self) -> str:
        token = self.key.token_label if self.key.slot is None else f"in slot {self.key.slot}"
        return f"token {token}, key {self.key.key_label or self.key.key_id}"

    @property
    def per_call_max(self) -> int:
        return SIGNED_AT_ONCE_MAX

    @property
    def calls_at_once_max(self) -> int:
        return 1

    async def open(self) -> Sequence[Address] | None:
        async with self._turn:
            self._end()
            point = await self._started()
        return [address_of_point(point)] if point else None

    async def sign(self, requests: Sequence[SigningRequest]) -> Sequence[Answer]:
        digests = [request.digest.hex() for request in requests]
        async with self._turn:
            if self._running is None:
                await self._started()
            told = await self._told({"do": "sign", "digests": digests})
        return [PlainSignature(self._bytes(one)) for one in _listed(told.get("signatures"))]

    async def close(self) -> None:
        self._end()

    # ------------------------------------------------------------------ the process

    async def _started(self) -> bytes:
        """Start the process and open the token: the public point, if the token tells it."""
        if self._refusal is not None:
            raise self._refusal
        if self._running is None:
            self._running = await _Running.start()
        key = self.key
        pin = await read_secret(key.pin)
        request = {
            "do": "open",
            "module": str(key.module),
            "token_label": key.token_label,
            "slot": key.slot,
            "key_label": key.key_label,
            "key_id": key.key_id,
            "pin": pin.reveal(),
        }
        try:
            told = await self._told(request)
        except SignerError as error:
            if isinstance(error, SignerRefusedError):
                # Only a new start asks again: a token counts what it refuses.
                self._refusal = error
            self._end()
            raise
        return self._bytes(told.get("point"))

    async def _told(self, request: Mapping[str, object]) -> Mapping[str, object]:
        """The process's answer. Whoever stops waiting for it ends the process: it may hang for ever."""
        running = self._running
        assert running is not None
        told: object = None
        try:
            running.writer.write(json.dumps(request).encode() + b"\n")
            await running.writer.drain()
            told = json.loads(await running.reader.readline() or b"null")
        except (OSError, ValueError):
            pass
        except BaseException:
            self._end()
            raise
        if not isinstance(told, dict):
            self._end()
            raise self._ended()
        if "kind" in told:
            kind = SignerUnavailableError if told["kind"] == "away" else SignerRefusedError
            raise kind(f"{self.place}: {told['what']}", "", str(told["fix"]))
        return told

    def _end(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            running.end()

    def _ended(self) -> SignerUnavailableError:
        return SignerUnavailableError(
            f"{self.place}: the process of {self.key.module.name} ended", "", "look at the token's own log"
        )

    def _bytes(self, text: object) -> bytes:
        try:
            return bytes.fromhex(str(text))
        except ValueError:
            raise SignerAnswerError(f"{self.place} answered something that is not hex", "", "") from None


def _listed(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else ()


def _spawned() -> tuple[subprocess.Popen[bytes], socket.socket]:
    """The process, and our end of the socket that is its standard input."""
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(  # noqa: S603  (our own program)
            (sys.executable, "-I", str(_PROGRAM)),
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    return process, ours
