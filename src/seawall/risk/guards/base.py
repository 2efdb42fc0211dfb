"""What a guard is.

A guard names view calls and measures what they answered, on the state *after* the candidate. Labels of
probes name the call, not the guard, so that guards which ask the same share one call. A guard that compares
names further calls, to be answered on the state *before* as well (`Comparing`).

Answers that do not have the promised shape are `ProtocolError`s of their readers; `measured` turns them into
a finding that refuses, so that no guard can forget to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol, runtime_checkable

from seawall.primitives.blocks import Read
from seawall.primitives.errors import ProtocolError
from seawall.primitives.simulations import Probe
from seawall.primitives.verdicts import Measurement
from seawall.risk.evidence import Evidence, cannot_measure

__all__ = ["Comparing", "Guard", "measured", "probes_of"]


@runtime_checkable
class Guard(Protocol):
    """Measures one thing. Pure: the same evidence gives the same finding."""

    @property
    def name(self) -> str: ...

    def probes(self) -> tuple[Probe, ...]:
        """View calls that it needs on the state after."""
        ...

    def measure(self, evidence: Evidence) -> Measurement: ...


@runtime_checkable
class Comparing(Guard, Protocol):
    """A guard that judges a change."""

    def before(self) -> tuple[Probe, ...]:
        """View calls that it needs on the state before."""
        ...


def probes_of(reads: Iterable[Read]) -> tuple[Probe, ...]:
    """View calls of a protocol's reader, as probes."""
    return tuple(Probe(read.label, read.target, read.calldata) for read in reads)


def measured(
    name: str, evidence: Evidence, limit: int, unit: str, judge: Callable[[], Measurement]
) -> Measurement:
    """What `judge` finds; where an answer is unfit, that it cannot be measured, and why."""
    try:
        return judge()
    except ProtocolError as error:
        return cannot_measure(name, evidence, limit, unit, f"{error.where}: {error.what}")
