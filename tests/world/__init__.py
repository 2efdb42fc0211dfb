"""The world simulator: the whole kernel on one seeded loop with virtual time, against a model of a node.

`loop` is time, `node` is the chain and its faults, `port` is what signed bytes go through, `kernel` builds the true
kernel on them and crashes it at failpoints, `checker` knows what must never happen, `bugs` are planted to prove that the
checker checks. A seed replays exactly. Run `python -m tests.world --seeds 200`.
"""

from __future__ import annotations
