"""The send permit of a kernel in a fleet: the database's word, never older than `PERMIT_S`, that it may send.

A stop reaches this machine's latch at once, whatever is broken. It reaches the other kernels through the
database: each renews its permit there several times a second and obeys what it finds. A kernel that the
database cannot reach, or that slept, has none within `PERMIT_S` of its last renewal and sends nothing: that a
stop holds everywhere is proved by the kernels' answers, or by this time.

No I/O here: a flag with a time, read beside the latch before every `send()`, from any thread. Assumes that
the monotonic clocks of two machines run equally fast, not that they agree. A virtual machine whose clock
stood still while it was frozen keeps its permit for that long; its commits are refused by the fence all the
same.
"""

from __future__ import annotations

from typing import Final

from seawall.primitives.ports import Clock

__all__ = ["PERMIT_RENEWAL_S", "PERMIT_S", "SendPermit"]

# How long a permit lasts, from before the request that renewed it.
PERMIT_S: Final = 2.0
PERMIT_RENEWAL_S: Final = 0.4


class SendPermit:
    """Not given until the first renewal."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until_s = clock.monotonic_s()

    def renew(self, asked_at_s: float) -> None:
        """The database answered a request that was sent at `asked_at_s` of the monotonic clock."""
        self._until_s = max(self._until_s, asked_at_s + PERMIT_S)

    def revoke(self) -> None:
        """This kernel's standing is gone: it sends nothing until it was renewed."""
        self._until_s = self._clock.monotonic_s()

    @property
    def left_s(self) -> float:
        return max(0.0, self._until_s - self._clock.monotonic_s())

    def valid(self) -> bool:
        return self._clock.monotonic_s() < self._until_s
