"""Positions that are numbered instead of counted: Uniswap V3's, and those of its forks, called alike.

Nobody knows here what one is worth. What is taken out of it would look like a gain, and pay for whatever
else its plan loses: coins that only pass through us on their way to somebody else would cost nothing. So in
a plan that takes out of a position what comes counts as nothing, what leaves us as lost; it makes no profit;
and what is collected must come to an address of ours. It can be kept, lent, or pay what is owed; whoever
wants more of it makes another plan.

A call is known by its selector, wherever it stands in the plan's bytes: also in a batch of calls, and of any
manager. Does not know: positions that another contract holds for us, Uniswap V4's.
"""

from __future__ import annotations

from typing import Final

from seawall.native import selector
from seawall.primitives.plans import DirectBody, Plan
from seawall.primitives.units import Address

__all__ = ["collectors", "takes_out"]

_DECREASE: Final = selector("decreaseLiquidity((uint256,uint128,uint256,uint256,uint256))")
_COLLECT: Final = selector("collect((uint256,address,uint128,uint128))")
_RECIPIENT_AT: Final = 4 + 32
_WORD: Final = 32
_PADDING: Final = bytes(12)


def takes_out(plan: Plan) -> bool:
    content = _content(plan)
    return _COLLECT in content or _DECREASE in content


def collectors(plan: Plan) -> tuple[Address | None, ...]:
    """To whom each call collects; None where that is no address."""
    content = _content(plan)
    found: list[Address | None] = []
    at = content.find(_COLLECT)
    while at >= 0:
        word = content[at + _RECIPIENT_AT : at + _RECIPIENT_AT + _WORD]
        is_address = len(word) == _WORD and word.startswith(_PADDING)
        found.append(Address(word[len(_PADDING) :]) if is_address else None)
        at = content.find(_COLLECT, at + 1)
    return tuple(found)


def _content(plan: Plan) -> bytes:
    body = plan.body
    return body.calldata if isinstance(body, DirectBody) else body.operations
