"""Rows of a measurement, and how they are timed and shown."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field

__all__ = ["Row", "as_json", "as_table", "best_rate"]


@dataclass(frozen=True, slots=True)
class Row:
    """One figure: ours, the peers' in the same run, and the limit that it is measured against."""

    metric: str
    unit: str
    ours: float
    peers: dict[str, float] = field(default_factory=dict)
    limit: float | None = None


def best_rate(work: Callable[[], int], rounds: int) -> float:
    """The best of several rounds [items/s]: other load on the machine only ever slows a round down."""
    best = 0.0
    for _ in range(rounds):
        begin = time.perf_counter()
        items = work()
        best = max(best, items / (time.perf_counter() - begin))
    return best


def as_json(rows: Sequence[Row]) -> str:
    return json.dumps([asdict(row) for row in rows], indent=2)


def as_table(rows: Sequence[Row]) -> str:
    lines = []
    for row in rows:
        share = f"  {row.ours / row.limit:.2f} of the limit {row.limit:,.2f}" if row.limit else ""
        lines.append(f"{row.metric}: {row.ours:,.2f} {row.unit}{share}")
        lines += [
            f"    {name}: {value:,.2f}" + (f"  (ours is {row.ours / value:.2f}x)" if value else "")
            for name, value in row.peers.items()
        ]
    return "\n".join(lines)
