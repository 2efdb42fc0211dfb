"""The guide's table names every guard with every argument, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from seawall.risk.guards.asking import GUARDS
from seawall.risk.layers import Scalar, scalars_of
from seawall.risk.limits import RiskLimits

GUIDE = (Path(__file__).resolve().parents[3] / "docs" / "guides" / "guards.md").read_text()
ROWS = dict(re.findall(r"^\| `(\w+)` (?:\* )?\|(.*)\|$", GUIDE, re.MULTILINE))
PLACE = [
    "pool",
    "morpho",
    "comet",
    "loan",
    "collateral",
    "oracle",
    "irm",
    "base",
    "base_feed",
    "feed",
    "lltv_wad",
]


def test_the_table_names_every_guard_in_the_order_of_a_verdict() -> None:
    assert tuple(ROWS) == tuple(GUARDS)


@pytest.mark.parametrize("name", GUARDS)
def test_a_row_names_every_argument_and_whether_it_may_be_asked_for_twice(name: str) -> None:
    named = set(re.findall(r"`(\w+)`", ROWS[name].split("|")[1]))
    at_place = set(PLACE) if "a place" in ROWS[name] else set()
    assert named | at_place == {one.name for one in GUARDS[name].arguments}
    assert (f"| `{name}` * |" in GUIDE) is GUARDS[name].is_many


def test_defaults_in_the_table_are_those_of_the_code() -> None:
    defaults = scalars_of(RiskLimits())
    for name, text in re.findall(r"`(\w+)` = ([\d.]+)", "\n".join(ROWS.values())):
        value = defaults[Scalar(name)]
        assert value is not None
        whole, _, part = text.partition(".")
        assert int(whole + part) * 10 ** (Scalar(name).decimals - len(part)) == value, name
