"""Who may do what, right now: the authority's rule, the latch that enforces it, and the signals that lower
it.
"""

from __future__ import annotations
