"""From an accepted plan to its outcome: at most one landing, nothing lost.

Read in this order: `intake` (plans and state in one commit), `lanes` (candidate, verdict, signature, the one
fenced commit), `writing` (signed bytes to the chain), `confirmation` (inclusions, reorgs, outcomes),
`accounting` (postings and their proof), `recovery` (what was committed and is not on chain: restart, resume
and reorg share it). `desk` is the order in which one chain does all this."""

from __future__ import annotations
