"""A V2 pair, a V3 pool and a lender that answer reads as the contracts would, from a few numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from seawall.markets.tick_math import tick_at_sqrt_ratio
from seawall.native import abi_decode, abi_encode, selector
from seawall.primitives.blocks import Read
from seawall.primitives.units import Address

COLLECTOR = Address(b"\x0c" * 20)
ETHER = 10**18


@dataclass
class TwoPools:
    """The other token is token0 or token1 as its address says; amounts are per token, not per position."""

    token: Address
    other: Address
    token_reserve: int
    other_reserve: int
    sqrt_price_x96: int
    liquidity: int
    ticks: dict[int, int] = field(default_factory=dict)  # tick -> liquidity net
    tick_spacing: int = 10
    lendable: int = 10_000 * ETHER
    flash_fee: int = 0  # of 1e18

    def answers(self, reads: Iterable[Read]) -> dict[str, bytes | None]:
        return {read.label: self._answer(read.calldata) for read in reads}

    def _answer(self, calldata: bytes) -> bytes:
        arguments = calldata[4:]
        match calldata[:4]:
            case name if name == selector("getReserves()"):
                reserves = (self.token_reserve, self.other_reserve)
                ordered = reserves if self.token < self.other else reserves[::-1]
                return abi_encode(("uint112", "uint112", "uint32"), (*ordered, 0))
            case name if name == selector("slot0()"):
                kinds = ("uint160", "int24", "uint16", "uint16", "uint16", "uint8", "bool")
                tick = tick_at_sqrt_ratio(self.sqrt_price_x96)
                return abi_encode(kinds, (self.sqrt_price_x96, tick, 0, 1, 1, 0, True))
            case name if name == selector("liquidity()"):
                return abi_encode(("uint128",), (self.liquidity,))
            case name if name == selector("tickBitmap(int16)"):
                (word,) = abi_decode(("int16",), arguments)
                places = (tick // self.tick_spacing for tick in self.ticks)
                return abi_encode(("uint256",), (sum(1 << p % 256 for p in places if p // 256 == word),))
            case name if name == selector("ticks(int24)"):
                (index,) = abi_decode(("int24",), arguments)
                assert isinstance(index, int)
                net = self.ticks.get(index, 0)
                return abi_encode(("uint128", "int128"), (abs(net), net))
            case name if name == selector("balanceOf(address)"):
                return abi_encode(("uint256",), (self.lendable,))
            case name if name == selector("getProtocolFeesCollector()"):
                return abi_encode(("address",), (COLLECTOR,))
            case name if name == selector("getFlashLoanFeePercentage()"):
                return abi_encode(("uint256",), (self.flash_fee,))
        raise AssertionError(f"no contract answers {calldata[:4].hex()}")
