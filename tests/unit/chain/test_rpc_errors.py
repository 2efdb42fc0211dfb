"""How the pool takes what nodes refuse: codes that clients do not share blame nobody wrongly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from seawall.chain.rpc import Request, RpcError, RpcPool, is_block_unknown, is_execution_failure
from seawall.primitives.errors import UnavailableError, UnknownBlockError
from seawall.primitives.ports import SystemClock


@dataclass(slots=True)
class Answering:
    """An endpoint that gives the same answer to everything but its chain id."""

    label: str
    answer: object
    connects: int = 1
    asked: list[str] = field(default_factory=list)

    async def send(self, requests: Sequence[Request]) -> list[object | RpcError]:
        self.asked += [request.method for request in requests]
        return ["0x1" if request.method == "eth_chainId" else self.answer for request in requests]

    async def close(self) -> None:
        return


def pool_of(*endpoints: Answering) -> RpcPool:
    return RpcPool(endpoints, chain_id=1, clock=SystemClock())


@pytest.mark.parametrize(
    "refusal",
    [
        RpcError(-32005, "query returned more than 10000 results"),
        RpcError(-32005, "Requested range exceeds maximum RPC range limit"),
        RpcError(-32602, "query exceeds max block range 100000"),
    ],
    ids=lambda refusal: refusal.message,
)
async def test_range_that_is_too_large_is_an_answer_for_whoever_can_split_it(refusal: RpcError) -> None:
    one, other = Answering("one", refusal), Answering("other", [])
    assert await pool_of(one, other).batch([Request("eth_getLogs")]) == [refusal]
    assert other.asked == []


@pytest.mark.parametrize(
    "refusal",
    [
        RpcError(429, "Too Many Requests"),
        RpcError(-32005, "project ID request rate exceeded"),
        RpcError(-32005, "no"),
        RpcError(-32016, "over rate limit"),
        RpcError(-32002, "request timed out"),
        RpcError(-32603, "Internal error"),
        RpcError(-32000, "transaction indexing is in progress"),
        RpcError(-32008, "Initial sync is still in progress"),
    ],
    ids=lambda refusal: f"{refusal.code} {refusal.message}",
)
async def test_endpoint_that_cannot_serve_now_is_passed_over(refusal: RpcError) -> None:
    one, other = Answering("one", refusal), Answering("other", "0x5")
    assert await pool_of(one, other).call("eth_blockNumber") == "0x5"
    with pytest.raises(UnavailableError, match="busy"):
        await pool_of(Answering("one", refusal)).call("eth_blockNumber")


@pytest.mark.parametrize(
    "message",
    [
        "header for hash not found",
        "header not found",
        "hash is not currently canonical",
        "block not found: hash 0x1a15",
        "No state available for block 0x1a15",
        "historical state 0x1a15 is not available",
        "state at block #7 is pruned",
    ],
)
async def test_pinned_block_that_one_endpoint_lacks_is_asked_of_the_next(message: str) -> None:
    lacking = RpcError(-32000, message)
    assert is_block_unknown(lacking)
    one, other = Answering("one", lacking), Answering("other", "0x5")
    assert await pool_of(one, other).batch([Request("eth_getBalance")], pinned=True) == ["0x5"]
    with pytest.raises(UnknownBlockError, match="pinned"):
        await pool_of(one).batch([Request("eth_getBalance")], pinned=True)


@pytest.mark.parametrize(
    ("code", "message"),
    [(-32001, "Nonce too low"), (-32002, "Invalid signature"), (-32001, "rpc method is not whitelisted")],
)
def test_codes_that_mean_something_else_elsewhere_make_no_block_unknown(code: int, message: str) -> None:
    assert not is_block_unknown(RpcError(code, message))
    assert not is_execution_failure(RpcError(code, message))


def test_revert_whose_reason_speaks_of_a_block_is_a_failed_execution() -> None:
    reverted = RpcError(3, "execution reverted: block not found", "0x08c379a0")
    assert is_execution_failure(reverted)
    assert not is_block_unknown(reverted)
