"""A small synchronous JSON-RPC client for set-up and scripted traders on the devnet's own node.

It keeps one connection, sends batches, and speaks only to a loopback address: transactions are sent from the
node's unlocked accounts, which exist on chain 31337 alone (the one exception to "nothing reaches a chain but
through transactions"). Seawall's own transactions never pass here.
"""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from seawall.primitives.errors import ChainIdMismatchError, EndpointError, RolloutError
from seawall.primitives.units import BPS, Address, Hash, address_text, hex_text

__all__ = [
    "BLOCK_GAS_LIMIT",
    "CHAIN_ID",
    "LOST",
    "DevnetRpc",
    "ForkLostError",
    "Json",
    "NodeRefusedError",
    "as_bytes",
    "as_int",
    "known_failure",
    "lost_fork",
]

CHAIN_ID: Final = 31337

REQUEST_TIMEOUT_S: Final = 60.0
BATCH_MAX: Final = 100
RECEIPT_WAIT_S: Final = 30.0
NUDGE_S: Final = 2.0
RECEIPT_POLL_S: Final = 0.003
BLOCK_GAS_LIMIT: Final = 30_000_000
GAS_MARGIN_BPS: Final = 15_000
# How a fork's forwarder begins what it says of an endpoint that gave no answer, and how much of it is shown.
LOST: Final = "the forked endpoint does not answer"
FAILURE_CHARS_MAX: Final = 500
LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"
Call: TypeAlias = "tuple[str, Sequence[Json]]"


class NodeRefusedError(EndpointError):
    """The node answered with an error; `what` carries its words."""


class ForkLostError(EndpointError):
    """What a fork still has to read cannot be read: the endpoint that it was forked from is gone."""


class DevnetRpc:
    """One keep-alive connection to a node on this machine.

    `failure_file` is where a fork's forwarder says that its endpoint is gone: anvil then ends without a word.
    """

    __slots__ = ("_connection", "_failure_file", "_host", "_port", "_sequence", "url")

    def __init__(self, url: str, failure_file: Path | None = None) -> None:
        parts = urlsplit(url)
        if parts.scheme != "http" or parts.hostname not in LOOPBACK or parts.port is None:
            raise RolloutError(
                f"{url[:80]!r} is not a node on this machine", "devnet", "use http://127.0.0.1:PORT"
            )
        self.url = url
        self._failure_file = failure_file
        self._host, self._port = parts.hostname, parts.port
        self._connection: http.client.HTTPConnection | None = None
        self._sequence = 0

    def __enter__(self) -> DevnetRpc:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def call(self, method: str, *parameters: Json) -> Json:
        """One request; NodeRefusedError when the node answers with an error."""
        return self.batch([(method, parameters)])[0]

    def batch(self, calls: Sequence[Call]) -> list[Json]:
        """Many requests, answers in their order; the node may run them in any. The first error raises."""
        answers: list[Json] = []
        for start in range(0, len(calls), BATCH_MAX):
            answers += self._batch(calls[start : start + BATCH_MAX])
        return answers

    def integer(self, method: str, *parameters: Json) -> int:
        return as_int(self.call(method, *parameters), method)

    def record(self, method: str, *parameters: Json) -> dict[str, Json]:
        answer = self.call(method, *parameters)
        if not isinstance(answer, dict):
            raise EndpointError(
                f"{method} answered {answer!r:.80}", self.url, "check that the node is the pinned anvil"
            )
        return answer

    def view(self, target: Address, data: bytes, block: str = "latest") -> bytes:
        """`eth_call` without a sender."""
        answer = self.call("eth_call", {"to": hex_text(target), "data": hex_text(data)}, block)
        return as_bytes(answer, "eth_call")

    def codes(self, addresses: Sequence[Address]) -> list[bytes]:
        """Runtime code of each address at the latest block (`chain.addresses.CodeReader`)."""
        calls: list[Call] = [("eth_getCode", (address_text(address), "latest")) for address in addresses]
        return [as_bytes(answer, "eth_getCode") for answer in self.batch(calls)]

    def send(self, sender: Address, target: Address | None, data: bytes, *, value_wei: int = 0) -> Hash:
        """Send from an unlocked account; NodeRefusedError carries the revert reason."""
        transaction: dict[str, Json] = {
            "from": hex_text(sender),
            "data": hex_text(data),
            "value": hex(value_wei),
        }
        if target is not None:
            transaction["to"] = hex_text(target)
        # The estimate is made at another time than the block: a store that was a no-op then may cost in full.
        gas = self.integer("eth_estimateGas", transaction)
        transaction["gas"] = hex(min(gas * GAS_MARGIN_BPS // BPS, BLOCK_GAS_LIMIT))
        return Hash(as_bytes(self.call("eth_sendTransaction", transaction), "eth_sendTransaction"))

    def settle(self, hashes: Sequence[Hash], *, mine: bool) -> list[dict[str, Json]]:
        """Receipts of sent transactions; with `mine` a block is made at once if none comes by itself."""
        if mine and self.call("anvil_getAutomine") is not True:
            self.call("evm_mine")
        deadline_s, nudge_s = time.monotonic() + RECEIPT_WAIT_S, time.monotonic() + NUDGE_S
        calls: list[Call] = [("eth_getTransactionReceipt", (hex_text(tx_hash),)) for tx_hash in hashes]
        while True:
            receipts = [answer for answer in self.batch(calls) if isinstance(answer, dict)]
            if len(receipts) == len(calls):
                break
            if time.monotonic() > deadline_s:
                raise RolloutError(
                    f"{len(calls) - len(receipts)} transactions were not mined within {RECEIPT_WAIT_S:.0f} s",
                    self.url,
                    "mine a block, or start the devnet with a block time",
                )
            if mine and time.monotonic() > nudge_s:
                # A node that mines by itself may miss a transaction that came while it made a block.
                self.call("evm_mine")
                nudge_s += NUDGE_S
            time.sleep(RECEIPT_POLL_S)
        for receipt in receipts:
            if receipt.get("status") != "0x1":
                raise RolloutError(
                    f"transaction {receipt.get('transactionHash')} reverted",
                    self.url,
                    "check balances and limits of the call",
                )
        return receipts

    def require_devnet(self, wanted: int = CHAIN_ID) -> None:
        """ChainIdMismatchError unless the node serves that chain."""
        chain_id = self.integer("eth_chainId")
        if chain_id != wanted:
            raise ChainIdMismatchError(
                f"the node serves chain {chain_id}, not {wanted}",
                self.url,
                "stop whatever listens on that port",
            )

    def _batch(self, calls: Sequence[Call]) -> list[Json]:
        requests = []
        for method, parameters in calls:
            self._sequence += 1
            requests.append(
                {"jsonrpc": "2.0", "id": self._sequence, "method": method, "params": list(parameters)}
            )
        document = self._post(json.dumps(requests).encode())
        if not isinstance(document, list):
            raise EndpointError(
                f"a batch was answered with {document!r:.200}", self.url, "restart the devnet"
            )
        by_id = {str(entry.get("id")): entry for entry in document if isinstance(entry, dict)}
        answers: list[Json] = []
        for request in requests:
            entry = by_id.get(str(request["id"]))
            if entry is None:
                raise EndpointError(f"{request['method']} was not answered", self.url, "restart the devnet")
            if "error" in entry:
                if LOST in (reason := _reason(entry["error"])):
                    raise lost_fork(reason, self.url)
                raise NodeRefusedError(
                    f"{request['method']}: {_reason(entry['error'])}", self.url, "correct the call"
                )
            answers.append(entry.get("result"))
        return answers

    def _post(self, body: bytes) -> Json:
        try:
            if self._connection is None:
                self._connection = http.client.HTTPConnection(
                    self._host, self._port, timeout=REQUEST_TIMEOUT_S
                )
                self._connection.connect()
            self._connection.request("POST", "/", body, {"Content-Type": "application/json"})
            response = self._connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            failure = known_failure(self._failure_file)
            if failure is not None:
                raise lost_fork(f"the node ended, since {LOST}: {failure}", self.url) from error
            raise EndpointError(
                f"no answer: {type(error).__name__}: {error}",
                self.url,
                "start the devnet with `seawall devnet up`",
            ) from error
        try:
            answer: Json = json.loads(content)
        except ValueError as error:
            raise EndpointError(
                f"HTTP {response.status} without JSON: {content[:200]!r}", self.url, "restart the devnet"
            ) from error
        return answer


def known_failure(file: Path | None) -> str | None:
    """What a fork's forwarder last had to say against its endpoint; None while that answers."""
    try:
        return None if file is None else file.read_text()[:FAILURE_CHARS_MAX].strip()
    except OSError:
        return None


def lost_fork(what: str, where: str) -> ForkLostError:
    return ForkLostError(
        what, where, "check the endpoint, then `seawall devnet down`, and fork it again at the same block"
    )


def as_int(value: Json, what: str) -> int:
    """A JSON-RPC quantity."""
    if isinstance(value, str) and value.startswith("0x"):
        return int(value, 16)
    raise EndpointError(
        f"{what} answered {value!r:.80} instead of a quantity", "devnet", "restart the devnet"
    )


def as_bytes(value: Json, what: str) -> bytes:
    """JSON-RPC data."""
    if isinstance(value, str) and value.startswith("0x"):
        return bytes.fromhex(value[2:])
    raise EndpointError(f"{what} answered {value!r:.80} instead of data", "devnet", "restart the devnet")


def _reason(error: Json) -> str:
    message = error.get("message") if isinstance(error, dict) else error
    return str(message)[:500]
