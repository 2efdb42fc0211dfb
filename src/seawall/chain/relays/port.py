"""One port for all routes of a chain: public writes go to the send group, private ones to their relay.

Each relay has sender threads of its own, one per address, and a bounded time to answer: what hangs holds up
itself alone. A private write never goes to the public group, whatever its relay says, and where its relay is
not known any more it stays unsent."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from typing import Final

from seawall.chain.broadcast import BroadcastPort, SocketBroadcastPort
from seawall.chain.relays.form import RelayForm, is_too_large
from seawall.chain.writes import SignedWrite, Withdrawal, WriteAnswer, WriteResult
from seawall.control.latch import Latch
from seawall.control.permit import SendPermit
from seawall.primitives.ports import Clock

__all__ = ["RelayPort", "RoutedPort"]

_STREAMS: Final = 1


class RelayPort:
    """One relay."""

    def __init__(
        self,
        form: RelayForm,
        latch: Latch,
        *,
        clock: Clock,
        tls: ssl.SSLContext | None = None,
        permit: SendPermit | None = None,
    ) -> None:
        self._form = form
        self._port = SocketBroadcastPort(
            [endpoint.url for endpoint in form.settings.endpoints],
            latch,
            clock=clock,
            tls=tls,
            permit=permit,
            form=form,
            streams=_STREAMS,
            answer_timeout_s=form.settings.answer_timeout_s,
        )

    async def write(self, writes: Sequence[SignedWrite]) -> list[WriteResult]:
        fitting = [write for write in writes if not is_too_large(write)]
        results = {result.hash: result for result in await self._port.write(fitting)} if fitting else {}
        return [
            results.get(write.hash) or _unsent(write, "a bundle over what relays take") for write in writes
        ]

    async def withdraw(self, unwanted: Withdrawal) -> str:
        """Ask every address to forget it."""
        notices = [
            (endpoint, notice)
            for endpoint in self._port.endpoints
            if (notice := self._form.withdrawal(endpoint, unwanted)) is not None
        ]
        if not notices:
            return "this dialect has no way to withdraw"
        answers = await self._port.tell(notices)
        said = [
            self._form.withdrawn(endpoint, answer)
            for (endpoint, _), answer in zip(notices, answers, strict=True)
        ]
        return "; ".join(dict.fromkeys(said))

    async def close(self) -> None:
        await self._port.close()


class RoutedPort:
    """Fulfils `BroadcastPort` and `Withdrawer`."""

    def __init__(self, public: BroadcastPort, relays: Mapping[str, RelayPort]) -> None:
        self._public = public
        self._relays = dict(relays)

    async def write(self, writes: Sequence[SignedWrite]) -> list[WriteResult]:
        by_relay: dict[str | None, list[SignedWrite]] = {}
        for write in writes:
            by_relay.setdefault(write.terms.relay if write.terms else None, []).append(write)
        groups = await asyncio.gather(*(self._write(relay, several) for relay, several in by_relay.items()))
        results = {result.hash: result for group in groups for result in group}
        return [results[write.hash] for write in writes]

    async def withdraw(self, unwanted: Withdrawal) -> str:
        relay = self._relays.get(unwanted.relay)
        return "this relay is not configured any more" if relay is None else await relay.withdraw(unwanted)

    async def close(self) -> None:
        await asyncio.gather(self._public.close(), *(relay.close() for relay in self._relays.values()))

    async def _write(self, relay: str | None, writes: Sequence[SignedWrite]) -> list[WriteResult]:
        if relay is None:
            return await self._public.write(writes)
        port = self._relays.get(relay)
        if port is None:
            return [_unsent(write, f"relay {relay!r} is not configured any more") for write in writes]
        return await port.write(writes)


def _unsent(write: SignedWrite, message: str) -> WriteResult:
    return WriteResult(write.hash, WriteAnswer.UNSENT, message)
