"""Calldata whose arguments may be measured on chain: zero stands for those, and a splice fills them in.

Only for functions whose arguments are all one word each, so that argument *i* is head word *i*; what has
another layout is encoded by its own adapter.
"""

from __future__ import annotations

from collections.abc import Sequence

from seawall.native import AbiValue, encode_call
from seawall.primitives.plans import TokenBound
from seawall.primitives.units import Address
from seawall.protocols.adapters.refusals import refused
from seawall.protocols.executor.operations import Amount, Measured, Splice

__all__ = ["call_data", "inflow_bounds", "word_splices"]


def call_data(signature: str, arguments: Sequence[AbiValue | Measured]) -> tuple[bytes, tuple[Splice, ...]]:
    """Calldata of `signature`, and where measured arguments go."""
    known = [0 if isinstance(argument, Measured) else argument for argument in arguments]
    return encode_call(signature, known), word_splices(dict(enumerate(arguments)))


def word_splices(words: dict[int, AbiValue | Amount]) -> tuple[Splice, ...]:
    """A splice for every head word that is measured."""
    return tuple(Splice(word, value) for word, value in words.items() if isinstance(value, Measured))


def inflow_bounds(token: Address, minimum: Amount, where: str) -> tuple[TokenBound, ...]:
    """The plan's bound that holds a minimum which the protocol's own call cannot be told."""
    if isinstance(minimum, Measured):
        raise refused(
            f"minimum {minimum.name!r} is only measured on chain, and this call takes none",
            where,
            "give a number: it becomes a bound of the plan",
        )
    return (TokenBound(token, "inflow", minimum),) if minimum else ()
