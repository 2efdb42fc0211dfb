"""The order of one run: set the stage, submit while the nemesis rages, calm down, wait for the ends, ask
twice, read the chain, judge.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.checker import Violation, check
from tests.chaos.driver import Driver
from tests.chaos.evidence import Chain, read_chain
from tests.chaos.history import History
from tests.chaos.nemesis import Nemesis
from tests.chaos.operator import Operator
from tests.chaos.stage import SUBMITTER, Stage, running_stage
from tests.chaos.workload import Wish, wishes

__all__ = ["Plot", "Report", "judge", "play"]

# Blocks after the last outcome until what was read cannot be reorganised any more, and some.
BLOCKS_AFTER = 12
ASK_EVERY_S = 0.5
HISTORY_FILE, CHAIN_FILE = "history.jsonl", "chain.json"


@dataclass(frozen=True, slots=True)
class Plot:
    """What a run shall be."""

    intents: int
    keys: int
    seed: int
    ledger: str  # "sqlite" or "postgresql"
    kernels: int
    block_time_s: float = 0.25
    rate: float = 40.0  # wishes let go a second
    linger_s: float = 10.0  # how long the nemesis goes on after the last submission
    settle_s: float = 240.0  # how long intents may take to end once it is calm


@dataclass(frozen=True, slots=True)
class Report:
    plot: Plot
    violations: tuple[Violation, ...]
    outcomes: dict[str, int]
    answers: dict[str, int]
    faults: dict[str, int]
    took_s: dict[str, float]
    submit_p50_s: float
    submit_p99_s: float


async def play(plot: Plot, folder: Path) -> Report:
    """One run in `folder`, which keeps history, configuration, logs and ledger."""
    rng = random.Random(f"chaos of {plot.seed}")
    marks = {"start": time.monotonic()}
    async with running_stage(
        folder,
        ledger=plot.ledger,
        kernels=plot.kernels,
        keys=plot.keys,
        block_time_s=plot.block_time_s,
        rng=random.Random(rng.random()),
    ) as stage:
        wanted = wishes(stage.scene, plot.intents, plot.seed)
        with (folder / HISTORY_FILE).open("w") as stream:
            driver = Driver(
                SUBMITTER,
                [kernel.socket for kernel in stage.kernels],
                History(stream=stream),
                random.Random(rng.random()),
            )
            operator = Operator(stage.kernels)
            nemesis = Nemesis(stage, driver, random.Random(rng.random()), operator, stage.scene.senders[-1])
            marks["storm"] = time.monotonic()
            await _storm(plot, driver, nemesis, wanted)
            marks["calm"] = time.monotonic()
            keys = list(dict.fromkeys(wish.key for wish in wanted))
            await _ended(operator, driver, keys, plot.settle_s)
            marks["ended"] = time.monotonic()
            stood = await driver.ask_about_all(keys, 1)
            await _blocks(stage, BLOCKS_AFTER)
            stood = await driver.ask_about_all(keys, 2)
            violations = await asyncio.to_thread(_judged, stage, driver.history)
            marks["judged"] = time.monotonic()
    faults = dict(nemesis.counts) | {
        "kills": sum(kernel.kills for kernel in stage.kernels) - len(stage.kernels),
        "reorged blocks": nemesis.reorged,
        "lanes released": operator.released,
        "resets": sum(proxy.resets for proxy in stage.proxies),
    }
    return Report(
        plot,
        tuple(violations),
        dict(Counter(one.status for one in stood.standings)),
        dict(driver.counts),
        faults,
        _spans(marks),
        *_percentiles(driver.latencies_s),
    )


async def _storm(plot: Plot, driver: Driver, nemesis: Nemesis, wanted: list[Wish]) -> None:
    raging = asyncio.create_task(nemesis.rage())
    submitting = asyncio.create_task(driver.submit_all(wanted, plot.rate))
    done = asyncio.create_task(nemesis.has_done_all.wait())
    try:
        await asyncio.wait({raging, submitting}, return_when=asyncio.FIRST_COMPLETED)
        if submitting.done() and not raging.done():
            await asyncio.wait({raging, done}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({raging}, timeout=plot.linger_s)
        if raging.done():
            raging.result()  # it ends only by a failure of its own
        raging.cancel()
        await asyncio.wait({raging})
        await nemesis.calm()
        await submitting
    finally:
        for task in (raging, submitting, done):
            task.cancel()
        await asyncio.wait({raging, submitting, done})


async def _ended(operator: Operator, driver: Driver, keys: list[str], within_s: float) -> None:
    """Wait until all have ended; those that have not are the checker's business."""
    until_s, left = time.monotonic() + within_s, keys
    while left and time.monotonic() < until_s:
        await asyncio.sleep(ASK_EVERY_S)
        await operator.look()
        left = [one.key for one in await driver.unsettled(left)]


async def _blocks(stage: Stage, count: int) -> None:
    until = await asyncio.to_thread(stage.node.block_number) + count
    now = 0
    while now < until:
        await asyncio.sleep(ASK_EVERY_S)
        now = await asyncio.to_thread(stage.node.block_number)
        assert not stage.node.trouble, stage.node.trouble


def _judged(stage: Stage, history: History) -> list[Violation]:
    scene = stage.scene
    selector = scene.selectors["executions(bytes32)"]
    ids = {plan.id for asked in history.asked.values() for plan in asked.plans}
    chain = read_chain(
        stage.node.url, scene.recorder, lambda one: selector + one[2:], scene.senders, sorted(ids)
    )
    chain.write(stage.folder / CHAIN_FILE)
    return check(history, chain)


def judge(folder: Path) -> list[Violation]:
    """The judgement over a run that was kept, once more."""
    return check(History.read(folder / HISTORY_FILE), Chain.read(folder / CHAIN_FILE))


def _spans(marks: dict[str, float]) -> dict[str, float]:
    names = list(marks)
    return {
        f"{before} to {after}": round(marks[after] - marks[before], 1)
        for before, after in itertools.pairwise(names)
    }


def _percentiles(latencies_s: list[float]) -> tuple[float, float]:
    ordered = sorted(latencies_s) or [0.0]
    return round(ordered[len(ordered) // 2], 3), round(ordered[len(ordered) * 99 // 100], 3)
