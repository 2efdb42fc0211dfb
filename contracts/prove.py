#!/usr/bin/env python3
"""What stands behind the contracts besides their tests: static analysis, symbolic tests, coverage.

    python contracts/prove.py slither     fails on any finding that slither.json does not accept
    python contracts/prove.py halmos      every `check_` test of test/symbolic, for all inputs within bounds
    python contracts/prove.py coverage    fails where a line or a branch of src is reached by no test

slither.json names detectors that are switched off, and accepted findings by detector and place (file,
contract, function; no line numbers, so that an edit elsewhere does not touch them), each with the reason. A
finding that is gone must leave the file too. Each tool builds in a folder of its own under out/, where it can
run beside others.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CONTRACTS = ROOT / "contracts"
ACCEPTED = CONTRACTS / "slither.json"
ANALYSERS = ROOT / ".venv" / "analysers" / "bin"

sys.path.insert(0, str(CONTRACTS))
from build import forge_binary  # noqa: E402  (a script's folder is no package)

# What a symbolic test may take: it ends in seconds, or it asks too much of the solver.
SOLVER_TIMEOUT = "60s"
LOOP_BOUND = 20


def environment(name: str, **more: str) -> dict[str, str]:
    return {
        **os.environ,
        "PATH": os.pathsep.join((str(forge_binary().parent), str(ANALYSERS), os.environ["PATH"])),
        "FOUNDRY_OUT": f"out/{name}",
        "FOUNDRY_CACHE_PATH": f"cache/{name}",
        **more,
    }


def run(command: list[str], variables: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=CONTRACTS, env=variables, capture_output=True, text=True, check=False)


# ------------------------------------------------------------------ static analysis


def place_of(finding: Mapping[str, Any]) -> str:
    """Where a finding is, without line numbers: File.sol:Contract.function.variable."""
    element = finding["elements"][0]
    names = []
    path = Path(element["source_mapping"]["filename_relative"]).name
    while element and element.get("type") in ("contract", "function", "variable", "node"):
        if element["type"] != "node":
            names.append(element["name"])
        element = element.get("type_specific_fields", {}).get("parent")
    return f"{path}:{'.'.join(reversed(names))}"


def slither() -> int:
    accepted = json.loads(ACCEPTED.read_text())
    variables = environment("analysis")
    built = run([str(forge_binary()), "build", "src", "--build-info", "--quiet"], variables)
    if built.returncode != 0:
        sys.exit(f"the contracts do not compile:\n{built.stdout}{built.stderr}")
    command = [str(ANALYSERS / "slither"), ".", "--ignore-compile", "--foundry-out-directory"]
    command += ["out/analysis", "--exclude", ",".join(accepted["off"]), "--json", "-"]
    done = run(command, variables)
    if not done.stdout.lstrip().startswith("{"):
        sys.exit(f"slither did not answer:\n{done.stderr}")
    answer = json.loads(done.stdout)
    if not answer["success"]:
        sys.exit(f"slither failed: {answer['error']}")
    found = {(one["check"], place_of(one)): one for one in answer["results"].get("detectors", [])}
    known = {(check, place) for check, part in accepted["accepted"].items() for place in part["places"]}
    for key in sorted(found.keys() - known):
        print(f"new: {key[0]} at {key[1]}\n{found[key]['description']}")
    for check, place in sorted(known - found.keys()):
        print(f"gone, so take it out of slither.json: {check} at {place}")
    print(f"slither: {len(found)} findings, {len(found.keys() & known)} accepted with a reason")
    return int(found.keys() != known)


# ------------------------------------------------------------------- symbolic tests


def halmos() -> int:
    variables = environment("symbolic", FOUNDRY_TEST="test/symbolic")
    command = [str(ANALYSERS / "halmos"), "--forge-build-out", "out/symbolic", "--function", "check_"]
    command += ["--loop", str(LOOP_BOUND), "--solver-timeout-assertion", SOLVER_TIMEOUT, "--no-status"]
    command += ["--default-array-lengths", "1", "--default-bytes-lengths", "0,68", *sys.argv[2:]]
    return subprocess.run(command, cwd=CONTRACTS, env=variables, check=False).returncode


# ------------------------------------------------------------------------- coverage


def stage() -> Path:
    """A copy of the sources with what they import inside it: coverage does not look outside its root."""
    place = CONTRACTS / "out" / "coverage" / "contracts"
    packages = ROOT / "devnet" / "node_modules"
    for name in ("src", "test", "snapshots"):
        shutil.copytree(CONTRACTS / name, place / name, dirs_exist_ok=True)
    shutil.rmtree(place / "test" / "symbolic", ignore_errors=True)
    standard = packages / "@uniswap" / "v4-core" / "lib" / "forge-std" / "src"
    shutil.copytree(standard, place / "lib" / "forge-std", dirs_exist_ok=True)
    shutil.copytree(packages / "@openzeppelin", place / "lib" / "@openzeppelin", dirs_exist_ok=True)
    shutil.copy(CONTRACTS / "solc", place / "solc")
    settings = (CONTRACTS / "foundry.toml").read_text()
    settings = re.sub(r'"forge-std/=[^"]*"', '"forge-std/=lib/forge-std/"', settings)
    settings = re.sub(r'"@openzeppelin/=[^"]*"', '"@openzeppelin/=lib/@openzeppelin/"', settings)
    (place / "foundry.toml").write_text(settings)
    # What tests read, at the same distance.
    for link, target in (("devnet", ROOT / "devnet"), ("src", ROOT / "src")):
        if not (place.parent / link).is_symlink():
            (place.parent / link).symlink_to(target)
    return place


def coverage() -> int:
    # The figures of gas are of the code that ships, which coverage does not see.
    command = [str(forge_binary()), "coverage", "--report", "lcov", "--report-file", "lcov.info"]
    command += ["--exclude-tests", "--no-match-contract", "GasTest", *sys.argv[2:]]
    place = stage()
    report = place / "lcov.info"
    report.unlink(missing_ok=True)
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    if done.returncode != 0 or not report.is_file():
        sys.exit(f"there is no coverage:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    seen, missed = read_lcov(report.read_text())
    for one in missed:
        print(f"not reached: {one}")
    print(f"coverage: {seen} lines and branches of src, {len(missed)} of them not reached")
    return int(bool(missed) or not seen)


def read_lcov(text: str) -> tuple[int, list[str]]:
    """How many lines and branches there are, and which of them no test reached."""
    seen, missed, source = 0, [], ""
    for line in text.splitlines():
        mark, _, rest = line.partition(":")
        if mark == "SF":
            source = rest
        elif mark in ("DA", "BRDA") and source.startswith("src/"):
            seen += 1
            parts = rest.split(",")
            if parts[-1] in ("0", "-"):
                missed.append(f"{source}:{parts[0]}" + (" (a branch)" if mark == "BRDA" else ""))
    return seen, missed


TASKS = {"slither": slither, "halmos": halmos, "coverage": coverage}


def main() -> int:
    if len(sys.argv) < 2 or sys.argv[1] not in TASKS:
        print(__doc__, file=sys.stderr)
        return 2
    return TASKS[sys.argv[1]]()


if __name__ == "__main__":
    sys.exit(main())
