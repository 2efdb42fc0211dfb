"""What a person does about keys, over the kernel's socket: retire one, take that back, adopt one.

Only writes down what shall be; `key_changes` carries it out. The same words are used where no kernel runs and
the command opens the ledger itself.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from seawall.ledger import Ledger
from seawall.ledger.key_changes import KeyChange, KeyChangeKind
from seawall.ledger.rows import EventData
from seawall.ledger.transaction import Transaction
from seawall.primitives.errors import InputError, LedgerError
from seawall.primitives.identifiers import Lane
from seawall.primitives.levels import IntentState
from seawall.primitives.ports import Clock
from seawall.primitives.units import Address, address_from_text, address_text
from seawall.runtime.commands import Answer, Command, CommandServer
from seawall.runtime.configuration.names import RETIREMENT
from seawall.runtime.keys.changes import ADOPTED, KeyKeeper
from seawall.runtime.lane_commands import lane_from_text
from seawall.runtime.plan_form import Form
from seawall.telemetry.logs import get_logger

__all__ = ["KEY_COMMANDS", "NONCE_MAX", "KeyCommands", "begin_adoption", "begin_retirement", "keep_key"]

KEY_COMMANDS: Final = ("retire_key", "keep_key", "adopt_key")
NONCE_MAX: Final = 2**63 - 1
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class KeyCommands:
    """On the live ledger; `lanes` are those that have a signer with a policy."""

    ledger: Ledger
    keeper: KeyKeeper
    lanes: Collection[Lane]
    clock: Clock

    def offer_on(self, server: CommandServer) -> None:
        server.offer("retire_key", self.retire)
        server.offer("keep_key", self.keep)
        server.offer("adopt_key", self.adopt)

    async def retire(self, command: Command) -> Answer:
        """`to` is the lane; body: `successor`."""
        lane = self._lane(command)
        successor = address_from_text(Form(command.body, "", ("successor",)).text("successor"))
        if Lane(lane.chain_id, successor) not in self.lanes:
            raise InputError(
                f"{address_text(successor)} is no signer of chain {lane.chain_id}",
                "successor",
                "configure it there first, then start the kernel again",
            )
        now_s = self.clock.now_s()
        await self.ledger.write(
            lambda tx: begin_retirement(tx, lane, successor, command.reason, command.who, now_s)
        )
        return await self._begun(command, lane)

    async def keep(self, command: Command) -> Answer:
        """`to` is the lane: it takes plans again."""
        lane, now_s = self._lane(command), self.clock.now_s()
        await self.ledger.write(lambda tx: keep_key(tx, lane, command.reason, command.who, now_s))
        self.keeper.wake(lane)
        return await self._begun(command, lane)

    async def adopt(self, command: Command) -> Answer:
        """`to` is the lane; body: `through_nonce`."""
        lane, now_s = self._lane(command), self.clock.now_s()
        form = Form(command.body, "", ("through_nonce",))
        through = form.number("through_nonce", least=0, most=NONCE_MAX)
        why = await self.ledger.write(
            lambda tx: begin_adoption(tx, lane, through, command.reason, command.who, now_s)
        )
        self.keeper.hold_back(lane, why)
        return await self._begun(command, lane)

    def _lane(self, command: Command) -> Lane:
        lane = lane_from_text(command.to)
        if lane not in self.lanes:
            raise InputError(
                "no signer has this key on this chain", f"lane {lane}", "see `seawall keys list`"
            )
        return lane

    async def _begun(self, command: Command, lane: Lane) -> Answer:
        try:
            await self.keeper.learn()
        except LedgerError as trouble:  # it is written all the same, and learned with the next look
            _log.warning("key_changes_not_looked_at", cause=str(trouble))
        _log.warning(command.name, lane=str(lane), reason=command.reason, who=command.who)
        return {"lane": str(lane)}


def begin_retirement(
    tx: Transaction, lane: Lane, successor: Address, reason: str, who: str, now_s: int
) -> None:
    """From the commit on, nothing new is taken in for the lane."""
    _require_reason(reason, lane)
    if successor == lane.key:
        raise InputError("a key cannot succeed itself", f"lane {lane}", "name another signer")
    retired = {c.lane: c.successor for c in tx.key_changes.all() if c.kind is KeyChangeKind.RETIRE}
    if Lane(lane.chain_id, successor) in retired:
        raise InputError(
            f"{address_text(successor)} is retired itself", f"lane {lane}", "name a key that stays"
        )
    tx.key_changes.begin(KeyChange(lane, KeyChangeKind.RETIRE, successor, None, who, reason, now_s))
    data: EventData = {"successor": address_text(successor), "reason": reason, "who": who}
    tx.events.append("key.retiring", lane.chain_id, str(lane), None, data, now_s)


def keep_key(tx: Transaction, lane: Lane, reason: str, who: str, now_s: int) -> None:
    """Take a retirement back, with what of it is not sent yet; what was moved already stays where it is."""
    _require_reason(reason, lane)
    if not tx.key_changes.forget(lane, KeyChangeKind.RETIRE):
        raise InputError("this key is not retired", f"lane {lane}", "see `seawall keys list`")
    for state in (IntentState.QUEUED, IntentState.COMMITTED):
        for row in tx.intents.in_state(lane, state):
            if row.strategy == RETIREMENT and row.cancel_reason is None:
                tx.intents.ask_cancel(row.number, f"the key is kept: {reason}")
                wish: EventData = {"reason": reason}
                tx.events.append("cancel.asked", lane.chain_id, row.strategy, row.number, wish, now_s)
    data: EventData = {"reason": reason, "who": who}
    tx.events.append("key.kept", lane.chain_id, str(lane), None, data, now_s)


def begin_adoption(tx: Transaction, lane: Lane, through_nonce: int, reason: str, who: str, now_s: int) -> str:
    """Nothing is dispatched on the lane until the chain has consumed `through_nonce` beyond finality. Answers
    why it is quarantined: another cause stays in force."""
    _require_reason(reason, lane)
    tx.key_changes.forget(lane, KeyChangeKind.ADOPT)  # looked at again: what is under way may be more now
    tx.key_changes.begin(KeyChange(lane, KeyChangeKind.ADOPT, None, through_nonce, who, reason, now_s))
    present = tx.lanes.get(lane)
    was = None if present is None else present.quarantine
    why = f"{ADOPTED}nonces up to {through_nonce} were sent from elsewhere and are not final yet"
    if was is not None and not was.startswith(ADOPTED):
        why = was
    tx.lanes.quarantine(lane, why)
    data: EventData = {"through_nonce": through_nonce, "reason": reason, "who": who}
    tx.events.append("key.adopting", lane.chain_id, str(lane), None, data, now_s)
    return why


def _require_reason(reason: str, lane: Lane) -> None:
    if not reason.strip():
        raise InputError("a change of a key needs a reason", f"lane {lane}", "say why, in a few words")
