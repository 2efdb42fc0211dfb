"""What is made of a node's word about a key, however large or odd (KEY-3). The rest: tests/integration."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from seawall.runtime.keys.surveys import MISSING_MAX, NONCE_MAX, KeySurvey, _nonces_in
from tests.builders.messages import block

SURVEY = KeySurvey(block(100), 5, 5, (), None, has_other_code=False, final_nonce=5)


@pytest.mark.parametrize(
    ("changed", "last"),
    [
        ({}, None),
        ({"pending_count": 7}, 6),
        ({"pool_nonces": (5, 9), "pending_count": 6}, 9),
        ({"final_nonce": 3}, 4),
        ({"final_nonce": 3, "pending_count": 6}, 5),
        ({"final_nonce": None}, None),
        ({"final_nonce": 6}, None),
        ({"next_nonce": 0, "pending_count": 0, "final_nonce": 0}, None),
    ],
)
def test_the_last_nonce_is_what_is_not_final_yet(changed: dict[str, Any], last: int | None) -> None:
    assert replace(SURVEY, **changed).last_nonce == last


def test_a_nonce_that_is_very_far_ahead_is_told_without_all_that_is_missing() -> None:
    survey = replace(SURVEY, pool_nonces=(NONCE_MAX,), pending_count=None)
    assert survey.last_nonce == NONCE_MAX
    assert survey.missing_nonces == tuple(range(5, 5 + MISSING_MAX))


def test_what_is_no_nonce_is_not_read_as_one() -> None:
    odd = ["9" * 5_000, str(NONCE_MAX + 1), "-1", "0x1", "", "\u0661", 3]
    assert _nonces_in({"pending": dict.fromkeys([*odd, "7"]), "queued": {}}) == (7,)
