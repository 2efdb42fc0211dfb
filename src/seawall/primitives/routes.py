"""How a plan wants to reach the chain: by the public pool or by a relay, and what follows where it does not
land."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from seawall.primitives.errors import PlanError

__all__ = ["WINDOW_BLOCKS_MAX", "Routing", "Unlanded"]

WINDOW_BLOCKS_MAX = 1_000
_GROUP_CHARS_MAX = 100


class Unlanded(StrEnum):
    """What follows where a private attempt is not on chain at the end of its window."""

    EXPIRE = "expire"  # it is withdrawn and its nonce filled
    REPRICE = "reprice"  # the same payload, dearer, privately again, while its verdict and deadline allow
    PUBLIC = "public"  # the same bytes go to the public pool


@dataclass(frozen=True, slots=True)
class Routing:
    """A plan's wishes. Worth more than the operator's threshold it goes privately, whatever it wishes."""

    private: bool = False
    unlanded: Unlanded = Unlanded.EXPIRE
    window_blocks: int = 0  # how many blocks a relay is given; 0: as the chain's settings say
    alternatives: str = (
        ""  # private plans of one strategy that share this name share a nonce: one lands at most
    )

    def __post_init__(self) -> None:
        if not 0 <= self.window_blocks <= WINDOW_BLOCKS_MAX:
            problem = f"a window of {self.window_blocks} blocks is outside 0..{WINDOW_BLOCKS_MAX}"
        elif len(self.alternatives) > _GROUP_CHARS_MAX:
            problem = f"a group of alternatives has a name longer than {_GROUP_CHARS_MAX} characters"
        elif self.alternatives and not self.private:
            problem = "alternatives share a nonce, which only private plans can"
        elif self.alternatives and self.unlanded is Unlanded.PUBLIC:
            problem = "of alternatives none can go public, because public pools keep one of a nonce"
        else:
            return
        raise PlanError(problem, "routing", "correct the strategy that made it")
