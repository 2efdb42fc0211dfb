"""Requests to one relay and what its answers mean, for the sender threads.

One write a request: a bundle has one signature, and one that is refused must not take others with it. The
body is signed where the dialect wants that; what is not an object with a result or an error says nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import orjson

from seawall.chain.endpoints import Endpoint
from seawall.chain.relays.dialects import (
    BUNDLE_BYTES_MAX,
    BUNDLE_TRANSACTIONS_MAX,
    DIALECTS,
    Call,
    is_taken,
)
from seawall.chain.relays.identity import HEADER, RelayIdentity
from seawall.chain.relays.settings import RelaySettings
from seawall.chain.sockets import request_head
from seawall.chain.writes import Request, SignedWrite, Withdrawal, WriteAnswer, WriteResult, judged

__all__ = ["RelayForm", "is_too_large"]

_ID: Final = 1


@dataclass(frozen=True, slots=True)
class RelayForm:
    """Fulfils `WireForm`."""

    settings: RelaySettings
    identity: RelayIdentity | None  # None: the dialect wants no signature

    @property
    def takes_batches(self) -> bool:
        return False

    def request(self, endpoint: Endpoint, writes: Sequence[SignedWrite]) -> Request:
        (write,) = writes
        assert write.terms is not None, "a relay is written to under terms"
        wire = DIALECTS[self.settings.dialect]
        made = wire.bundle if write.terms.is_bundle else wire.transaction
        assert made is not None, "the configuration was checked for what the dialect can say"
        content = self._content(endpoint, made(self.settings, write, write.terms))
        first = (*write.terms.before, write.raw)[0].hex().encode("ascii")
        start = bytes(content).index(first)
        return Request(content, (start,))

    def results(
        self, endpoint: Endpoint, writes: Sequence[SignedWrite], status: int, body: bytes
    ) -> list[WriteResult]:
        (write,) = writes
        answer = _answer_of(body)
        if answer is None:
            what = f"no usable answer (HTTP status {status}, {len(body)} bytes)"
            return [WriteResult(write.hash, WriteAnswer.UNKNOWN, what)]
        error: object = answer.get("error")
        if error is not None:
            result = judged(write.hash, error, endpoint)
            return [replace(result, message=self._scrubbed(result.message))]
        is_bundle = write.terms is not None and write.terms.is_bundle
        if answer.get("id") == _ID and is_taken(write, is_bundle, answer.get("result")):
            return [WriteResult(write.hash, WriteAnswer.ACCEPTED)]
        what = "the relay did not say that it took it"
        return [WriteResult(write.hash, WriteAnswer.UNKNOWN, what)]

    def withdrawal(self, endpoint: Endpoint, unwanted: Withdrawal) -> Request | None:
        """The request that withdraws it; None where the dialect has none. It holds no signed bytes."""
        wire = DIALECTS[self.settings.dialect]
        unmade = wire.cancel_bundle if unwanted.is_bundle else wire.cancel_transaction
        if unmade is None:
            return None
        return Request(self._content(endpoint, unmade(self.settings, unwanted)), ())

    def withdrawn(self, endpoint: Endpoint, answer: tuple[int, bytes] | str) -> str:
        """What the answer to a withdrawal says, for people."""
        if isinstance(answer, str):
            return answer
        status, body = answer
        tree = _answer_of(body)
        if tree is None:
            return f"no usable answer (HTTP status {status}, {len(body)} bytes)"
        error: object = tree.get("error")
        if error is None and tree.get("result") is not False:
            return "withdrawn"
        return self._scrubbed(endpoint.scrub(f"refused: {error or 'it says no'}"))

    def _scrubbed(self, text: str) -> str:
        """A relay may echo the header that it was sent."""
        secret = self.settings.authorization
        return text if secret is None else text.replace(secret.reveal(), "***")

    def _content(self, endpoint: Endpoint, call: Call) -> memoryview:
        body = orjson.dumps({"jsonrpc": "2.0", "id": _ID, "method": call.method, "params": call.params})
        headers: dict[str, str] = {}
        if self.identity is not None:
            headers[HEADER] = self.identity.header(body)
        if self.settings.authorization is not None:
            headers["Authorization"] = self.settings.authorization.reveal()
        return memoryview(request_head(endpoint, len(body), headers) + body)


def is_too_large(write: SignedWrite) -> bool:
    """Whether a bundle is over what relays take."""
    assert write.terms is not None
    raws = (*write.terms.before, write.raw)
    return len(raws) > BUNDLE_TRANSACTIONS_MAX or sum(map(len, raws)) > BUNDLE_BYTES_MAX


def _answer_of(body: bytes) -> dict[str, object] | None:
    try:
        tree: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return tree if isinstance(tree, dict) and ("result" in tree or "error" in tree) else None
