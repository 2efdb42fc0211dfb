"""Our compiled contracts, as `python contracts/build.py` wrote them; they ship in the wheel.

Creation code is what a deployment sends, constructor arguments appended. Runtime code is what an address
holds afterwards, but for the immutables that its constructor filled in: `is_code_of` compares around those.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Final, cast

from seawall.primitives.errors import InputError
from seawall.primitives.units import Address

__all__ = [
    "ACCOUNT",
    "ACCOUNT_FACTORY",
    "EXECUTOR",
    "PLAN_CHECKS",
    "POSITION_VIEW",
    "REGISTRY",
    "RISK_BOOK",
    "V3_PATH",
    "AbiItem",
    "Artifact",
    "account_factory_creation",
    "executor_creation",
    "load_artifact",
    "plan_checks_creation",
    "position_token_creation",
    "registry_creation",
    "risk_book_creation",
    "v3_path_creation",
]

EXECUTOR: Final = "AtomicExecutor"
REGISTRY: Final = "PolicyRegistry"
RISK_BOOK: Final = "RiskBook"
PLAN_CHECKS: Final = "PlanChecks"
ACCOUNT: Final = "PositionAccount"
ACCOUNT_FACTORY: Final = "AccountFactory"
POSITION_VIEW: Final = "PositionToken"
V3_PATH: Final = "UniswapV3Path"

_OURS: Final = (
    EXECUTOR,
    REGISTRY,
    RISK_BOOK,
    PLAN_CHECKS,
    ACCOUNT,
    ACCOUNT_FACTORY,
    POSITION_VIEW,
    V3_PATH,
)

AbiItem = dict[str, object]


@dataclass(frozen=True, slots=True)
class Artifact:
    """One contract: interface, creation code, runtime code with its immutables still zero."""

    name: str
    abi: tuple[AbiItem, ...]
    creation_code: bytes
    runtime_code: bytes
    immutables: tuple[tuple[int, int], ...]  # (start, length) [bytes]

    def is_code_of(self, code: bytes) -> bool:
        """Whether `code`, read from a chain, is this contract with whatever immutables."""
        if len(code) != len(self.runtime_code):
            return False
        masked = bytearray(code)
        for start, length in self.immutables:
            masked[start : start + length] = bytes(length)
        return bytes(masked) == self.runtime_code


@lru_cache(maxsize=len(_OURS))
def load_artifact(name: str) -> Artifact:
    """The artifact of one of our contracts."""
    if name not in _OURS:
        raise InputError(
            f"no contract of ours is called {name[:80]!r}", "artifacts", f"use one of {', '.join(_OURS)}"
        )
    text = resources.files(__package__).joinpath("artifacts", f"{name}.json").read_text()
    tree = cast(dict[str, object], json.loads(text))
    return Artifact(
        name=name,
        abi=tuple(cast(list[AbiItem], tree["abi"])),
        creation_code=_code(tree["bytecode"]),
        runtime_code=_code(tree["runtimeBytecode"]),
        immutables=tuple((start, length) for start, length in cast(list[list[int]], tree["immutables"])),
    )


def registry_creation(owner: Address) -> bytes:
    """What deploys a `PolicyRegistry`."""
    return load_artifact(REGISTRY).creation_code + _words(owner)


def risk_book_creation(owner: Address) -> bytes:
    """What deploys a `RiskBook`."""
    return load_artifact(RISK_BOOK).creation_code + _words(owner)


def plan_checks_creation() -> bytes:
    """What deploys `PlanChecks`: it has neither owner nor state, so one serves every executor of a chain."""
    return load_artifact(PLAN_CHECKS).creation_code


def executor_creation(
    owner: Address,
    registry: Address,
    risk_book: Address,
    plan_checks: Address,
    weth: Address,
    beneficiary: Address,
) -> bytes:
    """What deploys an `AtomicExecutor`."""
    arguments = _words(owner, registry, risk_book, plan_checks, weth, beneficiary)
    return load_artifact(EXECUTOR).creation_code + arguments


def account_factory_creation(
    owner: Address, registry: Address, risk_book: Address, plan_checks: Address, weth: Address
) -> bytes:
    """What deploys an `AccountFactory`; the accounts that it makes get the same surroundings."""
    arguments = _words(owner, registry, risk_book, plan_checks, weth)
    return load_artifact(ACCOUNT_FACTORY).creation_code + arguments


def position_token_creation(kind: int, lender: Address, market: bytes, underlying: Address) -> bytes:
    """What deploys a `PositionToken`; `risk_book.PositionKind` says of which kind."""
    words = kind.to_bytes(32, "big") + bytes(12) + lender + market + bytes(12) + underlying
    return load_artifact(POSITION_VIEW).creation_code + words


def v3_path_creation() -> bytes:
    """What deploys the parser of Uniswap V3's paths: it has neither owner nor state."""
    return load_artifact(V3_PATH).creation_code


def _words(*addresses: Address) -> bytes:
    return b"".join(bytes(12) + address for address in addresses)


def _code(text: object) -> bytes:
    return bytes.fromhex(str(text).removeprefix("0x"))
