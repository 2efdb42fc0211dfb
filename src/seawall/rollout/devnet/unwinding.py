"""Taking back the last blocks of a fork, with everything that they changed.

The pinned anvil's own `anvil_reorg` leaves values standing on a fork that the removed blocks were the first
to read or write: what it knew at the earlier block is put over the present state, and the rest stays. So the
removed transactions are traced for what they changed, the chain is rolled back, those values are put back by
hand, and empty blocks follow, the first of them a second later than the one it replaces.

Changes that the devnet's owner made by hand between those blocks are not undone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from seawall.primitives.errors import EndpointError, InputError
from seawall.rollout.devnet.rpc import DevnetRpc, Json, as_int

__all__ = ["reorg_fork"]

_TRACER: Final[Json] = {"tracer": "prestateTracer", "tracerConfig": {"diffMode": True}}
_WORD_DIGITS: Final = 64


@dataclass(slots=True)
class _Account:
    """Of what was changed, the values before the change."""

    balance: str | None = None
    nonce: str | None = None
    code: str | None = None
    storage: dict[str, str] = field(default_factory=dict)


def reorg_fork(rpc: DevnetRpc, depth: int, fork_block: int) -> None:
    """Replace the last `depth` blocks by empty ones, none of them at or below the fork's own block."""
    head = rpc.integer("eth_blockNumber")
    if head - depth < fork_block:
        raise InputError(
            f"{depth} blocks reach below the fork's block {fork_block}",
            "devnet",
            f"give at most {head - fork_block}",
        )
    removed = [
        rpc.record("eth_getBlockByNumber", hex(number), False) for number in range(head - depth + 1, head + 1)
    ]
    before: dict[str, _Account] = {}
    hashes = [tx_hash for block in removed for tx_hash in _list(block.get("transactions"))]
    for tx_hash in reversed(hashes):
        _take_back(rpc.record("debug_traceTransaction", tx_hash, _TRACER), before)
    rpc.call("anvil_rollback", depth)
    for address, account in before.items():
        _put_back(rpc, address, account)
    rpc.call("evm_setNextBlockTimestamp", as_int(removed[0]["timestamp"], "block") + 1)
    rpc.call("anvil_mine", hex(depth))


def _take_back(trace: dict[str, Json], before: dict[str, _Account]) -> None:
    """Enter the values before one transaction; those of a later one give way."""
    earlier, later = _object(trace.get("pre")), _object(trace.get("post"))
    for address in earlier.keys() | later.keys():
        pre = _object(earlier.get(address, {}))
        # What came after names what changed; an account that is gone after had all of it changed.
        changed = _object(later.get(address, pre))
        account = before.setdefault(address, _Account())
        if "balance" in changed:
            account.balance = str(pre.get("balance", "0x0"))
        if "nonce" in changed:
            account.nonce = hex(int(str(pre.get("nonce", 0))))
        if "code" in changed:
            account.code = str(pre.get("code", "0x"))
        slots = _object(pre.get("storage", {}))
        # A slot that was empty before is named only among what came after.
        for slot in slots.keys() | _object(changed.get("storage", {})).keys():
            account.storage[slot] = str(slots.get(slot, "0x" + "0" * _WORD_DIGITS))


def _put_back(rpc: DevnetRpc, address: str, account: _Account) -> None:
    for method, value in (
        ("anvil_setBalance", account.balance),
        ("anvil_setNonce", account.nonce),
        ("anvil_setCode", account.code),
    ):
        if value is not None:
            rpc.call(method, address, value)
    for slot, word in account.storage.items():
        rpc.call("anvil_setStorageAt", address, slot, word)


def _object(value: Json) -> dict[str, Json]:
    if isinstance(value, dict):
        return value
    raise EndpointError(f"a trace holds {value!r:.80}", "devnet", "check that the node is the pinned anvil")


def _list(value: Json) -> list[Json]:
    if isinstance(value, list):
        return value
    raise EndpointError(f"a block holds {value!r:.80}", "devnet", "check that the node is the pinned anvil")
