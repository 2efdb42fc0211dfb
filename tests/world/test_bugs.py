"""Every planted bug is found within 200 seeds, for the right reason, and they are clean without it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

import pytest

from tests.world.bugs import BUGS
from tests.world.simulation import simulate

SEEDS = 200
_SEEDS_SHOWN = 2

# Bug: what the checker says, and seeds that are known to show it, the first one first. Those are tried first:
# they move when the kernel's awaits do, and then the search costs a while and finds others.
FOUND: dict[str, tuple[str, tuple[int, ...]]] = {
    "nonce_counter": ("what the kernel chose|a nonce was left out", (0, 1)),
    "second_nonce": ("given a second nonce", (1, 3)),
    "filler_without_bump": ("does not outbid", (1, 2)),
    "old_hash_forgotten": ("is cancelled, but the final chain says", (15, 21)),
    "dropped_not_tended": ("never ended", (0, 1)),
    "unsettled_not_loaded": ("never ended", (0, 1)),
    "sent_before_commit": ("sent that no commit holds", (0, 1)),
    "signed_other_than_committed": ("what was signed is not what was committed", (0, 1)),
    "fence_not_checked": ("had lost the lane", (21, 45)),
    "confirmation_not_fenced": (r"kernel\d+ died", (58, 63)),
    "fence_not_in_the_commit": ("had lost the lane", (0, 21)),
    "stop_forgotten_at_commit": ("authority changed between the verdict and the commit", (18, 57)),
    "latch_ignored": ("under (HALT|REDUCE_ONLY)", (2, 5)),
    "lapsed_verdict_written": ("under a lapsed verdict", (14, 25)),
    "verdict_outlives_its_block": ("whose base block was gone", (23, 77)),
    "overlay_forgotten": ("what the kernel chose", (8, 10)),
    "overlay_without_values": ("a key was overspent", (0, 2)),
    "dependency_not_awaited": ("went ahead of what it depends on", (0, 1)),
    "endpoint_not_checked": ("an integrity alarm|what the kernel chose", (1, 9)),
    "receipt_is_final": ("but the final chain says", (0, 1)),
    "finality_off_by_one": ("but the final chain says", (0, 1)),
    "outcome_at_inclusion": ("but the final chain says", (0, 1)),
    "cancelled_at_fill": ("is cancelled (and cannot become|, but)", (1, 2)),
    "reorg_not_flipped": ("an integrity alarm", (0, 1)),
    "foreign_use_unseen": ("never (ended|settled)", (4, 11)),
    "reservation_kept": ("reservations outlive", (0, 1)),
    "foreign_reservation_kept": ("reservations outlive", (4, 11)),
    "fee_posted_by_half": ("is unexplained", (0, 1)),
    "failed_value_posted": ("is unexplained", (0, 1)),
    "idempotency_not_looked_up": ("landed twice|were parted", (1, 2)),
    "state_before_plans": ("were parted", (0, 7)),
    "cursor_before_decision": ("was not told an outcome", (7, 14)),
}


@pytest.mark.timeout(600)  # a search for other seeds may be long
@pytest.mark.parametrize("name", BUGS)
def test_planted_bug_is_found(name: str) -> None:
    said, known = FOUND[name]
    seeds = _finders(name, said, [*known, *(seed for seed in range(SEEDS) if seed not in known)])
    assert seeds, f"no seed of the first {SEEDS} finds {name}"
    assert [_clean(seed) for seed in seeds] == [None] * len(seeds)


def test_every_bug_has_its_words_and_seeds() -> None:
    assert FOUND.keys() == BUGS.keys()


@cache
def _clean(seed: int) -> str | None:
    return simulate(seed).violation


def _finders(name: str, said: str, seeds: Iterable[int]) -> list[int]:
    """The first seeds of these that find it, one at least, and no more than are known without a search."""
    found: list[int] = []
    for tried, seed in enumerate(seeds):
        if len(found) == _SEEDS_SHOWN or (found and tried >= _SEEDS_SHOWN):
            break
        violation = simulate(seed, BUGS[name]).violation
        if violation is not None and re.search(said, violation):
            found.append(seed)
    return found
