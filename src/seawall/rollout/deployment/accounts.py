"""Accounts of an account factory, by their operator keys: what was allotted, where each is or will be.

An account's address follows from its template and its key, so that it is shown, and can be funded and listed,
before it exists. What the factory says is read at one block and compared with what follows: a factory that
names another address for a key is not ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from seawall.chain.client import ChainClient
from seawall.chain.state import StateKeys
from seawall.native import abi_decode, encode_call
from seawall.primitives.blocks import Block, Read
from seawall.primitives.errors import EncodingError, ProtocolError
from seawall.primitives.units import ZERO_ADDRESS, Address, address_text
from seawall.protocols.answers import integer_answer
from seawall.protocols.executor.accounts import Surroundings, Template, account_address
from seawall.protocols.executor.artifacts import ACCOUNT, load_artifact
from seawall.protocols.executor.policy import health_floor_read

__all__ = ["FactoryView", "PlacedAccount", "look_at_accounts"]

_TEMPLATE: Final = ("bytes32", "address", "address", "address", "address", "address")
_AROUND: Final = ("address", "address", "address", "address")


@dataclass(frozen=True, slots=True)
class PlacedAccount:
    """The account of one operator key. Without a template the key was not allotted."""

    operator: Address
    template: Template | None
    template_id: bytes
    address: Address | None
    is_made: bool
    health_floor_wad: int | None = None  # of one that is made [1e18]; its owner sets it


@dataclass(frozen=True, slots=True)
class FactoryView:
    """A factory at `block`."""

    block: Block
    factory: Address
    owner: Address
    accounts: tuple[PlacedAccount, ...]
    approved: tuple[bytes, ...]  # of the templates that were asked about


async def look_at_accounts(
    client: ChainClient, factory: Address, operators: Sequence[Address], templates: Sequence[bytes] = ()
) -> FactoryView:
    """Raises `ProtocolError` where no account factory of this release answers."""
    block = await client.head()
    first = [_read("owner", factory, "owner()"), _read("around", factory, "surroundings()")]
    for one in operators:
        first.append(_read(f"allotted:{one.hex()}", factory, "allotted(address)", one))
        first.append(_read(f"made:{one.hex()}", factory, "accountOf(address)", one))
    said = await client.call_at(first, block)
    (owner,) = _decoded(said, "owner", ("address",))
    allotted = {one: _bytes(_decoded(said, f"allotted:{one.hex()}", ("bytes32",))[0]) for one in operators}
    wanted = dict.fromkeys([*(one for one in allotted.values() if any(one)), *templates])
    second = [_read(one.hex(), factory, "templates(bytes32)", one) for one in wanted]
    found = await client.call_at(second, block) if second else {}
    known = {one: _template(found, one) for one in wanted}
    around = Surroundings(*(Address(_bytes(one)) for one in _decoded(said, "around", _AROUND)))
    accounts = []
    for one in operators:
        template = known.get(allotted[one])
        made = Address(_bytes(_decoded(said, f"made:{one.hex()}", ("address",))[0]))
        place = None if template is None else account_address(factory, around, template, one)
        if made != ZERO_ADDRESS and made != (place or made):
            raise ProtocolError(
                f"the account of {address_text(one)} is {address_text(made)}, and should be elsewhere",
                f"factory {address_text(factory)}",
                "do not use it: this is no account factory of this release",
            )
        here = made if made != ZERO_ADDRESS else place
        accounts.append(PlacedAccount(one, template, allotted[one], here, made != ZERO_ADDRESS))
    made_ones = [one.address for one in accounts if one.is_made and one.address is not None]
    await _require_code(client, made_ones, block)
    floors = await client.call_at([health_floor_read(one) for one in made_ones], block) if made_ones else {}
    accounts = [
        replace(one, health_floor_wad=integer_answer(floors, health_floor_read(one.address).label, "uint64"))
        if one.is_made and one.address is not None
        else one
        for one in accounts
    ]
    approved = tuple(one for one, template in known.items() if template is not None)
    return FactoryView(block, factory, Address(_bytes(owner)), tuple(accounts), approved)


async def _require_code(client: ChainClient, made: Sequence[Address], block: Block) -> None:
    artifact = load_artifact(ACCOUNT)
    for address, code in (await client.fetch_state(StateKeys(codes=tuple(made)), block)).codes:
        if not artifact.is_code_of(code):
            raise ProtocolError(
                f"{address_text(address)} is no {ACCOUNT} of this release",
                f"block {block.number}",
                "use the release that made it",
            )


def _template(answers: dict[str, bytes | None], identifier: bytes) -> Template | None:
    """None where it was not approved, or was revoked."""
    code_hash, *people = _decoded(answers, identifier.hex(), _TEMPLATE)
    addresses = [Address(_bytes(one)) for one in people]
    if addresses[0] == ZERO_ADDRESS:
        return None
    return Template(_bytes(code_hash), *addresses)


def _read(label: str, factory: Address, signature: str, *values: bytes) -> Read:
    return Read(label, factory, encode_call(signature, values))


def _decoded(answers: dict[str, bytes | None], label: str, kinds: tuple[str, ...]) -> tuple[object, ...]:
    try:
        return tuple(abi_decode(kinds, answers[label] or b""))
    except EncodingError as error:
        raise ProtocolError(
            f"no account factory answers: {error.what}", f"read {label!r}", "check the factory's address"
        ) from None


def _bytes(value: object) -> bytes:
    assert isinstance(value, bytes), "an address or a word"
    return value
