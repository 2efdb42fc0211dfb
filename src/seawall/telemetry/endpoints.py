"""How the endpoints of a chain stand, as it is shown: a scrape and `seawall status` read it, nothing else
does.

`EndpointCollector` reads the figures when they are scraped, so that a request costs no metric.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from typing_extensions import override

__all__ = ["EndpointCollector", "EndpointHealth", "EndpointState"]


class EndpointState(StrEnum):
    """Why an endpoint is asked or not, the worst that is true of it."""

    SERVING = "serving"
    LIMITED = "limited"  # asked too often; it said so, or its budget does
    RESTING = "resting"  # it failed; it is looked at again
    LAGGING = "lagging"  # its head is behind the others'
    OUTVOTED = "outvoted"  # it said of a fixed block what enough others contradicted
    STRUCK_OUT = "struck out"  # it showed what contradicts its own hash or root
    OTHER_CHAIN = "other chain"


@dataclass(frozen=True, slots=True)
class EndpointHealth:
    """One endpoint. Counts are since start."""

    name: str  # without its secrets
    state: EndpointState
    why: str  # what brought it there; empty while it serves
    latency_s: float
    requests: int
    failures: int
    hedges: int  # asked because another was late
    quarantines: int
    head_number: int  # that it last showed, -1 while none

    @property
    def shown(self) -> str:
        """One line for people."""
        return f"{self.state}: {self.why}" if self.why else f"{self.state}, {self.latency_s * 1e3:.1f} ms"


class EndpointCollector(Collector):
    """The health of all chains' endpoints as metrics."""

    def __init__(self) -> None:
        self._chains: dict[str, Callable[[], Sequence[EndpointHealth]]] = {}

    def watch(self, chain: str, health: Callable[[], Sequence[EndpointHealth]]) -> None:
        self._chains[chain] = health

    @override
    def collect(self) -> Iterator[Metric]:
        labels = ["chain", "endpoint"]
        serving = GaugeMetricFamily(
            "seawall_endpoint_serving", "1 while the endpoint is asked first.", labels=labels
        )
        latency = GaugeMetricFamily(
            "seawall_endpoint_latency_seconds", "Recent latency of answers.", labels=labels
        )
        head = GaugeMetricFamily(
            "seawall_endpoint_head_number", "Newest block that it showed.", labels=labels
        )
        counts = [
            (CounterMetricFamily(f"seawall_endpoint_{name}", text, labels=labels), name)
            for name, text in (
                ("requests", "JSON-RPC requests sent."),
                ("failures", "Questions that it did not answer usefully."),
                ("hedges", "Questions asked because another was late."),
                ("quarantines", "Times that it was left out for what it said."),
            )
        ]
        for chain, health in self._chains.items():
            for one in health():
                key = [chain, one.name]
                serving.add_metric(key, float(one.state is EndpointState.SERVING))
                latency.add_metric(key, one.latency_s)
                head.add_metric(key, float(one.head_number))
                for family, name in counts:
                    family.add_metric(key, float(getattr(one, name)))
        yield from (serving, latency, head)
        yield from (family for family, _ in counts)
