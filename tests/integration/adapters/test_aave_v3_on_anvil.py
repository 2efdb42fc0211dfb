"""Aave V3.6 and Spark, the true contracts: what the adapter foresees is what the pool does, to the wei."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

import pytest

from seawall.native import encode_call
from seawall.primitives.bounds import UINT256_MAX
from seawall.primitives.errors import ProtocolError, UnavailableActionError
from seawall.primitives.plans import TokenBound
from seawall.primitives.units import Address, hex_text
from seawall.protocols.adapters.aave_v3 import AaveAdapter, from_book
from seawall.protocols.adapters.aave_v3_rules import AaveState, after
from seawall.protocols.adapters.actions import Action, Borrow, Repay, Supply, Withdraw
from seawall.protocols.adapters.base import DependencyKind, Exact, Position, PositionKind, Rates
from seawall.protocols.adapters.erased import erased
from seawall.protocols.executor.operations import Flash, Loan
from seawall.protocols.executor.policy import LenderKind, LenderPolicy, Policy, registry_calls
from seawall.rollout.devnet import Devnet
from seawall.rollout.devnet.accounts import BORROWERS, OWNER, TRADERS
from seawall.rollout.devnet.steering import revert, snapshot
from tests.conformance.stage import Stage
from tests.fixtures.ground import ACTING_DELAY_S, Ground, refused_by_both
from tests.fixtures.lending import LendingGround, allow_all, head_s, lands, state_of, view_words

pytestmark = pytest.mark.anvil

ETHER = 10**18
DOLLAR = 10**6
DAY_S = 86_400
HOLDERS = (*BORROWERS, *TRADERS[:2])
STEPS = 120
DEPLOYMENTS = ("aave_v3", "spark")


def deployment(devnet: Devnet, name: str) -> AaveAdapter:
    return next(adapter for adapter in from_book(devnet.book) if adapter.name == name)


@pytest.fixture(autouse=True)
def restored(shared_devnet: Devnet) -> Iterator[None]:
    before = snapshot(shared_devnet)
    yield
    revert(shared_devnet, before)


@pytest.fixture
def ground(shared_devnet: Devnet) -> Ground[AaveState]:
    return LendingGround(shared_devnet, deployment(shared_devnet, "aave_v3"))


def token(devnet: Devnet, name: str) -> Address:
    return devnet.book.address(name)


def admin(ground: Ground[AaveState], signature: str, *values: Address | int | bool) -> None:
    ground.send("aave_configurator", signature, *values)


def lands_as_foreseen(ground: Ground[AaveState], action: Action) -> None:
    """The token moves as quoted, and all else is as the forecast says; receipts grow by themselves."""
    operations = ground.adapter.build(action, ground.account)
    ground.allow(operations)
    effect = after(ground.state(later_s=ACTING_DELAY_S), action, ground.account)
    at_s, asset = ground.block.timestamp_s, action_token(action)
    change = sum(leg.amount for leg in effect.quote.gives if leg.token == asset)
    change -= sum(leg.amount for leg in effect.quote.takes if leg.token == asset)
    before = ground.balance(asset)
    ground.act(operations, at_s)
    assert ground.balance(asset) - before == change
    assert ground.state() == effect.state


def action_token(action: Action) -> Address:
    assert isinstance(action, Supply | Withdraw | Borrow | Repay)
    return action.token


def random_action(dice: random.Random, devnet: Devnet) -> Action:
    name = dice.choice(("weth", "usdx", "ethx"))
    unit = DOLLAR * 2_500 if name == "usdx" else ETHER
    kind = dice.choice((Supply, Withdraw, Borrow, Repay))
    amount = dice.choice(
        (1, 2, dice.randrange(1, unit), dice.randrange(unit, 40 * unit), dice.randrange(unit, 40 * unit))
    )
    if dice.random() < 0.1 and kind in (Withdraw, Repay):
        amount = UINT256_MAX
    return kind(token(devnet, name), amount)


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_random_life_goes_as_foreseen_to_the_last_digit_of_every_index(
    shared_devnet: Devnet, name: str
) -> None:
    adapter = deployment(shared_devnet, name)
    allow_all(shared_devnet, [one.token for one in adapter.reserves], adapter.pool, HOLDERS)
    dice = random.Random(f"life of {name}")
    landed = set()
    for _ in range(STEPS):
        at_s = head_s(shared_devnet) + dice.choice((1, 12, dice.randrange(1, DAY_S), 20 * DAY_S))
        holder, action = dice.choice(HOLDERS), random_action(dice, shared_devnet)
        state = state_of(shared_devnet, adapter, HOLDERS, at_s)
        operations = adapter.build(action, holder)
        try:
            effect = after(state, action, holder)
        except UnavailableActionError:
            assert not lands(shared_devnet, operations, holder, at_s), action
            continue
        assert lands(shared_devnet, operations, holder, at_s), action
        landed.add(type(action))
        assert state_of(shared_devnet, adapter, HOLDERS, at_s) == effect.state
    assert landed == adapter.actions


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_totals_and_health_are_those_that_the_pool_answers(shared_devnet: Devnet, name: str) -> None:
    adapter = deployment(shared_devnet, name)
    shared_devnet.rpc.call("evm_setNextBlockTimestamp", head_s(shared_devnet) + 200 * DAY_S)
    shared_devnet.rpc.call("evm_mine")
    state = state_of(shared_devnet, adapter, HOLDERS, head_s(shared_devnet))
    for holder in HOLDERS:
        data = adapter.account(state, holder)
        answered = view_words(shared_devnet, adapter.pool, "getUserAccountData(address)", holder)
        assert answered == (
            data.collateral_base,
            data.debt_base,
            data.available_base,
            data.threshold_bps,
            data.ltv_bps,
            data.health_wad,
        )


def test_positions_are_what_the_tokens_say(shared_devnet: Devnet) -> None:
    adapter, book = deployment(shared_devnet, "aave_v3"), shared_devnet.book
    state = state_of(shared_devnet, adapter, HOLDERS, head_s(shared_devnet))
    lent = view_words(shared_devnet, book.address("a_ethx"), "balanceOf(address)", BORROWERS[3])[0]
    owed = view_words(shared_devnet, book.address("aave_debt_weth"), "balanceOf(address)", BORROWERS[3])[0]
    assert set(adapter.positions(state, BORROWERS[3])) == {
        Position(
            BORROWERS[3],
            PositionKind.COLLATERAL,
            book.address("ethx"),
            lent,
            book.address("a_ethx"),
            lent,
        ),
        Position(
            BORROWERS[3],
            PositionKind.DEBT,
            book.address("weth"),
            owed,
            book.address("aave_debt_weth"),
            owed,
        ),
    }
    assert adapter.positions(state, TRADERS[0]) == ()
    with pytest.raises(UnavailableActionError, match="nothing was read"):
        adapter.positions(state, OWNER)


def test_what_is_supplied_without_counting_is_told_apart(ground: Ground[AaveState]) -> None:
    weth = token(ground.devnet, "weth")
    lands_as_foreseen(ground, Supply(weth, ETHER))
    switch = "setUserUseReserveAsCollateral(address,bool)"
    ground.send("aave_pool", switch, weth, False, sender=ground.account)
    (position,) = ground.adapter.positions(ground.state(), ground.account)
    assert position.kind is PositionKind.SUPPLIED


@pytest.mark.parametrize("change", [3_000 * ETHER, -3_000 * ETHER])
def test_rates_with_our_own_impact_are_those_of_the_chain_afterwards(
    shared_devnet: Devnet, change: int
) -> None:
    adapter, weth = deployment(shared_devnet, "aave_v3"), token(shared_devnet, "weth")
    at_s = head_s(shared_devnet) + DAY_S
    expected = adapter.rates(state_of(shared_devnet, adapter, (OWNER,), at_s), weth, change)
    action = Supply(weth, change) if change > 0 else Withdraw(weth, -change)
    allow_all(shared_devnet, [weth], adapter.pool, [OWNER])
    at_s = head_s(shared_devnet) + DAY_S
    expected = adapter.rates(state_of(shared_devnet, adapter, (OWNER,), at_s), weth, change)
    assert lands(shared_devnet, adapter.build(action, OWNER), OWNER, at_s)
    assert rates_on_chain(shared_devnet, adapter, weth) == expected
    assert adapter.rates(state_of(shared_devnet, adapter, (), at_s), weth) == expected


@pytest.mark.parametrize("change", [9_000 * ETHER, -30 * ETHER])
def test_rates_with_our_own_debt_are_those_of_the_chain_afterwards(
    shared_devnet: Devnet, change: int
) -> None:
    adapter, weth = deployment(shared_devnet, "aave_v3"), token(shared_devnet, "weth")
    holder = OWNER if change > 0 else BORROWERS[2]
    allow_all(shared_devnet, [weth], adapter.pool, [holder])
    at_s = head_s(shared_devnet) + DAY_S
    expected = adapter.rates_with_debt(state_of(shared_devnet, adapter, (), at_s), weth, change)
    action = Borrow(weth, change) if change > 0 else Repay(weth, -change)
    assert lands(shared_devnet, adapter.build(action, holder), holder, at_s)
    assert rates_on_chain(shared_devnet, adapter, weth) == expected


def rates_on_chain(devnet: Devnet, adapter: AaveAdapter, asset: Address) -> Rates:
    words = view_words(devnet, adapter.pool, "getReserveData(address)", asset)
    return Rates(words[2], words[4])


def test_liquidity_is_what_can_be_borrowed_and_not_one_more(ground: Ground[AaveState]) -> None:
    usdx = token(ground.devnet, "usdx")
    ground.account = OWNER
    there = ground.adapter.liquidity(ground.state(), usdx)
    # Sending tokens past the pool's books lends nobody anything.
    ground.send("usdx", "transfer(address,uint256)", token(ground.devnet, "a_usdx"), 5 * DOLLAR)
    assert ground.adapter.liquidity(ground.state(), usdx) == there
    refused_by_both(ground, Withdraw(usdx, there + 1), "at hand")
    lands_as_foreseen(ground, Withdraw(usdx, there))
    assert ground.adapter.liquidity(ground.state(), usdx) == 0
    refused_by_both(ground, Borrow(usdx, 1), "at hand")


def test_a_paused_reserve_does_nothing(ground: Ground[AaveState]) -> None:
    weth = token(ground.devnet, "weth")
    ground.account = BORROWERS[2]
    admin(ground, "setReservePause(address,bool)", weth, True)
    for action in (Supply(weth, ETHER), Withdraw(weth, 1), Borrow(weth, 1), Repay(weth, ETHER)):
        refused_by_both(ground, action, "paused")
    assert ground.adapter.liquidity(ground.state(), weth) == 0


def test_a_frozen_reserve_gives_back_and_takes_back_only(ground: Ground[AaveState]) -> None:
    weth = token(ground.devnet, "weth")
    ground.account = BORROWERS[0]
    admin(ground, "setReserveFreeze(address,bool)", weth, True)
    refused_by_both(ground, Supply(weth, ETHER), "frozen")
    refused_by_both(ground, Borrow(weth, ETHER), "frozen")
    lands_as_foreseen(ground, Withdraw(weth, ETHER))


def test_caps_count_what_the_pool_counts(ground: Ground[AaveState]) -> None:
    ethx = token(ground.devnet, "ethx")
    ground.account = BORROWERS[0]
    admin(ground, "setSupplyCap(address,uint256)", ethx, 10_110)
    refused_by_both(ground, Supply(ethx, 11 * ETHER), "supply cap")
    lands_as_foreseen(ground, Supply(ethx, 5 * ETHER))
    admin(ground, "setBorrowCap(address,uint256)", ethx, 2)
    refused_by_both(ground, Borrow(ethx, 2 * ETHER + 1), "borrow cap")
    lands_as_foreseen(ground, Borrow(ethx, 2 * ETHER))


def test_nothing_is_lent_beyond_the_collateral(ground: Ground[AaveState]) -> None:
    usdx, weth = token(ground.devnet, "usdx"), token(ground.devnet, "weth")
    refused_by_both(ground, Borrow(usdx, DOLLAR), "nothing counts as collateral")
    lands_as_foreseen(ground, Supply(weth, ETHER))
    refused_by_both(ground, Borrow(usdx, 2_000 * DOLLAR + 1), "less than")
    lands_as_foreseen(ground, Borrow(usdx, 1_999 * DOLLAR))
    refused_by_both(ground, Withdraw(weth, ETHER // 2), "health")
    refused_by_both(ground, Withdraw(weth, 2 * ETHER), "cannot be withdrawn")
    lands_as_foreseen(ground, Repay(usdx, 10_000 * DOLLAR))
    refused_by_both(ground, Repay(usdx, 1), "owes nothing")
    lands_as_foreseen(ground, Withdraw(weth, UINT256_MAX))


def test_dust_that_the_pool_would_not_count_is_refused(ground: Ground[AaveState]) -> None:
    weth = token(ground.devnet, "weth")
    ground.account = OWNER
    lands_as_foreseen(ground, Borrow(weth, 8_000 * ETHER))
    ground.pass_time(2_000 * DAY_S)
    ground.account = BORROWERS[0]
    refused_by_both(ground, Supply(weth, 1), "too little")


def test_efficiency_mode_lends_more_and_nothing_else(ground: Ground[AaveState]) -> None:
    ethx, weth, usdx = (token(ground.devnet, name) for name in ("ethx", "weth", "usdx"))
    lands_as_foreseen(ground, Supply(ethx, 10 * ETHER))
    refused_by_both(ground, Borrow(weth, 9 * ETHER), "health")
    ground.send("aave_pool", "setUserEMode(uint8)", 1, sender=ground.account)
    refused_by_both(ground, Borrow(usdx, DOLLAR), "efficiency mode 1")
    lands_as_foreseen(ground, Borrow(weth, 9 * ETHER))


def test_a_siloed_debt_stands_alone(ground: Ground[AaveState]) -> None:
    ethx, weth, usdx = (token(ground.devnet, name) for name in ("ethx", "weth", "usdx"))
    admin(ground, "setSiloedBorrowing(address,bool)", ethx, True)
    lands_as_foreseen(ground, Supply(weth, 10 * ETHER))
    lands_as_foreseen(ground, Borrow(ethx, ETHER))
    refused_by_both(ground, Borrow(usdx, DOLLAR), "no other debt")
    lands_as_foreseen(ground, Borrow(ethx, ETHER))
    ground.account = BORROWERS[0]
    refused_by_both(ground, Borrow(ethx, ETHER // 10), "only be owed alone")


@pytest.mark.parametrize(("answer", "lends"), [(0, False), (1, True)])
def test_a_sentinel_decides_whether_a_sequencer_was_down(
    ground: Ground[AaveState], answer: int, lends: bool
) -> None:
    usdx, sentinel = token(ground.devnet, "usdx"), Address(b"\x5e" * 20)
    ground.account = BORROWERS[0]
    code = f"0x60{answer:02x}5f5260205ff3"
    ground.devnet.rpc.call("anvil_setCode", hex_text(sentinel), code)
    ground.send("aave_provider", "setPriceOracleSentinel(address)", sentinel)
    if lends:
        lands_as_foreseen(ground, Borrow(usdx, DOLLAR))
    else:
        refused_by_both(ground, Borrow(usdx, DOLLAR), "sequencer was down")
    lands_as_foreseen(ground, Repay(usdx, DOLLAR))


def test_without_the_second_round_positions_are_told_and_nothing_is_quoted(shared_devnet: Devnet) -> None:
    adapter, weth = deployment(shared_devnet, "aave_v3"), token(shared_devnet, "weth")
    answers = Stage(shared_devnet).ask(adapter.reads((BORROWERS[0],)))
    state = adapter.decode(answers, Stage(shared_devnet).head())
    assert len(adapter.positions(state, BORROWERS[0])) == 2
    assert adapter.account(state, BORROWERS[0]).health_wad > ETHER
    with pytest.raises(UnavailableActionError, match="rate curve was not read"):
        adapter.quote(state, Supply(weth, 1), BORROWERS[0])
    with pytest.raises(UnavailableActionError, match="rate curve was not read"):
        adapter.rates(state, weth)


def test_a_reserve_that_was_closed_does_nothing(ground: Ground[AaveState]) -> None:
    weth = token(ground.devnet, "weth")
    state = ground.state()
    closed = replace(state.reserves[weth], settings=replace(state.reserves[weth].settings, is_active=False))
    state = replace(state, reserves={**state.reserves, weth: closed})
    with pytest.raises(UnavailableActionError, match="not active"):
        ground.adapter.quote(state, Supply(weth, ETHER), ground.account)
    assert ground.adapter.liquidity(state, weth) == 0


def test_foreign_tokens_and_times_before_the_books_are_refused(shared_devnet: Devnet) -> None:
    adapter, stranger = deployment(shared_devnet, "aave_v3"), Address(b"\x99" * 20)
    with pytest.raises(UnavailableActionError, match="not traded or held"):
        adapter.build(Supply(stranger, 1), OWNER)
    with pytest.raises(UnavailableActionError, match="not traded or held"):
        adapter.liquidity(state_of(shared_devnet, adapter, (), head_s(shared_devnet)), stranger)
    with pytest.raises(ProtocolError, match="after the block of 1"):
        state_of(shared_devnet, adapter, (), 1)


def test_what_cannot_secure_a_debt_is_lent_without_counting(ground: Ground[AaveState]) -> None:
    ethx = token(ground.devnet, "ethx")
    admin(ground, "setReserveLtvzero(address,bool)", ethx, True)
    lands_as_foreseen(ground, Supply(ethx, ETHER))
    (position,) = ground.adapter.positions(ground.state(), ground.account)
    assert position.kind is PositionKind.SUPPLIED


def test_a_reserve_that_does_not_lend_is_refused(ground: Ground[AaveState]) -> None:
    usdx = token(ground.devnet, "usdx")
    ground.account = BORROWERS[0]
    admin(ground, "setReserveBorrowing(address,bool)", usdx, False)
    refused_by_both(ground, Borrow(usdx, DOLLAR), "does not lend")
    lands_as_foreseen(ground, Repay(usdx, DOLLAR))


def test_collateral_without_loan_to_value_leaves_first(ground: Ground[AaveState]) -> None:
    ethx, weth, usdx = (token(ground.devnet, name) for name in ("ethx", "weth", "usdx"))
    for action in (Supply(weth, 10 * ETHER), Supply(ethx, 10 * ETHER), Borrow(usdx, 1_000 * DOLLAR)):
        lands_as_foreseen(ground, action)
    admin(ground, "setReserveLtvzero(address,bool)", ethx, True)
    refused_by_both(ground, Withdraw(weth, ETHER), "must leave first")
    lands_as_foreseen(ground, Withdraw(ethx, ETHER))


def test_debts_in_isolation_are_refused_rather_than_guessed(ground: Ground[AaveState]) -> None:
    usdx, weth = token(ground.devnet, "usdx"), token(ground.devnet, "weth")
    lands_as_foreseen(ground, Supply(weth, ETHER))
    state = ground.state()
    isolated = replace(state.reserves[weth], settings=replace(state.reserves[weth].settings, debt_ceiling=1))
    state = replace(state, reserves={**state.reserves, weth: isolated})
    with pytest.raises(UnavailableActionError, match="isolation"):
        ground.adapter.quote(state, Borrow(usdx, DOLLAR), ground.account)


def test_a_flash_loan_costs_what_was_quoted_and_not_less(shared_devnet: Devnet) -> None:
    adapter, weth = deployment(shared_devnet, "aave_v3"), token(shared_devnet, "weth")
    stage = Stage(shared_devnet)
    account = stage.open_account(erased(adapter))
    lenders = Policy(account.address, lenders=(LenderPolicy(adapter.pool, LenderKind.AAVE_V3),))
    for call in registry_calls(lenders):
        stage.send_data(OWNER, shared_devnet.book.address("policy_registry"), call)
    stage.give(weth, account.address, ETHER)
    loan = Exact(weth, 1_234 * ETHER + 1)
    fee = adapter.flash_fee_up(state_of(shared_devnet, adapter, (), head_s(shared_devnet)), loan)
    bounds = (TokenBound(weth, "outflow", fee),)

    def borrowed(max_fee: int) -> tuple[Flash]:
        loans = (Loan(weth, loan.amount, max_fee),)
        return (Flash(adapter.pool, loans, (), lender_kind=LenderKind.AAVE_V3),)

    assert account.is_refused(borrowed(fee - 1), bounds)
    account.execute(borrowed(fee), bounds)
    assert account.holds(weth) == ETHER - fee


def test_what_a_flash_loan_costs_rounds_up_and_ends_with_the_liquidity(shared_devnet: Devnet) -> None:
    adapter, weth = deployment(shared_devnet, "aave_v3"), token(shared_devnet, "weth")
    state = state_of(shared_devnet, adapter, (), head_s(shared_devnet))
    premium = view_words(shared_devnet, adapter.pool, "FLASHLOAN_PREMIUM_TOTAL()")[0]
    assert premium > 0
    assert adapter.flash_fee_up(state, Exact(weth, 10_000 * 7 + 1)) == 7 * premium + 1
    with pytest.raises(UnavailableActionError, match="at hand"):
        adapter.flash_fee_up(state, Exact(weth, adapter.liquidity(state, weth) + 1))
    with pytest.raises(UnavailableActionError, match="at hand"):
        adapter.rates(state, weth, -adapter.liquidity(state, weth) - 1)
    with pytest.raises(UnavailableActionError, match="at hand"):
        adapter.rates_with_debt(state, weth, adapter.liquidity(state, weth) + 1)
    closed = replace(state.reserves[weth].settings, has_flash_loans=False)
    reserves = {weth: replace(state.reserves[weth], settings=closed)}
    with pytest.raises(UnavailableActionError, match="switched off"):
        adapter.flash_fee_up(replace(state, reserves=reserves), Exact(weth, 1))


def test_another_oracle_or_token_than_the_books_is_noticed(shared_devnet: Devnet) -> None:
    adapter = deployment(shared_devnet, "aave_v3")
    data = encode_call("setPriceOracle(address)", (TRADERS[0],))
    provider = shared_devnet.book.address("aave_provider")
    shared_devnet.rpc.settle([shared_devnet.rpc.send(OWNER, provider, data)], mine=True)
    with pytest.raises(ProtocolError, match="the oracle is"):
        state_of(shared_devnet, adapter, (), head_s(shared_devnet))
    swapped = replace(adapter.reserves[0], receipt=adapter.reserves[1].receipt)
    with pytest.raises(ProtocolError, match="the receipt token is"):
        state_of(
            shared_devnet, replace(adapter, oracle=TRADERS[0], reserves=(swapped,)), (), head_s(shared_devnet)
        )


def test_an_unknown_revision_is_told_but_not_quoted(ground: Ground[AaveState]) -> None:
    weth = token(ground.devnet, "weth")
    state = replace(ground.state(), revision=11)
    with pytest.raises(UnavailableActionError, match="revision 11"):
        ground.adapter.quote(state, Supply(weth, ETHER), ground.account)
    assert ground.adapter.liquidity(state, weth) > 0


def test_spark_depends_on_its_own_oracle_and_on_aaves_code(shared_devnet: Devnet) -> None:
    aave, spark = (set(deployment(shared_devnet, name).dependencies()) for name in DEPLOYMENTS)
    shared = {(one.kind, one.name) for one in aave & spark}
    assert (DependencyKind.PROTOCOL, "aave-v3") in shared
    assert all(kind is not DependencyKind.ORACLE for kind, _ in shared)
    assert {one.name for one in spark - aave if one.kind is DependencyKind.PROTOCOL} == {"spark"}
