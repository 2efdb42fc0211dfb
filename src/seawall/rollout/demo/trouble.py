"""The later acts: a reorg, and a stop at the worst moment.

What they say is read from the ledger and asked of the node; where the answer is not the promised one, the
act raises instead of telling it."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from seawall.ledger.rows import AttemptRow, InclusionRow, IntentRow
from seawall.primitives.errors import RolloutError
from seawall.primitives.identifiers import IntentNumber
from seawall.primitives.levels import Authority, IntentState, WriteKind
from seawall.primitives.units import Hash, hex_text
from seawall.rollout.demo.scene import WAIT_S, Play, short
from seawall.rollout.demo.stage import HOLD_POINT, LOG_FIX, KernelProcess, seawall, wait_until
from seawall.rollout.devnet import Trader
from seawall.rollout.devnet.steering import mine, reorg

__all__ = ["Halt", "Reorg", "halt_act", "reorg_act"]

REORG_DEPTH: Final = 2
REORG_DEPTH_MAX: Final = 3
# More than a verdict's validity in the demo's configuration (3 blocks).
LAPSE_BLOCKS: Final = 5
_POOL_FIELDS: Final = ("pending", "queued")


@dataclass(frozen=True, slots=True)
class Reorg:
    """What the reorg did to one transaction."""

    depth: int
    head_number: int
    plan: IntentNumber
    transaction: Hash
    removed_from: InclusionRow
    landed_again_in: InclusionRow
    renewed: bool  # judged anew before its bytes were written again


@dataclass(frozen=True, slots=True)
class NodeAnswers:
    """What the node said while HALT was in force."""

    pool: Mapping[str, int]  # transactions by kind
    nonce_before: int
    nonce: int


@dataclass(frozen=True, slots=True)
class Halt:
    """A plan stopped between its commit and its first byte."""

    plan: IntentNumber
    transaction: Hash
    nonce: int
    seen_by_node: bool
    halted: NodeAnswers
    filler: InclusionRow


def reorg_act(play: Play, row: IntentRow) -> Reorg:
    """The chain forgets the block with the arbitrage in it, transaction and all; Seawall lands it again,
    once."""
    first = play.inclusion(row.number)
    before = play.books.attempts(row.number)[-1]
    while play.number() - first.block_number + 1 < REORG_DEPTH:
        mine(play.stage.devnet)
        play.follow()
    head = play.number()
    depth = head - first.block_number + 1
    if depth > REORG_DEPTH_MAX:
        raise RolloutError(f"the plan is {depth} blocks deep already", "demo", "run it again")
    play.say(
        f"\n4. A reorg\nThe last {depth} blocks are replaced by empty ones; the arbitrage was in block"
        f" {first.block_number}, and the node forgets its transaction."
    )
    reorg(play.stage.devnet, depth)
    if play.stage.devnet.rpc.call("eth_getTransactionByHash", hex_text(first.attempt_hash)) is not None:
        raise RolloutError("the node still knows the removed transaction", "demo", "check the pinned anvil")

    def again() -> bool:
        now = play.books.inclusion(row.number)
        return now is not None and now.block_hash != first.block_hash

    play.pump(again, "the transaction to land again")
    second, after = play.inclusion(row.number), play.books.attempts(row.number)[-1]
    renewed = after.renewals > before.renewals
    play.say(f"  {_why_again(play, row, renewed)}")
    play.say(
        f"  written {after.writes} times in all, landed once: {short(second.attempt_hash)} is in block"
        f" {second.block_number} now ({short(second.block_hash)}, before {short(first.block_hash)})."
    )
    return Reorg(depth, head, row.number, second.attempt_hash, first, second, renewed)


def halt_act(play: Play, kernel: KernelProcess, gap_bps: int) -> Halt:
    """A signal stops a plan that is committed and not yet written; after resume its nonce is filled."""
    stage = play.stage
    known = {row.number for row in play.books.of("arbitrage")}
    play.say(
        "\n5. A stop at the worst moment\nThe kernel was restarted so that it will stand still at"
        " the failpoint"
        f" `{HOLD_POINT}`, between the commit of signed bytes and their first write. The gap opens again."
    )
    Trader(stage.devnet).open_gap_v2("weth", "usdx", gap_bps)
    play.pump(kernel.reached.exists, "the plan to be held before its first byte")
    held = next(row for row in play.books.of("arbitrage") if row.number not in known)
    attempt = play.books.attempts(held.number)[-1]
    nonce = play.nonce()
    play.say(f"  plan #{held.number}: {play.note(held)}")
    play.say(
        f"    committed as {short(attempt.hash)} with nonce {attempt.nonce}; then the kernel gets"
        " SIGUSR1: HALT."
    )
    kernel.signal(signal.SIGUSR1)
    latch = stage.data / "latch.json"
    wait_until(lambda: _is_halted(latch), WAIT_S, "the latch")
    kernel.release.touch()
    mine(stage.devnet, LAPSE_BLOCKS)
    play.follow()
    answers = _ask_node(play, attempt, nonce)
    Trader(stage.devnet).open_gap_v2("weth", "usdx", _opposite(gap_bps))
    play.follow()
    seawall("resume", "--config", str(stage.configuration), "--reason", "the demo goes on")
    play.say(
        f"    {LAPSE_BLOCKS} blocks later its verdict has lapsed, and a trader has closed the"
        " gap. `seawall"
        " resume`: the same payload is judged anew."
    )
    play.pump(lambda: play.state(held.number) is IntentState.CANCELLED, "the nonce to be filled and final")
    filler = _filler(play, attempt)
    play.say(f"    refused: {play.words.sentence(play.intent(held.number).reason)}.")
    play.say(
        f"    its nonce {attempt.nonce} was filled by {short(filler.attempt_hash)}, a transfer of"
        " nothing to itself,"
        f" in block {filler.block_number}; that is final, so the plan is cancelled."
    )
    return Halt(held.number, attempt.hash, attempt.nonce, _ask_again(play, attempt), answers, filler)


def _why_again(play: Play, row: IntentRow, renewed: bool) -> str:
    verdict = play.books.verdicts(row.number)[-1].verdict
    if renewed:
        return (
            "Its verdict had lapsed: the same payload was judged anew on block"
            f" {verdict.base_number}, admitted,"
            " and the same signed bytes were written again."
        )
    return (
        f"Its verdict was still in force (judged on block {verdict.base_number}, which the reorg left"
        " alone; valid"
        f" until block {verdict.valid_until_block}): the same signed bytes were written again."
    )


def _ask_node(play: Play, attempt: AttemptRow, nonce: int) -> NodeAnswers:
    """While HALT is in force. Raises unless node, pool and nonce are as if nothing had been signed."""
    rpc = play.stage.devnet.rpc
    known = rpc.call("eth_getTransactionByHash", hex_text(attempt.hash))
    pool = rpc.record("txpool_status")
    counts = {name: int(str(pool.get(name)), 16) for name in _POOL_FIELDS}
    latest, pending = play.nonce(), play.nonce("pending")
    play.say("    asked while HALT is in force, the node answers:")
    play.say(f"      eth_getTransactionByHash {short(attempt.hash)}   {'null' if known is None else 'KNOWN'}")
    play.say("      txpool_status   " + ", ".join(f"{name} {count}" for name, count in counts.items()))
    play.say(f"      eth_getTransactionCount of the key   latest {latest}, pending {pending}; before {nonce}")
    if known is not None or any(counts.values()) or (latest, pending) != (nonce, nonce):
        raise RolloutError("HALT did not hold: see the node's answers", "demo", LOG_FIX)
    return NodeAnswers(counts, nonce, latest)


def _ask_again(play: Play, attempt: AttemptRow) -> bool:
    """At the end, too, the node must not know the hash."""
    seen = play.stage.devnet.rpc.call("eth_getTransactionByHash", hex_text(attempt.hash)) is not None
    if seen:
        raise RolloutError(f"the node knows {hex_text(attempt.hash)}, which was halted", "demo", LOG_FIX)
    return seen


def _filler(play: Play, held: AttemptRow) -> InclusionRow:
    attempts = play.books.read(lambda tx: tx.attempts.of_slot(held.lane, held.nonce))
    for attempt in attempts:
        found = play.books.canonical(attempt.hash)
        if attempt.kind is WriteKind.HOUSEKEEPING and found is not None:
            return found
    raise RolloutError(f"nothing filled nonce {held.nonce}", "demo", LOG_FIX)


def _is_halted(latch: Path) -> bool:
    return latch.exists() and f'"{Authority.HALT.name}"' in latch.read_text()


def _opposite(gap_bps: int) -> int:
    """The move that takes a gap back: from (1 + g) to 1 is 1 / (1 + g) - 1."""
    return 10_000 * 10_000 // (10_000 + gap_bps) - 10_000
