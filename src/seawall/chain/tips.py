"""The newest head, safe and final block on which enough endpoints agree.

Flow: as many endpoints as must agree are asked for their newest blocks at once; in the healthy case they say
the same, and that is all. If they differ (one lags, one lies), every endpoint is asked for the blocks at the
numbers that were named, and of each kind the highest block is taken that enough endpoints have on their own
chain; a safe or final block, only from those whose safe or final block is as high. A block that only a few
know is passed over, however high it claims to be. None where enough do not agree on any.

The tip that the pool knows does not go back because some lag: where a lower one is shown, everybody is asked,
and only if nobody has more than that it counts. Endpoints are asked in turn, so that each shows its head
regularly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from seawall.chain.agreement import Vote, is_decided
from seawall.chain.rpc import RpcPool
from seawall.chain.transport import Request, RpcError
from seawall.primitives.blocks import Block
from seawall.primitives.errors import UnknownBlockError

__all__ = ["newest_blocks"]

LATEST: Final = "latest"
_Answers = Sequence["object | RpcError"]
_Tips = Sequence[Block | None]  # by tag, in the order asked
_View = Mapping[int, Block]  # what one endpoint has, by number
_Blocks = list[Block | None]
_Decode = Callable[[_Answers], _Blocks]
_BlockOf = Callable[["object | RpcError", str], Block | None]


async def newest_blocks(pool: RpcPool, tags: Sequence[str], block_of: _BlockOf) -> list[Block | None]:
    """The block of each tag (`latest`, `safe`, `finalized`); `block_of(answer, name)` decodes and judges."""
    requests = [Request("eth_getBlockByNumber", (tag, False)) for tag in tags]

    def decode(answers: _Answers) -> list[Block | None]:
        return [block_of(answer, tag) for tag, answer in zip(tags, answers, strict=True)]

    if pool.agreement == 1:
        return await _of_one(pool, requests, decode, tags[0])
    found = await _of_several(pool, requests, decode, tags, block_of)
    if found[0] is not None and tags[0] == LATEST:
        pool.tip_number = found[0].number
    return found


async def _of_one(
    pool: RpcPool, requests: Sequence[Request], decode: _Decode, tag: str
) -> list[Block | None]:
    """What the endpoint whose turn it is says, unless that is less than is known (`RpcPool.tip_number`)."""
    if pool.size == 1 or tag != LATEST:
        return await pool.read(requests, decode)
    votes = await pool.votes(requests, decode, _is_tip(pool), in_turn=True)
    _note_heads(pool, votes)
    best: _Blocks | None = None
    for vote in votes:
        if isinstance(vote.value, UnknownBlockError):
            continue
        if best is None or _number(vote.value) > _number(best):
            best = vote.value
            pool.takes_head_of(vote.endpoint)
    if best is None:
        raise next(vote.value for vote in votes if isinstance(vote.value, UnknownBlockError))
    return best


def _is_tip(pool: RpcPool) -> Callable[[Sequence[Vote[_Blocks]], bool], bool]:
    def settled(votes: Sequence[Vote[_Blocks]], late: bool) -> bool:
        tips = [vote.value for vote in votes if not isinstance(vote.value, UnknownBlockError)]
        return any(_number(tip) >= max(pool.tip_number, 0) for tip in tips)

    return settled


def _note_heads(pool: RpcPool, votes: Sequence[Vote[_Blocks]]) -> None:
    shown = {
        vote.endpoint: vote.value[0].number
        for vote in votes
        if not isinstance(vote.value, UnknownBlockError) and vote.value[0] is not None
    }
    pool.show_heads(shown)


async def _of_several(
    pool: RpcPool, requests: Sequence[Request], decode: _Decode, tags: Sequence[str], block_of: _BlockOf
) -> list[Block | None]:
    need = pool.agreement
    votes = await pool.votes(requests, decode, lambda votes, late: is_decided(votes, need), in_turn=True)
    if tags[0] == LATEST:
        _note_heads(pool, votes)
    tips = {vote.endpoint: vote.value for vote in votes if not isinstance(vote.value, UnknownBlockError)}
    same = next((t for t in tips.values() if sum(t == other for other in tips.values()) >= need), None)
    if same is not None and not (tags[0] == LATEST and _goes_back(pool, same[0])):
        return same
    if same is not None:
        everybody = await pool.votes(
            requests, decode, lambda votes, late: late and len(votes) >= need, everybody=True
        )
        tips |= {v.endpoint: v.value for v in everybody if not isinstance(v.value, UnknownBlockError)}
        _note_heads(pool, everybody)
    numbers = sorted({block.number for tip in tips.values() for block in tip if block is not None})
    if not numbers:
        return [None] * len(tags)

    def views_of(votes: Sequence[Vote[list[Block | None]]]) -> dict[int, _View]:
        return {
            vote.endpoint: {block.number: block for block in vote.value if block is not None}
            for vote in votes
            if not isinstance(vote.value, UnknownBlockError)
        }

    def settled(votes: Sequence[Vote[list[Block | None]]], late: bool) -> bool:
        return late and _highest(tips, views_of(votes), 0, tags[0], need) is not None

    by_number = [Request("eth_getBlockByNumber", (hex(number), False)) for number in numbers]
    found = await pool.votes(
        by_number,
        lambda answers: [block_of(a, f"block {n}") for n, a in zip(numbers, answers, strict=True)],
        settled,
        everybody=True,
    )
    views = views_of(found)
    return [_highest(tips, views, place, tag, need) for place, tag in enumerate(tags)]


def _highest(
    tips: Mapping[int, _Tips], views: Mapping[int, _View], place: int, tag: str, need: int
) -> Block | None:
    """The highest block that was named for this tag and that enough endpoints have."""
    named = {block for tip in tips.values() if (block := tip[place]) is not None}
    for candidate in sorted(named, key=lambda block: block.number, reverse=True):
        supporters = [
            endpoint
            for endpoint, view in views.items()
            if view.get(candidate.number) == candidate
            and (tag == LATEST or _reaches(tips.get(endpoint), place, candidate))
        ]
        if len(supporters) >= need:
            return candidate
    return None


def _goes_back(pool: RpcPool, head: Block | None) -> bool:
    return head is not None and head.number < pool.tip_number and pool.size > pool.agreement


def _number(tip: _Blocks) -> int:
    return -1 if tip[0] is None else tip[0].number


def _reaches(tip: _Tips | None, place: int, candidate: Block) -> bool:
    reported = tip[place] if tip is not None else None
    return reported is not None and reported.number >= candidate.number
