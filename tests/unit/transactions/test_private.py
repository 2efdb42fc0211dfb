"""Private attempts on a model chain: what a relay is told at each head, what follows, and how alternatives
are accounted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from seawall.ledger.rows import AttemptRow
from seawall.primitives.identifiers import IntentNumber
from seawall.primitives.levels import IntentState, WriteKind
from seawall.primitives.routes import Routing, Unlanded
from seawall.primitives.units import NATIVE
from seawall.transactions.routes import RATE_LEAST, RelayRoute, RoutePolicy
from tests.builders.chain_model import ChainModel
from tests.builders.pipeline import ETHER, Pipeline, pipeline

RELAYS = (RelayRoute("builder", True),)
MIXED = RoutePolicy(RELAYS, {NATIVE: 2 * ETHER}, is_mixed=True, window_blocks=3)
PRIVATE = Routing(private=True)
FINAL_BLOCKS = 4


async def the_attempt(found: Pipeline, number: IntentNumber) -> AttemptRow:
    (attempt,) = await found.attempts(number)
    return attempt


async def test_bundle_is_for_the_next_block_at_every_head_under_one_name(tmp_path: Path) -> None:
    async with pipeline(ChainModel(), tmp_path, routes=MIXED) as found:
        first = found.model.head.number
        await found.submit(found.plan("a", routing=PRIVATE))
        await found.empty_block(2)
        terms = [write.terms for write in found.port.private]
        assert [one.target_block for one in terms if one] == [first + 1, first + 2, first + 3]
        assert len({one.replacement for one in terms if one}) == 1
        assert found.model.pool == {}, "nothing of it is public"


async def test_bundle_of_a_higher_nonce_holds_the_lower_ones_that_are_not_on_chain(tmp_path: Path) -> None:
    async with pipeline(ChainModel(), tmp_path, routes=MIXED) as found:
        public, first, second = await found.submit(
            found.plan("public"), found.plan("a", routing=PRIVATE), found.plan("b", routing=PRIVATE)
        )
        rows = [await the_attempt(found, number) for number in (public, first, second)]
        given = {write.hash: write.terms for write in found.port.private}
        before = [one.before for one in (given[rows[1].hash], given[rows[2].hash]) if one]
        assert before == [(rows[0].raw,), (rows[0].raw, rows[1].raw)]
        await found.block()
        (*_, last) = [write.terms for write in found.port.private if write.hash == rows[1].hash]
        assert last is not None
        assert last.before == (), "the public one has landed"


async def test_value_above_the_threshold_is_refused_on_a_lane_of_public_traffic(tmp_path: Path) -> None:
    policy = replace(MIXED, is_mixed=False)
    async with pipeline(ChainModel(), tmp_path, routes=policy) as found:
        small, large = await found.submit(
            found.plan("small", value_wei=ETHER), found.plan("large", value_wei=3 * ETHER)
        )
        row = await found.intent(large)
        assert (row.state, "public traffic" in row.reason) == (IntentState.REFUSED, True)
        assert (await the_attempt(found, small)).route == "public"
        assert await found.attempts(large) == []


async def test_next_life_of_the_kernel_goes_on_privately_within_the_same_window(tmp_path: Path) -> None:
    model = ChainModel()
    async with pipeline(model, tmp_path, routes=MIXED) as found:
        (number,) = await found.submit(found.plan("a", routing=replace(PRIVATE, window_blocks=6)))
        await found.empty_block(2)
    async with pipeline(model, tmp_path, routes=MIXED) as found:
        await found.empty_block()
        attempt = await the_attempt(found, number)
        assert [write.hash for write in found.port.private][-1] == attempt.hash
        assert model.pool == {}
        await found.empty_block(6)
        assert [row.kind for row in await found.slot_attempts(0)] == [WriteKind.PLAN, WriteKind.HOUSEKEEPING]
        assert found.port.unwanted[0].hash == attempt.hash


async def test_relay_that_is_not_configured_any_more_ends_the_window(tmp_path: Path) -> None:
    model = ChainModel()
    async with pipeline(model, tmp_path, routes=MIXED) as found:
        (number,) = await found.submit(
            found.plan("a", routing=replace(PRIVATE, unlanded=Unlanded.PUBLIC, window_blocks=100))
        )
    async with pipeline(model, tmp_path, routes=RoutePolicy()) as found:
        await found.empty_block()
        attempt = await the_attempt(found, number)
        assert (attempt.route, attempt.hash in model.pool) == ("public", True)
        await found.block(1 + FINAL_BLOCKS)
        assert (await found.intent(number)).state is IntentState.LANDED


async def test_relay_that_lands_too_little_is_an_event(tmp_path: Path) -> None:
    async with pipeline(ChainModel(), tmp_path, routes=MIXED) as found:
        wish = replace(PRIVATE, window_blocks=1)
        await found.submit(*[found.plan(f"plan {i}", routing=wish) for i in range(RATE_LEAST)])
        await found.empty_block(4)
        (event,) = await found.events("relay.success_fell")
        assert (event.subject, event.data) == ("builder", {"success_bps": 0, "of_the_last": RATE_LEAST})


async def test_deadline_ends_a_private_attempt_before_its_window(tmp_path: Path) -> None:
    async with pipeline(ChainModel(), tmp_path, routes=MIXED) as found:
        (number,) = await found.submit(found.plan("a", ttl_s=1, routing=replace(PRIVATE, window_blocks=100)))
        await found.empty_block(2)
        assert [row.kind for row in await found.slot_attempts(0)] == [WriteKind.PLAN, WriteKind.HOUSEKEEPING]
        await found.block(1 + FINAL_BLOCKS)
        row = await found.intent(number)
        assert (row.state, "deadline" in row.reason) == (IntentState.CANCELLED, True)


async def alternatives(found: Pipeline, *amounts_wei: int) -> list[IntentNumber]:
    wish = replace(PRIVATE, alternatives="either", window_blocks=100)
    plans = [found.plan(f"for {wei}", value_wei=wei, routing=wish) for wei in amounts_wei]
    return await found.submit(*plans)


async def test_alternatives_take_the_largest_out_of_a_budget_and_in_the_end_what_landed(
    tmp_path: Path,
) -> None:
    async with pipeline(ChainModel(), tmp_path, routes=MIXED, budget_wei=100 * ETHER) as found:
        small, large = await alternatives(found, ETHER, 3 * ETHER)
        cheap, dear = await the_attempt(found, small), await the_attempt(found, large)
        assert (cheap.nonce, dear.nonce) == (0, 0)
        book, now_s = found.chain.desk.parts.gate.book, found.clock.now_s
        spent = book.measure(found.lane, now_s())[0].amount
        assert 3 * ETHER <= spent < 3 * ETHER + ETHER // 10, "one of them lands at most"
        found.model.receive(cheap.raw)
        await found.block(1 + FINAL_BLOCKS)
        assert (await found.intent(small)).state is IntentState.LANDED
        assert (await found.intent(large)).state is IntentState.CANCELLED
        spent = book.measure(found.lane, now_s())[0].amount
        assert ETHER <= spent < ETHER + ETHER // 10
        rows = await found.ledger.read(lambda tx: tx.spends.since(found.lane, 0))
        assert sum(row.amount for row in rows if row.token == NATIVE) == spent
        assert await found.ledger.read(lambda tx: tx.reservations.sum(found.lane, NATIVE)) == 0


async def test_alternative_over_its_budget_is_refused_and_the_others_stay(tmp_path: Path) -> None:
    async with pipeline(ChainModel(), tmp_path, routes=MIXED, budget_wei=2 * ETHER) as found:
        fits, over = await alternatives(found, ETHER, 3 * ETHER)
        assert (await found.intent(over)).state is IntentState.REFUSED
        assert (await found.intent(fits)).state is IntentState.COMMITTED


async def test_alternative_that_was_reorganised_away_may_be_followed_by_the_other_one(tmp_path: Path) -> None:
    async with pipeline(ChainModel(), tmp_path, routes=MIXED) as found:
        first, second = await alternatives(found, 5, 7)
        one, other = await the_attempt(found, first), await the_attempt(found, second)
        found.model.receive(one.raw)
        await found.block()
        found.model.reorg(1)
        found.model.drop()
        found.model.receive(other.raw)
        await found.block(2 + FINAL_BLOCKS)
        assert (await found.intent(first)).state is IntentState.CANCELLED
        assert (await found.intent(second)).state is IntentState.LANDED


async def test_what_stands_on_alternatives_is_judged_anew_when_another_one_lands(tmp_path: Path) -> None:
    async with pipeline(ChainModel(), tmp_path, routes=MIXED) as found:
        first, _ = await alternatives(found, 5, 7)
        (later,) = await found.submit(found.plan("later"))
        behind = await the_attempt(found, later)
        assert found.chain.desk.verdicts.get(behind.number) is not None
        found.model.receive((await the_attempt(found, first)).raw)
        found.model.mine(only=[(await the_attempt(found, first)).hash])
        await found.chain.loop.turn()
        events = [row for row in await found.events("verdict.renewed") if row.intent == later]
        assert len(events) == 1 or found.chain.desk.verdicts.get(behind.number) is None


async def test_leader_that_is_refused_leaves_its_place_to_the_next(tmp_path: Path) -> None:
    async with pipeline(ChainModel(), tmp_path, routes=MIXED, budget_wei=2 * ETHER) as found:
        over, fits = await alternatives(found, 3 * ETHER, ETHER)
        await found.empty_block()
        assert (await found.intent(over)).state is IntentState.REFUSED
        assert (await found.intent(fits)).state is IntentState.COMMITTED
