"""Lanes that share a limit: what they spend together, in one batch, over batches, and over a restart."""

from __future__ import annotations

import contextlib
from pathlib import Path

from seawall.primitives.levels import IntentState
from seawall.primitives.units import NATIVE
from seawall.risk.spending import DAY_S, HOUR_S
from tests.builders.chain_model import ChainModel
from tests.builders.pipeline import Pipeline, pipeline

ETHER = 10**18
CAP_WEI = 5 * ETHER + ETHER // 2
KEYS = 8


async def outcomes(made: Pipeline, prefix: str, value_wei: int = ETHER) -> list[tuple[IntentState, str]]:
    plans = [made.plan(f"{prefix}{n}", key=key, value_wei=value_wei) for n, key in enumerate(made.signers)]
    rows = [await made.intent(number) for number in await made.submit(*plans)]
    return [(row.state, row.reason) for row in rows]


def spent_wei(made: Pipeline, window_s: int = HOUR_S) -> int:
    (one,) = [
        found
        for found in made.chain.desk.parts.gate.book.measure(made.lane, made.clock.now_s())
        if found.token == NATIVE and found.window_s == window_s
    ]
    return one.amount


async def test_eight_keys_in_one_batch_never_pass_their_common_limit(tmp_path: Path) -> None:
    async with pipeline(ChainModel(), tmp_path, keys=KEYS, budget_wei=CAP_WEI) as made:
        found = await outcomes(made, "first")
        assert [state for state, _ in found].count(IntentState.COMMITTED) == 5
        refused = [reason for state, reason in found if state is IntentState.REFUSED]
        assert len(refused) == 3
        assert all("signer_spend" in reason and "treasury" in reason for reason in refused)
        assert 5 * ETHER < spent_wei(made) <= CAP_WEI


async def test_settled_spends_count_at_what_they_cost_and_survive_a_restart(tmp_path: Path) -> None:
    model = ChainModel()
    async with pipeline(model, tmp_path, keys=KEYS, budget_wei=CAP_WEI) as made:
        await outcomes(made, "first")
        most_wei = spent_wei(made)
        for _ in range(80):
            await made.block()
        settled_wei = spent_wei(made)
        assert 5 * ETHER < settled_wei < most_wei
        assert not made.chain.desk.unsettled
    async with pipeline(model, tmp_path, keys=KEYS, budget_wei=CAP_WEI) as again:
        assert spent_wei(again) == spent_wei(again, DAY_S) == settled_wei
        states = [state for state, _ in await outcomes(again, "second", ETHER // 5)]
        assert states.count(IntentState.COMMITTED) == 2


async def test_what_was_open_at_a_restart_counts_at_its_most(tmp_path: Path) -> None:
    model = ChainModel()
    async with pipeline(model, tmp_path, keys=KEYS, budget_wei=CAP_WEI) as made:
        await outcomes(made, "first")
        most_wei = spent_wei(made)
    async with pipeline(model, tmp_path, keys=KEYS, budget_wei=CAP_WEI) as again:
        assert spent_wei(again) == most_wei
        assert all(state is IntentState.REFUSED for state, _ in await outcomes(again, "second"))


async def test_commit_that_does_not_happen_gives_its_reservations_back(tmp_path: Path) -> None:
    async with pipeline(ChainModel(), tmp_path, keys=KEYS, budget_wei=CAP_WEI) as made:
        signer = next(iter(made.signers.values()))
        signer.fails = True
        with contextlib.suppress(ConnectionError):
            await outcomes(made, "first")
        assert spent_wei(made) == 0
        signer.fails = False
        await made.look()
        assert 5 * ETHER < spent_wei(made) <= CAP_WEI
