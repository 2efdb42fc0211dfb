"""Deploying contracts from the devnet's owner account, and recording each in the address book."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from seawall.chain.addresses import AddressBook, AddressEntry, AddressKind, TokenClass
from seawall.native import abi_encode, encode_call, keccak256
from seawall.primitives.errors import RolloutError
from seawall.primitives.units import Address, address_from_text, address_text, hex_text
from seawall.rollout.devnet.accounts import OWNER
from seawall.rollout.devnet.rpc import CHAIN_ID, DevnetRpc
from seawall.rollout.devnet.toolchain import Artifact, Toolchain

__all__ = ["ETHER", "FOREVER_S", "UNLIMITED", "AbiValue", "Deployer"]

AbiValue: TypeAlias = "int | bool | bytes | str | list[AbiValue] | tuple[AbiValue, ...]"

ETHER: Final = 10**18
UNLIMITED: Final = 2**256 - 1
# A deadline that no devnet reaches. [seconds since 1970]
FOREVER_S: Final = 2**40


@dataclass(slots=True)
class Deployer:
    """Everything a protocol's deployment needs: node, bytecode, and the book that it fills."""

    rpc: DevnetRpc
    toolchain: Toolchain
    compiled: dict[str, Artifact]
    book: AddressBook = field(default_factory=lambda: AddressBook(CHAIN_ID))

    def deploy(
        self,
        name: str,
        kind: AddressKind,
        artifact: Artifact,
        constructor: Sequence[str] = (),
        *values: AbiValue,
        token_class: TokenClass | None = None,
        decimals: int | None = None,
        symbol: str | None = None,
    ) -> Address:
        """Create a contract with the given constructor types and values, and record it."""
        address = self.create(artifact, constructor, *values)
        self.record(
            name, kind, address, artifact.source, token_class=token_class, decimals=decimals, symbol=symbol
        )
        return address

    def create(self, artifact: Artifact, constructor: Sequence[str] = (), *values: AbiValue) -> Address:
        """Create a contract that only others call (a library, what a proxy runs): it is not in the book."""
        assert not artifact.links, f"{artifact.source} lacks its libraries"
        created = self.rpc.send(OWNER, None, artifact.creation_code + abi_encode(list(constructor), values))
        receipt = self.rpc.settle([created], mine=True)[0]
        where = receipt.get("contractAddress")
        assert isinstance(where, str), "a mined creation has an address"
        return address_from_text(where)

    def place(self, name: str, kind: AddressKind, artifact: Artifact, address: Address) -> None:
        """Put runtime code at a canonical address (for contracts without constructor and immutables)."""
        self.rpc.call("anvil_setCode", hex_text(address), hex_text(artifact.runtime_code))
        self.record(name, kind, address, artifact.source)

    def record(
        self,
        name: str,
        kind: AddressKind,
        address: Address,
        source: str,
        *,
        token_class: TokenClass | None = None,
        decimals: int | None = None,
        symbol: str | None = None,
        reference: str | None = None,
    ) -> None:
        """Enter a contract that is on the chain already."""
        code = self.rpc.codes([address])[0]
        if not code:
            raise RolloutError(
                f"{name} has no code at {address_text(address)}", source, "report this as a fault"
            )
        entry = AddressEntry(
            self.book.chain_id,
            name,
            address,
            kind,
            source,
            keccak256(code),
            token_class,
            decimals,
            symbol,
            reference=reference,
        )
        self.book.add(entry)

    def send(
        self, target: Address, signature: str, *values: AbiValue, sender: Address = OWNER, value_wei: int = 0
    ) -> None:
        """One mined call; the node's revert reason is in the error."""
        self.send_data(target, encode_call(signature, values), sender=sender, value_wei=value_wei)

    def send_data(self, target: Address, data: bytes, *, sender: Address = OWNER, value_wei: int = 0) -> None:
        """`send`, for calldata that another room encoded."""
        self.rpc.settle([self.rpc.send(sender, target, data, value_wei=value_wei)], mine=True)

    def view_address(self, target: Address, signature: str, *values: AbiValue) -> Address:
        return Address(self.rpc.view(target, encode_call(signature, values))[12:32])
