"""Which way an attempt goes: to the public pool, or to a relay, and by what rule.

An attempt's route is text in the ledger: `public`, or a relay's name, with `:bundle` where its bytes go in
bundles. It is private where its plan asks for that, where the largest single movement of a token in its
simulation is above the operator's threshold for that token, and on a lane that is kept for private traffic.

Private and public traffic use separate lanes unless configured: a private nonce that does not land holds up
all that are above it. What must go privately from a lane of public traffic is refused, not exposed.

Of several relays the first one goes whose success rate has not fallen. The rate is of the last attempts that
ended, counted here and told as a metric; at a start it is recalled from the ledger (`transactions.private`).
Nothing here reads or writes anything."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from seawall.ledger.rows import NewEvent
from seawall.primitives.errors import ConfigError, PlanError
from seawall.primitives.plans import Plan
from seawall.primitives.routes import WINDOW_BLOCKS_MAX
from seawall.primitives.simulations import Flow
from seawall.primitives.units import BPS, NATIVE, Address, Hash, address_text
from seawall.primitives.verdicts import Candidate
from seawall.telemetry.logs import get_logger
from seawall.telemetry.metrics import Metrics

__all__ = ["PUBLIC", "RelayRoute", "RoutePolicy", "Routes", "is_bundle", "is_private", "relay_of"]

PUBLIC: Final = "public"
_BUNDLE: Final = ":bundle"
# The rate is of so many attempts that ended, and says nothing before there are as many as the least.
RATE_OVER: Final = 20
RATE_LEAST: Final = 5
# A relay that is passed over gets one attempt in so many, or its rate could never recover.
PROBE_EVERY: Final = 10
# Attempts remembered so that none is counted twice, and for which block each was last handed over.
REMEMBERED_MAX: Final = 4_096
_log = get_logger(__name__)


def is_private(route: str) -> bool:
    return route != PUBLIC


def is_bundle(route: str) -> bool:
    return route.endswith(_BUNDLE)


def relay_of(route: str) -> str:
    """The relay's name."""
    return route.removesuffix(_BUNDLE)


@dataclass(frozen=True, slots=True)
class RelayRoute:
    name: str
    is_bundle: bool

    @property
    def route(self) -> str:
        return self.name + (_BUNDLE if self.is_bundle else "")


@dataclass(frozen=True, slots=True)
class RoutePolicy:
    """What the operator says for one chain. Without relays everything is public."""

    relays: tuple[RelayRoute, ...] = ()  # the first is preferred
    thresholds: Mapping[Address, int] = field(
        default_factory=dict
    )  # above it a plan goes privately, by token
    wrapped_native: Address | None = None  # counts as native
    private_keys: frozenset[Address] = frozenset()  # whose lanes are kept for private traffic
    is_mixed: bool = False  # other lanes carry both
    window_blocks: int = 6  # that a private attempt is given
    success_bps_min: int = 5_000  # a relay whose rate is lower is told of, and passed over

    def __post_init__(self) -> None:
        if not 0 < self.window_blocks <= WINDOW_BLOCKS_MAX or not 0 <= self.success_bps_min <= BPS:
            raise ConfigError(
                f"a window of {self.window_blocks} blocks, or a least rate of {self.success_bps_min} bps",
                "private",
                f"give 1 to {WINDOW_BLOCKS_MAX} blocks, and 0 to {BPS} bps",
            )


class Routes:
    """One chain's routes, and how they do."""

    def __init__(self, policy: RoutePolicy | None = None, metrics: Metrics | None = None) -> None:
        self.policy = policy or RoutePolicy()
        self.news: list[NewEvent] = []  # to be stored by whoever looks after the lanes
        self._metrics = metrics
        self._results: dict[str, deque[bool]] = {
            relay.name: deque(maxlen=RATE_OVER) for relay in self.policy.relays
        }
        self._fallen: set[str] = set()
        self._chosen = 0  # how often a relay was chosen while another had fallen
        self._counted: OrderedDict[Hash, None] = OrderedDict()
        self._handed: OrderedDict[Hash, int] = OrderedDict()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(relay.name for relay in self.policy.relays)

    @property
    def private_ways(self) -> tuple[str, ...]:
        """Every route that an attempt may have taken to these relays."""
        return tuple(RelayRoute(name, is_bundle).route for name in self.names for is_bundle in (True, False))

    def window_of(self, plan: Plan) -> int:
        """Blocks that a relay is given for the plan's bytes."""
        return (plan.routing.window_blocks if plan.routing else 0) or self.policy.window_blocks

    def route_of(self, candidate: Candidate, flows: Sequence[Flow]) -> str:
        """By which route the candidate goes. `PlanError` where its lane must not carry it that way."""
        policy, key = self.policy, candidate.lane.key
        routing = candidate.plan.routing
        reason = self._above(candidate, flows)
        if reason is None and routing is not None and routing.private:
            reason = "its plan asks for a private route"
        if reason is None:
            return PUBLIC if key not in policy.private_keys else self._relay().route
        if not policy.relays:
            # A threshold stands only where there are relays; a plan's own wish is not dropped silently.
            raise PlanError(reason, str(candidate.lane), "configure a relay under [[chains.relays]]")
        if key not in policy.private_keys and not policy.is_mixed:
            raise PlanError(
                f"{reason}, and the lane of {address_text(key)} is for public traffic",
                str(candidate.lane),
                'use a signer named in [chains.private] signers, or write lanes = "mixed" there',
            )
        return self._relay().route

    def _above(self, candidate: Candidate, flows: Sequence[Flow]) -> str | None:
        """Why it is worth too much for the public pool, or None."""
        policy = self.policy
        if not policy.relays or not policy.thresholds:
            return None
        largest: dict[Address, int] = {NATIVE: candidate.payload.value_wei}
        for flow in flows:
            token = NATIVE if flow.token == policy.wrapped_native else flow.token
            largest[token] = max(largest.get(token, 0), flow.amount)
        for token, limit in policy.thresholds.items():
            if largest.get(token, 0) > limit:
                name = "native" if token == NATIVE else address_text(token)
                return f"it moves {largest[token]} of {name}, more than the {limit} that may go publicly"
        return None

    def _relay(self) -> RelayRoute:
        relays = self.policy.relays
        if not self._fallen:
            return relays[0]
        self._chosen += 1
        is_probe = self._chosen % PROBE_EVERY == 0
        wanted = (relay for relay in relays if (relay.name in self._fallen) == is_probe)
        return next(wanted, relays[0])

    def again(self, route: str) -> str:
        """Which way a private attempt goes that is signed anew."""
        return self._relay().route if self.policy.relays else route

    # ------------------------------------------------------------------ how they do

    def hand_over(self, attempt_hash: Hash, target_block: int) -> None:
        """The attempt is on its way to its relay, for that block."""
        self._handed[attempt_hash] = target_block
        self._handed.move_to_end(attempt_hash)
        if len(self._handed) > REMEMBERED_MAX:
            self._handed.popitem(last=False)

    def is_handed_over(self, attempt_hash: Hash, target_block: int) -> bool:
        return self._handed.get(attempt_hash, 0) >= target_block

    def count(self, attempt_hash: Hash, route: str, chain_id: int, *, landed: bool) -> None:
        """A private attempt is in a block, or its window is over: its first end counts."""
        results = self._results.get(relay_of(route))
        if results is None or attempt_hash in self._counted:
            return
        self._counted[attempt_hash] = None
        if len(self._counted) > REMEMBERED_MAX:
            self._counted.popitem(last=False)
        results.append(landed)
        self._look_at_rate(relay_of(route), results, chain_id)
        if self._metrics is not None:
            self._metrics.relayed(relay_of(route), landed, sum(results) / len(results))

    def recall(self, ended: Sequence[tuple[Hash, str, bool]]) -> None:
        """What ended before this start, oldest first: hash, route, and whether it landed. No news."""
        for attempt_hash, route, landed in ended:
            results = self._results.get(relay_of(route))
            if results is not None:
                results.append(landed)
                self._counted[attempt_hash] = None
        for relay, results in self._results.items():
            rate_bps = self.success_bps(relay)
            if rate_bps is not None and rate_bps < self.policy.success_bps_min:
                self._fallen.add(relay)
            if self._metrics is not None and results:
                self._metrics.relay_rate(relay, sum(results) / len(results))

    def success_bps(self, relay: str) -> int | None:
        """Of the last attempts that ended, those that landed; None while there are too few."""
        results = self._results.get(relay, ())
        return sum(results) * BPS // len(results) if len(results) >= RATE_LEAST else None

    def _look_at_rate(self, relay: str, results: Sequence[bool], chain_id: int) -> None:
        rate_bps = self.success_bps(relay)
        if rate_bps is None:
            return
        if rate_bps < self.policy.success_bps_min and relay not in self._fallen:
            self._fallen.add(relay)
            kind = "relay.success_fell"
        elif rate_bps >= self.policy.success_bps_min and relay in self._fallen:
            self._fallen.discard(relay)
            kind = "relay.success_recovered"
        else:
            return
        self.news.append(
            NewEvent(kind, chain_id, relay, None, {"success_bps": rate_bps, "of_the_last": len(results)})
        )
        _log.warning(kind.replace(".", "_"), relay=relay, success_bps=rate_bps)
