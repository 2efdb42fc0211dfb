"""What people send with today: a careful web3.py loop, and ape, the sender of Silverback's bots.

web3.py: local nonces, one signature and one request a transaction, no waiting. ape: `account.transfer`, which
waits for each receipt; nothing is left to it that could be given. It needs another web3.py than ours, so it
lives in an environment of its own under the cache (`$SEAWALL_CACHE` or `~/.cache/seawall`), made once from
the package index; where that cannot be, its figure is missing and standard error says why.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path
from typing import Final

from bench.nodes import Node
from bench.payloads import Payload
from seawall.native import DynamicFeeTransaction, to_checksum
from seawall.primitives.units import Address, hex_text

__all__ = ["ape_rate", "web3_rate"]

APE: Final = ("silverback==0.7.38", "eth-ape==0.8.52")
INSTALL_TIMEOUT_S: Final = 420.0
RUN_TIMEOUT_S: Final = 90.0
MINED_WITHIN_S: Final = 60.0
POLL_S: Final = 0.05
SCRIPT: Final = Path(__file__).resolve().parent / "peer_scripts" / "sending.py"
_RATE: Final = re.compile(r"^RATE ([0-9.]+)$", re.MULTILINE)


def web3_rate(node: Node, payload: Payload, keys: int, count: int) -> float:
    """Mined per second by a script with local nonces."""
    from eth_account import Account
    from web3 import HTTPProvider, Web3

    client = Web3(HTTPProvider(node.url))
    accounts = [Account.create() for _ in range(keys)]
    payload.prepare(node, [Address(bytes.fromhex(account.address[2:])) for account in accounts])
    plain = [payload.transaction(index // keys, index) for index in range(count)]
    begin_s = time.perf_counter()
    for index, transaction in enumerate(plain):
        signed = accounts[index % keys].sign_transaction(_fields(transaction))
        client.eth.send_raw_transaction(signed.raw_transaction)
    last = accounts[(count - 1) % keys]
    until_s = time.perf_counter() + MINED_WITHIN_S
    while client.eth.get_transaction_count(last.address) <= (count - 1) // keys:
        if time.perf_counter() > until_s:
            raise TimeoutError(f"the web3.py loop was not mined within {MINED_WITHIN_S:.0f} s")
        time.sleep(POLL_S)
    return count / (time.perf_counter() - begin_s)


def _fields(transaction: DynamicFeeTransaction) -> dict[str, object]:
    assert transaction.to is not None
    return {
        "chainId": transaction.chain_id,
        "nonce": transaction.nonce,
        "to": to_checksum(transaction.to),
        "value": transaction.value_wei,
        "gas": transaction.gas_limit,
        "maxFeePerGas": transaction.max_fee_per_gas_wei,
        "maxPriorityFeePerGas": transaction.max_priority_fee_per_gas_wei,
        "data": hex_text(transaction.data),
    }


def ape_rate(node: Node, keys: int, count: int) -> float | None:
    """Transfers mined per second by ape; None where it cannot be had."""
    try:
        interpreter = _interpreter()
        with tempfile.TemporaryDirectory() as folder:
            environment = {"PATH": os.environ["PATH"], "HOME": folder, "APE_DATA_FOLDER": folder}
            done = subprocess.run(
                [interpreter, SCRIPT, node.url, str(count), str(keys)],
                cwd=folder, env=environment, timeout=RUN_TIMEOUT_S, capture_output=True, text=True,
                check=True,
            )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        print(f"ape is missing from the peers: {error!s:.300}", file=sys.stderr)
        return None
    found = _RATE.search(done.stdout)
    if found is None:
        print(f"ape is missing from the peers: it said {done.stdout[-300:]!r}", file=sys.stderr)
        return None
    return float(found[1])


def _interpreter() -> Path:
    """Of an environment that holds these very versions, made when there is none."""
    cache = Path(os.environ.get("SEAWALL_CACHE") or Path.home() / ".cache" / "seawall")
    folder = cache / "peers" / "-".join(APE).replace("==", "-")
    interpreter, finished = folder / "bin" / "python", folder / "installed"
    if not finished.exists():
        print(f"installing {', '.join(APE)} into {folder}", file=sys.stderr)
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run(
            [interpreter, "-m", "pip", "install", "--quiet", *APE],
            timeout=INSTALL_TIMEOUT_S, stdout=sys.stderr, check=True,
        )  # fmt: skip
        finished.touch()
    return interpreter
