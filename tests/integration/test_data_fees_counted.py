"""What a roll-up takes for data counts wherever fees count: verdict, reservations, signer policy and minimum
balance. Judged on a true node with stand-ins of what the roll-ups predeploy."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from seawall.chain import simulation
from seawall.chain.data_fees import ENVELOPE_BYTES_MAX, GAS_PRICE_ORACLE, MARGIN_BPS
from seawall.chain.networks import L2Kind, network_of
from seawall.chain.rpc import HttpTransport
from seawall.primitives.identifiers import IntentNumber
from seawall.primitives.levels import IntentState
from seawall.primitives.plans import Plan
from seawall.primitives.units import BPS, NATIVE, Address, mul_div_up
from seawall.primitives.verdicts import Verdict
from seawall.risk.limits import RiskLimits
from tests.builders.chain_model import ChainModel
from tests.builders.pipeline import ETHER, LIMITS, Pipeline, local_keys, open_policy, pipeline
from tests.fixtures.anvil import CHAIN_ID, Anvil, running_anvil
from tests.fixtures.predeploys import (
    OPERATOR_CONSTANT,
    OPERATOR_SCALAR,
    fjord_upper_bound_wei,
    set_gas_price_oracle,
    set_node_interface,
)

pytestmark = pytest.mark.anvil

NAME = "a plan"
Started = Callable[..., AbstractAsyncContextManager[Pipeline]]


@pytest.fixture(scope="module")
def node() -> Iterator[Anvil]:
    # Far below what is bid at least, so that the price of gas here plays no part.
    options = ("--timestamp", str(ChainModel().start_s), "--base-fee", "1000")
    with running_anvil(*options) as anvil:
        set_gas_price_oracle(anvil)
        set_node_interface(anvil)
        key = local_keys(1)[0].address
        anvil.rpc("anvil_setBalance", "0x" + key.hex(), hex(10 * ETHER))
        anvil.mine(6)
        yield anvil


@pytest.fixture
def started(node: Anvil, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Started:
    """The pipeline judging on the node, with nothing of its own before; its bytes go nowhere."""
    folders = count()
    # No verdict is given on a roll-up in this version, for want of a remote judge: here it is.
    monkeypatch.setattr(simulation, "require_local_judge", lambda _network: None)

    @asynccontextmanager
    async def start(
        limits: RiskLimits | None = None, kind: L2Kind = L2Kind.OPTIMISM
    ) -> AsyncIterator[Pipeline]:
        transport, folder = HttpTransport(node.url), tmp_path / str(next(folders))
        folder.mkdir()
        async with pipeline(
            ChainModel(),
            folder,
            transports=[transport],
            network=replace(network_of(CHAIN_ID), l2_kind=kind),
            limits=limits,
        ) as found:
            yield found
        await transport.close()

    return start


def data_fee_wei(gas_limit: int) -> int:
    l1_fee_wei = mul_div_up(fjord_upper_bound_wei(len(NAME) + ENVELOPE_BYTES_MAX), MARGIN_BPS, BPS)
    return l1_fee_wei + gas_limit * OPERATOR_SCALAR * 100 + OPERATOR_CONSTANT


async def judged(found: Pipeline) -> tuple[IntentNumber, Verdict]:
    (number,) = await found.submit(found.plan(NAME))
    return number, await verdict_of(found, number)


async def verdict_of(found: Pipeline, number: IntentNumber) -> Verdict:
    return (await found.ledger.read(lambda tx: tx.verdicts.of_intent(number)))[-1].verdict


async def test_verdict_reservation_and_prediction_hold_the_data_fee(started: Started) -> None:
    async with started() as found:
        number, verdict = await judged(found)
        (attempt,) = await found.attempts(number)
        data_wei = data_fee_wei(attempt.payload.gas_limit)
        gas_wei = verdict.max_total_fee_wei - data_wei
        per_gas_wei, rest = divmod(gas_wei, attempt.payload.gas_limit)
        assert rest == 0
        assert attempt.max_fee_per_gas_wei <= per_gas_wei <= 4 * attempt.max_fee_per_gas_wei
        reserved = await found.ledger.read(lambda tx: tx.reservations.sum(found.lane, NATIVE))
        assert reserved == 1 + verdict.max_total_fee_wei
        assert verdict.expected_fee_wei > data_wei


def limits_with(fee_max_wei: int) -> RiskLimits:
    key = Address(local_keys(1)[0].address)
    return replace(LIMITS, policies={key: replace(open_policy(key), fee_max_wei=fee_max_wei)})


async def test_signer_policy_refuses_what_only_the_data_fee_makes_too_dear(
    started: Started,
) -> None:
    async with started() as found:
        _, verdict = await judged(found)
    for less_wei, name in ((0, "dear"), (1, "too dear")):
        async with started(limits_with(verdict.max_total_fee_wei - less_wei)) as found:
            plan = replace(found.plan(NAME), idempotency_key=name)
            (number,) = await found.submit(plan)
            judged_now = await verdict_of(found, number)
            (fee,) = [one for one in judged_now.measurements if one.guard == "signer_fee"]
            assert (fee.measured, fee.passed) == (verdict.max_total_fee_wei, not less_wei)


async def test_minimum_balance_is_kept_beside_the_data_fee(
    started: Started,
) -> None:
    async with started(LIMITS) as found:
        _, verdict = await judged(found)
    kept_wei = 10 * ETHER - 1 - verdict.max_total_fee_wei
    for name, minimum_wei, state in (
        ("kept", kept_wei, IntentState.COMMITTED),
        ("short", kept_wei + 1, IntentState.REFUSED),
    ):
        async with started(replace(LIMITS, key_balance_min_wei=minimum_wei)) as found:
            plan = found.plan(NAME)
            (number,) = await found.submit(replace(plan, idempotency_key=name))
            assert (await found.intent(number)).state is state, name


@pytest.mark.parametrize("is_one_batch", [True, False])
@pytest.mark.parametrize("kind", [L2Kind.OPTIMISM, L2Kind.ARBITRUM])
async def test_transfers_of_one_key_cannot_promise_the_same_wei_for_their_data(
    started: Started, kind: L2Kind, is_one_batch: bool
) -> None:
    def twins(found: Pipeline) -> tuple[Plan, Plan]:
        plan = found.plan(NAME)
        return plan, replace(plan, idempotency_key="its twin")

    async def two(found: Pipeline) -> list[IntentNumber]:
        first, second = twins(found)
        if is_one_batch:
            return await found.submit(first, second)
        return await found.submit(first) + await found.submit(second)

    async with started(LIMITS, kind) as found:
        first, second = await two(found)
        (attempt,) = await found.attempts(first)
        verdict, desk = await verdict_of(found, second), found.chain.desk
        data = desk.parts.data_fees.most_for(attempt.payload, desk.base())
    (kept,) = [one for one in verdict.measurements if one.guard == "balance"]
    gas_wei = (verdict.gas_used or 0) * attempt.max_fee_per_gas_wei
    data_wei = data.fee_wei + data.extra_gas * attempt.max_fee_per_gas_wei
    assert gas_wei > 0
    assert data_wei > 0
    # Both values, what running the first one takes, what its data does, and the second at its dearest.
    assert kept.measured == 10 * ETHER - 2 - gas_wei - data_wei - verdict.max_total_fee_wei
    for least_wei, states in (
        (kept.measured, [IntentState.COMMITTED, IntentState.COMMITTED]),
        (kept.measured + 1, [IntentState.COMMITTED, IntentState.REFUSED]),
    ):
        async with started(replace(LIMITS, key_balance_min_wei=least_wei), kind) as found:
            assert [(await found.intent(number)).state for number in await two(found)] == states


async def test_bytes_judged_anew_count_the_data_of_those_before_them_too(
    node: Anvil, started: Started
) -> None:
    async with started(LIMITS) as found:
        plan = found.plan(NAME)
        _, second = await found.submit(plan, replace(plan, idempotency_key="its twin"))
        node.mine(LIMITS.validity_blocks + 1)
        await found.look()
        verdicts = await found.ledger.read(lambda tx: tx.verdicts.of_intent(second))
    assert len(verdicts) == 2
    kept = [m.measured for row in verdicts for m in row.verdict.measurements if m.guard == "balance"]
    assert kept[0] == kept[1]


async def test_oracle_that_does_not_answer_lets_everything_wait(node: Anvil, started: Started) -> None:
    code = node.rpc("eth_getCode", "0x" + GAS_PRICE_ORACLE.hex(), "latest")
    assert isinstance(code, str)
    node.set_code(GAS_PRICE_ORACLE, "")
    node.mine()
    try:
        async with started() as found:
            (number,) = await found.submit(found.plan(NAME))
            row = await found.intent(number)
            assert (row.state, row.candidates) == (IntentState.QUEUED, 1)
            assert await found.attempts(number) == []
    finally:
        node.set_code(GAS_PRICE_ORACLE, code[2:])
        node.mine()
