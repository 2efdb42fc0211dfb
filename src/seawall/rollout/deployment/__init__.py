"""Deployment of our own contracts on any chain: what a file wants, compared with the chain, step by step.

    files ─▶ contracts (CREATE2, predicted) ─▶ wanted (each write beside the read that shows it done)
          ─▶ surveying (one block) ─▶ running (what is missing, as plans of the running kernel)
          ─▶ done, or what is still open

Nothing here signs or sends: calls go to the running kernel as ordinary plans with verdicts, and what only the
owner may do is a proposal to the owner's Safe. Every step is found in the chain's own state, so that whoever
was interrupted runs the same again.
"""

from __future__ import annotations

__all__: list[str] = []
