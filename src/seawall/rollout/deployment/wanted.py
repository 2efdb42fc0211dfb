"""Everything that the deployer writes before it hands over, each write beside the read that shows it done.

Three stages, in this order: settings (roles, policy, caps), the closing (the backup is bound to the first
executor's policy, policies are sealed), and the offers of ownership. A stage begins when the one before it
stands on chain. After sealing nothing can be loosened at once any more, by whoever owns it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from seawall.native import AbiValue, abi_decode, abi_encode, encode_call, selector
from seawall.primitives.blocks import Read
from seawall.primitives.units import NATIVE, Address
from seawall.protocols.answers import Answers
from seawall.protocols.executor.policy import Policy, Role, TokenPolicy, registry_calls, role_call
from seawall.rollout.deployment.contracts import Contract, Fleet
from seawall.rollout.deployment.files import VALUE_DECIMALS, DeploymentWish

__all__ = ["Write", "closing", "offers", "settings", "surplus", "surplus_reads"]

_WORD: Final = 32
_ENTRY: Final = "(uint8,bool,uint128,address,(uint8,uint256)[])"
_LIST: Final = ("address", "address", "string", _ENTRY)
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
    for book in fleet.books:
        writes += [_guardian(book, guardian, wish.named(guardian)) for guardian in wish.guardians]
    writes += _policy(wish, fleet)
    writes += _caps(wish, fleet)
    return tuple(writes)


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


def _policy(wish: DeploymentWish, fleet: Fleet) -> Iterator[Write]:
    """In the order of `registry_calls`."""
    policy = Policy(
        fleet.executor.address, wish.listings, wish.tokens, wish.lenders, wish.factories, wish.sets
    )
    registry, name = fleet.registry.address, fleet.executor.address
    looks: list[tuple[str, Read, Holds]] = []
    for one in wish.sets:
        read = _read(registry, "membersOf(address,uint256)", (name, one.set_id))
        looks.append((f"set {one.set_id} has {len(one.members)} members", read, _holds_all(one.members)))
    for token in wish.tokens:
        read = _read(registry, "tokens(address,address)", (name, token.token))
        words = (int(token.token_class), int(token.allowance))
        text = f"token {wish.named(token.token)} is {_of_class(token)}"
        looks.append((text, read, _begins_with(words)))
    for lender in wish.lenders:
        read = _read(registry, "lenders(address,address)", (name, lender.lender))
        text = f"lender {wish.named(lender.lender)} ({lender.kind.name.lower()})"
        looks.append((text, read, _word_is(int(lender.kind))))
    for factory in wish.factories:
        read = _read(registry, "factories(address,address)", (name, factory.factory))
        expected = (
            int(factory.kind),
            int(factory.reduce),
            factory.fee_ppm,
            int.from_bytes(factory.init_code_hash),
        )
        text = f"factory {wish.named(factory.factory)} ({factory.kind.name.lower()})"
        looks.append((text, read, _begins_with(expected)))
    calls = registry_calls(policy)
    for listing, call in zip(wish.listings, calls[len(looks) :], strict=True):
        named = (name, listing.target, selector(listing.signature))
        read = _read(registry, "listingOf(address,address,bytes4)", named)
        text = f"{listing.signature} of {wish.named(listing.target)} is listed"
        looks.append((text, read, _listing_holds(call)))
    for (text, read, holds), call in zip(looks, calls, strict=True):
        yield Write(f"registry: {text}", registry, call, read, holds)


def _listing_holds(call: bytes) -> Holds:
    """What the registry answers of a listing is what its call wrote."""
    _, _, signature, entry = abi_decode(_LIST, call[4:])
    expected = abi_encode(("string", _ENTRY), (signature, entry))
    return lambda answer: answer == expected


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


def surplus_reads(fleet: Fleet) -> tuple[Read, ...]:
    """What the policy on chain holds, to be compared with the file."""
    registry, policy = fleet.registry.address, fleet.executor.address
    lists = ("listingsOf", "lendersOf", "factoriesOf", "trackedTokens")
    return tuple(_read(registry, f"{name}(address)", (policy,)) for name in lists)


def surplus(wish: DeploymentWish, fleet: Fleet, answers: Answers) -> tuple[Write, ...]:
    """Calls that take back what the policy on chain has and the file has not. Members of sets and caps of
    tokens that the file no longer names are not found: neither can be listed.
    """
    registry, policy = fleet.registry.address, fleet.executor.address
    items = [_items(answers.get(read.label)) for read in surplus_reads(fleet)]
    listed, lenders, factories, tracked = items
    writes: list[tuple[str, str, tuple[AbiValue, ...]]] = []
    wanted = {(one.target, selector(one.signature)) for one in wish.listings}
    for packed in listed:
        one, function = _low_address(packed), (packed >> 160).to_bytes(4)
        if (one, function) not in wanted:
            text = f"0x{function.hex()} of {wish.named(one)} is listed no more"
            writes.append((text, "unlist(address,address,bytes4)", (policy, one, function)))
    for one in set(map(_low_address, lenders)) - {entry.lender for entry in wish.lenders}:
        text = f"{wish.named(one)} lends no more"
        writes.append((text, "setLender(address,address,uint8)", (policy, one, 0)))
    for one in set(map(_low_address, factories)) - {entry.factory for entry in wish.factories}:
        text = f"factory {wish.named(one)} is trusted no more"
        signature = "setFactory(address,address,uint8,bytes32,uint24,bool)"
        writes.append((text, signature, (policy, one, 0, bytes(32), 0, False)))
    for one in set(map(_low_address, tracked)) - {entry.token for entry in wish.tokens} - {NATIVE}:
        text = f"token {wish.named(one)} is tracked no more"
        writes.append((text, "setToken(address,address,uint8,bool)", (policy, one, 0, False)))
    never = _read(registry, "owner()", ())
    return tuple(
        Write(f"registry: {text}", registry, encode_call(signature, values), never, lambda _: False)
        for text, signature, values in writes
    )


def _of_class(token: TokenPolicy) -> str:
    kind = token.token_class.name.lower().replace("_", " ")
    return f"{kind}, and calls may be allowed to take it" if token.allowance else kind


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


def _holds_all(members: Sequence[int]) -> Holds:
    return lambda answer: set(members) <= set(_words(answer)[2:])


def _items(answer: bytes | None) -> list[int]:
    """A list of words."""
    return [] if answer is None else _words(answer)[2:]


def _low_address(packed: int) -> Address:
    return Address((packed & (2**160 - 1)).to_bytes(20))
