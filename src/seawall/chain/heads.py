"""Follows the head of a chain: what was added, what a reorg removed, and how far it is safe and final.

Flow: `poll` asks for the newest head (and the safe and final ones) in one batch of as many endpoints as must
agree, takes the highest blocks that enough of them have (`chain.tips`), connects the head to the heads
it knows by parent hash, and answers one `HeadChange` with what left and what came. Missed heads are filled
from the node and must link; a gap longer than `HEADS_KEPT` is skipped, said so in `skipped`, and the
consumer reads again. The known heads come from the ledger at start, so a reorg during a stop is seen like
any other.

An older head than the known one, still on its branch, is a lagging endpoint and is ignored; one on another
branch must last, and is ignored while it contradicts what is final and has not come as far itself. Final
never goes back, and what the ledger has settled (`settle`) is final too. A reorg deeper than
`REORG_DEPTH_MAX`, or one that takes a final block away, or a final block that is not on the chain it is said
to be final on, is an `IntegrityAlarm`. A WebSocket (`chain.subscriptions`) only wakes the poll.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from seawall.chain.client import ChainClient
from seawall.primitives.blocks import Block
from seawall.primitives.bounds import HEADS_KEPT, REORG_DEPTH_MAX
from seawall.primitives.errors import EndpointError, IntegrityAlarm, StaleError, UnavailableError
from seawall.primitives.ports import Clock
from seawall.primitives.units import Hash, hex_text

__all__ = ["BACKWARD_POLLS", "CONTRADICTIONS_MAX", "HeadChange", "HeadFollower"]

# One batch is not atomic: a final block off our branch may be a race, once or twice.
CONTRADICTIONS_MAX: Final = 3
# Endpoints that never agree within one poll are no source of heads.
UNSETTLED_POLLS_MAX: Final = 16
# A head that cannot be connected so often in a row is perhaps its endpoint's invention: another is asked.
UNSETTLED_POLLS_PER_ENDPOINT: Final = 4
# A head below the known one, on another branch, is believed after as many polls.
BACKWARD_POLLS: Final = 2
_UNKNOWN: Final = -1


@dataclass(frozen=True, slots=True)
class HeadChange:
    """One step of the chain. Consumers undo `removed` in order, then apply `added` in order."""

    added: tuple[Block, ...]  # oldest first; its first block's parent is known unless `skipped`
    removed: tuple[Block, ...]  # newest first
    safe_number: int  # highest safe block, -1 while none is known
    final_number: int  # highest final block, -1 while none is known
    skipped: int = 0  # blocks between the last known and the first added that were not fetched
    seen_at_s: int = 0  # UTC [s]


class HeadFollower:
    """The known heads of one chain and the next change of them."""

    def __init__(self, client: ChainClient, clock: Clock, recent: Sequence[Block] = ()) -> None:
        """`recent` are the canonical heads known before, oldest first, as the ledger kept them."""
        self._where = f"chain {client.network.chain_id}"
        self._client = client
        self._clock = clock
        self._known: list[Block] = self._unbroken(recent)[-HEADS_KEPT:]
        self._safe_number = _UNKNOWN
        self._final_number = _UNKNOWN
        self._settled_number = _UNKNOWN
        self._contradictions = 0
        self._unsettled = 0
        self._backward = 0

    @property
    def tip(self) -> Block | None:
        return self._known[-1] if self._known else None

    @property
    def safe_number(self) -> int:
        return self._safe_number

    @property
    def final_number(self) -> int:
        return self._final_number

    def canonical(self, block_hash: Hash) -> bool:
        """True if `block_hash` is among the known heads of the current branch."""
        return any(block.hash == block_hash for block in self._known)

    def settle(self, block: Block | None) -> None:
        """The ledger's highest final block: nothing takes it away, though no endpoint has shown us so much as
        final yet. One that is not on the known branch says nothing: that branch is perhaps lost."""
        if block is not None and self.canonical(block.hash):
            self._settled_number = max(self._settled_number, block.number)

    @property
    def _fixed_number(self) -> int:
        """No reorg takes this block or an earlier one."""
        return max(self._final_number, self._settled_number)

    async def poll(self) -> HeadChange | None:
        """The next change, or None; None too while the chain moves as it is read."""
        try:
            change = await self._poll()
        except StaleError as error:
            self._unsettled += 1
            if self._unsettled % UNSETTLED_POLLS_PER_ENDPOINT == 0:
                self._client.pool.rest_preferred()
            if self._unsettled < UNSETTLED_POLLS_MAX:
                return None
            raise UnavailableError(
                f"{self._unsettled} polls in a row found no consistent chain: {error.what}",
                self._where,
                "check whether the endpoints agree on one chain",
            ) from None
        self._unsettled = 0
        if self._known:
            self._client.pool.tip_number = self._known[-1].number
        return change

    async def _poll(self) -> HeadChange | None:
        head, safe, final = await self._newest()
        skipped = 0
        added: tuple[Block, ...] = ()
        removed: tuple[Block, ...] = ()
        if not self._known:
            added = (head,)
        elif head.number >= self._known[0].number and not self.canonical(head.hash):
            self._require_patience(head)
            try:
                added, removed, skipped = await self._step_to(head)
            except IntegrityAlarm:
                if _number(final) < self._fixed_number:
                    # They have not seen what is final: it is they who are behind, on a branch that lost.
                    raise self._moved() from None
                raise
        self._backward = 0
        moved = self._finality_moved(head, (safe, final), removed, added)
        if not added and not moved:
            return None
        kept = [] if skipped else self._known[: len(self._known) - len(removed)]
        self._known = [*kept, *added][-HEADS_KEPT:]
        self._safe_number, self._final_number = moved or (self._safe_number, self._final_number)
        return HeadChange(added, removed, self._safe_number, self._final_number, skipped, self._clock.now_s())

    async def _step_to(self, head: Block) -> tuple[tuple[Block, ...], tuple[Block, ...], int]:
        """Added, removed and skipped on the way to `head`, which is not on the known branch."""
        skipped = 0
        added = tuple(await self._branch_to(head))
        fork = self._fork_of(added[0])
        if fork is not None:
            removed = tuple(reversed(self._known[fork + 1 :]))
        else:
            removed, skipped = await self._far_fork(added[0])
        self._refuse_impossible(removed, added[0])
        return added, removed, skipped

    def _require_patience(self, head: Block) -> None:
        """A lower head on another branch is most often an old one, shown by who lags: it must last."""
        if head.number < self._known[-1].number and self._backward < BACKWARD_POLLS:
            self._backward += 1
            raise self._moved()

    def _unbroken(self, recent: Sequence[Block]) -> list[Block]:
        """The newest stored heads without a gap between them; a gap is what was skipped before a stop."""
        first = 0
        for index, (older, newer) in enumerate(pairwise(recent), start=1):
            if newer.number > older.number + 1:
                first = index
            elif newer.number <= older.number or newer.parent_hash != older.hash:
                raise IntegrityAlarm(
                    f"stored heads {older.number} and {newer.number} do not link",
                    self._where,
                    "restore the ledger",
                )
        return list(recent[first:])

    async def _newest(self) -> tuple[Block, Block | int | None, Block | int | None]:
        rule = self._client.network.finality
        tags = [tag for tag in (rule.safe, rule.final) if isinstance(tag, str)]
        answers = await self._client.newest(["latest", *tags], self._require_time)
        head = answers[0]
        if head is None:
            raise StaleError(
                "the endpoints know no head, or agree on none", self._where, "wait until they have synced"
            )
        by_tag = dict(zip(tags, answers[1:], strict=True))
        safe, final = (
            _upto(by_tag[r], head) if isinstance(r, str) else max(head.number - r, 0)
            for r in (rule.safe, rule.final)
        )
        return head, safe, final

    def _require_time(self, block: Block, name: str) -> None:
        """A block out of the future is no head; which of two clocks is wrong, the text leaves open."""
        ahead_s = block.timestamp_s - self._clock.now_s()
        if ahead_s > self._client.network.head_ahead_s_max:
            raise EndpointError(
                f"the {name} block is {ahead_s} s ahead of our clock",
                self._where,
                "check the endpoint, and the clock of this machine",
            )

    async def _branch_to(self, head: Block) -> list[Block]:
        """Blocks up to `head`, oldest first, from one whose parent is known, or as far as bounds allow."""
        tip = self._known[-1]
        branch = [head]
        first_wanted = max(tip.number + 1, head.number - HEADS_KEPT + 1)
        if head.number > first_wanted:
            branch = [*await self._linked(first_wanted, head), head]
        lowest = max(self._known[0].number, tip.number - REORG_DEPTH_MAX)
        while self._fork_of(branch[0]) is None and lowest < branch[0].number <= tip.number + 1:
            parent = await self._client.block_by_hash(branch[0].parent_hash)
            if parent is None or parent.number != branch[0].number - 1:
                raise self._moved()
            branch.insert(0, parent)
        return branch

    async def _linked(self, first_number: int, head: Block) -> list[Block]:
        """Blocks `first_number` to just before `head`, by number and checked to link to it."""
        blocks: list[Block] = []
        for block in await self._client.blocks(list(range(first_number, head.number))):
            if block is None:
                raise self._moved()
            blocks.append(block)
        for older, newer in zip(blocks, [*blocks[1:], head], strict=True):
            if newer.parent_hash != older.hash:
                raise self._moved()
        return blocks

    def _fork_of(self, block: Block) -> int | None:
        """Index of the known head that is the parent of `block`."""
        index = block.number - 1 - self._known[0].number
        if 0 <= index < len(self._known) and self._known[index].hash == block.parent_hash:
            return index
        return None

    async def _far_fork(self, oldest: Block) -> tuple[tuple[Block, ...], int]:
        """No known head is the parent of `oldest`: blocks were skipped, or all that is known was removed."""
        if oldest.number > self._known[-1].number + 1:
            recent = self._known[-REORG_DEPTH_MAX - 1 :]
            theirs = await self._client.blocks([block.number for block in recent])
            kept = [
                mine
                for mine, other in zip(recent, theirs, strict=True)
                if other is not None and other.hash == mine.hash
            ]
            if kept:
                removed = tuple(block for block in reversed(recent) if block.number > kept[-1].number)
                return removed, oldest.number - kept[-1].number - 1
        if len(self._known) > REORG_DEPTH_MAX or self._known[0].number == 0:
            raise IntegrityAlarm(
                f"no known head up to {self._known[-1].number} is on the chain of block {oldest.number}",
                self._where,
                "compare the node with another one, then restore or rebuild the ledger",
            )
        return tuple(reversed(self._known)), max(oldest.number - self._known[0].number, 0)

    def _refuse_impossible(self, removed: tuple[Block, ...], oldest_added: Block) -> None:
        if len(removed) > REORG_DEPTH_MAX:
            raise IntegrityAlarm(
                f"a reorg of {len(removed)} blocks", self._where, "compare the node with another one"
            )
        if not removed:
            return
        first_number = removed[-1].number
        if oldest_added.number == first_number and oldest_added.parent_hash != removed[-1].parent_hash:
            first_number -= 1  # older blocks went too, further than this follower remembers
        if first_number <= self._fixed_number:
            raise IntegrityAlarm(
                f"a reorg removed block {first_number}, and blocks were final up to {self._fixed_number}",
                self._where,
                "compare the node with another one",
            )

    def _finality_moved(
        self,
        head: Block,
        reported: tuple[Block | int | None, Block | int | None],
        removed: tuple[Block, ...],
        added: tuple[Block, ...],
    ) -> tuple[int, int] | None:
        """New (safe, final) numbers, or None if neither moved."""
        safe_number, final_number = self._safe_number, self._final_number
        if removed:
            safe_number = min(safe_number, removed[-1].number - 1)
        if self._on_branch(reported, removed, added, head):
            safe, final = reported
            final_number = max(final_number, min(_number(final), head.number))
            safe_number = max(safe_number, min(_number(safe), head.number), final_number)
        moved = (safe_number, final_number)
        return None if moved == (self._safe_number, self._final_number) else moved

    def _on_branch(
        self,
        reported: tuple[Block | int | None, ...],
        removed: tuple[Block, ...],
        added: tuple[Block, ...],
        head: Block,
    ) -> bool:
        """False if the safe or final block is not on the branch of `head`; an alarm if that lasts."""
        gone = {block.hash for block in removed}
        canonical = {block.number: block.hash for block in (*self._known, *added) if block.hash not in gone}
        if all(not isinstance(b, Block) or canonical.get(b.number, b.hash) == b.hash for b in reported):
            self._contradictions = 0
            return True
        self._contradictions += 1
        if self._contradictions < CONTRADICTIONS_MAX:
            return False
        raise IntegrityAlarm(
            f"the node's safe or final block is not on the branch of its head {hex_text(head.hash)}",
            self._where,
            "compare the node with another one",
        )

    def _moved(self) -> StaleError:
        return StaleError("the chain moved while its heads were read", self._where, "poll again")


def _upto(block: Block | None, head: Block) -> Block | None:
    """None above the head: there they agree on no head, and the block may be of another branch."""
    return block if block is not None and block.number <= head.number else None


def _number(block: Block | int | None) -> int:
    if block is None:
        return _UNKNOWN
    return block if isinstance(block, int) else block.number
