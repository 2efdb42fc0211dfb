"""The REDUCE_ONLY rule's facts: token classes from the address book, prices and health factors from the
configuration.

What neither says cannot be measured, and is refused.
"""

from __future__ import annotations

from collections.abc import Iterable

from seawall.native import encode_call
from seawall.primitives.units import NATIVE, Address
from seawall.risk.reduce import HealthReader, ReduceRule, TokenClass
from seawall.runtime.configuration.settings import ChainSettings
from seawall.runtime.limiting import accruing, claims_of

__all__ = ["reduce_rule_of"]


def reduce_rule_of(
    settings: ChainSettings, wrapped: Address | None, holders: Iterable[Address]
) -> ReduceRule:
    """Native and wrapped native are settlement tokens on every chain."""
    classes = {
        entry.address: TokenClass(entry.token_class.value)
        for entry in settings.book
        if entry.token_class is not None
    }
    classes[NATIVE] = TokenClass.SETTLEMENT
    if wrapped is not None:
        classes[wrapped] = TokenClass.SETTLEMENT
    return ReduceRule(
        classes=classes,
        debt_tokens=tuple(sorted(token for token, kind in classes.items() if kind is TokenClass.DEBT)),
        health=tuple(
            HealthReader(holder, target, encode_call("healthFactor(address)", (holder,)))
            for target in settings.health
            for holder in sorted(holders)
        ),
        feeds=settings.prices,
        places=accruing(settings),
        claims=claims_of(settings.book),
    )
