"""The whole pipeline over three endpoints of which one is faulty: plans land, and nobody believes the liar.

`python -m bench rpc_faults` measures the same at length; here no time is judged.
"""

from __future__ import annotations

import pytest

from bench.nodes import running_node
from bench.rpc_faults import one_fault, under_faults
from seawall.telemetry.endpoints import EndpointState
from tests.fixtures.faulty_endpoints import FAULTS

SCALE = 0.12
INTENTS_PER_S = 60
READS_PER_S = 60
# Whoever is caught lying is not asked again within this test.
FORGIVEN = [fault for fault in FAULTS if fault != "lie"]


@pytest.mark.parametrize("faults", [FORGIVEN[:3], [*FORGIVEN[3:], "lie"]], ids=" ".join)
async def test_plans_land_and_reads_are_true_whatever_one_of_three_endpoints_does(faults: list[str]) -> None:
    with running_node() as node:
        async with under_faults(node, intents_per_s=INTENTS_PER_S, reads_per_s=READS_PER_S) as (
            load,
            endpoints,
        ):
            for place, fault in enumerate(faults):
                patience_s = 0.0 if fault == "lie" else None
                await one_fault(load, endpoints, place % 3, fault, scale=SCALE, back_within_s=patience_s)
            states = [one.state for one in load.pool.health()]
            events = "\n".join(load.pool.events())
    assert (load.wrong_reads, load.failed_reads) == (0, 0)
    assert (load.landed, load.ended_otherwise) == (load.submitted, 0)
    if "lie" in faults:
        assert states.count(EndpointState.OUTVOTED) == 1
        assert "endpoint_outvoted" in events
    for fault in faults:
        told = {"lag": "endpoint_lags", "limit": "endpoint_limits", "chain": "endpoint_of_other_chain"}
        assert told.get(fault, "endpoint_rests" if fault != "lie" else "") in events
