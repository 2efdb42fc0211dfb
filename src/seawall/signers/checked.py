"""The one door between the kernel and keys that are kept elsewhere.

Flow: `unlock` asks what holds the key whose key it is, and refuses any but the configured address. To sign,
digest and content go to the remote; what comes back is brought to r and s, the low s is taken (or demanded,
of programs that promise it), the parity is found by recovering, and only what recovers to our address over
our own digest becomes a transaction. Every call ends within `timeout_s`; one that is throttled is repeated
within it. As many calls run at once as the remote takes, and the first that fails ends the others.

Assumes nothing of the remote: it may hang, lie, answer for another key or for another transaction. Each such
answer is a typed error before anything is stored or sent, and says nothing of secrets.

Absent on purpose: queues and order between calls (a lane asks for what it needs), and any notion of which
kind the remote is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias, TypeVar

from seawall.native.wire import (
    DynamicFeeTransaction,
    SignedTransaction,
    complete_signature,
    decode_transaction,
    seal_transaction,
    signature_of,
    signing_digest,
)
from seawall.primitives.errors import (
    ConfigError,
    NativeError,
    SignerAnswerError,
    SignerBusyError,
    SignerError,
    SignerUnavailableError,
)
from seawall.primitives.ports import Clock, SystemClock
from seawall.primitives.secrets import Secret, SecretPlace
from seawall.primitives.units import Address, Hash, address_text
from seawall.signers.threads import OwnThreads

__all__ = [
    "BUSY_PAUSE_S",
    "BUSY_TRIES_MAX",
    "CALL_TIMEOUT_S",
    "HALF_ORDER",
    "Answer",
    "CheckedSigner",
    "EthereumSignature",
    "PlainSignature",
    "RawAnswer",
    "Remote",
    "SigningRequest",
    "read_secret",
]

CALL_TIMEOUT_S: Final = 10.0
BUSY_TRIES_MAX: Final = 5
BUSY_PAUSE_S: Final = 0.1  # doubled with each try
# Half of the curve's order: a signature with a larger s has a twin that nodes refuse (EIP-2).
HALF_ORDER: Final = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0

T = TypeVar("T")
E = TypeVar("E", bound=SignerError)


@dataclass(frozen=True, slots=True)
class SigningRequest:
    """What is to be signed. `transaction` is None for a bare digest."""

    digest: Hash
    transaction: DynamicFeeTransaction | None = None


@dataclass(frozen=True, slots=True)
class PlainSignature:
    """r and s, 32 bytes each, of a signer that knows ECDSA and nothing of Ethereum: s may be high."""

    compact: bytes


@dataclass(frozen=True, slots=True)
class EthereumSignature:
    """r, s and y parity (0 or 1), 65 bytes, of a signer that promises a low s."""

    signature: bytes


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """A whole signed transaction."""

    raw: bytes


Answer: TypeAlias = PlainSignature | EthereumSignature | RawAnswer


class Remote(Protocol):
    """One key kept elsewhere. Its own errors are `SignerError`s; whatever it answers is checked here."""

    @property
    def place(self) -> str:
        """Where the key is, for a person: without secrets."""
        ...

    @property
    def per_call_max(self) -> int:
        """How many requests one call may carry."""
        ...

    @property
    def calls_at_once_max(self) -> int: ...

    async def open(self) -> Sequence[Address] | None:
        """Connect, and the addresses that it would sign for; None, where it cannot tell."""
        ...

    async def sign(self, requests: Sequence[SigningRequest]) -> Sequence[Answer]:
        """One answer to each of at most `per_call_max` requests, in order."""
        ...

    async def close(self) -> None: ...


@dataclass(slots=True)
class CheckedSigner:
    """Fulfils `KernelSigner` over a `Remote`."""

    name: str
    address: Address
    remote: Remote = field(repr=False)
    timeout_s: float = CALL_TIMEOUT_S
    clock: Clock = field(repr=False, default_factory=SystemClock)
    ready: bool = False
    trouble: str = ""

    @property
    def is_local(self) -> bool:
        return False

    async def unlock(self) -> None:
        if self.ready:
            return
        held = await self._asked("opening", self.remote.open)
        if held is not None and self.address not in held:
            shown = ", ".join(address_text(one) for one in held[:3]) or "no key"
            raise self._told(
                SignerAnswerError(
                    f"{self.remote.place} holds {shown}, not {address_text(self.address)}",
                    f"signers.{self.name}",
                    "correct address, or name the other key",
                )
            )
        self.ready = True

    async def sign_transactions(
        self, transactions: Sequence[DynamicFeeTransaction]
    ) -> list[SignedTransaction]:
        requests = [SigningRequest(Hash(signing_digest(one)), one) for one in transactions]
        answers = await self._answers(requests)
        sealed = []
        for one, request, answer in zip(transactions, requests, answers, strict=True):
            compact = self._compact(request, answer)
            try:
                sealed.append(seal_transaction(one, compact, self.address))
            except NativeError as error:
                raise self._wrong(error.what) from None
        return sealed

    async def sign_digest(self, digest: Hash) -> bytes:
        request = SigningRequest(digest)
        (answer,) = await self._answers([request])
        try:
            return complete_signature(digest, self._compact(request, answer), self.address)
        except NativeError as error:
            raise self._wrong(error.what) from None

    async def close(self) -> None:
        self.ready = False
        await self.remote.close()

    # ------------------------------------------------------------------ asking

    async def _answers(self, requests: Sequence[SigningRequest]) -> Sequence[Answer]:
        if not self.ready:
            raise SignerUnavailableError(
                f"{self.remote.place} is not open yet", f"signers.{self.name}", "wait until it is"
            )
        size = self.remote.per_call_max
        turns = asyncio.Semaphore(self.remote.calls_at_once_max)
        parts = [requests[start : start + size] for start in range(0, len(requests), size)]
        calls = [asyncio.ensure_future(self._called(part, turns)) for part in parts]
        try:
            answered = await asyncio.gather(*calls)
        finally:
            for call in calls:
                call.cancel()
        return [answer for part in answered for answer in part]

    async def _called(self, part: Sequence[SigningRequest], turns: asyncio.Semaphore) -> Sequence[Answer]:
        async with turns:
            answers = await self._asked("signing", lambda: self.remote.sign(part))
        if len(answers) != len(part):
            raise self._wrong(f"{len(answers)} answers to {len(part)} requests")
        return answers

    async def _asked(self, what: str, call: Callable[[], Awaitable[T]]) -> T:
        """The answer within the time that one call has, throttling and its pauses included."""
        try:
            async with asyncio.timeout(self.timeout_s):
                answer = await self._until_not_busy(call)
        except TimeoutError:
            raise self._told(
                SignerUnavailableError(
                    f"{what} at {self.remote.place} took more than {self.timeout_s:g} s",
                    f"signers.{self.name}",
                    "look whether it hangs, or raise timeout_s",
                )
            ) from None
        except SignerError as error:
            placed = type(error)(error.what, error.where or f"signers.{self.name}", error.fix)
            raise self._told(placed) from None
        self.trouble = ""
        return answer

    async def _until_not_busy(self, call: Callable[[], Awaitable[T]]) -> T:
        pause_s = BUSY_PAUSE_S
        for _ in range(BUSY_TRIES_MAX - 1):
            try:
                return await call()
            except SignerBusyError:
                await self.clock.sleep_s(pause_s)
                pause_s *= 2
        return await call()

    # ------------------------------------------------------------------ checking

    def _compact(self, request: SigningRequest, answer: Answer) -> bytes:
        """r and s of an answer, whatever its form; whose they are is checked where they are used."""
        if isinstance(answer, PlainSignature):
            return answer.compact
        if isinstance(answer, RawAnswer):
            signature = self._taken_out(request, answer.raw)
        else:
            signature = answer.signature
        if len(signature) != 65:
            raise self._wrong(f"a signature of {len(signature)} bytes, not 65")
        if int.from_bytes(signature[32:64]) > HALF_ORDER:
            raise self._wrong("a signature with a high s, which nodes refuse")
        try:
            complete = complete_signature(request.digest, signature[:64], self.address)
        except NativeError as error:
            raise self._wrong(error.what) from None
        if complete != signature:
            raise self._wrong("a signature with the wrong parity")
        return signature[:64]

    def _taken_out(self, request: SigningRequest, raw: bytes) -> bytes:
        """The signature of a raw transaction, if that is the one that was asked for."""
        try:
            decoded = decode_transaction(raw)
            signature = signature_of(raw)
        except NativeError as error:
            raise self._wrong(error.what) from None
        if request.transaction is None or decoded.fields != request.transaction:
            changed = [
                name
                for name in DynamicFeeTransaction._fields
                if getattr(decoded.fields, name) != getattr(request.transaction, name, None)
            ]
            raise self._wrong(f"another transaction than it was asked to sign: {', '.join(changed)}")
        return signature

    def _wrong(self, what: str) -> SignerAnswerError:
        return self._told(
            SignerAnswerError(
                f"a wrong answer of {self.remote.place}: {what}",
                f"signers.{self.name}",
                "do not trust it until you know why; nothing was stored or sent",
            )
        )

    def _told(self, error: E) -> E:
        self.trouble = str(error)
        return error


async def read_secret(place: SecretPlace) -> Secret:
    """A secret that its store may take a while to give. That it is not there is a `SignerError`."""
    try:
        return await OwnThreads("read-secret").run(place.read)
    except ConfigError as error:
        raise SignerUnavailableError(error.what, error.where, error.fix) from None
