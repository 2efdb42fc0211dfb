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
    "EXECUTOR",
    "REGISTRY",
    "AbiItem",
    "Artifact",
    "executor_creation",
    "load_artifact",
    "registry_creation",
]

EXECUTOR: Final = "AtomicExecutor"
REGISTRY: Final = "PolicyRegistry"

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


@lru_cache(maxsize=2)
def load_artifact(name: str) -> Artifact:
    """The artifact of `EXECUTOR` or `REGISTRY`."""
    if name not in (EXECUTOR, REGISTRY):
        raise InputError(
            f"no contract of ours is called {name[:80]!r}", "artifacts", f"use {EXECUTOR} or {REGISTRY}"
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


def executor_creation(owner: Address, registry: Address, weth: Address, beneficiary: Address) -> bytes:
    """What deploys an `AtomicExecutor`."""
    return load_artifact(EXECUTOR).creation_code + _words(owner, registry, weth, beneficiary)


def _words(*addresses: Address) -> bytes:
    return b"".join(bytes(12) + address for address in addresses)


def _code(text: object) -> bytes:
    return bytes.fromhex(str(text).removeprefix("0x"))
