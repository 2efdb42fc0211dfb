#!/usr/bin/env python3
"""Makes a clone ready to run: virtual environment, Python packages, native core, devnet packages; and what
only tests need: geth, clef, SoftHSM, Redis, slither and halmos.

    python3 scripts/setup.py [--without-geth]

Every step keeps a stamp with the digest of what it was made from, so that a step runs again only when its
inputs changed: the second run does nothing. The built native core is kept outside the clone as well, named by
the digest of its sources and the compiler; another clone copies it. So are the parts of the tests that are
not needed to run anything (`--without-geth` leaves all of them out): geth, the second node, and clef, a
signer, are built where Go is present (two minutes, once a machine); SoftHSM, a hardware token in software,
is unpacked from the system's package where it is not installed. `SEAWALL_CACHE` moves that place (default
~/.cache/seawall).

Needs the standard library only, and starts on any Python 3, to be able to say that it is too old. Downloads
come from wherever pip, npm, cargo, go and apt are configured to look.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMPS = VENV / "stamps"
CACHE = Path(os.environ.get("SEAWALL_CACHE") or Path.home() / ".cache" / "seawall")
EXTENSION = ROOT / "src" / "seawall" / "_native.abi3.so"

PYTHON_MIN = (3, 11)
NODE_MAJOR_MIN = 20
NATIVE_KEPT_MAX = 8  # builds of the native core that stay in the cache
GETH_PACKAGE = "github.com/ethereum/go-ethereum/cmd/geth"
GETH_VERSION = "v1.16.7"  # a later one than 1.16 does not install by `go install`
GETH = CACHE / "geth" / GETH_VERSION / "geth"
CLEF_PACKAGE = "github.com/ethereum/go-ethereum/cmd/clef"
CLEF = CACHE / "clef" / GETH_VERSION / "clef"
SOFTHSM = CACHE / "softhsm"  # holds libsofthsm2.so and softhsm2-util
SOFTHSM_PACKAGES = ("libsofthsm2", "softhsm2")
SOFTHSM_FILES = ("libsofthsm2.so", "softhsm2-util")
SOFTHSM_INSTALLED = (
    "/usr/lib/softhsm",
    "/usr/lib/*/softhsm",
    "/usr/local/lib/softhsm",
    "/opt/homebrew/lib/softhsm",
)
ANALYSERS = VENV / "analysers"
REDIS = CACHE / "redis"  # holds redis-server and the libraries that come with it
REDIS_PACKAGES = ("redis-tools", "libjemalloc2", "liblzf1")
# One program under several names: the package of the server holds a link to it.
REDIS_PROGRAM = "redis-check-rdb"


def main() -> None:
    missing = missing_tools()
    if missing:
        sys.exit("setup needs what this machine lacks:\n" + "\n".join(f"  - {line}" for line in missing))
    make_venv()
    install_packages()
    place_native_core()
    install_project()
    install_devnet_packages()
    if "--without-geth" not in sys.argv[1:]:
        install_geth()
        install_clef()
        install_softhsm()
        install_redis()
        install_analysers()


def missing_tools() -> list[str]:
    """What is absent or too old, each with the way to get it."""
    missing = []
    if sys.version_info < PYTHON_MIN:
        missing.append(
            f"Python 3.11 or newer (this is {sys.version.split()[0]}): apt install python3.11 "
            "python3.11-venv, brew install python@3.11 or pyenv install 3.11; then make PYTHON=python3.11"
        )
    node = output_of("node", "--version")
    if node is None or int(node.lstrip("v").split(".")[0]) < NODE_MAJOR_MIN:
        missing.append(
            f"Node.js {NODE_MAJOR_MIN} or newer: apt install nodejs, brew install node or nvm install --lts"
        )
    if output_of("npm", "--version") is None:
        missing.append("npm, which comes with Node.js: apt install npm")
    if output_of("cargo", "--version") is None or output_of("rustc", "--version") is None:
        missing.append("Rust 1.91 or newer with cargo: rustup (rustup.rs), or brew install rust")
    return missing


def output_of(*command: str) -> str | None:
    if shutil.which(command[0]) is None:
        return None
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def make_venv() -> None:
    inputs = digest(sys.version, Path(sys.base_prefix))
    if is_fresh("venv", inputs):
        return
    say("virtual environment: .venv")
    run(sys.executable, "-m", "venv", "--clear", str(VENV))
    mark("venv", inputs)


def install_packages() -> None:
    """Runtime, extras and development packages, at the versions of constraints.txt."""
    settings = project()
    wanted = list(settings["project"]["dependencies"])
    for extra in settings["project"].get("optional-dependencies", {}).values():
        wanted += extra
    constraints = ROOT / "constraints.txt"
    inputs = digest(repr(sorted(wanted)), repr(settings["dependency-groups"]), constraints)
    if is_fresh("packages", inputs):
        return
    say("Python packages")
    pip = (
        str(PYTHON),
        "-m",
        "pip",
        "--quiet",
        "--disable-pip-version-check",
        "install",
        "-c",
        str(constraints),
    )
    run(*pip, "--upgrade", "pip")
    run(*pip, "--group", "dev", *wanted)
    mark("packages", inputs)


def place_native_core() -> None:
    """Copy the native core from the cache, or build it there first."""
    sources = [p for p in sorted((ROOT / "native").rglob("*")) if p.is_file() and "target" not in p.parts]
    inputs = digest(output_of("rustc", "-vV") or "", repr(project()["tool"]["maturin"]), *sources)
    if EXTENSION.exists() and is_fresh("native", inputs):
        return
    kept = CACHE / "native" / f"{inputs}.so"
    if not kept.exists():
        say("native core: building, a minute or two the first time")
        cargo_target = os.environ.get("CARGO_TARGET_DIR") or str(CACHE / "cargo")
        maturin = (
            str(VENV / "bin" / "maturin"),
            "develop",
            "--quiet",
            "--release",
            "--skip-install",
            "--locked",
        )
        environment = {**os.environ, "CARGO_TARGET_DIR": cargo_target, "VIRTUAL_ENV": str(VENV)}
        run(*maturin, environment=environment, quiet=True)
        kept.parent.mkdir(parents=True, exist_ok=True)
        replace(EXTENSION, kept)
        by_age = sorted(kept.parent.glob("*.so"), key=lambda path: path.stat().st_mtime, reverse=True)
        for old in by_age[NATIVE_KEPT_MAX:]:
            old.unlink()
    else:
        say("native core: copied from the cache")
        replace(kept, EXTENSION)
    mark("native", inputs)


def install_project() -> None:
    """Install the clone in editable form, with its command, without compiling anything.

    maturin writes the metadata; a wheel of that metadata and a path file is what an editable build would
    yield.
    """
    inputs = digest(ROOT / "pyproject.toml", str(ROOT))
    if is_fresh("project", inputs):
        return
    say("command: .venv/bin/seawall")
    with tempfile.TemporaryDirectory() as folder:
        metadata = Path(folder, "metadata")
        metadata.mkdir()
        write = (str(VENV / "bin" / "maturin"), "pep517", "write-dist-info", "--quiet")
        run(*write, "--metadata-directory", str(metadata), "--interpreter", str(PYTHON), quiet=True)
        files = {str(p.relative_to(metadata)): p.read_bytes() for p in metadata.rglob("*") if p.is_file()}
        information = next(name for name in files if name.endswith("/METADATA")).split("/")[0]
        tag = next(
            line.split(b": ")[1].decode()
            for line in files[f"{information}/WHEEL"].splitlines()
            if line.startswith(b"Tag: ")
        )
        files["seawall.pth"] = f"{ROOT / 'src'}\n".encode()
        record = f"{information}/RECORD"
        files[record] = "".join(f"{name},,\n" for name in [*files, record]).encode()
        wheel = Path(folder, f"{information.removesuffix('.dist-info')}-{tag}.whl")
        with zipfile.ZipFile(wheel, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        pip = (str(PYTHON), "-m", "pip", "--quiet", "--disable-pip-version-check", "install")
        run(*pip, "--no-deps", "--force-reinstall", "--no-index", str(wheel))
    mark("project", inputs)


def install_devnet_packages() -> None:
    devnet = ROOT / "devnet"
    inputs = digest(
        devnet / "package.json", devnet / "package-lock.json", output_of("node", "--version") or ""
    )
    if (devnet / "node_modules").is_dir() and is_fresh("devnet", inputs):
        return
    say("devnet packages: anvil, forge, solc and the published contracts")
    quiet = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
    run("npm", "ci", *quiet, "--prefer-offline", where=devnet)
    mark("devnet", inputs)


def install_geth() -> None:
    build_with_go("geth", GETH_PACKAGE, GETH)


def install_clef() -> None:
    build_with_go("clef", CLEF_PACKAGE, CLEF)


def build_with_go(name: str, package: str, place: Path) -> None:
    """Build one into the cache, where Go is present. Only tests use it, and say when it is missing."""
    if place.exists() or output_of("go", "version") is None:
        return
    say(f"{name} {GETH_VERSION}, for the tests: building, two minutes the first time")
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent) as folder:
        command = ("go", "install", f"{package}@{GETH_VERSION}")
        environment = {**os.environ, "GOBIN": folder}
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            said = done.stderr.strip().splitlines()[-1:] or ["nothing was said"]
            say(f"{name} cannot be built, the tests against it are skipped: {said[0]}")
            return
        Path(folder, name).replace(place)


def install_softhsm() -> None:
    """Unpack the system's package of SoftHSM into the cache, unless it is installed. Needs no rights."""
    installed = [folder for pattern in SOFTHSM_INSTALLED for folder in Path("/").glob(pattern[1:])]
    present = any((folder / SOFTHSM_FILES[0]).exists() for folder in (SOFTHSM, *installed))
    if present or output_of("apt-get", "--version") is None or output_of("dpkg-deb", "--version") is None:
        return
    say("SoftHSM, for the tests")
    SOFTHSM.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=SOFTHSM) as folder:
        fetched = fetch_packages(folder, *SOFTHSM_PACKAGES)
        if fetched.returncode != 0:
            said = fetched.stderr.strip().splitlines()[-1:] or ["nothing was said"]
            say(f"SoftHSM cannot be fetched, the tests against it are skipped: {said[0]}")
            return
        for package in Path(folder).glob("*.deb"):
            run("dpkg-deb", "--extract", str(package), folder)
        for name in SOFTHSM_FILES:
            found = next(path for path in sorted(Path(folder).rglob(name)) if not path.is_symlink())
            replace(found, SOFTHSM / name)


def install_redis() -> None:
    """As SoftHSM: unpack the server from the system's packages, unless one is installed."""
    present = (REDIS / "redis-server").exists() or shutil.which("redis-server") is not None
    if present or output_of("apt-get", "--version") is None or output_of("dpkg-deb", "--version") is None:
        return
    say("redis-server, for the tests")
    REDIS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=REDIS) as folder:
        fetched = fetch_packages(folder, *REDIS_PACKAGES)
        if fetched.returncode != 0:
            said = fetched.stderr.strip().splitlines()[-1:] or ["nothing was said"]
            say(f"redis-server cannot be fetched, the tests against it are skipped: {said[0]}")
            return
        for package in Path(folder).glob("*.deb"):
            run("dpkg-deb", "--extract", str(package), folder)
        for library in Path(folder).rglob("*.so.*"):
            replace(library, REDIS / library.name)
        replace(next(Path(folder).rglob(REDIS_PROGRAM)), REDIS / "redis-server")


def install_analysers() -> None:
    """slither and halmos, which look at the contracts: in an environment of their own, for they want other
    versions of much. The link that the Makefile uses leads to it."""
    inputs = digest(sys.version, ROOT / "contracts" / "analysers.txt")
    place = CACHE / "analysers" / inputs
    whole = place / "whole"  # its programs name their place, so that it cannot be made elsewhere and moved
    if not whole.exists():
        say("slither and halmos, for the tests: half a minute")
        run(sys.executable, "-m", "venv", "--clear", str(place))
        pip = (str(place / "bin" / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check")
        run(*pip, "install", "-r", str(ROOT / "contracts" / "analysers.txt"))
        whole.touch()
    if not ANALYSERS.is_symlink() or ANALYSERS.readlink() != place:
        ANALYSERS.unlink(missing_ok=True)
        ANALYSERS.symlink_to(place)


def fetch_packages(folder: str, *packages: str) -> subprocess.CompletedProcess[str]:
    """Without installing them; where the lists of packages are missing or old, they are fetched first."""
    fetch = ("apt-get", "download", "--quiet=2", *packages)
    done = subprocess.run(fetch, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        update = ("apt-get", "update", "--quiet=2")
        subprocess.run(update, capture_output=True, text=True, check=False)
        done = subprocess.run(fetch, cwd=folder, capture_output=True, text=True, check=False)
    return done


def project() -> dict[str, Any]:
    import tomllib  # not before the version of Python was looked at

    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def digest(*inputs: str | Path) -> str:
    """Hex digest of texts, and of files with their names."""
    hasher = hashlib.sha256()
    for item in inputs:
        if isinstance(item, Path) and item.is_file():
            content, name = item.read_bytes(), str(item.relative_to(ROOT))
        else:
            content, name = str(item).encode(), ""
        hasher.update(f"{name}\0{len(content)}\0".encode() + content)
    return hasher.hexdigest()[:32]


def is_fresh(step: str, inputs: str) -> bool:
    stamp = STAMPS / step
    return stamp.is_file() and stamp.read_text() == inputs


def mark(step: str, inputs: str) -> None:
    STAMPS.mkdir(exist_ok=True)
    (STAMPS / step).write_text(inputs)


def replace(source: Path, target: Path) -> None:
    """Copy in one step: a process that has the old file mapped keeps it."""
    partial = target.with_name(f"{target.name}.{os.getpid()}")
    shutil.copy(source, partial)
    partial.replace(target)


def say(text: str) -> None:
    print(f"setup: {text}", flush=True)


def run(
    *command: str, where: Path = ROOT, environment: dict[str, str] | None = None, quiet: bool = False
) -> None:
    done = subprocess.run(command, cwd=where, env=environment, capture_output=quiet, text=True, check=False)
    if done.returncode != 0:
        print(done.stderr or "", file=sys.stderr)
        sys.exit(f"setup: failed with {done.returncode}: {' '.join(command)}")


if __name__ == "__main__":
    main()
