"""How far a deployment is, read at one block: what is there, what is missing, and what stands against it.

    survey -> Survey.stage: the next thing to do, by whose hand; None when nothing is left
           -> Survey.problems: what must not be when it is called done

The last stage is the owner's: a Safe takes what it was offered. Done is only what the chain shows: every
contract with its code, every setting as written and none besides, every owner the Safe, no offer open, no
power left to the deployer, and a Safe with as many owners as the file wants. What loosens a sealed book is
announced to it first, and written once its delay is over: `Survey.waiting` says until when.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from seawall.chain.client import ChainClient
from seawall.chain.state import StateKeys
from seawall.native import encode_call
from seawall.primitives.blocks import Block, Read
from seawall.primitives.errors import RolloutError
from seawall.primitives.units import ZERO_ADDRESS, Address, address_text
from seawall.protocols.executor.policy_reading import (
    FoundPolicy,
    entry_reads,
    found_policy,
    index_reads,
)
from seawall.protocols.safe.state import SafeState, code_problem_of
from seawall.protocols.snapshots import snapshot
from seawall.rollout.deployment.contracts import DEPLOYERS, Contract, Fleet, deployer_of, fleet_of
from seawall.rollout.deployment.files import DeploymentWish
from seawall.rollout.deployment.late import announcement_read, in_time, late_of
from seawall.rollout.deployment.wanted import (
    Write,
    closing,
    dropped,
    offers,
    policy_writes,
    power_reads,
    settings,
)
from seawall.transactions.safes.looking import state_at

__all__ = ["OFFERS", "TAKE_CALL", "Stage", "Survey", "owners_writes", "survey"]

SETTINGS: Final = "settings"
OFFERS: Final = "offers of ownership"
_WORD: Final = 32
TAKE_CALL: Final = encode_call("takeOwnership()", ())


@dataclass(frozen=True, slots=True)
class Stage:
    """What is to be done next. Exactly one of the three is not empty."""

    name: str
    creations: tuple[Contract, ...] = ()
    writes: tuple[Write, ...] = ()
    takings: tuple[Contract, ...] = ()  # by the owner's Safe

    @property
    def hands_over(self) -> bool:
        return self.name == OFFERS or bool(self.takings)

    @property
    def lines(self) -> tuple[str, ...]:
        """Each step in words."""
        return (
            *(
                f"{one.role}: {one.artifact} is created at {address_text(one.address)}"
                for one in self.creations
            ),
            *(one.text for one in self.writes),
            *(f"{one.role}: its ownership is taken" for one in self.takings),
        )


@dataclass(frozen=True, slots=True)
class Survey:
    """The deployment at `block`."""

    wish: DeploymentWish
    block: Block
    fleet: Fleet
    codes: Mapping[Address, bytes]
    missing: tuple[Stage, ...]  # in the order in which they are done
    done: tuple[str, ...]  # what stands already, in words
    owners: Mapping[Address, Address]
    problems: tuple[str, ...]
    owner_problems: tuple[str, ...]  # those of the Safe that is to be the owner
    waiting: tuple[str, ...] = ()  # announced, and not to be written yet

    @property
    def stage(self) -> Stage | None:
        return self.missing[0] if self.missing else None

    @property
    def is_done(self) -> bool:
        return not (self.missing or self.problems or self.waiting)


async def survey(client: ChainClient, wish: DeploymentWish, multicall: Address | None) -> Survey:
    """At the head. Raises `RolloutError` for what cannot be deployed at all, `ChainError` if unreadable."""
    block = await client.head()
    fleet = fleet_of(wish, deployer_of(await _codes(client, DEPLOYERS, block)))
    codes = await _codes(client, [one.address for one in fleet.all], block)
    absent = tuple(one for one in fleet.all if not one.is_here(codes[one.address]))
    stages = (
        (SETTINGS, settings(wish, fleet)),
        ("closing", closing(wish, fleet)),
        (OFFERS, offers(wish, fleet)),
    )
    own = (*_own_reads(wish, fleet), *power_reads(wish, fleet))
    reads = {read.label: read for read in (*own, *(w.read for _, writes in stages for w in writes))}
    answers = (await snapshot(client, tuple(reads.values()), block, multicall)).values
    owners = {one.address: _address(answers[_label(one, "owner")]) for one in fleet.owned}
    present = [one for one in fleet.all if one not in absent]
    done = [f"{one.role}: {one.artifact} at {address_text(one.address)}" for one in present]
    missing = [Stage("contracts", creations=absent)]
    waiting: tuple[str, ...] = ()
    for name, writes in stages:
        open_ = [w for w in writes if not w.is_done(answers[w.read.label])]
        done += [w.text for w in writes if w not in open_]
        if name == SETTINGS:
            found = None if fleet.registry in absent else await _policy(client, fleet, block, multicall)
            open_ = [*dropped(wish, fleet, answers), *open_, *policy_writes(wish, fleet, found)]
            sealed = [one.address for one in fleet.books if any(answers[_label(one, "anySealed")] or b"")]
            late = late_of(wish, open_, sealed, answers, owners)
            said = (await snapshot(client, tuple(map(announcement_read, late)), block, multicall)).values
            open_, waiting = in_time(open_, late, said, block.timestamp_s)
        if name == OFFERS:
            open_ = [w for w in open_ if owners.get(w.target) != wish.owner]
        missing.append(Stage(name, writes=tuple(open_)))
    takings = tuple(one for one in fleet.owned if owners[one.address] != wish.owner)
    missing.append(Stage(f"taking of ownership by {wish.owner_name}", takings=takings))
    of_owner = _owner_problems(wish, await _safe(client, wish, block))
    problems = [*of_owner, *_left_over(wish, fleet, answers)]
    return Survey(
        wish,
        block,
        fleet,
        codes,
        tuple(stage for stage in missing if stage.lines),
        tuple(done),
        {address: owner for address, owner in owners.items() if owner is not None},
        tuple(problems),
        tuple(of_owner),
        waiting,
    )


def owners_writes(found: Survey, writes: Sequence[Write]) -> tuple[Write, ...]:
    """Those of `writes` that only the Safe can make. Raises `RolloutError` for what a stranger owns."""
    hands = (found.wish.deployer, found.wish.owner)
    lost = [one for one in writes if found.owners.get(one.target) not in hands]
    if lost:
        raise RolloutError(
            f"{len(lost)} settings differ, and neither the deployer nor the file's owner can write them: "
            f"{lost[0].text}",
            f"deployment {found.wish.name}",
            "name the present owner in the file, or have it change them",
        )
    return tuple(one for one in writes if found.owners[one.target] == found.wish.owner)


async def _policy(client: ChainClient, fleet: Fleet, block: Block, multicall: Address | None) -> FoundPolicy:
    registry, policy = fleet.registry.address, fleet.executor.address
    index = (await snapshot(client, index_reads(registry, policy), block, multicall)).values
    entries = (await snapshot(client, entry_reads(registry, policy, index), block, multicall)).values
    return found_policy(registry, policy, {**index, **entries})


async def _codes(client: ChainClient, addresses: Sequence[Address], block: Block) -> dict[Address, bytes]:
    return dict((await client.fetch_state(StateKeys(codes=tuple(addresses)), block)).codes)


async def _safe(client: ChainClient, wish: DeploymentWish, block: Block) -> tuple[SafeState, str | None]:
    state = await state_at(client, wish.owner, block)
    codes = await _codes(client, [state.safe, state.singleton], block)
    return state, code_problem_of(state, codes[state.safe], codes[state.singleton])


def _owner_problems(wish: DeploymentWish, found: tuple[SafeState, str | None]) -> list[str]:
    state, code_problem = found
    problems = [] if code_problem is None else [code_problem]
    if state.threshold < wish.threshold_min or len(state.owners) < wish.owners_min:
        problems.append(
            f"{wish.owner_name} is {state.threshold} of {len(state.owners)}, "
            f"and should be {wish.threshold_min} of {wish.owners_min} or more"
        )
    if wish.deployer in state.owners and state.threshold == 1:
        problems.append(f"the deployer alone can sign for {wish.owner_name}")
    return problems


def _own_reads(wish: DeploymentWish, fleet: Fleet) -> tuple[Read, ...]:
    """Owners, offers, and what power the deployer has."""
    who = (wish.deployer,)
    asked: list[tuple[Contract, str, tuple[Address, ...]]] = []
    asked += [(one, name, ()) for one in fleet.owned for name in ("owner", "pendingOwner")]
    asked += [(one, "rolesOf", who) for one in fleet.executors]
    asked += [(one, name, who) for one in fleet.books for name in ("isGuardian", "isBinder")]
    asked += [(one, "anySealed", ()) for one in fleet.books]
    return tuple(
        Read(_label(one, name), one.address, encode_call(f"{name}({'address' if values else ''})", values))
        for one, name, values in asked
    )


def _left_over(wish: DeploymentWish, fleet: Fleet, answers: Mapping[str, bytes | None]) -> list[str]:
    """Powers of the deployer, and offers to strangers. What cannot be read is no proof of absence."""
    problems = []
    for one in fleet.owned:
        offered = _address(answers[_label(one, "pendingOwner")])
        if offered not in (None, ZERO_ADDRESS, wish.owner):
            problems.append(f"{one.role}: ownership is offered to {address_text(offered)}")
    for one, name, what in (
        *((one, "rolesOf", "a role") for one in fleet.executors),
        *((one, "isGuardian", "a veto") for one in fleet.books),
        *((one, "isBinder", "the binder's right") for one in fleet.books),
    ):
        answer = answers[_label(one, name)]
        if answer is not None and any(answer):
            problems.append(f"{one.role}: the deployer has {what}")
    return problems


def _label(one: Contract, name: str) -> str:
    return f"own:{one.role}:{name}"


def _address(answer: bytes | None) -> Address | None:
    return None if answer is None or len(answer) < _WORD else Address(answer[12:_WORD])
