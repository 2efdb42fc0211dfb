"""What an executor is allowed to do, as data, and the calls that write it into the policy registry.

    Policy(executor, listings, tokens, lenders, factories, sets) -> registry_calls -> calldata in a safe order

Every argument of a listed function has one rule. Only functions whose types are all static can be listed;
approving, transferring from others and delegating cannot. The registry itself checks all of that again: what
is refused here is refused early, with a reason that a person can read. Calls that set roles are for the
executor; see `role_call`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Final

from seawall.native import encode_call
from seawall.primitives.bounds import UINT256_MAX
from seawall.primitives.errors import InputError
from seawall.primitives.units import NATIVE, ZERO_ADDRESS, Address, address_text

__all__ = [
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
    "equal_to",
    "in_set",
    "ourselves",
    "registry_calls",
    "role_call",
]

# The registry counts the native token, which is always tracked, as one of its 16.
TRACKED_TOKENS_MAX: Final = 15
_LISTING_STATIC_HEADS: Final = 1
_LIST: Final = "list(address,address,string,(uint8,bool,uint128,address,(uint8,uint256)[]))"


class RuleKind(IntEnum):
    EQ = 1
    SELF = 2
    IN_SET = 3
    LE = 4
    ANY = 5


class TokenClass(IntEnum):
    """What becomes of a token's balance when an execution ends."""

    PAID_OUT = 1  # what is left goes to the beneficiary
    KEPT = 2  # a position that stays
    DEBT = 3  # may not grow unless the plan lists it


class LenderKind(IntEnum):
    BALANCER_V2 = 1


class FactoryKind(IntEnum):
    UNISWAP_V2 = 1
    UNISWAP_V3 = 2


class Role(IntFlag):
    OPERATOR = 1
    PAUSER = 2
    GUARDIAN = 4


@dataclass(frozen=True, slots=True)
class Rule:
    """What one argument may be. Measured amounts may be spliced into LE and ANY words only."""

    kind: RuleKind
    operand: int = 0


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


@dataclass(frozen=True, slots=True)
class Listing:
    """One callable function: `signature` as in `withdraw(uint256)`, a rule for each of its words."""

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
    """Values that `in_set` admits. Sets are the registry's: executors may share one."""

    set_id: int
    members: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """Everything one executor may do."""

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
        *(
            encode_call("setMembers(uint256,uint256[],bool)", (s.set_id, s.members, True))
            for s in policy.sets
        ),
        *(_token_call(policy.executor, token) for token in policy.tokens),
        *(
            encode_call("setLender(address,address,uint8)", (policy.executor, entry.lender, int(entry.kind)))
            for entry in policy.lenders
        ),
        *(_factory_call(policy.executor, entry) for entry in policy.factories),
        *(_listing_call(policy.executor, listing) for listing in policy.listings),
    )


def role_call(account: Address, role: Role, granted: bool = True) -> bytes:
    """Calldata for the executor's owner."""
    if role not in (Role.OPERATOR, Role.PAUSER, Role.GUARDIAN):
        raise _refused(f"{role!r} is not one role", "roles")
    return encode_call("setRole(address,uint8,bool)", (account, int(role), granted))


def _token_call(executor: Address, entry: TokenPolicy) -> bytes:
    if entry.token == NATIVE:
        raise _refused("the native token is always tracked", "tokens")
    if entry.token_class is TokenClass.DEBT and entry.allowance:
        raise _refused(f"debt token {address_text(entry.token)} cannot be allowed to anyone", "tokens")
    values = (executor, entry.token, int(entry.token_class), entry.allowance)
    return encode_call("setToken(address,address,uint8,bool)", values)


def _factory_call(executor: Address, entry: FactoryPolicy) -> bytes:
    if len(entry.init_code_hash) != 32:
        raise _refused(f"an init-code hash of {len(entry.init_code_hash)} bytes", "factories")
    if not 0 <= entry.fee_ppm < 1_000_000 or (entry.fee_ppm and entry.kind is not FactoryKind.UNISWAP_V2):
        raise _refused(f"fee of {entry.fee_ppm} ppm for a {entry.kind.name} factory", "factories")
    values = (executor, entry.factory, int(entry.kind), entry.init_code_hash, entry.fee_ppm, entry.reduce)
    return encode_call("setFactory(address,address,uint8,bytes32,uint24,bool)", values)


def _listing_call(executor: Address, listing: Listing) -> bytes:
    where = f"listing of {listing.signature!r}"
    _, _, arguments = listing.signature.partition("(")
    types = [t.strip("()") for t in arguments.split(",")] if arguments not in ("", ")") else []
    if any(t in ("bytes", "string") or "[" in t for t in types):
        raise _refused("it has a dynamic argument", where)
    if len(types) != len(listing.rules):
        raise _refused(f"it has {len(types)} words and {len(listing.rules)} rules", where)
    if not 0 <= listing.max_native_wei < 2**128:
        raise _refused(f"maximum native value {listing.max_native_wei} is outside 0..2^128-1", where)
    if any(not 0 <= rule.operand <= UINT256_MAX for rule in listing.rules):
        raise _refused("a rule's operand is outside 0..2^256-1", where)
    rules = tuple((int(rule.kind), rule.operand) for rule in listing.rules)
    entry = (_LISTING_STATIC_HEADS, listing.reduce, listing.max_native_wei, listing.spender, rules)
    return encode_call(_LIST, (executor, listing.target, listing.signature, entry))


def _refused(what: str, where: str) -> InputError:
    return InputError(
        what, f"executor policy, {where}", "correct the policy before it is written to the registry"
    )
