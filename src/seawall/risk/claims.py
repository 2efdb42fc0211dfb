"""What is ours and no token stands for: stakes that only their pool knows, and claims that wait in a queue.

    reads -> answered before and after -> moved: what of it came and went, in tokens that can be valued

A *stake* is an amount of a token that a pool keeps for its holder (Convex). A *queue* takes a token now and
pays another one later, under a number (Lido's withdrawals, a redemption desk). Numbers of a holder are read,
amounts follow from what moved, rounded against us:

- A number that is gone was paid out: whatever the queue paid in this plan, to whomever, is what our claim was
  worth. Otherwise coins that pass through the account would hide that the claim is gone. A number that is
  gone without a payment has been given away, and nobody can say what it was worth: that is refused.
- A number that is new is worth what we gave to the queue for it, less the queue's fee; but nothing, if in the
  same plan there came to be numbers that are not ours.

Does not know: claims that were there before and after (they are neither gain nor loss), rewards not claimed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from seawall.native import encode_call
from seawall.primitives.blocks import Read
from seawall.primitives.errors import ProtocolError
from seawall.primitives.simulations import Simulation
from seawall.primitives.units import BPS, Address, address_text
from seawall.protocols.adapters.answer_lists import integer_list
from seawall.protocols.answers import Answers, integer_answer

__all__ = ["ClaimPlace", "Queue", "Stake"]


class ClaimPlace(Protocol):
    """Where something of ours lies under no token."""

    @property
    def address(self) -> Address: ...

    def reads(self, accounts: Collection[Address]) -> tuple[Read, ...]:
        """Asked for before and after."""
        ...

    def moved(
        self, simulation: Simulation, accounts: Collection[Address], holders: frozenset[Address]
    ) -> Mapping[Address, int]:
        """What came (positive) and went of it, by token. `ProtocolError` where that cannot be told."""
        ...


@dataclass(frozen=True, slots=True)
class Stake:
    """A pool that keeps `token` one for one, and pays it out to its holder alone."""

    pool: Address
    token: Address

    @property
    def address(self) -> Address:
        return self.pool

    def reads(self, accounts: Collection[Address]) -> tuple[Read, ...]:
        return tuple(
            Read(self._label(one), self.pool, encode_call("balanceOf(address)", (one,))) for one in accounts
        )

    def moved(
        self, simulation: Simulation, accounts: Collection[Address], holders: frozenset[Address]
    ) -> Mapping[Address, int]:
        del holders
        return {self.token: sum(self._grown(simulation, one) for one in frozenset(accounts))}

    def _grown(self, simulation: Simulation, holder: Address) -> int:
        after = integer_answer(simulation.probes, self._label(holder), "uint256")
        return after - integer_answer(simulation.probes_before, self._label(holder), "uint256")

    def _label(self, holder: Address) -> str:
        return f"stake:{self.pool.hex()}:{holder.hex()}"


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue that numbers its requests, and answers the numbers of a holder that were not paid yet."""

    queue: Address
    takes: tuple[Address, ...]
    pays: Address  # or `NATIVE`
    sink: Address  # where what it takes goes: the queue itself, or nowhere, where it is burnt
    numbers_call: str  # of a holder
    count_call: str  # of all requests ever
    fee_call: str = ""  # of the queue [bps]; empty: none

    @property
    def address(self) -> Address:
        return self.queue

    def reads(self, accounts: Collection[Address]) -> tuple[Read, ...]:
        terms = [call for call in (self.count_call, self.fee_call) if call]
        return (
            *(Read(self._term(call), self.queue, encode_call(call, ())) for call in terms),
            *(Read(self._of(one), self.queue, encode_call(self.numbers_call, (one,))) for one in accounts),
        )

    def moved(
        self, simulation: Simulation, accounts: Collection[Address], holders: frozenset[Address]
    ) -> Mapping[Address, int]:
        before = self._numbers(simulation.probes_before, accounts)
        after = self._numbers(simulation.probes, accounts)
        found = self._paid(simulation, len(before - after)) if before - after else {}
        counts = (simulation.probes, simulation.probes_before)
        new, old = (integer_answer(one, self._term(self.count_call), "uint256") for one in counts)
        if new > old and new - old == len(after - before):
            fee_bps = self._fee_bps(simulation)
            for token, amount in _given(simulation, self.takes, holders, self.sink).items():
                found[token] = found.get(token, 0) + amount * (BPS - fee_bps) // BPS
        return found

    def _paid(self, simulation: Simulation, ended: int) -> dict[Address, int]:
        payments = [flow.amount for flow in simulation.flows if self._is_payment(flow.token, flow.sender)]
        if len(payments) < ended:
            raise ProtocolError(
                f"{ended} claims of ours are gone, and the queue has paid {len(payments)} times",
                f"queue {address_text(self.queue)}",
                "leave claims with the account that made them until they are paid",
            )
        return {self.pays: -sum(payments)}

    def _is_payment(self, token: Address, sender: Address) -> bool:
        return token == self.pays and sender == self.queue

    def _fee_bps(self, simulation: Simulation) -> int:
        if not self.fee_call:
            return 0
        fee_bps = integer_answer(simulation.probes, self._term(self.fee_call), "uint256")
        if fee_bps > BPS:
            raise ProtocolError(
                f"its fee is {fee_bps} bps", f"queue {address_text(self.queue)}", "check its address"
            )
        return fee_bps

    def _numbers(self, answers: Answers, accounts: Iterable[Address]) -> frozenset[int]:
        return frozenset(number for one in accounts for number in integer_list(answers, self._of(one)))

    def _of(self, holder: Address) -> str:
        return f"queue:{self.queue.hex()}:{holder.hex()}"

    def _term(self, call: str) -> str:
        return f"queue:{self.queue.hex()}:{call}"


def _given(
    simulation: Simulation, tokens: Collection[Address], holders: frozenset[Address], sink: Address
) -> dict[Address, int]:
    """What our addresses gave to the sink, less what came back from it."""
    given: dict[Address, int] = {}
    for flow in simulation.flows:
        if flow.token in tokens:
            out = flow.sender in holders and flow.receiver == sink
            back = flow.sender == sink and flow.receiver in holders
            given[flow.token] = given.get(flow.token, 0) + flow.amount * (out - back)
    return {token: amount for token, amount in given.items() if amount > 0}
