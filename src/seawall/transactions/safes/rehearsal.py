"""A Safe transaction run on a pinned block and our overlay, as though its owners had signed it already.

What runs is the true `execTransaction` of the true Safe, by somebody who is nobody: in the storage that the
run sees, as many owners as are needed have approved the digest, and the Safe's turn has come to its nonce.
Nothing else differs from the chain, so modules, guard, MultiSend and the inner calls are what they will be.

What waits before it in the Safe's own queue is not run first: who executes it later is judged again, on the
state of that time.

The machine is its own, apart from the one that lanes are judged on: nothing here waits for a lane's turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from seawall.chain.client import ChainClient
from seawall.chain.networks import Network
from seawall.chain.simulation import Entry, Simulator
from seawall.native import keccak256
from seawall.native.evm import Execution, StateOverride
from seawall.primitives.blocks import Block
from seawall.primitives.bounds import GAS_LIMIT_TRANSACTION_MAX
from seawall.primitives.ports import Offload
from seawall.primitives.simulations import AllowanceChange, Flow, Probe, Simulation
from seawall.primitives.units import NATIVE, Address, Hash
from seawall.primitives.verdicts import Payload
from seawall.protocols.executor.events import decode_revert
from seawall.protocols.safe.signatures import approved_hash, pack_signatures
from seawall.protocols.safe.state import SafeState
from seawall.protocols.safe.transaction import SafeTransaction, execution_call, safe_hash
from seawall.transactions.handovers import handovers_of

__all__ = ["Rehearsal"]

# Whoever executes it: at an address that no key and no contract can have had.
_NOBODY: Final = Address(b"seawall safe stand-i")
_NOBODY_WEI: Final = 2**128
_SLOT_NONCE: Final = (5).to_bytes(32)
_SLOT_APPROVALS: Final = 8
_BALANCE_LABEL: Final = "sender_balance"
# BALANCE(calldata word 0), which no view call answers by itself.
_BALANCE_READER: Final = Address(b"seawall balance read")
_BALANCE_CODE: Final = bytes.fromhex("5f35315f5260205ff3")


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """Runs on one chain. One at a time: whoever runs holds the lock of its simulator."""

    simulator: Simulator

    @classmethod
    def on(cls, client: ChainClient, network: Network, offload: Offload) -> Rehearsal:
        return cls(Simulator(client, network, offload))

    async def stand_on(self, block: Block, overlay: Sequence[Entry] = ()) -> None:
        """Pin `block`, with what of ours has not landed on top."""
        if self.simulator.base != block or self.simulator.held != list(overlay):
            await self.simulator.pin(block)
            await self.simulator.rebuild(overlay)

    async def run(
        self,
        transaction: SafeTransaction,
        state: SafeState,
        probes: Sequence[Probe] = (),
        before: Sequence[Probe] = (),
    ) -> Simulation:
        """What it does. `before` are probes asked for on the state before as well."""
        simulator = self.simulator
        base = simulator.base
        assert base is not None, "stand_on comes first"
        seen_before = await simulator.view(before)
        approving = state.owners[: state.threshold]
        signatures = pack_signatures([approved_hash(owner) for owner in approving])
        gas_limit = min(base.gas_limit, GAS_LIMIT_TRANSACTION_MAX)
        payload = Payload(
            transaction.chain_id,
            _NOBODY,
            transaction.safe,
            execution_call(transaction, signatures),
            0,
            gas_limit,
        )
        asked = (*probes, Probe(_BALANCE_LABEL, _BALANCE_READER, transaction.safe.rjust(32, b"\0")))
        execution = await simulator.run(
            payload, 0, simulator.base_fee_wei, asked, _as_though_signed(transaction, approving)
        )
        return _plain(execution, asked, seen_before)


def _as_though_signed(
    transaction: SafeTransaction, approving: Sequence[Address]
) -> tuple[StateOverride, ...]:
    digest = safe_hash(transaction)
    slots = [(_SLOT_NONCE, transaction.nonce.to_bytes(32))]
    slots += [(_approval_slot(owner, digest), (1).to_bytes(32)) for owner in approving]
    return (
        StateOverride(_NOBODY, balance_wei=_NOBODY_WEI, nonce=0),
        StateOverride(_BALANCE_READER, code=_BALANCE_CODE),
        StateOverride(transaction.safe, slots=slots),
    )


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
