"""Safes: from a proposal to an executed transaction, without a hosted service.

    looking      a Safe's state and code at one block
    rehearsal    the transaction run on that block, as though its owners had signed
    judging      the verdict that owners sign under
    desk         propose, sign, collect, execute, adopt
    watch        what became of it: executed, or stale and why

A Safe is a lane (chain, Safe) whose nonce is the Safe's own. Owners sign after a verdict on exactly what they
sign; the transaction that carries it is an ordinary intent of an ordinary lane, with a second verdict.
"""

from __future__ import annotations

__all__: list[str] = []
