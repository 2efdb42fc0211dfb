"""The person whom a fleet calls: lets halted kernels go on, and lanes whose key somebody else used.

Looks before and after, as a person does: a kernel that starts may not have heard yet. No code of Seawall.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.chaos.stage import KernelProcess

__all__ = ["Operator"]

LOOKED_AT_S = 2.0  # how long a quarantine is looked at before it is lifted
_LANE = "lane:"


@dataclass(slots=True)
class Operator:
    kernels: Sequence[KernelProcess]
    released: int = 0
    _quarantined: dict[str, float] = field(default_factory=dict)  # lanes, and since when it is known

    async def look(self) -> None:
        """At every kernel that answers."""
        for kernel in self.kernels:
            with contextlib.suppress(OSError, ValueError):
                await self.resume(kernel)
                await self._release_lanes(kernel)

    async def resume(self, kernel: KernelProcess) -> bool:
        """Whether it is started and may do everything, after being told to go on if it may not."""
        status = await kernel.status()
        if status.get("started") and status.get("authority") != "RUN":
            status = await kernel.tell("resume", "RUN", "the storm is over")
        return bool(status.get("started")) and status.get("authority") == "RUN"

    async def _release_lanes(self, kernel: KernelProcess) -> None:
        checks = (await kernel.status()).get("checks", [])
        for check in checks:
            name, finding = str(check["name"]), str(check["finding"])
            if not (name.startswith(_LANE) and "quarantined" in finding):
                continue
            lane = name.removeprefix(_LANE)
            since_s = self._quarantined.setdefault(lane, time.monotonic())
            if time.monotonic() - since_s >= LOOKED_AT_S:
                answer = await kernel.tell(
                    "release_lane", lane, "somebody else used the key, and is told not to"
                )
                if "error" not in answer:
                    self.released += 1
                    del self._quarantined[lane]
