"""What a true transaction pool replaces, keeps, drops without a word, and runs when a gap is filled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from seawall.native import LocalKey, SignedTransaction
from seawall.primitives.bounds import LANE_UNLANDED_MAX
from seawall.primitives.units import Address, hex_text
from tests.fixtures.geth import GWEI, Geth, NodeAnswer, running_geth, transaction

TARGET = Address(b"\x11" * 20)
TIP_THAT_WAITS_WEI = 100_000
TIP_WEI = 2 * GWEI
QUEUED_PER_SENDER_MAX = 64  # geth's default
BEYOND = 4
BASE_FEE_LEAST_WEI = 7  # an eighth of it is less than a wei, so it falls no further


@dataclass(slots=True)
class Sender:
    node: Geth
    key: LocalKey

    def signed(
        self, nonce: int, tip_wei: int = TIP_THAT_WAITS_WEI, fee_gwei: int = 20, value_wei: int = 0
    ) -> SignedTransaction:
        plain = transaction(nonce, TARGET, value_wei=value_wei, tip_wei=tip_wei, fee_gwei=fee_gwei)
        (one,) = self.key.sign_transactions([plain])
        return one

    def refusal(self, nonce: int, **fields: int) -> str:
        answer = self.node.try_send(self.signed(nonce, **fields))
        return answer.message if isinstance(answer, NodeAnswer) else ""

    @property
    def pool(self) -> tuple[list[int], list[int]]:
        return self.node.pool(self.key)

    @property
    def nonce(self) -> int:
        return self.node.number("eth_getTransactionCount", hex_text(self.key.address), "latest")


@pytest.fixture(scope="module")
def senders(geth: Geth) -> Iterator[Sender]:
    """One fresh sender after the other."""
    return iter([Sender(geth, key) for key in geth.funded_keys(6)])


@pytest.fixture
def sender(senders: Iterator[Sender]) -> Sender:
    return next(senders)


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Geth]:
    """A pool with executable places for one lane only, which tells the truth about them."""
    options = ("--txpool.nolocals", "--txpool.globalslots", str(LANE_UNLANDED_MAX))
    with running_geth(tmp_path_factory.mktemp("crowded"), *options) as node:
        yield node


# Replacing


def test_replacement_is_taken_at_ten_percent_more_on_both_fees_and_lands(sender: Sender) -> None:
    first = sender.signed(0)
    sender.node.send(first)
    for fields in (
        {"tip_wei": TIP_THAT_WAITS_WEI * 109 // 100, "fee_gwei": 22},
        {"tip_wei": TIP_THAT_WAITS_WEI * 110 // 100, "fee_gwei": 21},
        {"tip_wei": TIP_THAT_WAITS_WEI, "fee_gwei": 40},
        {"tip_wei": TIP_WEI, "fee_gwei": 20},
    ):
        assert sender.refusal(0, **fields) == "replacement transaction underpriced", fields
    assert sender.node.knows(first.hash)
    exact = sender.signed(0, tip_wei=TIP_THAT_WAITS_WEI * 110 // 100, fee_gwei=22)
    sender.node.send(exact)
    assert (sender.node.knows(first.hash), sender.node.knows(exact.hash)) == (False, True)
    dear = sender.signed(0, tip_wei=TIP_WEI, fee_gwei=25)
    assert sender.node.receipt(sender.node.send(dear))["status"] == "0x1"
    assert [sender.node.knows(one.hash) for one in (first, exact, dear)] == [False, False, True]


def test_ten_percent_are_counted_from_the_last_replacement(sender: Sender) -> None:
    tip_wei = TIP_THAT_WAITS_WEI
    sender.node.send(sender.signed(0, tip_wei=tip_wei, fee_gwei=100))
    sender.node.send(sender.signed(0, tip_wei=tip_wei * 110 // 100, fee_gwei=110))
    assert sender.refusal(0, tip_wei=tip_wei * 120 // 100, fee_gwei=120)
    assert not sender.refusal(0, tip_wei=tip_wei * 121 // 100, fee_gwei=121)


def test_replaced_bytes_that_come_back_are_underpriced_not_known(sender: Sender) -> None:
    """So an answer about old bytes says nothing of the slot: whichever hash it has must be looked up."""
    sender.node.send(sender.signed(0))
    sender.node.send(sender.signed(0, tip_wei=2 * TIP_THAT_WAITS_WEI, fee_gwei=40))
    assert sender.refusal(0) == "replacement transaction underpriced"


# Keeping and dropping


def test_gap_keeps_what_is_behind_it_until_it_is_filled(sender: Sender) -> None:
    behind = [sender.signed(nonce, tip_wei=TIP_WEI) for nonce in (1, 2, 3)]
    for one in behind:
        sender.node.send(one)
    sender.node.wait_blocks()
    assert (sender.nonce, sender.pool) == (0, ([], [1, 2, 3]))
    filler = sender.signed(0, tip_wei=TIP_WEI)
    sender.node.send(filler)
    receipts = [sender.node.receipt(one.hash) for one in (filler, *behind)]
    assert all(receipt["status"] == "0x1" for receipt in receipts)
    assert (sender.nonce, sender.pool) == (4, ([], []))


def test_sender_behind_a_gap_silently_loses_what_is_beyond_its_places(sender: Sender) -> None:
    nonces = range(1, 1 + QUEUED_PER_SENDER_MAX + BEYOND)
    answers = [sender.refusal(nonce) for nonce in nonces]
    assert set(answers) == {""}, "not a word about it"
    sender.node.until(lambda: len(sender.pool[1]) <= QUEUED_PER_SENDER_MAX)
    assert sender.pool == ([], list(nonces)[:QUEUED_PER_SENDER_MAX])


def test_transaction_below_the_base_fee_stays_and_is_no_reason_to_lose_the_nonce(sender: Sender) -> None:
    low = transaction(0, TARGET)._replace(
        max_fee_per_gas_wei=BASE_FEE_LEAST_WEI - 1, max_priority_fee_per_gas_wei=BASE_FEE_LEAST_WEI - 2
    )
    (signed,) = sender.key.sign_transactions([low])
    sender.node.send(signed)
    sender.node.wait_blocks()
    assert (sender.nonce, sender.node.knows(signed.hash)) == (0, True)


def test_crowded_pool_keeps_sixteen_of_every_sender_and_drops_what_is_beyond(crowded: Geth) -> None:
    """Why a lane has at most that many unlanded: beyond them eviction is legal, and comes without a word."""
    greedy, modest = (Sender(crowded, key) for key in crowded.funded_keys(2))
    for nonce in range(LANE_UNLANDED_MAX):
        assert not modest.refusal(nonce)
    for nonce in range(LANE_UNLANDED_MAX + BEYOND):
        assert not greedy.refusal(nonce)
    crowded.until(lambda: len(greedy.pool[0]) <= LANE_UNLANDED_MAX)
    crowded.wait_blocks()
    kept = list(range(LANE_UNLANDED_MAX))
    assert (modest.pool[0], greedy.pool[0]) == (kept, kept)


def test_node_that_keeps_its_own_says_yes_to_what_its_pool_refused(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """geth's default: accepted is no proof that anybody has the bytes; only looking the hash up is."""
    options = ("--txpool.globalslots", "4", "--txpool.globalqueue", "1")
    with running_geth(tmp_path_factory.mktemp("tiny"), *options) as node:
        rich, late = (Sender(node, key) for key in node.funded_keys(2))
        for nonce in range(5):
            assert not rich.refusal(nonce)
        extra = late.signed(0, tip_wei=1, fee_gwei=2)
        assert node.send(extra) == extra.hash
        assert not node.knows(extra.hash)
