"""What a person does about lanes, over the kernel's socket: lift a quarantine.

Before that the nonces that the chain has used beyond finality and the ledger does not know are recorded as
foreign slots, settled: they are nobody's any more, and are not asked about again. Any kernel of a fleet can
do it, for any lane of its chains; whoever holds the lane sees it with the next look at its leases.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from seawall.ledger import Ledger
from seawall.ledger.rows import EventData
from seawall.ledger.transaction import Transaction
from seawall.primitives.errors import InputError
from seawall.primitives.identifiers import Lane
from seawall.primitives.ports import Clock
from seawall.primitives.units import address_from_text
from seawall.runtime.commands import Answer, Command, CommandServer
from seawall.runtime.wiring import Chain
from seawall.telemetry.logs import get_logger
from seawall.transactions.foreign import NONCES_LOOKED_AT_MAX
from seawall.transactions.neighbours import unknown_nonces

__all__ = ["LANE_COMMANDS", "LaneCommands", "lane_from_text"]

LANE_COMMANDS: Final = ("release_lane",)
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LaneCommands:
    """On the live ledger and its chains."""

    ledger: Ledger
    chains: Mapping[int, Chain]
    clock: Clock

    def offer_on(self, server: CommandServer) -> None:
        server.offer("release_lane", self.release)

    async def release(self, command: Command) -> Answer:
        """`to` is the lane, `reason` what was reconciled."""
        lane = lane_from_text(command.to)
        if not command.reason.strip():
            raise InputError("lifting a quarantine needs a reason", f"lane {lane}", "say what was reconciled")
        chain = self.chains.get(lane.chain_id)
        if chain is None:
            raise InputError("no such chain is configured", f"lane {lane}", "ask a kernel that serves it")
        desk = chain.desk
        seen_at = desk.base().hash
        unknown = (await unknown_nonces(desk, [lane], desk.final_number)).get(lane, range(0))
        recorded = unknown[-NONCES_LOOKED_AT_MAX:]
        now_s = self.clock.now_s()
        data: EventData = {"reason": command.reason, "who": command.who, "foreign": len(recorded)}

        def commit(tx: Transaction) -> str:
            row = tx.lanes.get(lane)
            if row is None or row.quarantine is None:
                raise InputError("the lane is not quarantined", f"lane {lane}", "see `seawall lanes list`")
            for nonce in recorded:
                tx.slots.insert(lane, nonce, "foreign", None, seen_at)
                tx.slots.settle(lane, nonce, None)
            tx.lanes.quarantine(lane, None)
            tx.events.append("lane.released", lane.chain_id, str(lane), None, data, now_s)
            return row.quarantine

        was = await self.ledger.write(commit)
        _log.warning("lane_released", lane=str(lane), was=was, reason=command.reason, who=command.who)
        return {"lane": str(lane), "was": was, "foreign_nonces": len(recorded)}


def lane_from_text(text: str) -> Lane:
    """`CHAIN:ADDRESS`, as `seawall lanes list` shows it."""
    chain, colon, key = text.partition(":")
    if not (colon and chain.isascii() and chain.isdigit()):
        raise InputError(
            f"{text[:80]!r} names no lane", "lane", "write CHAIN:ADDRESS, as `seawall lanes list` shows it"
        )
    return Lane(int(chain), address_from_text(key))
