"""The kernel and what it is wired from: configuration, hosts of strategies, modes, health.

Importing this package imports nothing else: a host process starts from `seawall.runtime.hosts.entry` and
must stay lean.
"""

from __future__ import annotations
