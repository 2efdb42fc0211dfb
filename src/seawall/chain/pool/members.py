"""One endpoint as the pool sees it: its breakers, its budget, its score, and why it is left out.

An endpoint that *fails* rests by its breaker, and one method that fails on an endpoint that serves others
rests by a breaker of its own. One that is *asked too often* is waited for. One that *lags* is asked last
until its head is near the others' again. One that was *outvoted* about a fixed block, or *proved wrong* by
its own hashes, is in quarantine for a time that doubles each time; the first may still be asked where nobody
else is left, because whatever it says then needs others to agree; the second is not asked at all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from seawall.chain.pool.breakers import Breaker
from seawall.chain.pool.budgets import Budget
from seawall.chain.pool.pace import Score
from seawall.chain.pool.settings import EndpointSettings
from seawall.chain.transport import Request, RpcTransport
from seawall.primitives.errors import EndpointError, RateLimitedError, TimedOutError
from seawall.telemetry.endpoints import EndpointHealth, EndpointState
from seawall.telemetry.logs import get_logger

__all__ = [
    "COOL_DOWN_FIRST_S",
    "COOL_DOWN_MAX_S",
    "STRIKE_FIRST_S",
    "STRIKE_MAX_S",
    "Member",
    "Owed",
    "Standing",
]

# An endpoint that failed rests COOL_DOWN_FIRST_S, doubled by each further failure up to COOL_DOWN_MAX_S.
COOL_DOWN_FIRST_S: Final = 0.5
COOL_DOWN_MAX_S: Final = 30.0
# A method that fails so often in a row on an endpoint that serves others rests likewise.
METHOD_FAILURES_MAX: Final = 3
METHOD_REST_FIRST_S: Final = 5.0
METHOD_REST_MAX_S: Final = 300.0
# A method that an endpoint says it does not have.
METHOD_UNKNOWN_S: Final = 600.0
METHODS_MAX: Final = 64
# An endpoint in quarantine is not asked for STRIKE_FIRST_S, doubled by each further time up to STRIKE_MAX_S.
STRIKE_FIRST_S: Final = 30.0
STRIKE_MAX_S: Final = 3_600.0
# Where an endpoint says that it is asked too often, and not when it may be asked again.
LIMITED_S: Final = 1.0
# So many questions in a row that somebody else answered first, although they were asked later.
LATES_MAX: Final = 3
# Enough others contradicted it so often about what may have moved meanwhile.
DISSENTS_MAX: Final = 8
DISSENTS_FORGOTTEN_S: Final = 60.0
# Blocks behind the others' head.
LAG_BLOCKS_MAX: Final = 3
_MISSES_MAX: Final = 2
_DOUBLINGS_MAX: Final = 16
_EVENTS_KEPT: Final = 32
_UNKNOWN: Final = -1

_log = get_logger(__name__)


class Standing(IntEnum):
    """In what order endpoints are asked: the lower the sooner."""

    SERVING = 0
    HELD_BACK = 1  # its budget is spent, or this method rests
    RESTING = 2
    LAGGING = 3
    OUTVOTED = 4
    OTHER_CHAIN = 5
    STRUCK_OUT = 6  # not at all


@dataclass(slots=True, eq=False)
class Owed:
    """One question that waits for its answer (`chain.pool.waiting`)."""

    begun_s: float
    due_s: float  # it is not waited for any longer
    replace: Callable[[], None]  # have somebody else asked in its place
    drop: Callable[[], object]  # end it
    is_beaten: bool = False  # others answered first: only heard out


@dataclass(slots=True, eq=False)
class Member:
    """One endpoint of a pool. `place` is where it stands in the configuration."""

    transport: RpcTransport
    place: int
    name: str
    settings: EndpointSettings | None = None
    budget: Budget | None = None
    breaker: Breaker = field(
        default_factory=lambda: Breaker(threshold=1, first_s=COOL_DOWN_FIRST_S, max_s=COOL_DOWN_MAX_S)
    )
    methods: dict[str, Breaker] = field(default_factory=dict)  # those that failed
    score: Score = field(default_factory=Score)
    in_flight: int = 0
    owed: dict[object, Owed] = field(default_factory=dict)  # in the order asked
    credit: float = 0.0  # for its turn among the others
    checked_at_connect: int | None = None
    serves_other: bool = False
    head_number: int = _UNKNOWN
    is_lagging: bool = False
    strikes: int = 0
    struck_until_s: float = 0.0
    outvoted_until_s: float = 0.0
    limited_until_s: float = 0.0
    answered_at_s: float = 0.0
    looked_at_s: float = 0.0  # when it was last looked at beside the questions
    is_looked_at: bool = False
    is_questioned: bool = False
    why: str = ""
    requests: int = 0
    failed: int = 0
    hedges: int = 0
    events: deque[str] = field(default_factory=lambda: deque(maxlen=_EVENTS_KEPT))
    _lates: int = 0
    _dissents: int = 0
    _dissented_at_s: float = 0.0
    _misses: int = 0

    @property
    def weight(self) -> int:
        return 1 if self.settings is None else self.settings.weight

    # ------------------------------------------------------------------ standing

    @property
    def is_beaten(self) -> bool:
        """Others, who were asked later, answered before it, and nothing came from it since."""
        return self._lates > 0

    def standing(self, now_s: float, requests: Sequence[Request]) -> Standing:
        if self.struck_until_s > now_s:
            return Standing.STRUCK_OUT
        if self.serves_other:
            return Standing.OTHER_CHAIN
        if self.outvoted_until_s > now_s:
            return Standing.OUTVOTED
        if self.is_lagging:
            return Standing.LAGGING
        if not self.breaker.is_closed:
            return Standing.RESTING
        if self.wait_s(requests, now_s) > 0 or (self.methods and not self._admits(requests, now_s)):
            return Standing.HELD_BACK
        return Standing.SERVING

    def cost(self) -> float:
        """What it costs to ask it now, against the others."""
        return self.score.cost * (1 + self.in_flight) * (1 + self.strikes) / self.weight

    def wait_s(self, requests: Sequence[Request], now_s: float) -> float:
        """Until it may be asked without being asked too often [s]."""
        wait_s = self.limited_until_s - now_s
        if self.budget is not None:
            wait_s = max(wait_s, self.budget.wait_s(requests, now_s))
        return wait_s

    def _admits(self, requests: Sequence[Request], now_s: float) -> bool:
        return all(
            breaker.admits(now_s)
            for request in requests
            if (breaker := self.methods.get(request.method)) is not None
        )

    # ------------------------------------------------------------------ what happened

    def has_answered(self, requests: Sequence[Request], now_s: float) -> None:
        """Usefully, as far as the transport can tell."""
        self.answered_at_s = now_s
        self._lates = 0
        if self.breaker.failures:
            self.breaker.failures = 0
        if not self.breaker.is_closed and self.breaker.succeeded():
            self._note("endpoint_back", "it answers", level="info")
        if self.methods:
            for request in requests:
                breaker = self.methods.get(request.method)
                if breaker is not None and breaker.admits(now_s):
                    del self.methods[request.method]

    def has_failed(self, error: EndpointError, requests: Sequence[Request], now_s: float) -> None:
        self.failed += 1
        self.score.failed()
        self.checked_at_connect = None
        if isinstance(error, RateLimitedError):
            self._limit(error, now_s)
            return
        if isinstance(error, TimedOutError):
            for method in {request.method for request in requests}:
                self._method(method).failed(now_s)
        self.rest(error.what, now_s)

    def lacks(self, method: str, now_s: float) -> None:
        """It says that it does not have this method."""
        self._method(method).trip(now_s, METHOD_UNKNOWN_S)

    def is_late(self, now_s: float) -> None:
        """Somebody who was asked later answered first."""
        self._lates += 1
        if self._lates >= LATES_MAX:
            self.rest(f"others answered first {self._lates} times in a row", now_s)

    def rest(self, why: str, now_s: float) -> None:
        if self.breaker.failed(now_s):
            self._note("endpoint_rests", why)
        self.why = why

    def shows_head(self, number: int, tip_number: int) -> None:
        """Its newest block, beside the newest that is known."""
        self.head_number = number
        self._misses = 0
        behind = tip_number - number
        if behind >= LAG_BLOCKS_MAX and not self.is_lagging:
            self.is_lagging = True
            self._note("endpoint_lags", f"its head {number} is {behind} blocks behind")
        elif self.is_lagging and behind < LAG_BLOCKS_MAX:
            self.is_lagging = False
            self._note("endpoint_back", f"its head is {number}", level="info")

    def misses_block(self) -> None:
        """It does not have a block that others have."""
        self._misses += 1
        if self._misses >= _MISSES_MAX and not self.is_lagging:
            self.is_lagging = True
            self._note("endpoint_lags", "it does not have the blocks that others have")

    def agrees(self) -> None:
        self._misses = 0

    def dissents(self, what: str, now_s: float, *, is_certain: bool) -> None:
        """Enough others said the same, and it said something else: of a fixed block, and again when asked
        again (`is_certain`), or of what may have moved meanwhile."""
        if self.outvoted_until_s > now_s:
            return  # it was asked before that was known
        if now_s - self._dissented_at_s > DISSENTS_FORGOTTEN_S:
            self._dissents = 0
        self._dissented_at_s = now_s
        self._dissents += 1
        if is_certain or self._dissents >= DISSENTS_MAX:
            self._dissents = 0
            self.outvoted_until_s = now_s + self._strike_s()
            self._note("endpoint_outvoted", what, level="error")

    def strike(self, proof: str, now_s: float) -> None:
        self.struck_until_s = now_s + self._strike_s()
        for_s = round(self.struck_until_s - now_s)
        self._note("endpoint_struck_out", f"{proof}; for {for_s} s", level="error")

    def serves(self, chain_id: int, ours: int) -> None:
        """The chain that it told."""
        was_other, self.serves_other = self.serves_other, chain_id != ours
        if self.serves_other and not was_other:
            self._note(
                "endpoint_of_other_chain", f"it serves chain {chain_id} instead of {ours}", level="error"
            )
        elif was_other and not self.serves_other:
            self._note("endpoint_back", f"it serves chain {ours}", level="info")

    # ------------------------------------------------------------------ how it stands

    def health(self, now_s: float) -> EndpointHealth:
        standing = self.standing(now_s, ())
        state = _STATES[standing]
        return EndpointHealth(
            name=self.name,
            state=state,
            why="" if state is EndpointState.SERVING else self.why,
            latency_s=self.score.latency_s,
            requests=self.requests,
            failures=self.failed,
            hedges=self.hedges,
            quarantines=self.strikes,
            head_number=self.head_number,
        )

    def _method(self, method: str) -> Breaker:
        breaker = self.methods.get(method)
        if breaker is None:
            if len(self.methods) >= METHODS_MAX:
                self.methods.pop(next(iter(self.methods)))
            breaker = self.methods[method] = Breaker(
                threshold=METHOD_FAILURES_MAX, first_s=METHOD_REST_FIRST_S, max_s=METHOD_REST_MAX_S
            )
        return breaker

    def _limit(self, error: RateLimitedError, now_s: float) -> None:
        was_limited = self.limited_until_s > now_s
        asked_s = LIMITED_S if error.retry_after_s is None else error.retry_after_s
        self.limited_until_s = max(self.limited_until_s, now_s + asked_s)
        if not was_limited:
            self._note("endpoint_limits", f"{error.what}; for {asked_s:g} s")

    def _strike_s(self) -> float:
        self.strikes += 1
        return float(min(STRIKE_FIRST_S * 2 ** min(self.strikes - 1, _DOUBLINGS_MAX), STRIKE_MAX_S))

    def _note(self, event: str, why: str, *, level: str = "warning") -> None:
        self.why = why
        self.events.append(f"{event}: {why}")
        getattr(_log, level)(event, endpoint=self.name, why=why)


_STATES: Final = {
    Standing.SERVING: EndpointState.SERVING,
    Standing.HELD_BACK: EndpointState.LIMITED,
    Standing.RESTING: EndpointState.RESTING,
    Standing.LAGGING: EndpointState.LAGGING,
    Standing.OUTVOTED: EndpointState.OUTVOTED,
    Standing.OTHER_CHAIN: EndpointState.OTHER_CHAIN,
    Standing.STRUCK_OUT: EndpointState.STRUCK_OUT,
}
