"""Keys while the kernel runs: retired in favour of others, taken over from elsewhere, and their age told."""

from __future__ import annotations
