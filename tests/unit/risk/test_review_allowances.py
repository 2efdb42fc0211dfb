"""What others may take later has left as much as what they took: the position cap holds for both."""

from __future__ import annotations

import pytest

from seawall.primitives.simulations import AllowanceChange, Flow
from seawall.primitives.units import Address
from seawall.risk.evidence import Evidence
from seawall.risk.guards.flows import PositionSize
from seawall.risk.limits import OurAddresses, RiskLimits
from tests.builders.messages import EXECUTOR, KEY, NOW_S, POOL, USD, WETH, candidate, direct_plan, simulation

OURS = OurAddresses(frozenset({KEY, EXECUTOR}), WETH)
CAPS = PositionSize(((WETH, 100),))


def approve(spender: Address, amount: int, owner: Address = KEY, token: Address = WETH) -> AllowanceChange:
    return AllowanceChange(token, owner, spender, amount)


@pytest.mark.parametrize(
    ("changes", "passes"),
    [
        ((approve(POOL, 60),), True),
        ((approve(POOL, 61),), False),
        ((approve(POOL, 2**256 - 1),), False),
        ((approve(POOL, 2**256 - 1), approve(POOL, 0)), True),
        ((approve(EXECUTOR, 2**256 - 1),), True),
        ((approve(POOL, 2**256 - 1, owner=POOL),), True),
        ((approve(POOL, 1, token=USD),), False),
    ],
)
def test_allowance_left_to_others_counts_against_the_cap(
    changes: tuple[AllowanceChange, ...], passes: bool
) -> None:
    found = simulation(Flow(WETH, KEY, POOL, 40), allowances=changes)
    evidence = Evidence(candidate(direct_plan()), found, OURS, RiskLimits(), NOW_S)
    assert CAPS.measure(evidence).passed is passes
