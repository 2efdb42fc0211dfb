"""Strategies in processes of their own: `supervisor` on the kernel's side of the socket, `entry` on the
other.

Importing this package imports nothing else: the host's side must not load the kernel's.
"""

from __future__ import annotations
