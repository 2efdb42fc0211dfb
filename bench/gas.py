"""What the executor costs in gas, beside a contract that does the same with no check at all.

The figures are those of `contracts/test/Gas.t.sol`, on the code that ships with everything warm; its snapshot
is compared by `FORGE_SNAPSHOT_CHECK=true forge test --match-contract GasTest`. The bare contract makes the
call, or takes and repays the loan, and nothing else: what is over it pays for the policy, the armed callbacks
and the exact bounds, which it lacks.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from bench.rows import Row

__all__ = ["measure"]

SNAPSHOT: Final = Path(__file__).resolve().parent.parent / "contracts/snapshots/AtomicExecutor.json"
OVER: Final = ", over a bare one"
MANAGER: Final = ", by OpenZeppelin's AccessManager"


def measure() -> list[Row]:
    found = {str(name): int(gas) for name, gas in json.loads(SNAPSHOT.read_text()).items()}
    rows = []
    for name, gas in found.items():
        if name.endswith((OVER, MANAGER)):
            continue
        over, managed = found.get(name + OVER), found.get(name + MANAGER)
        peers = {} if over is None else {"bare": float(gas - over)}
        if managed is not None:
            peers["OpenZeppelin AccessManager"] = managed
        rows.append(Row(name, "gas", gas, peers))
    return rows
