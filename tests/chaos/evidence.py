"""What the chain shows: the checker's second witness, read by plain JSON-RPC. No code of Seawall."""

from __future__ import annotations

import dataclasses
import json
import urllib.request
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Chain", "Mined", "read_chain", "rpc_batch"]

BATCH = 200
ANSWER_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Mined:
    """A transaction of one of the keys, in a block of the chain."""

    hash: str
    block: int
    sender: str
    nonce: int
    target: str
    data: str
    value_wei: int
    succeeded: bool
    recorded: tuple[str, ...]  # ids in the Recorder's events


@dataclass(frozen=True, slots=True)
class Chain:
    """`mined` in the order of the chain. Addresses and hex are lower case."""

    recorder: str
    senders: tuple[str, ...]
    mined: tuple[Mined, ...]
    next_nonces: dict[str, int]
    pool: tuple[str, ...]  # hashes of the keys' transactions that still wait in the node
    executions: dict[str, int]  # the Recorder's own count, by id

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def read(cls, path: Path) -> Chain:
        document = json.loads(path.read_text())
        mined = tuple(Mined(**{**one, "recorded": tuple(one["recorded"])}) for one in document.pop("mined"))
        senders, pool = tuple(document.pop("senders")), tuple(document.pop("pool"))
        return cls(mined=mined, senders=senders, pool=pool, **document)


def rpc_batch(url: str, calls: Sequence[tuple[str, tuple[object, ...]]]) -> list[object]:
    """Answers in the order of the calls; an error of the node is an error here."""
    body = [
        {"jsonrpc": "2.0", "id": place, "method": method, "params": params}
        for place, (method, params) in enumerate(calls)
    ]
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=ANSWER_TIMEOUT_S) as response:
        answers = {answer["id"]: answer for answer in json.load(response)}
    for place, (method, _) in enumerate(calls):
        assert "error" not in answers[place], f"{method}: {answers[place]['error']}"
    return [answers[place]["result"] for place in range(len(calls))]


def read_chain(
    url: str, recorder: str, count_call: Callable[[str], str], senders: Iterable[str], ids: Iterable[str]
) -> Chain:
    """Everything that `senders` have on chain. `count_call` is the calldata that asks the Recorder about an
    id."""
    wanted = tuple(sender.lower() for sender in senders)
    (head,) = _many(url, [("eth_blockNumber", ())])
    numbers = range(int(head, 16) + 1)
    blocks = _many(url, [("eth_getBlockByNumber", (hex(number), True)) for number in numbers])
    ours = [tx for block in blocks for tx in block["transactions"] if tx["from"].lower() in wanted]
    receipts = _many(url, [("eth_getTransactionReceipt", (tx["hash"],)) for tx in ours])
    mined = tuple(_mined(tx, receipt, recorder) for tx, receipt in zip(ours, receipts, strict=True))
    asked = list(ids)
    counts = _many(
        url, [("eth_call", ({"to": recorder, "data": count_call(one)}, "latest")) for one in asked]
    )
    nonces = _many(url, [("eth_getTransactionCount", (sender, "latest")) for sender in wanted])
    next_nonces = {sender: int(nonce, 16) for sender, nonce in zip(wanted, nonces, strict=True)}
    (pool,) = _many(url, [("txpool_content", ())])
    # Whatever a node keeps of a nonce that is used can land no more: it waits for nothing.
    waiting = [
        str(tx["hash"])
        for part in ("pending", "queued")
        for sender, slots in pool[part].items()
        if sender.lower() in wanted
        for tx in slots.values()
        if int(tx["nonce"], 16) >= next_nonces[sender.lower()]
    ]
    return Chain(
        recorder.lower(),
        wanted,
        mined,
        next_nonces,
        tuple(waiting),
        {one: int(count, 16) for one, count in zip(asked, counts, strict=True)},
    )


def _many(url: str, calls: Sequence[tuple[str, tuple[object, ...]]]) -> list[Any]:
    found: list[Any] = []
    for start in range(0, len(calls), BATCH):
        found += rpc_batch(url, calls[start : start + BATCH])
    return found


def _mined(transaction: dict[str, Any], receipt: dict[str, Any], recorder: str) -> Mined:
    return Mined(
        hash=transaction["hash"],
        block=int(transaction["blockNumber"], 16),
        sender=transaction["from"].lower(),
        nonce=int(transaction["nonce"], 16),
        target=str(transaction["to"]).lower(),
        data=transaction["input"].lower(),
        value_wei=int(transaction["value"], 16),
        succeeded=receipt["status"] == "0x1",
        recorded=tuple(
            log["topics"][0] for log in receipt["logs"] if log["address"].lower() == recorder.lower()
        ),
    )
