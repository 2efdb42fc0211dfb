"""The first acts: what should land lands, what should be refused is refused.

Each does something to the world, waits until the kernel has answered, and says what it saw."""

from __future__ import annotations

from itertools import groupby
from typing import Final

from seawall.chain.addresses import AddressKind
from seawall.ledger.rows import IntentRow
from seawall.primitives.errors import RolloutError
from seawall.primitives.levels import IntentState
from seawall.rollout.demo.scene import Play, short
from seawall.rollout.demo.stage import KEY_START_WEI, LOG_FIX
from seawall.rollout.demo.words import ether
from seawall.rollout.devnet import Trader

__all__ = ["GAP_BPS", "arbitrage_act", "introduce", "keeper_act", "refusal_act"]

GAP_BPS: Final = 300
REFUSALS: Final = 5
_OWN: Final = "contracts/"
_STAND_INS: Final = "devnet/"


def introduce(play: Play) -> None:
    """Which contracts are the true ones, and where their bytecode came from."""
    book = play.stage.devnet.book
    play.say(
        f"A local chain is up ({play.stage.devnet.info.rpc_url}). The code of each contract was"
        " compared with the"
        " address book's hash."
    )
    play.say("  The true ones, with the bytecode that their authors publish (npm packages):")
    true = [e for e in book if not e.source.startswith((_OWN, _STAND_INS)) and e.kind is not AddressKind.FEED]
    by_package = sorted((entry.source.split(" ")[0], entry.symbol or entry.name) for entry in true)
    for package, entries in groupby(by_package, key=lambda pair: pair[0]):
        play.say(f"    {package:<37} {', '.join(name for _, name in entries)}")
    own = [entry.name for entry in book if entry.source.startswith(_OWN)]
    play.say(f"  Seawall's own, from contracts/: {', '.join(own)}")
    stand_ins = [entry.symbol or entry.name for entry in book if entry.source.startswith(_STAND_INS)]
    play.say(f"  Stand-ins, from devnet/contracts/: {', '.join(stand_ins)}")
    feeds = [entry.name for entry in book.of_kind(AddressKind.FEED)]
    play.say(f"  Price feeds with Chainlink's interface (its mock, set by the devnet): {', '.join(feeds)}")


def keeper_act(play: Play) -> None:
    """The key holds more native token than its range allows: the keeper wraps the surplus."""
    play.say(
        f"\n1. A key is kept in range\nThe key starts with {ether(KEY_START_WEI)}; the strategy"
        " `keeper` wraps what is above 15 ETH, down to 12."
    )
    play.pump(lambda: play.landed("keeper") is not None, "the keeper's deposit")
    row = play.landed("keeper")
    assert row is not None
    _say_landed(play, row)


def refusal_act(play: Play) -> None:
    """Plans that must not be signed, each for another reason."""
    play.say(f"\n2. Refusals\nThe strategy `hopeful` asks for {REFUSALS} things that must not be signed.")
    play.pump(lambda: len(_refused(play)) >= REFUSALS, "five refusals")
    for row in _refused(play):
        verdicts = play.books.verdicts(row.number)
        if not verdicts:
            raise RolloutError(f"plan #{row.number} was refused without a verdict", "demo", LOG_FIX)
        play.say(f"  plan #{row.number}: {play.note(row)}")
        play.say(f"    refused because of {play.words.refusal(verdicts[-1].verdict)}")


def arbitrage_act(play: Play, gap_bps: int) -> IntentRow:
    """A trader moves the V2 price; the arbitrage strategy takes the gap with a flash loan."""
    known = frozenset(row.number for row in play.books.of("arbitrage"))
    play.say(
        f"\n3. Flash arbitrage\nA trader's swap moves the Uniswap V2 price of WETH by"
        f" {gap_bps / 100:+.0f} % against the V3 pool."
    )
    # The trader's block stays out of reach of the reorg that follows.
    Trader(play.stage.devnet).open_gap_v2("weth", "usdx", gap_bps)
    play.pump(lambda: play.landed("arbitrage", known) is not None, "the arbitrage")
    row = play.landed("arbitrage", known)
    assert row is not None
    _say_landed(play, row)
    verdict = play.books.verdicts(row.number)[-1].verdict
    for found in verdict.measurements[1:]:
        play.say(f"    {play.words.guard(found)}: {play.words.sentence(found.reason)}")
    return row


def _say_landed(play: Play, row: IntentRow) -> None:
    inclusion = play.inclusion(row.number)
    guards = len(play.books.verdicts(row.number)[-1].verdict.measurements) - 1
    play.say(
        f"  plan #{row.number}: {play.note(row)}\n"
        f"    simulated, admitted by {guards} guards, signed, written:"
        f" {short(inclusion.attempt_hash)} is in block"
        f" {inclusion.block_number} ({inclusion.gas_used} gas)"
    )


def _refused(play: Play) -> list[IntentRow]:
    return [row for row in play.books.of("hopeful") if row.state is IntentState.REFUSED]
