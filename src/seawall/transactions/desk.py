"""One chain's desk: what is shared by everything that handles transactions on it.

The desk's `turn` is the one lock of a chain: a candidate from simulation to commit, the handling of a head,
and recovery take turns, because the overlay, the nonces and the pinned block must not move under a verdict.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import takewhile
from operator import attrgetter
from typing import Final, Literal

from typing_extensions import override

from seawall.chain.broadcast import BroadcastPort
from seawall.chain.client import ChainClient
from seawall.chain.data_fees import DataFees
from seawall.chain.fees import FeeEstimator, FeeQuote
from seawall.chain.networks import Network
from seawall.chain.simulation import Entry, Simulator
from seawall.chain.writes import Withdrawer
from seawall.control.latch import Latch
from seawall.ledger import Ledger
from seawall.ledger.rows import AttemptRow, IntentRow
from seawall.ledger.transaction import Transaction
from seawall.primitives.blocks import Block
from seawall.primitives.bounds import HEADS_KEPT, LANE_UNLANDED_MAX
from seawall.primitives.errors import ChainError, StaleError, UnavailableError
from seawall.primitives.identifiers import AttemptNumber, IntentNumber, Lane
from seawall.primitives.levels import Authority, Priority
from seawall.primitives.ports import Clock, Offload, ThreadOffload
from seawall.primitives.units import Hash
from seawall.primitives.verdicts import Verdict
from seawall.risk.gate import Gate
from seawall.telemetry.metrics import Metrics
from seawall.transactions.policies import MovePolicy, StuckPolicies
from seawall.transactions.routes import Routes

__all__ = ["HEAD_AGE_S_MAX", "Desk", "DeskParts", "Turn"]

_number_of: Final = attrgetter("number")
# A head older than this is no base for a verdict: the endpoint hangs or lags.
HEAD_AGE_S_MAX: Final = 120


@dataclass(frozen=True, slots=True)
class DeskParts:
    """What is injected for one chain."""

    network: Network
    client: ChainClient
    simulator: Simulator
    fees: FeeEstimator
    data_fees: DataFees
    gate: Gate
    port: BroadcastPort
    ledger: Ledger
    latch: Latch
    clock: Clock
    metrics: Metrics
    emergency_max_fee_per_gas_wei: int  # housekeeping's own ceiling: gap fill and cancel
    lane_unlanded_max: int = LANE_UNLANDED_MAX
    segments_max: int = 1  # plans that may go in one transaction
    stuck: StuckPolicies = StuckPolicies()  # noqa: RUF009  (frozen)
    moves: MovePolicy = MovePolicy()  # noqa: RUF009  (frozen)
    routes: Routes = field(default_factory=Routes)
    relays: Withdrawer | None = None
    offload: Offload = field(default_factory=ThreadOffload)


class Turn(asyncio.Lock):
    """A lock that tells its holder whether somebody waits for it: who has much to do gives way."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting = 0

    @property
    def is_wanted(self) -> bool:
        return self._waiting > 0

    @override
    async def acquire(self) -> Literal[True]:
        self._waiting += 1
        try:
            return await super().acquire()
        finally:
            self._waiting -= 1


@dataclass(slots=True)
class Desk:
    """The moving state of one chain. Everything here is derived from ledger and chain, and rebuilt at
    start."""

    parts: DeskParts
    turn: Turn = field(default_factory=Turn)
    head: Block | None = None
    safe_number: int = 0
    final_number: int = 0
    epoch: int = 0  # halt epoch of the ledger's controls
    # Of the leases that this kernel holds. Replaced, never changed: other threads read it.
    fences: Mapping[Lane, int] = field(default_factory=dict)
    # In a fleet: attempts up to this number are known here, whoever committed them.
    known_attempts: int | None = None
    # Held, and nothing is dispatched until a person has looked: why, by lane.
    quarantined: dict[Lane, str] = field(default_factory=dict)
    # Attempts of slots that are not final, in commit order, by hash.
    unsettled: dict[Hash, AttemptRow] = field(default_factory=dict)
    included: dict[Hash, Hash] = field(default_factory=dict)  # of those, the canonical block that has it
    # Of those, what every endpoint refused the last time because something else with its nonce pays more.
    underpriced: set[Hash] = field(default_factory=set)
    correlations: dict[AttemptNumber, str] = field(default_factory=dict)  # for logs
    # Of those, the intents that are known here, as they were when first read: their plans do not change.
    intents: dict[IntentNumber, IntentRow] = field(default_factory=dict)
    # Verdicts in force by attempt; a restart forgets them, so everything unlanded is then judged anew
    # (invariant 3a).
    verdicts: dict[AttemptNumber, Verdict] = field(default_factory=dict)
    _is_ready: bool = False  # the simulator stands on the head with the whole overlay
    _moves: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=HEADS_KEPT))  # (UTC s, head)
    _base: Block | None = None  # what the simulator stands on
    # The next base, prepared: its hash, and the attempts that its overlay holds; what was read there.
    _prepared: tuple[Hash, list[Hash]] | None = None
    _ahead: tuple[Hash, Mapping[Priority, FeeQuote], dict[Lane, int]] | None = None
    _quotes: tuple[Hash, Mapping[Priority, FeeQuote]] | None = None
    reload_due: bool = False  # a commit is in doubt: what stands here is to be read from the ledger anew
    # What was reported of an attempt that cannot go on, or of an intent that waits behind one: each once.
    told: set[tuple[str, int]] = field(default_factory=set)
    # Of `unsettled`, those whose slot no canonical block has; and the hashes of each open slot.
    _pending: dict[Hash, AttemptRow] = field(default_factory=dict)
    _open: dict[Lane, dict[int, list[Hash]]] = field(default_factory=dict)
    _in_order: list[AttemptRow] | None = None  # `unlanded`, until something changes it
    _unlanded: dict[Lane, set[int]] = field(default_factory=dict)  # nonces of the pending slots
    _highest: dict[Lane, int] = field(default_factory=dict)  # nonce of the highest slot
    _nonces: dict[Lane, tuple[Hash, int]] = field(default_factory=dict)
    _canonical: OrderedDict[Hash, int] = field(default_factory=OrderedDict)

    @property
    def authority(self) -> Authority:
        return self.parts.latch.authority

    def require_leases(self, tx: Transaction) -> None:
        """Whoever lost a lane to another kernel says nothing more about its chain, confirmations included."""
        tx.lanes.require_all(self.fences)

    def base(self) -> Block:
        """The block that candidates stand on: the head, or the one before it until the simulator has moved.

        Raises `UnavailableError` where there is none fresh enough to judge by."""
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
        return self._base or head

    def note_canonical(self, added: tuple[Block, ...], removed: tuple[Block, ...]) -> None:
        self._canonical = self._line_after(added, removed)
        while len(self._canonical) > HEADS_KEPT:
            self._canonical.popitem(last=False)

    def canonical_after(self, added: tuple[Block, ...], removed: tuple[Block, ...]) -> frozenset[Hash]:
        """The branch that this kernel will be on with these changes."""
        return frozenset(self._line_after(added, removed))

    def _line_after(self, added: tuple[Block, ...], removed: tuple[Block, ...]) -> OrderedDict[Hash, int]:
        """One block a number: what is added takes the place of what stood there, though nobody called that
        removed. The line of the ledger, which a kernel begins with, may be another kernel's of a moment
        later than that with which its follower began."""
        gone = {block.hash for block in removed}
        first = added[0] if added else None
        line = OrderedDict(
            (h, n)
            for h, n in self._canonical.items()
            if h not in gone and (first is None or n < first.number)
        )
        if first is not None and any(
            n == first.number - 1 and h != first.parent_hash for h, n in line.items()
        ):
            line.clear()  # all of that is of another branch: what stood on it is looked at anew
        line.update((block.hash, block.number) for block in added)
        return line

    def in_force(self, verdict: Verdict | None) -> bool:
        """Whether bytes may still be written under this verdict (invariant 3a)."""
        return self.all_in_force((verdict,))

    def all_in_force(self, verdicts: Iterable[Verdict | None]) -> bool:
        """Whether that is so of every one of them: head, clock and latch are looked at once for all."""
        if self.head is None:
            return False
        number, now_s, canonical = self.head.number, self.parts.clock.now_s(), self._canonical
        kinds = set()
        for verdict in verdicts:
            if (
                verdict is None
                or not verdict.admitted
                or number > verdict.valid_until_block
                or now_s > verdict.valid_until_s
                or verdict.base_hash not in canonical
            ):
                return False
            kinds.add(verdict.kind)
        return all(map(self.parts.latch.admits, kinds))

    def move_to(self, head: Block) -> None:
        """The chain moved on. The present base serves until the simulator stands there too, unless it was
        taken away."""
        self.head = head
        self._moves.append((self.parts.clock.now_s(), head.number))
        if self._base is None or self._base.hash not in self._canonical:
            self._is_ready = False

    def heads_since(self, at_s: int) -> int | None:
        """By how much the head rose since that moment [UTC s]; None where we did not watch for so long."""
        if self.head is None or not self._moves or at_s < self._moves[0][0]:
            return None
        earlier = next(number for moved_s, number in reversed(self._moves) if moved_s <= at_s)
        return max(0, self.head.number - earlier)

    # ------------------------------------------------------------------ attempts of slots that are not final

    def take(
        self,
        attempt: AttemptRow,
        verdict: Verdict | None = None,
        correlation_id: str = "",
        intent: IntentRow | None = None,
    ) -> None:
        """An attempt that is committed: watched until its slot is final."""
        self._in_order = None
        lane, nonce, attempt_hash = attempt.lane, attempt.nonce, attempt.hash
        self.unsettled[attempt_hash] = attempt
        slots = self._open.get(lane)
        if slots is None:
            slots = self._open[lane] = {}
        siblings = slots.get(nonce)
        if siblings is None:
            slots[nonce], is_landed = [attempt_hash], False
        else:
            siblings.append(attempt_hash)
            is_landed = any(sibling in self.included for sibling in siblings)
        if nonce > self._highest.get(lane, -1):
            self._highest[lane] = nonce
        if not is_landed:
            self._pending[attempt_hash] = attempt
            self._unlanded.setdefault(lane, set()).add(nonce)
        if verdict is not None:
            self.verdicts[attempt.number] = verdict
        if correlation_id:
            self.correlations[attempt.number] = correlation_id
        if intent is not None:
            self.intents[intent.number] = intent

    def load(self, attempts: Iterable[AttemptRow], included: Mapping[Hash, Hash]) -> None:
        """Everything that is not settled, in commit order, and which canonical block has what of it."""
        self.unsettled, self.included, self._pending, self._open = {}, {}, {}, {}
        self._unlanded, self._highest, self._in_order = {}, {}, None
        for attempt in attempts:
            self.take(attempt)
        for attempt_hash, block_hash in included.items():
            self.include(attempt_hash, block_hash)
        self.underpriced &= self.unsettled.keys()
        alive = {attempt.number for attempt in self.unsettled.values()}
        self.verdicts = {number: verdict for number, verdict in self.verdicts.items() if number in alive}
        self.correlations = {number: text for number, text in self.correlations.items() if number in alive}
        wanted = {number for attempt in self.unsettled.values() for number, _ in attempt.intents}
        self.intents = {number: row for number, row in self.intents.items() if number in wanted}

    def include(self, attempt_hash: Hash, block_hash: Hash) -> None:
        """A canonical block has it: its slot is landed, provisionally."""
        attempt = self.unsettled[attempt_hash]
        self.included[attempt_hash], self._in_order = block_hash, None
        self._unlanded[attempt.lane].discard(attempt.nonce)
        siblings = self._open[attempt.lane][attempt.nonce]
        for sibling in siblings:
            self._pending.pop(sibling, None)
        if self.unsettled[siblings[-1]].payload_digest != attempt.payload_digest:
            self.verdicts.clear()  # what was judged on top of the newest stood on another one
        self.parts.routes.count(attempt_hash, attempt.route, self.parts.network.chain_id, landed=True)

    def reroute(self, attempt: AttemptRow) -> None:
        """The same bytes go another way from now on."""
        self._in_order = None
        self.unsettled[attempt.hash] = attempt
        if attempt.hash in self._pending:
            self._pending[attempt.hash] = attempt

    def exclude(self, block_hashes: Collection[Hash]) -> None:
        """A reorg took these blocks away: what they held is not landed any more."""
        if not block_hashes:
            return
        self._in_order = None
        gone = [h for h, block_hash in self.included.items() if block_hash in block_hashes]
        for attempt_hash in gone:
            del self.included[attempt_hash]
            attempt = self.unsettled[attempt_hash]
            self._unlanded[attempt.lane].add(attempt.nonce)
            for sibling in self._open[attempt.lane][attempt.nonce]:
                self._pending[sibling] = self.unsettled[sibling]

    def settle(self, lane: Lane, nonce: int) -> None:
        """Final: nothing of the slot is watched any more."""
        self._in_order = None
        self._unlanded.get(lane, set()).discard(nonce)
        for attempt_hash in self._open.get(lane, {}).pop(nonce, ()):
            row = self.unsettled.pop(attempt_hash)
            self.underpriced.discard(attempt_hash)
            self._pending.pop(attempt_hash, None)
            self.included.pop(attempt_hash, None)
            self.verdicts.pop(row.number, None)
            self.correlations.pop(row.number, None)
            for number, _ in row.intents:
                self.intents.pop(number, None)

    def siblings(self, attempt: AttemptRow) -> list[Hash]:
        """Every hash of the attempt's slot, in commit order."""
        return list(self._open.get(attempt.lane, {}).get(attempt.nonce, ()))

    def waiting(self, lane: Lane) -> list[AttemptRow]:
        """The newest attempt of each slot of the lane that no canonical block has, ascending by nonce."""
        slots = self._open.get(lane, {})
        return [self.unsettled[slots[nonce][-1]] for nonce in sorted(self._unlanded.get(lane, ()))]

    def hashes_of(self, lane: Lane, nonce: int) -> Sequence[Hash]:
        """Everything of ours that was signed for this nonce, in commit order; nothing once it is final."""
        return self._open.get(lane, {}).get(nonce, ())

    def open_nonces(self, lane: Lane) -> Collection[int]:
        """Of slots that are not final and have something of ours."""
        return self._open.get(lane, {}).keys()

    def used_in(self, lane: Lane, nonce: int) -> int | None:
        """The block in which a hash of ours used this nonce; None if none did, or it is long ago."""
        found = (self.included.get(h) for h in self.hashes_of(lane, nonce))
        block_hash = next((h for h in found if h is not None), None)
        return None if block_hash is None else self._canonical.get(block_hash)

    def unlanded(self) -> list[AttemptRow]:
        """The newest attempt of every slot that no canonical block has, in commit order of the slots.

        Inside a lane that is nonce order: a slot that was committed after its successors (a gap that was
        filled) stands just before the first of them, for without it none of them can run."""
        if self._in_order is None:
            self._in_order = self._ordered()
        return self._in_order

    def _ordered(self) -> list[AttemptRow]:
        rows = sorted(self._pending.values(), key=_number_of)
        last: dict[Lane, int] = {}
        for row in rows:
            if row.nonce <= last.get(row.lane, -1):
                return self._ordered_by_slot(rows)
            last[row.lane] = row.nonce
        return rows  # one attempt a slot, and lanes in nonce order: nearly always

    def _ordered_by_slot(self, rows: Sequence[AttemptRow]) -> list[AttemptRow]:
        newest: dict[tuple[Lane, int], AttemptRow] = {}
        places: dict[tuple[Lane, int], int] = {}
        for row in rows:
            newest[(row.lane, row.nonce)] = row
            places.setdefault((row.lane, row.nonce), row.number)
        earliest: dict[Lane, int] = {}
        for lane, nonce in sorted(places, key=lambda slot: slot[1], reverse=True):
            place = min(places[(lane, nonce)], earliest.get(lane, places[(lane, nonce)]))
            places[(lane, nonce)] = earliest[lane] = place
        return sorted(newest.values(), key=lambda r: (places[(r.lane, r.nonce)], r.lane, r.nonce))

    def room(self, lane: Lane) -> int:
        """How many more slots of the lane may be unlanded; what is included and not final holds up nobody."""
        return max(0, self.parts.lane_unlanded_max - len(self._unlanded.get(lane, ())))

    def next_nonce(self, lane: Lane, at_head: int) -> int:
        """TX-3: past the chain, and past every slot of ours; settled ones are below the chain's."""
        return max(at_head, self._highest.get(lane, -1) + 1)

    async def prepare_head(self) -> None:
        """Put a second machine on the new head, and read what a first candidate there needs.

        The present base serves on meanwhile, so this needs no turn. What fails here fails again, and is told,
        in `stand_on_head`."""
        head = self.head
        assert head is not None
        if self._base == head:
            return
        rows = self.unlanded()
        with suppress(ChainError, StaleError):
            await self.parts.simulator.prepare(head, _entries(rows))
            self._prepared = (head.hash, [row.hash for row in rows])
            quotes = await self.parts.fees.quotes(head)
            lanes = [lane for lane, fence in self.fences.items() if fence]
            nonces = await self.parts.client.nonces_at([lane.key for lane in lanes], head.hash)
            self._ahead = (head.hash, quotes, dict(zip(lanes, nonces, strict=True)))

    async def stand_on_head(self) -> None:
        """Pin the head and put the overlay on it. What fails here is tried again at the next turn."""
        head = self.head
        assert head is not None
        rows = self.unlanded()
        prepared, self._prepared = self._prepared, None
        hashes = [row.hash for row in rows]
        known = prepared[1] if prepared is not None and prepared[0] == head.hash else None
        if known is not None and hashes[: len(known)] == known and await self.parts.simulator.switch(head):
            self._base = head
            self._take_ahead(head)
            # What was committed since is put on top, in one go.
            await self.parts.simulator.rebuild(_entries(rows))
            self._is_ready = True
            return
        self._is_ready = False
        await self.parts.simulator.pin(head)
        self._base = head
        await self.rebuild_overlay()

    def _take_ahead(self, head: Block) -> None:
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead[0] == head.hash:
            self._quotes = (head.hash, ahead[1])
            self._nonces.update((lane, (head.hash, nonce)) for lane, nonce in ahead[2].items())

    async def rebuild_overlay(self, before: AttemptRow | None = None) -> None:
        """Put what is committed and not landed on the pinned block, in commit order (up to the slot of
        `before`, exclusive). What landed above that block would be in neither: then it waits for the head,
        and `StaleError` says so."""
        self._is_ready = False
        if not self.is_on_head:
            what = "the head moved on, and what it holds of ours is not on the base"
            raise StaleError(what, self.parts.network.name, "none needed: the head is pinned next")
        slot = None if before is None else (before.lane, before.nonce)
        rows = list(takewhile(lambda row: (row.lane, row.nonce) != slot, self.unlanded()))
        await self.parts.simulator.rebuild(_entries(rows))
        self._is_ready = before is None

    @property
    def is_on_head(self) -> bool:
        """Whether the base is the head: else what is committed can be put on top of it, and no overlay can be
        built anew."""
        return self._base is not None and self._base == self.head

    @property
    def is_ready(self) -> bool:
        """Whether candidates may be judged: the simulator stands on the head with the whole overlay."""
        return self._is_ready

    async def is_mended(self) -> bool:
        """Whether candidates may be judged; an overlay that is not what is committed is rebuilt first, where
        the simulator stands on the head."""
        if not self._is_ready and self.is_on_head:
            await self.rebuild_overlay()
        return self._is_ready

    def take_filler(self, attempt: AttemptRow) -> None:
        """A filler takes its slot's place in the overlay, to be rebuilt before anything is judged."""
        self.take(attempt)
        self.unready()
        # What was judged on top of the payload replaced here is stale: judged anew before a write.
        self.verdicts.clear()

    def unready(self) -> None:
        """The simulator's overlay is not what is committed: nothing is judged until it was rebuilt."""
        self._is_ready = False

    async def nonce_at_head(self, lane: Lane) -> int:
        """The chain's nonce for the lane's key at the pinned head; read once a head."""
        base = self.base()
        cached = self._nonces.get(lane)
        if cached is not None and cached[0] == base.hash:
            return cached[1]
        nonce = await self.parts.client.nonce_at(lane.key, base.hash)
        self._nonces[lane] = (base.hash, nonce)
        return nonce

    async def fee_quotes(self) -> Mapping[Priority, FeeQuote]:
        """Fees for the block after the pinned head, by class; asked once a head."""
        base = self.base()
        if self._quotes is None or self._quotes[0] != base.hash:
            self._quotes = (base.hash, await self.parts.fees.quotes(base))
        return self._quotes[1]

    async def fee_quote(self, priority: Priority = Priority.NORMAL) -> FeeQuote:
        return (await self.fee_quotes())[priority]


def _entries(rows: Iterable[AttemptRow]) -> list[Entry]:
    return [(row.payload, row.nonce, row.max_fee_per_gas_wei) for row in rows]
