"""Reads, decoders and calls of pairs, tokens, the lender, feeds and multicall."""

from __future__ import annotations

import pytest

from seawall.markets.two_venue import FlashFee
from seawall.native import abi_decode, abi_encode, selector
from seawall.primitives.blocks import Read
from seawall.primitives.errors import ProtocolError
from seawall.primitives.units import Address, address_from_text
from seawall.protocols import balancer_v2, chainlink, erc20, multicall, uniswap_v2, weth
from tests.unit.markets.worlds import PAIR, TOKEN0, TOKEN1

_MARKET = uniswap_v2.V2Market(PAIR, TOKEN0, TOKEN1)
_FEED = Address(bytes([0x0F]) * 20)
_ROUND_KINDS = ("uint80", "int256", "uint256", "uint256", "uint80")


def test_pair_is_decoded_from_its_reserves() -> None:
    (read,) = uniswap_v2.reads(_MARKET)
    assert read.target == PAIR
    assert read.calldata == selector("getReserves()")
    answer = abi_encode(("uint112", "uint112", "uint32"), (10**18, 5 * 10**18, 1700000000))
    pool = uniswap_v2.decode_pool(_MARKET, {read.label: answer})
    assert (pool.reserve0, pool.reserve1) == (10**18, 5 * 10**18)
    assert (pool.fee_numerator, pool.fee_denominator) == (997, 1000)


def test_pair_that_reverts_is_refused() -> None:
    (read,) = uniswap_v2.reads(_MARKET)
    with pytest.raises(ProtocolError, match="reverted"):
        uniswap_v2.decode_pool(_MARKET, {read.label: None})
    with pytest.raises(ProtocolError, match="does not decode"):
        uniswap_v2.decode_pool(_MARKET, {read.label: b""})


def test_pair_address_is_mainnets_in_either_order() -> None:
    factory = address_from_text("0x5C69bEe701ef814a2B6a3EDD4B1652CB9cc5aA6f")
    wbtc = address_from_text("0x2260FAC5E5542a773Aa44fBCfeDf7C193bc2C599")
    ether = address_from_text("0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2")
    expected = address_from_text("0xBb2b8038a1640196FbE3e38816F3e67Cba72D940")
    assert uniswap_v2.pair_address(factory, wbtc, ether) == expected
    assert uniswap_v2.pair_address(factory, ether, wbtc) == expected


def test_pair_swap_pays_the_other_token() -> None:
    kinds = ("uint256", "uint256", "address", "bytes")
    assert abi_decode(kinds, uniswap_v2.swap_call(True, 7, TOKEN0)[4:]) == (0, 7, TOKEN0, b"")
    assert abi_decode(kinds, uniswap_v2.swap_call(False, 7, TOKEN0, b"x")[4:]) == (7, 0, TOKEN0, b"x")


def test_router_quotes_name_amount_and_path() -> None:
    call = uniswap_v2.amounts_out_call(5, (TOKEN0, TOKEN1))
    assert call[:4] == bytes.fromhex("d06ca61f")
    assert abi_decode(("uint256", "address[]"), call[4:])[0] == 5
    assert uniswap_v2.amounts_in_call(5, (TOKEN0, TOKEN1))[:4] == bytes.fromhex("1f00ca74")


def test_token_balance_is_read_and_moved() -> None:
    read = erc20.balance_read(TOKEN0, PAIR)
    assert read.calldata[:4] == bytes.fromhex("70a08231")
    assert erc20.balance(TOKEN0, PAIR, {read.label: (12).to_bytes(32, "big")}) == 12
    assert erc20.transfer_call(PAIR, 5)[:4] == bytes.fromhex("a9059cbb")
    assert erc20.approve_call(PAIR, 5)[:4] == bytes.fromhex("095ea7b3")


def test_ether_is_wrapped_and_unwrapped() -> None:
    assert weth.deposit_call() == bytes.fromhex("d0e30db0")
    assert weth.withdraw_call(5) == bytes.fromhex("2e1a7d4d") + (5).to_bytes(32, "big")


def test_flash_fee_of_the_vault_is_a_fraction_of_its_collector() -> None:
    read = balancer_v2.fees_collector_read(PAIR)
    assert balancer_v2.fees_collector(PAIR, {read.label: bytes(12) + _FEED}) == _FEED
    read = balancer_v2.flash_fee_read(_FEED)
    assert read.target == _FEED
    fee = balancer_v2.flash_fee(_FEED, {read.label: (5 * 10**14).to_bytes(32, "big")})
    assert fee == FlashFee(5 * 10**14, 10**18)
    assert fee.fee_up(10_001) == 6


def test_flash_loan_wants_ascending_tokens() -> None:
    call = balancer_v2.flash_loan_call(PAIR, ((TOKEN0, 5), (TOKEN1, 6)), b"data")
    assert call[:4] == bytes.fromhex("5c38449e")
    for loans in (((TOKEN1, 5), (TOKEN0, 6)), ((TOKEN0, 5), (TOKEN0, 6))):
        with pytest.raises(ProtocolError, match="ascend"):
            balancer_v2.flash_loan_call(PAIR, loans, b"")


def test_latest_round_of_a_feed_is_decoded() -> None:
    read = chainlink.latest_round_read(_FEED)
    answer = abi_encode(_ROUND_KINDS, (7, 2000 * 10**8, 100, 110, 7))
    assert chainlink.latest_round(_FEED, {read.label: answer}) == chainlink.Round(
        7, 2000 * 10**8, 100, 110, 7
    )
    read = chainlink.decimals_read(_FEED)
    assert chainlink.decimals(_FEED, {read.label: (8).to_bytes(32, "big")}) == 8


@pytest.mark.parametrize(("price", "updated_at_s"), [(0, 110), (-1, 110), (5, 0)])
def test_feed_without_a_price_is_refused(price: int, updated_at_s: int) -> None:
    label = chainlink.latest_round_read(_FEED).label
    with pytest.raises(ProtocolError, match="feed answers"):
        chainlink.latest_round(_FEED, {label: abi_encode(_ROUND_KINDS, (7, price, 1, updated_at_s, 7))})


def test_multicall_asks_in_order_and_answers_by_label() -> None:
    asked = (Read("a", TOKEN0, b"\x01"), Read("b", TOKEN1, b"\x02"))
    call = multicall.aggregate3_call(asked)
    assert call[:4] == bytes.fromhex("82ad56cb")
    assert abi_decode(("(address,bool,bytes)[]",), call[4:]) == (
        ((TOKEN0, True, b"\x01"), (TOKEN1, True, b"\x02")),
    )
    returned = abi_encode(("(bool,bytes)[]",), (((True, b"yes"), (False, b"why not")),))
    assert multicall.aggregate3_answers(asked, returned) == {"a": b"yes", "b": None}


@pytest.mark.parametrize("returned", [b"", abi_encode(("(bool,bytes)[]",), (((True, b""),),))])
def test_multicall_of_another_shape_is_refused(returned: bytes) -> None:
    with pytest.raises(ProtocolError):
        multicall.aggregate3_answers((Read("a", TOKEN0, b""), Read("b", TOKEN0, b"")), returned)
