#!/usr/bin/env python3
"""Builds our contracts and keeps their committed artifacts honest.

    python contracts/build.py            compile, write src/seawall/protocols/executor/artifacts/<Name>.json
    python contracts/build.py --check    compile, compare with what is committed; exit 1 on any difference

The artifacts are part of the wheel, so that a user needs no compiler. The compiler settings put neither a
metadata hash nor a path into the bytecode: the same sources give the same bytes on every machine.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CONTRACTS = ROOT / "contracts"
ARTIFACTS = ROOT / "src" / "seawall" / "protocols" / "executor" / "artifacts"
OUT = CONTRACTS / "out" / "artifacts"
NAMES = (
    "AccountFactory",
    "AtomicExecutor",
    "PlanChecks",
    "PolicyRegistry",
    "PositionAccount",
    "PositionToken",
    "RiskBook",
    "UniswapV3Path",
)
MAX_RUNTIME_BYTES = 24_576  # EIP-170


def forge_binary() -> Path:
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    package = f"@foundry-rs/forge-{platform.system().lower()}-{architecture}"
    binary = ROOT / "devnet" / "node_modules" / package / "bin" / "forge"
    if not binary.is_file():
        sys.exit(f"forge is missing: {package} is not in devnet/node_modules; run `npm ci` in devnet/")
    return binary


def compile_contracts() -> None:
    # A folder of their own: compiled together with the tests, the same sources may be laid out differently.
    command = [str(forge_binary()), "build", "src", "--quiet"]
    profile = {**os.environ, "FOUNDRY_PROFILE": "artifacts"}
    done = subprocess.run(command, cwd=CONTRACTS, capture_output=True, text=True, check=False, env=profile)
    if done.returncode != 0:
        sys.exit(f"the contracts do not compile:\n{done.stdout}{done.stderr}")


def built_contract(name: str) -> dict[str, Any]:
    built: dict[str, Any] = json.loads((OUT / f"{name}.sol" / f"{name}.json").read_text())
    return built


def runtime_bytes(name: str) -> int:
    return (len(built_contract(name)["deployedBytecode"]["object"]) - 2) // 2


def artifact_text(name: str) -> str:
    built = built_contract(name)
    runtime = built["deployedBytecode"]["object"]
    size_bytes = runtime_bytes(name)
    if size_bytes > MAX_RUNTIME_BYTES:
        sys.exit(f"{name} has {size_bytes} bytes of runtime code; the limit is {MAX_RUNTIME_BYTES}")
    immutables = built["deployedBytecode"].get("immutableReferences", {}).values()
    artifact = {
        "abi": sorted(built["abi"], key=lambda item: (item["type"], item.get("name", ""))),
        "bytecode": built["bytecode"]["object"],
        "contractName": name,
        # [start, length] of immutables: zero in the runtime code here, filled in by the constructor.
        "immutables": sorted([place["start"], place["length"]] for places in immutables for place in places),
        "runtimeBytecode": runtime,
    }
    return json.dumps(artifact, indent=1, sort_keys=True) + "\n"


def committed_text(name: str) -> str | None:
    path = ARTIFACTS / f"{name}.json"
    return path.read_text() if path.is_file() else None


def differences() -> list[str]:
    return [name for name in NAMES if committed_text(name) != artifact_text(name)]


def main(arguments: list[str]) -> int:
    if arguments not in ([], ["--check"]):
        print(__doc__, file=sys.stderr)
        return 2
    compile_contracts()
    if arguments == ["--check"]:
        for name in NAMES:
            print(f"{name}: {runtime_bytes(name)} of {MAX_RUNTIME_BYTES} bytes of runtime code")
        drifted = differences()
        for name in drifted:
            print(f"{name}.json is not what the sources compile to: run `python contracts/build.py`")
        return 1 if drifted else 0
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        (ARTIFACTS / f"{name}.json").write_text(artifact_text(name))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
