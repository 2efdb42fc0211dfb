"""The broadcast port: the only place from which signed bytes leave, under the latch, by sockets of its own.

Flow: `write` hands a batch to one sender thread per endpoint (all of them: fan-out) of its stream
(`chain.sending`), which looks at latch, permit and validity before every `send()`. A write is accepted if any
endpoint accepts it, and answered as soon as one did; the other threads go on with it. It is rejected only if
every endpoint that answered proved that it has not taken it. What they say falsely (known already, a used
nonce, a replacement that is too cheap beside one that was taken) is understood in `chain.node_errors`.

Network trouble is a result, never an exception. Holds no nonce, verdict or ledger: whoever calls has
committed these bytes already.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from itertools import chain
from typing import Final, Protocol

from seawall.chain.endpoints import Endpoint
from seawall.chain.sending import ANSWER_TIMEOUT_S, Sender
from seawall.chain.writes import (
    RawForm,
    Request,
    SignedWrite,
    WireForm,
    WriteAnswer,
    WriteResult,
    stronger,
)
from seawall.control.latch import Latch
from seawall.control.permit import SendPermit
from seawall.primitives.errors import ConfigError
from seawall.primitives.ports import Clock

__all__ = ["STREAMS", "BroadcastPort", "SignedWrite", "SocketBroadcastPort", "WriteAnswer", "WriteResult"]

WRITES_PER_REQUEST_MAX: Final = 100
# Connections to each endpoint: while one request is answered, the next of another stream is on its way.
STREAMS: Final = 2
URLS_MAX: Final = 8

_SETTLED: Final = frozenset({WriteAnswer.ACCEPTED, WriteAnswer.KNOWN})


class BroadcastPort(Protocol):
    async def write(self, writes: Sequence[SignedWrite]) -> list[WriteResult]:
        """Results in the order of `writes`, which are of one stream."""
        ...

    async def close(self) -> None: ...


class SocketBroadcastPort:
    """Writes to every endpoint given; a write is accepted if any of them accepts it."""

    def __init__(
        self,
        urls: Sequence[str],
        latch: Latch,
        *,
        clock: Clock,
        tls: ssl.SSLContext | None = None,
        permit: SendPermit | None = None,
        form: WireForm | None = None,
        streams: int = STREAMS,
        answer_timeout_s: float = ANSWER_TIMEOUT_S,
    ) -> None:
        """`permit` is the fleet's, and looked at with the latch; None where there is no fleet. `form` is how
        these endpoints are spoken to: `eth_sendRawTransaction` where nothing else is said."""
        endpoints = [Endpoint.parse(url) for url in urls]
        if not 0 < len(endpoints) <= URLS_MAX:
            raise ConfigError(
                f"{len(endpoints)} send endpoints", "broadcast", f"give 1 to {URLS_MAX} addresses"
            )
        if tls is None and any(endpoint.scheme == "https" for endpoint in endpoints):
            tls = ssl.create_default_context()
        spoken = form or RawForm()
        self._senders = [
            [Sender(e, spoken, latch, clock, tls, permit, answer_timeout_s) for e in endpoints]
            for _ in range(streams)
        ]

    async def write(self, writes: Sequence[SignedWrite]) -> list[WriteResult]:
        results: list[WriteResult] = []
        for start in range(0, len(writes), WRITES_PER_REQUEST_MAX):
            results += await self._write(writes[start : start + WRITES_PER_REQUEST_MAX])
        return results

    async def tell(self, notices: Sequence[tuple[Endpoint, Request]]) -> list[tuple[int, bytes] | str]:
        """Send requests that hold no signed bytes, each to its endpoint; answers, or why there are none."""
        senders = {sender.endpoint: sender for sender in self._senders[0]}
        waiting = [asyncio.wrap_future(senders[endpoint].tell(notice)) for endpoint, notice in notices]
        return list(await asyncio.gather(*waiting))

    @property
    def endpoints(self) -> list[Endpoint]:
        return [sender.endpoint for sender in self._senders[0]]

    async def close(self) -> None:
        """End the sender threads; writes still queued come back unsent."""
        for sender in chain.from_iterable(self._senders):
            sender.end()
        await asyncio.to_thread(self._join)

    async def _write(self, writes: Sequence[SignedWrite]) -> list[WriteResult]:
        senders = self._senders[writes[0].stream % len(self._senders)]
        waiting = {asyncio.wrap_future(sender.submit(writes)) for sender in senders}
        best: list[WriteResult] | None = None
        while waiting:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for future in done:
                best = future.result() if best is None else list(map(stronger, best, future.result()))
            if best is not None and all(result.answer in _SETTLED for result in best):
                break
        assert best is not None
        return best

    def _join(self) -> None:
        for sender in chain.from_iterable(self._senders):
            sender.join()
