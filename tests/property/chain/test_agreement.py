"""Agreement against models: whatever fewer liars than must agree say, nothing rests on it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.chain.agreement import Vote, default_agreement, verdict_of
from seawall.chain.client import ChainClient
from seawall.chain.heads import UNSETTLED_POLLS_PER_ENDPOINT, HeadFollower
from seawall.chain.networks import NETWORKS
from seawall.chain.rpc import Request, RpcError, RpcPool
from seawall.native import keccak256
from seawall.primitives.errors import DisagreementError, EndpointError, UnavailableError, UnknownBlockError
from seawall.primitives.units import hex_text


@dataclass(slots=True)
class Clock:
    """Fulfils the port; sleeping takes turns of the loop and moves no time that anybody waits for."""

    time_s: float = 1_000.0

    def now_s(self) -> int:
        return int(self.time_s)

    def monotonic_s(self) -> float:
        return self.time_s

    async def sleep_s(self, duration_s: float) -> None:
        for _ in range(50):
            await asyncio.sleep(0)


@dataclass(slots=True)
class Chain:
    """The one true chain; final is four blocks behind."""

    hashes: list[bytes] = field(default_factory=lambda: [keccak256(b"%d" % n) for n in range(200)])

    def header(self, number: int) -> dict[str, object]:
        parent = self.hashes[number - 1] if number else bytes(32)
        return {
            "number": hex(number), "hash": hex_text(self.hashes[number]), "parentHash": hex_text(parent),
            "timestamp": hex(number), "gasLimit": "0x1c9c380",
        }  # fmt: skip


@dataclass(slots=True)
class Member:
    """Fulfils `RpcTransport`: shows `height` blocks of the chain, or lies at random, or fails."""

    chain: Chain
    label: str
    height: int = 100
    lies: random.Random | None = None
    dead: bool = False
    invents: bool = False  # its head has a parent that nobody has
    connects: int = 1

    async def send(self, requests: Sequence[Request]) -> list[object | RpcError]:
        await asyncio.sleep(0)
        if self.dead:
            raise EndpointError("dead", self.label, "")
        return [self._one(request) for request in requests]

    async def close(self) -> None:
        return

    def _one(self, request: Request) -> object:
        if request.method == "eth_chainId":
            return "0x7a69"
        if request.method == "eth_blockNumber":
            return hex(self.height)
        wanted = request.params[0]
        assert isinstance(wanted, str)
        if request.method == "eth_getBlockByHash":
            raw = bytes.fromhex(wanted[2:])
            number = self.chain.hashes.index(raw) if raw in self.chain.hashes else 10**6
        else:
            tags = {"latest": self.height, "safe": self.height - 2, "finalized": self.height - 4}
            number = tags[wanted] if wanted in tags else int(wanted, 16)
        header = self.chain.header(number) if number <= self.height else None
        if self.invents and wanted == "latest" and header is not None:
            return header | {"hash": "0x" + "ee" * 32, "parentHash": "0x" + "dd" * 32}
        return header if self.lies is None else self._lie(header)

    def _lie(self, header: dict[str, object] | None) -> object:
        assert self.lies is not None
        made = self.chain.header(self.lies.randrange(150)) if header is None else dict(header)
        match self.lies.randrange(6):
            case 0:
                return header
            case 1:
                return None
            case 2:
                made["hash"] = hex_text(self.lies.randbytes(32))
            case 3:
                made["number"] = hex(self.lies.choice((0, 99, 101, 10**9)))
            case 4:
                made["parentHash"] = hex_text(self.lies.randbytes(32))
            case _:
                made = self.chain.header(self.lies.randrange(150))
        return made


@settings(max_examples=150, deadline=None)
@given(
    heights=st.lists(st.integers(80, 120), min_size=2, max_size=5),
    liars=st.integers(0, 4),
    dead=st.integers(0, 2),
    seed=st.integers(0, 2**32),
)
def test_heads_are_true_blocks_that_enough_honest_endpoints_have(
    heights: list[int], liars: int, dead: int, seed: int
) -> None:
    """`liars` < agreement: the head is true and no older than the oldest that an honest endpoint has, and
    final no higher than somebody honest says."""

    async def run() -> None:
        rng = random.Random(seed)
        chain = Chain()
        honest = [Member(chain, f"honest {n}", height) for n, height in enumerate(heights)]
        need = rng.randint(1 + min(liars, len(heights)), len(heights) + liars) if liars else len(heights)
        bad = [
            Member(chain, f"liar {n}", lies=random.Random(rng.random())) for n in range(min(liars, need - 1))
        ]
        silent = [Member(chain, f"dead {n}", dead=True) for n in range(dead)]
        members = [*honest, *bad, *silent]
        rng.shuffle(members)
        need = min(need, len(members))
        pool = RpcPool(members, chain_id=31_337, clock=Clock(), agreement=need)
        client = ChainClient(pool, NETWORKS[31_337])
        if len(bad) >= need:
            return
        try:
            head, final = await client.newest(["latest", "finalized"])
        except UnavailableError:
            assert len(honest) < need
            return
        if head is not None:
            assert head.hash == chain.hashes[head.number]
            assert head.number <= max(heights)
        if final is not None:
            assert final.hash == chain.hashes[final.number]
            assert final.number <= max(heights) - 4
        if len(honest) >= need:
            assert head is not None
            assert head.number >= min(heights)

    asyncio.run(run())


@settings(max_examples=200, deadline=None)
@given(said=st.lists(st.one_of(st.integers(0, 3), st.none()), min_size=1, max_size=7), need=st.integers(1, 5))
def test_verdict_is_what_enough_say_and_nobody_else_enough(said: list[int | None], need: int) -> None:
    unknown = UnknownBlockError("gone", "there", "")
    votes: list[Vote[int]] = [
        Vote(number, f"endpoint {number}", unknown if value is None else value)
        for number, value in enumerate(said)
    ]
    strong = {value for value in said if value is not None and said.count(value) >= need}
    if len(strong) == 1:
        assert verdict_of(votes, need, "test") in strong
    elif not strong and said.count(None) >= need:
        with pytest.raises(UnknownBlockError):
            verdict_of(votes, need, "test")
    else:
        with pytest.raises(UnavailableError) as caught:
            verdict_of(votes, need, "test")
        several = len({value for value in said if value is not None}) > 1
        assert isinstance(caught.value, DisagreementError) == several


@pytest.mark.parametrize(("endpoints", "need"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (6, 4)])
def test_default_is_the_majority(endpoints: int, need: int) -> None:
    assert default_agreement(endpoints) == need


async def test_inventor_of_heads_is_left_for_another_where_one_is_believed() -> None:
    """Agreement of one: the endpoint asked first names a head that nothing leads to."""
    chain = Chain()
    inventor, honest = Member(chain, "inventor"), Member(chain, "honest")
    follower = HeadFollower(
        ChainClient(RpcPool([inventor, honest], chain_id=31_337, clock=Clock()), NETWORKS[31_337]), Clock()
    )
    for height in (90, 100):
        inventor.height = honest.height = height
        await follower.poll()
    inventor.invents, honest.height = True, 105
    for _ in range(2 * UNSETTLED_POLLS_PER_ENDPOINT):
        change = await follower.poll()
        if change is not None:
            break
    assert follower.tip is not None
    assert (follower.tip.number, follower.tip.hash) == (105, chain.hashes[105])
