"""What a guard is, and how a plan's `GuardSpec` becomes one."""

from __future__ import annotations

from typing import Protocol, TypeVar

from seawall.primitives.errors import PlanError
from seawall.primitives.plans import GuardSpec
from seawall.primitives.simulations import Probe
from seawall.primitives.verdicts import Measurement
from seawall.risk.evidence import Evidence

__all__ = ["Guard", "argument"]

T = TypeVar("T", int, bytes, str)


class Guard(Protocol):
    """Measures one thing. Pure: the same evidence gives the same finding."""

    @property
    def name(self) -> str: ...

    def probes(self) -> tuple[Probe, ...]:
        """View calls that it needs on the state after; labels start with the guard's name."""
        ...

    def measure(self, evidence: Evidence) -> Measurement: ...


def argument(spec: GuardSpec, name: str, kind: type[T]) -> T:
    """One argument of a spec, of exactly the expected type."""
    for key, value in spec.arguments:
        if key == name and type(value) is kind:
            return value
    raise PlanError(
        f"guard {spec.name!r} lacks the argument {name!r} of type {kind.__name__}",
        "plan guards",
        "see seawall.risk.guards",
    )
