"""One chain's desk: what is shared by everything that handles transactions on it.

The desk's `turn` is the one lock of a chain: a candidate from simulation to commit, the handling of a head,
and recovery take turns, because the overlay, the nonces and the pinned block must not move under a verdict.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Final

from seawall.chain.broadcast import BroadcastPort
from seawall.chain.client import ChainClient
from seawall.chain.fees import FeeEstimator, FeeQuote
from seawall.chain.networks import Network
from seawall.chain.simulation import Simulator
from seawall.control.latch import Latch
from seawall.ledger import Ledger
from seawall.ledger.rows import AttemptRow
from seawall.ledger.transaction import Transaction
from seawall.primitives.blocks import Block
from seawall.primitives.bounds import HEADS_KEPT
from seawall.primitives.errors import UnavailableError
from seawall.primitives.identifiers import AttemptNumber, Lane
from seawall.primitives.levels import Authority
from seawall.primitives.ports import Clock
from seawall.primitives.units import Hash
from seawall.primitives.verdicts import Verdict
from seawall.risk.gate import Gate
from seawall.telemetry.metrics import Metrics

__all__ = ["HEAD_AGE_S_MAX", "Desk", "DeskParts"]

# A head older than this is no base for a verdict: the endpoint hangs or lags.
HEAD_AGE_S_MAX: Final = 120


@dataclass(frozen=True, slots=True)
class DeskParts:
    """What is injected for one chain."""

    network: Network
    client: ChainClient
    simulator: Simulator
    fees: FeeEstimator
    gate: Gate
    port: BroadcastPort
    ledger: Ledger
    latch: Latch
    clock: Clock
    metrics: Metrics
    emergency_max_fee_per_gas_wei: int  # housekeeping's own ceiling: gap fill and cancel


@dataclass(slots=True)
class Desk:
    """The moving state of one chain. Everything here is derived from ledger and chain, and rebuilt at
    start."""

    parts: DeskParts
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    head: Block | None = None
    safe_number: int = 0
    final_number: int = 0
    epoch: int = 0  # halt epoch of the ledger's controls
    fences: dict[Lane, int] = field(default_factory=dict)  # of the leases that this kernel holds
    # Held, and nothing is dispatched until a person has looked: why, by lane.
    quarantined: dict[Lane, str] = field(default_factory=dict)
    # Attempts of slots that are not final, in commit order, by hash.
    unsettled: dict[Hash, AttemptRow] = field(default_factory=dict)
    included: dict[Hash, Hash] = field(default_factory=dict)  # of those, the canonical block that has it
    correlations: dict[AttemptNumber, str] = field(default_factory=dict)  # for logs
    # Verdicts in force by attempt; a restart forgets them, so everything unlanded is then judged anew
    # (invariant 3a).
    verdicts: dict[AttemptNumber, Verdict] = field(default_factory=dict)
    _is_ready: bool = False  # the simulator stands on the head with the whole overlay
    _quote: tuple[Hash, FeeQuote] | None = None
    _nonces: dict[Lane, tuple[Hash, int]] = field(default_factory=dict)
    _canonical: OrderedDict[Hash, int] = field(default_factory=OrderedDict)

    @property
    def authority(self) -> Authority:
        return self.parts.latch.authority

    def require_leases(self, tx: Transaction) -> None:
        """Whoever lost a lane to another kernel says nothing more about its chain, confirmations included."""
        for lane, fence in self.fences.items():
            tx.lanes.require(lane, fence)

    def base(self) -> Block:
        """The pinned head. Raises `UnavailableError` where there is none fresh enough to judge by."""
        head, clock = self.head, self.parts.clock
        if head is None:
            raise UnavailableError(
                "no head is known yet", self.parts.network.name, "wait for an endpoint to answer"
            )
        age_s = clock.now_s() - head.timestamp_s
        if age_s > HEAD_AGE_S_MAX:
            what = f"the newest head #{head.number} is {age_s} s old, more than {HEAD_AGE_S_MAX} s"
            raise UnavailableError(
                what, self.parts.network.name, "check the endpoints and this machine's clock"
            )
        return head

    def note_canonical(self, added: tuple[Block, ...], removed: tuple[Block, ...]) -> None:
        for block in removed:
            self._canonical.pop(block.hash, None)
        for block in added:
            self._canonical[block.hash] = block.number
        while len(self._canonical) > HEADS_KEPT:
            self._canonical.popitem(last=False)

    def canonical_after(self, added: tuple[Block, ...], removed: tuple[Block, ...]) -> frozenset[Hash]:
        """The branch that this kernel will be on with these changes."""
        gone = {block.hash for block in removed}
        return frozenset((*(h for h in self._canonical if h not in gone), *(block.hash for block in added)))

    def in_force(self, verdict: Verdict | None) -> bool:
        """Whether bytes may still be written under this verdict (invariant 3a)."""
        if verdict is None or self.head is None:
            return False
        return (
            verdict.admitted
            and self.parts.latch.admits(verdict.kind)
            and self.head.number <= verdict.valid_until_block
            and self.parts.clock.now_s() <= verdict.valid_until_s
            and verdict.base_hash in self._canonical
        )

    def move_to(self, head: Block) -> None:
        """The chain moved: nothing is judged until the simulator stands there too."""
        self.head = head
        self._is_ready = False

    def unlanded(self) -> list[AttemptRow]:
        """The newest attempt of every slot that no canonical block has, in commit order of the slots.

        Inside a lane that is nonce order: a slot that was committed after its successors (a gap that was
        filled) stands just before the first of them, for without it none of them can run."""
        newest: dict[tuple[Lane, int], AttemptRow] = {}
        places: dict[tuple[Lane, int], int] = {}
        taken = {(row.lane, row.nonce) for h, row in self.unsettled.items() if h in self.included}
        for row in sorted(self.unsettled.values(), key=lambda r: r.number):
            newest[(row.lane, row.nonce)] = row
            places.setdefault((row.lane, row.nonce), row.number)
        earliest: dict[Lane, int] = {}
        for lane, nonce in sorted(places, key=lambda slot: slot[1], reverse=True):
            place = min(places[(lane, nonce)], earliest.get(lane, places[(lane, nonce)]))
            places[(lane, nonce)] = earliest[lane] = place
        return sorted(
            (row for slot, row in newest.items() if slot not in taken),
            key=lambda r: (places[(r.lane, r.nonce)], r.lane, r.nonce),
        )

    async def stand_on_head(self) -> None:
        """Pin the head and put the overlay on it. What fails here is tried again at the next turn."""
        assert self.head is not None
        self._is_ready = False
        await self.parts.simulator.pin(self.head)
        await self.rebuild_overlay()

    async def rebuild_overlay(self, before: AttemptRow | None = None) -> None:
        """Put what is committed and not landed on the pinned block, in commit order (up to the slot of
        `before`, exclusive)."""
        self._is_ready = False
        slot = None if before is None else (before.lane, before.nonce)
        rows = list(takewhile(lambda row: (row.lane, row.nonce) != slot, self.unlanded()))
        await self.parts.simulator.rebuild([(r.payload, r.nonce, r.max_fee_per_gas_wei) for r in rows])
        self._is_ready = before is None

    async def push_overlay(self, attempt: AttemptRow) -> None:
        """A commit appends; if it cannot be run now, nothing is judged until the overlay was rebuilt."""
        self._is_ready = False
        await self.parts.simulator.push(attempt.payload, attempt.nonce, attempt.max_fee_per_gas_wei)
        self._is_ready = True

    @property
    def is_ready(self) -> bool:
        """Whether candidates may be judged: the simulator stands on the head with the whole overlay."""
        return self._is_ready

    def take_filler(self, attempt: AttemptRow) -> None:
        """A filler takes its slot's place in the overlay, to be rebuilt before anything is judged."""
        self.unsettled[attempt.hash] = attempt
        self._is_ready = False
        # What was judged on top of the payload replaced here is stale: judged anew before a write.
        self.verdicts.clear()

    async def nonce_at_head(self, lane: Lane) -> int:
        """The chain's nonce for the lane's key at the pinned head; read once a head."""
        base = self.base()
        cached = self._nonces.get(lane)
        if cached is not None and cached[0] == base.hash:
            return cached[1]
        nonce = await self.parts.client.nonce_at(lane.key, base.hash)
        self._nonces[lane] = (base.hash, nonce)
        return nonce

    async def fee_quote(self) -> FeeQuote:
        """Fees for the block after the pinned head; asked once a head."""
        base = self.base()
        if self._quote is None or self._quote[0] != base.hash:
            self._quote = (base.hash, await self.parts.fees.quote(base))
        return self._quote[1]
