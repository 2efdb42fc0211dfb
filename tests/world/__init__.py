"""The world simulator: the whole kernel on one seeded loop with virtual time, against a model of a chain.

`loop` is time and machines; `node` is the chain and its pool, `views` what one endpoint sees of it, and
`endpoints` and `lies` what it makes of that, `port` the way for signed bytes; `storage` is the ledger's disk
and connection; `faults` is how much goes wrong. `kernel` builds the true kernel on them, `lives` lets kernels
begin and end, `world` is all of it under one seed, `simulation` runs that. `strategy` has who asks for plans,
`projects` a user's own strategy.

What must never happen is said in `checker`, at three kinds of moments: `commits` (every commit and write),
every block, and `resting` (the end). `bugs` are planted to prove that the checker checks; `seeds` are those
that found something. A seed replays exactly. How to run it: docs/simulator.md.
"""

from __future__ import annotations
