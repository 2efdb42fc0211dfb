"""Where each planted bug is at home: faults that make what it breaks common, in the place of a seed's own."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["HABITATS"]

_JUMPS = {"base_fee_jump": 0.15, "halt": 0.0}
_FOREIGN = {"foreign": 0.1, "reorg": 0.15, "pool_max": 10_000}
_FREEZES = {"kernels": 2, "freeze": 0.15, "halt": 0.0, "latency_s_max": 0.2, "answer_lost": 0.0}
_PROMPT = {
    "latency_s_max": 0.01,
    "answer_lost": 0.0,
    "stall": 0.0,
    "lag": 0.0,
    "lie": 0.0,
    "impostor": 0,
    "freeze": 0.0,
    "disk_full": 0.0,
    "commit_s_max": 0.0,
}

HABITATS: dict[str, Mapping[str, float]] = {
    "replacement_without_bump": _JUMPS,
    "replacement_above_the_ceiling": _JUMPS,
    "replacement_changes_the_payload": _JUMPS,
    "old_hash_forgotten_after_a_replacement": _JUMPS | {"delayed": 0.2, "delay_s_max": 30.0},
    "moved_before_finality": _FOREIGN,
    "old_hash_forgotten_after_a_move": _FOREIGN,
    "foreign_slot_not_forgotten": _FOREIGN,
    "foreign_use_unseen": _FOREIGN,
    "latch_ignored": {"halt": 0.3, "drop": 0.1},
    "stop_forgotten_at_commit": {"halt": 0.4, "latency_s_max": 1.0, "answer_lost": 0.0},
    "verdict_outlives_its_block": _PROMPT | {"reorg": 0.15},
    "one_endpoint_is_believed": {"endpoints": 3, "lie": 0.3},
    "endpoint_not_checked": {"endpoints": 2, "impostor": 1, "agreement": 1},
    "reorg_while_away_unseen": {"kernels": 2, "reorg": 0.15, "kill": 0.1},
    "fence_not_checked": _FREEZES,
    "fence_not_in_the_commit": _FREEZES,
    "confirmation_not_fenced": _FREEZES | {"freeze": 0.3, "freeze_confirming": 1.0, "reorg": 0.15},
    "stop_of_the_fleet_not_in_the_commit": _FREEZES | {"halt": 0.3},
    "lane_without_bound": {"drop": 0.0, "latency_s_max": 0.01, "empty_block": 0.7},
}
