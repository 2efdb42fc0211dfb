"""Doing what a survey says is missing, stage by stage, and finding out whether it is done.

Each stage goes to the running kernel as plans of the deployer's lane, and is followed until it has landed;
then the chain is looked at again. What only the owner may do becomes one proposal to its Safe, if none of the
same calls is open: to take what it was offered, and afterwards whatever the file changes. Its owners sign and
execute it, and the same command finds the end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from seawall.chain.addresses import AddressBook
from seawall.ledger.safes import ProposalState
from seawall.ledger.transaction import Transaction
from seawall.native import keccak256
from seawall.primitives.errors import RolloutError
from seawall.primitives.units import Address, address_text, hex_text
from seawall.protocols.safe.multisend import InnerCall, calls_of
from seawall.rollout.deployment.surveying import TAKE_CALL, Stage, Survey, owners_writes
from seawall.runtime.commands import Answer
from seawall.runtime.handing_in import HandedCall, Hatch
from seawall.transactions.safes.desk import transaction_of

__all__ = ["Outcome", "Parts", "deploy", "open_proposal", "owners_calls", "record"]

# Of stages and looks: each stage is done once, and looked at once more.
ROUNDS_MAX: Final = 12
PROPOSALS_LOOKED_AT_MAX: Final = 200
_KEY_BYTES: Final = 6


class Ask(Protocol):
    def __call__(self, name: str, body: dict[str, object]) -> Answer:
        """One command to the running kernel."""
        ...


@dataclass(frozen=True, slots=True)
class Parts:
    """What a deployment needs from outside."""

    look: Callable[[], Survey]
    hatch: Hatch
    ask: Ask
    proposals: Callable[[Survey], int | None]  # an open proposal of the same calls
    tell: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """`proposal`: the owners' turn. `survey.is_done` only where nothing is open."""

    survey: Survey
    proposal: int | None = None


def deploy(parts: Parts) -> Outcome:
    """Until it is done, or until it is the owners' turn."""
    before: Stage | None = None
    for _ in range(ROUNDS_MAX):
        found = parts.look()
        stage = found.stage
        if stage is None:
            return Outcome(found)
        if stage.hands_over and found.owner_problems:
            raise RolloutError(
                f"nothing is handed over yet: {'; '.join(found.owner_problems)}",
                f"deployment {found.wish.name}, block {found.block.number}",
                f"mend {found.wish.owner_name}, or correct the file, and run the same again",
            )
        if owners_calls(found, stage):
            return Outcome(found, _propose(parts, found, stage))
        if before is not None and set(before.lines) & set(stage.lines):
            what = next(line for line in stage.lines if line in before.lines)
            raise RolloutError(
                f"a step landed, and the chain does not show it: {what}",
                f"deployment {found.wish.name}, block {found.block.number}",
                "look at its transaction; if the block went away, run the same again",
            )
        parts.tell(f"{stage.name}: {len(stage.lines)} steps")
        parts.hatch.follow(parts.hatch.hand_in(_calls(found, stage)))
        before = stage
    raise RolloutError(
        f"not done after {ROUNDS_MAX} rounds", "deployment", "run the same again; report it if it stays"
    )


def record(found: Survey, book: AddressBook, path: Path) -> tuple[str, ...]:
    """Write what was deployed into the project's address book; the names."""
    names = []
    for one in found.fleet.all:
        entry = one.entry(found.wish, found.codes[one.address])
        book.put(entry)
        names.append(entry.name)
    book.write(path)
    return tuple(names)


def open_proposal(tx: Transaction, found: Survey) -> int | None:
    """The newest open proposal to the owner that makes exactly the calls that are missing."""
    stage = found.stage
    wanted = owners_calls(found, stage) if stage is not None else ()
    for row in tx.safes.listing(PROPOSALS_LOOKED_AT_MAX):
        is_open = row.state in (ProposalState.OPEN, ProposalState.EXECUTING)
        if row.safe == found.wish.owner and is_open and calls_of(transaction_of(row)) == wanted:
            return row.number
    return None


def owners_calls(found: Survey, stage: Stage) -> tuple[InnerCall, ...]:
    """What of this stage only the owner's Safe can do, before anybody else does the rest of it."""
    return (
        *(InnerCall(one.target, 0, one.call) for one in owners_writes(found, stage.writes)),
        *(InnerCall(one.address, 0, TAKE_CALL) for one in stage.takings),
    )


def _calls(found: Survey, stage: Stage) -> tuple[HandedCall, ...]:
    wish = found.wish
    steps: list[tuple[Address, bytes, str]] = [
        (found.fleet.deployer, one.call, f"create {one.role}") for one in stage.creations
    ]
    steps += [(one.target, one.call, one.text) for one in stage.writes]
    return tuple(
        HandedCall(_key(wish.name, target, call), wish.deployer, target, call, f"deploy {wish.name}: {text}")
        for target, call, text in steps
    )


def _propose(parts: Parts, found: Survey, stage: Stage) -> int:
    known = parts.proposals(found)
    if known is not None:
        return known
    calls = [
        {"to": address_text(one.to), "value_wei": "0", "data": hex_text(one.data)}
        for one in owners_calls(found, stage)
    ]
    body: dict[str, object] = {"safe": found.wish.owner_name, "calls": calls}
    answer = parts.ask("safe_propose", {**body, "note": f"deploy {found.wish.name}: {stage.name}"})
    number = answer["number"]
    assert isinstance(number, int), "a proposal has a number"
    return number


def _key(name: str, target: Address, call: bytes) -> str:
    return f"deploy:{name}:{keccak256(target + call)[:_KEY_BYTES].hex()}"
