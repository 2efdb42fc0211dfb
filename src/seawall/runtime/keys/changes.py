"""Changes of keys, carried out while the kernel runs (KEY-2, KEY-3).

Retiring a key (rotation): from the command on nothing new is taken in for its lane. What is queued or under
way goes on. Then what the key holds is moved to its successor (`retiring` says what next), by ordinary plans
of the name `retirement`, each simulated, guarded and limited like any other. The change ends when everything
is settled and nothing is left that can be moved; it is told with the event `key.retired`, which names what
stays. Where the successor is retired too, its own successor stands for it.

Adopting a key that somebody else sent from: its lane is quarantined until every nonce that was under way
elsewhere is consumed beyond finality. The last of them becomes a foreign slot, and the lane begins after it.
It is told with `key.adopted`. If such a transaction was dropped for good, `seawall lanes release` ends the
wait. A quarantine of another cause outlasts it.

Reminders: `key.rotation_due` is told, with a warning, once a day for every signer that is or will soon be
older than its `rotation_days`, and once a life for one whose day is not known.

Each look reads the ledger anew, so any kernel of a fleet can carry a change on that another one began, and a
restart changes nothing. Only the holder of a lane acts on it. What goes wrong with one change holds up no
other.

Not done here: taking roles on contracts and allowances away from a retired key.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Final

from seawall.chain.addresses import AddressBook, AddressKind
from seawall.chain.data_fees import most_now, most_total_fee_wei
from seawall.ledger import Ledger
from seawall.ledger.key_changes import KeyChange, KeyChangeKind
from seawall.ledger.rows import EventData, IntentRow, NewEvent
from seawall.ledger.transaction import Transaction
from seawall.primitives.blocks import Block
from seawall.primitives.errors import ChainError, LedgerError, PlanError, ProtocolError
from seawall.primitives.identifiers import Lane
from seawall.primitives.levels import Authority
from seawall.primitives.observations import Decision
from seawall.primitives.plans import DirectBody, GuardSpec, Plan, TokenDelta
from seawall.primitives.ports import Clock
from seawall.primitives.units import NATIVE, Address, address_text
from seawall.primitives.verdicts import Payload
from seawall.protocols import erc20
from seawall.runtime.configuration.names import RETIREMENT
from seawall.runtime.keys.retiring import KeyBounds, Move, movable_of, next_move, tries_of
from seawall.runtime.wiring import Chain
from seawall.telemetry.logs import get_logger
from seawall.transactions.foreign import NONCES_LOOKED_AT_MAX

__all__ = [
    "ADOPTED",
    "LOOK_S",
    "REMIND_DAYS",
    "REST_S",
    "TRANSFER_GAS",
    "KeyAge",
    "KeyKeeper",
    "heirs_of",
    "rotation_of",
]

LOOK_S: Final = 2.0
# Where nothing is due to be tried again, what a retired key holds is not read anew for so long.
REST_S: Final = 30
# What a plain transfer may take, its receiver may be a contract, and room for fees to rise.
TRANSFER_GAS: Final = 100_000
# So long before a key is too old, and then every day.
REMIND_DAYS: Final = 14
# How the reason of a quarantine begins that an adoption set, and may lift.
ADOPTED: Final = "adopted: "
_PLAN_TTL_S: Final = 600
_TROUBLE: Final = (ChainError, LedgerError, PlanError, ProtocolError)
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class KeyAge:
    """What the configuration says of a signer's age."""

    name: str
    since: date | None
    rotation_days: int  # 0: never
    chain_ids: tuple[int, ...] = ()


def rotation_of(age: KeyAge, today: date) -> str:
    """`never`, `unknown`, `later`, `soon` or `due`."""
    if age.rotation_days == 0:
        return "never"
    if age.since is None:
        return "unknown"
    left_days = age.rotation_days - (today - age.since).days
    return "due" if left_days <= 0 else "soon" if left_days <= REMIND_DAYS else "later"


def heirs_of(changes: Sequence[KeyChange]) -> dict[Lane, Address]:
    """Of every retired lane the key that takes its place in the end."""
    next_of = {c.lane: c.successor for c in changes if c.successor is not None}
    found: dict[Lane, Address] = {}
    for lane, successor in next_of.items():
        seen = {lane}
        heir = Lane(lane.chain_id, successor)
        while heir in next_of and heir not in seen:
            seen.add(heir)
            heir = Lane(lane.chain_id, next_of[heir])
        found[lane] = heir.key
    return found


@dataclass(slots=True)
class KeyKeeper:
    """The key changes of one live ledger."""

    ledger: Ledger
    chains: Mapping[int, Chain]
    books: Mapping[int, AddressBook]
    clock: Clock
    bounds: Mapping[Lane, KeyBounds]
    ages: Sequence[KeyAge] = ()
    _reminded: dict[str, date] = field(default_factory=dict)
    _rests_until_s: dict[Lane, int] = field(default_factory=dict)

    async def run(self) -> None:
        while True:
            for work in (self.look, self.remind):
                try:
                    await work()
                except _TROUBLE as trouble:
                    _log.warning("key_changes_not_looked_at", cause=str(trouble))
            await self.clock.sleep_s(LOOK_S)

    async def learn(self) -> list[KeyChange]:
        """Which lanes take nothing new. Before anything is taken in, and after each command."""
        changes = await self.ledger.read(lambda tx: tx.key_changes.all())
        heirs = heirs_of(changes)
        # Feeds and submitters hold copies of a chain's intake, which share this mapping.
        for chain_id, chain in self.chains.items():
            retired = chain.intake.retired
            here = {lane: heir for lane, heir in heirs.items() if lane.chain_id == chain_id}
            # The ledger's thread reads it: never empty in between.
            retired.update(here)
            for lane in [lane for lane in retired if lane not in here]:
                del retired[lane]
        return changes

    async def look(self) -> None:
        """Carry every open change on as far as it goes now; chains side by side."""
        changes = await self.learn()
        heirs = heirs_of(changes)
        mine = [one for one in changes if one.ended_at_s is None and self._is_ours(one.lane)]

        async def carry_on(chain_id: int) -> None:
            for change in mine:
                if change.lane.chain_id == chain_id:
                    await self._carry_on(change, heirs)

        await asyncio.gather(*map(carry_on, {one.lane.chain_id for one in mine}))

    def _is_ours(self, lane: Lane) -> bool:
        chain = self.chains.get(lane.chain_id) if lane in self.bounds else None
        return chain is not None and lane in chain.desk.fences and chain.desk.head is not None

    async def _carry_on(self, change: KeyChange, heirs: Mapping[Lane, Address]) -> None:
        chain = self.chains[change.lane.chain_id]
        try:
            if change.kind is KeyChangeKind.RETIRE:
                await self._retire(change, heirs[change.lane], chain)
            else:
                await self._adopt(change, chain)
        except _TROUBLE as trouble:
            _log.warning("key_change_waits", lane=str(change.lane), kind=str(change.kind), cause=str(trouble))

    def hold_back(self, lane: Lane, why: str) -> None:
        """The quarantine is in the ledger; here it holds at once, before the next look at the leases."""
        chain = self.chains.get(lane.chain_id)
        if chain is not None:
            chain.desk.quarantined[lane] = chain.loop.leases.quarantined[lane] = why

    def wake(self, lane: Lane) -> None:
        """Something on the lane was cancelled."""
        chain = self.chains.get(lane.chain_id)
        if chain is not None:
            chain.loop.tend_soon()
            chain.loop.wake_lanes()

    async def remind(self) -> None:
        """Of keys that are or will soon be too old, and of those of which that is not known."""
        today = datetime.fromtimestamp(self.clock.now_s(), UTC).date()
        told: list[NewEvent] = []
        for age in self.ages:
            rotation, last = rotation_of(age, today), self._reminded.get(age.name)
            is_news = last is None or (last != today and rotation != "unknown")
            if rotation in ("soon", "due", "unknown") and is_news:
                since = "" if age.since is None else age.since.isoformat()
                data: EventData = {"rotation": rotation, "since": since, "rotation_days": age.rotation_days}
                told += [NewEvent("key.rotation_due", one, age.name, None, data) for one in age.chain_ids]
        if not told:
            return
        await self.ledger.write(lambda tx: tx.events.append_many(told, self.clock.now_s()))
        for name, data in {event.subject: event.data for event in told}.items():
            self._reminded[name] = today
            _log.warning("key_rotation_due", signer=name, **data)

    # ------------------------------------------------------------------ retiring

    async def _retire(self, change: KeyChange, heir: Address, chain: Chain) -> None:
        lane, desk, now_s = change.lane, chain.desk, self.clock.now_s()

        def read(tx: Transaction) -> tuple[bool, list[IntentRow]]:
            rows: list[IntentRow] = []
            while (row := tx.intents.find(RETIREMENT, _key_of(change, len(rows)))) is not None:
                rows.append(row)
            return _is_busy(tx, lane), rows

        # A try that authority refuses says nothing of what is tried.
        if lane in desk.quarantined or desk.authority is not Authority.RUN:
            return
        if now_s < self._rests_until_s.get(lane, 0) <= now_s + REST_S:  # else the clock went back
            return
        is_busy, rows = await self.ledger.read(read)
        if is_busy:
            return
        head = desk.head
        assert head is not None
        held = await self._held(chain, lane.key, head)
        movable = movable_of(held, await _fee_wei(chain, lane, heir, head), self.bounds[lane])
        move, is_open = next_move(movable, tries_of(rows), now_s)
        if not is_open:
            await self._end_retirement(change, heir, held)
        if move is None:
            self._rests_until_s[lane] = now_s + REST_S
            return
        plan = self._plan(change, heir, len(rows), move)
        # Its own plans are what a retired lane still takes.
        await replace(chain.intake, retired={}).accept(Decision(RETIREMENT, 0, 0, (plan,)))
        chain.loop.wake_lanes()

    async def _held(self, chain: Chain, key: Address, head: Block) -> dict[Address, int | None]:
        """What the key holds at the head, of what the address book knows; the native token last. None: it
        could not be read."""
        client = chain.desk.parts.client
        tokens = [e.address for e in self.books[head.chain_id] if e.kind is AddressKind.TOKEN]
        reads = {token: erc20.balance_read(token, key) for token in tokens}
        answers = await client.call_at(list(reads.values()), head)
        held: dict[Address, int | None] = {}
        for token in tokens:
            try:
                held[token] = erc20.balance(token, key, answers)
            except ProtocolError:
                held[token] = None
        held[NATIVE] = await client.balance_at(key, head.hash)
        return held

    def _plan(self, change: KeyChange, heir: Address, count: int, move: Move) -> Plan:
        is_native = move.token == NATIVE
        call = DirectBody(heir, b"", move.amount) if is_native else _transfer(move, heir)
        return Plan(
            strategy=RETIREMENT,
            chain_id=change.lane.chain_id,
            key=change.lane.key,
            body=call,
            accounting_token=move.token,
            idempotency_key=_key_of(change, count),
            deadline_s=self.clock.now_s() + _PLAN_TTL_S,
            guards=(GuardSpec("gas_use"),),
            expected=(TokenDelta(heir, move.token, move.amount, tolerance_bps=0),),
            note=f"move {move.amount} of {address_text(move.token)} to {address_text(heir)}",
        )

    async def _end_retirement(
        self, change: KeyChange, heir: Address, held: Mapping[Address, int | None]
    ) -> None:
        lane, now_s = change.lane, self.clock.now_s()
        stays = {token: amount for token, amount in held.items() if token != NATIVE and amount != 0}
        data: EventData = {
            "successor": address_text(heir),
            "reason": change.reason,
            "who": change.who,
            "stays_wei": str(held[NATIVE]),
            "stays": ", ".join(f"{_amount(amount)} of {address_text(at)}" for at, amount in stays.items()),
        }

        def commit(tx: Transaction) -> bool:
            # What was being taken in when the key was retired may have come meanwhile.
            if _is_busy(tx, lane) or not tx.key_changes.end(lane, KeyChangeKind.RETIRE, now_s):
                return False
            tx.events.append("key.retired", lane.chain_id, str(lane), None, data, now_s)
            return True

        if await self.ledger.write(commit):
            _log.info("key_retired", lane=str(lane), **data)

    # ------------------------------------------------------------------ adopting

    async def _adopt(self, change: KeyChange, chain: Chain) -> None:
        assert change.through_nonce is not None
        lane, desk, now_s = change.lane, chain.desk, self.clock.now_s()
        client = desk.parts.client
        final = await client.block_by_number(desk.final_number) if desk.final_number >= 0 else None
        if final is None:
            return
        nonce = await client.nonce_at(lane.key, final.hash)
        # What the ledger says: the desk learns of a quarantine later, and a person may have lifted it.
        row = await self.ledger.read(lambda tx: tx.lanes.get(lane))
        if nonce <= change.through_nonce and row is not None and row.quarantine is not None:
            return
        seen_at = desk.base().hash

        def commit(tx: Transaction) -> bool:
            if not tx.key_changes.end(lane, KeyChangeKind.ADOPT, now_s):
                return False
            row = tx.lanes.get(lane)
            highest = tx.slots.highest(lane)
            # On a lane that has no slots the last nonce is enough to begin after it.
            first = nonce - 1 if highest is None else max(highest + 1, nonce - NONCES_LOOKED_AT_MAX)
            for taken in range(max(first, 0), nonce):
                tx.slots.insert(lane, taken, "foreign", None, seen_at)
                tx.slots.settle(lane, taken, None)
            if row is not None and row.quarantine is not None and row.quarantine.startswith(ADOPTED):
                tx.lanes.quarantine(lane, None)
            data: EventData = {"through_nonce": nonce - 1, "reason": change.reason, "who": change.who}
            tx.events.append("key.adopted", lane.chain_id, str(lane), None, data, now_s)
            return True

        if await self.ledger.write(commit):
            _log.info("key_adopted", lane=str(lane), through_nonce=nonce - 1)


def _key_of(change: KeyChange, count: int) -> str:
    """The idempotency key of a retirement's plan, by its place: what was tried is found again after a
    restart."""
    lane = change.lane
    return f"{lane.chain_id}:{address_text(lane.key)}:{change.began_at_s}:{count}"


async def _fee_wei(chain: Chain, lane: Lane, heir: Address, head: Block) -> int:
    """The most that the last transfer may cost. What a roll-up takes for its data is taken beside gas, and a
    transfer that leaves too little for it would stand in the lane's way for ever."""
    parts = chain.desk.parts
    quote = await parts.fees.quote(head)
    payload = Payload(lane.chain_id, lane.key, heir, b"", 0, TRANSFER_GAS)
    data_fee = await most_now(parts.data_fees, payload, head)
    gas = TRANSFER_GAS + data_fee.extra_gas
    return most_total_fee_wei(gas, quote.ceiling_fee_per_gas_wei, data_fee)


def _is_busy(tx: Transaction, lane: Lane) -> bool:
    return bool(tx.slots.open(lane) or tx.intents.queued(lane, 1))


def _transfer(move: Move, to: Address) -> DirectBody:
    return DirectBody(move.token, erc20.transfer_call(to, move.amount))


def _amount(amount: int | None) -> str:
    return "?" if amount is None else str(amount)
