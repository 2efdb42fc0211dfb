"""The order that a sequencer has decided: the feed of Arbitrum's stack, over WebSocket.

A message is `{version, messages: [{sequenceNumber, message: {message: {header: {kind, ...}, l2Msg}}}]}`; of
kind 3, `l2Msg` (base64) holds transactions of users: a signed one (4), or a batch (3) of further messages,
each behind its length of 8 bytes, nested a bounded number of times. Other kinds (deposits, retryables from
the layer below, reports) tell no transaction of the pool and are passed over.

Sequence numbers tell what was missed; after a reconnect the server is asked to go on from the next one. The
server's chain id, if it tells one, must be ours. That the sequencer signed it is not checked: like every
sighting it proves nothing.

Source of the format: Nitro's broadcaster and its parsing of incoming messages.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import Final

import aiohttp
import orjson

from seawall.chain import decoding
from seawall.chain.endpoints import Endpoint
from seawall.chain.pending import CALLDATA_BYTES_MAX, Heard, Listener, Standing, kept_alive
from seawall.chain.pending_raw import raw_transaction
from seawall.chain.subscriptions import CLOSE_TIMEOUT_S
from seawall.primitives.errors import ChainIdMismatchError, EndpointError, InputError
from seawall.primitives.ports import Clock
from seawall.primitives.sightings import Sighting, SightingKind

__all__ = ["SequencerFeed", "transactions_in"]

MESSAGE_BYTES_MAX: Final = 16 * 1024 * 1024
MESSAGES_MAX: Final = 10_000
CONNECT_TIMEOUT_S: Final = 10.0
HEARTBEAT_S: Final = 15.0
SILENCE_S_MAX: Final = 60.0
BATCH_DEPTH_MAX: Final = 16
TRANSACTIONS_MAX: Final = 10_000
_VERSION: Final = 1
_USERS: Final = 3  # the header's kind
_BATCH: Final = 3
_SIGNED: Final = 4
_LENGTH_BYTES: Final = 8
_DEFLATE_BITS: Final = 15
_CLIENT_VERSION: Final = "2"
_REQUESTED: Final = "Arbitrum-Requested-Sequence-Number"
_CHAIN_ID: Final = "Arbitrum-Chain-Id"


class SequencerFeed:
    """One sequencer's feed, or a relay of it."""

    def __init__(self, name: str, url: str, chain_id: int, tell: Listener, clock: Clock) -> None:
        self._name = name
        self._endpoint = Endpoint.parse(url, schemes=("ws", "wss"))
        self._chain_id = chain_id
        self._tell = tell
        self._clock = clock
        self._next: int | None = None  # sequence number
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
        headers = {"Arbitrum-Feed-Client-Version": _CLIENT_VERSION}
        if self._next is not None:
            headers[_REQUESTED] = str(self._next)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S)
        told: list[str | None] = []

        async def note(_session: object, _context: object, answer: aiohttp.TraceRequestEndParams) -> None:
            told.append(answer.response.headers.get(_CHAIN_ID))

        trace = aiohttp.TraceConfig()
        trace.on_request_end.append(note)
        async with (
            aiohttp.ClientSession(timeout=timeout, trace_configs=[trace]) as session,
            session.ws_connect(
                self._endpoint.url,
                headers=headers,
                heartbeat=HEARTBEAT_S,
                max_msg_size=MESSAGE_BYTES_MAX,
                compress=_DEFLATE_BITS,
                timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_TIMEOUT_S),
            ) as socket,
        ):
            self._require_chain(told[-1] if told else None)
            self._standing.is_connected = True
            self._standing.opens += 1
            while True:
                message = await socket.receive(SILENCE_S_MAX)
                if message.type is aiohttp.WSMsgType.TEXT or message.type is aiohttp.WSMsgType.BINARY:
                    self._hear(orjson.loads(message.data))
                elif message.type in (
                    aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED,
                    aiohttp.WSMsgType.ERROR,
                ):  # fmt: skip
                    return

    def _hear(self, content: object) -> None:
        fields = decoding.mapping(content, "feed")
        if fields.get("version") != _VERSION:
            raise EndpointError("a feed of another version", self._endpoint.label, "use a feed of version 1")
        at_s = self._clock.monotonic_s()
        messages = fields.get("messages")
        for one in [] if messages is None else decoding.array(messages, "feed.messages", limit=MESSAGES_MAX):
            try:
                self._take(one, at_s)
            except EndpointError:
                self._standing.dropped += 1

    def _take(self, content: object, at_s: float) -> None:
        entry = decoding.mapping(content, "feed.messages")
        number: object = entry.get("sequenceNumber")
        if type(number) is not int or number < 0:
            raise EndpointError("a message without its number", "feed", "it is passed over")
        if self._next is not None and number != self._next:
            if number < self._next:
                return  # told again
            self._standing.gaps += 1
        self._next = number + 1
        outer = decoding.mapping(entry.get("message"), "feed.message")
        inner = decoding.mapping(outer.get("message"), "feed.message.message")
        header = decoding.mapping(inner.get("header"), "feed.header")
        if header.get("kind") != _USERS:
            return
        try:
            payload = base64.b64decode(decoding.text(inner.get("l2Msg"), "feed.l2Msg"), validate=True)
        except binascii.Error:
            raise EndpointError("a payload that is not base64", "feed", "it is passed over") from None
        for place, raw in enumerate(transactions_in(payload)):
            self._say(raw, number, place, at_s)

    def _say(self, raw: bytes, number: int, place: int, at_s: float) -> None:
        try:
            read = raw_transaction(raw)
        except InputError:
            self._standing.dropped += 1
            return
        self._standing.heard += 1
        sighting = Sighting(
            chain_id=self._chain_id,
            kind=SightingKind.ORDERED,
            source=self._name,
            age_ms=0,
            hash=read.hash,
            place=place,
            sequence=number,
            sender=read.sender,
            target=read.target,
            calldata=read.calldata[:CALLDATA_BYTES_MAX],
            value_wei=read.value_wei,
            nonce=read.nonce,
            gas_limit=read.gas_limit,
            max_fee_per_gas_wei=read.max_fee_per_gas_wei,
            max_priority_fee_per_gas_wei=read.max_priority_fee_per_gas_wei,
        )
        self._tell(Heard(sighting, at_s))

    def _require_chain(self, served: str | None) -> None:
        if served is not None and served != str(self._chain_id):
            raise ChainIdMismatchError(
                f"the feed is of chain {served[:20]} instead of {self._chain_id}",
                self._endpoint.label,
                "correct its address in the configuration",
            )


def transactions_in(payload: bytes, depth: int = 0) -> Iterator[bytes]:
    """The signed transactions of a message, in order. Raises `EndpointError` for what is cut off."""
    if not payload:
        raise EndpointError("an empty message", "feed", "it is passed over")
    if payload[0] == _SIGNED:
        yield payload[1:]
        return
    if payload[0] != _BATCH:
        return
    if depth >= BATCH_DEPTH_MAX:
        raise EndpointError("batches nested too deep", "feed", "it is passed over")
    at = 1
    while at < len(payload):
        size = int.from_bytes(payload[at : at + _LENGTH_BYTES], "big")
        at += _LENGTH_BYTES
        if at + size > len(payload):
            raise EndpointError("a batch that is cut off", "feed", "it is passed over")
        yield from transactions_in(payload[at : at + size], depth + 1)
        at += size
