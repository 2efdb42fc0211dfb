"""Seeds that broke an invariant while this was written: what was wrong then, and they stay clean since.

A seed meets what it met only as long as the kernel's awaits stay where they were; a later version may pass it
by. So each says what happened in words, from which the same can be brought about without the world.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["NAMED", "NamedSeed"]


@dataclass(frozen=True, slots=True)
class NamedSeed:
    name: str
    seed: int
    what: str
    faults: Mapping[str, float] = field(default_factory=dict)  # in the place of what the seed draws
    is_open: bool = False  # not mended yet


NAMED: tuple[NamedSeed, ...] = (
    NamedSeed(
        "foreign_use_final_while_away",
        13,
        "somebody used a nonce of an open slot, and that became final before this kernel looked: the nonces"
        " from the final block's on were accounted for, and this one was below them, so its intent never"
        " ended (NonceWatch._lowest must not be above the lowest open slot)",
    ),
    NamedSeed(
        "foreign_use_final_between_two_looks",
        37,
        "the same with a kernel that was alive and slow",
    ),
    NamedSeed(
        "batch_committed_in_another_order",
        59,
        "a batch over two lanes was judged in the order of urgency and stored lane by lane: a transfer stood"
        " on money that another lane's attempt brings, which stands after it in the ledger, so that the"
        " overlay rebuilt from the ledger is not the one that the verdict stands on (Dispatcher._sign)",
    ),
    NamedSeed(
        "old_head_of_an_abandoned_branch",
        47,
        "the only endpoint served an older head for a while, of a branch that a reorg had left: taken for a"
        " reorg beyond finality, and an integrity alarm, though its own final block was older than ours"
        " (HeadFollower._refuse_impossible)",
        faults={"lag": 0.1},
    ),
    NamedSeed(
        "inclusion_of_a_lane_gained_after_its_reorg",
        34,
        "a kernel followed a reorg before it had gained the lane of a dead one, so what the reorg took away"
        " there was not undone; on its arrival the block was final by its number, and the intent was told as"
        " landed (Finder.strays looked only where blocks had been added)",
        faults={"kernels": 2},
    ),
    NamedSeed(
        "inclusion_final_before_the_lane_was_gained",
        14,
        "what landed while nobody held its lane was below the final block's nonce when the lane was gained,"
        " and no look went that low: the intent never ended (NonceWatch._lowest)",
        faults={"kernels": 3},
    ),
    NamedSeed(
        "neighbours_fee_booked_as_unexplained",
        26,
        "two kernels each had a transaction in one block; the one that did not know yet of the other's"
        " booked its fee as unexplained, and the other booked it as what it was (including._say_doubts must"
        " leave a key whose lane another kernel holds to that one)",
        faults={"kernels": 3},
    ),
    NamedSeed(
        "database_away_while_a_decision_is_stored",
        0,
        "in a fleet, a full disk or a lost connection under a decision's commit ended the kernel (Feed.turn"
        " lets LedgerError through)",
        faults={"kernels": 2, "disk_full": 0.1},
    ),
    NamedSeed(
        "final_block_goes_back_over_a_restart",
        8,
        "after a restart the only endpoint lagged, so its final block was older than what had been settled:"
        " nonces of slots that are final in the ledger were taken for somebody else's use, and settling them"
        " again ended the kernel (NonceWatch._lowest must not go below what the ledger has settled)",
    ),
    NamedSeed(
        "offered_after_it_was_committed",
        3,
        "intake stored a plan, and before it learned so, the queue was reconciled with the ledger and the"
        " intent dispatched and committed; then intake offered the row as it was when it was accepted, it was"
        " dispatched again, and the commit's refusal ended the kernel (LaneQueue.offer after done; a refusal"
        " of what is not queued any more must reconcile, not end)",
        faults={"foreign": 0.1, "reorg": 0.15, "pool_max": 10_000},
    ),
    NamedSeed(
        "stray_head_that_held_nothing",
        101,
        "a head of an abandoned branch was taken back though no block was removed and no inclusion flipped:"
        " the lowest of nothing was asked for, and the kernel ended (including.unwind)",
    ),
    NamedSeed(
        "unexplained_of_a_block_whose_teller_died",
        20,
        "in a fleet one kernel booked what nothing explains in a block, and was killed; the other was on"
        " another branch and got further, so that it replaced that block among the heads, and nobody was left"
        " to take the booking back (Heads.follow must say what it replaced, and Confirmer undo it)",
        faults={
            "foreign": 0.2,
            "reorg": 0.2,
            "kernels": 2,
            "pool_max": 10_000,
            "drop": 0.1,
            "gossip": 0.2,
        },
    ),
    NamedSeed(
        "reorg_of_a_block_missing_in_the_line_of_heads",
        50_217,
        "a kernel without a lane stored no heads, and later ones after them: whoever recalled that line with"
        " its gap saw once that a block in it was still there, and not that a reorg took it away, so that the"
        " transaction landed in two blocks and all was halted (Finder.note must keep such blocks"
        " unchecked until they are final)",
        faults={"kernels": 2, "foreign": 0.25, "reorg": 0.25, "pool_max": 10_000},
    ),
    NamedSeed(
        "replacement_at_the_first_nonce_of_what_moved",
        50_288,
        "a recorded plan had moved, a reorg gave it its first nonce back, and its bytes there were made"
        " dearer: the checker took that for a second nonce (it must judge a nonce when it is given)",
        faults={"kernels": 2, "foreign": 0.25, "reorg": 0.25, "pool_max": 10_000},
    ),
    NamedSeed(
        "authority_recorded_after_it_was_raised",
        3_615,
        "a kernel that had seen a hand lower its latch stood still before it could record that, and the hand"
        " raised it meanwhile: the ledger then said REDUCE_ONLY while plans were committed under RUN (the"
        " latch must be read in the transaction that records it, in AuthorityKeeper._record)",
    ),
    NamedSeed(
        "lost_branch_after_a_restart",
        3_790,
        "a commit's answer was lost, so the kernel began anew, and two of its three endpoints lagged on the"
        " branch that a reorg had left six blocks before: no poll had said yet what is final, so that branch"
        " was followed, and what the ledger had settled was said to be removed (HeadFollower.settle)",
    ),
    NamedSeed(
        "line_of_a_neighbour_read_at_the_start",
        272,
        "between the line of heads that a kernel's follower began with and the one that its desk loaded, a"
        " neighbour stored two more blocks, which a reorg then removed: the desk kept both branches, took the"
        " inclusion in the lost one for one on the line, and ended its intent as landed (Desk._line_after)",
    ),
)
