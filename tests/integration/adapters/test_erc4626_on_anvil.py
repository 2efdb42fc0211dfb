"""ERC-4626 vaults on the devnet: quotes are what the vault does, also of one that lies about its maxima."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

import pytest

from seawall.primitives.errors import UnavailableActionError
from seawall.primitives.plans import TokenBound
from seawall.primitives.units import Address
from seawall.protocols.adapters.actions import Action, Deposit, Redeem, Supply, Withdraw
from seawall.protocols.adapters.base import Position, PositionKind, Rates
from seawall.protocols.adapters.erc4626 import VaultAdapter, VaultFormula, VaultState, from_book
from seawall.protocols.executor.operations import Measured
from seawall.rollout.devnet import Devnet
from seawall.rollout.devnet.accounts import OWNER, TRADERS
from seawall.rollout.devnet.steering import revert, snapshot
from tests.fixtures.ground import Ground, lands_as_quoted, refused_by_both
from tests.fixtures.lending import allow_all, head_s, lands, state_of, view_words

pytestmark = pytest.mark.anvil

ETHER = 10**18
DOLLAR = 10**6
HONEST, OPAQUE = "erc4626:vault_usdx", "erc4626:opaque_vault_weth"
STEPS = 60


def vault(devnet: Devnet, name: str) -> VaultAdapter:
    return next(adapter for adapter in from_book(devnet.book) if adapter.name == name)


@pytest.fixture(autouse=True)
def restored(shared_devnet: Devnet) -> Iterator[None]:
    before = snapshot(shared_devnet)
    yield
    revert(shared_devnet, before)


@pytest.fixture
def ground(shared_devnet: Devnet) -> Ground[VaultState]:
    return Ground(shared_devnet, vault(shared_devnet, HONEST))


def deposit(adapter: VaultAdapter, amount: int, minimum: int = 0) -> Deposit:
    return Deposit(adapter.asset, adapter.vault, amount, minimum)


def redeem(adapter: VaultAdapter, amount: int, minimum: int = 0) -> Redeem:
    return Redeem(adapter.vault, adapter.asset, amount, minimum)


def random_action(dice: random.Random, adapter: VaultAdapter, unit: int, share: int) -> Action:
    size = dice.choice((1, 2, dice.randrange(1, 1_000), dice.randrange(1, 10 * unit)))
    kind = dice.choice((Deposit, Redeem, Withdraw))
    if kind is Deposit:
        return deposit(adapter, size)
    if kind is Withdraw:
        return Withdraw(adapter.asset, size)
    return redeem(adapter, dice.randrange(1, 5 * share))


@pytest.mark.parametrize(("name", "unit"), [(HONEST, DOLLAR), (OPAQUE, ETHER)])
def test_random_visits_move_what_was_quoted(shared_devnet: Devnet, name: str, unit: int) -> None:
    adapter = vault(shared_devnet, name)
    visitors = (*TRADERS, OWNER)
    allow_all(shared_devnet, [adapter.asset], adapter.vault, visitors)
    dice = random.Random(f"visits to {name}")
    landed = set()
    for _ in range(STEPS):
        holder, action = dice.choice(visitors), random_action(dice, adapter, unit, ETHER)
        at_s = head_s(shared_devnet) + 1
        state = state_of(shared_devnet, adapter, (holder,), at_s)
        operations = adapter.build(action, holder)
        try:
            quote = adapter.quote(state, action, holder)
        except UnavailableActionError:
            assert not lands(shared_devnet, operations, holder, at_s), action
            continue
        changes = {leg.token: leg.amount for leg in quote.gives}
        changes |= {leg.token: -leg.amount for leg in quote.takes}
        before = {token: balance(shared_devnet, token, holder) for token in changes}
        assert lands(shared_devnet, operations, holder, at_s), action
        landed.add(type(action))
        assert {token: balance(shared_devnet, token, holder) - before[token] for token in changes} == changes
    assert landed == adapter.actions


def balance(devnet: Devnet, token: Address, holder: Address) -> int:
    return view_words(devnet, token, "balanceOf(address)", holder)[0]


def test_positions_are_what_redemption_brings(ground: Ground[VaultState]) -> None:
    adapter = vault(ground.devnet, HONEST)
    quote = lands_as_quoted(ground, deposit(adapter, 1_234 * DOLLAR + 1))
    ((share,), state) = (quote.gives, ground.state())
    (position,) = adapter.positions(state, ground.account)
    assert position == Position(
        ground.account,
        PositionKind.SHARE,
        adapter.asset,
        position.amount,
        adapter.vault,
        share.amount,
    )
    assert position.amount < 1_234 * DOLLAR + 1
    paid = lands_as_quoted(ground, redeem(adapter, share.amount))
    assert paid.gives[0].amount == position.amount
    assert adapter.positions(ground.state(), ground.account) == ()


def test_yield_makes_shares_worth_more(ground: Ground[VaultState]) -> None:
    adapter = vault(ground.devnet, HONEST)
    lands_as_quoted(ground, deposit(adapter, 1_000 * DOLLAR))
    before = adapter.positions(ground.state(), ground.account)[0].amount
    ground.send("usdx", "transfer(address,uint256)", adapter.vault, 50_000 * DOLLAR)
    after = adapter.positions(ground.state(), ground.account)[0].amount
    assert after > before
    lands_as_quoted(ground, Withdraw(adapter.asset, after))


def test_a_stopped_vault_is_refused_by_its_maxima(ground: Ground[VaultState]) -> None:
    adapter = vault(ground.devnet, HONEST)
    shares = lands_as_quoted(ground, deposit(adapter, 100 * DOLLAR)).gives[0].amount
    ground.send("vault_usdx", "setStopped(bool)", True)
    for action in (deposit(adapter, 1), redeem(adapter, shares), Withdraw(adapter.asset, 1)):
        refused_by_both(ground, action, "that the vault allows")


def test_a_vault_that_denies_everything_is_served_all_the_same(shared_devnet: Devnet) -> None:
    adapter = vault(shared_devnet, OPAQUE)
    ground = Ground(shared_devnet, adapter)
    lands_as_quoted(ground, deposit(adapter, ETHER))
    believer = replace(adapter, trusts_maxima=True)
    with pytest.raises(UnavailableActionError, match="that the vault allows"):
        believer.quote(Ground(shared_devnet, believer).state(), deposit(adapter, ETHER), ground.account)


def test_more_than_is_held_is_refused(ground: Ground[VaultState]) -> None:
    adapter = vault(ground.devnet, HONEST)
    refused_by_both(ground, redeem(adapter, 1), "shares are more than the 0 held")
    refused_by_both(ground, Withdraw(adapter.asset, 1), "held")
    with pytest.raises(UnavailableActionError, match="nothing was read"):
        adapter.quote(ground.state(), redeem(adapter, 1), OWNER)


def test_minimums_are_held_by_the_quote_and_by_bounds(ground: Ground[VaultState]) -> None:
    adapter = vault(ground.devnet, HONEST)
    shares = adapter.quote(ground.state(), deposit(adapter, DOLLAR), ground.account).gives[0].amount
    adapter.quote(ground.state(), deposit(adapter, DOLLAR, shares), ground.account)
    with pytest.raises(UnavailableActionError, match="is demanded"):
        adapter.quote(ground.state(), deposit(adapter, DOLLAR, shares + 1), ground.account)
    assert adapter.bounds(deposit(adapter, DOLLAR, 5), OWNER) == (TokenBound(adapter.vault, "inflow", 5),)
    assert adapter.bounds(redeem(adapter, DOLLAR, 6), OWNER) == (TokenBound(adapter.asset, "inflow", 6),)
    assert adapter.bounds(Withdraw(adapter.asset, 7), OWNER) == ()


def test_a_vault_that_counts_otherwise_is_told_but_not_quoted(shared_devnet: Devnet) -> None:
    adapter = vault(shared_devnet, HONEST)
    state = state_of(shared_devnet, replace(adapter, offset=3), (OWNER,), head_s(shared_devnet))
    assert state.formula is None
    assert adapter.positions(state, OWNER)[0].amount >= 1_000_000 * DOLLAR
    with pytest.raises(UnavailableActionError, match="not known"):
        adapter.quote(state, deposit(adapter, DOLLAR), OWNER)


def test_liquidity_is_what_lies_there_and_rates_are_unknown(shared_devnet: Devnet) -> None:
    adapter = vault(shared_devnet, HONEST)
    state = state_of(shared_devnet, adapter, (), head_s(shared_devnet))
    assert adapter.liquidity(state, adapter.asset) == balance(shared_devnet, adapter.asset, adapter.vault)
    assert adapter.rates(state, adapter.asset) == Rates(None, None)
    with pytest.raises(UnavailableActionError, match="not traded or held"):
        adapter.liquidity(state, adapter.vault)


def test_what_does_not_belong_is_refused(shared_devnet: Devnet) -> None:
    adapter = vault(shared_devnet, HONEST)
    for action in (Deposit(adapter.vault, adapter.vault, 1), Redeem(adapter.asset, adapter.asset, 1)):
        with pytest.raises(UnavailableActionError, match="not traded or held"):
            adapter.build(action, OWNER)
    with pytest.raises(UnavailableActionError, match="Supply is not something"):
        adapter.build(Supply(adapter.asset, 1), OWNER)
    (operation,) = adapter.build(Deposit(adapter.asset, adapter.vault, Measured("x")), OWNER)
    assert operation.measure == ()


def test_a_plain_ratio_begins_at_one_to_one_and_ends_with_its_assets() -> None:
    new = VaultFormula(0, 0, 0, 0)
    assert (new.shares_down(7), new.shares_up(7), new.assets_down(7)) == (7, 7, 7)
    assert new.is_defined
    assert not VaultFormula(5, 0, 0, 0).is_defined
