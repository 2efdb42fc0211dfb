"""Changes of keys, carried out while the kernel runs (KEY-2, KEY-3).

Retiring a key (rotation): from the command on nothing new is taken in for its lane. What is queued or under
way goes on. Then what the key holds is moved to its successor, tokens first and the native token last, by
ordinary plans of the name `retirement`, each simulated, guarded and limited like any other. The change ends
when everything is settled and nothing is left that can be moved; it is told with the event `key.retired`.

Adopting a key that somebody else sent from: its lane is quarantined until every nonce that was under way
elsewhere is consumed beyond finality. The last of them becomes a foreign slot, and the lane begins after it.
It is told with `key.adopted`. If such a transaction was dropped for good, `seawall lanes release` ends the
wait.

Each look reads the ledger anew, so any kernel of a fleet can carry a change on that another one began, and a
restart changes nothing. Only the holder of a lane acts on it.

Not done here: taking roles on contracts and allowances away from a retired key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from seawall.chain.addresses import AddressBook, AddressKind
from seawall.ledger import Ledger
from seawall.ledger.key_changes import KeyChange, KeyChangeKind
from seawall.ledger.rows import EventData
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
from seawall.runtime.wiring import Chain
from seawall.telemetry.logs import get_logger
from seawall.transactions.foreign import NONCES_LOOKED_AT_MAX

__all__ = ["LOOK_S", "RETIREMENT", "RETRY_S", "TRANSFER_GAS", "KeyKeeper"]

LOOK_S: Final = 2.0
# After a plan that did not land, this long passes before the next.
RETRY_S: Final = 120
# What a plain transfer may take where a roll-up counts its data as gas.
TRANSFER_GAS: Final = 100_000
RETIREMENT: Final = "retirement"
_PLAN_TTL_S: Final = 600
# Fees rise by an eighth a block at most: four times today's base fee is twelve full blocks away.
_BASE_FEE_MARGIN: Final = 4
_log = get_logger(__name__)


@dataclass(slots=True)
class KeyKeeper:
    """The key changes of one live ledger."""

    ledger: Ledger
    chains: Mapping[int, Chain]
    books: Mapping[int, AddressBook]
    clock: Clock
    _tried: dict[Lane, tuple[str, int]] = field(default_factory=dict)  # last plan's key, and when

    async def run(self) -> None:
        while True:
            try:
                await self.look()
            except (ChainError, LedgerError) as trouble:
                _log.warning("key_changes_not_looked_at", cause=str(trouble))
            await self.clock.sleep_s(LOOK_S)

    async def look(self) -> None:
        """Carry every open change on as far as it goes now."""
        changes = await self.ledger.read(lambda tx: tx.key_changes.all())
        self._tell_intakes(changes)
        for change in changes:
            chain = self.chains.get(change.lane.chain_id)
            is_ours = chain is not None and change.lane in chain.desk.fences and chain.desk.head is not None
            if change.ended_at_s is None and chain is not None and is_ours:
                if change.kind is KeyChangeKind.RETIRE:
                    await self._retire(change, chain)
                else:
                    await self._adopt(change, chain)

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
        lane, tried = change.lane, self._tried.get(change.lane)

        def read(tx: Transaction) -> tuple[bool, bool]:
            waiting = tx.slots.open(lane) or tx.intents.queued(lane, 1)
            last = None if tried is None else tx.intents.find(RETIREMENT, tried[0])
            return bool(waiting), last is not None and last.state is IntentState.LANDED

        is_busy, has_landed = await self.ledger.read(read)
        if is_busy or lane in chain.desk.quarantined:
            return
        if tried is not None and not has_landed and self.clock.now_s() < tried[1] + RETRY_S:
            return
        head = chain.desk.head
        assert head is not None
        held = await self._held(chain, lane.key, head)
        plan = self._next_plan(change, held, head)
        if plan is None:
            await self._end_retirement(change, held)
            return
        self._tried[lane] = plan.idempotency_key, self.clock.now_s()
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

    def _next_plan(self, change: KeyChange, held: Mapping[Address, int], head: Block) -> Plan | None:
        """One thing at a time; None where nothing is left that can be moved."""
        assert change.successor is not None
        fee_wei = TRANSFER_GAS * _BASE_FEE_MARGIN * head.base_fee_wei
        for token, amount in held.items():
            movable = amount - fee_wei if token == NATIVE else amount
            if movable <= 0:
                continue
            if token == NATIVE:
                call = DirectBody(change.successor, b"", movable)
            else:
                call = DirectBody(token, erc20.transfer_call(change.successor, movable))
            key, now_s = address_text(change.lane.key), self.clock.now_s()
            return Plan(
                strategy=RETIREMENT,
                chain_id=change.lane.chain_id,
                key=change.lane.key,
                body=call,
                accounting_token=token,
                idempotency_key=f"{key}:{change.began_at_s}:{address_text(token)}:{head.number}",
                deadline_s=now_s + _PLAN_TTL_S,
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
        self._tried.pop(lane, None)
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
