"""Hints of private transactions and bundles: MEV-Share's stream of server-sent events.

A hint is `{hash, logs, txs, mevGasPrice, gasUsed}`; each of `txs` shows what its sender allowed: target,
selector, calldata, sender, value, nonce, fees, any of them or none. The hash names the hint (it is not that
of the transaction). One hint becomes one sighting for each of its transactions, or one alone where only logs
are shown; the logs stand with the first.

Of the protocol of server-sent events only `data` counts here; comments keep the connection alive. Sizes are
bounded before anything is decoded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import aiohttp
import orjson

from seawall.chain import decoding
from seawall.chain.endpoints import Endpoint
from seawall.chain.pending import CALLDATA_BYTES_MAX, Heard, Listener, Remembered, Standing, kept_alive
from seawall.primitives.errors import EndpointError
from seawall.primitives.ports import Clock
from seawall.primitives.sightings import SightedLog, Sighting, SightingKind
from seawall.primitives.units import Address

__all__ = ["EVENT_BYTES_MAX", "EventLines", "HintStream", "sightings_of_hint"]

EVENT_BYTES_MAX: Final = 1024 * 1024
CONNECT_TIMEOUT_S: Final = 10.0
# The stream sends comments while there is nothing to tell.
SILENCE_S_MAX: Final = 90.0
TRANSACTIONS_MAX: Final = 64
LOGS_MAX: Final = 512
TOPICS_MAX: Final = 4
_NUMBER_MAX: Final = 2**64 - 1


class EventLines:
    """Bytes in, the data of whole events out. Lines may end in any of the three ways."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """Raises `EndpointError` if an event grows beyond `EVENT_BYTES_MAX`."""
        self._pending += chunk
        events = []
        while (line := self._line()) is not None:
            if line:
                self._take(line)
            elif self._data:
                events.append(b"\n".join(self._data))
                self._data, self._size = [], 0
        if len(self._pending) + self._size > EVENT_BYTES_MAX:
            raise EndpointError(
                f"an event over {EVENT_BYTES_MAX} bytes", "event stream", "check the address of the stream"
            )
        return events

    def _line(self) -> bytes | None:
        ends = [at for at in (self._pending.find(b"\n"), self._pending.find(b"\r")) if at >= 0]
        if not ends:
            return None
        end = min(ends)
        if self._pending[end] == 0x0D and end + 1 == len(self._pending):
            return None  # the other half of this end of line may be under way
        line = bytes(self._pending[:end])
        width = 2 if self._pending[end : end + 2] == b"\r\n" else 1
        del self._pending[: end + width]
        return line

    def _take(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        if name == b"data":
            part = value.removeprefix(b" ")
            self._data.append(part)
            self._size += len(part)


class HintStream:
    """One stream of hints."""

    def __init__(self, name: str, url: str, chain_id: int, tell: Listener, clock: Clock) -> None:
        self._name = name
        self._endpoint = Endpoint.parse(url)
        self._chain_id = chain_id
        self._tell = tell
        self._clock = clock
        self._known = Remembered()
        self._standing = Standing()

    @property
    def name(self) -> str:
        return self._name

    @property
    def standing(self) -> Standing:
        return self._standing

    async def run(self) -> None:
        await kept_alive(self._listen, self._standing, self._endpoint, self._clock)

    async def _listen(self) -> None:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=SILENCE_S_MAX)
        lines = EventLines()
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(
                self._endpoint.url,
                headers={"Accept": "text/event-stream", "Cache-Control": "no-cache"},
                allow_redirects=False,
            ) as response,
        ):
            if response.status != 200:
                raise EndpointError(
                    f"HTTP status {response.status}", self._endpoint.label, "check the stream's address"
                )
            self._standing.is_connected = True
            self._standing.opens += 1
            async for chunk in response.content.iter_any():
                for event in lines.feed(chunk):
                    self._hear(event)

    def _hear(self, event: bytes) -> None:
        try:
            sightings = sightings_of_hint(orjson.loads(event), self._name, self._chain_id)
        except (orjson.JSONDecodeError, EndpointError):
            self._standing.dropped += 1
            return
        at_s = self._clock.monotonic_s()
        if not self._known.is_new(sightings[0].hash):
            return
        for sighting in sightings:
            self._standing.heard += 1
            self._tell(Heard(sighting, at_s))


def sightings_of_hint(content: object, source: str, chain_id: int) -> list[Sighting]:
    """At least one. Raises `EndpointError` for what is no hint."""
    fields = decoding.mapping(content, "hint")
    name = decoding.digest(fields.get("hash"), "hint.hash")
    logs = tuple(_log(one) for one in _list(fields.get("logs"), "hint.logs", LOGS_MAX))
    shown = _list(fields.get("txs"), "hint.txs", TRANSACTIONS_MAX) or [{}]
    found = []
    for place, one in enumerate(decoding.mapping(item, "hint.txs") for item in shown):
        found.append(
            Sighting(
                chain_id=chain_id,
                kind=SightingKind.HINT,
                source=source,
                age_ms=0,
                hash=name,
                place=place,
                sender=_address(one, "from"),
                target=_address(one, "to"),
                calldata=_calldata(one),
                value_wei=_number(one, "value"),
                nonce=_number(one, "nonce", limit=_NUMBER_MAX),
                gas_limit=_number(one, "gas", limit=_NUMBER_MAX),
                max_fee_per_gas_wei=_number(one, "maxFeePerGas"),
                max_priority_fee_per_gas_wei=_number(one, "maxPriorityFeePerGas"),
                logs=logs if place == 0 else (),
            )
        )
    return found


def _list(value: object, where: str, limit: int) -> list[object]:
    return [] if value is None else decoding.array(value, where, limit=limit)


def _log(value: object) -> SightedLog:
    fields = decoding.mapping(value, "hint.logs")
    topics: Sequence[object] = _list(fields.get("topics"), "hint.logs.topics", TOPICS_MAX)
    data = fields.get("data")
    return SightedLog(
        decoding.address(fields.get("address"), "hint.logs.address"),
        tuple(decoding.digest(topic, "hint.logs.topics") for topic in topics),
        b"" if data is None else decoding.data(data, "hint.logs.data")[:CALLDATA_BYTES_MAX],
    )


def _address(fields: Mapping[str, object], name: str) -> Address | None:
    value = fields.get(name)
    return None if value in (None, "") else decoding.address(value, f"hint.txs.{name}")


def _number(fields: Mapping[str, object], name: str, *, limit: int = 2**256 - 1) -> int | None:
    value = fields.get(name)
    return None if value is None else decoding.quantity(value, f"hint.txs.{name}", limit=limit)


def _calldata(fields: Mapping[str, object]) -> bytes:
    for name in ("callData", "functionSelector"):
        value = fields.get(name)
        if value not in (None, "", "0x"):
            return decoding.data(value, f"hint.txs.{name}")[:CALLDATA_BYTES_MAX]
    return b""
