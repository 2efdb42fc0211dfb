"""What becomes of proposals: executed by us or by others, free again, or stale and why.

While a proposal is not settled its Safe is looked at again and again, at the head and at finality. What is
seen at the head is provisional: a stale proposal whose reason a reorg took away is open again, and nothing is
settled before its reason stands at a final block. An intent that ended without its effect sets its proposal
free; whether it still stands is what the next look says.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from seawall.ledger.rows import EventData, IntentRow
from seawall.ledger.safes import ProposalRow, ProposalState
from seawall.ledger.transaction import Transaction
from seawall.native import event_topic
from seawall.primitives.blocks import Block, LogFilter
from seawall.primitives.errors import ChainError, LedgerError, ProtocolError, StaleError
from seawall.primitives.levels import Finality, IntentState
from seawall.primitives.units import Address, Hash, address_text, hex_text
from seawall.protocols.safe.state import SafeState
from seawall.telemetry.logs import get_logger
from seawall.transactions.safes.desk import SafeDesk, problem_of
from seawall.transactions.safes.looking import block_of, state_at

__all__ = ["SafeWatch"]

# Between two looks; what is done meanwhile looks for itself.
WATCH_INTERVAL_S: Final = 3.0
# How far back it is looked whether somebody else executed a proposal.
EXECUTION_LOGS_BLOCKS: Final = 20_000
_SUCCESS: Final = Hash(event_topic("ExecutionSuccess(bytes32,uint256)"))
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Move:
    """Where a proposal goes, and by what."""

    state: ProposalState
    reason: str = ""
    seen: tuple[int, Hash] | None = None
    is_settled: bool = False


@dataclass(frozen=True, slots=True)
class SafeWatch:
    """Of one chain's Safes."""

    safes: SafeDesk

    async def run(self) -> None:
        """For ever. What cannot be read now is looked at later."""
        clock = self.safes.desk.parts.clock
        while True:
            try:
                await self.look()
            except (ChainError, ProtocolError, StaleError, LedgerError) as trouble:
                _log.warning("safes_not_looked_at", cause=str(trouble))
            await clock.sleep_s(WATCH_INTERVAL_S)

    async def look(self) -> None:
        """One look at every proposal that is not settled."""
        desk = self.safes.desk
        chain_id = desk.parts.network.chain_id

        def unsettled(tx: Transaction) -> list[tuple[ProposalRow, IntentRow | None]]:
            rows = tx.safes.unsettled(chain_id)
            return [(row, None if row.intent is None else tx.intents.get(row.intent)) for row in rows]

        rows = await desk.parts.ledger.read(unsettled)
        if not rows or desk.head is None:
            return
        head = desk.base()
        final = await desk.parts.client.block_by_number(min(desk.final_number, head.number))
        states: dict[Address, tuple[SafeState, SafeState | None]] = {}
        for row, intent in rows:
            if row.safe not in states:
                states[row.safe] = await self._states(row.safe, head, final)
            move = await self._move(row, intent, *states[row.safe])
            if move is not None:
                with suppress(StaleError):  # it moved meanwhile, or another of its nonce is on its way
                    await self._store(row, move)

    async def _states(
        self, safe: Address, head: Block, final: Block | None
    ) -> tuple[SafeState, SafeState | None]:
        """At the head and at finality; None where the Safe was not there yet, or that block is not kept."""
        client = self.safes.desk.parts.client
        at_head = await state_at(client, safe, head)
        if final is None:
            return at_head, None
        try:
            return at_head, await state_at(client, safe, final)
        except (ChainError, ProtocolError):
            return at_head, None

    async def _move(
        self, row: ProposalRow, intent: IntentRow | None, head: SafeState, final: SafeState | None
    ) -> _Move | None:
        if row.state is ProposalState.EXECUTING:
            assert intent is not None, "what is on its way has an intent"
            return _after(intent)
        if row.state is ProposalState.EXECUTED:  # by others, and not final yet
            if final is not None and final.nonce > row.nonce:
                return _Move(ProposalState.EXECUTED, row.reason, block_of(final), is_settled=True)
            return _Move(ProposalState.OPEN, "its execution was undone") if head.nonce <= row.nonce else None
        problem = problem_of(row, head)
        if problem is None:
            was_stale = row.state is ProposalState.STALE
            return _Move(ProposalState.OPEN, "what made it stale was undone") if was_stale else None
        if head.nonce > row.nonce and await self._was_executed(row, head):
            settled = final is not None and final.nonce > row.nonce
            return _Move(ProposalState.EXECUTED, "by somebody else", block_of(head), settled)
        # Only a nonce that was used finally is past mending: rules may change back.
        settled = final is not None and final.nonce > row.nonce
        if row.state is ProposalState.STALE and row.reason == problem and not settled:
            return None
        return _Move(ProposalState.STALE, problem, block_of(head), settled)

    async def _was_executed(self, row: ProposalRow, head: SafeState) -> bool:
        """Whether the Safe says that it executed exactly this one."""
        wanted = LogFilter((row.safe,), ((_SUCCESS,), (row.hash,)))
        first = max(0, head.block_number - EXECUTION_LOGS_BLOCKS)
        return bool(await self.safes.desk.parts.client.logs(wanted, first, head.block_number))

    async def _store(self, row: ProposalRow, move: _Move) -> None:
        now_s = self.safes.desk.parts.clock.now_s()

        def commit(tx: Transaction) -> None:
            tx.safes.move(row, move.state, move.reason, seen=move.seen, is_settled=move.is_settled)
            data: EventData = {
                "proposal": row.number,
                "digest": hex_text(row.hash),
                "state": move.state.value,
                "reason": move.reason,
            }
            tx.events.append("safe.moved", row.chain_id, address_text(row.safe), row.intent, data, now_s)

        await self.safes.desk.parts.ledger.write(commit)
        _log.info("safe_moved", proposal=row.number, state=move.state.value, reason=move.reason)


def _after(intent: IntentRow) -> _Move | None:
    """What the end of the intent that carries it means for the proposal."""
    if intent.state is IntentState.LANDED:
        if intent.finality is Finality.FINAL:
            return _Move(ProposalState.EXECUTED, f"by plan #{intent.number}", is_settled=True)
        return None
    if not intent.is_settled:
        return None
    why = f": {intent.reason}" if intent.reason else ""
    return _Move(ProposalState.OPEN, f"plan #{intent.number}, which carried it, ended {intent.state}{why}")
