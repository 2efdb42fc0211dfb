"""What an adapter tells the conformance suite about itself: how to set it up and what it claims to do.

Everything has to be said once, in a module of `tests/conformance/scenarios`, which exports `SCENARIOS`; the
suite does the rest. What an adapter cannot have (a pause where the protocol knows none) is left out by saying
why: a claim left out silently would be a test that nobody misses.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass

from seawall.primitives.units import Address
from seawall.protocols.adapters.actions import Action
from seawall.protocols.adapters.erased import AnyAdapter
from tests.conformance import scenarios
from tests.conformance.stage import Account, Stage

__all__ = ["Absent", "Scenario", "every_scenario"]


@dataclass(frozen=True, slots=True)
class Absent:
    """The protocol has no such thing."""

    because: str


@dataclass(frozen=True, slots=True)
class Scenario:
    adapter: str
    """Its name in the catalogue of the devnet's address book."""
    fund: Callable[[Account], None]
    """Give the account what the steps spend."""
    steps: tuple[Callable[[Account], Action], ...]
    """Actions in order, each made when its turn comes; every kind that the adapter knows appears. Together
    they must lead back to where they began, as far as the protocol allows."""
    base: Address | str
    """The token, or its name in the book, of which the account may not have more after all steps."""
    too_much: Callable[[Account], Action] | Absent
    """Something that the protocol has not enough liquidity for."""
    pause: Callable[[Stage], None] | Absent
    """Stop the protocol; the first step must then be refused, by quote and by chain alike."""
    empty: Callable[[Stage], tuple[AnyAdapter, Action]] | Absent
    """A market of the same kind that nobody has brought anything to, and what cannot be had there."""
    odd: Callable[[Stage, Address], tuple[AnyAdapter, Action]] | Absent
    """A market made with this odd token, of which the devnet's owner has plenty, and an action that spends
    at most 1,000 of it."""
    positions: Absent | None = None
    """Where nothing of ours can ever be in the protocol."""


def every_scenario() -> tuple[Scenario, ...]:
    found: list[Scenario] = []
    for module in pkgutil.iter_modules(scenarios.__path__):
        found += importlib.import_module(f"{scenarios.__name__}.{module.name}").SCENARIOS
    return tuple(found)
