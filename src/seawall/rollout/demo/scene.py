"""What all acts of the demo share: the stage, the kernel's books, the narrator, and the pace of the chain.

Blocks are mined by hand, about as fast as the kernel answers, so that a run takes seconds and a reorg hits
exactly the block it is meant for."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from seawall.ledger.rows import InclusionRow, IntentRow
from seawall.primitives.errors import RolloutError
from seawall.primitives.identifiers import IntentNumber
from seawall.primitives.levels import IntentState
from seawall.primitives.units import Hash, hex_text
from seawall.rollout.demo.books import Books
from seawall.rollout.demo.stage import LOG_FIX, Stage, wait_until
from seawall.rollout.demo.words import Words
from seawall.rollout.devnet import CHAIN_ID
from seawall.rollout.devnet.steering import mine

__all__ = ["WAIT_S", "Play", "settle", "short"]

WAIT_S: Final = 20.0
BLOCKS_MAX: Final = 80
# Time for strategies to answer a head before the next one.
BLOCK_PAUSE_S: Final = 0.1
_HASH_SHOWN: Final = 18


@dataclass(frozen=True, slots=True)
class Play:
    """Handed from act to act."""

    stage: Stage
    books: Books
    words: Words
    say: Callable[[str], None]

    def pump(self, holds: Callable[[], bool], what: str) -> None:
        """Mine a block at a time until `holds`. The kernel is never more than a block behind."""
        for _ in range(BLOCKS_MAX):
            if holds():
                return
            mine(self.stage.devnet)
            self.follow()
            time.sleep(BLOCK_PAUSE_S)
        raise RolloutError(f"mined {BLOCKS_MAX} blocks waiting for {what}", "demo", LOG_FIX)

    def follow(self) -> None:
        """Wait until the kernel stands on the node's head."""
        head = self.stage.devnet.rpc.record("eth_getBlockByNumber", "latest", False)["hash"]

        def reached() -> bool:
            latest = self.books.read(lambda tx: tx.heads.latest(CHAIN_ID))
            return latest is not None and hex_text(latest.hash) == head

        wait_until(reached, WAIT_S, "the kernel to follow the head", self.stage.failure)

    def number(self) -> int:
        return self.stage.devnet.rpc.integer("eth_blockNumber")

    def nonce(self, block: str = "latest") -> int:
        return self.stage.devnet.rpc.integer("eth_getTransactionCount", hex_text(self.stage.key), block)

    def landed(self, strategy: str, known: frozenset[IntentNumber] = frozenset()) -> IntentRow | None:
        """A plan of the strategy that is on chain, besides the known ones."""
        for row in self.books.of(strategy):
            if row.number not in known and self.books.inclusion(row.number) is not None:
                return row
        return None

    def intent(self, number: IntentNumber) -> IntentRow:
        return self.books.read(lambda tx: tx.intents.get(number))

    def inclusion(self, number: IntentNumber) -> InclusionRow:
        found = self.books.inclusion(number)
        if found is None:
            raise RolloutError(f"plan #{number} is on no canonical block", "demo", LOG_FIX)
        return found

    def state(self, number: IntentNumber) -> IntentState:
        return self.intent(number).state

    def note(self, row: IntentRow) -> str:
        return self.words.sentence(row.plan.note, "WETH" if row.plan.is_executor_plan else "ETH")


def settle(play: Play) -> None:
    """Mine until every plan has its outcome."""
    play.pump(lambda: all(row.state.is_outcome for row in play.books.intents()), "every plan to end")


def short(tx_hash: Hash) -> str:
    return hex_text(tx_hash)[:_HASH_SHOWN] + "…"
