"""A Safe at one block: reads pinned to its hash, and what they say.

Two rounds of one block: the Safe's own answers, then the code of its singleton and of itself. The second is
what makes the first worth anything: only a known proxy over a known singleton answers truly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from seawall.native import abi_decode, encode_call, keccak256
from seawall.primitives.blocks import Read
from seawall.primitives.errors import EncodingError, ProtocolError
from seawall.primitives.units import ZERO_ADDRESS, Address, Hash, address_text
from seawall.protocols.answers import Answers, integer_answer
from seawall.protocols.safe import known

__all__ = ["MODULES_MAX", "SafeState", "changes_between", "code_problem_of", "state_from", "state_reads"]

# More modules than this are not listed, and then nothing is signed.
MODULES_MAX: Final = 32
OWNERS_MAX: Final = 256

_SENTINEL: Final = Address((1).to_bytes(20))
_SLOT_SINGLETON: Final = 0
_SLOT_GUARD: Final = int.from_bytes(keccak256(b"guard_manager.guard.address"))
_SLOT_HANDLER: Final = int.from_bytes(keccak256(b"fallback_manager.handler.address"))


@dataclass(frozen=True, slots=True)
class SafeState:
    """Everything about a Safe that decides what its owners' signatures do, at one block."""

    chain_id: int
    safe: Address
    block_number: int
    block_hash: Hash
    nonce: int
    owners: tuple[Address, ...]  # ascending
    threshold: int
    modules: tuple[Address, ...]  # ascending; whatever they do needs no signature
    guard: Address
    fallback_handler: Address
    singleton: Address


def state_reads(safe: Address) -> tuple[Read, ...]:
    """What to ask of the Safe, all at one block."""
    storage = "getStorageAt(uint256,uint256)"
    return (
        Read("safe:nonce", safe, encode_call("nonce()", ())),
        Read("safe:owners", safe, encode_call("getOwners()", ())),
        Read("safe:threshold", safe, encode_call("getThreshold()", ())),
        Read(
            "safe:modules",
            safe,
            encode_call("getModulesPaginated(address,uint256)", (_SENTINEL, MODULES_MAX)),
        ),
        Read("safe:guard", safe, encode_call(storage, (_SLOT_GUARD, 1))),
        Read("safe:handler", safe, encode_call(storage, (_SLOT_HANDLER, 1))),
        Read("safe:singleton", safe, encode_call(storage, (_SLOT_SINGLETON, 1))),
    )


def state_from(chain_id: int, safe: Address, number: int, block_hash: Hash, answers: Answers) -> SafeState:
    """Raises `ProtocolError` where what answers is no Safe."""
    (owners,) = _decoded(answers, "safe:owners", ("address[]",))
    modules, following = _decoded(answers, "safe:modules", ("address[]", "address"))
    if following not in (_SENTINEL, ZERO_ADDRESS):
        raise ProtocolError(
            f"the Safe has more than {MODULES_MAX} modules",
            address_text(safe),
            "disable what it does not need: every module acts without signatures",
        )
    found = _addresses(owners)
    if not 0 < len(found) <= OWNERS_MAX:
        raise ProtocolError(f"the Safe names {len(found)} owners", address_text(safe), "check the address")
    return SafeState(
        chain_id=chain_id,
        safe=safe,
        block_number=number,
        block_hash=block_hash,
        nonce=integer_answer(answers, "safe:nonce", "uint256"),
        owners=found,
        threshold=integer_answer(answers, "safe:threshold", "uint256"),
        modules=_addresses(modules),
        guard=_stored(answers, "safe:guard"),
        fallback_handler=_stored(answers, "safe:handler"),
        singleton=_stored(answers, "safe:singleton"),
    )


def code_problem_of(state: SafeState, proxy_code: bytes, singleton_code: bytes) -> str | None:
    """Why this is no Safe that we know, in words; None where it is one."""
    if keccak256(proxy_code) != known.PROXY_CODE_HASH:
        return f"{address_text(state.safe)} is no proxy of Safe {known.VERSION}"
    if keccak256(singleton_code) not in known.SINGLETON_CODE_HASHES:
        return f"its singleton {address_text(state.singleton)} is not Safe {known.VERSION}"
    return None


def changes_between(before: SafeState, after: SafeState) -> tuple[str, ...]:
    """What of a Safe's rules changed, each in words. Its nonce is no rule: it moves with each use."""
    found = [f"owner {address_text(one)} was removed" for one in before.owners if one not in after.owners]
    found += [f"owner {address_text(one)} was added" for one in after.owners if one not in before.owners]
    if before.threshold != after.threshold:
        way = "rose" if after.threshold > before.threshold else "fell"
        found.append(f"the threshold {way} from {before.threshold} to {after.threshold}")
    found += [f"module {address_text(m)} was disabled" for m in before.modules if m not in after.modules]
    found += [f"module {address_text(m)} was enabled" for m in after.modules if m not in before.modules]
    for name in ("guard", "fallback_handler", "singleton"):
        one, other = getattr(before, name), getattr(after, name)
        if one != other:
            what = name.replace("_", " ")
            found.append(f"the {what} changed from {address_text(one)} to {address_text(other)}")
    return tuple(found)


def _stored(answers: Answers, label: str) -> Address:
    """The address in one storage word."""
    (raw,) = _decoded(answers, label, ("bytes",))
    assert isinstance(raw, bytes)
    if len(raw) != 32 or any(raw[:12]):
        raise ProtocolError("a storage word holds no address", f"read {label!r}", "check that this is a Safe")
    return Address(raw[12:])


def _decoded(answers: Answers, label: str, kinds: tuple[str, ...]) -> tuple[object, ...]:
    raw = answers.get(label)
    if raw is None:
        raise ProtocolError(
            "the call reverted", f"read {label!r}", "check that a Safe stands at this address and block"
        )
    try:
        return tuple(abi_decode(kinds, raw))
    except EncodingError as error:
        what = f"the answer does not decode as ({', '.join(kinds)}): {error.what}"
        raise ProtocolError(what, f"read {label!r}", "check that this is a Safe") from None


def _addresses(value: object) -> tuple[Address, ...]:
    assert isinstance(value, list | tuple)
    return tuple(sorted(Address(one) for one in value if isinstance(one, bytes)))
