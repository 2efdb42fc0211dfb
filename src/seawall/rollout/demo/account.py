"""What the demo came to: every plan with its verdict, transactions and profit, and the balances, held
against the chain."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

from seawall.ledger.rows import Account, AttemptRow, InclusionRow, IntentRow, VerdictRow
from seawall.ledger.transaction import Transaction
from seawall.native import encode_call
from seawall.primitives.errors import IntegrityAlarm
from seawall.primitives.units import NATIVE, Address, address_text, hex_text
from seawall.primitives.verdicts import Verdict
from seawall.rollout.demo.scene import Play

__all__ = ["Balance", "PlanAccount", "balances", "plan_accounts"]

_PLANS_MAX: Final = 1_000
_SLOTS_MAX: Final = 1_000


@dataclass(frozen=True, slots=True)
class PlanAccount:
    """One plan, from what it wanted to what it came to."""

    row: IntentRow
    verdicts: tuple[VerdictRow, ...]
    attempts: tuple[AttemptRow, ...]
    inclusion: InclusionRow | None

    @property
    def verdict(self) -> Verdict | None:
        """The last one."""
        return self.verdicts[-1].verdict if self.verdicts else None

    def inclusion_of(self, attempt: AttemptRow) -> InclusionRow | None:
        found = self.inclusion
        return found if found is not None and found.attempt_hash == attempt.hash else None


@dataclass(frozen=True, slots=True)
class Balance:
    """One address and token of ours: the chain at both ends, and what the ledger booked between."""

    holder: str
    address: Address
    symbol: str
    token: Address
    before: int
    after: int
    booked: int

    @property
    def agrees(self) -> bool:
        return self.after - self.before == self.booked


def plan_accounts(play: Play) -> list[PlanAccount]:
    def read(tx: Transaction) -> list[PlanAccount]:
        return [
            PlanAccount(
                row,
                tuple(tx.verdicts.of_intent(row.number)),
                tuple(tx.attempts.of_intent(row.number)),
                tx.inclusions.of_intent(row.number),
            )
            for row in tx.intents.listing(_PLANS_MAX)
        ]

    return sorted(play.books.read(read), key=lambda account: account.row.number)


def balances(play: Play, last_number: int) -> list[Balance]:
    """Every holder and token, with the chain read at the first and the last block. Raises if any of them
    disagrees."""
    stage = play.stage
    book = stage.devnet.book
    holders = (
        ("key", stage.key),
        ("treasury", stage.treasury),
        ("executor", book.address("atomic_executor")),
    )
    tokens = (("ETH", NATIVE), ("WETH", book.address("weth")), ("USDX", book.address("usdx")))
    booked = play.books.read(_booked)
    before, after = hex(stage.start_number), hex(last_number)
    found = [
        Balance(
            name,
            holder,
            symbol,
            token,
            _read(play, holder, token, before),
            _read(play, holder, token, after),
            booked[(holder, token)],
        )
        for name, holder in holders
        for symbol, token in tokens
    ]
    for balance in found:
        if not balance.agrees:
            what = (
                f"{balance.symbol} of the {balance.holder} ({address_text(balance.address)}) changed by"
                f" {balance.after - balance.before} on chain, and by {balance.booked} in the ledger"
            )
            raise IntegrityAlarm(what, "demo account", "this is a bug: report it with kernel.log")
    return found


def _booked(tx: Transaction) -> Counter[tuple[Account, Address]]:
    """What the ledger booked in every canonical block that holds an attempt of ours, fillers included."""
    blocks = {
        inclusion.block_hash
        for slot in tx.slots.listing(_SLOTS_MAX)
        for attempt in tx.attempts.of_slot(slot.lane, slot.nonce)
        if (inclusion := tx.inclusions.canonical_of(attempt.hash)) is not None
    }
    sums: Counter[tuple[Account, Address]] = Counter()
    for block_hash in blocks:
        for posting in tx.postings.in_block(block_hash):
            for leg in posting.entry.legs:
                sums[(leg.account, leg.token)] += leg.delta
    return sums


def _read(play: Play, holder: Address, token: Address, block: str) -> int:
    rpc = play.stage.devnet.rpc
    if token == NATIVE:
        return rpc.integer("eth_getBalance", hex_text(holder), block)
    return int.from_bytes(rpc.view(token, encode_call("balanceOf(address)", (holder,)), block))
