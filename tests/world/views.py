"""What one endpoint sees of the chain, as JSON-RPC would carry it: the truth, perhaps of a while ago."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from seawall.native import keccak256
from seawall.primitives.errors import EndpointError
from tests.builders.shown import shown_transaction
from tests.world.node import (
    BLOCK_GAS,
    CHAIN_ID,
    FINAL_DEPTH,
    PRIORITY_WEI,
    SAFE_DEPTH,
    Contract,
    MinedBlock,
    NodeModel,
    Place,
)

__all__ = ["ReadAnswer", "View"]


@dataclass(frozen=True, slots=True)
class ReadAnswer:
    """A number that a contract answers to a call: another one in every block, within two bounds."""

    low: int
    high: int

    def at(self, block_hash: bytes, call: bytes) -> int:
        drawn = int.from_bytes(keccak256(block_hash + call), "big")
        return self.low + drawn % (self.high - self.low + 1)


@dataclass(slots=True)
class View:
    """`lag_s` behind the others. Raises `LookupError` where a node says that it does not have a block."""

    node: NodeModel
    lag_s: float = 0.0
    # By the target of a call and how its calldata begins.
    reads: Mapping[tuple[bytes, bytes], ReadAnswer] = field(default_factory=dict)

    @property
    def head(self) -> MinedBlock:
        return self.node.head if self.lag_s == 0 else self.node.head_at(self._now_s)

    def answer(self, method: str, params: Sequence[Any]) -> object:
        """The result of one call. `LookupError` for a block that is not canonical here."""
        match method:
            case "eth_chainId":
                return hex(CHAIN_ID)
            case "eth_blockNumber":
                return hex(self.head.number)
            case "eth_getBlockByNumber":
                block = self._tagged(params[0])
                return None if block is None else _json_block(block)
            case "eth_getBlockByHash":
                found = self._known(_bytes(params[0]))
                return None if found is None else _json_block(found, whole=params[1])
            case "eth_getTransactionCount":
                return hex(self._pinned(params[1]).nonces.get(_bytes(params[0]), 0))
            case "eth_getBalance":
                return hex(self._pinned(params[1]).balances.get(_bytes(params[0]), 0))
            case "eth_getCode":
                self._pinned(params[1])
                contract = self.node.contracts.get(_bytes(params[0]))
                return "0x" + (b"" if contract is None else contract.value).hex()
            case "eth_getStorageAt":
                block = self._pinned(params[2])
                records = self.node.contracts.get(_bytes(params[0])) is Contract.RECORDS
                is_recorded = records and _bytes(params[1]) in block.recorded
                return "0x" + int(is_recorded).to_bytes(32, "big").hex()
            case "eth_call":
                return self._call(params[0], self._pinned(params[1]))
            case "eth_getTransactionByHash":
                return self._transaction(_bytes(params[0]))
            case "eth_getTransactionReceipt":
                place = self._find(_bytes(params[0]))
                return None if place is None else _receipt(place)
            case "eth_getBlockReceipts":
                return self._block_receipts(params[0])
            case "eth_feeHistory":
                return self._fee_history(int(params[0], 16), self._tagged(params[1]) or self.head)
            case "eth_createAccessList":
                raise LookupError("method not found")
            case "eth_getLogs":
                return []
        raise EndpointError(f"the model does not know {method}", "tests.world.views", "add it")

    @property
    def _now_s(self) -> float:
        return self.node.loop.time() - self.lag_s

    @property
    def _branch(self) -> list[MinedBlock]:
        return self.node.blocks if self.lag_s == 0 else self.node.branch(self.head)

    def _known(self, block_hash: bytes) -> MinedBlock | None:
        """Canonical here or not."""
        block = self.node.known_block(block_hash)
        return None if block is None or self.node.mined_at_s[block_hash] > self._now_s else block

    def _tagged(self, tag: str) -> MinedBlock | None:
        number = self.head.number
        numbers = {
            "latest": number,
            "safe": max(0, number - SAFE_DEPTH),
            "finalized": max(0, number - FINAL_DEPTH),
            "earliest": 0,
        }
        wanted = numbers[tag] if tag in numbers else int(tag, 16)
        return self._branch[wanted] if wanted <= number else None

    def _is_canonical(self, block: MinedBlock) -> bool:
        return block.number <= self.head.number and self._branch[block.number].hash == block.hash

    def _pinned(self, where: Any) -> MinedBlock:
        if isinstance(where, dict):
            block = self._known(_bytes(where["blockHash"]))
            block = None if block is None or not self._is_canonical(block) else block
        else:
            block = self._tagged(where)
        if block is None:
            raise LookupError("header not found")
        return block

    def _call(self, call: Mapping[str, str], block: MinedBlock) -> str:
        target, data = _bytes(call["to"]), _bytes(call.get("data", "0x"))
        for (wanted, beginning), answer in self.reads.items():
            if target == wanted and data.startswith(beginning):
                return "0x" + answer.at(block.hash, target + data).to_bytes(32, "big").hex()
        return "0x"

    def _find(self, tx_hash: bytes) -> Place | None:
        if self.lag_s == 0:
            return self.node.find(tx_hash)
        return next((p for p in self.node.places(tx_hash) if self._is_canonical(p[0])), None)

    def _transaction(self, tx_hash: bytes) -> object:
        place = self._find(tx_hash)
        waits = tx_hash in self.node.pool and self.node.received_at_s[tx_hash] <= self._now_s
        if place is None and not waits:
            return None
        return {
            "hash": "0x" + tx_hash.hex(),
            "blockHash": None if place is None else "0x" + place[0].hash.hex(),
            "blockNumber": None if place is None else hex(place[0].number),
        }

    def _block_receipts(self, where: str) -> object:
        block = self._known(_bytes(where)) if len(where) == 66 else self._tagged(where)
        if block is None or not self._is_canonical(block):
            return None
        return [_receipt((block, index, mined)) for index, mined in enumerate(block.transactions)]

    def _fee_history(self, count: int, newest: MinedBlock) -> object:
        oldest = max(0, newest.number - count + 1)
        fees = [hex(self._branch[n].base_fee_wei) for n in range(oldest, newest.number + 1)]
        following = hex(newest.base_fee_wei * 9 // 8 + 1)
        return {
            "oldestBlock": hex(oldest),
            "baseFeePerGas": [*fees, following],
            "gasUsedRatio": [0.5] * len(fees),
            "reward": [[hex(PRIORITY_WEI)]] * len(fees),
        }


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text[2:])


def _receipt(place: Place) -> dict[str, object]:
    block, index, mined = place
    return {
        "transactionHash": "0x" + mined.transaction.hash.hex(),
        "blockHash": "0x" + block.hash.hex(),
        "blockNumber": hex(block.number),
        "transactionIndex": hex(index),
        "status": hex(int(mined.status)),
        "gasUsed": hex(mined.gas_used),
        "effectiveGasPrice": hex(mined.price_wei),
        "logs": [],
    }


def _json_block(block: MinedBlock, *, whole: bool = False) -> dict[str, object]:
    zero = "0x" + bytes(32).hex()
    return {
        "number": hex(block.number),
        "hash": "0x" + block.hash.hex(),
        "parentHash": "0x" + block.parent_hash.hex(),
        "timestamp": hex(block.timestamp_s),
        "baseFeePerGas": hex(block.base_fee_wei),
        "gasLimit": hex(BLOCK_GAS),
        "gasUsed": hex(sum(m.gas_used for m in block.transactions)),
        "miner": "0x" + bytes(20).hex(),
        "mixHash": zero,
        "prevRandao": zero,
        "transactions": [
            shown_transaction(m.transaction.raw) if whole else "0x" + m.transaction.hash.hex()
            for m in block.transactions
        ],
    }
