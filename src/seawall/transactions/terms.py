"""What a relay is told with an attempt's bytes: for which block, until when, under which name, and what goes
with them.

A bundle for a nonce holds the bytes of the lane's lower nonces that are not on chain, because without them it
cannot run; so all of them must be under a verdict in force, and the latch treats the whole as its strictest
part. A relay is never asked to keep bytes for longer than their verdict is in force."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Final

from seawall.chain.writes import PrivateTerms, SignedWrite, Withdrawal
from seawall.ledger.rows import AttemptRow
from seawall.native import keccak256
from seawall.primitives.levels import WriteKind
from seawall.primitives.verdicts import Verdict
from seawall.transactions.desk import Desk
from seawall.transactions.openslots import blocks_since
from seawall.transactions.routes import is_bundle, relay_of

__all__ = ["private_write", "remaining_blocks", "replacement_name", "withdrawal_of"]

_LOOSE_TO_STRICT: Final = (WriteKind.HOUSEKEEPING, WriteKind.REDUCING, WriteKind.PLAN)


def private_write(
    desk: Desk, attempt: AttemptRow, verdict: Verdict, write: SignedWrite
) -> SignedWrite | None:
    """`write` as its relay gets it, for the next block. None: not now."""
    routes, relay = desk.parts.routes, relay_of(attempt.route)
    if relay not in routes.names or desk.head is None:
        return None
    before = _before(desk, attempt) if is_bundle(attempt.route) else []
    verdicts = [desk.verdicts.get(row.number) for row in before]
    for row, other in zip(before, verdicts, strict=True):
        if row.kind is not WriteKind.HOUSEKEEPING and not desk.in_force(other):
            return None
    target = desk.head.number + 1
    until = min(desk.head.number + max(1, remaining_blocks(desk, attempt)), verdict.valid_until_block)
    terms = PrivateTerms(
        relay=relay,
        is_bundle=is_bundle(attempt.route),
        target_block=target,
        until_block=max(target, until),
        replacement=replacement_name(attempt),
        before=tuple(row.raw for row in before),
    )
    routes.hand_over(attempt.hash, target if terms.is_bundle else terms.until_block)
    kinds = [write.kind, *(row.kind for row in before)]
    ends_s = [write.valid_until_s, *(other.valid_until_s for other in verdicts if other is not None)]
    strictest = max(kinds, key=_LOOSE_TO_STRICT.index)
    return replace(write, kind=strictest, valid_until_s=min(ends_s), terms=terms)


def withdrawal_of(attempt: AttemptRow) -> Withdrawal:
    """What its relay is told when nothing is wanted of it any more."""
    route = attempt.route
    return Withdrawal(relay_of(route), is_bundle(route), attempt.hash, replacement_name(attempt))


def remaining_blocks(desk: Desk, attempt: AttemptRow) -> int:
    """Of its window, by the longest wish of its intents; 0 or less once it is over."""
    plans = [desk.intents[number].plan for number, _ in attempt.intents if number in desk.intents]
    windows = [desk.parts.routes.window_of(plan) for plan in plans]
    window = max(windows, default=desk.parts.routes.policy.window_blocks)
    counted = desk.heads_since(attempt.committed_at_s)
    return window - (blocks_since(desk, attempt.committed_at_s) if counted is None else counted)


def replacement_name(attempt: AttemptRow) -> str:
    """The same for all bytes of one intent in one slot, so that what is newer replaces what is older at the
    relay, and another intent's alternative does not. A UUID of version 4 by its form."""
    number = attempt.intents[0][0] if attempt.intents else 0
    lane = attempt.lane
    named = b"seawall.replacement.1" + lane.key
    for value in (lane.chain_id, attempt.nonce, number):
        named += value.to_bytes(32)
    return str(uuid.UUID(bytes=keccak256(named)[:16], version=4))


def _before(desk: Desk, attempt: AttemptRow) -> list[AttemptRow]:
    return [row for row in desk.waiting(attempt.lane) if row.nonce < attempt.nonce]
