"""What a simulation found, as plain values that guards judge. The native `Execution` is read into this
once."""

from __future__ import annotations

from dataclasses import dataclass, field

from seawall.primitives.frozen import made_quickly
from seawall.primitives.units import Address, Hash

__all__ = ["AllowanceChange", "Flow", "Handover", "Probe", "Simulation"]


@dataclass(frozen=True, slots=True)
class Probe:
    """A view call on the state *after* the transaction; guards judge the result."""

    label: str
    target: Address
    calldata: bytes


@made_quickly
@dataclass(frozen=True, slots=True)
class Flow:
    """Tokens that moved. `token` is `NATIVE` for the chain's own."""

    token: Address
    sender: Address
    receiver: Address
    amount: int  # [smallest unit of token]


@dataclass(frozen=True, slots=True)
class AllowanceChange:
    token: Address
    owner: Address
    spender: Address
    amount: int  # the allowance after [smallest unit of token]


@dataclass(frozen=True, slots=True)
class Handover:
    """Something given away that is no amount, so that no limit bounds it."""

    holder: Address
    what: str  # as in "... hands all its tokens of 0x… to an operator"
    burnt_at: Address | None = None  # of an NFT that nobody got: the contract that kept it


@made_quickly
@dataclass(frozen=True, slots=True)
class Simulation:
    """Result of running one payload on a pinned block plus our overlay.

    `probes` holds returned bytes on the state after, None where the view failed; `probes_before` the same
    calls on the state before, asked for only by rules that compare. `sender_balance_wei` is the sender's
    native balance after paying the ceiling fee."""

    success: bool
    gas_used: int
    reason: str  # decoded revert or halt reason; empty on success
    flows: tuple[Flow, ...]
    allowances: tuple[AllowanceChange, ...]
    probes: dict[str, bytes | None]
    base_hash: Hash
    overlay_digest: Hash
    sender_balance_wei: int | None = None
    probes_before: dict[str, bytes | None] = field(default_factory=dict)
    handovers: tuple[Handover, ...] = ()

    def net(self, holders: frozenset[Address], token: Address) -> int:
        """Signed change of `token` over all `holders` together."""
        gained = sum(f.amount for f in self.flows if f.token == token and f.receiver in holders)
        return gained - sum(f.amount for f in self.flows if f.token == token and f.sender in holders)
