"""What an executor is allowed to do, as data, and the calls that write it into the policy registry.

    Policy(executor, listings, tokens, lenders, factories, sets) -> registry_calls -> calldata in a safe order

Rules stand in the order of the signature: one for each static word; for an array its greatest length, then
one for each word of an element; for `bytes` the content that it must have, or a parser and one rule for each
word of what it parses. Approving, transferring from others and delegating cannot be listed. The registry
itself checks all of that again: what is refused here is refused early, with a reason that a person can read.
Calls that set roles and the floor under health factors are for the executor; see `role_call` and
`health_floor_call`. Once a policy is sealed on chain, calls that
loosen it must be proposed first (`proposal_call`); revocations act at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag
from typing import Final

from seawall.native import encode_call, keccak256
from seawall.primitives.blocks import Read
from seawall.primitives.bounds import UINT256_MAX
from seawall.primitives.errors import InputError
from seawall.primitives.units import NATIVE, ZERO_ADDRESS, Address, address_text
from seawall.protocols.executor.signatures import Part, shape_of

__all__ = [
    "CONTENT_BYTES_MAX",
    "ELEMENTS_MAX",
    "HEALTH_FLOOR_WAD_MAX",
    "TRACKED_TOKENS_MAX",
    "FactoryKind",
    "FactoryPolicy",
    "LenderKind",
    "LenderPolicy",
    "Listing",
    "MemberSet",
    "Policy",
    "Role",
    "Rule",
    "RuleKind",
    "TokenClass",
    "TokenPolicy",
    "anything",
    "at_most",
    "content",
    "equal_to",
    "factory_call",
    "health_floor_call",
    "health_floor_read",
    "in_set",
    "lender_call",
    "listing_call",
    "members_call",
    "ourselves",
    "parsed_by",
    "proposal_call",
    "registry_calls",
    "role_call",
    "seal_call",
    "token_call",
    "up_to",
]

# The registry counts the native token, which is always tracked, as one of its 32.
TRACKED_TOKENS_MAX: Final = 31
HEALTH_FLOOR_WAD_MAX: Final = 2**64 - 1
ELEMENTS_MAX: Final = 256
CONTENT_BYTES_MAX: Final = 4096
_PARSER_BITS: Final = 160
_LISTING_STATIC_HEADS: Final = 1
_LISTING_DYNAMIC_ARGUMENTS: Final = 2
_SET_MEMBERS: Final = "setMembers(address,uint256,uint256[],bool)"
_LIST: Final = "list(address,address,string,(uint8,bool,uint128,address,(uint8,uint256)[]))"


class RuleKind(IntEnum):
    EQ = 1
    SELF = 2
    IN_SET = 3
    LE = 4
    ANY = 5
    LENGTH = 6  # most elements of an array
    PARSED = 7  # most bytes << 160 | parser


class TokenClass(IntEnum):
    """What becomes of a token's balance when an execution ends."""

    PAID_OUT = 1  # what is left goes to the beneficiary
    KEPT = 2  # a position that stays
    DEBT = 3  # may not grow unless the plan lists it


class LenderKind(IntEnum):
    BALANCER_V2 = 1
    AAVE_V3 = 2  # flashLoanSimple
    AAVE_V3_MULTI = 3  # flashLoan
    MORPHO_BLUE = 4
    UNISWAP_V3 = 5  # a pool's flash
    ERC3156 = 6


class FactoryKind(IntEnum):
    """Under which salt a factory creates its pools."""

    UNISWAP_V2 = 1  # packed tokens; one fixed fee
    UNISWAP_V3 = 2  # tokens and fee, or tick spacing
    SOLIDLY = 3  # packed tokens and the stable flag
    CAMELOT = 4  # packed tokens; fees per pair and direction
    ALGEBRA = 5  # tokens; the pool sets its fee


class Role(IntFlag):
    OPERATOR = 1
    PAUSER = 2
    GUARDIAN = 4


@dataclass(frozen=True, slots=True)
class Rule:
    """What one argument may be. Measured amounts may be spliced into LE and ANY words only."""

    kind: RuleKind
    operand: int = 0
    words: int = field(default=0, compare=False)  # PARSED: of an element; as many rules follow


def equal_to(value: int | Address) -> Rule:
    return Rule(RuleKind.EQ, value if isinstance(value, int) else int.from_bytes(value, "big"))


def ourselves() -> Rule:
    """The executor's own address."""
    return Rule(RuleKind.SELF)


def in_set(set_id: int) -> Rule:
    return Rule(RuleKind.IN_SET, set_id)


def at_most(limit: int) -> Rule:
    return Rule(RuleKind.LE, limit)


def anything() -> Rule:
    return Rule(RuleKind.ANY)


def up_to(elements: int) -> Rule:
    """Of an array; the rules of one element's words follow."""
    return Rule(RuleKind.LENGTH, elements)


def content(data: bytes) -> Rule:
    """Of a `bytes` or `string` argument: exactly this."""
    return Rule(RuleKind.EQ, int.from_bytes(keccak256(data), "big"))


def parsed_by(parser: Address, bytes_max: int, *elements: Rule) -> tuple[Rule, ...]:
    """Of a `bytes` argument: at most so long, and every element that the parser finds by these rules."""
    operand = bytes_max << _PARSER_BITS | int.from_bytes(parser, "big")
    return (Rule(RuleKind.PARSED, operand, len(elements)), *elements)


@dataclass(frozen=True, slots=True)
class Listing:
    """One callable function: `signature` as in `withdraw(uint256)`, and the rules of its arguments."""

    target: Address
    signature: str
    rules: tuple[Rule, ...] = ()
    reduce: bool = False  # callable in REDUCE_ONLY too
    max_native_wei: int = 0
    spender: Address = ZERO_ADDRESS  # who may be allowed tokens during the call; zero: the target


@dataclass(frozen=True, slots=True)
class TokenPolicy:
    """A token that the executor may hold or owe; `allowance` lets `CallWithAllowance` use it."""

    token: Address
    token_class: TokenClass = TokenClass.PAID_OUT
    allowance: bool = False


@dataclass(frozen=True, slots=True)
class LenderPolicy:
    lender: Address
    kind: LenderKind = LenderKind.BALANCER_V2


@dataclass(frozen=True, slots=True)
class FactoryPolicy:
    """A factory whose pools, derived by CREATE2, may be traded in; `fee_ppm` is the pools' for V2 kinds."""

    factory: Address
    kind: FactoryKind
    init_code_hash: bytes
    fee_ppm: int = 0
    reduce: bool = False


@dataclass(frozen=True, slots=True)
class MemberSet:
    """Values that `in_set` admits, in one policy."""

    set_id: int
    members: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """Everything one executor may do, or all that are bound to the policy of that address."""

    executor: Address
    listings: tuple[Listing, ...] = ()
    tokens: tuple[TokenPolicy, ...] = ()
    lenders: tuple[LenderPolicy, ...] = ()
    factories: tuple[FactoryPolicy, ...] = ()
    sets: tuple[MemberSet, ...] = ()


def registry_calls(policy: Policy) -> tuple[bytes, ...]:
    """Calldata for the registry's owner: sets first, so that no rule ever refers to a set not yet filled."""
    if len(policy.tokens) > TRACKED_TOKENS_MAX:
        raise _refused(f"{len(policy.tokens)} tracked tokens are more than {TRACKED_TOKENS_MAX}", "tokens")
    return (
        *(members_call(policy.executor, entry) for entry in policy.sets),
        *(token_call(policy.executor, token) for token in policy.tokens),
        *(lender_call(policy.executor, entry) for entry in policy.lenders),
        *(factory_call(policy.executor, entry) for entry in policy.factories),
        *(listing_call(policy.executor, listing) for listing in policy.listings),
    )


def proposal_call(calls: Sequence[bytes]) -> bytes:
    """Calldata that announces `calls` of the same contract: after the delay each may be made as it is."""
    return encode_call("propose(bytes[])", (tuple(calls),))


def seal_call(policy: Address) -> bytes:
    """Calldata that ends the setting-up of a policy; there is no way back."""
    return encode_call("seal(address)", (policy,))


def listing_call(policy: Address, listing: Listing) -> bytes:
    """Calldata for the registry's owner that lists one function, or lists it again more narrowly."""
    where = f"listing of {listing.signature!r}"
    shape = shape_of(listing.signature)
    _check_rules(shape, listing.rules, where)
    if not 0 <= listing.max_native_wei < 2**128:
        raise _refused(f"maximum native value {listing.max_native_wei} is outside 0..2^128-1", where)
    dynamic = any(part is not Part.WORD for part in shape)
    version = _LISTING_DYNAMIC_ARGUMENTS if dynamic else _LISTING_STATIC_HEADS
    rules = tuple((int(rule.kind), rule.operand) for rule in listing.rules)
    entry = (version, listing.reduce, listing.max_native_wei, listing.spender, rules)
    return encode_call(_LIST, (policy, listing.target, listing.signature, entry))


def role_call(account: Address, role: Role, granted: bool = True) -> bytes:
    """Calldata for the executor's owner."""
    if role not in (Role.OPERATOR, Role.PAUSER, Role.GUARDIAN):
        raise _refused(f"{role!r} is not one role", "roles")
    return encode_call("setRole(address,uint8,bool)", (account, int(role), granted))


def health_floor_call(floor_wad: int) -> bytes:
    """Calldata for the owner of an executor or account: no plan may bring a health factor below this floor
    [1e18]; zero takes the floor away."""
    if not 0 <= floor_wad <= HEALTH_FLOOR_WAD_MAX:
        raise _refused(f"a health floor of {floor_wad} is outside 0..2^64-1 (18.4)", "health floor")
    return encode_call("setHealthFloor(uint64)", (floor_wad,))


def health_floor_read(executor: Address) -> Read:
    """Of an executor or account, to be answered as `uint64`; accounts begin with 1.05."""
    return Read(f"health floor:{executor.hex()}", executor, encode_call("healthFloor()", ()))


def members_call(policy: Address, entry: MemberSet, included: bool = True) -> bytes:
    """Calldata that adds the members to their set, or takes them out."""
    return encode_call(_SET_MEMBERS, (policy, entry.set_id, entry.members, included))


def lender_call(policy: Address, entry: LenderPolicy) -> bytes:
    """Calldata that lists a lender."""
    return encode_call("setLender(address,address,uint8)", (policy, entry.lender, int(entry.kind)))


def token_call(policy: Address, entry: TokenPolicy) -> bytes:
    """Calldata that adds a token, or changes it."""
    if entry.token == NATIVE:
        raise _refused("the native token is always tracked", "tokens")
    if entry.token_class is TokenClass.DEBT and entry.allowance:
        raise _refused(f"debt token {address_text(entry.token)} cannot be allowed to anyone", "tokens")
    values = (policy, entry.token, int(entry.token_class), entry.allowance)
    return encode_call("setToken(address,address,uint8,bool)", values)


def factory_call(policy: Address, entry: FactoryPolicy) -> bytes:
    """Calldata that lists a factory, or changes it."""
    if len(entry.init_code_hash) != 32:
        raise _refused(f"an init-code hash of {len(entry.init_code_hash)} bytes", "factories")
    if not 0 <= entry.fee_ppm < 1_000_000 or (entry.fee_ppm and entry.kind is not FactoryKind.UNISWAP_V2):
        raise _refused(f"fee of {entry.fee_ppm} ppm for a {entry.kind.name} factory", "factories")
    values = (policy, entry.factory, int(entry.kind), entry.init_code_hash, entry.fee_ppm, entry.reduce)
    return encode_call("setFactory(address,address,uint8,bytes32,uint24,bool)", values)


def _check_rules(shape: Sequence[Part], rules: Sequence[Rule], where: str) -> None:
    expected = sum(part in (Part.WORD, Part.ARRAY, Part.BYTES) for part in shape)
    expected += sum(rule.words for rule in rules if rule.kind is RuleKind.PARSED)
    if len(rules) != expected:
        raise _refused(f"it needs {expected} rules and has {len(rules)}", where)
    left = iter(rules)
    for part in shape:
        if part is Part.WORD:
            _check_word(next(left), where)
        elif part is Part.ARRAY:
            rule = next(left)
            if rule.kind is not RuleKind.LENGTH or not 0 < rule.operand <= ELEMENTS_MAX:
                raise _refused(f"an array needs `up_to(1..{ELEMENTS_MAX})` before its elements", where)
        elif part is Part.BYTES:
            _check_bytes(left, where)


def _check_word(rule: Rule, where: str) -> None:
    if rule.kind in (RuleKind.LENGTH, RuleKind.PARSED):
        raise _refused(f"{rule.kind.name} is no rule for a single word", where)
    if not 0 <= rule.operand <= UINT256_MAX:
        raise _refused("a rule's operand is outside 0..2^256-1", where)


def _check_bytes(left: Iterator[Rule], where: str) -> None:
    rule = next(left)
    if rule.kind is RuleKind.PARSED:
        if not 0 < rule.operand >> _PARSER_BITS <= CONTENT_BYTES_MAX:
            raise _refused(f"parsed bytes need a maximum of 1..{CONTENT_BYTES_MAX}", where)
        for _ in range(rule.words):
            _check_word(next(left), where)
    elif rule.kind is not RuleKind.EQ:
        raise _refused("`bytes` need `content(...)` or `parsed_by(...)`", where)


def _refused(what: str, where: str) -> InputError:
    return InputError(
        what, f"executor policy, {where}", "correct the policy before it is written to the registry"
    )
