"""Prometheus metrics: conventional names and units, every label set created at start.

A counter born at 1 never fires `increase() > 0`, so whatever may be counted stands at 0 from the first
scrape. Labels come from closed lists (enums) and from the configuration; a label outside them counts as
`other`, so that neither an endpoint nor a strategy can grow the number of series.

Floats: metrics are for eyes and alerts. Nothing decides by them; exact money is in the ledger. Serving them
is `runtime.http`'s part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Final, Generic, TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics import MetricWrapperBase

from seawall import __version__
from seawall.primitives.blocks import Block
from seawall.primitives.identifiers import Lane
from seawall.primitives.levels import Authority, IntentState
from seawall.primitives.ports import Clock, SystemClock
from seawall.primitives.verdicts import Verdict
from seawall.telemetry.endpoints import EndpointCollector, EndpointHealth

__all__ = ["CONTENT_TYPE", "OTHER", "MetricLabels", "Metrics", "Stage"]

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
OTHER: Final = "other"

_ANSWERS: Final = ("accepted", "known", "rejected", "latched", "unsent", "unknown")
_REORG_DEPTHS: Final = (1, 2, 3, 6, 12, 32, 64, 128)
_DURATIONS_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

# The time of birth of every series would double their number, and every series is born at start.
disable_created_metrics()  # type: ignore[no-untyped-call]

M = TypeVar("M", bound=MetricWrapperBase)


class Stage(StrEnum):
    """Steps of a plan's life whose duration is measured."""

    OBSERVE = "observe"
    DECIDE = "decide"
    JUDGE = "judge"
    SIGN = "sign"
    COMMIT = "commit"
    WRITE = "write"
    CONFIRM = "confirm"


@dataclass(frozen=True, slots=True)
class MetricLabels:
    """Names of the configuration that appear as labels."""

    chains: Mapping[int, str] = field(default_factory=dict)  # chain id -> network name
    lanes: tuple[Lane, ...] = ()
    strategies: tuple[str, ...] = ()
    guards: tuple[str, ...] = ()
    relays: tuple[str, ...] = ()


class _Family(Generic[M]):
    """One metric with one label whose values are known; anything else is `other`."""

    def __init__(self, metric: M, values: Iterable[str]) -> None:
        self._children: dict[str, M] = {value: metric.labels(value) for value in (*values, OTHER)}

    def __getitem__(self, value: str) -> M:
        return self._children.get(value) or self._children[OTHER]


class Metrics:
    """All series of one kernel, in a registry of their own. Methods are named after what happened."""

    def __init__(self, labels: MetricLabels | None = None, *, clock: Clock | None = None) -> None:
        labels = labels or MetricLabels()
        self._clock = clock or SystemClock()
        self._chains = dict(labels.chains)
        self._head_timestamps_s: dict[str, int] = {}
        self.registry = CollectorRegistry()
        self._count_transactions(labels)
        self._observe_chains(labels)
        self._watch_strategies(labels)
        self._endpoints = EndpointCollector()
        self.registry.register(self._endpoints)
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)

    def _count_transactions(self, labels: MetricLabels) -> None:
        outcomes = [state.value for state in IntentState if state.is_outcome]
        self._intents = self._counters("intents", "Intents that reached an outcome.", "outcome", outcomes)
        self._candidates = self._counters(
            "candidates", "Verdicts on candidates.", "result", ("admitted", "refused")
        )
        self._refusals = self._counters("guard_refusals", "Refusals by each guard.", "guard", labels.guards)
        self._written = self._counters("transactions_written", "Writes of signed bytes.", "answer", _ANSWERS)
        self._inclusions = self._counters(
            "inclusions", "Own transactions in blocks.", "status", ("success", "reverted")
        )
        self._unexplained = Counter(
            "seawall_unexplained", "Balance changes that no posting explains.", registry=self.registry
        )
        lanes = [str(lane) for lane in labels.lanes]
        self._unlanded = self._gauges(
            "lane_unlanded", "Slots of a lane that are not on chain.", "lane", lanes
        )
        self._foreign = self._counters(
            "foreign_nonces", "Nonces of ours that somebody else used.", "lane", lanes
        )
        self._stuck = self._counters(
            "stuck_slots", "Slots that cannot be replaced or filled under their ceiling.", "lane", lanes
        )
        self._landed = self._counters(
            "private_landed", "Private attempts that a block has.", "relay", labels.relays
        )
        self._missed = self._counters(
            "private_missed", "Private attempts whose window ended without it.", "relay", labels.relays
        )
        self._relay_success = self._gauges(
            "relay_success_ratio", "Landed of the last private attempts.", "relay", labels.relays
        )
        self._authority = Gauge(
            "seawall_authority", "Authority in force: 0 HALT, 1 REDUCE_ONLY, 2 RUN.", registry=self.registry
        )
        stages = Histogram(
            "seawall_stage_duration_seconds",
            "Duration of the steps of a plan's life.",
            ["stage"],
            buckets=_DURATIONS_S,
            registry=self.registry,
        )
        self._stages = {stage: stages.labels(stage.value) for stage in Stage}

    def _observe_chains(self, labels: MetricLabels) -> None:
        names = sorted(set(labels.chains.values()))
        self._reorgs = Counter("seawall_reorgs", "Reorganisations seen.", registry=self.registry)
        self._reorg_depths = Histogram(
            "seawall_reorg_depth_blocks",
            "Blocks removed by a reorganisation.",
            buckets=_REORG_DEPTHS,
            registry=self.registry,
        )
        self._heads = self._gauges("head_number", "Number of the newest block.", "chain", names)
        self._troubles = self._counters(
            "chain_troubles", "Operations that no endpoint served.", "chain", names
        )
        self._drifts = self._gauges(
            "address_drifts", "Findings where the address book and the chain differ.", "chain", names
        )
        ages = self._gauges(
            "head_age_seconds", "Age of the newest block by this machine's clock.", "chain", names
        )
        for name in names:
            ages[name].set_function(partial(self._head_age_s, name))

    def _watch_strategies(self, labels: MetricLabels) -> None:
        names = labels.strategies
        self._failures = self._counters("strategy_failures", "Decisions that failed.", "strategy", names)
        self._passes = self._counters(
            "strategy_passes", "Looks of a strategy that brought no plan.", "strategy", names
        )
        self._profits = self._gauges(
            "realised_profit_wei", "Realised profit since start, in the accounting token.", "strategy", names
        )
        information = Gauge(
            "seawall_build_info", "Version of this program.", ["version"], registry=self.registry
        )
        information.labels(__version__).set(1)

    def render(self) -> bytes:
        """The exposition of everything, for a scrape."""
        return generate_latest(self.registry)

    def ended(self, state: IntentState, count: int = 1) -> None:
        self._intents[state.value].inc(count)

    def judged(self, *verdicts: Verdict) -> None:
        """The verdicts of a batch: a counter is touched once, however many they are."""
        refused = [verdict for verdict in verdicts if not verdict.admitted]
        if len(refused) < len(verdicts):
            self._candidates["admitted"].inc(len(verdicts) - len(refused))
        if refused:
            self._candidates["refused"].inc(len(refused))
        for verdict in refused:
            for refusal in verdict.refusals:
                self._refusals[refusal.guard].inc()

    def written(self, answer: str) -> None:
        self._written[answer].inc()

    def relayed(self, relay: str, landed: bool, ratio: float) -> None:
        """A private attempt landed, or its window is over; `ratio` of the last ones landed."""
        (self._landed if landed else self._missed)[relay].inc()
        self.relay_rate(relay, ratio)

    def relay_rate(self, relay: str, ratio: float) -> None:
        """Of its last private attempts that ended, `ratio` landed."""
        self._relay_success[relay].set(ratio)

    def included(self, status: bool, count: int = 1) -> None:
        self._inclusions["success" if status else "reverted"].inc(count)

    def unexplained(self, count: int) -> None:
        self._unexplained.inc(count)

    def realised(self, strategy: str, profit_wei: int) -> None:
        self._profits[strategy].inc(profit_wei)

    def unlanded(self, lane: Lane, count: int) -> None:
        self._unlanded[str(lane)].set(count)

    def foreign(self, lane: Lane) -> None:
        self._foreign[str(lane)].inc()

    def stuck(self, lane: Lane) -> None:
        self._stuck[str(lane)].inc()

    def reorged(self, depth: int) -> None:
        self._reorgs.inc()
        self._reorg_depths.observe(depth)

    def head(self, block: Block) -> None:
        chain = self._chains.get(block.chain_id, OTHER)
        self._heads[chain].set(block.number)
        self._head_timestamps_s[chain] = block.timestamp_s

    def drifted(self, network: str, findings: int) -> None:
        self._drifts[network].set(findings)

    def chain_trouble(self, network: str) -> None:
        self._troubles[network].inc()

    def watch_endpoints(self, network: str, health: Callable[[], Sequence[EndpointHealth]]) -> None:
        """Show these endpoints at every scrape. Their names come from the configuration, without secrets."""
        self._endpoints.watch(network, health)

    def strategy_failed(self, strategy: str) -> None:
        self._failures[strategy].inc()

    def strategy_passed(self, strategy: str) -> None:
        self._passes[strategy].inc()

    def authority(self, authority: Authority) -> None:
        self._authority.set(int(authority))

    @contextmanager
    def timing(self, stage: Stage) -> Iterator[None]:
        """Measures what is inside, however it ends."""
        begun_s = self._clock.monotonic_s()
        try:
            yield
        finally:
            self.took(stage, self._clock.monotonic_s() - begun_s)

    def took(self, stage: Stage, duration_s: float) -> None:
        self._stages[stage].observe(duration_s)

    def _head_age_s(self, chain: str) -> float:
        timestamp_s = self._head_timestamps_s.get(chain)
        return float("nan") if timestamp_s is None else float(self._clock.now_s() - timestamp_s)

    def _counters(self, name: str, text: str, label: str, values: Iterable[str]) -> _Family[Counter]:
        return _Family(Counter(f"seawall_{name}", text, [label], registry=self.registry), values)

    def _gauges(self, name: str, text: str, label: str, values: Iterable[str]) -> _Family[Gauge]:
        return _Family(Gauge(f"seawall_{name}", text, [label], registry=self.registry), values)
