"""Uniswap V2 and its forks: reads of a pair, its address, and the calls of pair and router."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from seawall.markets.uniswap_v2 import V2Pool
from seawall.native import encode_call, keccak256
from seawall.primitives.blocks import Read
from seawall.primitives.errors import ProtocolError
from seawall.primitives.units import Address, address_text
from seawall.protocols.answers import Answers, integer_answers

__all__ = [
    "INIT_CODE_HASH",
    "V2Market",
    "amounts_in_call",
    "amounts_out_call",
    "decode_pool",
    "pair_address",
    "reads",
    "sorted_tokens",
    "swap_call",
]

# keccak256 of the canonical pair's creation code; forks with another pair have another.
INIT_CODE_HASH: Final = bytes.fromhex("96e8ac4277198ff8b6f785478aa9a39f403cb768dd02cbee326c3e7da348845f")


@dataclass(frozen=True, slots=True)
class V2Market:
    """What never changes about a pair."""

    address: Address
    token0: Address
    token1: Address
    fee_numerator: int = 997
    fee_denominator: int = 1000


def reads(market: V2Market) -> tuple[Read, ...]:
    return (Read(_label(market), market.address, encode_call("getReserves()", ())),)


def decode_pool(market: V2Market, answers: Answers) -> V2Pool:
    reserve0, reserve1 = integer_answers(answers, _label(market), ("uint112", "uint112"))
    return V2Pool(
        market.address,
        market.token0,
        market.token1,
        reserve0,
        reserve1,
        market.fee_numerator,
        market.fee_denominator,
    )


def pair_address(
    factory: Address, token_a: Address, token_b: Address, init_code_hash: bytes = INIT_CODE_HASH
) -> Address:
    """Where the factory puts the pair (CREATE2), deployed or not."""
    token0, token1 = sorted_tokens(token_a, token_b)
    return Address(keccak256(b"\xff" + factory + keccak256(token0 + token1) + init_code_hash)[12:])


def sorted_tokens(token_a: Address, token_b: Address) -> tuple[Address, Address]:
    """token0 and token1 of a pool of these tokens."""
    if token_a == token_b:
        raise ProtocolError(
            what="a pool needs two different tokens",
            where=f"token {address_text(token_a)}",
            fix="name the other token",
        )
    return (token_a, token_b) if token_a < token_b else (token_b, token_a)


def swap_call(zero_for_one: bool, amount_out: int, recipient: Address, data: bytes = b"") -> bytes:
    """Pair: pay `amount_out` to `recipient`; the input is there already, or comes in `data`'s callback."""
    amounts = (0, amount_out) if zero_for_one else (amount_out, 0)
    return encode_call("swap(uint256,uint256,address,bytes)", (*amounts, recipient, data))


def amounts_out_call(amount_in: int, path: Sequence[Address]) -> bytes:
    """Router: the view that quotes along `path`."""
    return encode_call("getAmountsOut(uint256,address[])", (amount_in, tuple(path)))


def amounts_in_call(amount_out: int, path: Sequence[Address]) -> bytes:
    """Router: the view that quotes `path` backwards."""
    return encode_call("getAmountsIn(uint256,address[])", (amount_out, tuple(path)))


def _label(market: V2Market) -> str:
    return f"v2:{market.address.hex()}:reserves"
