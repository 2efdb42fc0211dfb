"""The acts of the demo. Each does something to the world, waits until the kernel has answered, and says what
it saw.

Blocks are mined by hand, about as fast as the kernel answers, so that a run takes seconds and a reorg hits
exactly the block it is meant for."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from seawall.ledger.rows import InclusionRow, IntentRow
from seawall.primitives.errors import RolloutError
from seawall.primitives.identifiers import IntentNumber
from seawall.primitives.levels import IntentState, WriteKind
from seawall.primitives.units import Hash, hex_text
from seawall.rollout.demo.books import Books
from seawall.rollout.demo.stage import HOLD_POINT, KernelProcess, Stage, seawall, wait_until
from seawall.rollout.devnet import Trader
from seawall.rollout.devnet.steering import mine, reorg

__all__ = [
    "Halt",
    "Play",
    "Reorg",
    "arbitrage_act",
    "halt_act",
    "keeper_act",
    "refusal_act",
    "reorg_act",
    "settle",
]

GAP_BPS: Final = 300
REORG_DEPTH: Final = 2
REFUSALS: Final = 5
BLOCKS_MAX: Final = 80
BLOCK_PAUSE_S: Final = 0.12
WAIT_S: Final = 20.0
# More than a verdict's validity in the demo's configuration (3 blocks).
LAPSE_BLOCKS: Final = 5


@dataclass(frozen=True, slots=True)
class Reorg:
    """What the reorg did to one transaction."""

    depth: int
    plan: IntentNumber
    transaction: Hash
    removed_from: Hash  # block
    landed_again_in: Hash  # block


@dataclass(frozen=True, slots=True)
class Halt:
    """A plan stopped between its commit and its first byte."""

    plan: IntentNumber
    transaction: Hash
    seen_by_node: bool
    pool_was_empty: bool
    nonce_unmoved: bool
    filled_by: Hash


@dataclass(frozen=True, slots=True)
class Play:
    """What the acts share."""

    stage: Stage
    books: Books
    say: Callable[[str], None]

    def pump(self, holds: Callable[[], bool], what: str) -> None:
        """Mine a block at a time until `holds`."""
        for _ in range(BLOCKS_MAX):
            if holds():
                return
            mine(self.stage.devnet)
            time.sleep(BLOCK_PAUSE_S)
        raise RolloutError(
            f"mined {BLOCKS_MAX} blocks waiting for {what}", "demo", "read kernel.log in its folder"
        )

    def number(self) -> int:
        return self.stage.devnet.rpc.integer("eth_blockNumber")


def keeper_act(play: Play) -> IntentRow:
    """The key holds more native token than its range allows: the keeper wraps the surplus."""
    play.say("The key starts with 20 ETH, and the keeper strategy keeps it between 2 and 15.")
    play.pump(lambda: _landed(play, "keeper") is not None, "the keeper's deposit")
    row = _require(_landed(play, "keeper"))
    play.say(f"  plan #{row.number}: {row.plan.note}. It is on chain.")
    return row


def refusal_act(play: Play) -> list[IntentRow]:
    """Plans that must not be signed, each for another reason."""
    play.say("A hopeful strategy asks for five things that must not be signed.")
    play.pump(lambda: len(_refused(play)) >= REFUSALS, "five refusals")
    refused = _refused(play)
    for row in refused:
        play.say(f"  plan #{row.number}: {row.plan.note}.\n    refused: {row.reason}")
    return refused


def arbitrage_act(play: Play, gap_bps: int) -> IntentRow:
    """A trader moves the V2 price; the arbitrage strategy takes the gap with a flash loan."""
    known = {row.number for row in play.books.of("arbitrage")}
    play.say(
        f"A trader's swap moves the Uniswap V2 price of ETH by {gap_bps / 100:+.0f} % against the V3 pool."
    )
    Trader(play.stage.devnet).open_gap_v2("weth", "usdx", gap_bps)
    # The trader's block stays out of reach of the reorg that follows.
    play.pump(lambda: _landed(play, "arbitrage", known) is not None, "the arbitrage")
    row = _require(_landed(play, "arbitrage", known))
    play.say(f"  plan #{row.number}: {row.plan.note}. It is on chain.")
    return row


def reorg_act(play: Play, row: IntentRow) -> Reorg:
    """The chain forgets the block with the arbitrage in it, transaction and all; Seawall lands it again,
    once."""
    first = _inclusion(play, row)
    depth = play.number() - first.block_number + 1
    play.say(
        f"A reorg of {depth} block(s) takes the block away that holds it; the node forgets the transaction."
    )
    reorg(play.stage.devnet, depth)

    def again() -> bool:
        now = play.books.inclusion(row.number)
        return now is not None and now.block_hash != first.block_hash

    play.pump(again, "the transaction to land again")
    second = _inclusion(play, row)
    play.say(
        f"  judged again on the new head and written again: {hex_text(second.attempt_hash)[:18]}… is now in block"
        f" {second.block_number}, and in no other."
    )
    return Reorg(depth, row.number, second.attempt_hash, first.block_hash, second.block_hash)


def halt_act(play: Play, kernel: KernelProcess, gap_bps: int) -> Halt:
    """A signal stops a plan that is committed and not yet written; after resume its nonce is filled."""
    stage, rpc = play.stage, play.stage.devnet.rpc
    known = {row.number for row in play.books.of("arbitrage")}
    play.say(f"The kernel was restarted and will stand still at `{HOLD_POINT}`. Another gap opens.")
    Trader(stage.devnet).open_gap_v2("weth", "usdx", gap_bps)
    play.pump(kernel.reached.exists, "the plan to be held before its first byte")
    held = next(row for row in play.books.of("arbitrage") if row.number not in known)
    attempt = play.books.attempts(held.number)[0]
    nonce = rpc.integer("eth_getTransactionCount", hex_text(stage.key), "latest")
    kernel.signal(signal.SIGUSR1)
    wait_until(lambda: '"HALT"' in _text(stage.data / "latch.json"), WAIT_S, "the latch")
    kernel.release.touch()
    mine(stage.devnet, LAPSE_BLOCKS)
    time.sleep(0.5)
    seen = rpc.call("eth_getTransactionByHash", hex_text(attempt.hash)) is not None
    pool = rpc.record("txpool_status")
    unmoved = rpc.integer("eth_getTransactionCount", hex_text(stage.key), "latest") == nonce
    play.say(f"  plan #{held.number} is committed as {hex_text(attempt.hash)[:18]}…, then SIGUSR1: HALT.")
    play.say(
        f"  the node {'HAS SEEN' if seen else 'has never seen'} it; its pool: {pool}; nonce unmoved: {unmoved}."
    )
    Trader(stage.devnet).open_gap_v2("weth", "usdx", _opposite(gap_bps))
    seawall("resume", "--config", str(stage.configuration), "--reason", "the demo goes on")
    play.say("  the gap is gone, the verdict has lapsed; after `seawall resume` the plan is judged anew.")
    play.pump(lambda: _state(play, held.number) is IntentState.CANCELLED, "the nonce to be filled and final")
    ended = next(row for row in play.books.intents() if row.number == held.number)
    filler = _filler(play, attempt.nonce)
    play.say(f"  cancelled: {ended.reason}.\n  its nonce was filled by {hex_text(filler)[:18]}….")
    empty = all(value == "0x0" for value in pool.values())
    return Halt(held.number, attempt.hash, seen, empty, unmoved, filler)


def settle(play: Play) -> None:
    """Mine until every plan has its outcome."""
    play.pump(lambda: all(row.state.is_outcome for row in play.books.intents()), "every plan to end")


def _landed(play: Play, strategy: str, known: set[IntentNumber] | None = None) -> IntentRow | None:
    for row in play.books.of(strategy):
        if row.number not in (known or set()) and play.books.inclusion(row.number) is not None:
            return row
    return None


def _refused(play: Play) -> list[IntentRow]:
    return [row for row in play.books.of("hopeful") if row.state is IntentState.REFUSED]


def _inclusion(play: Play, row: IntentRow) -> InclusionRow:
    found = play.books.inclusion(row.number)
    if found is None:
        raise RolloutError(
            f"plan #{row.number} is on no canonical block", "demo", "read kernel.log in its folder"
        )
    return found


def _filler(play: Play, nonce: int) -> Hash:
    lane = play.books.intents()[0].lane
    attempts = play.books.read(lambda tx: tx.attempts.of_slot(lane, nonce))
    return next(attempt.hash for attempt in attempts if attempt.kind is WriteKind.HOUSEKEEPING)


def _state(play: Play, number: IntentNumber) -> IntentState:
    return next(row.state for row in play.books.intents() if row.number == number)


def _opposite(gap_bps: int) -> int:
    """The move that takes a gap back: from (1 + g) to 1 is 1 / (1 + g) - 1."""
    return 10_000 * 10_000 // (10_000 + gap_bps) - 10_000


def _text(path: object) -> str:
    from pathlib import Path

    assert isinstance(path, Path)
    return path.read_text() if path.exists() else ""


def _require(row: IntentRow | None) -> IntentRow:
    assert row is not None
    return row
