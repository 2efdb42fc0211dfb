"""What a plan must gain; and what a plan that gains nothing now, but moves a position, may lose."""

from __future__ import annotations

from dataclasses import dataclass

from seawall.native import encode_call
from seawall.primitives.blocks import Read
from seawall.primitives.simulations import Probe
from seawall.primitives.units import NATIVE, Address, address_text
from seawall.primitives.verdicts import Measurement
from seawall.protocols.answers import Answers, integer_answer
from seawall.risk.evidence import Evidence, above, below, cannot_measure
from seawall.risk.guards.base import measured, probes_of
from seawall.risk.limits import ChainFacts
from seawall.risk.prices import value_probes, valued
from seawall.risk.volatility import scaled_down

__all__ = ["MinProfit", "PositionLoss", "balance_read"]


@dataclass(frozen=True, slots=True)
class MinProfit:
    """Profit at the maximum fee, in the accounting token. Judged at the ceiling, so that no replacement can
    lose. What is taken out of a numbered position is none."""

    min_wei: int
    name: str = "min_profit"

    def probes(self) -> tuple[Probe, ...]:
        return ()

    def measure(self, evidence: Evidence) -> Measurement:
        if evidence.takes_out:
            why = "it takes out of a numbered position, which is no profit: do so in a position plan"
            return cannot_measure(self.name, evidence, self.min_wei, "wei", why)
        inflow = evidence.inflow()
        if inflow is None:
            token = address_text(evidence.candidate.plan.accounting_token)
            return cannot_measure(
                self.name, evidence, self.min_wei, "wei", f"no pinned feed compares {token} with the fee"
            )
        floor = inflow - evidence.candidate.max_total_fee_wei
        return above(self.name, evidence, floor, self.min_wei, "wei", "profit, after the maximum fee, of")


@dataclass(frozen=True, slots=True)
class PositionLoss:
    """The value that a position plan costs us over all our addresses, its maximum fee included.

    Tokens count by what the simulation saw move; receipts and debts of the account, its key and its
    beneficiary by their balances before and after, since they also move by themselves; positions that no
    token stands for as their place tells them, at the rates after, stakes and claims as `risk.claims` does,
    numbered positions as `risk.numbered`. Gains are valued down, losses up; what cannot be valued refuses."""

    accounts: tuple[Address, ...]  # of the plan; the first holds the positions
    limit: int | None  # [value]; None: the operator set none
    facts: ChainFacts
    name: str = "position_loss"

    def probes(self) -> tuple[Probe, ...]:
        return (*value_probes(self.facts), *self.before())

    def before(self) -> tuple[Probe, ...]:
        balances = [
            balance_read(token, holder)
            for token in (*self.facts.receipts, *self.facts.debts)
            for holder in self.accounts
        ]
        places = [read for place in self.facts.lending for read in place.reads(self.accounts[0])]
        claims = [read for place in self.facts.claims for read in place.reads(self.accounts)]
        return probes_of((*balances, *places, *claims))

    def scaled(self, share_bps: int) -> PositionLoss:
        limit = None if self.limit is None else scaled_down(self.limit, share_bps)
        return PositionLoss(self.accounts, limit, self.facts)

    def measure(self, evidence: Evidence) -> Measurement:
        limit = self.limit
        if limit is None:
            why = "limits.position_loss is not set, so that nothing says what a position plan may lose"
            return cannot_measure(self.name, evidence, 0, "value", why)

        def judge() -> Measurement:
            changes = self._changes(evidence)
            fee_wei = evidence.candidate.max_total_fee_wei
            changes[NATIVE] = changes.get(NATIVE, 0) - fee_wei
            loss = 0
            for token, change in sorted(changes.items()):
                value = _signed_value(evidence, self.facts, token, change)
                if value is None:
                    return cannot_measure(self.name, evidence, limit, "value", _no_price(token))
                loss -= value
            return below(self.name, evidence, loss, limit, "value", "it costs us, by oracle,")

        return measured(self.name, evidence, limit, "value", judge)

    def _changes(self, evidence: Evidence) -> dict[Address, int]:
        """Signed changes of what is ours, debts negative, without the fee."""
        simulation, facts = evidence.simulation, self.facts
        others = evidence.holders.difference(self.accounts)
        changes: dict[Address, int] = {}
        for token in {flow.token for flow in simulation.flows}.difference(facts.receipts, facts.debts):
            changes[token] = evidence.moved(token)
        for token in (*facts.receipts, *facts.debts):
            moved = sum(
                _balance(simulation.probes, token, holder) - _balance(simulation.probes_before, token, holder)
                for holder in self.accounts
            )
            moved += simulation.net(others, token)
            changes[token] = -moved if token in facts.debts else moved
        for place in facts.lending:
            after = place.holdings(simulation.probes, simulation.probes, self.accounts[0])
            before = place.holdings(simulation.probes_before, simulation.probes, self.accounts[0])
            for token in after.keys() | before.keys():
                moved = after.get(token, 0) - before.get(token, 0)
                changes[token] = changes.get(token, 0) + moved
        for claim in facts.claims:
            for token, moved in claim.moved(simulation, self.accounts, evidence.holders).items():
                changes[token] = changes.get(token, 0) + moved
        return changes


def balance_read(token: Address, holder: Address) -> Read:
    call = encode_call("balanceOf(address)", (holder,))
    return Read(_balance_label(token, holder), token, call)


def _balance(answers: Answers, token: Address, holder: Address) -> int:
    return integer_answer(answers, _balance_label(token, holder), "uint256")


def _balance_label(token: Address, holder: Address) -> str:
    return f"balance:{token.hex()}:{holder.hex()}"


def _signed_value(evidence: Evidence, facts: ChainFacts, token: Address, change: int) -> int | None:
    """A gain rounded down, a loss rounded up (away from zero)."""
    if change >= 0:
        return valued(evidence, facts, token, change, up=False)
    lost = valued(evidence, facts, token, -change, up=True)
    return None if lost is None else -lost


def _no_price(token: Address) -> str:
    which = "the native token" if token == NATIVE else address_text(token)
    return f"no fresh price for {which}"
