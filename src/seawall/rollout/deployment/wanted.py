"""Everything that the deployer writes before it hands over, each write beside the read that shows it done.

Three stages, in this order: settings (roles and caps; the policy by the registry's own difference), the
closing (the backup is bound to the first executor's policy, policies are sealed), and the offers of
ownership. A stage begins when the one before it stands on chain. After sealing nothing can be loosened at
once any more, by whoever owns it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from seawall.native import AbiValue, encode_call
from seawall.primitives.blocks import Read
from seawall.primitives.errors import RolloutError
from seawall.primitives.units import Address
from seawall.protocols.executor.policy import Policy, Role, role_call
from seawall.protocols.executor.policy_reading import FoundPolicy, policy_diff
from seawall.rollout.deployment.contracts import Contract, Fleet
from seawall.rollout.deployment.files import VALUE_DECIMALS, DeploymentWish

__all__ = ["Write", "closing", "offers", "policy_of", "policy_writes", "settings"]

_WORD: Final = 32
Holds = Callable[[bytes], bool]


@dataclass(frozen=True, slots=True)
class Write:
    """One call of the owner, and how the chain shows that it was made."""

    text: str
    target: Address
    call: bytes
    read: Read
    holds: Holds

    def is_done(self, answer: bytes | None) -> bool:
        return answer is not None and self.holds(answer)


def settings(wish: DeploymentWish, fleet: Fleet) -> tuple[Write, ...]:
    """Roles of every executor, the policy, and what may be lost."""
    writes: list[Write] = []
    for executor in fleet.executors:
        writes += _roles(wish, executor)
    if fleet.factory is not None:
        writes += [_binder(book, fleet.factory) for book in fleet.books]
    for book in fleet.books:
        writes += [_guardian(book, guardian, wish.named(guardian)) for guardian in wish.guardians]
    writes += _caps(wish, fleet)
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
    late = [change for change in changes if change.loosens and found is not None and found.sealed]
    if late:
        raise RolloutError(
            f"the policy is sealed, and {len(late)} changes loosen it: {wish.in_names(late[0].text)}",
            f"deployment {wish.name}",
            f"{wish.owner_name} proposes them to the registry, and makes them after their delay",
        )
    never = _read(registry, "owner()", ())
    return tuple(
        Write(f"registry: {wish.in_names(change.text)}", registry, change.call, never, lambda _: False)
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


def _roles(wish: DeploymentWish, executor: Contract) -> Iterator[Write]:
    held = ((Role.OPERATOR, wish.operators), (Role.PAUSER, wish.pausers), (Role.GUARDIAN, wish.guardians))
    for role, accounts in held:
        for account in accounts:
            yield Write(
                f"{executor.role}: {wish.named(account)} is {str(role.name).lower()}",
                executor.address,
                role_call(account, role),
                _read(executor.address, "rolesOf(address)", (account,)),
                _has_bit(int(role)),
            )


def _guardian(book: Contract, guardian: Address, name: str) -> Write:
    return _write(
        f"{book.role}: {name} may veto what loosens",
        book.address,
        ("setGuardian(address,bool)", (guardian, True)),
        ("isGuardian(address)", (guardian,)),
        _word_is(1),
    )


def _binder(book: Contract, factory: Contract) -> Write:
    return _write(
        f"{book.role}: the account factory may bind accounts to sealed policies",
        book.address,
        ("setBinder(address,bool)", (factory.address, True)),
        ("isBinder(address)", (factory.address,)),
        _word_is(1),
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
        )
    losses = (wish.losses.per_execution, wish.losses.capacity, wish.losses.refill_per_s)
    yield _write(
        f"risk_book: an execution loses at most {_shown(wish.losses.per_execution, VALUE_DECIMALS)} USD",
        book,
        ("setLossLimit(address,(uint128,uint128,uint128))", (policy, losses)),
        ("lossLimits(address)", (policy,)),
        _begins_with(losses),
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


def _shown(amount: int, decimals: int) -> str:
    whole, fraction = divmod(amount, 10**decimals)
    tail = f"{fraction:0{decimals}d}".rstrip("0") if decimals else ""
    return f"{whole}.{tail}" if tail else str(whole)


_Call = tuple[str, tuple[AbiValue, ...]]


def _write(text: str, target: Address, call: _Call, look: _Call, holds: Holds) -> Write:
    return Write(text, target, encode_call(*call), _read(target, *look), holds)


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


def _contains(expected: Sequence[int]) -> Holds:
    """A list of records of so many words each holds this one."""
    size = len(expected)

    def holds(answer: bytes) -> bool:
        words = _words(answer)[2:]
        return list(expected) in [words[at : at + size] for at in range(0, len(words), size)]

    return holds
