"""A model of a node: a chain, a pool, and the ways in which both misbehave.

The chain knows plain transfers and one kind of contract, the *coin*: an account whose code reverts in odd
blocks, so that what simulated well may still fail. Blocks carry full copies of the small state, so that every
pinned question has its exact answer and a reorg is a cut of the list. What leaves the pool comes back if
somebody sends it again: we, or whoever else still had it.

Deliberately not here: gas markets beyond a base fee, uncles, logs.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from seawall.native import DynamicFeeTransaction, decode_transaction, keccak256
from seawall.primitives.errors import EndpointError
from tests.world.faults import Faults
from tests.world.loop import EPOCH_S, VirtualLoop

__all__ = [
    "BLOCK_S",
    "CHAIN_ID",
    "COIN",
    "COIN_CODE",
    "FINAL_DEPTH",
    "SAFE_DEPTH",
    "Mined",
    "MinedBlock",
    "NodeModel",
    "Transaction",
    "may_replace",
]

CHAIN_ID = 31337
BLOCK_S = 2
SAFE_DEPTH = 2
FINAL_DEPTH = 4
BLOCK_GAS = 30_000_000
COIN = b"\xc0" * 20
# NUMBER, PUSH1 1, AND, PUSH1 8, JUMPI, STOP; JUMPDEST, PUSH0, PUSH0, REVERT
COIN_CODE = bytes.fromhex("43600116600857005b5f5ffd")
_GWEI = 10**9
_REPLACEMENT_NUMERATOR, _REPLACEMENT_DENOMINATOR = 11, 10


@dataclass(frozen=True, slots=True)
class Transaction:
    hash: bytes
    raw: bytes
    sender: bytes
    fields: DynamicFeeTransaction

    @property
    def gas_used(self) -> int:
        """Intrinsic gas with the calldata floor of EIP-7623, and a little for the coin's code."""
        tokens = sum(1 if byte == 0 else 4 for byte in self.fields.data)
        base = 21_000 + max(4 * tokens, 10 * tokens)
        return min(self.fields.gas_limit, base + (40 if self.fields.to == COIN else 0))


@dataclass(frozen=True, slots=True)
class Mined:
    transaction: Transaction
    status: bool
    gas_used: int
    price_wei: int


@dataclass(frozen=True, slots=True)
class MinedBlock:
    number: int
    hash: bytes
    parent_hash: bytes
    timestamp_s: int
    base_fee_wei: int
    transactions: tuple[Mined, ...]
    balances: dict[bytes, int]
    nonces: dict[bytes, int]


@dataclass(slots=True)
class NodeModel:
    loop: VirtualLoop
    rng: random.Random
    faults: Faults
    blocks: list[MinedBlock] = field(default_factory=list)
    pool: dict[bytes, Transaction] = field(default_factory=dict)
    # What left the pool unmined, or was cut off with its block: others may still have it.
    gone: dict[bytes, Transaction] = field(default_factory=dict)
    # Calldata of what succeeded in a block that was canonical at that depth, at some time.
    reached: tuple[set[bytes], set[bytes], set[bytes]] = field(default_factory=lambda: (set(), set(), set()))
    landed_twice: list[bytes] = field(default_factory=list)
    foreign_nonces: dict[bytes, set[int]] = field(default_factory=dict)  # that others signed for, by key
    removed_at_s: dict[bytes, float] = field(default_factory=dict)  # when a reorg took a block away
    reorgs: int = 0
    _landed: set[bytes] = field(default_factory=set)  # calldata that succeeded on the canonical chain
    _by_hash: dict[bytes, MinedBlock] = field(default_factory=dict)
    _places: dict[bytes, tuple[MinedBlock, int, Mined]] = field(default_factory=dict)
    _decoded: dict[bytes, Transaction] = field(default_factory=dict)

    def start(self, balances: dict[bytes, int]) -> None:
        genesis = MinedBlock(0, keccak256(b"genesis"), bytes(32), EPOCH_S, _GWEI, (), dict(balances), {})
        self._append(genesis)
        for _ in range(FINAL_DEPTH + 1):
            self.mine()

    # ------------------------------------------------------------------ the chain

    @property
    def head(self) -> MinedBlock:
        return self.blocks[-1]

    @property
    def final_number(self) -> int:
        return max(0, self.head.number - FINAL_DEPTH)

    def mine(self) -> None:
        """One block of what is executable in the pool."""
        parent = self.head
        base_fee_wei = max(1, parent.base_fee_wei * self.rng.choice((7, 8, 8, 9)) // 8)
        balances, nonces = dict(parent.balances), dict(parent.nonces)
        number = parent.number + 1
        mined: list[Mined] = []
        if self.rng.random() >= self.faults.empty_block:
            for transaction in sorted(self.pool.values(), key=lambda t: (t.sender, t.fields.nonce)):
                one = _execute(transaction, number, base_fee_wei, balances, nonces)
                if one is not None:
                    mined.append(one)
                    del self.pool[transaction.hash]
        for transaction in list(self.pool.values()):
            if transaction.fields.nonce < nonces.get(transaction.sender, 0):
                self._drop(transaction)
        timestamp_s = max(parent.timestamp_s + 1, EPOCH_S + int(self.loop.time()))
        seal = self.rng.randbytes(8) + b"".join(m.transaction.hash for m in mined)
        block_hash = keccak256(parent.hash + number.to_bytes(8, "big") + seal)
        self._append(
            MinedBlock(
                number, block_hash, parent.hash, timestamp_s, base_fee_wei, tuple(mined), balances, nonces
            )
        )

    def misbehave(self) -> None:
        """Between blocks: drop from the pool, hear of what was dropped, or cut off the newest blocks."""
        for transaction in list(self.pool.values()):
            if self.rng.random() < self.faults.drop:
                self._drop(transaction)
        for transaction in list(self.gone.values()):
            if self.rng.random() < self.faults.gossip:
                self.receive(transaction.raw)
        if self.rng.random() < self.faults.reorg and self.head.number > FINAL_DEPTH + 3:
            self.reorg(self.rng.randint(1, 3))

    def reorg(self, depth: int) -> None:
        """Replace the newest `depth` blocks by as many and one more. Their transactions may be forgotten."""
        self.reorgs += 1
        cut, self.blocks = self.blocks[-depth:], self.blocks[:-depth]
        forgets = self.rng.random() < self.faults.reorg_forgets
        for block in cut:
            self.removed_at_s[block.hash] = self.loop.time()
            for mined in block.transactions:
                del self._places[mined.transaction.hash]
                if mined.status:
                    self._landed.discard(mined.transaction.fields.data)
                if forgets:
                    self.gone[mined.transaction.hash] = mined.transaction
                else:
                    self.pool.setdefault(mined.transaction.hash, mined.transaction)
        late = [] if self.rng.random() < 0.5 else list(self.pool.values())
        if late:
            self.pool = {}
        for _ in range(depth):
            self.mine()
        for transaction in late:
            self.receive(transaction.raw)
        self.mine()

    def receive(self, raw: bytes) -> str | None:
        """Take signed bytes as a node would; answers an error text, or None."""
        transaction = self._read(raw)
        fields, sender = transaction.fields, transaction.sender
        if transaction.hash in self.pool or transaction.hash in self._places:
            return "already known"
        if fields.nonce < self.head.nonces.get(sender, 0):
            return "nonce too low"
        cost = fields.value_wei + fields.gas_limit * fields.max_fee_per_gas_wei
        if cost > self.head.balances.get(sender, 0):
            return "insufficient funds for gas * price + value"
        for other in list(self.pool.values()):
            if (other.sender, other.fields.nonce) == (sender, fields.nonce):
                if not may_replace(fields, other.fields):
                    return "replacement transaction underpriced"
                self._drop(other)
        self.pool[transaction.hash] = transaction
        self.gone.pop(transaction.hash, None)
        return None

    def receive_foreign(self, raw: bytes) -> None:
        """Somebody else signed this with one of our keys."""
        transaction = self._read(raw)
        self.foreign_nonces.setdefault(transaction.sender, set()).add(transaction.fields.nonce)
        self.receive(raw)

    def canonical(self, block_hash: bytes) -> bool:
        block = self._by_hash.get(block_hash)
        return (
            block is not None
            and block.number < len(self.blocks)
            and self.blocks[block.number].hash == block_hash
        )

    def block(self, block_hash: bytes) -> MinedBlock:
        """Canonical or not."""
        return self._by_hash[block_hash]

    def find(self, tx_hash: bytes) -> tuple[MinedBlock, int, Mined] | None:
        """The canonical block that has it, and where in it."""
        return self._places.get(tx_hash)

    def _read(self, raw: bytes) -> Transaction:
        known = self._decoded.get(raw)
        if known is None:
            decoded = decode_transaction(raw)
            known = self._decoded[raw] = Transaction(decoded.hash, raw, decoded.sender, decoded.fields)
        return known

    def _drop(self, transaction: Transaction) -> None:
        del self.pool[transaction.hash]
        self.gone[transaction.hash] = transaction

    def _append(self, block: MinedBlock) -> None:
        self.blocks.append(block)
        self._by_hash[block.hash] = block
        for index, mined in enumerate(block.transactions):
            self._places[mined.transaction.hash] = (block, index, mined)
            self.gone.pop(mined.transaction.hash, None)
            data = mined.transaction.fields.data
            if mined.status and data:
                if data in self._landed:
                    self.landed_twice.append(data)
                self._landed.add(data)
        for depth, reached in zip((0, SAFE_DEPTH, FINAL_DEPTH), self.reached, strict=True):
            if depth < len(self.blocks):
                older = self.blocks[-1 - depth].transactions
                reached.update(m.transaction.fields.data for m in older if m.status)
        if len(self.blocks) > FINAL_DEPTH:
            self._forget_spent(self.blocks[-1 - FINAL_DEPTH].nonces)

    def _forget_spent(self, nonces: dict[bytes, int]) -> None:
        """What a final nonce has made impossible is of no interest to anybody."""
        for tx_hash, transaction in list(self.gone.items()):
            if transaction.fields.nonce < nonces.get(transaction.sender, 0):
                del self.gone[tx_hash]

    # ------------------------------------------------------------------ JSON-RPC

    def answer(self, method: str, params: Sequence[Any]) -> object:
        """The result of one call, as JSON would carry it. `LookupError` for a block that is not canonical."""
        match method:
            case "eth_chainId":
                return hex(CHAIN_ID)
            case "eth_blockNumber":
                return hex(self.head.number)
            case "eth_getBlockByNumber":
                block = self._tagged(params[0])
                return None if block is None else _json_block(block)
            case "eth_getBlockByHash":
                found = self._by_hash.get(bytes.fromhex(params[0][2:]))
                return None if found is None else _json_block(found)
            case "eth_getTransactionCount":
                return hex(self._pinned(params[1]).nonces.get(bytes.fromhex(params[0][2:]), 0))
            case "eth_getBalance":
                return hex(self._pinned(params[1]).balances.get(bytes.fromhex(params[0][2:]), 0))
            case "eth_getCode":
                self._pinned(params[1])
                return "0x" + (COIN_CODE.hex() if bytes.fromhex(params[0][2:]) == COIN else "")
            case "eth_getStorageAt":
                self._pinned(params[2])
                return "0x" + bytes(32).hex()
            case "eth_call":
                self._pinned(params[1])
                return "0x"
            case "eth_getTransactionByHash":
                return self._transaction(bytes.fromhex(params[0][2:]))
            case "eth_getTransactionReceipt":
                return self._receipt(bytes.fromhex(params[0][2:]))
            case "eth_feeHistory":
                return self._fee_history(int(params[0], 16), self._tagged(params[1]) or self.head)
            case "eth_createAccessList":
                raise LookupError("method not found")
            case "eth_getLogs":
                return []
        raise EndpointError(f"the model does not know {method}", "tests.world.node", "add it")

    def _tagged(self, tag: str) -> MinedBlock | None:
        numbers = {
            "latest": self.head.number,
            "safe": max(0, self.head.number - SAFE_DEPTH),
            "finalized": self.final_number,
            "earliest": 0,
        }
        number = numbers[tag] if tag in numbers else int(tag, 16)
        return self.blocks[number] if number < len(self.blocks) else None

    def _pinned(self, where: Any) -> MinedBlock:
        if isinstance(where, dict):
            block = self._by_hash.get(bytes.fromhex(where["blockHash"][2:]))
            if block is None or not self.canonical(block.hash):
                raise LookupError("header not found")
            return block
        block = self._tagged(where)
        if block is None:
            raise LookupError("header not found")
        return block

    def _transaction(self, tx_hash: bytes) -> object:
        mined = self.find(tx_hash)
        if mined is None and tx_hash not in self.pool:
            return None
        return {
            "hash": "0x" + tx_hash.hex(),
            "blockHash": None if mined is None else "0x" + mined[0].hash.hex(),
        }

    def _receipt(self, tx_hash: bytes) -> object:
        found = self.find(tx_hash)
        if found is None:
            return None
        block, index, mined = found
        return {
            "transactionHash": "0x" + tx_hash.hex(),
            "blockHash": "0x" + block.hash.hex(),
            "blockNumber": hex(block.number),
            "transactionIndex": hex(index),
            "status": hex(int(mined.status)),
            "gasUsed": hex(mined.gas_used),
            "effectiveGasPrice": hex(mined.price_wei),
            "logs": [],
        }

    def _fee_history(self, count: int, newest: MinedBlock) -> object:
        oldest = max(0, newest.number - count + 1)
        fees = [hex(self.blocks[n].base_fee_wei) for n in range(oldest, newest.number + 1)]
        following = hex(newest.base_fee_wei * 9 // 8 + 1)
        return {
            "oldestBlock": hex(oldest),
            "baseFeePerGas": [*fees, following],
            "gasUsedRatio": [0.5] * len(fees),
            "reward": [[hex(_GWEI // 100)]] * len(fees),
        }


def may_replace(new: DynamicFeeTransaction, old: DynamicFeeTransaction) -> bool:
    """The clients' rule: a tenth more on both fee fields."""
    pairs = (
        (new.max_fee_per_gas_wei, old.max_fee_per_gas_wei),
        (new.max_priority_fee_per_gas_wei, old.max_priority_fee_per_gas_wei),
    )
    return all(
        offered_wei >= paid_wei * _REPLACEMENT_NUMERATOR // _REPLACEMENT_DENOMINATOR
        for offered_wei, paid_wei in pairs
    )


def _execute(
    transaction: Transaction,
    number: int,
    base_fee_wei: int,
    balances: dict[bytes, int],
    nonces: dict[bytes, int],
) -> Mined | None:
    """Apply it to the state in place, or None where it cannot be in this block."""
    fields, sender = transaction.fields, transaction.sender
    if fields.nonce != nonces.get(sender, 0) or fields.max_fee_per_gas_wei < base_fee_wei:
        return None
    if balances.get(sender, 0) < fields.value_wei + fields.gas_limit * fields.max_fee_per_gas_wei:
        return None
    price_wei = min(fields.max_fee_per_gas_wei, base_fee_wei + fields.max_priority_fee_per_gas_wei)
    status = not (fields.to == COIN and number % 2 == 1)
    gas_used = transaction.gas_used
    balances[sender] -= gas_used * price_wei
    nonces[sender] = fields.nonce + 1
    if status and fields.to is not None:
        balances[sender] -= fields.value_wei
        balances[fields.to] = balances.get(fields.to, 0) + fields.value_wei
    return Mined(transaction, status, gas_used, price_wei)


def _json_block(block: MinedBlock) -> object:
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
        "transactions": ["0x" + m.transaction.hash.hex() for m in block.transactions],
    }
