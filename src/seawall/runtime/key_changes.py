"""Changes of keys, carried out while the kernel runs (KEY-2, KEY-3).

Retiring a key (rotation): from the command on nothing new is taken in for its lane. What is queued or under
way goes on. Then what the key holds is moved to its successor, tokens first and the native token last, by
ordinary plans of the name `retirement`, each simulated, guarded and limited like any other. The change ends
when everything is settled and nothing is left that can be moved; it is told with the event `key.retired`.

Adopting a key that somebody else sent from: its lane is quarantined until every nonce that was under way
elsewhere is consumed beyond finality. The last of them becomes a foreign slot, and the lane begins after it.
It is told with `key.adopted`. If such a transaction was dropped for good, `seawall lanes release` ends the
wait.

Reminders: `key.rotation_due` is told, with a warning, once a day for every signer that is or will soon be
older than its `rotation_days`, and once a life for one whose day is not known.

Each look reads the ledger anew, so any kernel of a fleet can carry a change on that another one began, and a
restart changes nothing. Only the holder of a lane acts on it.

Not done here: taking roles on contracts and allowances away from a retired key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Final

from seawall.chain.addresses import AddressBook, AddressKind
from seawall.ledger import Ledger
from seawall.ledger.key_changes import KeyChange, KeyChangeKind
from seawall.ledger.rows import EventData, IntentRow, NewEvent
from seawall.ledger.transaction import Transaction
from seawall.primitives.blocks import Block
from seawall.primitives.errors import BackPressureError, ChainError, LedgerError, PlanError
from seawall.primitives.identifiers import Lane
from seawall.primitives.levels import IntentState
from seawall.primitives.observations import Decision
from seawall.primitives.plans import DirectBody, GuardSpec, Plan, TokenDelta
from seawall.primitives.ports import Clock
from seawall.primitives.units import NATIVE, Address, address_text
from seawall.protocols import erc20
from seawall.protocols.answers import integer_answer
from seawall.runtime.names import RETIREMENT
from seawall.runtime.wiring import Chain
from seawall.telemetry.logs import get_logger
from seawall.transactions.foreign import NONCES_LOOKED_AT_MAX

__all__ = [
    "LOOK_S",
    "REMIND_DAYS",
    "RETRY_S",
    "TRANSFER_GAS",
    "KeyAge",
    "KeyBounds",
    "KeyKeeper",
    "rotation_of",
]

LOOK_S: Final = 2.0
# After a plan that did not land, this long passes before the next.
RETRY_S: Final = 120
# What a plain transfer may take where a roll-up counts its data as gas, and room for fees to rise elsewhere.
TRANSFER_GAS: Final = 100_000
# So long before a key is too old, and then every day.
REMIND_DAYS: Final = 14
_PLAN_TTL_S: Final = 600
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class KeyBounds:
    """What the limits let a key send of the native token."""

    kept_wei: int  # that the key must keep
    value_max_wei: int  # of one transaction


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

    async def run(self) -> None:
        while True:
            try:
                await self.look()
                await self.remind()
            except (ChainError, LedgerError) as trouble:
                _log.warning("key_changes_not_looked_at", cause=str(trouble))
            await self.clock.sleep_s(LOOK_S)

    async def look(self) -> None:
        """Carry every open change on as far as it goes now."""
        changes = await self.ledger.read(lambda tx: tx.key_changes.all())
        self._tell_intakes(changes)
        for change in changes:
            chain = self.chains.get(change.lane.chain_id) if change.lane in self.bounds else None
            is_ours = chain is not None and change.lane in chain.desk.fences and chain.desk.head is not None
            if change.ended_at_s is None and chain is not None and is_ours:
                if change.kind is KeyChangeKind.RETIRE:
                    await self._retire(change, chain)
                else:
                    await self._adopt(change, chain)

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

    def _tell_intakes(self, changes: Sequence[KeyChange]) -> None:
        """Feeds and submitters hold copies of a chain's intake, which share this mapping."""
        for chain_id, chain in self.chains.items():
            retired = chain.intake.retired
            retired.clear()
            for change in changes:
                if change.successor is not None and change.lane.chain_id == chain_id:
                    retired[change.lane] = change.successor

    # ------------------------------------------------------------------ retiring

    async def _retire(self, change: KeyChange, chain: Chain) -> None:
        lane = change.lane

        def read(tx: Transaction) -> tuple[bool, int, IntentRow | None]:
            is_busy = bool(tx.slots.open(lane) or tx.intents.queued(lane, 1))
            count, last = 0, None
            while (row := tx.intents.find(RETIREMENT, _key_of(change, count))) is not None:
                count, last = count + 1, row
            return is_busy, count, last

        is_busy, count, last = await self.ledger.read(read)
        has_landed = last is not None and last.state is IntentState.LANDED
        waits_until_s = 0 if last is None or has_landed else last.accepted_at_s + RETRY_S
        if is_busy or lane in chain.desk.quarantined or self.clock.now_s() < waits_until_s:
            return
        head = chain.desk.head
        assert head is not None
        held = await self._held(chain, lane.key, head)
        quote = await chain.desk.parts.fees.quote(head)
        fee_wei = TRANSFER_GAS * quote.ceiling_fee_per_gas_wei
        is_last = has_landed and last is not None and _was_last(last.plan, self.bounds[lane])
        plan = None if is_last else self._next_plan(change, count, held, fee_wei)
        if plan is None:
            await self._end_retirement(change, held)
            return
        try:
            # Its own plans are what a retired lane still takes.
            await replace(chain.intake, retired={}).accept(Decision(RETIREMENT, 0, 0, (plan,)))
        except (PlanError, BackPressureError) as trouble:
            _log.warning("retirement_waits", lane=str(lane), cause=str(trouble))
            return
        chain.loop.wake_lanes()

    async def _held(self, chain: Chain, key: Address, head: Block) -> dict[Address, int]:
        """What the key holds at the head, of what the address book knows; the native token last."""
        client = chain.desk.parts.client
        tokens = [e.address for e in self.books[head.chain_id] if e.kind is AddressKind.TOKEN]
        reads = {token: erc20.balance_read(token, key) for token in tokens}
        answers = await client.call_at(list(reads.values()), head)
        held = {
            token: integer_answer(answers, read.label, "uint256")
            for token, read in reads.items()
            if answers[read.label]
        }
        held[NATIVE] = await client.balance_at(key, head.hash)
        return held

    def _next_plan(
        self, change: KeyChange, count: int, held: Mapping[Address, int], fee_wei: int
    ) -> Plan | None:
        """One thing at a time; None where nothing is left that can be moved."""
        assert change.successor is not None
        bounds = self.bounds[change.lane]
        for token, amount in held.items():
            if token == NATIVE:
                movable = min(amount - fee_wei - bounds.kept_wei, bounds.value_max_wei)
                call = DirectBody(change.successor, b"", max(movable, 0))
            else:
                movable = amount
                call = DirectBody(token, erc20.transfer_call(change.successor, movable))
            if movable <= 0:
                continue
            return Plan(
                strategy=RETIREMENT,
                chain_id=change.lane.chain_id,
                key=change.lane.key,
                body=call,
                accounting_token=token,
                idempotency_key=_key_of(change, count),
                deadline_s=self.clock.now_s() + _PLAN_TTL_S,
                guards=(GuardSpec("gas_use"),),
                expected=(TokenDelta(change.successor, token, movable, tolerance_bps=0),),
                note=f"move {movable} of {address_text(token)} to {address_text(change.successor)}",
            )
        return None

    async def _end_retirement(self, change: KeyChange, held: Mapping[Address, int]) -> None:
        assert change.successor is not None
        lane, now_s = change.lane, self.clock.now_s()
        data: EventData = {
            "successor": address_text(change.successor),
            "reason": change.reason,
            "who": change.who,
            "stays_wei": str(held[NATIVE]),
        }

        def commit(tx: Transaction) -> None:
            if tx.key_changes.end(lane, KeyChangeKind.RETIRE, now_s):
                tx.events.append("key.retired", lane.chain_id, str(lane), None, data, now_s)

        await self.ledger.write(commit)
        _log.info("key_retired", lane=str(lane), successor=address_text(change.successor))

    # ------------------------------------------------------------------ adopting

    async def _adopt(self, change: KeyChange, chain: Chain) -> None:
        assert change.through_nonce is not None
        lane, desk, now_s = change.lane, chain.desk, self.clock.now_s()
        client = desk.parts.client
        final = await client.block_by_number(desk.final_number)
        if final is None:
            return
        nonce = await client.nonce_at(lane.key, final.hash)
        if nonce <= change.through_nonce and lane in desk.quarantined:
            return
        seen_at = desk.base().hash

        def commit(tx: Transaction) -> bool:
            if not tx.key_changes.end(lane, KeyChangeKind.ADOPT, now_s):
                return False
            highest = tx.slots.highest(lane)
            # On a lane that has no slots the last nonce is enough to begin after it.
            first = nonce - 1 if highest is None else max(highest + 1, nonce - NONCES_LOOKED_AT_MAX)
            for taken in range(max(first, 0), nonce):
                tx.slots.insert(lane, taken, "foreign", None, seen_at)
                tx.slots.settle(lane, taken, None)
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


def _was_last(plan: Plan, bounds: KeyBounds) -> bool:
    """The native token goes last, and less than the most that may go at once is the rest of it."""
    return (
        plan.accounting_token == NATIVE
        and isinstance(plan.body, DirectBody)
        and plan.body.value_wei < bounds.value_max_wei
    )
