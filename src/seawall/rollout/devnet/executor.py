"""Seawall's own executor and policy registry on the devnet, from the committed artifacts.

At build time: owner, guardian and pauser are devnet accounts, and the policy lists what the demo and the
tests use. The operator's key does not exist yet then (`seawall init` makes it): see `steering.authorise`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources
from typing import Final

from seawall.chain.addresses import AddressKind
from seawall.primitives.errors import RolloutError
from seawall.primitives.units import ZERO_ADDRESS, Address
from seawall.rollout.devnet.accounts import GUARDIAN, OWNER, PAUSER
from seawall.rollout.devnet.deployer import ETHER, Deployer
from seawall.rollout.devnet.toolchain import Artifact
from seawall.rollout.devnet.uniswap import V2_INIT_CODE_HASH, V3_INIT_CODE_HASH

__all__ = ["ROLE_OPERATOR", "artifact_files", "deploy_executor"]

# Mirrors of Authority.sol, IPolicyRegistry.sol and PolicyRegistry.sol.
ROLE_OPERATOR: Final = 1
ROLE_PAUSER: Final = 2
ROLE_GUARDIAN: Final = 4
TOKEN_PAID_OUT: Final = 1
TOKEN_DEBT: Final = 3
LENDER_BALANCER_V2: Final = 1
FACTORY_UNISWAP_V2: Final = 1
FACTORY_UNISWAP_V3: Final = 2
LISTING_STATIC_HEADS: Final = 1
RULE_SELF: Final = 2
RULE_ANY: Final = 5

V2_FEE_PPM: Final = 3_000
WRAP_MAX_WEI: Final = 10_000 * ETHER

_CONTRACTS: Final = ("AtomicExecutor", "PolicyRegistry")


@dataclass(frozen=True, slots=True)
class _Listing:
    """One call that the executor may make."""

    target: str
    signature: str
    rules: tuple[int, ...]
    reduces: bool
    """Callable in REDUCE_ONLY too."""
    native_max_wei: int = 0


_LISTINGS: Final = (
    _Listing("weth", "deposit()", (), reduces=True, native_max_wei=WRAP_MAX_WEI),
    _Listing("weth", "withdraw(uint256)", (RULE_ANY,), reduces=True),
    _Listing("debt_desk", "deposit(uint256)", (RULE_ANY,), reduces=True),
    _Listing("debt_desk", "withdraw(uint256)", (RULE_ANY,), reduces=False),
    _Listing("debt_desk", "borrow(uint256)", (RULE_ANY,), reduces=False),
    _Listing("debt_desk", "repay(uint256,address)", (RULE_ANY, RULE_SELF), reduces=True),
)


def artifact_files() -> dict[str, bytes]:
    """The committed artifacts, by file name."""
    folder = resources.files("seawall.protocols.executor") / "artifacts"
    try:
        return {f"{name}.json": (folder / f"{name}.json").read_bytes() for name in _CONTRACTS}
    except OSError as error:
        raise RolloutError(
            f"an artifact of our own contracts is missing: {error}",
            str(folder),
            "restore it, or build the contracts",
        ) from error


def deploy_executor(deployer: Deployer) -> None:
    """Registry and executor with their roles, and the policy: tokens, lender, factories, listed calls."""
    book = deployer.book
    registry = deployer.deploy(
        "policy_registry", AddressKind.REGISTRY, _artifact("PolicyRegistry"), ("address",), OWNER
    )
    executor = deployer.deploy(
        "atomic_executor",
        AddressKind.EXECUTOR,
        _artifact("AtomicExecutor"),
        ("address", "address", "address", "address"),
        OWNER,
        registry,
        book.address("weth"),
        OWNER,
    )
    for account, role in ((GUARDIAN, ROLE_GUARDIAN), (PAUSER, ROLE_PAUSER)):
        deployer.send(executor, "setRole(address,uint8,bool)", account, role, True)
    _write_policy(deployer, registry, executor)


def _write_policy(deployer: Deployer, registry: Address, executor: Address) -> None:
    book = deployer.book
    for token, token_class, allowance in (
        ("weth", TOKEN_PAID_OUT, True),
        ("usdx", TOKEN_PAID_OUT, True),
        ("ethx", TOKEN_PAID_OUT, True),
        ("debt_usdx", TOKEN_DEBT, False),
    ):
        deployer.send(
            registry,
            "setToken(address,address,uint8,bool)",
            executor,
            book.address(token),
            token_class,
            allowance,
        )
    deployer.send(
        registry,
        "setLender(address,address,uint8)",
        executor,
        book.address("balancer_vault"),
        LENDER_BALANCER_V2,
    )
    for factory, kind, init_code_hash, fee_ppm in (
        ("uniswap_v2_factory", FACTORY_UNISWAP_V2, V2_INIT_CODE_HASH, V2_FEE_PPM),
        ("uniswap_v3_factory", FACTORY_UNISWAP_V3, V3_INIT_CODE_HASH, 0),
    ):
        deployer.send(
            registry,
            "setFactory(address,address,uint8,bytes32,uint24,bool)",
            executor,
            book.address(factory),
            kind,
            init_code_hash,
            fee_ppm,
            True,
        )
    for listing in _LISTINGS:
        rules: list[object] = [(rule, 0) for rule in listing.rules]
        deployer.send(
            registry,
            "list(address,address,string,(uint8,bool,uint128,address,(uint8,uint256)[]))",
            executor,
            book.address(listing.target),
            listing.signature,
            (LISTING_STATIC_HEADS, listing.reduces, listing.native_max_wei, ZERO_ADDRESS, rules),
        )


def _artifact(name: str) -> Artifact:
    where = f"contracts/src/{name}.sol:{name}"
    try:
        document: object = json.loads(artifact_files()[f"{name}.json"])
        if not isinstance(document, dict):
            raise ValueError("not an object")  # noqa: TRY004  (one refusal for a broken file)
        creation, runtime = (
            bytes.fromhex(str(document[key]).removeprefix("0x")) for key in ("bytecode", "runtimeBytecode")
        )
    except (ValueError, KeyError) as error:
        raise RolloutError(
            f"the artifact of {name} is unreadable: {error}", where, "build the contracts again"
        ) from error
    return Artifact(where, creation, runtime)
