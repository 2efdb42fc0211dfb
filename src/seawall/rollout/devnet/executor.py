"""Seawall's own contracts on the devnet, from the committed artifacts.

At build time: owner, guardian and pauser are devnet accounts; the policy lists what the demo and the tests
use, and the risk book what may be lost. A second executor is under the same policy, as a backup. The
operator's key does not exist yet then (`seawall init` makes it): see `steering.authorise`, and `positions`
for an account of its own. Nothing is sealed, so that tests may list more; a real deployment is sealed first.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from typing import Final

from seawall.chain.addresses import AddressBook, AddressKind
from seawall.native import encode_call
from seawall.primitives.units import NATIVE, Address
from seawall.protocols.executor.accounts import binder_call
from seawall.protocols.executor.artifacts import (
    ACCOUNT,
    ACCOUNT_FACTORY,
    EXECUTOR,
    PLAN_CHECKS,
    POSITION_VIEW,
    REGISTRY,
    RISK_BOOK,
    V3_PATH,
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
from seawall.protocols.executor.risk_book import (
    VALUE_UNIT,
    LossLimit,
    RiskPolicy,
    TokenLimit,
    per_day_down,
    risk_book_calls,
)
from seawall.rollout.devnet.accounts import GUARDIAN, OWNER, PAUSER
from seawall.rollout.devnet.deployer import ETHER, Deployer
from seawall.rollout.devnet.toolchain import Artifact
from seawall.rollout.devnet.uniswap import V2_INIT_CODE_HASH, V3_INIT_CODE_HASH

__all__ = [
    "CAP_ETHER_WEI",
    "FEED_HEARTBEAT_S",
    "LOSS_PER_DAY",
    "LOSS_PER_EXECUTION",
    "contract_files",
    "deploy_contracts",
    "deploy_executor",
]

V2_FEE_PPM: Final = 3_000
WRAP_MAX_WEI: Final = 10_000 * ETHER
FEED_HEARTBEAT_S: Final = 86_400
CAP_ETHER_WEI: Final = 50 * ETHER
CAP_USDX: Final = 100_000 * 10**6
LOSS_PER_EXECUTION: Final = 1_000 * VALUE_UNIT
LOSS_PER_DAY: Final = 5_000 * VALUE_UNIT

_CONTRACTS: Final = (
    EXECUTOR,
    REGISTRY,
    RISK_BOOK,
    PLAN_CHECKS,
    ACCOUNT,
    ACCOUNT_FACTORY,
    POSITION_VIEW,
    V3_PATH,
)
_POLICY_FILES: Final = ("policy.py", "risk_book.py", "signatures.py")


def contract_files() -> dict[str, bytes]:
    """What decides our contracts and their policy, by file name, for the digest of the built state."""
    folder = resources.files("seawall.protocols.executor")
    artifacts = (f"artifacts/{name}.json" for name in _CONTRACTS)
    return {name: folder.joinpath(name).read_bytes() for name in (*artifacts, *_POLICY_FILES)}


def deploy_executor(deployer: Deployer) -> None:
    """Our contracts, under the policy and limits of the devnet's own protocols."""
    deploy_contracts(deployer, deployer.book.address("weth"), _policy, _risk_policy)


def deploy_contracts(
    deployer: Deployer,
    weth: Address,
    policy_of: Callable[[AddressBook, Address], Policy],
    risk_of: Callable[[AddressBook, Address], RiskPolicy],
) -> None:
    """Registry, risk book, two executors with their roles, the account factory; policy and limits."""
    registry = deployer.deploy(
        "policy_registry", AddressKind.REGISTRY, _artifact(REGISTRY), ["address"], OWNER
    )
    risk_book = deployer.deploy("risk_book", AddressKind.REGISTRY, _artifact(RISK_BOOK), ["address"], OWNER)
    plan_checks = deployer.deploy("plan_checks", AddressKind.REGISTRY, _artifact(PLAN_CHECKS), [])
    around = (registry, risk_book, plan_checks, weth)
    executor, backup = (
        deployer.deploy(
            name, AddressKind.EXECUTOR, _artifact(EXECUTOR), ["address"] * 6, OWNER, *around, OWNER
        )
        for name in ("atomic_executor", "atomic_executor_backup")
    )
    factory = deployer.deploy(
        "account_factory",
        AddressKind.FACTORY,
        _artifact(ACCOUNT_FACTORY),
        ["address", "(address,address,address,address)"],
        OWNER,
        around,
    )
    deployer.deploy("uniswap_v3_path", AddressKind.REGISTRY, _artifact(V3_PATH), [])
    for one in (executor, backup):
        for account, role in ((GUARDIAN, Role.GUARDIAN), (PAUSER, Role.PAUSER)):
            deployer.send_data(one, role_call(account, role))
    for call in registry_calls(policy_of(deployer.book, executor)):
        deployer.send_data(registry, call)
    for call in risk_book_calls(risk_of(deployer.book, executor)):
        deployer.send_data(risk_book, call)
    for book in (registry, risk_book):
        deployer.send_data(book, encode_call("setGuardian(address,bool)", (GUARDIAN, True)))
        deployer.send_data(book, encode_call("bind(address,address)", (backup, executor)))
        deployer.send_data(book, binder_call(factory))


def _risk_policy(book: AddressBook, executor: Address) -> RiskPolicy:
    """What lies in the executor by mistake may leave within these; plans of its own lose nothing at all."""
    ether, dollar = book.address("feed_eth_usd"), book.address("feed_usdx_usd")
    priced = (
        (NATIVE, ether, 18, CAP_ETHER_WEI),
        (book.address("weth"), ether, 18, CAP_ETHER_WEI),
        (book.address("ethx"), ether, 18, CAP_ETHER_WEI),
        (book.address("usdx"), dollar, 6, CAP_USDX),
        (book.address("debt_usdx"), dollar, 6, CAP_USDX),
    )
    limits = (
        TokenLimit(token, feed, FEED_HEARTBEAT_S, decimals, cap, per_day_down(cap))
        for token, feed, decimals, cap in priced
    )
    losses = LossLimit(LOSS_PER_EXECUTION, LOSS_PER_DAY, per_day_down(LOSS_PER_DAY))
    return RiskPolicy(executor, tuple(limits), losses)


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
