"""Everything that is written by who owns it, each write beside the read that shows it done.

Three stages, in this order: settings (roles, floors and caps, what the file does not name taken back; the
policy by the registry's own difference), the closing (the backup is bound to the first executor's policy,
policies are sealed), and the offers of ownership. A stage begins when the one before it stands on chain. What
is sealed nobody can loosen at once any more, whoever owns it: such a write says so, and is announced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from seawall.native import AbiValue, encode_call
from seawall.primitives.blocks import Read
from seawall.primitives.units import NATIVE, ZERO_ADDRESS, Address
from seawall.protocols.answers import Answers
from seawall.protocols.executor.policy import (
    Policy,
    Role,
    health_floor_call,
    health_floor_read,
    role_call,
)
from seawall.protocols.executor.policy_reading import FoundPolicy, policy_diff
from seawall.rollout.deployment.contracts import Contract, Fleet
from seawall.rollout.deployment.files import VALUE_DECIMALS, DeploymentWish

__all__ = [
    "Write",
    "closing",
    "dropped",
    "offers",
    "policy_of",
    "policy_writes",
    "power_reads",
    "settings",
]

_WORD: Final = 32
_WAD_DECIMALS: Final = 18
_ADDRESS_BITS: Final = 160
Holds = Callable[[bytes], bool]


def _never(_answer: bytes) -> bool:
    return False


def _always(_answer: bytes) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Write:
    """One call of the owner, and how the chain shows that it was made."""

    text: str
    target: Address
    call: bytes
    read: Read
    holds: Holds
    loosens: Holds = _never  # by what the chain says now: then it waits, where anything is sealed

    def is_done(self, answer: bytes | None) -> bool:
        return answer is not None and self.holds(answer)


def settings(wish: DeploymentWish, fleet: Fleet) -> tuple[Write, ...]:
    """Roles and floor of every executor, and what may be lost."""
    writes: list[Write] = []
    for executor in fleet.executors:
        writes += [
            _role(wish, executor, role, account) for role, accounts in _held(wish) for account in accounts
        ]
        if wish.health_floor_wad is not None:
            writes.append(_floor(executor, wish.health_floor_wad))
    if fleet.factory is not None:
        what = "the account factory may bind accounts to sealed policies"
        writes += [_binder(book, fleet.factory.address, what) for book in fleet.books]
    for book in fleet.books:
        writes += [_guardian(wish, book, guardian) for guardian in wish.guardians]
    writes += _caps(wish, fleet)
    return tuple(writes)


def power_reads(wish: DeploymentWish, fleet: Fleet) -> tuple[Read, ...]:
    """Who has a role, a veto or the binder's right, whoever they are; and what may leave without a cap in the
    file."""
    return (
        *(_read(one.address, "roleHolders()", ()) for one in fleet.executors),
        *(_read(book.address, f"{name}()", ()) for book in fleet.books for name in ("guardians", "binders")),
        *(_uncapped(wish, fleet, token).read for token in _without_cap(wish)),
    )


def dropped(wish: DeploymentWish, fleet: Fleet, answers: Answers) -> tuple[Write, ...]:
    """Powers that stand on chain and not in the file: taken back. A guardian of a sealed book goes late."""
    capless = [_uncapped(wish, fleet, token) for token in _without_cap(wish)]
    writes = [one for one in capless if _words(answers.get(one.read.label) or b"")[:1] not in ([], [0])]
    for executor in fleet.executors:
        for packed in _listed(answers, executor.address, "roleHolders()"):
            account, roles = _account(packed), packed >> _ADDRESS_BITS
            for role, accounts in _held(wish):
                if roles & role and account not in accounts:
                    writes.append(_role(wish, executor, role, account, granted=False))
    for book in fleet.books:
        guardians = map(_account, _listed(answers, book.address, "guardians()"))
        writes += [
            _guardian(wish, book, one, granted=False) for one in guardians if one not in wish.guardians
        ]
        for binder in map(_account, _listed(answers, book.address, "binders()")):
            if fleet.factory is None or binder != fleet.factory.address:
                writes.append(
                    _binder(book, binder, f"{wish.named(binder)} may no longer bind", granted=False)
                )
    return tuple(writes)


def policy_of(wish: DeploymentWish, fleet: Fleet) -> Policy:
    """As the file wants it."""
    policy = fleet.executor.address
    return Policy(policy, wish.listings, wish.tokens, wish.lenders, wish.factories, wish.sets)


def policy_writes(wish: DeploymentWish, fleet: Fleet, found: FoundPolicy | None) -> tuple[Write, ...]:
    """What turns the policy on chain into the file's, what tightens first; None: there is no registry yet."""
    wanted, registry = policy_of(wish, fleet), fleet.registry.address
    present = Policy(wanted.executor) if found is None else found.policy
    changes = policy_diff(wanted, present)
    unread = _read(registry, "owner()", ())
    return tuple(
        Write(
            f"registry: {wish.in_names(change.text)}",
            registry,
            change.call,
            unread,
            _never,
            _always if change.loosens else _never,
        )
        for change in changes
    )


def closing(wish: DeploymentWish, fleet: Fleet) -> tuple[Write, ...]:
    """The backup is put under the same policy; then what was set up is sealed."""
    policy, books = fleet.executor.address, fleet.books
    writes = []
    if fleet.backup is not None:
        bound = fleet.backup.address
        writes = [
            _write(
                f"{book.role}: the backup is under the executor's policy",
                book.address,
                ("bind(address,address)", (bound, policy)),
                ("policyOf(address)", (bound,)),
                _word_is(int.from_bytes(policy)),
            )
            for book in books
        ]
    if wish.seal:
        writes += [
            _write(
                f"{book.role}: the policy of the {executor.role} is sealed",
                book.address,
                ("seal(address)", (executor.address,)),
                ("isSealed(address)", (executor.address,)),
                _word_is(1),
            )
            for book in books
            for executor in fleet.executors
        ]
    return tuple(writes)


def offers(wish: DeploymentWish, fleet: Fleet) -> tuple[Write, ...]:
    """Ownership, offered to the Safe; it is taken by a transaction of its own."""
    owner = int.from_bytes(wish.owner)
    return tuple(
        _write(
            f"{one.role}: ownership is offered to {wish.owner_name}",
            one.address,
            ("offerOwnership(address)", (wish.owner,)),
            ("pendingOwner()", ()),
            _word_is(owner),
        )
        for one in fleet.owned
    )


def _held(wish: DeploymentWish) -> tuple[tuple[Role, tuple[Address, ...]], ...]:
    return (Role.OPERATOR, wish.operators), (Role.PAUSER, wish.pausers), (Role.GUARDIAN, wish.guardians)


def _role(
    wish: DeploymentWish, executor: Contract, role: Role, account: Address, *, granted: bool = True
) -> Write:
    verb = "is" if granted else "is no longer"
    has = _has_bit(int(role))
    return Write(
        f"{executor.role}: {wish.named(account)} {verb} {str(role.name).lower()}",
        executor.address,
        role_call(account, role, granted),
        _read(executor.address, "rolesOf(address)", (account,)),
        has if granted else lambda answer: not has(answer),
    )


def _floor(executor: Contract, floor_wad: int) -> Write:
    shown = f"no plan brings a health factor below {_shown(floor_wad, _WAD_DECIMALS)}"
    return Write(
        f"{executor.role}: {shown if floor_wad else 'there is no floor under health factors'}",
        executor.address,
        health_floor_call(floor_wad),
        health_floor_read(executor.address),
        _word_is(floor_wad),
    )


def _guardian(wish: DeploymentWish, book: Contract, guardian: Address, *, granted: bool = True) -> Write:
    verb = "may veto" if granted else "may no longer veto"
    return _write(
        f"{book.role}: {wish.named(guardian)} {verb} what loosens",
        book.address,
        ("setGuardian(address,bool)", (guardian, granted)),
        ("isGuardian(address)", (guardian,)),
        _word_is(int(granted)),
        _never if granted else _always,
    )


def _binder(book: Contract, binder: Address, what: str, *, granted: bool = True) -> Write:
    return _write(
        f"{book.role}: {what}",
        book.address,
        ("setBinder(address,bool)", (binder, granted)),
        ("isBinder(address)", (binder,)),
        _word_is(int(granted)),
        _always if granted else _never,
    )


def _caps(wish: DeploymentWish, fleet: Fleet) -> Iterator[Write]:
    book, policy = fleet.risk_book.address, fleet.executor.address
    for cap in wish.caps:
        limit = (cap.feed, cap.heartbeat_s, cap.decimals, cap.capacity, cap.refill_per_s)
        most = _shown(cap.capacity, cap.decimals)
        yield _write(
            f"risk_book: of {wish.named(cap.token)} at most {most} leave at once",
            book,
            (
                "setTokenLimit(address,address,(address,uint32,uint8,uint128,uint128))",
                (policy, cap.token, limit),
            ),
            ("tokenLimits(address,address)", (policy, cap.token)),
            _begins_with((int.from_bytes(cap.feed), *limit[1:])),
            _has_looser_cap((int.from_bytes(cap.feed), *limit[1:])),
        )
    losses = (wish.losses.per_execution, wish.losses.capacity, wish.losses.refill_per_s)
    yield _write(
        f"risk_book: an execution loses at most {_shown(wish.losses.per_execution, VALUE_DECIMALS)} USD",
        book,
        ("setLossLimit(address,(uint128,uint128,uint128))", (policy, losses)),
        ("lossLimits(address)", (policy,)),
        _begins_with(losses),
        lambda answer: any(new > old for new, old in zip(losses, _words(answer), strict=False)),
    )
    for one in wish.health:
        source = (one.kind, one.source, one.market)
        words = (one.kind, int.from_bytes(one.source), int.from_bytes(one.market))
        yield _write(
            f"risk_book: health is read of {wish.named(one.source)}",
            book,
            ("setHealthSource(address,(uint8,address,bytes32),bool)", (policy, source, True)),
            ("healthSources(address)", (policy,)),
            _contains(words),
        )


def _without_cap(wish: DeploymentWish) -> list[Address]:
    """Of what executors have: the native coin always."""
    capped = {cap.token for cap in wish.caps}
    return [token for token in (NATIVE, *(one.token for one in wish.tokens)) if token not in capped]


def _uncapped(wish: DeploymentWish, fleet: Fleet, token: Address) -> Write:
    policy = fleet.executor.address
    limit = "(address,uint32,uint8,uint128,uint128)"
    what = "the native coin" if token == NATIVE else wish.named(token)
    return _write(
        f"risk_book: nothing of {what} may leave any more",
        fleet.risk_book.address,
        (f"setTokenLimit(address,address,{limit})", (policy, token, (ZERO_ADDRESS, 0, 0, 0, 0))),
        ("tokenLimits(address,address)", (policy, token)),
        _word_is(0),
    )


def _shown(amount: int, decimals: int) -> str:
    whole, fraction = divmod(amount, 10**decimals)
    tail = f"{fraction:0{decimals}d}".rstrip("0") if decimals else ""
    return f"{whole}.{tail}" if tail else str(whole)


_Call = tuple[str, tuple[AbiValue, ...]]


def _write(
    text: str, target: Address, call: _Call, look: _Call, holds: Holds, loosens: Holds = _never
) -> Write:
    return Write(text, target, encode_call(*call), _read(target, *look), holds, loosens)


def _read(target: Address, signature: str, values: tuple[AbiValue, ...]) -> Read:
    call = encode_call(signature, values)
    return Read(f"{target.hex()}:{call.hex()}", target, call)


def _words(answer: bytes) -> list[int]:
    return [int.from_bytes(answer[at : at + _WORD]) for at in range(0, len(answer) - _WORD + 1, _WORD)]


def _word_is(expected: int) -> Holds:
    return lambda answer: _words(answer)[:1] == [expected]


def _has_bit(bit: int) -> Holds:
    return lambda answer: bool(_words(answer) and _words(answer)[0] & bit)


def _begins_with(expected: Sequence[int]) -> Holds:
    return lambda answer: _words(answer)[: len(expected)] == list(expected)


def _has_looser_cap(wanted: Sequence[int]) -> Holds:
    """Than the chain's: as the risk book compares. Feed, heartbeat, decimals, capacity, refill."""

    def loosens(answer: bytes) -> bool:
        feed, heartbeat_s, _, capacity, refill = (*_words(answer), *[0] * len(wanted))[: len(wanted)]
        grown = (heartbeat_s < wanted[1], capacity < wanted[3], refill < wanted[4])
        return feed != wanted[0] or any(grown)

    return loosens


def _listed(answers: Answers, target: Address, signature: str) -> list[int]:
    """A list of words; empty where the contract is not there yet."""
    answer = answers.get(_read(target, signature, ()).label)
    return _words(answer)[2:] if answer else []


def _account(packed: int) -> Address:
    return Address((packed % 2**_ADDRESS_BITS).to_bytes(20, "big"))


def _contains(expected: Sequence[int]) -> Holds:
    """A list of records of so many words each holds this one."""
    size = len(expected)

    def holds(answer: bytes) -> bool:
        words = _words(answer)[2:]
        return list(expected) in [words[at : at + size] for at in range(0, len(words), size)]

    return holds
