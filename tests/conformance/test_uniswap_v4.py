"""Uniswap V4 is quoted and not traded: its quotes are held against swaps of its authors' own test router."""

from __future__ import annotations

import pytest

from seawall.primitives.errors import UnavailableActionError
from seawall.primitives.units import NATIVE, ZERO_ADDRESS, Address
from seawall.protocols.adapters.actions import Swap
from seawall.protocols.adapters.erased import erased
from seawall.protocols.adapters.uniswap_v4 import UniswapV4Adapter, from_book
from seawall.rollout.devnet.accounts import OWNER
from tests.conformance.stage import Stage

pytestmark = pytest.mark.anvil

ETHER = 10**18
TRADER = Address(b"\x44" * 20)
LOWEST_PRICE, HIGHEST_PRICE = 4_295_128_740, 1_461_446_703_485_210_103_287_273_052_203_988_822_378_723_970_341
SWAP = "swap((address,address,uint24,int24,address),(bool,int256,uint160),(bool,bool),bytes)"


def pool(stage: Stage) -> UniswapV4Adapter:
    (adapter,) = from_book(stage.devnet.book)
    return adapter


def swapped(stage: Stage, adapter: UniswapV4Adapter, amount_in: int, *, sell_coins: bool) -> int:
    """What the router's caller gets [units of the other currency]."""
    key = (adapter.currency0, adapter.currency1, adapter.fee_pips, adapter.tick_spacing, ZERO_ADDRESS)
    limit = LOWEST_PRICE if sell_coins else HIGHEST_PRICE
    call = (key, (sell_coins, -amount_in, limit), (False, False), b"")
    usdx, router = stage.address("usdx"), stage.address("uniswap_v4_swap_router")
    stage.devnet.rpc.call("anvil_impersonateAccount", "0x" + TRADER.hex())
    stage.give(NATIVE, TRADER, 10_000 * ETHER)
    stage.give(usdx, TRADER, 5_000_000 * 10**6)
    stage.send(TRADER, usdx, "approve(address,uint256)", router, 2**256 - 1)
    bought = usdx if sell_coins else NATIVE
    # Gas is paid in the coin that may be bought: the pool's own holding says what left it.
    before = stage.balance(bought, adapter.manager)
    stage.send(TRADER, router, SWAP, *call, value_wei=amount_in if sell_coins else 0)
    return before - stage.balance(bought, adapter.manager)


@pytest.mark.parametrize("sell_coins", [True, False])
@pytest.mark.parametrize("thousandths", [1, 999, 40_000, 300_000])
def test_quotes_are_what_the_true_manager_does(stage: Stage, sell_coins: bool, thousandths: int) -> None:
    adapter = pool(stage)
    usdx = stage.address("usdx")
    amount_in = thousandths * (10**15 if sell_coins else 2_500 * 10**3) + 7
    tokens = (NATIVE, usdx) if sell_coins else (usdx, NATIVE)
    quote = stage.snapshot(erased(adapter)).quote(Swap(*tokens, amount_in), TRADER)
    assert quote.gives[0].amount == swapped(stage, adapter, amount_in, sell_coins=sell_coins)


def test_the_two_directions_pay_the_protocol_differently(stage: Stage) -> None:
    adapter = pool(stage)
    state = adapter.decode(stage.answers(erased(adapter)), stage.head())
    assert state.protocol_fees_pips == (100, 60)


def test_more_than_the_ranges_hold_is_refused(stage: Stage) -> None:
    snapshot = stage.snapshot(erased(pool(stage)))
    for amount in (0, 10**30, 2**255, 2**256):
        with pytest.raises(UnavailableActionError):
            snapshot.quote(Swap(NATIVE, stage.address("usdx"), amount), TRADER)


def test_trading_is_refused(stage: Stage) -> None:
    with pytest.raises(UnavailableActionError, match="quoted, not traded"):
        pool(stage).build(Swap(NATIVE, stage.address("usdx"), 1), OWNER)
