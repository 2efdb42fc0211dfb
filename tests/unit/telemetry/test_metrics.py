from __future__ import annotations

import dataclasses

from prometheus_client.parser import text_string_to_metric_families

from seawall.primitives.blocks import Block
from seawall.primitives.identifiers import IntentNumber, Lane
from seawall.primitives.levels import Authority, IntentState, WriteKind
from seawall.primitives.units import Address, Hash
from seawall.primitives.verdicts import Measurement, Verdict
from seawall.telemetry.metrics import OTHER, MetricLabels, Metrics, Stage

LANE = Lane(31_337, Address(b"\x11" * 20))
LABELS = MetricLabels({31_337: "devnet"}, (LANE,), ("arbitrage",), ("slippage", "gas"))


class FixedClock:
    def now_s(self) -> int:
        return 1_000

    def monotonic_s(self) -> float:
        return 0.0

    async def sleep_s(self, duration_s: float) -> None:
        raise AssertionError(f"metrics never sleep {duration_s}")


def samples(metrics: Metrics) -> dict[tuple[str, str], float]:
    """(name, label value or empty) -> value, of everything in the exposition."""
    found: dict[tuple[str, str], float] = {}
    for family in text_string_to_metric_families(metrics.render().decode()):
        for sample in family.samples:
            found[sample.name, ",".join(sample.labels.values())] = sample.value
    return found


def verdict(*measurements: Measurement) -> Verdict:
    return Verdict(
        number=IntentNumber(1),
        attempt_number=1,
        plan_digest=Hash(bytes(32)),
        payload_digest=Hash(bytes(32)),
        base_number=1,
        base_hash=Hash(bytes(32)),
        overlay_digest=Hash(bytes(32)),
        valid_until_block=4,
        valid_until_s=30,
        max_total_fee_wei=1,
        expected_fee_wei=1,
        kind=WriteKind.PLAN,
        admitted=all(m.passed for m in measurements),
        measurements=measurements,
        predicted_wei=None,
        predicted_floor_wei=None,
        gas_used=None,
    )


def test_every_known_label_stands_at_zero_before_anything_happened() -> None:
    found = samples(Metrics(LABELS))
    for outcome in ("landed", "failed", "refused", "expired", "cancelled"):
        assert found["seawall_intents_total", outcome] == 0
    for answer in ("accepted", "known", "rejected", "latched", "unsent", "unknown"):
        assert found["seawall_transactions_written_total", answer] == 0
    for name, label in [
        ("seawall_candidates_total", "admitted"),
        ("seawall_candidates_total", "refused"),
        ("seawall_guard_refusals_total", "slippage"),
        ("seawall_guard_refusals_total", "gas"),
        ("seawall_inclusions_total", "success"),
        ("seawall_inclusions_total", "reverted"),
        ("seawall_chain_troubles_total", "devnet"),
        ("seawall_strategy_failures_total", "arbitrage"),
        ("seawall_realised_profit_wei", "arbitrage"),
        ("seawall_lane_unlanded", str(LANE)),
        ("seawall_head_number", "devnet"),
        ("seawall_reorgs_total", ""),
        ("seawall_unexplained_total", ""),
        ("seawall_authority", ""),
        *(("seawall_stage_duration_seconds_count", stage.value) for stage in Stage),
    ]:
        assert found[name, label] == 0, name


def test_no_series_is_born_later() -> None:
    metrics = Metrics(LABELS)
    before = set(samples(metrics))
    refusal = Measurement("slippage", 80, 50, -30, "bps", False, None, "too much")
    metrics.judged(verdict(refusal, dataclasses.replace(refusal, guard="home-made")))
    metrics.ended(IntentState.REFUSED)
    metrics.written("a new answer")
    metrics.included(True)
    metrics.reorged(2)
    metrics.strategy_failed("a stranger")
    metrics.chain_trouble("another")
    metrics.took(Stage.JUDGE, 0.002)
    after = samples(metrics)
    assert set(after) == before
    assert after["seawall_guard_refusals_total", "slippage"] == 1
    assert after["seawall_guard_refusals_total", OTHER] == 1
    assert after["seawall_transactions_written_total", OTHER] == 1
    assert after["seawall_candidates_total", "refused"] == 1
    assert after["seawall_reorg_depth_blocks_count", ""] == 1
    assert after["seawall_stage_duration_seconds_count", "judge"] == 1


def test_verdicts_of_a_batch_are_counted_each() -> None:
    metrics = Metrics(LABELS)
    passed = Measurement("gas", 1, 2, 1, "gas", True, None, "fine")
    refusal = Measurement("slippage", 80, 50, -30, "bps", False, None, "too much")
    metrics.judged(verdict(passed), verdict(passed, refusal), verdict(passed), verdict(refusal))
    metrics.judged()
    found = samples(metrics)
    assert found["seawall_candidates_total", "admitted"] == 2
    assert found["seawall_candidates_total", "refused"] == 2
    assert found["seawall_guard_refusals_total", "slippage"] == 2
    assert found["seawall_guard_refusals_total", "gas"] == 0


def test_head_gives_number_and_age_at_the_scrape() -> None:
    metrics = Metrics(LABELS, clock=FixedClock())
    empty = Hash(bytes(32))
    metrics.head(Block(31_337, 17, empty, empty, 988, 1, 30_000_000, Address(bytes(20)), empty))
    found = samples(metrics)
    assert found["seawall_head_number", "devnet"] == 17
    assert found["seawall_head_age_seconds", "devnet"] == 12


def test_loss_lowers_realised_profit_and_authority_is_its_number() -> None:
    metrics = Metrics(LABELS)
    metrics.realised("arbitrage", 10**18)
    metrics.realised("arbitrage", -3 * 10**18)
    metrics.authority(Authority.REDUCE_ONLY)
    metrics.unlanded(LANE, 3)
    metrics.unexplained(2)
    found = samples(metrics)
    assert found["seawall_realised_profit_wei", "arbitrage"] == -2e18
    assert found["seawall_authority", ""] == 1
    assert found["seawall_lane_unlanded", str(LANE)] == 3
    assert found["seawall_unexplained_total", ""] == 2


def test_process_metrics_are_there_and_two_kernels_do_not_share_series() -> None:
    first, second = Metrics(LABELS), Metrics(LABELS)
    first.reorged(1)
    assert samples(second)["seawall_reorgs_total", ""] == 0
    assert ("process_resident_memory_bytes", "") in samples(first)
