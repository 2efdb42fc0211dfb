"""Keys derived from a master: the published vectors, and what never leaves."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import pickle
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from eth_account import Account
from eth_keyfile.keyfile import create_keyfile_json

from seawall.native.wire import LocalKey, MasterKey, Password
from seawall.primitives.errors import InputError, KeystoreError, SignerError
from seawall.primitives.units import Address
from seawall.signers.derivation import STEP_MAX, DealPath, create_master, derived_key
from seawall.signers.local import THROWAWAY_COST, LocalSigner, PasswordSource, write_keystore

MASTER_PASSWORD = "master-password-4711"
KEY_PASSWORD = "key-password-0815"

# BIP-32's fourth vector, whose keys begin with zeros: seed, steps, private key.
VECTOR_SEED = bytes.fromhex("3ddd5602285899a946114506157c7997e5444528f3003f6134712147db19b678")
VECTORS = {
    (0,): "00d948e9261e41362a688b916f297121ba6bfb2274a3575ac0e456551dfd7f7e",
    (0, 1): "3a2086edd7d9df86c3487a5905a1712a9aa664bce8cc268141e07549eaa8661d",
}


def master_file(seed: bytes, password: str = MASTER_PASSWORD) -> bytes:
    """A master with a known seed, encrypted by another implementation."""
    written = create_keyfile_json(seed, password.encode(), kdf="scrypt", iterations=2)
    return json.dumps({"seawall_master": 1, "crypto": written["crypto"]}).encode()


def opened(seed: bytes) -> MasterKey:
    return MasterKey.from_file_text(master_file(seed), Password.from_text(MASTER_PASSWORD))


@pytest.mark.parametrize("steps", VECTORS)
def test_published_vectors_are_met(steps: tuple[int, ...]) -> None:
    expected = Account.from_key(bytes.fromhex(VECTORS[steps])).address
    assert opened(VECTOR_SEED).derive(steps).address == bytes.fromhex(expected[2:])


def test_path_of_a_deal_is_that_of_other_wallets_hardened() -> None:
    # eth-account derives from a seed by an implementation of its own.
    from eth_account.hdaccount.deterministic import HDPath

    seed, deal = bytes(range(32)), DealPath(7, 3)
    assert str(deal) == "m/44'/60'/7'/0'/3'"
    key = HDPath(str(deal)).derive(seed)
    assert opened(seed).derive(deal.steps).address == bytes.fromhex(Account.from_key(key).address[2:])


@pytest.fixture
def master(tmp_path: Path) -> Path:
    path = tmp_path / "master.json"
    create_master(path, Password.from_text(MASTER_PASSWORD), THROWAWAY_COST)
    return path


def derived(master: Path, deal: DealPath, name: str) -> Address:
    """The key as the command stores it."""
    key = derived_key(master, Password.from_text(MASTER_PASSWORD), deal)
    cost = THROWAWAY_COST
    text = key.to_keystore(Password.from_text(KEY_PASSWORD), n=cost.n, r=cost.r, p=cost.p)
    write_keystore(master.with_name(name), text)
    return Address(key.address)


async def test_deal_has_one_key_for_ever_and_no_other_deals(
    master: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [DealPath(0), DealPath(1), DealPath(0, 1), DealPath(STEP_MAX, STEP_MAX)]
    addresses = [derived(master, deal, f"{place}.json") for place, deal in enumerate(paths)]
    assert len(set(addresses)) == len(paths)
    assert derived(master, DealPath(1), "again.json") == addresses[1]
    monkeypatch.setenv("KEY_PASSWORD_OF_TEST", KEY_PASSWORD)
    signer = LocalSigner.open(
        "deal", master.with_name("1.json"), PasswordSource(environment="KEY_PASSWORD_OF_TEST")
    )
    await signer.unlock()
    assert signer.address == addresses[1]


def test_master_and_derived_keys_are_their_owners_files(master: Path) -> None:
    derived(master, DealPath(0), "0.json")
    assert stat.S_IMODE(master.with_name("0.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(master.stat().st_mode) == 0o600


def test_master_is_no_keystore_and_a_keystore_no_master(master: Path) -> None:
    with pytest.raises(KeystoreError):
        LocalKey.from_keystore(master.read_bytes(), Password.from_text(MASTER_PASSWORD))
    with pytest.raises(SignerError, match="not a version 3 keystore"):
        LocalSigner.open("main", master, PasswordSource(file=master))
    derived(master, DealPath(0), "key.json")
    with pytest.raises(KeystoreError, match="not a master file"):
        MasterKey.from_file_text(master.with_name("key.json").read_bytes(), Password.from_text(KEY_PASSWORD))


def test_wrong_password_opens_no_master_and_is_not_shown(master: Path) -> None:
    with pytest.raises(KeystoreError, match="does not open") as caught:
        MasterKey.from_file_text(master.read_bytes(), Password.from_text("wrong-2342"))
    assert "wrong-2342" not in str(caught.value)


def test_existing_keystore_is_never_overwritten(master: Path) -> None:
    derived(master, DealPath(0), "key.json")
    before = master.with_name("key.json").read_bytes()
    with pytest.raises(SignerError, match="cannot be created"):
        derived(master, DealPath(1), "key.json")
    assert master.with_name("key.json").read_bytes() == before


def test_absent_and_huge_masters_are_told(tmp_path: Path) -> None:
    with pytest.raises(SignerError, match="cannot be read"):
        derived(tmp_path / "absent.json", DealPath(0), "key.json")
    (tmp_path / "huge.json").write_bytes(b"{" * 20_000)
    with pytest.raises(KeystoreError, match="larger than"):
        derived(tmp_path / "huge.json", DealPath(0), "key.json")


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"seawall_master": 2}', b"\xff", b"{" * 1_000])
def test_file_that_is_no_master_is_told(content: bytes) -> None:
    with pytest.raises(KeystoreError):
        MasterKey.from_file_text(content, Password.from_text("x"))


@pytest.mark.parametrize(("deal", "index"), [(-1, 0), (0, -1), (STEP_MAX + 1, 0), (0, STEP_MAX + 1)])
def test_number_beyond_a_hardened_step_is_refused(deal: int, index: int) -> None:
    with pytest.raises(InputError):
        DealPath(deal, index)


@pytest.mark.parametrize("path", [[], [0] * 11, [2**31]])
def test_path_that_is_none_is_refused(path: list[int]) -> None:
    with pytest.raises(KeystoreError, match="no path below a master"):
        opened(VECTOR_SEED).derive(path)


def test_master_can_be_neither_copied_nor_shown() -> None:
    key = opened(VECTOR_SEED)
    for work in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(KeystoreError):
            work(key)
    assert repr(key) == "MasterKey(...)"
    public = {name for name in dir(key) if not name.startswith("_")}
    assert public == {"derive", "from_file_text", "generate", "to_file_text"}


HOLDS_AND_WIPES = """
import sys
from pathlib import Path
from seawall.native.wire import Password
from seawall.signers.derivation import DealPath, derived_key
key = derived_key(Path(sys.argv[1]), Password.from_file(sys.argv[2]), DealPath(7))
key.sign_digest(bytes(32))
print("held", flush=True)
sys.stdin.readline()
key.wipe()
print("wiped", flush=True)
sys.stdin.readline()
"""


def memory_of(process: int) -> bytes:
    """All that the process may write to."""
    found = []
    maps = (Path("/proc") / str(process) / "maps").read_text()
    with (Path("/proc") / str(process) / "mem").open("rb", 0) as memory:
        for line in maps.splitlines():
            span, rights = line.split()[:2]
            if rights.startswith("rw"):
                start, end = (int(part, 16) for part in span.split("-"))
                memory.seek(start)
                with contextlib.suppress(OSError):
                    found.append(memory.read(end - start))
    return b"".join(found)


def test_master_leaves_no_trace_in_memory_and_a_wiped_key_none_either(tmp_path: Path) -> None:
    from eth_account.hdaccount.deterministic import HDPath

    seed = os.urandom(32)
    private = HDPath(str(DealPath(7))).derive(seed)
    (tmp_path / "master.json").write_bytes(master_file(seed))
    (tmp_path / "password").write_text(MASTER_PASSWORD)
    command = (sys.executable, "-c", HOLDS_AND_WIPES, tmp_path / "master.json", tmp_path / "password")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        seen = {}
        for _ in range(2):
            state = process.stdout.readline().strip()
            try:
                memory = memory_of(process.pid)
            except PermissionError:
                process.kill()
                pytest.skip("this machine lets nobody read another process's memory")
            # As it is, and as libsecp256k1 may keep it: in words of the machine.
            forms = {name: (one, one[::-1]) for name, one in (("seed", seed), ("key", private))}
            seen[state] = {name: sum(memory.count(form) for form in both) for name, both in forms.items()}
            process.stdin.write("\n")
            process.stdin.flush()
    assert seen["held"]["key"] >= 1, "nothing was looked at"
    assert seen == {"held": {"seed": 0, "key": 1}, "wiped": {"seed": 0, "key": 0}}
