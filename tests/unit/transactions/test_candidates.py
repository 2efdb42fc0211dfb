"""What is built of an intent: nothing that no node would take."""

from __future__ import annotations

from dataclasses import replace

import pytest

from seawall.primitives.bounds import PAYLOAD_BYTES_MAX
from seawall.primitives.errors import PlanError
from seawall.primitives.plans import DirectBody
from seawall.transactions.candidates import NO_FEES, build_candidate
from tests.builders.messages import candidate, direct_plan
from tests.unit.transactions.test_segments import row


def test_payload_larger_than_nodes_take_is_refused_before_it_has_a_nonce() -> None:
    plan, base = direct_plan(), candidate(direct_plan()).base
    assert isinstance(plan.body, DirectBody)
    widest = replace(plan, body=replace(plan.body, calldata=bytes(PAYLOAD_BYTES_MAX)))
    too_wide = replace(plan, body=replace(plan.body, calldata=bytes(PAYLOAD_BYTES_MAX + 1)))
    lane = row(1, plan).lane
    assert build_candidate(row(1, widest), lane, 0, 1, NO_FEES, base, 10**6).payload.data
    with pytest.raises(PlanError, match="more than the 92160 that nodes take"):
        build_candidate(row(1, too_wide), lane, 0, 1, NO_FEES, base, 10**6)
