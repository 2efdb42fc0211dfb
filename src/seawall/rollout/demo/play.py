"""The demo from beginning to end."""

from __future__ import annotations

import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from seawall.rollout.demo.account import Balance, PlanAccount, balances, plan_accounts
from seawall.rollout.demo.acts import (
    GAP_BPS,
    Halt,
    Play,
    Reorg,
    arbitrage_act,
    halt_act,
    keeper_act,
    refusal_act,
    reorg_act,
    settle,
)
from seawall.rollout.demo.books import Books
from seawall.rollout.demo.stage import KernelProcess, Stage
from seawall.rollout.demo.telling import narrate, tell_as_json, tell_as_text
from seawall.rollout.devnet import Devnet, DevnetSettings, down, up

__all__ = ["Result", "main", "perform"]

DIRECTORY_PREFIX: Final = "seawall-demo-"


@dataclass(frozen=True, slots=True)
class Result:
    """Everything that the demo shows at its end."""

    stage: Stage
    plans: list[PlanAccount]
    reorg: Reorg
    halt: Halt
    balances: list[Balance]
    kernel_started_in_s: float
    took_s: float


def main(json: bool, *, keep: Path | None = None) -> int:
    """Play the demo and tell it, as text or as JSON. With `keep`, the folder and the devnet stay for others
    to look at."""
    directory = keep if keep is not None else Path(tempfile.mkdtemp(prefix=DIRECTORY_PREFIX))
    directory.mkdir(parents=True, exist_ok=True)
    finished = False
    try:
        result = perform(directory, quiet=json)
        tell_as_json(result) if json else tell_as_text(result)
        finished = True
    finally:
        if keep is None:
            down(directory / "devnet")
            if finished:
                shutil.rmtree(directory, ignore_errors=True)
    return 0


def perform(directory: Path, *, quiet: bool) -> Result:
    """All acts on a fresh devnet. What fails raises, with the kernel's log left in the folder."""
    begun_s = time.monotonic()
    info = up(DevnetSettings(directory=directory / "devnet", manual_mining=True))
    stage = Stage(directory, Devnet.attach(info))
    play = Play(stage, Books(stage.ledger_url), narrate(quiet))
    play.say("A local chain with the true WETH, Uniswap V2 and V3, and Balancer V2 contracts is up.")
    stage.prepare()
    with KernelProcess(stage) as kernel:
        started_in_s = kernel.started_in_s
        play.say(f"`seawall run` was ready in {started_in_s:.2f} s.")
        keeper_act(play)
        refusal_act(play)
        arbitrage = arbitrage_act(play, GAP_BPS)
        reorged = reorg_act(play, arbitrage)
        settle(play)
    with KernelProcess(stage, hold=True) as kernel:
        halted = halt_act(play, kernel, GAP_BPS)
        settle(play)
    return Result(
        stage, plan_accounts(play), reorged, halted, balances(play), started_in_s, time.monotonic() - begun_s
    )
