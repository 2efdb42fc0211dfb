"""Many keys from one master: a key of its own for each deal, by BIP-32 under BIP-44's Ethereum tree.

Flow: `create_master` makes a master's file once. `derived_key` opens it, walks m/44'/60'/deal'/0'/index', and
wipes the master; the command stores the key at the end as a keystore of its own. The kernel only ever sees
keystores; it can be given no master, whose file is no keystore.

Every step is hardened. So no derived key, and no number of them, tells anything of the master or of its
siblings, there is no extended public key to export, and what is lost with one deal's key is that deal. The
price: addresses of future deals cannot be known without the master.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from typing_extensions import override

from seawall.native.wire import LocalKey, MasterKey, Password
from seawall.primitives.errors import InputError, KeystoreError, SignerError
from seawall.signers.local import KEYSTORE_BYTES_MAX, ScryptCost, write_keystore

__all__ = ["STEP_MAX", "DealPath", "create_master", "derived_key"]

STEP_MAX: Final = 2**31 - 1
_PURPOSE: Final = 44  # BIP-44
_ETHEREUM: Final = 60  # SLIP-44


@dataclass(frozen=True, slots=True)
class DealPath:
    """Which key of a master: a deal's number, and which of that deal's keys (rotation takes the next one)."""

    deal: int
    index: int = 0

    def __post_init__(self) -> None:
        for name, value in (("deal", self.deal), ("index", self.index)):
            if not 0 <= value <= STEP_MAX:
                raise InputError(
                    f"{value} is no number of a derived key", name, f"give 0 to {STEP_MAX}, each only once"
                )

    @property
    def steps(self) -> tuple[int, ...]:
        """Each of them is hardened."""
        return (_PURPOSE, _ETHEREUM, self.deal, 0, self.index)

    @override
    def __str__(self) -> str:
        return "m/" + "/".join(f"{step}'" for step in self.steps)


def create_master(path: Path, password: Password, cost: ScryptCost) -> None:
    """A fresh master, encrypted in a new file that only its owner can read."""
    text = MasterKey.generate().to_file_text(password, n=cost.n, r=cost.r, p=cost.p)
    write_keystore(path, text)


def derived_key(master: Path, password: Password, deal: DealPath) -> LocalKey:
    """The key of `deal`, open; wipe it. The same master and deal give the same key, for ever.

    The master is open within this call only: its handle is the last reference, and wipes its seed.
    """
    return MasterKey.from_file_text(_read(master), password).derive(deal.steps)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(KEYSTORE_BYTES_MAX + 1)
    except OSError as error:
        raise SignerError(
            f"the master {path} cannot be read: {error.strerror}", "master", "bring its file here"
        ) from None
    if len(content) > KEYSTORE_BYTES_MAX:
        raise KeystoreError(f"{path} is larger than {KEYSTORE_BYTES_MAX} bytes", "master", "give a master")
    return content
