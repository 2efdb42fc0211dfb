"""A model of a chain and of the pool that all nodes share, and the ways in which both misbehave.

The chain knows plain transfers and one kind of contract, by its code (`Contract`): what simulated well may
still fail. Blocks carry full copies of the small state, so that every pinned question has its exact answer
and a reorg is a cut of the list. What leaves the pool comes back if somebody sends it again: we, or whoever
else still had it. What single endpoints say of all this is in `views` and `endpoints`.

Deliberately not here: a gas market beyond a base fee that jumps, uncles, logs, contracts that keep anything.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from seawall.native import DynamicFeeTransaction, decode_transaction, keccak256
from seawall.primitives.units import BPS
from tests.world.faults import Faults
from tests.world.loop import EPOCH_S, VirtualLoop

__all__ = [
    "BLOCK_GAS",
    "BLOCK_S",
    "CHAIN_ID",
    "COIN",
    "FINAL_DEPTH",
    "PRIORITY_WEI",
    "RECORDER",
    "SAFE_DEPTH",
    "Contract",
    "Mined",
    "MinedBlock",
    "NodeModel",
    "Transaction",
    "first_word",
    "may_replace",
]

CHAIN_ID = 31337
BLOCK_S = 2
SAFE_DEPTH = 2
FINAL_DEPTH = 4
BLOCK_GAS = 30_000_000
PRIORITY_WEI = 10**7  # what others pay
POOL_MAX = 24  # transactions; beyond it the cheapest is evicted
_GWEI = 10**9
_JUMPS_BPS = (1_250, 15_000, 15_000, 80_000)
_BASE_FEE_WEI_MAX = 120 * _GWEI
_REPLACEMENT_NUMERATOR, _REPLACEMENT_DENOMINATOR = 11, 10


class Contract(Enum):
    """What an account with code does with every call, by its code."""

    ACCEPTS = bytes.fromhex("00")
    REJECTS = bytes.fromhex("5f5ffd")
    # NUMBER, PUSH1 1, AND, PUSH1 8, JUMPI, STOP; JUMPDEST, PUSH0, PUSH0, REVERT
    REJECTS_IN_ODD_BLOCKS = bytes.fromhex("43600116600857005b5f5ffd")
    # The first word of the calldata is recorded, and a second call with it reverts, as the executor does with
    # intent ids: PUSH0, CALLDATALOAD, DUP1, SLOAD, PUSH1 12, JUMPI; PUSH1 1, SWAP1, SSTORE, STOP; JUMPDEST,
    # PUSH0, PUSH0, REVERT
    RECORDS = bytes.fromhex("5f358054600c5760019055005b5f5ffd")

    def succeeds(self, number: int, is_recorded: bool = False) -> bool:
        if self is Contract.RECORDS:
            return not is_recorded
        return self is Contract.ACCEPTS or (self is Contract.REJECTS_IN_ODD_BLOCKS and number % 2 == 0)


COIN, RECORDER = b"\xc0" * 20, b"\xc1" * 20
_WORD_BYTES = 32
_EXECUTION_GAS = {
    Contract.ACCEPTS: 0,
    Contract.REJECTS: 4,
    Contract.REJECTS_IN_ODD_BLOCKS: 40,
    Contract.RECORDS: 22_200,
}


@dataclass(frozen=True, slots=True)
class Transaction:
    hash: bytes
    raw: bytes
    sender: bytes
    fields: DynamicFeeTransaction

    def gas_used(self, contract: Contract | None) -> int:
        """Intrinsic gas with the calldata floor of EIP-7623, and a little for a contract's code."""
        tokens = sum(1 if byte == 0 else 4 for byte in self.fields.data)
        base = 21_000 + max(4 * tokens, 10 * tokens)
        return min(self.fields.gas_limit, base + (0 if contract is None else _EXECUTION_GAS[contract]))


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
    recorded: frozenset[bytes] = frozenset()  # words, by the contract that records them


Place = tuple[MinedBlock, int, Mined]
"""A block that has a transaction, and where in it."""


@dataclass(slots=True)
class NodeModel:
    loop: VirtualLoop
    rng: random.Random
    faults: Faults
    contracts: Mapping[bytes, Contract] = field(
        default_factory=lambda: {COIN: Contract.REJECTS_IN_ODD_BLOCKS, RECORDER: Contract.RECORDS}
    )
    blocks: list[MinedBlock] = field(default_factory=list)
    pool: dict[bytes, Transaction] = field(default_factory=dict)
    # What left the pool unmined, or was cut off with its block: others may still have it.
    gone: dict[bytes, Transaction] = field(default_factory=dict)
    # Calldata of what succeeded in a block that was canonical at that depth, at some time.
    reached: tuple[set[bytes], set[bytes], set[bytes]] = field(default_factory=lambda: (set(), set(), set()))
    landed_twice: list[bytes] = field(default_factory=list)
    foreign_nonces: dict[bytes, set[int]] = field(default_factory=dict)  # that others signed for, by key
    removed_at_s: dict[bytes, float] = field(default_factory=dict)  # when a reorg took a block away
    calm_since_s: float = 0.0  # when the faults of the world ended
    received_at_s: dict[bytes, float] = field(default_factory=dict)  # when the pool first had a transaction
    mined_at_s: dict[bytes, float] = field(default_factory=dict)  # by block hash
    base_fee_jump_bps: int = 0  # what becomes of the base fee at the next block; 0 for what usually does
    has_jumped: bool = False
    happened: list[str] = field(default_factory=list)  # since somebody looked
    _heads: list[tuple[float, MinedBlock]] = field(default_factory=list)  # from when on each was the head
    _branches: dict[bytes, list[MinedBlock]] = field(default_factory=dict)  # from genesis, by newest block
    _landed: set[bytes] = field(default_factory=set)  # calldata that succeeded on the canonical chain
    _by_hash: dict[bytes, MinedBlock] = field(default_factory=dict)
    _places: dict[bytes, Place] = field(default_factory=dict)
    _all_places: dict[bytes, list[Place]] = field(default_factory=dict)  # of canonical blocks or not
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
        base_fee_wei = self._next_base_fee_wei()
        balances, nonces, recorded = dict(parent.balances), dict(parent.nonces), set(parent.recorded)
        number = parent.number + 1
        mined: list[Mined] = []
        if self.rng.random() >= self.faults.empty_block:
            for transaction in sorted(self.pool.values(), key=lambda t: (t.sender, t.fields.nonce)):
                one = self._execute(transaction, number, base_fee_wei, balances, nonces, recorded)
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
                number,
                block_hash,
                parent.hash,
                timestamp_s,
                base_fee_wei,
                tuple(mined),
                balances,
                nonces,
                frozenset(recorded),
            )
        )

    def _next_base_fee_wei(self) -> int:
        """By EIP-1559 it moves an eighth at most; where a sequencer or an operator sets it, it jumps."""
        before_wei, jump_bps = self.head.base_fee_wei, self.base_fee_jump_bps
        self.base_fee_jump_bps = 0
        if jump_bps:
            return max(1, min(before_wei * jump_bps // BPS, _BASE_FEE_WEI_MAX))
        eighths = (7, 7, 8, 8) if before_wei > 2 * _GWEI else (7, 8, 8, 9)
        return max(1, before_wei * self.rng.choice(eighths) // 8)

    def misbehave(self) -> None:
        """Between blocks: drop from the pool, hear of what was dropped, or cut off the newest blocks."""
        for transaction in list(self.pool.values()):
            if self.rng.random() < self.faults.drop:
                self._drop(transaction)
        if self.rng.random() < self.faults.pool_forgets:
            for transaction in list(self.pool.values()):
                self._drop(transaction)
            self.happened.append("pool forgotten")
        for transaction in list(self.gone.values()):
            if self.rng.random() < self.faults.gossip:
                self.receive(transaction.raw)
        if self.rng.random() < self.faults.base_fee_jump:
            self.base_fee_jump_bps = self.rng.choice(_JUMPS_BPS)
            self.has_jumped = True
            self.happened.append("base fee jump" if self.base_fee_jump_bps > BPS else "base fee fall")
        if self.rng.random() < self.faults.reorg and self.head.number > FINAL_DEPTH + 3:
            self.reorg(self.rng.randint(1, 3))

    def reorg(self, depth: int) -> None:
        """Replace the newest `depth` blocks by as many and one more. Their transactions may be forgotten."""
        self.happened.append("reorg")
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

    # ------------------------------------------------------------------ the pool

    def receive(self, raw: bytes) -> str | None:
        """Take signed bytes as a node would; answers an error text, or None."""
        transaction = self.read(raw)
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
        if len(self.pool) >= self.faults.pool_max:
            cheapest = min(self.pool.values(), key=lambda t: (t.fields.max_fee_per_gas_wei, t.hash))
            if cheapest.fields.max_fee_per_gas_wei >= fields.max_fee_per_gas_wei:
                return "txpool is full"
            self._drop(cheapest)
            self.happened.append("eviction")
        self.pool[transaction.hash] = transaction
        self.received_at_s.setdefault(transaction.hash, self.loop.time())
        self.gone.pop(transaction.hash, None)
        return None

    def receive_foreign(self, raw: bytes) -> None:
        """Somebody else signed this with one of our keys."""
        transaction = self.read(raw)
        self.foreign_nonces.setdefault(transaction.sender, set()).add(transaction.fields.nonce)
        self.receive(raw)

    def read(self, raw: bytes) -> Transaction:
        known = self._decoded.get(raw)
        if known is None:
            decoded = decode_transaction(raw)
            known = self._decoded[raw] = Transaction(decoded.hash, raw, decoded.sender, decoded.fields)
        return known

    def _drop(self, transaction: Transaction) -> None:
        del self.pool[transaction.hash]
        self.gone[transaction.hash] = transaction

    # ------------------------------------------------------------------ what is asked of it

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

    def known_block(self, block_hash: bytes) -> MinedBlock | None:
        return self._by_hash.get(block_hash)

    def find(self, tx_hash: bytes) -> Place | None:
        """The canonical block that has it, and where in it."""
        return self._places.get(tx_hash)

    def head_at(self, time_s: float) -> MinedBlock:
        """What the head was then."""
        index = bisect_right(self._heads, time_s, key=lambda entry: entry[0])
        return self._heads[max(0, index - 1)][1]

    def branch(self, head: MinedBlock) -> list[MinedBlock]:
        """The chain that ends with `head`, from genesis."""
        found = self._branches.get(head.hash)
        if found is None:
            found = [*self.branch(self._by_hash[head.parent_hash]), head]
            self._branches[head.hash] = found
        return found

    def places(self, tx_hash: bytes) -> list[Place]:
        """In all blocks that ever had it."""
        return self._all_places.get(tx_hash, [])

    # ------------------------------------------------------------------ inside

    def _append(self, block: MinedBlock) -> None:
        self.blocks.append(block)
        self._by_hash[block.hash] = block
        self._heads.append((self.loop.time(), block))
        self.mined_at_s[block.hash] = self.loop.time()
        if block.number == 0:
            self._branches[block.hash] = [block]
        for index, mined in enumerate(block.transactions):
            place = (block, index, mined)
            self._places[mined.transaction.hash] = place
            self._all_places.setdefault(mined.transaction.hash, []).append(place)
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

    def _execute(
        self,
        transaction: Transaction,
        number: int,
        base_fee_wei: int,
        balances: dict[bytes, int],
        nonces: dict[bytes, int],
        recorded: set[bytes],
    ) -> Mined | None:
        """Apply it to the state in place, or None where it cannot be in this block."""
        fields, sender = transaction.fields, transaction.sender
        if fields.nonce != nonces.get(sender, 0) or fields.max_fee_per_gas_wei < base_fee_wei:
            return None
        if balances.get(sender, 0) < fields.value_wei + fields.gas_limit * fields.max_fee_per_gas_wei:
            return None
        price_wei = min(fields.max_fee_per_gas_wei, base_fee_wei + fields.max_priority_fee_per_gas_wei)
        contract = None if fields.to is None else self.contracts.get(fields.to)
        word = first_word(fields.data)
        status = contract is None or contract.succeeds(number, word in recorded)
        if contract is Contract.RECORDS and status:
            recorded.add(word)
        gas_used = transaction.gas_used(contract)
        balances[sender] -= gas_used * price_wei
        nonces[sender] = fields.nonce + 1
        if status and fields.to is not None:
            balances[sender] -= fields.value_wei
            balances[fields.to] = balances.get(fields.to, 0) + fields.value_wei
        return Mined(transaction, status, gas_used, price_wei)


def first_word(calldata: bytes) -> bytes:
    return calldata[:_WORD_BYTES].ljust(_WORD_BYTES, b"\0")


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
