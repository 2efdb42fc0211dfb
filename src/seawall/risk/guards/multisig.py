"""Large deals go through a multisig (SPEC TX-10): what one key may send alone is bounded by value, too.

On where the configuration names a value. What the plan pays out of our addresses is priced by the feeds of
the chain, read on the state after; above the limit no key's plan is admitted, and the way is a proposal to a
Safe. A token without a fresh price cannot be measured, and is refused. A Safe's own transactions are not
judged by this: that is what they are for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from seawall.primitives.simulations import Probe
from seawall.primitives.units import NATIVE, address_text
from seawall.primitives.verdicts import Measurement
from seawall.risk.evidence import Evidence, below, cannot_measure
from seawall.risk.limits import MultisigRule
from seawall.risk.prices import price_probe, value_of

__all__ = ["MULTISIG_GUARD_NAME", "Multisig"]

MULTISIG_GUARD_NAME: Final = "multisig"


@dataclass(frozen=True, slots=True)
class Multisig:
    """The value of what leaves, against the most that one key may send."""

    rule: MultisigRule
    name: str = MULTISIG_GUARD_NAME

    def probes(self) -> tuple[Probe, ...]:
        found = {feed.label: price_probe(feed) for feed in self.rule.feeds}
        return tuple(found.values())

    def measure(self, evidence: Evidence) -> Measurement:
        priced = {feed.token: feed for feed in self.rule.feeds}
        limit, total = self.rule.above, 0
        for token, amount in sorted(evidence.outflows().items()):
            value = value_of(evidence, priced.get(token), amount)
            if value is None:
                which = "the native token" if token == NATIVE else address_text(token)
                return cannot_measure(self.name, evidence, limit, "value", f"no fresh price for {which}")
            total += value
        return below(self.name, evidence, total, limit, "value", "what one key sends alone, worth")
