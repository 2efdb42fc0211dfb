"""Ownership is offered to nobody who is not what the file says."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from seawall.primitives.errors import RolloutError
from seawall.rollout.deployment.running import Parts, deploy
from seawall.rollout.deployment.surveying import OFFERS, Stage
from seawall.rollout.deployment.wanted import Write

PROBLEM = "council is 1 of 1, and should be 3 of 5 or more"


def parts(stage: Stage, handed: list[object]) -> Parts:
    survey = SimpleNamespace(
        stage=stage,
        owner_problems=(PROBLEM,),
        wish=SimpleNamespace(name="desk", owner_name="council"),
        block=SimpleNamespace(number=7),
    )
    nobody = cast(Any, SimpleNamespace(hand_in=handed.append, follow=handed.append))
    return Parts(lambda: cast(Any, survey), nobody, cast(Any, handed.append), lambda _: None, lambda _: None)


@pytest.mark.parametrize("what", ["offer", "taking"])
def test_ownership_goes_to_no_safe_that_is_weaker_than_the_file_says(what: str) -> None:
    write = cast(Write, SimpleNamespace(text="ownership is offered"))
    taken = cast(Any, SimpleNamespace(role="registry"))
    stage = Stage(OFFERS, writes=(write,)) if what == "offer" else Stage("taking", takings=(taken,))
    handed: list[object] = []
    with pytest.raises(RolloutError, match="1 of 1"):
        deploy(parts(stage, handed))
    assert handed == []
