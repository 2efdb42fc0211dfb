"""Planted bugs: what each of them breaks, the checker must find. They prove that the checker checks.

Each is a context manager that replaces a piece of the kernel while it is entered; production code has no
switches for them. `test_bugs` runs each over the first seeds that find it, with the bug and without.
"""

from __future__ import annotations

from tests.world.bugs import chain, commits, confirming, fleet, intake, slots
from tests.world.bugs.planting import Bug

__all__ = ["BUGS"]

BUGS: dict[str, Bug] = {
    bug.__name__: bug for part in (slots, commits, chain, confirming, fleet, intake) for bug in part.BUGS
}
