"""What loosens a sealed book: announced to the book first, written once its delay is over.

    late_of(writes) -> those that must wait -> (announcements read) -> in_time -> what can be written now

A guardian sees the very call that is announced, and can veto it. A deployer announces nothing: what is sealed
is loosened by whoever it was handed to.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from seawall.native import encode_call, keccak256
from seawall.primitives.blocks import Read
from seawall.primitives.errors import RolloutError
from seawall.primitives.units import Address
from seawall.protocols.answers import Answers
from seawall.protocols.executor.policy import proposal_call
from seawall.rollout.deployment.files import DeploymentWish
from seawall.rollout.deployment.wanted import Write

__all__ = ["LOOSENING_WINDOW_S", "announcement_read", "in_time", "late_of"]

# As in `TimeLocked`: what was not written for so long after its delay is announced anew.
LOOSENING_WINDOW_S: Final = 14 * 86_400
_WORD: Final = 32


def late_of(
    wish: DeploymentWish,
    writes: Sequence[Write],
    sealed: Collection[Address],
    answers: Answers,
    owners: Mapping[Address, Address | None],
) -> tuple[Write, ...]:
    """Those that must be announced; `sealed` are books in which anything is. `RolloutError` for what is not
    the owner's yet."""
    late = tuple(w for w in writes if w.target in sealed and w.loosens(answers.get(w.read.label) or b""))
    early = [one for one in late if owners.get(one.target) != wish.owner]
    if early:
        raise RolloutError(
            f"the policy is sealed, and {len(early)} changes loosen it: {early[0].text}",
            f"deployment {wish.name}",
            f"finish the deployment by the file as it was; then {wish.owner_name} announces them, and makes "
            "them after their delay",
        )
    return late


def announcement_read(write: Write) -> Read:
    """Answers the first second at which it may be written; zero: it was not announced."""
    call = encode_call("proposals(bytes32)", (keccak256(write.call),))
    return Read(f"{write.target.hex()}:{call.hex()}", write.target, call)


def in_time(
    writes: Sequence[Write], late: Sequence[Write], said: Answers, now_s: int
) -> tuple[list[Write], tuple[str, ...]]:
    """What can be written now, announcements included; and what waits, with its time."""
    now, waiting = [one for one in writes if one not in late], []
    for one in late:
        ready_s = int.from_bytes((said[announcement_read(one).label] or b"")[:_WORD])
        if not ready_s or now_s > ready_s + LOOSENING_WINDOW_S:
            now.append(_announcement(one))
        elif now_s < ready_s:
            when = datetime.fromtimestamp(ready_s, UTC)
            waiting.append(f"{one.text}: not before {when:%Y-%m-%d %H:%M:%SZ}")
        else:
            now.append(one)
    return now, tuple(waiting)


def _announcement(write: Write) -> Write:
    text = f"announced, to be done after its delay: {write.text}"
    call = proposal_call([write.call])
    return Write(text, write.target, call, announcement_read(write), any)
