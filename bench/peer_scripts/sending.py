"""Run by the interpreter of the peers' own environment: transfers by ape, which Silverback bots send with.

`sending.py URL COUNT KEYS` prints transactions mined per second.
"""

from __future__ import annotations

import secrets
import sys
import time

from ape import networks
from ape_accounts import generate_account

ETHER = 10**18
GWEI = 10**9
RECEIVER = "0x" + "d0" * 20


def main(url: str, count: int, keys: int) -> float:
    with networks.parse_network_choice(url) as provider:
        accounts = []
        for index in range(keys):
            passphrase = secrets.token_urlsafe(24) + "aA1!"
            account, _ = generate_account(f"bench{index}", passphrase)
            account.set_autosign(True, passphrase=passphrase)
            provider.make_request("anvil_setBalance", [account.address, hex(10**6 * ETHER)])
            accounts.append(account)
        begin_s = time.perf_counter()
        for index in range(count):
            # All that can be given is: nothing is estimated, and one block is enough.
            accounts[index % keys].transfer(
                RECEIVER,
                1,
                nonce=index // keys,
                gas_limit=21_000,
                max_fee=100 * GWEI,
                max_priority_fee=GWEI,
                required_confirmations=0,
            )
        return count / (time.perf_counter() - begin_s)


if __name__ == "__main__":
    rate = main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    print(f"RATE {rate}")
