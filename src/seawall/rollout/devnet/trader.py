"""Scripted traders: swaps from the devnet's unlocked accounts that move prices on true pools.

They stand for the rest of the market in tests and in the demo, pay for themselves, and share nothing with
Seawall's own way of sending.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from seawall.native import abi_decode, encode_call
from seawall.primitives.errors import InputError
from seawall.primitives.units import BPS, Address, Hash
from seawall.rollout.devnet.accounts import TRADERS
from seawall.rollout.devnet.deployer import FOREVER_S
from seawall.rollout.devnet.lifecycle import Devnet

__all__ = ["Trader"]

# A pair keeps 0.3 % of what comes in before it moves the price.
V2_FEE_NUMERATOR: Final = 997
V2_FEE_DENOMINATOR: Final = 1000
GAP_BPS_MAX: Final = 5_000


@dataclass(frozen=True, slots=True)
class Trader:
    """One account of the market; tokens are named as in the address book."""

    devnet: Devnet
    account: Address = TRADERS[0]

    def swap_v2(self, token_in: str, token_out: str, amount_in: int, *, mine: bool = True) -> Hash:
        """Sell exactly `amount_in` on Uniswap V2 at any price; with `mine` it is in a block on return."""
        book = self.devnet.book
        path = (book.address(token_in), book.address(token_out))
        return self._send(
            "uniswap_v2_router",
            encode_call(
                "swapExactTokensForTokens(uint256,uint256,address[],address,uint256)",
                (amount_in, 0, path, self.account, FOREVER_S),
            ),
            mine=mine,
        )

    def swap_v3(
        self, token_in: str, token_out: str, fee_pips: int, amount_in: int, *, mine: bool = True
    ) -> Hash:
        """Sell exactly `amount_in` on the Uniswap V3 pool with this fee at any price."""
        book = self.devnet.book
        return self._send(
            "uniswap_v3_router",
            encode_call(
                "exactInputSingle((address,address,uint24,address,uint256,uint256,uint160))",
                (
                    (
                        book.address(token_in),
                        book.address(token_out),
                        fee_pips,
                        self.account,
                        amount_in,
                        0,
                        0,
                    ),
                ),
            ),
            mine=mine,
        )

    def swap_balancer(self, token_in: str, token_out: str, amount_in: int, *, mine: bool = True) -> Hash:
        """Sell exactly `amount_in` to the weighted pool at any price."""
        book = self.devnet.book
        pool_id = self.devnet.rpc.view(book.address("balancer_weth_usdx"), encode_call("getPoolId()", ()))
        given_in = 0
        return self._send(
            "balancer_vault",
            encode_call(
                "swap((bytes32,uint8,address,address,uint256,bytes),(address,bool,address,bool),uint256,uint256)",
                (
                    (pool_id, given_in, book.address(token_in), book.address(token_out), amount_in, b""),
                    (self.account, False, self.account, False),
                    0,
                    FOREVER_S,
                ),
            ),
            mine=mine,
        )

    def open_gap_v2(self, token: str, against: str, gap_bps: int, *, mine: bool = True) -> Hash:
        """Move the V2 price of `token` in `against` by about `gap_bps`; negative is down."""
        if gap_bps == 0 or abs(gap_bps) > GAP_BPS_MAX:
            raise InputError(
                f"a gap of {gap_bps} bps cannot be opened",
                "open_gap_v2",
                f"give 1 to {GAP_BPS_MAX}, or its negative",
            )
        token_in, token_out = (against, token) if gap_bps > 0 else (token, against)
        reserve_in = self._v2_reserve(token_in, token_out)
        # price = in / out and in * out = k, hence in' = in * sqrt(1 + gap); downwards 1 / (1 - gap).
        ratio = (BPS + gap_bps, BPS) if gap_bps > 0 else (BPS, BPS + gap_bps)
        moved = math.isqrt(reserve_in * reserve_in * ratio[0] // ratio[1]) - reserve_in
        amount_in = moved * V2_FEE_DENOMINATOR // V2_FEE_NUMERATOR
        return self.swap_v2(token_in, token_out, amount_in, mine=mine)

    def balance(self, token: str) -> int:
        """[smallest unit]"""
        held = self.devnet.rpc.view(
            self.devnet.book.address(token), encode_call("balanceOf(address)", (self.account,))
        )
        return int.from_bytes(held)

    def _v2_reserve(self, token: str, other: str) -> int:
        rpc, book = self.devnet.rpc, self.devnet.book
        factory = book.address("uniswap_v2_factory")
        token_address, other_address = book.address(token), book.address(other)
        found = rpc.view(factory, encode_call("getPair(address,address)", (token_address, other_address)))
        if not any(found):
            raise InputError(
                f"there is no V2 pair of {token} and {other}", "devnet", "use weth with usdx or ethx"
            )
        pair = Address(found[12:])
        reserve0, reserve1, _ = abi_decode(
            ["uint112", "uint112", "uint32"], rpc.view(pair, encode_call("getReserves()", ()))
        )
        reserve = reserve0 if token_address < other_address else reserve1
        assert isinstance(reserve, int)
        return reserve

    def _send(self, router: str, data: bytes, *, mine: bool) -> Hash:
        rpc = self.devnet.rpc
        sent = rpc.send(self.account, self.devnet.book.address(router), data)
        if mine:
            rpc.settle([sent], mine=True)
        return sent
