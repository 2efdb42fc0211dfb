"""The demo from beginning to end, and what is left of it: nothing, or what was asked for, or what failed."""

from __future__ import annotations

import contextlib
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Final

from seawall.primitives.errors import InputError, RolloutError, SeawallError
from seawall.primitives.units import Address
from seawall.rollout.demo.account import balances, plan_accounts
from seawall.rollout.demo.acts import GAP_BPS, arbitrage_act, introduce, keeper_act, refusal_act
from seawall.rollout.demo.books import Books
from seawall.rollout.demo.result import Result
from seawall.rollout.demo.scene import Play, settle
from seawall.rollout.demo.stage import LOG_NAME, KernelProcess, Stage
from seawall.rollout.demo.telling import narrate, tell_as_json, tell_as_text
from seawall.rollout.demo.trouble import halt_act, reorg_act
from seawall.rollout.demo.words import Words
from seawall.rollout.devnet import Devnet, DevnetSettings, down, up

__all__ = ["main", "perform"]

DIRECTORY_PREFIX: Final = "seawall-demo-"
_DEVNET: Final = "devnet"
_ENDING: Final = (signal.SIGTERM, signal.SIGHUP)


def main(json: bool, *, keep: Path | None = None) -> int:
    """Play the demo and tell it, as text or as JSON. With `keep`, the folder and the devnet stay for others
    to look at; after a failure the folder alone stays. No process is left behind otherwise."""
    directory = _folder(keep)
    devnet_stays, folder_stays = False, keep is not None
    with _signals_interrupt():
        try:
            result = perform(directory, quiet=json)
            tell_as_json(result, keep) if json else tell_as_text(result, keep)
            devnet_stays = keep is not None
        except SeawallError as error:
            folder_stays = folder_stays or (directory / LOG_NAME).exists()
            if folder_stays:
                fix = f"everything is kept in {directory}, the kernel's log is {LOG_NAME} there; {error.fix}"
                raise RolloutError(error.what, error.where, fix) from error
            raise
        except BrokenPipeError:
            raise  # whoever listened has gone; that is no failure to look into
        except Exception:
            folder_stays = True
            sys.stderr.write("" if json else f"everything is kept in {directory}\n")
            raise
        finally:
            _tidy(directory, devnet_stays=devnet_stays, folder_stays=folder_stays)
    return 0


def perform(directory: Path, *, quiet: bool) -> Result:
    """All acts on a fresh devnet. What fails raises, with the kernel's log left in the folder."""
    begun_s = time.monotonic()
    info = up(DevnetSettings(directory=directory / _DEVNET, manual_mining=True))
    stage = Stage(directory, Devnet.attach(info))
    stage.prepare()
    ours: dict[Address, str] = {stage.key: "the key", stage.treasury: "the treasury"}
    play = Play(stage, Books(stage.ledger_url), Words(stage.devnet.book, ours), narrate(quiet))
    introduce(play)
    with KernelProcess(stage) as kernel:
        started_in_s = kernel.started_in_s
        play.say(
            f"`seawall run` was ready in {started_in_s:.2f} s, with a throw-away key (its keystore is"
            " cheap to"
            " open: scrypt n = 4096, p = 6)."
        )
        keeper_act(play)
        refusal_act(play)
        arbitrage = arbitrage_act(play, GAP_BPS)
        reorged = reorg_act(play, arbitrage)
        settle(play)
    with KernelProcess(stage, hold=True) as kernel:
        halted = halt_act(play, kernel, GAP_BPS)
        settle(play)
    last = play.number()
    took_s = time.monotonic() - begun_s
    return Result(
        play, plan_accounts(play), reorged, halted, balances(play, last), last, started_in_s, took_s
    )


def _folder(keep: Path | None) -> Path:
    if keep is None:
        return Path(tempfile.mkdtemp(prefix=DIRECTORY_PREFIX))
    directory = keep.absolute()
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise InputError(
            "there is something already, and nothing is overwritten", str(keep), "name a new folder"
        )
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"the folder cannot be made: {error.strerror}", str(keep), "name another") from None
    return directory


def _tidy(directory: Path, *, devnet_stays: bool, folder_stays: bool) -> None:
    """Not to be interrupted itself: a second Ctrl-C must not leave a node behind."""
    previous = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, *_ENDING)}
    try:
        if not devnet_stays:
            down(directory / _DEVNET)
        if not folder_stays:
            shutil.rmtree(directory, ignore_errors=True)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _signals_interrupt() -> Iterator[None]:
    """Being ended from outside is like Ctrl-C: it unwinds, so that node and kernel end as well. Ctrl-C has
    the same handler, because `asyncio.run` puts its own in place of Python's, and that loses an interrupt
    that comes as the work ends.
    """

    def interrupt(_: int, __: FrameType | None) -> None:
        raise KeyboardInterrupt

    previous = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, *_ENDING)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
