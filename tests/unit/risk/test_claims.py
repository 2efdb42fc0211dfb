"""Stakes and queued claims in what a position plan costs: what comes and goes under no token is neither free
nor lost, and what nobody can value is refused."""

from __future__ import annotations

from typing import Final

import pytest

from seawall.native import abi_encode, selector
from seawall.primitives.simulations import Flow
from seawall.primitives.units import NATIVE, ZERO_ADDRESS, Address
from seawall.primitives.verdicts import Measurement
from seawall.risk.claims import ClaimPlace, Queue, Stake
from seawall.risk.guards.profit import PositionLoss
from seawall.risk.limits import ChainFacts, PriceFeed
from seawall.risk.prices import VALUE_SCALE
from tests.builders.answers import words
from tests.builders.messages import EXECUTOR, FEED, KEY, POOL, TREASURY, USD, WETH, simulation
from tests.unit.risk.test_value_guards import PRICES, USD_FEED, Answers, judged, position_plan

ACCOUNTS = (EXECUTOR, KEY, TREASURY)
PLACE = Address(b"\x31" * 20)
STAKED = Address(b"\x32" * 20)
NUMBERS, COUNT, FEE = "openRequests(address)", "requestCount()", "queueFeeBps()"
# One of STAKED is worth 1, of the native coin 2.
FEEDS: Final = (
    PriceFeed(WETH, FEED, 0, 0),
    PriceFeed(USD, USD_FEED, 0, 0),
    PriceFeed(STAKED, USD_FEED, 0, 0),
)
STAKE = Stake(PLACE, STAKED)
EXITS = Queue(PLACE, (STAKED,), NATIVE, PLACE, NUMBERS, COUNT)
REDEMPTIONS = Queue(PLACE, (STAKED,), USD, ZERO_ADDRESS, NUMBERS, COUNT, FEE)


def loss_of(
    place: ClaimPlace, *flows: Flow, after: Answers, before: Answers, priced: tuple[PriceFeed, ...] = FEEDS
) -> Measurement:
    facts = ChainFacts(priced, wrapped_native=WETH, claims=(place,))
    guard = PositionLoss(ACCOUNTS, 5 * VALUE_SCALE, facts)
    return judged(guard, position_plan(), *flows, after=PRICES | after, before=before)


def staked(amount: int, holder: Address = EXECUTOR) -> Answers:
    call = selector("balanceOf(address)")
    return {(PLACE, call): words(0), (PLACE, call + bytes(12) + holder): words(amount)}


def queued(*numbers: int, count: int, fee_bps: int = 0, holder: Address = EXECUTOR) -> Answers:
    call = selector(NUMBERS)
    return {
        (PLACE, call): abi_encode(["uint256[]"], [[]]),
        (PLACE, call + bytes(12) + holder): abi_encode(["uint256[]"], [list(numbers)]),
        (PLACE, selector(COUNT)): words(count),
        (PLACE, selector(FEE)): words(fee_bps),
    }


def test_what_is_staked_is_not_lost_and_what_is_taken_out_is_not_gained() -> None:
    there = loss_of(STAKE, Flow(STAKED, EXECUTOR, POOL, 90), after=staked(100), before=staked(10))
    assert (there.measured, there.passed) == (0, True)
    back = loss_of(STAKE, Flow(STAKED, POOL, EXECUTOR, 90), after=staked(10), before=staked(100))
    assert (back.measured, back.passed) == (0, True)
    less = loss_of(STAKE, Flow(STAKED, EXECUTOR, POOL, 90), after=staked(94), before=staked(10))
    assert (less.measured, less.passed) == (6 * VALUE_SCALE, False)


def test_an_address_that_is_named_twice_has_one_stake() -> None:
    answers = {read.label: words(7) for read in STAKE.reads((KEY,))}
    before = {read.label: words(2) for read in STAKE.reads((KEY,))}
    assert STAKE.moved(simulation(probes={**answers}, before={**before}), (KEY, KEY), frozenset()) == {
        STAKED: 5
    }


def test_a_stake_that_passes_through_the_account_to_a_stranger_is_lost() -> None:
    """The token comes and goes: by its own flows nothing happened."""
    flows = (Flow(STAKED, POOL, EXECUTOR, 90), Flow(STAKED, EXECUTOR, POOL, 90))
    found = loss_of(STAKE, *flows, after=staked(10), before=staked(100))
    assert (found.measured, found.passed) == (90 * VALUE_SCALE, False)


def test_a_stake_of_a_token_without_a_feed_may_be_moved_in_whole_and_not_lost() -> None:
    unpriced = FEEDS[:2]
    whole = Flow(STAKED, EXECUTOR, POOL, 90)
    assert loss_of(STAKE, whole, after=staked(90), before=staked(0), priced=unpriced).passed
    found = loss_of(STAKE, whole, after=staked(89), before=staked(0), priced=unpriced)
    assert (found.measured, found.passed) == (None, False)
    assert "no fresh price" in found.reason
    alone = loss_of(STAKE, after=staked(0), before=staked(90), priced=unpriced)
    assert (alone.measured, alone.passed) == (None, False)


def test_a_token_of_liquidity_without_a_feed_is_refused_whether_it_comes_or_goes() -> None:
    for flow in (Flow(POOL, EXECUTOR, PLACE, 1), Flow(POOL, PLACE, EXECUTOR, 1)):
        found = loss_of(STAKE, flow, after=staked(0), before=staked(0))
        assert (found.measured, found.passed) == (None, False)
        assert "no fresh price" in found.reason


@pytest.mark.parametrize("silent", [{(PLACE, selector("balanceOf(address)")): b""}, {}])
def test_a_stake_that_cannot_be_read_is_refused(silent: Answers) -> None:
    for after, before in ((silent, staked(1)), (staked(1), silent)):
        found = loss_of(STAKE, after=after, before=before)
        assert (found.measured, found.passed) == (None, False)


def test_a_request_is_worth_what_was_given_for_it_less_the_fee() -> None:
    into = Flow(STAKED, EXECUTOR, PLACE, 100)
    exits = loss_of(EXITS, into, after=queued(7, 8, count=8), before=queued(7, count=7))
    assert (exits.measured, exits.passed) == (0, True)
    burnt = Flow(STAKED, EXECUTOR, ZERO_ADDRESS, 100)
    paid = loss_of(
        REDEMPTIONS, burnt, after=queued(1, count=1, fee_bps=250), before=queued(count=0, fee_bps=250)
    )
    assert (paid.measured, paid.passed) == (3 * VALUE_SCALE, True)  # 2.5 rounded against us


def test_a_request_in_anothers_name_is_lost() -> None:
    into = Flow(STAKED, EXECUTOR, PLACE, 100)
    stranger = loss_of(EXITS, into, after=queued(7, count=8), before=queued(7, count=7))
    assert (stranger.measured, stranger.passed) == (100 * VALUE_SCALE, False)
    # One of two is ours: nobody can say how much of it.
    half = loss_of(EXITS, into, after=queued(9, count=9), before=queued(count=7))
    assert (half.measured, half.passed) == (100 * VALUE_SCALE, False)


def test_what_goes_elsewhere_is_not_made_up_for_by_a_request() -> None:
    flows = (Flow(STAKED, EXECUTOR, PLACE, 1), Flow(STAKED, EXECUTOR, POOL, 99))
    found = loss_of(EXITS, *flows, after=queued(8, count=8), before=queued(count=7))
    assert (found.measured, found.passed) == (99 * VALUE_SCALE, False)


def test_a_claim_that_is_paid_is_neither_gain_nor_loss() -> None:
    paid = Flow(NATIVE, PLACE, EXECUTOR, 50)
    found = loss_of(EXITS, paid, after=queued(8, count=8), before=queued(7, 8, count=8))
    assert (found.measured, found.passed) == (0, True)


def test_a_claim_that_is_paid_to_a_stranger_is_lost_by_whichever_way_it_goes() -> None:
    before, after = queued(7, count=7), queued(count=7)
    straight = loss_of(EXITS, Flow(NATIVE, PLACE, POOL, 50), after=after, before=before)
    assert (straight.measured, straight.passed) == (100 * VALUE_SCALE, False)
    through = (Flow(NATIVE, PLACE, EXECUTOR, 50), Flow(NATIVE, EXECUTOR, POOL, 50))
    found = loss_of(EXITS, *through, after=after, before=before)
    assert (found.measured, found.passed) == (100 * VALUE_SCALE, False)


def test_a_claim_that_is_gone_without_a_payment_is_refused() -> None:
    found = loss_of(EXITS, after=queued(count=8), before=queued(7, count=8))
    assert (found.measured, found.passed) == (None, False)
    assert "1 claims of ours are gone, and the queue has paid 0 times" in found.reason
    once = Flow(NATIVE, PLACE, EXECUTOR, 50)
    two = loss_of(EXITS, once, after=queued(count=8), before=queued(7, 8, count=8))
    assert (two.measured, two.passed) == (None, False)


def test_a_payment_while_no_claim_of_ours_ends_is_what_it_is() -> None:
    """A redemption at once comes from the same desk."""
    flows = (Flow(STAKED, EXECUTOR, ZERO_ADDRESS, 100), Flow(USD, PLACE, EXECUTOR, 98))
    same = queued(7, count=7)
    found = loss_of(REDEMPTIONS, *flows, after=same, before=same)
    assert (found.measured, found.passed) == (2 * VALUE_SCALE, True)


@pytest.mark.parametrize(
    "broken",
    [
        {(PLACE, selector(NUMBERS)): None},
        {(PLACE, selector(NUMBERS)): words(32, 2**200)},
        {(PLACE, selector(COUNT)): b""},
    ],
    ids=["no answer", "no list", "no count"],
)
def test_a_queue_that_cannot_be_read_is_refused(broken: Answers) -> None:
    found = loss_of(EXITS, after=broken, before=queued(count=7))
    assert (found.measured, found.passed) == (None, False)


def test_a_fee_of_more_than_everything_is_refused() -> None:
    burnt = Flow(STAKED, EXECUTOR, ZERO_ADDRESS, 100)
    found = loss_of(REDEMPTIONS, burnt, after=queued(1, count=1, fee_bps=10_001), before=queued(count=0))
    assert (found.measured, found.passed) == (None, False)
