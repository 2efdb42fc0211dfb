"""A series judges each candidate on exactly what precedes it: as one after the other does, to the byte."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.chain.simulation import Machine, Step
from seawall.native.evm import Execution, Missing
from seawall.primitives.identifiers import IntentNumber, Lane
from seawall.primitives.levels import Authority, Priority
from seawall.primitives.plans import DirectBody, Plan
from seawall.primitives.units import Address
from seawall.primitives.verdicts import Payload, Verdict
from seawall.transactions import batches, dispatch
from seawall.transactions.batches import BatchJudging
from tests.builders.chain_model import ChainModel
from tests.builders.pipeline import ETHER, SOMEBODY, Pipeline, pipeline

# Counts its calls, and reverts where count and length of the calldata together are a multiple of three:
# SLOAD(0) + 1 to slot 0, + CALLDATASIZE, MOD 3, JUMPI over a revert, STOP.
COUNTER = Address(b"\xc1" * 20)
COUNTER_CODE = bytes.fromhex("5f54600101805f553601600390066014575f5ffd5b00")
REVERTS = Address(b"\xc2" * 20)
KEYS = 3
BUDGET_WEI = 8 * ETHER
GAS_LIMIT = 100_000


@dataclass(frozen=True)
class Wish:
    key: int
    to: Address | int  # one of our keys by its number
    size: int  # of the calldata
    value_wei: int
    priority: Priority
    gas_limit: int | None  # None: measured, then guessed


WISHES = st.lists(
    st.builds(
        Wish,
        key=st.integers(0, KEYS - 1),
        to=st.sampled_from([SOMEBODY, SOMEBODY, COUNTER, COUNTER, REVERTS, 0, 1, 2]),
        size=st.integers(0, 1),
        value_wei=st.sampled_from([0, 1, ETHER, ETHER, 3 * ETHER, 9 * ETHER]),
        priority=st.sampled_from(Priority),
        gas_limit=st.sampled_from([None, 60_000]),
    ),
    min_size=8,
    max_size=24,
)


@settings(max_examples=15, deadline=None)
@given(WISHES, st.sampled_from([Authority.RUN, Authority.RUN, Authority.REDUCE_ONLY]))
def test_a_series_ends_as_one_after_the_other(wishes: Sequence[Wish], authority: Authority) -> None:
    assert _ends(wishes, batches.SERIES_MAX, authority) == _ends(wishes, 1, authority)


@settings(max_examples=5, deadline=None)
@given(WISHES)
def test_what_compares_before_and_after_is_judged_alone(wishes: Sequence[Wish]) -> None:
    """Under REDUCE_ONLY a verdict looks at the state before its candidate too."""
    lengths: list[int] = []
    true_series = Machine.series

    def series(self: Machine, steps: Sequence[Step]) -> list[Execution | Missing]:
        lengths.append(len(steps))
        return true_series(self, steps)

    with patch.object(Machine, "series", series):
        _ends(wishes, batches.SERIES_MAX, Authority.REDUCE_ONLY)
    assert set(lengths) == {1}


def _ends(wishes: Sequence[Wish], length: int, authority: Authority) -> list[object]:
    single = partial(BatchJudging, _length=length)
    with (
        tempfile.TemporaryDirectory() as folder,
        patch.object(batches, "SERIES_MAX", length),
        patch.object(dispatch, "BatchJudging", single),
    ):
        return asyncio.run(_judged(wishes, Path(folder), authority))


async def _judged(wishes: Sequence[Wish], folder: Path, authority: Authority) -> list[object]:
    """Everything that was stored, and what lies on the overlay."""
    model = ChainModel()
    model.codes |= {COUNTER: COUNTER_CODE, REVERTS: bytes.fromhex("5f5ffd")}
    async with pipeline(model, folder, keys=KEYS, budget_wei=BUDGET_WEI) as found:
        if authority is not Authority.RUN:
            found.latch.lower(authority, "a drill", "a test")
        numbers = await found.submit(*_plans(found, wishes))
        stored = [await _stored(found, number) for number in numbers]
        simulator = found.chain.desk.parts.simulator
        held, states = list(simulator.held), await _states(found)
        # Whatever was adopted from series is what its entries leave behind.
        await simulator.rebuild([])
        await simulator.rebuild(held)
        assert await _states(found) == states
        return [stored, held, states]


async def _stored(found: Pipeline, number: IntentNumber) -> tuple[object, ...]:
    verdicts = await found.ledger.read(lambda tx: tx.verdicts.of_intent(number))
    judged: list[Verdict] = [one.verdict for one in verdicts]
    row, attempts = await found.intent(number), await found.attempts(number)
    return row.state, row.reason, [(one.nonce, one.raw) for one in attempts], judged


async def _states(found: Pipeline) -> list[object]:
    """What every key would find: its balance, and how often the contract was called."""
    desk, states = found.chain.desk, []
    simulator = desk.parts.simulator
    for key in found.signers:
        nonce = desk.next_nonce(Lane(found.model.chain_id, key), 0)
        payload = Payload(found.model.chain_id, key, COUNTER, b"", 0, GAS_LIMIT)
        answer = await simulator.run(payload, nonce, simulator.base_fee_wei)
        (result,) = answer.transactions
        states.append((result.status, result.gas_used, result.failure, result.sender_balance_wei))
    return [simulator.overlay_digest, *states]


def _plans(found: Pipeline, wishes: Sequence[Wish]) -> list[Plan]:
    keys = list(found.signers)
    plans = []
    for place, wish in enumerate(wishes):
        to = keys[wish.to] if isinstance(wish.to, int) else wish.to
        plan = found.plan(f"plan {place}", key=keys[wish.key], priority=wish.priority)
        body = DirectBody(to, b"x" * wish.size, wish.value_wei)
        plans.append(replace(plan, body=body, gas_limit=wish.gas_limit))
    return plans
