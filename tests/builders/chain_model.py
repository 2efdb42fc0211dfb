"""A small chain that does what a test tells it, served as JSON-RPC: blocks, a pool, reorgs, no chance.

It takes signed bytes as a node does, and also bare transactions without bytes for tests that look at
confirmation alone. State is full at every block, so that what is pinned to a hash is answered exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from seawall.chain.rpc import Request, RpcError
from seawall.native import decode_transaction, keccak256
from seawall.primitives.errors import EndpointError
from seawall.primitives.units import Address, Hash
from tests.builders.shown import shown_transaction

__all__ = ["GWEI", "ChainModel", "ModelTransaction"]

GWEI = 10**9
BLOCK_S = 1
_BLOCK_GAS = 60_000_000
_GAS_USED = 21_000
_SOMEBODY = Address(b"\xfe" * 20)
_UNKNOWN = RpcError(-32000, "header not found", None)


@dataclass(frozen=True, slots=True)
class ModelTransaction:
    hash: Hash
    sender: Address
    nonce: int
    to: Address = _SOMEBODY
    value_wei: int = 0
    max_fee_per_gas_wei: int = 2 * GWEI
    max_priority_fee_per_gas_wei: int = 1
    gas_limit: int = 100_000
    data: bytes = b""
    reverts: bool = False
    raw: bytes = b""  # as it was signed, if it was


@dataclass(frozen=True, slots=True)
class _Block:
    number: int
    hash: bytes
    parent_hash: bytes
    timestamp_s: int
    base_fee_wei: int
    transactions: tuple[ModelTransaction, ...]
    balances: dict[bytes, int]
    nonces: dict[bytes, int]


@dataclass(slots=True)
class ChainModel:
    """Fulfils `RpcTransport`. `final_depth` and `safe_depth` are answered for the tags."""

    chain_id: int = 31337
    start_s: int = 1_800_000_000
    base_fee_wei: int = GWEI
    safe_depth: int = 1
    final_depth: int = 3
    label: str = "model"
    connects: int = 1
    reverting: set[bytes] = field(default_factory=set)  # targets at which everything reverts
    codes: dict[bytes, bytes] = field(default_factory=dict)
    pool: dict[Hash, ModelTransaction] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)  # methods that were asked, one a batch
    hides_receipts: bool = False
    blocks: list[_Block] = field(default_factory=list)
    _by_hash: dict[bytes, _Block] = field(default_factory=dict)
    _places: dict[bytes, tuple[_Block, int]] = field(default_factory=dict)
    _forks: int = 0

    def __post_init__(self) -> None:
        genesis = keccak256(b"model" + self.label.encode())
        self._append(_Block(0, genesis, bytes(32), self.start_s, self.base_fee_wei, (), {}, {}))

    @property
    def head(self) -> _Block:
        return self.blocks[-1]

    # ------------------------------------------------------------------ what a test does

    def fund(self, address: bytes, balance_wei: int) -> None:
        self.head.balances[address] = balance_wei

    def mine(self, *more: ModelTransaction, count: int = 1, only: Sequence[Hash] | None = None) -> None:
        """Blocks of what is executable in the pool (`only` these), and of `more`, which need no pool."""
        for _ in range(count):
            offered = [t for t in self.pool.values() if only is None or t.hash in only]
            self._mine([*more, *offered])
            more = ()

    def mine_nothing(self, count: int = 1) -> None:
        for _ in range(count):
            self._mine([])

    def reorg(self, depth: int, *, forget: bool = False) -> None:
        """Cut the newest blocks. Their transactions are in the pool again, unless everybody forgot them."""
        self._forks += 1
        cut, self.blocks = self.blocks[-depth:], self.blocks[:-depth]
        for block in cut:
            for transaction in block.transactions:
                self._places.pop(transaction.hash, None)
            if not forget:
                self.pool |= {t.hash: t for t in block.transactions}

    def drop(self, *hashes: Hash) -> None:
        for tx_hash in hashes or tuple(self.pool):
            self.pool.pop(tx_hash, None)

    def receive(self, raw: bytes) -> str | None:
        """As a node takes bytes: the error's text, or None."""
        decoded = decode_transaction(raw)
        fields = decoded.fields
        made = ModelTransaction(
            Hash(decoded.hash), Address(decoded.sender), fields.nonce, Address(fields.to or b""),
            fields.value_wei, fields.max_fee_per_gas_wei, fields.max_priority_fee_per_gas_wei,
            fields.gas_limit, fields.data, (fields.to or b"") in self.reverting, raw,
        )  # fmt: skip
        if made.hash in self.pool or self.find(made.hash) is not None:
            return "already known"
        if made.nonce < self.head.nonces.get(made.sender, 0):
            return "nonce too low"
        cost_wei = made.value_wei + made.gas_limit * made.max_fee_per_gas_wei
        if cost_wei > self.head.balances.get(made.sender, 0):
            return "insufficient funds for gas * price + value"
        for other in list(self.pool.values()):
            if (other.sender, other.nonce) == (made.sender, made.nonce):
                if not _outbids(made, other):
                    return "replacement transaction underpriced"
                del self.pool[other.hash]
        self.pool[made.hash] = made
        return None

    def find(self, tx_hash: bytes) -> tuple[_Block, int] | None:
        return self._places.get(tx_hash)

    def _mine(self, offered: Sequence[ModelTransaction]) -> None:
        parent = self.head
        balances, nonces = dict(parent.balances), dict(parent.nonces)
        mined = []
        for transaction in sorted(offered, key=lambda t: t.nonce):
            due = nonces.get(transaction.sender, 0)
            if transaction.nonce == due and transaction.max_fee_per_gas_wei >= self.base_fee_wei:
                nonces[transaction.sender] = due + 1
                price_wei = self._price(transaction, self.base_fee_wei)
                paid_wei = _GAS_USED * price_wei
                value_wei = 0 if transaction.reverts else transaction.value_wei
                balances[transaction.sender] = balances.get(transaction.sender, 0) - paid_wei - value_wei
                balances[transaction.to] = balances.get(transaction.to, 0) + value_wei
                mined.append(transaction)
        used = {(t.sender, t.nonce) for t in mined}
        self.pool = {h: t for h, t in self.pool.items() if (t.sender, t.nonce) not in used}
        number, seal = parent.number + 1, b"".join(t.hash for t in mined)
        block_hash = keccak256(parent.hash + self._forks.to_bytes(4, "big") + seal)
        timestamp_s = parent.timestamp_s + BLOCK_S
        self._append(
            _Block(
                number,
                block_hash,
                parent.hash,
                timestamp_s,
                self.base_fee_wei,
                tuple(mined),
                balances,
                nonces,
            )
        )

    def _append(self, block: _Block) -> None:
        self.blocks.append(block)
        self._by_hash[block.hash] = block
        self._places |= {t.hash: (block, index) for index, t in enumerate(block.transactions)}

    @staticmethod
    def _price(transaction: ModelTransaction, base_fee_wei: int) -> int:
        return min(transaction.max_fee_per_gas_wei, base_fee_wei + transaction.max_priority_fee_per_gas_wei)

    # ------------------------------------------------------------------ JSON-RPC

    async def send(self, requests: Sequence[Request]) -> list[object | RpcError]:
        self.requests += sorted({request.method for request in requests})
        return [self._answer(request.method, request.params) for request in requests]

    async def close(self) -> None:
        return

    def _answer(self, method: str, params: Sequence[Any]) -> object | RpcError:
        match method:
            case "eth_chainId":
                return hex(self.chain_id)
            case "eth_blockNumber":
                return hex(self.head.number)
            case "eth_getBlockByNumber":
                return self._json(self._tagged(params[0]))
            case "eth_getBlockByHash":
                block = self._by_hash.get(bytes.fromhex(params[0][2:]))
                is_known = block is not None and block.number < len(self.blocks)
                return self._json(block, whole=params[1]) if is_known else None
            case "eth_getTransactionByHash":
                tx_hash = bytes.fromhex(params[0][2:])
                is_known = tx_hash in self.pool or self.find(tx_hash) is not None
                return {"hash": params[0]} if is_known else None
            case "eth_getTransactionReceipt":
                return None if self.hides_receipts else self._receipt(bytes.fromhex(params[0][2:]))
            case "eth_feeHistory":
                newest = self._tagged(params[1])
                return _UNKNOWN if newest is None else self._fees(int(params[0], 16), newest, len(params[2]))
            case "eth_getLogs":
                return []
            case "eth_createAccessList":
                return RpcError(-32601, "method not found", None)
        return self._state(method, params)

    def _state(self, method: str, params: Sequence[Any]) -> object | RpcError:
        where = params[-1]
        block = self._by_hash.get(bytes.fromhex(where["blockHash"][2:])) if isinstance(where, dict) else None
        if block is None or block not in self.blocks[block.number : block.number + 1]:
            return _UNKNOWN
        account = b"" if method == "eth_call" else bytes.fromhex(params[0][2:])
        match method:
            case "eth_getTransactionCount":
                return hex(block.nonces.get(account, 0))
            case "eth_getBalance":
                return hex(block.balances.get(account, 0))
            case "eth_getCode":
                return "0x" + self.codes.get(account, b"").hex()
            case "eth_getStorageAt":
                return "0x" + bytes(32).hex()
            case "eth_call":
                return "0x"
        raise EndpointError(f"the model does not know {method}", self.label, "add it")

    def _tagged(self, tag: str) -> _Block | None:
        depths = {"latest": 0, "safe": self.safe_depth, "finalized": self.final_depth}
        number = max(0, self.head.number - depths[tag]) if tag in depths else int(tag, 16)
        return self.blocks[number] if number < len(self.blocks) else None

    def _json(self, block: _Block | None, *, whole: bool = False) -> object:
        if block is None:
            return None
        return {
            "number": hex(block.number),
            "hash": "0x" + block.hash.hex(),
            "parentHash": "0x" + block.parent_hash.hex(),
            "timestamp": hex(block.timestamp_s),
            "baseFeePerGas": hex(block.base_fee_wei),
            "gasLimit": hex(_BLOCK_GAS),
            "gasUsed": hex(_BLOCK_GAS // 2),
            "miner": "0x" + bytes(20).hex(),
            "mixHash": "0x" + bytes(32).hex(),
            "transactions": [_shown(t) if whole else "0x" + t.hash.hex() for t in block.transactions],
        }

    def _receipt(self, tx_hash: bytes) -> object:
        found = self.find(tx_hash)
        if found is None:
            return None
        block, index = found
        transaction = block.transactions[index]
        return {
            "transactionHash": "0x" + tx_hash.hex(),
            "blockHash": "0x" + block.hash.hex(),
            "blockNumber": hex(block.number),
            "transactionIndex": hex(index),
            "status": hex(int(not transaction.reverts)),
            "gasUsed": hex(_GAS_USED),
            "effectiveGasPrice": hex(self._price(transaction, block.base_fee_wei)),
            "logs": [],
        }

    def _fees(self, count: int, newest: _Block, percentiles: int) -> object:
        oldest = max(0, newest.number - count + 1)
        fees = [hex(self.blocks[n].base_fee_wei) for n in range(oldest, newest.number + 1)]
        return {
            "oldestBlock": hex(oldest),
            "baseFeePerGas": [*fees, hex(self.base_fee_wei)],
            "gasUsedRatio": [0.5] * len(fees),
            "reward": [[hex(GWEI // 100)] * percentiles] * len(fees),
        }


def _shown(transaction: ModelTransaction) -> dict[str, object]:
    if transaction.raw:
        return shown_transaction(transaction.raw)
    return {"hash": "0x" + transaction.hash.hex(), "type": "0x6a", "nonce": hex(transaction.nonce)}


def _outbids(new: ModelTransaction, old: ModelTransaction) -> bool:
    """geth's rule: a tenth more on both fee fields."""
    return (
        new.max_fee_per_gas_wei * 10 >= old.max_fee_per_gas_wei * 11
        and new.max_priority_fee_per_gas_wei * 10 >= old.max_priority_fee_per_gas_wei * 11
    )
