"""Our contracts at addresses that are known before anything is sent: CREATE2 through a common deployer.

The same file, deployer and release give the same addresses on every chain, since an address depends on the
salt (the deployment's name), the creation code and its arguments alone. Nobody else can take an address: the
owner is among the arguments. An address is believed for its code, compared with the committed artifacts
around their immutables (which the address itself fixes), never for having code at all.

Deployers with one interface (32 bytes of salt, then creation code) are known, each by the hash of its code:
the one that most chains have, and the Safe authors'. A chain with neither needs one of them first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from seawall.chain.addresses import AddressEntry, AddressKind
from seawall.native import keccak256
from seawall.primitives.errors import RolloutError
from seawall.primitives.units import Address, address_text
from seawall.protocols.executor.artifacts import (
    ACCOUNT_FACTORY,
    EXECUTOR,
    PLAN_CHECKS,
    REGISTRY,
    RISK_BOOK,
    account_factory_creation,
    executor_creation,
    load_artifact,
    plan_checks_creation,
    registry_creation,
    risk_book_creation,
)
from seawall.protocols.safe.known import SINGLETON_FACTORY
from seawall.rollout.deployment.files import DeploymentWish

__all__ = ["DEPLOYERS", "Contract", "Fleet", "deployer_of", "fleet_of"]

_COMMON_DEPLOYER: Final = Address(bytes.fromhex("4e59b44847b379578588920cA78FbF26c0B4956C"))
DEPLOYERS: Final = (_COMMON_DEPLOYER, SINGLETON_FACTORY)
# CREATE2 of what follows the salt; answers with the address.
_DEPLOYER_CODE: Final = bytes.fromhex(
    "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe03601600081602082378035828234f5801515"
    "6039578182fd5b8082525050506014600cf3"
)
_SALT_PREFIX: Final = "seawall deployment: "


@dataclass(frozen=True, slots=True)
class Contract:
    """One of ours, where it will be."""

    role: str  # its place in the deployment: "registry", "executor_backup", ...
    artifact: str
    kind: AddressKind
    salt: bytes
    creation: bytes  # with its arguments
    address: Address

    @property
    def call(self) -> bytes:
        """What the deployer is called with."""
        return self.salt + self.creation

    def is_here(self, code: bytes) -> bool:
        """Whether the address holds this contract. Raises `RolloutError` for other code."""
        if not code:
            return False
        if load_artifact(self.artifact).is_code_of(code):
            return True
        raise RolloutError(
            f"{address_text(self.address)} holds other code than {self.artifact}",
            f"deployment, {self.role}",
            "use the release that deployed it, or another name for this deployment",
        )

    def entry(self, wish: DeploymentWish, code: bytes) -> AddressEntry:
        """As it stands in the address book."""
        name = f"{wish.name.replace('-', '_')}_{self.role}"
        source = f"contracts/src/{self.artifact}.sol:{self.artifact}"
        return AddressEntry(wish.chain_id, name, self.address, self.kind, source, keccak256(code))


@dataclass(frozen=True, slots=True)
class Fleet:
    """All contracts of one deployment."""

    deployer: Address  # the CREATE2 deployer
    registry: Contract
    risk_book: Contract
    plan_checks: Contract
    executor: Contract
    backup: Contract | None
    factory: Contract | None  # of accounts

    @property
    def all(self) -> tuple[Contract, ...]:
        every = (self.registry, self.risk_book, self.plan_checks, self.executor, self.backup, self.factory)
        return tuple(one for one in every if one is not None)

    @property
    def executors(self) -> tuple[Contract, ...]:
        return tuple(one for one in (self.executor, self.backup) if one is not None)

    @property
    def books(self) -> tuple[Contract, Contract]:
        """Those that keep policies: sealed in the end, and loosened late."""
        return self.registry, self.risk_book

    @property
    def owned(self) -> tuple[Contract, ...]:
        """Those that have an owner."""
        return tuple(one for one in self.all if one.artifact != PLAN_CHECKS)


def deployer_of(codes: Mapping[Address, bytes]) -> Address:
    """The deployer to use, of those that have their code."""
    for address in DEPLOYERS:
        if codes.get(address) == _DEPLOYER_CODE:
            return address
    raise RolloutError(
        f"neither of the known CREATE2 deployers is here: {', '.join(map(address_text, DEPLOYERS))}",
        "deployment",
        "have one of them deployed first; docs/operations/deployment.md says how",
    )


def fleet_of(wish: DeploymentWish, deployer: Address) -> Fleet:
    """Where everything will be."""

    def made(role: str, artifact: str, kind: AddressKind, creation: bytes) -> Contract:
        salt = keccak256(f"{_SALT_PREFIX}{wish.name}: {role}".encode())
        address = Address(keccak256(b"\xff" + deployer + salt + keccak256(creation))[12:])
        return Contract(role, artifact, kind, salt, creation, address)

    owner = wish.deployer  # until it hands over
    registry = made("registry", REGISTRY, AddressKind.REGISTRY, registry_creation(owner))
    risk_book = made("risk_book", RISK_BOOK, AddressKind.REGISTRY, risk_book_creation(owner))
    checks = made("plan_checks", PLAN_CHECKS, AddressKind.REGISTRY, plan_checks_creation())
    creation = executor_creation(
        owner, registry.address, risk_book.address, checks.address, wish.wrapped_native, wish.beneficiary
    )
    executor = made("executor", EXECUTOR, AddressKind.EXECUTOR, creation)
    backup = made("executor_backup", EXECUTOR, AddressKind.EXECUTOR, creation) if wish.backup else None
    factory = None
    if wish.accounts:
        creation = account_factory_creation(
            owner, registry.address, risk_book.address, checks.address, wish.wrapped_native
        )
        factory = made("account_factory", ACCOUNT_FACTORY, AddressKind.FACTORY, creation)
    return Fleet(deployer, registry, risk_book, checks, executor, backup, factory)
