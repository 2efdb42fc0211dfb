"""What others may do with what is ours: allowances, delegations, authorisations, modules and roles.

Flow: `filters` ask for the logs that ever gave such a right -> `candidates` of those logs -> `reads` of one
block -> `grants`: what is outstanding there, verified -> `revocations`: the calls that take it back. Logs
alone prove nothing: anybody may emit an `Approval` in our name, and only what the contract answers counts. A
contract that is not in the address book may lie there too: whoever revokes looks at it before he calls it.

Kinds: ERC-20 allowances (of Compound's managers too, whose event it is), approvals of one NFT and of all
(ERC-721, ERC-1155, ERC-6909), Aave's credit delegations, Morpho's authorisations, Balancer's relayers,
Permit2, modules of Safes, roles on our executors and offers of their ownership.

Sans-I/O. Does not know rights that leave no event, nor permits that were signed and not used yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from seawall.native import AbiValue, abi_decode, encode_call, event_topic
from seawall.primitives.blocks import Log, LogFilter, Read
from seawall.primitives.errors import EncodingError
from seawall.primitives.units import ZERO_ADDRESS, Address, Hash
from seawall.protocols.answers import Answers

__all__ = [
    "PERMIT2",
    "UNLIMITED_FROM",
    "Candidate",
    "Grant",
    "GrantKind",
    "candidates",
    "filters",
    "grants",
    "reads",
    "revocations",
    "standing_candidates",
]

PERMIT2: Final = Address(bytes.fromhex("000000000022D473030F116dDEE9F6B43aC78BA3"))
"""The same on every chain, by its authors' CREATE2 deployment."""
UNLIMITED_FROM: Final = 2**95
"""Amounts from here on are meant as "whatever there is": some tokens keep 96 bits."""
MODULES_MAX: Final = 32

_SENTINEL: Final = Address((1).to_bytes(20))
_WORD: Final = 32


class GrantKind(StrEnum):
    ALLOWANCE = "allowance"
    NFT = "nft"
    OPERATOR = "operator"  # of all NFTs of a contract
    CREDIT = "credit_delegation"
    MORPHO = "morpho_authorization"
    RELAYER = "balancer_relayer"
    PERMIT2 = "permit2"
    MODULE = "safe_module"
    ROLE = "role"
    OWNERSHIP = "ownership_offer"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A right that somebody may have. `item`: an NFT's id, Permit2's token, or the bit of a role."""

    kind: GrantKind
    contract: Address
    holder: Address
    grantee: Address
    item: int = 0


@dataclass(frozen=True, slots=True)
class Grant:
    """A right that somebody has at the block that was read."""

    candidate: Candidate
    amount: int | None = None  # [smallest unit]; None: whatever there is
    expires_s: int | None = None  # Permit2 alone

    @property
    def is_unlimited(self) -> bool:
        return self.amount is None or self.amount >= UNLIMITED_FROM


_APPROVAL: Final = event_topic("Approval(address,address,uint256)")
_FOR_ALL: Final = event_topic("ApprovalForAll(address,address,bool)")
_OPERATOR_SET: Final = event_topic("OperatorSet(address,address,bool)")
_DELEGATED: Final = event_topic("BorrowAllowanceDelegated(address,address,address,uint256)")
_AUTHORIZED: Final = event_topic("SetAuthorization(address,address,address,bool)")
_RELAYER: Final = event_topic("RelayerApprovalChanged(address,address,bool)")
_PERMIT2_APPROVAL: Final = event_topic("Approval(address,address,address,uint160,uint48)")
_PERMIT2_PERMIT: Final = event_topic("Permit(address,address,address,uint160,uint48,uint48)")
_ROLE: Final = event_topic("RoleChanged(address,uint8,bool)")
_FROM_FIRST: Final = (
    _APPROVAL, _FOR_ALL, _OPERATOR_SET, _DELEGATED, _PERMIT2_APPROVAL, _PERMIT2_PERMIT,
)  # fmt: skip
_FROM_SECOND: Final = (_AUTHORIZED, _RELAYER)


@dataclass(frozen=True, slots=True)
class _Form:
    """Where an event has what: places of topics; 0 for the contract itself as holder, or for no item."""

    kind: GrantKind
    holder: int
    grantee: int
    item: int = 0
    mark: int = 0  # an item that the event itself implies


# By event and number of topics: ERC-20 and ERC-721 share a name, and differ in what is indexed.
_FORMS: Final[Mapping[tuple[bytes, int], _Form]] = {
    (_APPROVAL, 3): _Form(GrantKind.ALLOWANCE, 1, 2),
    (_APPROVAL, 4): _Form(GrantKind.NFT, 1, 2, item=3),
    (_FOR_ALL, 3): _Form(GrantKind.OPERATOR, 1, 2),
    (_OPERATOR_SET, 3): _Form(GrantKind.OPERATOR, 1, 2, mark=1),
    (_DELEGATED, 4): _Form(GrantKind.CREDIT, 1, 2),
    (_AUTHORIZED, 4): _Form(GrantKind.MORPHO, 2, 3),
    (_RELAYER, 3): _Form(GrantKind.RELAYER, 2, 1),
    (_PERMIT2_APPROVAL, 4): _Form(GrantKind.PERMIT2, 1, 3, item=2),
    (_PERMIT2_PERMIT, 4): _Form(GrantKind.PERMIT2, 1, 3, item=2),
    (_ROLE, 3): _Form(GrantKind.ROLE, 0, 1, item=2),
}


def filters(holders: Sequence[Address], executors: Sequence[Address]) -> Mapping[str, LogFilter]:
    """The questions by name: rights that `holders` gave, and roles on `executors`."""
    named = tuple(Hash(bytes(12) + holder) for holder in holders)
    found: dict[str, LogFilter] = {}
    if named:
        found["given"] = LogFilter((), (tuple(map(Hash, _FROM_FIRST)), named))
        found["authorized"] = LogFilter((), (tuple(map(Hash, _FROM_SECOND)), (), named))
    if executors:
        found["roles"] = LogFilter(tuple(executors), ((Hash(_ROLE),),))
    return found


def candidates(logs: Iterable[Log]) -> tuple[Candidate, ...]:
    """Each right once, in the order first seen; logs of another shape are nobody's rights."""
    found = {one: None for one in map(_candidate_of, logs) if one is not None}
    return tuple(found)


def standing_candidates(safes: Sequence[Address], executors: Sequence[Address]) -> tuple[Candidate, ...]:
    """What is asked of a contract without a log: modules of Safes, offers of ownership."""
    return (
        *(Candidate(GrantKind.MODULE, safe, safe, ZERO_ADDRESS) for safe in safes),
        *(Candidate(GrantKind.OWNERSHIP, executor, executor, ZERO_ADDRESS) for executor in executors),
    )


def reads(wanted: Sequence[Candidate]) -> tuple[Read, ...]:
    """What `grants` needs to be answered, at one block."""
    return tuple(
        Read(f"{place}:{part}", target, encode_call(signature, values))
        for place, one in enumerate(wanted)
        for part, (target, signature, values) in enumerate(_calls(one))
    )


def grants(wanted: Sequence[Candidate], answers: Answers, timestamp_s: int) -> tuple[Grant, ...]:
    """What of `wanted` stands, by the answers of one block with this time."""
    found: list[Grant] = []
    for place, one in enumerate(wanted):
        parts = [answers.get(f"{place}:{part}") for part in range(len(_calls(one)))]
        found += _grants_of(one, parts, timestamp_s)
    return tuple(found)


def revocations(
    chosen: Sequence[Grant], standing: Sequence[Grant]
) -> tuple[tuple[Grant, Address, bytes], ...]:
    """For each of `chosen` the contract and calldata that take it back, to be called in this order.

    The holder calls; for a role and an offer of ownership the owner of the executor. `standing` are all
    grants as they were read: a Safe keeps its modules as a chain, and each is taken out of it by naming the
    one before it.
    """
    chains: dict[Address, list[Address]] = {}
    for one in (grant.candidate for grant in standing if grant.candidate.kind is GrantKind.MODULE):
        chains.setdefault(one.contract, []).append(one.grantee)
    calls = []
    for grant in chosen:
        one = grant.candidate
        previous = _SENTINEL
        if one.kind is GrantKind.MODULE:
            chain = chains[one.contract]
            place = chain.index(one.grantee)
            previous = chain[place - 1] if place else _SENTINEL
            chain.remove(one.grantee)
        calls.append((grant, one.contract, _revoking(one, previous)))
    return tuple(calls)


def _revoking(one: Candidate, previous: Address) -> bytes:
    who = one.grantee
    match one.kind:
        case GrantKind.ALLOWANCE:
            return encode_call("approve(address,uint256)", (who, 0))
        case GrantKind.NFT:
            return encode_call("approve(address,uint256)", (ZERO_ADDRESS, one.item))
        case GrantKind.OPERATOR:
            signature = "setOperator(address,bool)" if one.item else "setApprovalForAll(address,bool)"
            return encode_call(signature, (who, False))
        case GrantKind.CREDIT:
            return encode_call("approveDelegation(address,uint256)", (who, 0))
        case GrantKind.MORPHO:
            return encode_call("setAuthorization(address,bool)", (who, False))
        case GrantKind.RELAYER:
            return encode_call("setRelayerApproval(address,address,bool)", (one.holder, who, False))
        case GrantKind.PERMIT2:
            values = (Address(one.item.to_bytes(20)), who, 0, 0)
            return encode_call("approve(address,address,uint160,uint48)", values)
        case GrantKind.MODULE:
            return encode_call("disableModule(address,address)", (previous, who))
        case GrantKind.ROLE:
            return encode_call("setRole(address,uint8,bool)", (who, one.item, False))
        case GrantKind.OWNERSHIP:
            return encode_call("offerOwnership(address)", (ZERO_ADDRESS,))


def _candidate_of(log: Log) -> Candidate | None:
    form = _FORMS.get((bytes(log.topics[0]), len(log.topics))) if log.topics else None
    if form is None or (form.kind is GrantKind.PERMIT2 and log.address != PERMIT2):
        return None
    holder = _party(log.topics[form.holder]) if form.holder else log.address
    grantee = _party(log.topics[form.grantee])
    item = int.from_bytes(log.topics[form.item]) if form.item else form.mark
    if holder is None or grantee is None or grantee == ZERO_ADDRESS:
        return None
    if form.kind is GrantKind.PERMIT2 and item >= 2**160:
        return None
    return Candidate(form.kind, log.address, holder, grantee, item)


def _party(topic: Hash) -> Address | None:
    """The address in a topic; None for any other word."""
    return None if any(topic[:12]) else Address(topic[12:])


def _calls(one: Candidate) -> tuple[tuple[Address, str, tuple[AbiValue, ...]], ...]:
    """Contract, function and arguments of each read that tells whether a right stands."""
    contract, pair = one.contract, (one.holder, one.grantee)
    match one.kind:
        case GrantKind.ALLOWANCE:
            return ((contract, "allowance(address,address)", pair),)
        case GrantKind.NFT:
            return (
                (contract, "ownerOf(uint256)", (one.item,)),
                (contract, "getApproved(uint256)", (one.item,)),
            )
        case GrantKind.OPERATOR:
            name = "isOperator" if one.item else "isApprovedForAll"
            return ((contract, f"{name}(address,address)", pair),)
        case GrantKind.CREDIT:
            return ((contract, "borrowAllowance(address,address)", pair),)
        case GrantKind.MORPHO:
            return ((contract, "isAuthorized(address,address)", pair),)
        case GrantKind.RELAYER:
            return ((contract, "hasApprovedRelayer(address,address)", pair),)
        case GrantKind.PERMIT2:
            token = Address(one.item.to_bytes(20))
            signature = "allowance(address,address,address)"
            return ((contract, signature, (one.holder, token, one.grantee)),)
        case GrantKind.MODULE:
            return ((contract, "getModulesPaginated(address,uint256)", (_SENTINEL, MODULES_MAX)),)
        case GrantKind.ROLE:
            return ((contract, "rolesOf(address)", (one.grantee,)),)
        case GrantKind.OWNERSHIP:
            return ((contract, "pendingOwner()", ()),)


def _grants_of(one: Candidate, parts: Sequence[bytes | None], timestamp_s: int) -> list[Grant]:
    words = [None if part is None or len(part) < _WORD else int.from_bytes(part[:_WORD]) for part in parts]
    first = words[0]
    if first is None or not first:
        return []
    match one.kind:
        case GrantKind.ALLOWANCE | GrantKind.CREDIT:
            return [Grant(one, first)]
        case GrantKind.NFT:
            is_ours = first == int.from_bytes(one.holder) and words[1] == int.from_bytes(one.grantee)
            return [Grant(one)] if is_ours else []
        case GrantKind.PERMIT2:
            expires_s = int.from_bytes((parts[0] or b"")[_WORD : 2 * _WORD])
            # Zero stands for "in this block alone" in the call, and is stored as that block's time.
            return [Grant(one, first, expires_s)] if expires_s >= timestamp_s else []
        case GrantKind.MODULE:
            modules = _modules_in(parts[0] or b"")
            return [Grant(Candidate(one.kind, one.contract, one.holder, module)) for module in modules]
        case GrantKind.ROLE:
            return [Grant(one)] if first & one.item else []
        case GrantKind.OWNERSHIP:
            offered = Address(first.to_bytes(_WORD)[12:])
            return [Grant(Candidate(one.kind, one.contract, one.holder, offered))]
        case _:
            return [Grant(one)]


def _modules_in(answer: bytes) -> list[Address]:
    """In the order of the Safe's own chain."""
    try:
        modules, _ = abi_decode(("address[]", "address"), answer)
    except EncodingError:
        return []
    assert isinstance(modules, list | tuple)
    return [Address(one) for one in modules if isinstance(one, bytes)]
