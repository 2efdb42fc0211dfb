"""Encoding, signing and hashing EIP-1559 transactions, one thread.

Limit: libsecp256k1 and one Keccak in a bare Rust loop. Peer: eth-account, which signs with coincurve when
installed.
"""

from __future__ import annotations

from bench.rows import Row, best_rate
from seawall.native import DynamicFeeTransaction, LocalKey, to_checksum
from seawall.native.limits import bench_bare_sign

BATCH = 300  # some 10 ms: short enough that some slices run undisturbed
PEER_BATCH = 10
ROUNDS = 40
CALLDATA = bytes(range(1, 229))  # about a router swap


def measure() -> list[Row]:
    from eth_account import Account

    key = LocalKey.generate()
    batch = [
        DynamicFeeTransaction(31337, nonce, 10**9, 10**11, 200_000, b"\x42" * 20, 10**17, CALLDATA)
        for nonce in range(BATCH)
    ]
    peer = Account.create()
    fields = {
        "type": 2,
        "chainId": 31337,
        "maxPriorityFeePerGas": 10**9,
        "maxFeePerGas": 10**11,
        "gas": 200_000,
        "to": to_checksum(b"\x42" * 20),
        "value": 10**17,
        "data": CALLDATA,
    }

    def ours() -> int:
        signed = key.sign_transactions(batch)
        return sum(len(item.hash) == 32 and len(item.raw) > 0 for item in signed)

    def by_peer() -> int:
        for nonce in range(PEER_BATCH):
            peer.sign_transaction(fields | {"nonce": nonce})
        return PEER_BATCH

    # Interleaved, so that other load on the machine falls on all of them alike.
    best, limit, other = 0.0, 0.0, 0.0
    for _ in range(ROUNDS):
        best = max(best, best_rate(ours, 1))
        limit = max(limit, BATCH / bench_bare_sign(BATCH))
        other = max(other, best_rate(by_peer, 1))
    return [
        Row(
            metric="EIP-1559: encode, sign, hash",
            unit="transactions/s",
            ours=best,
            peers={"eth-account + coincurve": other},
            limit=limit,
        )
    ]
