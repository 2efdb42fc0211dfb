"""Where the devnet's tools and the published contracts are, and how their bytecode is read.

`devnet/` of the repository pins anvil, solc and the packages whose authors publish their contracts; nothing
of them is committed. Packages with bytecode are read as they are; those that publish source only, and the
contracts in `devnet/contracts`, are compiled by the pinned solc under Node. What that gives depends on locked
packages and sources alone: it is kept in the cache, beside the states that are built from it.

The environment may override: SEAWALL_DEVNET (the folder), SEAWALL_ANVIL (the node's binary).
Never downloads anything: what is missing is named together with the command that installs it.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from seawall.primitives.errors import RolloutError
from seawall.primitives.units import Address

__all__ = ["COMPILED_FOLDER", "Artifact", "Link", "Toolchain"]

# The published sources take 15 s on an idle machine of two cores.
COMPILE_TIMEOUT_S: Final = 300
ARTIFACT_BYTES_MAX: Final = 16 * 1024 * 1024
# Within the cache, and how many results of each group are kept there.
COMPILED_FOLDER: Final = ".compiled"
COMPILED_KEPT_MAX: Final = 4

_ARCHITECTURES: Final = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_REPOSITORY: Final = Path(__file__).resolve().parents[4]


_Group = Literal["own", "published"]


@dataclass(frozen=True, slots=True)
class Link:
    """Where in the creation code the address of a library belongs."""

    library: str
    offsets: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Artifact:
    """A contract as published: what is sent to create it, and where that came from."""

    source: str
    """`package@version path`, or a path of this repository."""
    creation_code: bytes
    runtime_code: bytes
    """Empty where the publisher gives none; without immutables in any case."""
    links: tuple[Link, ...] = ()
    """Libraries without which the creation code is not whole."""

    def linked(self, libraries: Mapping[str, Address]) -> Artifact:
        """With the addresses of its libraries written in."""
        code = bytearray(self.creation_code)
        for link in self.links:
            for offset in link.offsets:
                code[offset : offset + 20] = libraries[link.library]
        return replace(self, creation_code=bytes(code), links=())


@dataclass(frozen=True, slots=True)
class Toolchain:
    root: Path
    """The folder with package.json, contracts and node_modules."""
    anvil: Path

    @classmethod
    def discover(cls, environment: Mapping[str, str]) -> Toolchain:
        """Find the tools; RolloutError says how to install what is missing."""
        root = Path(environment.get("SEAWALL_DEVNET") or _REPOSITORY / "devnet")
        override = environment.get("SEAWALL_ANVIL")
        system = platform.system().lower()
        architecture = _ARCHITECTURES.get(platform.machine().lower(), platform.machine().lower())
        # The platform package holds the binary itself; the wrapper package would start it as a grandchild.
        packaged = root / "node_modules" / "@foundry-rs" / f"anvil-{system}-{architecture}" / "bin" / "anvil"
        anvil = Path(override) if override else packaged
        if not anvil.is_file():
            raise RolloutError(
                f"anvil is not installed at {anvil}",
                "SEAWALL_ANVIL" if override else "devnet tools",
                "correct the variable" if override else "run `make setup` in the repository",
            )
        return cls(root, anvil)

    def package_artifact(self, package: str, path: str) -> Artifact:
        """A contract from an installed package: truffle, hardhat and waffle files are all understood."""
        folder = self.root / "node_modules" / package
        document = _read_object(folder / path, package)
        version = _read_object(folder / "package.json", package).get("version")
        creation = document.get("bytecode")
        runtime = document.get("deployedBytecode")
        where = f"{package}@{version} {path}"
        return Artifact(where, _code(creation, where), _code(runtime, where) if runtime is not None else b"")

    def compile_sources(self, cache: Path) -> dict[str, Artifact]:
        """`devnet/contracts` and the packages that publish source only, by contract name.

        `cache` is a folder that exists; what is found there need not be compiled.
        """
        artifacts: dict[str, Artifact] = {}
        groups: tuple[tuple[_Group, Mapping[str, bytes]], ...] = (
            ("published", {}),
            ("own", self._own_sources()),
        )
        for group, sources in groups:
            contracts = self._compiled(group, sources, cache / COMPILED_FOLDER).get("contracts")
            assert isinstance(contracts, dict), "compile.mjs writes an object of contracts"
            artifacts |= {name: self._compiled_artifact(name, entry) for name, entry in contracts.items()}
        return artifacts

    def digest(self, extra_files: Mapping[str, bytes], extra: str) -> str:
        """Hex digest of what decides the built state: locked packages, sources, our code, `extra`."""
        return _digest_of(self._compiler_inputs() | self._own_sources() | dict(extra_files), extra)

    def _compiled(self, group: _Group, sources: Mapping[str, bytes], kept_in: Path) -> dict[str, object]:
        kept = kept_in / f"{group}-{_digest_of(self._compiler_inputs() | dict(sources))}.json"
        if kept.is_file():
            return _read_object(kept, "compiled sources")
        document = self._compile(group)
        kept_in.mkdir(exist_ok=True)
        partial = kept.with_suffix(".partial")
        partial.write_text(json.dumps(document))
        partial.replace(kept)
        others = sorted(kept_in.glob(f"{group}-*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
        for old in others[COMPILED_KEPT_MAX:]:
            old.unlink(missing_ok=True)
        return document

    def _compile(self, group: _Group) -> dict[str, object]:
        node = shutil.which("node")
        if node is None:
            raise RolloutError("Node.js is not on the PATH", "devnet tools", "install Node.js 20 or newer")
        with tempfile.TemporaryDirectory(prefix="seawall-devnet-") as folder:
            output = Path(folder) / "compiled.json"
            try:
                finished = subprocess.run(  # noqa: S603  (fixed program and arguments)
                    [node, str(self.root / "compile.mjs"), group, str(output)],
                    capture_output=True,
                    text=True,
                    timeout=COMPILE_TIMEOUT_S,
                    check=False,
                )
            except subprocess.TimeoutExpired as error:
                raise RolloutError(
                    f"compiling took longer than {COMPILE_TIMEOUT_S} s",
                    "devnet/compile.mjs",
                    "try again on a quieter machine",
                ) from error
            if finished.returncode != 0:
                raise RolloutError(
                    f"compiling failed: {finished.stderr.strip()[-2000:]}",
                    "devnet/compile.mjs",
                    "run `make setup`; if it persists, correct the Solidity source named above",
                )
            return _read_object(output, "compiled sources")

    def _compiler_inputs(self) -> dict[str, bytes]:
        return {name: _read_bytes(self.root / name) for name in ("package-lock.json", "compile.mjs")}

    def _own_sources(self) -> dict[str, bytes]:
        folder = self.root / "contracts"
        return {f"contracts/{path.name}": _read_bytes(path) for path in sorted(folder.glob("*.sol"))}

    def _compiled_artifact(self, name: str, entry: object) -> Artifact:
        assert isinstance(entry, dict), "compile.mjs writes one object a contract"
        source = str(entry.get("source"))
        if source.startswith("@"):
            package = "/".join(source.split("/", 2)[:2])
            version = _read_object(self.root / "node_modules" / package / "package.json", package).get(
                "version"
            )
            where = f"{package}@{version} {source.removeprefix(package + '/')}:{name}"
        else:
            where = f"devnet/{source}:{name}"
        return Artifact(
            where,
            _code(entry.get("bytecode"), where),
            _code(entry.get("deployedBytecode"), where),
            _links(entry.get("links"), where),
        )


def _digest_of(contents: Mapping[str, bytes], extra: str = "") -> str:
    hasher = hashlib.sha256()
    for name in sorted(contents):
        hasher.update(f"{name}\0{len(contents[name])}\0".encode())
        hasher.update(contents[name])
    hasher.update(extra.encode())
    return hasher.hexdigest()


def _read_bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > ARTIFACT_BYTES_MAX:
            raise RolloutError(
                f"{path.name} is larger than {ARTIFACT_BYTES_MAX} bytes", str(path), "run `make setup`"
            )
        return path.read_bytes()
    except OSError as error:
        raise RolloutError(
            f"cannot read {path.name}: {error.strerror}", str(path), "run `make setup`"
        ) from error


def _read_object(path: Path, what: str) -> dict[str, object]:
    try:
        document: object = json.loads(_read_bytes(path))
    except ValueError as error:
        raise RolloutError(f"{what}: {path.name} is not JSON", str(path), "run `make setup`") from error
    if not isinstance(document, dict):
        raise RolloutError(f"{what}: {path.name} is not a JSON object", str(path), "run `make setup`")
    return document


def _code(value: object, where: str) -> bytes:
    text = value.get("object") if isinstance(value, dict) else value
    try:
        if not isinstance(text, str):
            raise ValueError("no bytecode")  # noqa: TRY004  (one refusal for both)
        return bytes.fromhex(text.removeprefix("0x"))
    except ValueError as error:
        raise RolloutError(
            f"no linked bytecode in {where}",
            "devnet packages",
            "run `make setup`; libraries must be linked already",
        ) from error


def _links(value: object, where: str) -> tuple[Link, ...]:
    assert isinstance(value, dict), f"compile.mjs writes the links of {where}"
    return tuple(Link(str(library), tuple(int(at) for at in offsets)) for library, offsets in value.items())
