"""The world simulator: the whole kernel on one seeded loop with virtual time, against a model of a node.

`loop` is time and machines, `node` is the chain, `transport` and `port` are the network to it, `faults` is
what goes wrong, `kernel` builds the true kernel on them, `world` lets it live, die, freeze and start again.
What must never happen is said in `checker`, at three kinds of moments: `commits` (every commit and write),
every block, and `resting` (the end). `bugs` are planted to prove that the checker checks. A seed replays
exactly.

    python -m tests.world --seeds 200                     all seeds of `make test`, what they met
    python -m tests.world --first 17 --seeds 1 --trace    one seed, told event by event
    python -m tests.world --bug nonce_counter --seeds 20  with a planted bug

To see a strategy of your own in this weather, subclass `strategy.Asker`, let `plan` propose what yours would
propose, and give the class to `simulation.simulate`. A plan's calldata must be its idempotency key: by that
the checker knows it on the chain. Strategies that call contracts need a model of them in `node`.
"""

from __future__ import annotations
