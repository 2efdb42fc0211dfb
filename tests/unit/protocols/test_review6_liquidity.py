"""What looks like a minimum and holds no price is refused, not taken for one."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from seawall.primitives.errors import UnavailableActionError
from seawall.primitives.units import Address
from seawall.protocols.adapters.actions import AddLiquidity, TokenAmount
from seawall.protocols.adapters.curve_coins import CurveCoins
from seawall.protocols.adapters.pair_shares import Pair
from seawall.protocols.adapters.uniswap_v3 import UniswapV3Adapter

TOKEN0, TOKEN1, PAIR, US = (Address(bytes([n]) * 20) for n in (1, 2, 3, 4))
BOTH = (TokenAmount(TOKEN0, 10), TokenAmount(TOKEN1, 20))


def test_pair_that_takes_all_that_is_brought_holds_no_price_by_minimums_of_it() -> None:
    pair = Pair("uniswap_v2:a-b", PAIR, TOKEN0, TOKEN1)
    action = AddLiquidity(BOTH, PAIR, 7, (), BOTH)
    assert pair.build_add(action, US)
    assert pair.bounds(action)
    with pytest.raises(UnavailableActionError, match="holds no price"):
        pair.build_add(replace(action, min_share=0), US)


def test_curve_takes_all_that_is_brought_too() -> None:
    action = AddLiquidity(BOTH, PAIR, 7, (), BOTH)
    coins = CurveCoins("curve", PAIR, PAIR, (TOKEN0, TOKEN1))
    assert len(coins.brought(action)) == len(BOTH)
    with pytest.raises(UnavailableActionError, match="holds no price"):
        coins.brought(replace(action, min_share=0))
    assert coins.brought(replace(action, min_share=0, minimums=()))


def test_position_of_v3_is_held_by_minimums_and_not_by_being_one() -> None:
    """One position comes out at any price."""
    scenario = AddLiquidity(BOTH, PAIR, 1)
    adapter = SimpleNamespace(name="uniswap_v3:a-b")
    with pytest.raises(UnavailableActionError, match="holds no price"):
        UniswapV3Adapter._build_add(cast(Any, adapter), scenario, US, PAIR)
