"""Deploying contracts from the devnet's owner account, and recording each in the address book."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from seawall.chain.addresses import AddressBook, AddressEntry, AddressKind, TokenClass
from seawall.native import abi_encode, encode_call, keccak256
from seawall.primitives.errors import RolloutError
from seawall.primitives.units import Address, address_from_text, address_text, hex_text
from seawall.rollout.devnet.accounts import OWNER
from seawall.rollout.devnet.rpc import CHAIN_ID, DevnetRpc
from seawall.rollout.devnet.toolchain import Artifact, Toolchain

__all__ = ["ETHER", "FOREVER_S", "UNLIMITED", "Deployer"]

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
        *values: object,
        token_class: TokenClass | None = None,
        decimals: int | None = None,
        symbol: str | None = None,
    ) -> Address:
        """Create a contract with the given constructor types and values, and record it."""
        created = self.rpc.send(OWNER, None, artifact.creation_code + abi_encode(list(constructor), values))
        receipt = self.rpc.settle([created], mine=True)[0]
        where = receipt.get("contractAddress")
        assert isinstance(where, str), "a mined creation has an address"
        address = address_from_text(where)
        self.record(
            name, kind, address, artifact.source, token_class=token_class, decimals=decimals, symbol=symbol
        )
        return address

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
    ) -> None:
        """Enter a contract that is on the chain already."""
        code = self.rpc.codes([address])[0]
        if not code:
            raise RolloutError(
                f"{name} has no code at {address_text(address)}", source, "report this as a fault"
            )
        entry = AddressEntry(
            CHAIN_ID, name, address, kind, source, keccak256(code), token_class, decimals, symbol
        )
        self.book.add(entry)

    def send(
        self, target: Address, signature: str, *values: object, sender: Address = OWNER, value_wei: int = 0
    ) -> None:
        """One mined call; the node's revert reason is in the error."""
        sent = self.rpc.send(sender, target, encode_call(signature, values), value_wei=value_wei)
        self.rpc.settle([sent], mine=True)

    def view_address(self, target: Address, signature: str, *values: object) -> Address:
        return Address(self.rpc.view(target, encode_call(signature, values))[12:32])
