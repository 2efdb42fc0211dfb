"""What other kernels do on a chain that this one follows too: learned from the ledger, never from them.

The overlay must hold everything of ours that has not landed, whoever holds the lane; and the account of a
block is only right if every transaction of ours in it is known. So before a head is handled, what others
committed since is taken in (bytes are sent only after their commit: whatever a block holds was committed
before this look), and what they settled is let go.

Also the look at a lane before it is worked on: nonces that the chain knows beyond finality and we do not mean
that something of ours may be missing here (a restored database, a second installation of the key), and the
lane is quarantined until a person has looked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seawall.ledger.rows import AttemptRow
from seawall.ledger.transaction import Transaction
from seawall.primitives.errors import EndpointError, UnknownBlockError
from seawall.primitives.identifiers import Lane
from seawall.telemetry.logs import get_logger
from seawall.transactions.desk import Desk
from seawall.transactions.spends import SlotSpend, spends_of

__all__ = ["Neighbours", "unknown_nonces"]

_log = get_logger(__name__)


@dataclass(slots=True)
class Neighbours:
    """Other kernels' lanes on one desk."""

    desk: Desk

    async def start(self) -> None:
        """Before the desk is loaded: what is committed from now on will be learned."""
        chain_id = self.desk.parts.network.chain_id
        self.desk.known_attempts = await self.desk.parts.ledger.read(lambda tx: tx.attempts.newest(chain_id))

    async def learn(self) -> bool:
        """Take in what happened since the last look, holding the desk's turn. True if the overlay is another
        one now."""
        desk = self.desk
        news, mark, settled, spends = await desk.parts.ledger.read(self._look)
        book = desk.parts.gate.book
        desk.known_attempts = mark
        before = len(desk.unlanded())
        for lane, nonce in settled:
            desk.settle(lane, nonce)
            book.correct(lane, nonce, None)
        fresh = [row for row in news if row.lane not in desk.fences and row.hash not in desk.unsettled]
        if any(row.lane in desk.fences and row.hash not in desk.unsettled for row in news):
            # A lane that we believe to hold has an heir: what we know of it is too little.
            desk.reload_due = True
        for row in fresh:
            desk.take(row)
        for lane, nonce, amounts, at_s in spends:
            if lane not in desk.fences:
                book.note(lane, nonce, amounts, at_s)
        return bool(fresh) or len(desk.unlanded()) != before

    def _look(self, tx: Transaction) -> tuple[list[AttemptRow], int, list[tuple[Lane, int]], list[SlotSpend]]:
        chain_id = self.desk.parts.network.chain_id
        mark = tx.attempts.newest(chain_id)
        watched = {
            (row.lane, row.nonce) for row in self.desk.unsettled.values() if row.lane not in self.desk.fences
        }
        still_open = {
            (lane, slot.nonce) for lane in {lane for lane, _ in watched} for slot in tx.slots.open(lane)
        }
        known = self.desk.known_attempts or 0
        news = tx.attempts.after(chain_id, known) if mark > known else []
        return news, mark, sorted(watched - still_open), spends_of(tx, news)


async def unknown_nonces(desk: Desk, lanes: Sequence[Lane], final_number: int) -> dict[Lane, range]:
    """Nonces used beyond finality, above the highest slot of a lane that has slots. Where the state of the
    final block is not kept, nothing can be said and nothing is."""
    highest = await desk.parts.ledger.read(lambda tx: {lane: tx.slots.highest(lane) for lane in lanes})
    known = {lane: nonce for lane, nonce in highest.items() if nonce is not None}
    if not known or final_number < 0:
        return {}
    client = desk.parts.client
    try:
        final = await client.block_by_number(final_number)
        if final is None:
            return {}
        nonces = await client.nonces_at([lane.key for lane in known], final.hash)
    except (EndpointError, UnknownBlockError) as trouble:
        _log.warning("final_state_missing", block=final_number, cause=str(trouble))
        return {}
    return {
        lane: range(known[lane] + 1, nonce)
        for lane, nonce in zip(known, nonces, strict=True)
        if nonce > known[lane] + 1
    }
