"""Seawall's own executor and policy registry on the devnet, from the committed artifacts.

At build time: owner, guardian and pauser are devnet accounts, and the policy lists what the demo and the
tests use. The operator's key does not exist yet then (`seawall init` makes it): see `steering.authorise`.
"""

from __future__ import annotations

from importlib import resources
from typing import Final

from seawall.chain.addresses import AddressBook, AddressKind
from seawall.primitives.units import Address
from seawall.protocols.executor.artifacts import (
    EXECUTOR,
    PLAN_CHECKS,
    REGISTRY,
    RISK_BOOK,
    load_artifact,
)
from seawall.protocols.executor.policy import (
    FactoryKind,
    FactoryPolicy,
    LenderPolicy,
    Listing,
    Policy,
    Role,
    TokenClass,
    TokenPolicy,
    anything,
    ourselves,
    registry_calls,
    role_call,
)
from seawall.rollout.devnet.accounts import GUARDIAN, OWNER, PAUSER
from seawall.rollout.devnet.deployer import ETHER, Deployer
from seawall.rollout.devnet.toolchain import Artifact
from seawall.rollout.devnet.uniswap import V2_INIT_CODE_HASH, V3_INIT_CODE_HASH

__all__ = ["contract_files", "deploy_executor"]

V2_FEE_PPM: Final = 3_000
WRAP_MAX_WEI: Final = 10_000 * ETHER


def contract_files() -> dict[str, bytes]:
    """What decides our contracts and their policy, by file name, for the digest of the built state."""
    folder = resources.files("seawall.protocols.executor")
    artifacts = (f"artifacts/{name}.json" for name in (EXECUTOR, REGISTRY, RISK_BOOK, PLAN_CHECKS))
    names = (*artifacts, "policy.py")
    return {name: folder.joinpath(name).read_bytes() for name in names}


def deploy_executor(deployer: Deployer) -> None:
    """Registry and executor with their roles, and the policy: tokens, lender, factories, listed calls."""
    registry = deployer.deploy(
        "policy_registry", AddressKind.REGISTRY, _artifact(REGISTRY), ["address"], OWNER
    )
    risk_book = deployer.deploy("risk_book", AddressKind.REGISTRY, _artifact(RISK_BOOK), ["address"], OWNER)
    plan_checks = deployer.deploy("plan_checks", AddressKind.REGISTRY, _artifact(PLAN_CHECKS), [])
    executor = deployer.deploy(
        "atomic_executor",
        AddressKind.EXECUTOR,
        _artifact(EXECUTOR),
        ["address"] * 6,
        OWNER,
        registry,
        risk_book,
        plan_checks,
        deployer.book.address("weth"),
        OWNER,
    )
    for account, role in ((GUARDIAN, Role.GUARDIAN), (PAUSER, Role.PAUSER)):
        deployer.send_data(executor, role_call(account, role))
    for call in registry_calls(_policy(deployer.book, executor)):
        deployer.send_data(registry, call)


def _policy(book: AddressBook, executor: Address) -> Policy:
    weth, desk = book.address("weth"), book.address("debt_desk")
    return Policy(
        executor,
        listings=(
            Listing(weth, "deposit()", reduce=True, max_native_wei=WRAP_MAX_WEI),
            Listing(weth, "withdraw(uint256)", (anything(),), reduce=True),
            Listing(desk, "deposit(uint256)", (anything(),), reduce=True),
            Listing(desk, "withdraw(uint256)", (anything(),)),
            Listing(desk, "borrow(uint256)", (anything(),)),
            Listing(desk, "repay(uint256,address)", (anything(), ourselves()), reduce=True),
        ),
        tokens=(
            *(TokenPolicy(book.address(token), allowance=True) for token in ("weth", "usdx", "ethx")),
            TokenPolicy(book.address("debt_usdx"), TokenClass.DEBT),
        ),
        lenders=(LenderPolicy(book.address("balancer_vault")),),
        factories=(
            FactoryPolicy(
                book.address("uniswap_v2_factory"),
                FactoryKind.UNISWAP_V2,
                V2_INIT_CODE_HASH,
                V2_FEE_PPM,
                reduce=True,
            ),
            FactoryPolicy(
                book.address("uniswap_v3_factory"), FactoryKind.UNISWAP_V3, V3_INIT_CODE_HASH, reduce=True
            ),
        ),
    )


def _artifact(name: str) -> Artifact:
    ours = load_artifact(name)
    return Artifact(f"contracts/src/{name}.sol:{name}", ours.creation_code, ours.runtime_code)
