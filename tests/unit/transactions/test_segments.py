"""Several plans in one call: who goes with whom, what the bytes promise, what a landed batch says of each."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from unittest.mock import patch

import pytest

from seawall.ledger.rows import AttemptRow, IntentRow
from seawall.native import abi_encode, encode_call
from seawall.primitives.blocks import Log
from seawall.primitives.codec import payload_digest, plan_digest
from seawall.primitives.errors import ProtocolError
from seawall.primitives.identifiers import AttemptNumber, IntentNumber, Lane
from seawall.primitives.levels import IntentState, Priority, WriteKind
from seawall.primitives.plans import ExecutorBody, Plan
from seawall.primitives.routes import Routing
from seawall.primitives.units import Address, Hash
from seawall.primitives.verdicts import Candidate, Payload
from seawall.protocols.executor.batches import SEGMENT_ENDED_TOPIC, batch_fees
from seawall.protocols.executor.encoding import execution_calldata
from seawall.transactions import segments
from seawall.transactions.segments import (
    adjacent,
    fitting_in,
    group_at,
    payload_of,
    pieces_of,
    shares_of,
)
from tests.builders.messages import (
    CHAIN_ID,
    EXECUTOR,
    GWEI,
    KEY,
    TREASURY,
    candidate,
    direct_plan,
    executor_plan,
)

OTHER_KEY = Address(b"\x0a" * 20)
OTHER_EXECUTOR = Address(b"\x0b" * 20)


def row(number: int, plan: Plan, key: Address = KEY) -> IntentRow:
    return IntentRow(
        IntentNumber(number), plan.strategy, Lane(CHAIN_ID, key), plan, plan_digest(plan), number,
        IntentState.QUEUED, "", None, "", 0, None, 0, None, None,
    )  # fmt: skip


def numbers(rows: Sequence[IntentRow]) -> list[int]:
    return [one.number for one in rows]


def at(executor: Address) -> Plan:
    plan = executor_plan()
    assert isinstance(plan.body, ExecutorBody)
    return dataclasses.replace(plan, body=dataclasses.replace(plan.body, executor=executor))


def alone(number: int, gas_limit: int) -> Candidate:
    """As a plan is judged by itself."""
    one = candidate(executor_plan(), gas_limit=gas_limit)
    assert isinstance(one.plan.body, ExecutorBody)
    data = execution_calldata(
        one.plan,
        one.plan.body,
        intent_id=number,
        plan_digest=one.plan_digest,
        max_total_fee_wei=one.max_total_fee_wei,
    )
    payload = Payload(CHAIN_ID, KEY, EXECUTOR, data, 0, gas_limit)
    return dataclasses.replace(one, number=IntentNumber(number), intent_id=number, payload=payload)


def attempt_of(payload: Payload) -> AttemptRow:
    return AttemptRow(
        AttemptNumber(1), Lane(CHAIN_ID, KEY), 0, 1, Hash(b"\x01" * 32), b"", payload,
        payload_digest(payload), WriteKind.PLAN, GWEI, 1, "public", None, 0, 0, 0, None, "", (),
    )  # fmt: skip


def ended(intent_id: int, *, landed: bool, gas_used: int, reason: bytes = b"", by: Address = EXECUTOR) -> Log:
    topics = (SEGMENT_ENDED_TOPIC, Hash(intent_id.to_bytes(32, "big")), Hash(b"\x02" * 32))
    data = abi_encode(("bool", "uint256", "bytes"), (landed, gas_used, reason))
    return Log(by, topics, data, Hash(bytes(32)), 0, Hash(bytes(32)), 0)


def other_log(place: int) -> Log:
    return Log(TREASURY, (), bytes([place]), Hash(bytes(32)), 0, Hash(bytes(32)), place)


def test_plans_of_two_lanes_are_brought_together_and_keep_their_order() -> None:
    rows = [
        row(1, executor_plan()),
        row(2, executor_plan(), OTHER_KEY),
        row(3, executor_plan()),
        row(4, executor_plan(), OTHER_KEY),
    ]
    assert numbers(adjacent(rows)) == [1, 3, 2, 4]


def test_nothing_passes_another_plan_of_its_lane() -> None:
    rows = [row(1, executor_plan()), row(2, direct_plan()), row(3, executor_plan()), row(4, executor_plan())]
    found = adjacent(rows)
    assert numbers(found) == [1, 2, 3, 4]
    assert [numbers(group_at(found, start, 8)) for start in (0, 1, 2)] == [[1], [2], [3, 4]]


@pytest.mark.parametrize(
    "other",
    [
        direct_plan(),
        at(OTHER_EXECUTOR),
        dataclasses.replace(executor_plan(), priority=Priority.HIGH),
        dataclasses.replace(executor_plan(), routing=Routing()),
    ],
    ids=["direct", "executor", "priority", "route"],
)
def test_plan_that_differs_goes_by_itself(other: Plan) -> None:
    rows = [row(1, executor_plan()), row(2, other)]
    assert numbers(group_at(rows, 0, 8)) == [1]


def test_a_plan_that_takes_out_of_a_numbered_position_goes_by_itself() -> None:
    """What comes out of it would pay for what the others lose."""
    values = ((7, EXECUTOR, 1, 1),)
    collect = encode_call("collect((uint256,address,uint128,uint128))", values)
    bodies = [ExecutorBody(EXECUTOR, TREASURY, data, (), 0, position=True) for data in (b"\x01", collect)]
    plain, taking = (dataclasses.replace(executor_plan(), body=body) for body in bodies)
    for plans, ends in (((plain, plain), 2), ((plain, taking), 1), ((taking, plain), 1)):
        rows = [row(number, plan) for number, plan in enumerate(plans, 1)]
        assert len(group_at(rows, 0, 8)) == ends


def test_plans_that_must_be_there_at_far_apart_times_do_not_share_a_fate() -> None:
    plan = executor_plan()
    deadlines_s = [plan.deadline_s + late_s for late_s in (0, 50, 60, 61, 100)]
    rows = [
        row(number, dataclasses.replace(plan, deadline_s=at_s)) for number, at_s in enumerate(deadlines_s, 1)
    ]
    assert [numbers(group_at(rows, start, 8)) for start in (0, 3)] == [[1, 2, 3], [4, 5]]
    assert numbers(adjacent([*rows[:3], row(9, plan, OTHER_KEY), *rows[3:]])) == [1, 2, 3, 9, 4, 5]


def test_group_ends_at_its_bound() -> None:
    rows = [row(number, executor_plan()) for number in range(1, 6)]
    assert numbers(group_at(rows, 0, 3)) == [1, 2, 3]
    assert numbers(group_at(rows, 3, 3)) == [4, 5]


def test_group_is_cut_where_its_gas_would_pass_the_room() -> None:
    several = [alone(number, 300_000) for number in range(1, 6)]
    assert fitting_in(several, 5 * 300_000) == 5
    assert fitting_in(several, 5 * 300_000 - 1) == 4


def test_group_is_cut_where_nodes_would_not_take_its_bytes() -> None:
    one = alone(1, 300_000)
    wide = dataclasses.replace(one, payload=dataclasses.replace(one.payload, data=bytes(20_000)))
    count = fitting_in([wide] * 8, 8 * 300_000)
    assert count == 4
    assert fitting_in([wide] * 4, 8 * 300_000) == 4


@pytest.mark.parametrize("count", [2, 40])
def test_bytes_of_a_batch_are_no_more_than_what_it_is_cut_by(count: int) -> None:
    several = [alone(number, 300_000) for number in range(1, count + 1)]
    encoded_bytes = len(payload_of(several).data)
    with patch.object(segments, "PAYLOAD_BYTES_MAX", encoded_bytes - 1):
        assert fitting_in(several, count * 300_000) < count


def test_batch_promises_the_fee_of_each_and_is_given_the_gas_of_all() -> None:
    several = [alone(1, 100_000), alone(2, 250_000), alone(3, 90_001)]
    payload = payload_of(several)
    assert payload.gas_limit == 440_001
    assert batch_fees(payload.data) == [one.max_total_fee_wei for one in several]
    assert shares_of(attempt_of(payload)) == ([100_000, 250_000, 90_001], 2 * GWEI)


def test_bytes_that_are_no_batch_of_ours_have_no_shares() -> None:
    payload = payload_of([alone(1, 100_000), alone(2, 100_000)])
    with pytest.raises(ProtocolError, match="no batch"):
        shares_of(attempt_of(dataclasses.replace(payload, data=b"\x00" * 100)))
    with pytest.raises(ProtocolError, match="do not add up"):
        shares_of(attempt_of(dataclasses.replace(payload, gas_limit=payload.gas_limit + 1)))
    with pytest.raises(ProtocolError, match="does not decode"):
        batch_fees(payload.data[:-64])


def test_logs_belong_to_the_segment_whose_end_follows_them() -> None:
    logs = [
        other_log(1),
        ended(7, landed=True, gas_used=100),
        other_log(2),
        other_log(3),
        ended(8, landed=False, gas_used=50, reason=b"\xde\xad"),
    ]
    pieces = pieces_of(logs, EXECUTOR)
    assert pieces.keys() == {7, 8}
    assert (pieces[7].landed, pieces[7].reason, len(pieces[7].logs)) == (True, "", 1)
    assert (pieces[8].landed, pieces[8].reason, pieces[8].gas_used) == (False, "it reverted with 0xdead", 50)
    assert [log.data for log in pieces[8].logs] == [b"\x02", b"\x03"]


def test_end_that_another_contract_claims_is_no_end() -> None:
    assert pieces_of([ended(7, landed=True, gas_used=1, by=OTHER_EXECUTOR)], EXECUTOR) == {}
