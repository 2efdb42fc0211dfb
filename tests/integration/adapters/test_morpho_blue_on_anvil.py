"""The true Morpho Blue: what the adapter foresees is what the market does, to the wei and to the share."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

import pytest

from seawall.markets.morpho_blue import MorphoMarket, borrow_rate
from seawall.native import abi_encode, encode_call, keccak256
from seawall.primitives.bounds import UINT256_MAX
from seawall.primitives.errors import ProtocolError, UnavailableActionError
from seawall.primitives.units import Address, hex_text
from seawall.protocols.adapters.actions import Action, Borrow, Repay, Supply, Withdraw
from seawall.protocols.adapters.base import DependencyKind, Position, PositionKind, Rates
from seawall.protocols.adapters.morpho_blue import MorphoAdapter, MorphoState, from_book
from seawall.protocols.executor.operations import DebtKind, RepayDebt
from seawall.rollout.devnet import Devnet
from seawall.rollout.devnet.accounts import BORROWERS, OWNER, TRADERS
from seawall.rollout.devnet.steering import revert, snapshot
from tests.fixtures.ground import Ground, lands_as_quoted, refused_by_both
from tests.fixtures.lending import allow_all, head_s, lands, plain, state_of, view_words

pytestmark = pytest.mark.anvil

ETHER = 10**18
DOLLAR = 10**6
DAY_S = 86_400
YEAR_S = 365 * DAY_S
# The owner is the fee's recipient, whose shares grow by themselves.
HOLDERS = (*BORROWERS, *TRADERS[:2], OWNER)
STEPS = 120
MARKETS = ("morpho_blue:weth-usdx-8600", "morpho_blue:usdx-ethx-7700")
PARAMS = "(address,address,address,address,uint256)"


def market(devnet: Devnet, name: str = MARKETS[0]) -> MorphoAdapter:
    return next(adapter for adapter in from_book(devnet.book) if adapter.name == name)


@pytest.fixture(autouse=True)
def restored(shared_devnet: Devnet) -> Iterator[None]:
    before = snapshot(shared_devnet)
    yield
    revert(shared_devnet, before)


@pytest.fixture
def ground(shared_devnet: Devnet) -> Ground[MorphoState]:
    return Ground(shared_devnet, market(shared_devnet))


def random_action(dice: random.Random, adapter: MorphoAdapter, devnet: Devnet) -> Action:
    kind = dice.choice((Supply, Withdraw, Borrow, Repay))
    is_loan = kind in (Borrow, Repay) or dice.random() < 0.5
    asset = adapter.loan if is_loan else adapter.collateral
    unit = DOLLAR * 2_500 if asset == devnet.book.address("usdx") else ETHER
    amount = dice.choice((1, 2, dice.randrange(1, unit), dice.randrange(unit, 40 * unit)))
    return kind(asset, amount)


@pytest.mark.parametrize("name", MARKETS)
def test_a_random_life_goes_as_foreseen_to_the_last_share(shared_devnet: Devnet, name: str) -> None:
    adapter = market(shared_devnet, name)
    allow_all(shared_devnet, [adapter.loan, adapter.collateral], adapter.morpho, HOLDERS)
    dice = random.Random(f"life of {name}")
    landed = set()
    for _ in range(STEPS):
        at_s = head_s(shared_devnet) + dice.choice((1, 12, dice.randrange(1, DAY_S), 20 * DAY_S))
        holder, action = dice.choice(HOLDERS), random_action(dice, adapter, shared_devnet)
        state = state_of(shared_devnet, adapter, HOLDERS, at_s)
        operations = adapter.build(action, holder)
        try:
            effect = adapter.after(state, action, holder)
        except UnavailableActionError:
            assert not lands(shared_devnet, operations, holder, at_s), action
            continue
        assert lands(shared_devnet, operations, holder, at_s), action
        landed.add(type(action))
        assert state_of(shared_devnet, adapter, HOLDERS, at_s) == effect.state
    assert landed == adapter.actions


def test_a_market_drained_to_the_last_unit_heats_up_as_foreseen(shared_devnet: Devnet) -> None:
    adapter = market(shared_devnet)
    allow_all(shared_devnet, [adapter.loan, adapter.collateral], adapter.morpho, [TRADERS[0]])
    at_s = head_s(shared_devnet) + 5
    put_up = Supply(adapter.collateral, 2_000 * ETHER)
    assert lands(shared_devnet, adapter.build(put_up, TRADERS[0]), TRADERS[0], at_s)
    withdrawn = Withdraw(adapter.loan, 8_000_000 * DOLLAR)
    assert lands(shared_devnet, adapter.build(withdrawn, OWNER), OWNER, at_s + 5)
    there = adapter.liquidity(state_of(shared_devnet, adapter, (), at_s + 10), adapter.loan)
    expected = adapter.rates_with_debt(state_of(shared_devnet, adapter, (), at_s + 10), there)
    borrowed = Borrow(adapter.loan, there)
    assert lands(shared_devnet, adapter.build(borrowed, TRADERS[0]), TRADERS[0], at_s + 10)
    assert adapter.rates(state_of(shared_devnet, adapter, (), at_s + 10), adapter.loan) == expected
    for later_s in (1, DAY_S, 30 * DAY_S, YEAR_S):
        shared_devnet.rpc.call("evm_setNextBlockTimestamp", at_s + 10 + later_s)
        data = encode_call(f"accrueInterest({PARAMS})", (adapter.params,))
        before = state_of(shared_devnet, adapter, (OWNER,), at_s + 10 + later_s)
        shared_devnet.rpc.settle([shared_devnet.rpc.send(OWNER, adapter.morpho, data)], mine=True)
        assert state_of(shared_devnet, adapter, (OWNER,), at_s + 10 + later_s) == before
        at_s += later_s


@pytest.mark.parametrize("change", [500_000 * DOLLAR, -9_000_000 * DOLLAR])
def test_rates_with_our_own_impact_are_those_that_the_model_answers_afterwards(
    shared_devnet: Devnet, change: int
) -> None:
    adapter = market(shared_devnet)
    allow_all(shared_devnet, [adapter.loan], adapter.morpho, [OWNER])
    at_s = head_s(shared_devnet) + DAY_S
    expected = adapter.rates(state_of(shared_devnet, adapter, (OWNER,), at_s), adapter.loan, change)
    action = Supply(adapter.loan, change) if change > 0 else Withdraw(adapter.loan, -change)
    assert lands(shared_devnet, adapter.build(action, OWNER), OWNER, at_s)
    books = view_words(shared_devnet, adapter.morpho, "market(bytes32)", adapter.market_id)
    view = f"borrowRateView({PARAMS},(uint128,uint128,uint128,uint128,uint128,uint128))"
    answer = shared_devnet.rpc.view(adapter.rate_model, encode_call(view, (adapter.params, books)))
    per_year_ray = int.from_bytes(answer) * YEAR_S * 10**9
    assert expected.borrow_ray == per_year_ray
    assert expected.supply_ray == per_year_ray * books[2] // books[0] * 9 // 10


def test_the_model_answers_the_same_for_any_market(shared_devnet: Devnet) -> None:
    adapter = market(shared_devnet)
    dice = random.Random("markets")
    slot = keccak256(abi_encode(["bytes32", "uint256"], (adapter.market_id, 0)))
    view = f"borrowRateView({PARAMS},(uint128,uint128,uint128,uint128,uint128,uint128))"
    now_s = head_s(shared_devnet)
    for _ in range(100):
        start = dice.randrange(10**15 // YEAR_S, 2 * 10**18 // YEAR_S)
        word = f"0x{start:064x}"
        shared_devnet.rpc.call("anvil_setStorageAt", hex_text(adapter.rate_model), hex_text(slot), word)
        supplied = dice.randrange(1, 10**24)
        borrowed = dice.randrange(0, supplied + 1)
        elapsed_s = dice.choice((0, 1, 12, dice.randrange(DAY_S), dice.randrange(YEAR_S)))
        books = (supplied, 1, borrowed, 1, now_s - elapsed_s, 0)
        answer = shared_devnet.rpc.view(adapter.rate_model, encode_call(view, (adapter.params, books)))
        asked = MorphoMarket(*books, rate_at_target_wad=start)
        assert int.from_bytes(answer) == borrow_rate(asked, elapsed_s)[0]


def test_positions_tell_lent_put_up_and_owed(shared_devnet: Devnet) -> None:
    adapter = market(shared_devnet)
    state = state_of(shared_devnet, adapter, (OWNER, *BORROWERS), head_s(shared_devnet))
    reference = hex_text(adapter.market_id)
    collateral, debt = adapter.positions(state, BORROWERS[0])
    view = shared_devnet.book.address("position_morpho_weth_usdx_8600_collateral_weth")
    assert collateral == Position(
        BORROWERS[0],
        PositionKind.COLLATERAL,
        adapter.collateral,
        40 * ETHER,
        view,
        40 * ETHER,
        reference=reference,
    )
    assert debt.kind is PositionKind.DEBT
    assert debt.amount >= 60_000 * DOLLAR
    (lent,) = adapter.positions(state, OWNER)
    assert (lent.kind, lent.token) == (PositionKind.SUPPLIED, adapter.loan)
    assert lent.amount >= 10_000_000 * DOLLAR
    assert adapter.positions(state, BORROWERS[3]) == ()
    with pytest.raises(UnavailableActionError, match="nothing was read"):
        adapter.positions(state, TRADERS[0])


def test_health_is_the_limit_over_the_debt(shared_devnet: Devnet) -> None:
    adapter = market(shared_devnet)
    state = state_of(shared_devnet, adapter, (OWNER, *BORROWERS), head_s(shared_devnet))
    owed = adapter.positions(state, BORROWERS[1])[1].amount
    limit = 20 * 2_500 * DOLLAR * 86 // 100
    assert adapter.health_wad(state, BORROWERS[1]) == limit * ETHER // owed
    assert adapter.health_wad(state, OWNER) == UINT256_MAX


def test_a_debt_is_ended_by_its_shares(ground: Ground[MorphoState]) -> None:
    adapter, holder = market(ground.devnet), BORROWERS[0]
    ground.account = holder
    state = ground.state(later_s=DAY_S)
    effect = adapter.after(state, Repay(adapter.loan, UINT256_MAX), holder)
    owed = adapter.positions(state, holder)[1].amount
    assert [leg.amount for leg in effect.quote.takes] == [owed]
    allow_all(ground.devnet, [adapter.loan], adapter.morpho, [holder])
    (operation,) = adapter.build(Repay(adapter.loan, UINT256_MAX), holder)
    assert isinstance(operation, RepayDebt)
    assert (operation.kind, operation.market) == (DebtKind.MORPHO_SHARES, adapter.market_id)
    by_shares = plain(replace(operation, maximum=state.accounts[holder].borrow_shares))
    before = ground.balance(adapter.loan)
    assert lands(ground.devnet, (by_shares,), holder, ground.block.timestamp_s)
    assert before - ground.balance(adapter.loan) == owed
    assert ground.state() == effect.state
    refused_by_both(ground, Repay(adapter.loan, 1), "nothing is owed")


def test_more_than_is_owed_is_refused_as_morpho_does(ground: Ground[MorphoState]) -> None:
    ground.account = BORROWERS[1]
    adapter = market(ground.devnet)
    refused_by_both(ground, Repay(adapter.loan, 43_000 * DOLLAR), "more than the")
    lands_as_quoted(ground, Repay(adapter.loan, 41_000 * DOLLAR))


def test_what_was_lent_comes_back_to_the_last_share(ground: Ground[MorphoState]) -> None:
    adapter = market(ground.devnet)
    lands_as_quoted(ground, Supply(adapter.loan, 1_234_567_891))
    ground.pass_time(100 * DAY_S)
    state = ground.state(later_s=60)
    (position,) = adapter.positions(state, ground.account)
    before = ground.balance(adapter.loan)
    operations = adapter.build_exit(state, ground.account)
    assert lands(ground.devnet, operations, ground.account, ground.block.timestamp_s)
    assert ground.balance(adapter.loan) - before == position.amount
    assert adapter.positions(ground.state(), ground.account) == ()


def test_nothing_is_lent_beyond_the_collateral(ground: Ground[MorphoState]) -> None:
    adapter = market(ground.devnet)
    refused_by_both(ground, Borrow(adapter.loan, 1), "would not cover")
    lands_as_quoted(ground, Supply(adapter.collateral, ETHER))
    refused_by_both(ground, Borrow(adapter.loan, 2_150 * DOLLAR + 1), "would not cover")
    lands_as_quoted(ground, Borrow(adapter.loan, 2_149 * DOLLAR))
    refused_by_both(ground, Withdraw(adapter.collateral, ETHER // 100), "would not cover")
    refused_by_both(ground, Withdraw(adapter.collateral, 2 * ETHER), "cannot be taken back")
    refused_by_both(ground, Withdraw(adapter.loan, 1), "cannot be taken back")


def test_liquidity_is_what_can_be_taken_and_not_one_more(ground: Ground[MorphoState]) -> None:
    adapter = market(ground.devnet)
    ground.account = OWNER
    # What others sent there by mistake lends nobody anything.
    ground.send("usdx", "transfer(address,uint256)", adapter.morpho, 5 * DOLLAR)
    there = adapter.liquidity(ground.state(later_s=13), adapter.loan)
    assert there == 10_000_000 * DOLLAR - 102_000 * DOLLAR
    refused_by_both(ground, Withdraw(adapter.loan, there + 1), "at hand")
    lands_as_quoted(ground, Withdraw(adapter.loan, there))
    assert adapter.liquidity(ground.state(), adapter.loan) == 0
    assert adapter.liquidity(ground.state(), adapter.collateral) == 0


def test_a_silent_oracle_stops_debts_alone(ground: Ground[MorphoState]) -> None:
    adapter = market(ground.devnet)
    ground.account = BORROWERS[0]
    ground.send("feed_eth_usd", "updateAnswer(int256)", 0)
    refused_by_both(ground, Borrow(adapter.loan, 1), "oracle does not answer")
    refused_by_both(ground, Withdraw(adapter.collateral, 1), "oracle does not answer")
    lands_as_quoted(ground, Repay(adapter.loan, 1_000 * DOLLAR))


def test_a_market_that_does_not_exist_is_noticed(shared_devnet: Devnet) -> None:
    nowhere = replace(market(shared_devnet), lltv_wad=5 * 10**17)
    with pytest.raises(ProtocolError, match="no such market"):
        state_of(shared_devnet, nowhere, (), head_s(shared_devnet))


@pytest.mark.parametrize("odd", ["odd_silent", "odd_fee"])
def test_odd_tokens_move_as_quoted(shared_devnet: Devnet, odd: str) -> None:
    """Of a token that takes fees Morpho credits what was sent: what it lacks is the last one's loss."""
    model, token = market(shared_devnet), shared_devnet.book.address(odd)
    adapter = replace(model, name="odd", loan=token)
    ground = Ground(shared_devnet, adapter)
    ground.send("morpho", f"createMarket({PARAMS})", adapter.params)
    ground.send(token, "transfer(address,uint256)", ground.account, 10**21)
    lands_as_quoted(ground, Supply(token, 10**18))
    if odd == "odd_silent":
        lands_as_quoted(ground, Withdraw(token, 10**18 - 1))
    else:
        operations = adapter.build(Withdraw(token, 10**18 - 1), ground.account)
        assert not lands(shared_devnet, operations, ground.account, head_s(shared_devnet) + 1)


def test_both_markets_depend_on_morpho_and_on_their_own_oracles(shared_devnet: Devnet) -> None:
    first, second = (set(market(shared_devnet, name).dependencies()) for name in MARKETS)
    shared = {one.kind for one in first & second}
    assert DependencyKind.PROTOCOL in shared
    assert DependencyKind.ORACLE not in shared


def test_rates_are_of_what_is_lent_and_end_with_the_liquidity(shared_devnet: Devnet) -> None:
    adapter = market(shared_devnet)
    state = state_of(shared_devnet, adapter, (), head_s(shared_devnet))
    assert adapter.rates(state, adapter.collateral) == Rates(None, None)
    there = adapter.liquidity(state, adapter.loan)
    with pytest.raises(UnavailableActionError, match="at hand"):
        adapter.rates(state, adapter.loan, -there - 1)
    with pytest.raises(UnavailableActionError, match="at hand"):
        adapter.rates_with_debt(state, there + 1)
    with pytest.raises(ProtocolError, match="after the block of 1"):
        state_of(shared_devnet, adapter, (), 1)


def test_words_for_all_are_refused_where_morpho_has_none(shared_devnet: Devnet) -> None:
    adapter = market(shared_devnet)
    with pytest.raises(UnavailableActionError, match="no word for all"):
        adapter.build(Withdraw(adapter.loan, UINT256_MAX), TRADERS[0])
    with pytest.raises(UnavailableActionError, match="not named"):
        adapter.build(Supply(adapter.loan, UINT256_MAX), TRADERS[0])
    stranger = Address(b"\x99" * 20)
    with pytest.raises(UnavailableActionError, match="not traded or held here"):
        adapter.build(Supply(stranger, 1), TRADERS[0])
