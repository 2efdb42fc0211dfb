"""Pure deciders: every engine that wants something of a chain is a strategy and lives here.

Flow: an `Observation` and the stored state go in, a `Decision` comes out. A strategy never signs, sends,
retries, or touches a nonce; it reaches no network, database or key, and imports no room that does.
"""

from __future__ import annotations
