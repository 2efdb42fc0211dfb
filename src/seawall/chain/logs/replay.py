"""Missed logs of a short stretch, in memory: for strategies that were away for some blocks.

All filters of one strategy over the blocks that were skipped, each log once, in the order of the chain. More
than the caller's bound is not a reply but a gap: None, and the strategy reads the state instead.

Only for blocks that lie deeper than reorgs are followed, as skipped heads do; nothing is stored.
"""

from __future__ import annotations

from collections.abc import Sequence

from seawall.chain.client import ChainClient
from seawall.chain.logs.caps import Refusal
from seawall.chain.logs.planner import Plan, Span, tail_of
from seawall.chain.logs.reads import LogReads
from seawall.primitives.blocks import Log, LogFilter
from seawall.primitives.errors import UnavailableError

__all__ = ["replayed"]

_ALONE = 0


async def replayed(
    client: ChainClient, wanted: Sequence[LogFilter], span: Span, logs_max: int
) -> list[Log] | None:
    """Raises `ChainError` if they cannot be had now."""
    found: dict[tuple[int, int], Log] = {}
    for one in dict.fromkeys(wanted):
        reads, plan = LogReads(client, one), Plan([span], 1)
        while (part := plan.take(_ALONE)) is not None:
            answer = await reads.ask(part)
            if isinstance(answer, Refusal):
                if part.blocks == 1:
                    raise UnavailableError(
                        f"the logs of the one block {part.first} are more than an endpoint gives",
                        client.network.name,
                        "ask for fewer addresses or topics",
                    )
                plan.refused(_ALONE, part, answer)
                continue
            tail = tail_of(part)
            in_tail = sum(log.block_number >= tail for log in answer.logs)
            plan.done(_ALONE, part, len(answer.logs), in_tail)
            found |= {(log.block_number, log.log_index): log for log in answer.logs}
            if len(found) > logs_max:
                return None
    return [found[place] for place in sorted(found)]
