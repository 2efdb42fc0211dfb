"""Accounting: what an inclusion did to our balances, as postings, and the proof that they say all of it.

Double entry: the legs of an entry sum to zero per token. Token legs come from the receipt's logs, the fee
leg from the receipt (an L2's data fee included), native legs from the transaction's value, from
wrapped-native withdrawals, and from the executor's own event. Proof, per inclusion block and per (address,
token) of ours: the postings equal the balance at that block less the balance at its parent, both read by
hash. What was read at a block is remembered by its hash for the one after it. A difference is posted to
`unexplained` and alarms.

Logs are written by whoever was called, so nothing that a token says may stop the accounting: a balance that
a token does not answer counts as none, and amounts that no token can hold are not booked. Where the state of
an old block is not kept any more, the entries stand without proof, and that is said."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from seawall.chain.client import ChainClient, Receipt
from seawall.ledger.rows import Account, AttemptRow, Leg
from seawall.native import encode_call, event_topic
from seawall.primitives.blocks import Block, Log, Read
from seawall.primitives.errors import EndpointError, ProtocolError, UnavailableError, UnknownBlockError
from seawall.primitives.frozen import made_quickly
from seawall.primitives.identifiers import IntentNumber
from seawall.primitives.units import NATIVE, Address, Hash
from seawall.primitives.verdicts import Payload
from seawall.protocols.executor.events import NativeMoved, decode_event
from seawall.protocols.safe.multisend import coins_moved
from seawall.risk.limits import OurAddresses
from seawall.transactions.segments import pieces_of

__all__ = ["REVERTED", "Accountant", "BlockAccount", "Entry", "Included", "Part", "realised_of"]

_TRANSFER: Final = event_topic("Transfer(address,address,uint256)")
_DEPOSIT: Final = event_topic("Deposit(address,uint256)")
_WITHDRAWAL: Final = event_topic("Withdrawal(address,uint256)")
_WORLD: Final = "world"
_FEES: Final = "fees"
_UNEXPLAINED: Final = "unexplained"
REVERTED: Final = "it reverted on chain"
# No token moves this much; what claims to would not fit its column.
_DELTA_MAX: Final = 2**255 - 1
# Every node keeps the state of this many blocks; common ones of 128.
_STATE_KEPT_BLOCKS: Final = 64
_Pair = tuple[Address, Address]  # holder, token


@made_quickly
@dataclass(frozen=True, slots=True)
class Included:
    """One of our attempts in a block."""

    attempt: AttemptRow
    receipt: Receipt
    holders: frozenset[Address]  # the plan's addresses of ours beside the configured ones
    correlation_id: str = ""  # of its plan, for logs
    intent_ids: tuple[int, ...] = ()  # of its plans in order, where it carries several


@made_quickly
@dataclass(frozen=True, slots=True)
class Entry:
    """What one inclusion moved; legs sum to zero per token.

    Of one that carries several plans also what each of them moved, in order, with its part of the fee."""

    included: Included
    legs: tuple[Leg, ...]
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """One plan among several of an inclusion."""

    intent: IntentNumber
    landed: bool
    reason: str  # of a failure
    legs: tuple[Leg, ...]


@dataclass(frozen=True, slots=True)
class BlockAccount:
    """The entries of one block, and what its balances show beyond them (an entry of its own, against
    `unexplained`)."""

    entries: tuple[Entry, ...]
    unexplained: tuple[Leg, ...]
    is_proved: bool = True  # False: the block's state is not kept any more, nothing was compared


@dataclass(slots=True)
class Accountant:
    client: ChainClient
    ours: OurAddresses
    # Balances at the blocks that are being accounted for, and at the last one before them: by hash they are
    # facts, whatever comes after.
    _read: dict[Hash, dict[_Pair, int]] = field(default_factory=dict)

    async def prepare(self, blocks: Sequence[tuple[Block, Sequence[Included]]]) -> None:
        """Read at once what the proofs of these blocks need of native balances. What cannot be read here is
        left to each block's own proof, which says why."""
        if not blocks:
            return
        wanted: dict[Hash, set[Address]] = defaultdict(set)
        for block, included in blocks:
            holders = self._holders(included)
            wanted[block.parent_hash] |= holders
            wanted[block.hash] |= holders
        self._read = {block_hash: self._read.get(block_hash, {}) for block_hash in wanted}
        asked = [
            (holder, block_hash)
            for block_hash, holders in wanted.items()
            for holder in sorted(holders)
            if (holder, NATIVE) not in self._read[block_hash]
        ]
        with suppress(EndpointError, UnavailableError, UnknownBlockError):
            read = await self.client.balances_of(asked)
            for (holder, block_hash), balance_wei in zip(asked, read, strict=True):
                self._read[block_hash][holder, NATIVE] = balance_wei

    def _holders(self, included: Sequence[Included]) -> frozenset[Address]:
        senders = [one.attempt.payload.sender for one in included]
        return self.ours.holders.union(senders, *[one.holders for one in included])

    async def account(self, block: Block, included: Sequence[Included]) -> BlockAccount:
        """Entries for our inclusions of one block. Raises `UnavailableError` if a balance cannot be read
        now."""
        holders = self._holders(included)
        entries = [self._entry(i, holders) for i in included]
        try:
            found = await self._prove(block, entries, holders)
        except (EndpointError, UnknownBlockError):
            if not await self._is_pruned(block):
                raise
            return BlockAccount(tuple(entries), (), is_proved=False)
        unexplained = tuple(leg for one in found for leg in (one, Leg(_UNEXPLAINED, one.token, -one.delta)))
        return BlockAccount(tuple(entries), unexplained)

    def _entry(self, included: Included, holders: frozenset[Address]) -> Entry:
        if included.intent_ids:
            return self._parted(included, holders)
        receipt, payload = included.receipt, included.attempt.payload
        fee_wei, value_wei = receipt.fee_wei, payload.value_wei if receipt.status else 0
        if fee_wei + value_wei > _DELTA_MAX or (receipt.status and receipt.logs):
            return Entry(included, self._logged(receipt, payload, holders))
        # As `_merged` would have it, for what is nearly everything: what the sender pays is one leg.
        sender, to = payload.sender, payload.to
        moved = value_wei if to != sender else 0
        legs = []
        if fee_wei or moved:
            legs.append(Leg(sender, NATIVE, -fee_wei - moved))
        if fee_wei:
            legs.append(Leg(_FEES, NATIVE, fee_wei))
        if moved:
            legs.append(Leg(to if to in holders else _WORLD, NATIVE, moved))
        return Entry(included, tuple(legs))

    def _parted(self, included: Included, holders: frozenset[Address]) -> Entry:
        """By plan: its logs come before the executor said how it ended, and its part of the fee is as its
        gas to that of all."""
        attempt, receipt = included.attempt, included.receipt
        pieces = pieces_of(receipt.logs if receipt.status else (), attempt.payload.to)
        gas = [pieces[i].gas_used if i in pieces else 1 for i in included.intent_ids]
        fees = [receipt.fee_wei * one // sum(gas) for one in gas]
        fees[0] += receipt.fee_wei - sum(fees)
        parts = []
        for (number, _), intent_id, fee_wei in zip(attempt.intents, included.intent_ids, fees, strict=True):
            piece = pieces.get(intent_id)
            legs = [Leg(attempt.payload.sender, NATIVE, -fee_wei), Leg(_FEES, NATIVE, fee_wei)]
            for log in piece.logs if piece is not None else ():
                legs += self._log_legs(log, holders, attempt.payload.to)
            landed, reason = (piece.landed, piece.reason) if piece is not None else (False, REVERTED)
            parts.append(Part(number, landed, reason, _merged(legs)))
        return Entry(included, _merged([leg for part in parts for leg in part.legs]), tuple(parts))

    def _logged(self, receipt: Receipt, payload: Payload, holders: frozenset[Address]) -> tuple[Leg, ...]:
        fee_wei = receipt.fee_wei
        legs = [Leg(payload.sender, NATIVE, -fee_wei), Leg(_FEES, NATIVE, fee_wei)]
        if receipt.status:
            legs += _move(holders, NATIVE, payload.sender, payload.to, payload.value_wei)
            for receiver, amount_wei in coins_moved(payload.data):  # of a Safe; the proof tells if it lies
                legs += _move(holders, NATIVE, payload.to, receiver, amount_wei)
            for log in receipt.logs:
                legs += self._log_legs(log, holders, payload.to)
        return _merged(legs)

    def _log_legs(self, log: Log, holders: frozenset[Address], target: Address) -> list[Leg]:
        topic = log.topics[0] if log.topics else None
        if topic == _TRANSFER and len(log.topics) == 3 and len(log.data) == 32:
            sender, receiver = (Address(log.topics[1][12:]), Address(log.topics[2][12:]))
            return _move(holders, log.address, sender, receiver, int.from_bytes(log.data, "big"))
        if log.address == self.ours.wrapped_native and len(log.topics) == 2 and len(log.data) == 32:
            holder, amount = Address(log.topics[1][12:]), int.from_bytes(log.data, "big")
            if topic == _DEPOSIT:
                return _move(holders, log.address, log.address, holder, amount)
            if topic == _WITHDRAWAL:
                out = _move(holders, log.address, holder, log.address, amount)
                # A plain key is paid by the call itself; an executor reports its native legs by its own
                # event.
                return out if holder == target else out + _move(holders, NATIVE, log.address, holder, amount)
        # Only our own contract's word counts for coins; any other may say the same.
        moved = decode_event(log, target) if target in holders else None
        if isinstance(moved, NativeMoved):
            ends = (moved.counterparty, target) if moved.amount_wei > 0 else (target, moved.counterparty)
            return _move(holders, NATIVE, *ends, abs(moved.amount_wei))
        return []

    async def _prove(self, block: Block, entries: Sequence[Entry], holders: frozenset[Address]) -> list[Leg]:
        booked: dict[_Pair, int] = defaultdict(int)
        for entry in entries:
            for account, token, delta in entry.legs:
                if not isinstance(account, str):
                    booked[account, token] += delta
        wanted = sorted(set(booked) | {(holder, NATIVE) for holder in holders})
        before: Mapping[_Pair, int] = self._read.get(block.parent_hash, {})
        if not before.keys() >= set(wanted):
            parent = await self.client.block_by_hash(block.parent_hash)
            if parent is None:
                what = f"the parent of block {block.number} is not known"
                raise UnavailableError(what, "accounting", "the proof is tried again at the next poll")
            before = await self._balances(wanted, parent)
        after = await self._balances(wanted, block)
        found = []
        for pair in wanted:
            moved = after[pair] - before[pair]
            difference = max(-_DELTA_MAX, min(_DELTA_MAX, moved - booked[pair]))
            if difference:
                found.append(Leg(pair[0], pair[1], difference))
        return found

    async def _balances(self, wanted: Sequence[_Pair], block: Block) -> Mapping[_Pair, int]:
        """Balances at this block; only those are read that were not."""
        known = self._read.setdefault(block.hash, {})
        missing = [pair for pair in wanted if pair not in known]
        native = [pair for pair in missing if pair[1] == NATIVE]
        if native:
            read = await self.client.balances_at([holder for holder, _ in native], block.hash)
            known |= zip(native, read, strict=True)
        tokens = {f"{pair[0].hex()}:{pair[1].hex()}": pair for pair in missing if pair[1] != NATIVE}
        if tokens:
            reads = tuple(
                Read(label, token, encode_call("balanceOf(address)", (holder,)))
                for label, (holder, token) in tokens.items()
            )
            answers = await self.client.call_at(reads, block)
            known |= {pair: _uint(answers.get(label)) for label, pair in tokens.items()}
        return known

    async def _is_pruned(self, block: Block) -> bool:
        """Whether the block stands, and is too old for its state to be asked of every node."""
        head, same = await self.client.blocks(["latest", block.number])
        return (
            head is not None
            and head.number - block.number >= _STATE_KEPT_BLOCKS
            and same is not None
            and same.hash == block.hash
        )


def realised_of(legs: Sequence[Leg], holders: frozenset[Address], tokens: frozenset[Address]) -> int:
    """Net change of `tokens` over the holders; the fee is in it, since its leg stands on the sender."""
    return sum(leg.delta for leg in legs if leg.account in holders and leg.token in tokens)


def _move(
    holders: frozenset[Address], token: Address, sender: Address, receiver: Address, amount: int
) -> list[Leg]:
    """Legs of one movement that touches us; the other side is the world."""
    if amount == 0 or sender == receiver or (sender not in holders and receiver not in holders):
        return []
    return [
        Leg(sender if sender in holders else _WORLD, token, -amount),
        Leg(receiver if receiver in holders else _WORLD, token, amount),
    ]


def _merged(legs: Sequence[Leg]) -> tuple[Leg, ...]:
    sums: dict[tuple[Account, Address], int] = {}
    totals: dict[Address, int] = {}
    for account, token, delta in legs:
        sums[account, token] = sums.get((account, token), 0) + delta
        totals[token] = totals.get(token, 0) + delta
    if any(totals.values()):
        raise ProtocolError(
            "an entry does not balance", "accounting", "this is a bug: report it with the transaction"
        )
    absurd = {token for (_, token), delta in sums.items() if not -_DELTA_MAX <= delta <= _DELTA_MAX}
    return tuple([Leg(*pair, delta) for pair, delta in sums.items() if delta and pair[1] not in absurd])


def _uint(raw: bytes | None) -> int:
    return int.from_bytes(raw[:32], "big") if raw is not None and len(raw) >= 32 else 0
