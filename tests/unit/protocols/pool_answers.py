"""What a node would answer to the reads of a pool: the contract's own encoding of a known state."""

from __future__ import annotations

from collections.abc import Iterable

from seawall.markets.uniswap_v3 import TICKS_PER_WORD, V3Pool
from seawall.native import abi_encode
from seawall.primitives.blocks import Read

_SLOT0 = ("uint160", "int24", "uint16", "uint16", "uint16", "uint8", "bool")
_TICK = ("uint128", "int128", "uint256", "uint256", "int56", "uint160", "uint32", "bool")


def v3_answers(pool: V3Pool, reads: Iterable[Read]) -> dict[str, bytes | None]:
    answers: dict[str, bytes | None] = {}
    for read in reads:
        what, *rest = read.label.split(":")[2:]
        match what:
            case "slot0":
                answers[read.label] = abi_encode(_SLOT0, (pool.sqrt_price_x96, pool.tick, 0, 1, 1, 0, True))
            case "liquidity":
                answers[read.label] = abi_encode(("uint128",), (pool.liquidity,))
            case "word":
                answers[read.label] = abi_encode(("uint256",), (_word(pool, int(rest[0])),))
            case _:
                net = pool.ticks.liquidity_net(int(rest[0])) or 0
                answers[read.label] = abi_encode(_TICK, (abs(net), net, 0, 0, 0, 0, 0, net != 0))
    return answers


def _word(pool: V3Pool, position: int) -> int:
    compressed = (index // pool.tick_spacing for index in pool.ticks.indexes)
    return sum(1 << (place % TICKS_PER_WORD) for place in compressed if place // TICKS_PER_WORD == position)
