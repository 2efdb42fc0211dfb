"""A Safe transaction run on a pinned block and our overlay, as though its owners had signed it already.

What runs is the true `execTransaction` of the true Safe, by somebody who is nobody: in the storage that the
run sees, its owners have approved the digest. Nothing else differs from the chain, so guard, MultiSend and
the inner calls are what they will be. What waits before it in the Safe's own queue is run first, and what
that moves is not counted. Where something of the queue is not known, the Safe is taken to have come to the
nonce by itself. Whoever executes it later is judged again, on the state of that time.

The machine is its own, apart from the one that lanes are judged on: nothing here waits for a lane's turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from seawall.chain.client import ChainClient
from seawall.chain.networks import Network
from seawall.chain.simulation import Entry, Simulator
from seawall.native import encode_call, keccak256
from seawall.native.evm import Execution, StateOverride
from seawall.primitives.blocks import Block
from seawall.primitives.bounds import GAS_LIMIT_TRANSACTION_MAX
from seawall.primitives.ports import Offload
from seawall.primitives.simulations import AllowanceChange, Flow, Probe, Simulation
from seawall.primitives.units import NATIVE, Address, Hash
from seawall.primitives.verdicts import Payload
from seawall.protocols.executor.events import decode_revert
from seawall.protocols.safe.known import MULTI_SEND_CALL_ONLY
from seawall.protocols.safe.multisend import InnerCall, encode_batch
from seawall.protocols.safe.signatures import approved_hash, pack_signatures
from seawall.protocols.safe.state import SafeState
from seawall.protocols.safe.transaction import SafeTransaction, execution_call, safe_hash
from seawall.transactions.handovers import handovers_of

__all__ = ["Rehearsal"]

T = TypeVar("T")

# Transactions of a Safe that are run before the one that is asked about.
QUEUE_MAX: Final = 16
# Whoever executes it: at an address that no key and no contract can have had.
_NOBODY: Final = Address(b"seawall safe stand-i")
_NOBODY_WEI: Final = 2**128
_SLOT_NONCE: Final = (5).to_bytes(32)
_SLOT_APPROVALS: Final = 8
_BALANCE_LABEL: Final = "sender_balance"
# BALANCE(calldata word 0), which no view call answers by itself.
_BALANCE_READER: Final = Address(b"seawall balance read")
_BALANCE_CODE: Final = bytes.fromhex("5f35315f5260205ff3")


@dataclass(slots=True)
class Rehearsal:
    """Runs on one chain, one at a time: whoever uses it sees to that."""

    simulator: Simulator
    _stands_on: tuple[Block, list[Entry]] | None = None

    @classmethod
    def on(cls, client: ChainClient, network: Network, offload: Offload) -> Rehearsal:
        return cls(Simulator(client, network, offload))

    async def stand_on(self, block: Block, overlay: Sequence[Entry] = ()) -> None:
        """Pin `block`, with what of ours has not landed on top."""
        wanted = (block, list(overlay))
        if self._stands_on != wanted:
            self._stands_on = None
            await self.simulator.pin(block)
            await self.simulator.rebuild(overlay)
            self._stands_on = wanted

    async def run(
        self,
        transaction: SafeTransaction,
        state: SafeState,
        probes: Sequence[Probe] = (),
        before: Sequence[Probe] = (),
        waiting: Sequence[SafeTransaction] = (),
    ) -> Simulation:
        """What it does. `before` are those of `probes` asked for on the state before as well; `waiting` is
        what stands before it in the Safe's queue, as far as it is known."""
        asked = (*probes, Probe(_BALANCE_LABEL, _BALANCE_READER, transaction.safe.rjust(32, b"\0")))
        first = await self._queue_before(transaction, waiting)
        if not first:
            seen_before = await self.simulator.view(before)
            return _plain(await self._execute([transaction], state, asked), asked, seen_before)
        queue = _plain(await self._execute(first, state, asked), asked, {})
        if not queue.success:
            return replace(queue, reason=f"what waits before it would revert: {queue.reason}")
        seen_before = {probe.label: queue.probes[probe.label] for probe in before}
        whole = _plain(await self._execute([*first, transaction], state, asked), asked, seen_before)
        return _without(whole, queue)

    async def _queue_before(
        self, transaction: SafeTransaction, waiting: Sequence[SafeTransaction]
    ) -> list[SafeTransaction]:
        """What has to run first, in order: one of each nonce that the Safe has not come to yet. Nothing where
        one is missing."""
        read = Probe("nonce", transaction.safe, encode_call("nonce()", ()))
        reached = int.from_bytes((await self.simulator.view([read]))[read.label] or b"")
        by_nonce = {one.nonce: one for one in reversed(waiting)}
        needed = range(reached, transaction.nonce)
        if len(needed) > QUEUE_MAX or any(nonce not in by_nonce for nonce in needed):
            return []
        return [by_nonce[nonce] for nonce in needed]

    async def _execute(
        self, transactions: Sequence[SafeTransaction], state: SafeState, asked: Sequence[Probe]
    ) -> Execution:
        """Several of one Safe by MultiSendCallOnly, called and not delegated to: it makes one call after the
        other, and reverts if one does."""
        simulator, safe = self.simulator, transactions[0].safe
        base = simulator.base
        assert base is not None, "stand_on comes first"
        signatures = pack_signatures([approved_hash(owner) for owner in state.owners])
        calls = [InnerCall(safe, 0, execution_call(one, signatures)) for one in transactions]
        to, data = (safe, calls[0].data) if len(calls) == 1 else (MULTI_SEND_CALL_ONLY, encode_batch(calls))
        gas_limit = min(base.gas_limit, GAS_LIMIT_TRANSACTION_MAX)
        payload = Payload(transactions[0].chain_id, _NOBODY, to, data, 0, gas_limit)
        overrides = _as_though_signed(transactions, state.owners)
        return await simulator.run(payload, 0, simulator.base_fee_wei, asked, overrides)


def _as_though_signed(
    transactions: Sequence[SafeTransaction], owners: Sequence[Address]
) -> tuple[StateOverride, ...]:
    first = transactions[0]
    slots = [(_SLOT_NONCE, first.nonce.to_bytes(32))]
    slots += [
        (_approval_slot(owner, safe_hash(one)), (1).to_bytes(32)) for one in transactions for owner in owners
    ]
    return (
        StateOverride(_NOBODY, balance_wei=_NOBODY_WEI, nonce=0),
        StateOverride(_BALANCE_READER, code=_BALANCE_CODE),
        StateOverride(first.safe, slots=slots),
    )


def _without(whole: Simulation, queue: Simulation) -> Simulation:
    """What the last one did: up to it the run is the same. Coins stand before tokens, each in their order."""
    coins, tokens = (
        _after([flow for flow in whole.flows if is_wanted(flow)], [f for f in queue.flows if is_wanted(f)])
        for is_wanted in (_is_native, lambda flow: not _is_native(flow))
    )
    return replace(
        whole,
        flows=(*coins, *tokens),
        allowances=_after(whole.allowances, queue.allowances),
        handovers=_after(whole.handovers, queue.handovers),
    )


def _after(whole: Sequence[T], first: Sequence[T]) -> tuple[T, ...]:
    """What follows. A contract may go by the gas that is left and do something else in front of others: then
    all of it counts."""
    return tuple(whole[len(first) :] if list(whole[: len(first)]) == list(first) else whole)


def _is_native(flow: Flow) -> bool:
    return flow.token == NATIVE


def _approval_slot(owner: Address, digest: Hash) -> bytes:
    """Of mapping(address => mapping(bytes32 => uint256))."""
    inner = keccak256(owner.rjust(32, b"\0") + _SLOT_APPROVALS.to_bytes(32))
    return keccak256(digest + inner)


def _plain(execution: Execution, asked: Sequence[Probe], before: dict[str, bytes | None]) -> Simulation:
    result = execution.transactions[0]
    pairs = zip(asked, execution.probes, strict=True)
    answers = {probe.label: found.return_data if found.success else None for probe, found in pairs}
    balance = answers.pop(_BALANCE_LABEL)
    revert = decode_revert(result.return_data) if result.status == "reverted" else None
    return Simulation(
        success=result.success,
        gas_used=result.gas_used,
        reason="" if result.success else (revert.text if revert is not None else result.failure),
        flows=tuple(
            Flow(
                NATIVE if f.token is None else Address(f.token),
                Address(f.sender),
                Address(f.recipient),
                f.amount,
            )
            for f in result.flows
        ),
        allowances=tuple(
            AllowanceChange(Address(a.token), Address(a.owner), Address(a.spender), a.amount)
            for a in result.allowances
        ),
        probes=answers,
        base_hash=Hash(execution.base_hash),
        overlay_digest=Hash(execution.overlay_digest),
        sender_balance_wei=None if balance is None else int.from_bytes(balance),
        probes_before=before,
        handovers=handovers_of(result.logs),
    )
